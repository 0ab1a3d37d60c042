"""Boxes of one's own from a file, as a source of movers: boxes inside the picture, or an error."""

from __future__ import annotations

from pathlib import Path
from random import Random

import mutate_text
import numpy as np
from case import Kind, Wrong

SIZE = (240, 320)


def seeds(corpus: Path) -> None:
    lines = [
        f"{frame},{track},{10 + frame},{20 + track},30,40,0.9,-1,-1,-1" for frame in range(1, 9) for track in (1, 2)
    ]
    (corpus / "a.txt").write_text("\n".join(lines) + "\n")
    from wherewhen.core.values import Scores
    from wherewhen.formats import Annotated, Clock, coco, cvat

    rows = np.array([[k / 25, (k + 1) / 25, 0.25, 0.25, 0.5, 0.75] for k in range(8)])
    video = Annotated(
        "a", Clock.steady(8, 25, SIZE[1], SIZE[0], "a.mp4"), Scores(rows, np.full(8, 0.5), np.zeros(8, int))
    )
    for form, name in ((coco, "a.json"), (cvat, "a.xml")):
        form.PLUGIN.write(corpus / name, [video])


def mutated(rng: Random, name: str, data: bytes) -> bytes:
    return mutate_text.mutated(rng, name, data)


def judge(file: Path, corpus: Path) -> None:
    from wherewhen.core.values import Frame, Video
    from wherewhen.proposals.file import File, FileConfig

    pictures = (Frame(np.zeros((*SIZE, 3), np.uint8), k, k / 25, (k + 1) / 25) for k in range(8))
    for frame in File(FileConfig(str(file)), Video("a", Path("a.mp4"), None))(pictures):
        places = frame.extents[:, 2:]
        if len(places) and not (np.isfinite(places).all() and places.min() >= 0 and places.max() <= 1):
            raise Wrong("boxes outside of the picture", repr(places.tolist()))


KIND = Kind(seeds, mutated, judge)
