"""Pictures of the moments of a search, with a frame around the place."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from wherewhen.core import extents as ext
from wherewhen.core import outputs
from wherewhen.core.store import atomic
from wherewhen.text.search import Moment
from wherewhen.visualization.render import paint


def write(moments: Sequence[Moment], videos: Path, folder: Path) -> list[str]:
    """Write a PNG per moment, ``01-VIDEO.png``; return the videos that are not in the folder."""
    from PIL import Image

    from wherewhen.video import reader

    paths = files_of(moments, videos)
    names = [f"{number:02}-{Path(moment.video).name}.png" for number, moment in enumerate(moments, 1)]
    outputs.check_folder(folder, names)
    folder.mkdir(parents=True, exist_ok=True)
    missing = []
    for name, moment in zip(names, moments, strict=True):
        path = paths.get(moment.video)
        if path is None:
            missing.append(moment.video)
            continue
        picture = np.array(reader.picture(path, moment.at).image, order="C")
        height, width = picture.shape[:2]
        box = np.array([0, 1, *moment.box])
        x0, y0, x1, y1 = ext.to_pixels(box, width - 1, height - 1).round().astype(int).tolist()
        paint.box(picture, (x0, y0, x1, y1), paint.BOX, 2)
        pen = paint.Pen(12, paint.BOX)
        paint.label(picture, f"{moment.score:.2f}  {moment.at:.1f} s", (x0, y0, x1, y1), pen)
        with atomic(folder / name) as temporary:
            Image.fromarray(picture).save(temporary)
    return list(dict.fromkeys(missing))


def files_of(moments: Iterable[Moment], videos: Path) -> dict[str, Path]:
    """The files of the moments' videos in a folder, by video: the one with the same folders, else of the same name."""
    from wherewhen.video import sources

    files = [path for path in sources.expand(videos) if isinstance(path, Path)]
    by_name = {sources.stem(path): path for path in files}
    by_place = {path.relative_to(videos).with_suffix("").as_posix(): path for path in files if videos.is_dir()}
    named = ((video, by_place.get(video, by_name.get(Path(video).name))) for video in {m.video: None for m in moments})
    return {video: path for video, path in named if path is not None}
