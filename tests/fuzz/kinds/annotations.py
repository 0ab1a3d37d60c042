"""Files of other tools (events, COCO, CVAT, MOT, ...): boxes and events with finite numbers, or an error."""

from __future__ import annotations

from pathlib import Path
from random import Random

import mutate_text
import numpy as np
from case import Kind, Wrong, case_folder, check_command, command, mirrored


def seeds(corpus: Path) -> None:
    from wherewhen.core import registry
    from wherewhen.core.values import Event
    from wherewhen.formats import Annotated, Clock, events_as_boxes

    videos = []
    for name in ("a", "b 1"):
        rows = np.array([[k / 25, (k + 1) / 25, 0.25, 0.25, 0.5, 0.75] for k in range(5, 15)])
        found = (Event(rows, 0.75, "fall"), Event(rows[3:], 0.5, None))
        one = Annotated(name, Clock.steady(50, 25, 320, 240, f"{name}.mp4"), events=found)
        videos.append(events_as_boxes(one))
    for name in registry.names("formats"):
        form = registry.load("formats", name)
        if form.write is not None and form.read is not None:
            (corpus / name).mkdir()
            form.write(corpus / name / f"all{form.suffix}" if form.suffix else corpus / name / "all", videos)


def mutated(rng: Random, name: str, data: bytes) -> bytes:
    return mutate_text.mutated(rng, name, data)


def judge(file: Path, corpus: Path) -> None:
    from wherewhen.core import registry
    from wherewhen.formats import Clock

    case = mirrored(file, corpus)
    name = file.relative_to(case_folder(file)).parts[0]
    source = next(path for path in sorted((case / name).iterdir()) if path.name.startswith("all"))
    clocks = {video: Clock.steady(50, 25, 320, 240, f"{video}.mp4") for video in ("a", "b 1")}
    for video in registry.load("formats", name).read(source, clocks):
        rows = [video.boxes.extents, *(event.extents for event in video.events)]
        if not all(np.isfinite(one).all() for one in rows) or not np.isfinite(video.boxes.values).all():
            raise Wrong("numbers that are not finite", video.id)
        for event in video.events:
            if not event.start < event.end:
                raise Wrong("an impossible event", f"{event.start} to {event.end} s")
    if name == "events":
        code, _, err = command("convert", source, "--output", case / "out.json", "--to", "coco")
        check_command(code, err, file.name)


KIND = Kind(seeds, mutated, judge, ("*/*", "*/all/**/*"))
