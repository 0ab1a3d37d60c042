"""Say when and where it happens in new videos."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Options:
    """What ``detect`` is told.

    Args:
        source: video file, folder of videos, folder of frames or glob.
        model: run folder of a trained model.
        output: folder for events, scores, overlays and timelines; default: a new one below runs/.
        which: best (by validation) or last.
        render: write overlay videos and timelines too.
        device: auto, cpu or cuda.
        workers: processes, one video each; default: this one, with all its threads.
        distributed: ray, to work on a Ray cluster.
        ray_address: of a running cluster; default: one on this machine.
        json: print the events as JSON instead of a table.
        quiet: no progress bars.
    """

    source: str
    model: str = "runs/latest"
    output: str | None = None
    which: str = "best"
    render: bool = True
    device: str = "auto"
    workers: int | None = None
    distributed: str | None = None
    ray_address: str | None = None
    json: bool = False
    quiet: bool = False


def run(options: Options) -> int:
    """Detect and print the events; exit code 3 if a video was set aside."""
    from pathlib import Path

    from wherewhen import runs
    from wherewhen.model import Model
    from wherewhen.spread import Where
    from wherewhen.video import sources

    model = Model.load(options.model, options.which, options.device)
    folder = Path(options.output) if options.output else runs.next_folder("runs", "detect")
    paths = sources.expand(options.source)
    asked = options.workers or options.distributed or options.ray_address
    where = Where.of(options.workers, options.distributed, options.ray_address, len(paths)) if asked else None
    found, quarantine = runs.detect(model, paths, folder, render=options.render, where=where, quiet=options.quiet)
    if options.json:
        print((folder / "events.json").read_text())
    else:
        for one in found:
            print(f"{one.id}: {len(one.events)} events")
            for event in one.events:
                print(f"  {event.start:8.2f} s to {event.end:8.2f} s  score {event.score:.2f}")
        print(f"written: {folder}")
    return 3 if quarantine.reasons else 0
