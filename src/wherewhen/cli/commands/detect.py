"""Detect anomalies in new videos, with times and places."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from wherewhen.cli.needs import Fits, Need, Sections, no_engine, of_detection, one_model
from wherewhen.cli.verb import Verb


@dataclass(frozen=True)
class Options:
    """Options of ``detect``.

    Args:
        source: video file, folder of videos, folder of frames, glob, camera number or stream address.
        model: run folder of a trained model; default: runs/latest.
        prompts: prompt file, or the name of an included one (default, toy), in place of a trained model; a backbone
            that reads text (clip, toywords) then scores videos by these texts, without training.
        view: patches scores the cells of each whole picture, windows overlapping crops of three sizes.
        threshold: score from 0 to 1 at which an alarm starts; default: 0.5, which is the threshold that training chose.
            The scores themselves do not change.
        alarms_per_day: number of false alarms a day, in place of a threshold; measured on normal training videos
            out of fold.
        camera: the training camera that recorded the source, for models with --normalizer camera; default: files are
            recognized by their background, streams are of an unknown camera.
        output: folder for events, scores, overlay videos and timelines; default: a new one below runs/. Results of
            several runs in one folder are merged.
        resume: skip videos whose results in the folder are complete.
        which: best (by validation) or last checkpoint.
        render: write overlay videos and timelines.
        damaged: keep uses damaged videos as far as they can be read; set-aside lists them in quarantine.json.
        hwaccel: what decodes videos: none is the processor, auto the first device that works, else the processor; or
            a device by name, such as cuda, qsv, vaapi and videotoolbox.
        device: auto, cpu or cuda.
        trust: run the code in the TorchScript file that the model names, if it names one.
        workers: number of processes, one video each; default: this process with all its threads.
        distributed: run on a Ray cluster.
        ray_address: address of a running Ray cluster; default: one on this machine.
        json: print the events as JSON instead of text.
        quiet: no progress bars, and only warnings and errors in the log.
    """

    source: str
    model: str | None = None
    prompts: str | None = None
    view: Literal["patches", "windows"] = "patches"
    threshold: float | None = None
    alarms_per_day: float | None = None
    camera: str | None = None
    output: str | None = None
    resume: bool = False
    which: Literal["best", "last"] = "best"
    render: bool = True
    damaged: Literal["keep", "set-aside"] = "keep"
    hwaccel: str = "none"
    device: str = "auto"
    trust: bool = False
    workers: int | None = None
    distributed: Literal["ray"] | None = None
    ray_address: str | None = None
    json: bool = False
    quiet: bool = False


def run(options: Options, settings: dict[str, Any]) -> int:
    """Detect and print the events; exit code 3 if videos are in quarantine."""
    import json
    import sys
    from pathlib import Path

    from wherewhen.api import detection, runs
    from wherewhen.api.ids import base_of
    from wherewhen.core.console import print_json
    from wherewhen.runtime.parallel import Workers
    from wherewhen.video import sources

    model = _by_words(options, settings) if options.prompts else _trained(options, settings)
    if options.camera is not None:
        model = model.at_camera(options.camera)
    if options.threshold is not None:
        model = model.with_threshold(options.threshold)
    if options.alarms_per_day is not None:
        model = model.with_alarms_per_day(options.alarms_per_day)
    folder = Path(options.output) if options.output else runs.next_folder("runs", "detect")
    paths = sources.expand(options.source)
    is_parallel = options.workers or options.distributed or options.ray_address
    where = Workers.of(options.workers, options.distributed, options.ray_address, len(paths)) if is_parallel else None
    arguments: dict[str, Any] = {
        "damaged": options.damaged,
        "hwaccel": options.hwaccel,
        "render": options.render,
        "where": where,
    }
    arguments |= {"resume": options.resume, "base": base_of(options.source), "quiet": options.quiet}
    try:
        results, quarantine = detection.detect(model, paths, folder, **arguments)
    except KeyboardInterrupt:
        print(
            f"written so far: {folder}; to continue: the same command with --output {folder} --resume", file=sys.stderr
        )
        raise
    if options.json:
        document = json.loads((folder / "events.json").read_text("utf-8"))
        ids = {result.id for result in results}
        document["videos"] = {name: video for name, video in document["videos"].items() if name in ids}
        print_json(document)
    else:
        for result in results:
            print(
                f"{result.id}: {len(result.events)} events"
                + (f"; not fully read: {result.damage}" if result.damage else "")
            )
            for event in result.events:
                suffix = f"  {event.category}" if event.category else ""
                suffix += f"  mover {event.track}" if event.track >= 0 else ""
                print(f"  {event.start:8.2f} s to {event.end:8.2f} s  score {event.score:.2f}{suffix}")
        print(f"written: {folder}")
    return 3 if quarantine.reasons else 0


def _trained(options: Options, settings: dict[str, Any]) -> Any:
    from wherewhen.core import registry
    from wherewhen.core.errors import ConfigError
    from wherewhen.inference.model import Model

    alarms = {name: settings[name] for name in settings if name in registry.names("localize")}
    model = Model.load(options.model or "runs/latest", options.which, options.device, trust=options.trust)
    for name, changed in alarms.items():
        if name != model.config.localizer:
            raise ConfigError(f"{name}: this model was trained with the localizer {model.config.localizer}")
        model = model.with_localizer(**changed)
    run = {key: settings[key] for key in ("engine", "precision") if key in settings}
    model = model.with_engine(**run) if run else model
    return model.with_movers(settings["movers"]) if settings.get("movers") else model


def _by_words(options: Options, settings: dict[str, Any]) -> Any:
    from wherewhen.core import prompts
    from wherewhen.text.zero_shot import DEFAULT, ZeroShot

    plugin_settings = {name: value for name, value in settings.items() if name != "movers"}
    chosen = {key: plugin_settings.pop(key) for key in VERB.flags if key in plugin_settings}
    return ZeroShot(
        prompts.read(options.prompts or ""),
        settings={**plugin_settings, "spatial": {"view": options.view}},
        device=options.device,
        **{"backbone": DEFAULT, **chosen},
    )


VERB = Verb(
    "start",
    Options,
    run,
    addresses=("source", "ray_address"),
    model_options=("backbone", "localizer", "engine", "precision", "movers"),
    needs=(
        Need(("alarms_per_day",), "threshold", False, "both choose when an alarm starts"),
        Need(("alarms_per_day",), "prompts", False, "no normal videos were scored in training"),
        Need(("camera",), "prompts", False, "prompts have no statistics of cameras"),
        Need(("view",), "prompts", True, "a trained model processes pictures as in training"),
        Need(("backbone", "localizer"), "prompts", True, "a trained model includes it"),
        Need(("model", "which", "trust"), "prompts", False, "prompts replace a trained model"),
        Need(("movers",), "prompts", False, "prompts score parts of the picture, so there are no movers"),
        Need(("ray_address",), "distributed"),
        Need(("resume",), "output", True, "results of an earlier run are in its folder"),
        Fits(("which",), one_model, note="run folders only"),
        Fits(("engine", "precision"), no_engine, note="networks only"),
        Sections(of_detection, "a trained model includes them; they can be chosen only with --prompts"),
    ),
)
