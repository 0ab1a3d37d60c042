"""Extract the features of videos ahead of training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from wherewhen.cli.needs import Fits, Need, Sections, features_alone, no_engine, of_features
from wherewhen.cli.verb import Verb


@dataclass(frozen=True)
class Options:
    """Options of ``extract``.

    The options of train that choose the features apply here too.

    Args:
        data: folder of a data set, folder of videos, video file or glob.
        backbones: names of backbones, separated by commas (wherewhen list backbones).
        output: store to write; default: the user's cache, which train and bench read.
        stored: float32 keeps features exact; float16 halves the size of the store.
        workers: number of processes; default: one per core.
        distributed: run on a Ray cluster.
        ray_address: address of a running Ray cluster; default: one on this machine.
        dry_run: measure a few clips and print how long all videos would take.
        device: auto, cpu or cuda.
        reader: name of the data set's reader (wherewhen list datasets); default: the one that recognizes the folder.
        normal: names of the folders of normal videos, separated by commas; needs --anomalous too.
        anomalous: names of the folders of anomalous videos; a folder's name is the class of its videos.
        damaged: keep uses damaged videos as far as they can be read; set-aside lists them in quarantine.json.
        hwaccel: what decodes videos: none is the processor, auto the first device that works, else the processor; or
            a device by name, such as cuda, qsv, vaapi and videotoolbox.
        json: print the result as JSON instead of text.
        quiet: no progress bars, and only warnings and errors in the log.
    """

    data: str
    backbones: str = "motion"
    output: str | None = None
    stored: Literal["float32", "float16"] = "float32"
    workers: int | None = None
    distributed: Literal["ray"] | None = None
    ray_address: str | None = None
    dry_run: bool = False
    device: str = "auto"
    reader: str | None = None
    normal: str | None = None
    anomalous: str | None = None
    damaged: Literal["keep", "set-aside"] = "keep"
    hwaccel: str = "none"
    json: bool = False
    quiet: bool = False


def run(options: Options, settings: dict[str, Any]) -> int:
    """Extract and print what was done; exit code 3 if videos are in quarantine."""
    from pathlib import Path

    from wherewhen.api import extraction
    from wherewhen.core.console import print_json
    from wherewhen.core.store import fingerprint
    from wherewhen.datasets import Folders
    from wherewhen.evaluation.evaluator import feature_specs
    from wherewhen.inference.model_config import ModelConfig
    from wherewhen.runtime.devices import pick_device
    from wherewhen.runtime.parallel import Workers

    configs = [ModelConfig.of({**settings, "backbone": backbone}) for backbone in options.backbones.split(",")]
    sources = extraction.sources(options.data, options.reader, Folders.of(options.normal, options.anomalous))
    if options.device != "auto":  # left to each process; those of a cluster may have none
        pick_device(options.device)
    specs = [config.feature_specs(options.device, training) for config in configs for training in (False, True)]
    if sources.truths:  # evaluation needs more views than training
        specs = [feature_specs(by_view) for by_view in specs]
    distinct = list({fingerprint(spec): spec for by_view in specs for spec in by_view.values()}.values())
    videos = len(sources.dataset.videos)
    where = Workers.of(options.workers, options.distributed, options.ray_address, videos)
    if options.dry_run:
        expected = list(extraction.forecast(sources, distinct, where, options.stored))
        if options.json:
            print_json(expected)
            return 0
        for estimate in expected:
            print(
                f"{estimate.look}: {estimate.videos} videos, {estimate.hours:.2f} h, {estimate.frames} frames, "
                f"{estimate.gigabytes:.3f} GB; {estimate.rate:.0f} frames/s measured in one process, "
                f"{_clock(estimate.seconds)} with {where.workers}"
            )
        return 0
    store = Path(options.output) if options.output else None
    arguments: dict[str, Any] = {
        "where": where,
        "stored": options.stored,
        "damaged": options.damaged,
        "hwaccel": options.hwaccel,
        "quiet": options.quiet,
    }
    done = extraction.extract_all(sources, distinct, store, **arguments)
    if options.json:
        print_json({
            "videos": done.videos, "made": done.new, "kept": done.existing, "store": done.store,
            "features": done.features, "seconds": done.wall, "effort": done.effort,
            "quarantine": done.quarantine.reasons,
        })  # fmt: skip
    else:
        print("\n".join(done.lines()))
    return 3 if done.quarantine.reasons else 0


def _clock(seconds: float) -> str:
    hours, rest = divmod(round(seconds), 3600)
    return f"{hours}:{rest // 60:02}:{rest % 60:02} h"


VERB = Verb(
    "models",
    Options,
    run,
    addresses=("ray_address",),
    model_options=True,
    needs=(
        Need(("ray_address",), "distributed"),
        Need(("hwaccel",), "dry_run", False, "the estimate is of the processor"),
        Fits(
            (
                "localizer",
                "validation",
                "movers",
                "training",
                "normalizer",
                "components",
                "augment",
                "crop_mode",
                "test_crop",
            ),
            features_alone,
            hidden=True,
        ),
        Fits(("engine", "precision"), no_engine, note="networks only"),
        Sections(of_features),
    ),
)
