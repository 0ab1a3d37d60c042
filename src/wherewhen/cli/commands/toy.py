"""Draw a data set of surveillance scenes with complete ground truth."""

from __future__ import annotations

from dataclasses import dataclass

from wherewhen.cli.needs import Need
from wherewhen.cli.verb import Verb


@dataclass(frozen=True)
class Options:
    """Options of ``toy``.

    Args:
        output: folder to write: videos, ground truth and one fold.
        normal_clips: number of clips without an anomaly.
        anomalous_clips: number of clips with an anomaly.
        kinds: kinds of anomalies, separated by commas; default: all seven.
        seconds: length of a clip.
        width: width of the pictures in px.
        height: height of the pictures in px.
        rate: frames per second.
        cameras: number of cameras with separate scenes; each has clips of both labels.
        scene: number of the first scene; another number draws another scene.
        seed: number that all random choices depend on.
        palette: draw everything gray but the anomalies, each kind in a color that the backbone toywords reads.
        decoys: number of still objects in these colors in every clip, so that color alone is no sign of an anomaly.
        nuisance: what disturbs about half of the clips, whatever their label, names between commas: rain, wind, flicker
            (of a lamp).
        json: print the result as JSON instead of text.
        quiet: no progress bars, and only warnings and errors in the log.
    """

    output: str = "toy"
    normal_clips: int = 14
    anomalous_clips: int = 14
    kinds: str | None = None
    seconds: float = 16.0
    width: int = 320
    height: int = 240
    rate: float = 25.0
    cameras: int = 1
    scene: int = 0
    seed: int = 0
    palette: bool = False
    decoys: int = 0
    nuisance: str | None = None
    json: bool = False
    quiet: bool = False


def run(options: Options) -> int:
    """Draw and print the folder."""
    from pathlib import Path

    from wherewhen.core.console import print_json
    from wherewhen.data_tools import toy_videos

    arguments = {
        name: value
        for name, value in vars(options).items()
        if name not in ("output", "kinds", "nuisance", "json", "quiet")
    }
    arguments |= {"clips_normal": arguments.pop("normal_clips"), "clips_anomalous": arguments.pop("anomalous_clips")}
    for name, text in (("kinds", options.kinds), ("nuisance", options.nuisance)):
        if text:
            arguments[name] = tuple(word.strip() for word in text.split(","))
    toy_videos.toy(Path(options.output), quiet=options.quiet, **arguments)
    if options.json:
        print_json({"output": options.output, "videos": options.normal_clips + options.anomalous_clips})
    else:
        print(f"written: {options.output}")
    return 0


VERB = Verb("data", Options, run, needs=(Need(("kinds",), "anomalous_clips", True, "normal clips have no anomaly"),))
