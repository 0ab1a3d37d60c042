"""Draw a toy data set: surveillance scenes with everything known about them."""

from __future__ import annotations

from dataclasses import dataclass

from wherewhen.needs import Need

NEEDS = (Need(("kinds",), "anomalous", True, "nothing happens in normal clips"),)


@dataclass(frozen=True)
class Options:
    """What ``toy`` is told.

    Args:
        output: folder to write, in the native format (videos, truth, one fold).
        normal: clips where nothing happens.
        anomalous: clips where something does.
        kinds: what may happen, names between commas; all seven where nothing is said.
        seconds: length of a clip.
        width: picture width in pixels.
        height: picture height in pixels.
        rate: frames per second.
        cameras: how many scenes the clips take turns on.
        scene: number of the first scene.
        seed: what happens in it.
        palette: draw all dull but what happens, which wears the color of its kind: for the words of toywords.
        decoys: still things in colors of the palette that stand about in every clip: color alone then tells nothing.
        quiet: no progress bars.
    """

    output: str
    normal: int = 14
    anomalous: int = 14
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
    quiet: bool = False


def run(options: Options) -> int:
    """Draw and say where."""
    from pathlib import Path

    from wherewhen import draw

    told = {name: value for name, value in vars(options).items() if name not in ("output", "kinds", "quiet")}
    told |= {"clips_normal": told.pop("normal"), "clips_anomalous": told.pop("anomalous")}
    if options.kinds:
        told["kinds"] = tuple(kind.strip() for kind in options.kinds.split(","))
    draw.toy(Path(options.output), quiet=options.quiet, **told)
    print(f"written: {options.output}")
    return 0
