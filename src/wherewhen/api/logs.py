"""The log of a run, in its folder."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from wherewhen.core import outputs
from wherewhen.core.console import Discreet

log = logging.getLogger("wherewhen")

LOG = "log.txt"


@contextmanager
def log_file(folder: Path) -> Iterator[None]:
    """Copy what the toolkit logs to ``log.txt`` in a run folder."""
    file = outputs.grow(folder / LOG)
    level, handler = log.level, logging.FileHandler(file, encoding="utf-8", errors="backslashreplace")
    log.setLevel(logging.INFO)
    handler.addFilter(Discreet())
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    log.addHandler(handler)
    try:
        yield
    finally:
        log.setLevel(level)
        log.removeHandler(handler)
        handler.close()
