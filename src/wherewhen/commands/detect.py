"""Say when and where it happens in new videos."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from wherewhen.needs import Fits, Need, no_engine, one_model

RECIPE = ("backbone", "localizer", "engine", "precision", "movers")
ADDRESSES = ("source", "ray_address")
NEEDS = (
    Need(("view",), "prompts", True, "a trained model looks at pictures as it did in training"),
    Need(("backbone", "localizer"), "prompts", True, "a trained model has its own"),
    Need(("model", "which", "trust"), "prompts", False, "prompts take the place of a trained model"),
    Need(("movers",), "prompts", False, "words are looked for in places, so there are no movers"),
    Need(("ray_address",), "distributed"),
    Need(("resume",), "output", True, "results of an earlier run are in its folder"),
    Fits(("which",), one_model),
    Fits(("engine", "precision"), no_engine),
)


@dataclass(frozen=True)
class Options:
    """What ``detect`` is told.

    Args:
        source: video file, folder of videos, folder of frames or glob.
        model: run folder of a trained model; runs/latest where nothing is said.
        prompts: instead of a model: prompt file, or the name of one that comes along (default, toy). A backbone that
            reads (clip, toywords) then finds what the words say, without any training.
        view: with prompts: patches (one look at each picture) or windows (overlapping crops of three sizes).
        threshold: the score from 0 to 1 from which an alarm goes off; default: 0.5, the threshold that training chose
            (with prompts: half of what is seen is not normal). Scores stay what they are.
        output: folder for events, scores, overlays and timelines; default: a new one below runs/. Results of several
            runs in one folder are joined.
        resume: skip videos whose results in the folder are whole.
        which: best (by validation) or last.
        render: write overlay videos and timelines too.
        damaged: keep reads a damaged recording as far as it goes and says so; set-aside sets it aside with the reason.
        device: auto, cpu or cuda.
        trust: run the code in the TorchScript file that the model names, if it names one.
        workers: processes, one video each; default: this one, with all its threads.
        distributed: ray, to work on a Ray cluster.
        ray_address: of a running cluster; default: one on this machine.
        json: print the events as JSON instead of a table.
        quiet: no progress bars.
    """

    source: str
    model: str | None = None
    prompts: str | None = None
    view: str = "patches"
    threshold: float | None = None
    output: str | None = None
    resume: bool = False
    which: str = "best"
    render: bool = True
    damaged: str = "keep"
    device: str = "auto"
    trust: bool = False
    workers: int | None = None
    distributed: str | None = None
    ray_address: str | None = None
    json: bool = False
    quiet: bool = False


def run(options: Options, settings: dict[str, Any]) -> int:
    """Detect and print the events; exit code 3 if a video was set aside."""
    import json
    from pathlib import Path

    from wherewhen import detection, runs
    from wherewhen.ids import base_of
    from wherewhen.spread import Where
    from wherewhen.video import sources

    model = _by_words(options, settings) if options.prompts else _trained(options, settings)
    if options.threshold is not None:
        model = model.with_threshold(options.threshold)
    folder = Path(options.output) if options.output else runs.next_folder("runs", "detect")
    paths = sources.expand(options.source)
    asked = options.workers or options.distributed or options.ray_address
    where = Where.of(options.workers, options.distributed, options.ray_address, len(paths)) if asked else None
    how: dict[str, Any] = {"damaged": options.damaged, "render": options.render, "where": where}
    how |= {"resume": options.resume, "base": base_of(options.source), "quiet": options.quiet}
    try:
        found, quarantine = detection.detect(model, paths, folder, **how)
    except KeyboardInterrupt:
        print(f"written so far: {folder}; to go on: the same command with --output {folder} --resume")
        raise
    if options.json:
        told = json.loads((folder / "events.json").read_text("utf-8"))
        own = {one.id for one in found}
        told["videos"] = {name: video for name, video in told["videos"].items() if name in own}
        print(json.dumps(told, indent=1))
    else:
        for one in found:
            print(
                f"{one.id}: {len(one.events)} events"
                + (f"; not all of it was read: {one.damage}" if one.damage else "")
            )
            for event in one.events:
                what = f"  {event.category}" if event.category else ""
                what += f"  mover {event.track}" if event.track >= 0 else ""
                print(f"  {event.start:8.2f} s to {event.end:8.2f} s  score {event.score:.2f}{what}")
        print(f"written: {folder}")
    return 3 if quarantine.reasons else 0


def _trained(options: Options, settings: dict[str, Any]) -> Any:
    from wherewhen import registry
    from wherewhen.errors import ConfigError
    from wherewhen.model import Model

    alarms = {name: settings[name] for name in settings if name in registry.names("localize")}
    own = [name for name in settings if name not in (*RECIPE, *alarms)]
    if own:
        raise ConfigError(f"a trained model has its own {', '.join(own)}; only with --prompts they can be chosen")
    model = Model.load(options.model or "runs/latest", options.which, options.device, trust=options.trust)
    for name, changed in alarms.items():
        if name != model.recipe.localizer:
            raise ConfigError(f"{name}: this model was trained with the localizer {model.recipe.localizer}")
        model = model.with_localizer(**changed)
    run = {key: settings[key] for key in ("engine", "precision") if key in settings}
    model = model.with_engine(**run) if run else model
    return model.with_movers(settings["movers"]) if settings.get("movers") else model


def _by_words(options: Options, settings: dict[str, Any]) -> Any:
    from wherewhen import prompts
    from wherewhen.zeroshot import DEFAULT, ZeroShot

    given = {name: value for name, value in settings.items() if name != "movers"}
    chosen = {key: given.pop(key) for key in RECIPE if key in given}
    return ZeroShot(
        prompts.read(options.prompts or ""),
        settings={**given, "spatial": {"view": options.view}},
        device=options.device,
        **{"backbone": DEFAULT, **chosen},
    )
