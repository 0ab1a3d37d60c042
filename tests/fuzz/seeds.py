"""Good files that several kinds of input need: clips with labels, a trained model, its features of a clip."""

from __future__ import annotations

from pathlib import Path

import numpy as np

FRAMES, RATE, SIZE = 25, 12.5, (64, 48)


def clip(path: Path, anomalous: bool, shade: int) -> None:
    """Two seconds in which a dark spot creeps; in anomalous ones a bright square rushes by."""
    from wherewhen.video.writer import Writer

    with Writer(path, RATE) as writer:
        for index in range(FRAMES):
            picture = np.full((SIZE[1], SIZE[0], 3), 60 + 5 * shade, np.uint8)
            picture[::8, :, 0] += 20
            picture[34:42, 2 + index // 2 + shade : 10 + index // 2 + shade] = 20
            if anomalous and 8 <= index < 20:
                picture[16:28, 4 * (index - 8) : 4 * (index - 8) + 12] = 220
            writer.write(picture)


def clips(root: Path) -> None:
    """A user's folder: ``normal/`` and ``anomalous/`` with two clips each."""
    for label in ("normal", "anomalous"):
        (root / label).mkdir(parents=True)
        for number in range(2):
            clip(root / label / f"{label[0]}{number}.mp4", label == "anomalous", number)


def trained(folder: Path) -> None:
    """A run folder with a small model."""
    import wherewhen

    root = folder.parent / "clips"
    if not root.exists():
        clips(root)
    settings = {"training": {"steps": 10, "bags": 2}, "cuboid_mil": {}, "engine": "torch", "precision": "fp32"}
    wherewhen.train(root, folder, settings=settings, device="cpu", quiet=True)


def extracted(folder: Path) -> None:
    """A store with features of the clips."""
    from case import command

    root = folder.parent / "clips"
    if not root.exists():
        clips(root)
    code, out, err = command("extract", root, "--output", folder, "--device", "cpu", "--quiet")
    if code:
        raise RuntimeError(out + err)
