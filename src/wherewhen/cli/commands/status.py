"""Show the state of each watched camera, from the store of the service."""

from __future__ import annotations

from dataclasses import dataclass

from wherewhen.cli.verb import Verb


@dataclass(frozen=True)
class Options:
    """Options of ``status``.

    Args:
        store: folder of the store of ``watch``; default: live.
        json: print the result as JSON instead of text.
    """

    store: str = "live"
    json: bool = False


def run(options: Options) -> int:
    """Print a line for each camera; exit code 1 where one is not ok."""
    import time
    from pathlib import Path

    from wherewhen.core.console import print_json
    from wherewhen.live.overview import overview
    from wherewhen.live.overview_text import lines

    service = overview(Path(options.store), time.time())
    if options.json:
        print_json(service.plain())
    else:
        print("\n".join(lines(service)))
    return 0 if service.ok else 1


VERB = Verb("start", Options, run, places=("store",))
