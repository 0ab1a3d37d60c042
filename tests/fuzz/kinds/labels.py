"""``labels.csv``: every line becomes a video with its label, or the file is refused."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from random import Random

import mutate_text
from case import Kind, Wrong, case_folder

VIDEOS = ("a.mp4", "b.mp4", "c 1.avi", "deep/d.mkv", "é.mp4")
TABLES = {
    "labels.csv": "path,label,class\na.mp4,0,\nb.mp4,1,fight\nc 1.avi,0,\ndeep/d.mkv,1,fall\né.mp4,0,\n",
    "words/labels.csv": "a.mp4,normal\nb.mp4,anomalous\nc 1.avi,normal\n",
    "marks/labels.csv": "path;label\na.mp4;0\nb.mp4;1\nc 1.avi;normal\n",
}


def seeds(corpus: Path) -> None:
    for name, text in TABLES.items():
        (corpus / name).parent.mkdir(exist_ok=True)
        (corpus / name).write_text(text)


def mutated(rng: Random, name: str, data: bytes) -> bytes:
    return mutate_text.mutated(rng, "labels.csv", data)


def judge(file: Path, corpus: Path) -> None:
    from wherewhen import datasets

    root = file.parent
    for name in VIDEOS:
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).touch()
    reader = datasets.reader_of(root)
    found = reader.load(root)
    raw = file.read_bytes()
    text = raw.decode("utf-16" if raw[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
    case = case_folder(file).resolve()
    for video in found.videos:
        if not video.path.resolve().is_relative_to(case) or video.path.relative_to(root).as_posix() not in VIDEOS:
            raise Wrong("a path that is none of the videos", str(video.path))
        name = video.path.relative_to(root).as_posix()
        line = next((line for line in text.splitlines() if PurePosixPath(name).name in line), None)
        if line is None or video.label not in (0, 1):
            raise Wrong("a label that no line gives", f"{name}: {video.label}")
    lines = list(dict.fromkeys(line for line in text.splitlines() if line.strip(" ,;\t\"'\0")))
    rows = len(lines) - ("path" in lines[0].lower())
    if len(found.videos) < rows and '"' not in text:
        raise Wrong("lines are left out in silence", f"{rows} lines, {len(found.videos)} videos")


KIND = Kind(seeds, mutated, judge, ("labels.csv", "*/labels.csv"))
