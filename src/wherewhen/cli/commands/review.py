"""Judge alerts and detections on a page in the browser, from which a model can learn."""

from __future__ import annotations

from dataclasses import dataclass

from wherewhen.cli.needs import Need
from wherewhen.cli.verb import Verb


@dataclass(frozen=True)
class Options:
    """Options of ``review``.

    Args:
        source: folder that detect or watch wrote; or videos (a file, folder or glob), with --model.
        model: run folder of a trained model, which detects in the videos first.
        output: folder for the results in videos; default: a new one below runs/. Detection resumes there.
        host: number or name at which the page is served; another one than 127.0.0.1 needs --token or --users.
        port: of the page; 0: a free one.
        token: what the address of the page must hold, 16 characters or more; default: a random one.
        users: file with a name and a token of 16 characters or more in each line, for several people; instead of
            --token.
        hosts: names besides localhost by which the page is called, separated by commas, such as that of a proxy.
        open: open the page in the browser of this machine.
        device: auto, cpu or cuda.
        json: print address and database as JSON instead of text.
        quiet: no progress bars, and only warnings and errors in the log.
    """

    source: str
    model: str | None = None
    output: str | None = None
    host: str = "127.0.0.1"
    port: int = 0
    token: str | None = None
    users: str | None = None
    hosts: str | None = None
    open: bool = True
    device: str = "auto"
    json: bool = False
    quiet: bool = False


def run(options: Options) -> int:
    """Serve the page until it is interrupted."""
    import sys
    import webbrowser
    from pathlib import Path

    from wherewhen.api import review_sources
    from wherewhen.core.console import print_json
    from wherewhen.runtime.interrupts import until_interrupted
    from wherewhen.server.review_access import Access, serving_review

    access = Access.of(options.host, options.port, options.token, options.users, options.hosts)
    folder = Path(options.source)
    if options.model is not None:
        folder = review_sources.detected(options.source, options.model, options.output, options.device, options.quiet)
    review = review_sources.opened(folder, options.model)
    with until_interrupted() as stop, serving_review(review, access) as address:
        if options.json:
            print_json({"address": address, "database": str(review.file)})
            sys.stdout.flush()
        else:
            print(address, flush=True)
            print(f"{folder}: verdicts are stored in {review.file}; Ctrl+C ends", file=sys.stderr)
        if options.open:
            webbrowser.open(address)
        stop.wait()
    return 0


NEEDS = (
    Need(("output",), "model", True, "what is in a folder is reviewed in place"),
    Need(("device",), "model", True, "nothing is detected"),
    Need(("token",), "users", False, "each user has a token"),
)
VERB = Verb("start", Options, run, addresses=("source",), needs=NEEDS)
