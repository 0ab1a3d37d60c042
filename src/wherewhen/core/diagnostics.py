"""Findings in data sets, as records: readers report them, a listener collects them.

A reader calls ``report`` for each fault of a label file. With a listener (``listening``), every finding is kept
and the reader continues with the repaired or skipped row. Without one, an error raises DataError at once and
all other findings are logged.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Literal

from wherewhen.core.errors import DataError, unknown
from wherewhen.core.printable import printable

LONGEST = 1000  # characters of a finding in words

Severity = Literal["error", "warning", "info"]
ORDER: tuple[Severity, ...] = ("error", "warning", "info")
SPOKEN: dict[Severity, str] = {"error": "error", "warning": "warning", "info": "note"}

KINDS: dict[str, tuple[Severity, str]] = {
    # rows of label files
    "row-malformed": ("error", "an unreadable row: wrong number of fields, or no number where one is expected"),
    "text-encoding": ("warning", "a list that is not UTF-8; it was read as Latin-1"),
    "row-blank": ("info", "blanks at the end of rows"),
    "column-extra": ("warning", "columns of a table that are not read"),
    "row-repeated": ("warning", "the same row twice"),
    "path-absolute": ("info", "an absolute path of another machine in a list; only its file name is used"),
    "path-extension": ("info", "names of one list with and without extension, or of features instead of videos"),
    "name-repeated": ("warning", "one video listed twice; the first row is kept"),
    "name-variant": ("warning", "names that differ only in case, extension or separators"),
    "label-doubtful": ("warning", "a model scores a normal video high, or an anomalous one low"),
    "label-conflict": ("error", "folder, name, list and annotation disagree about the label or category"),
    # times
    "length-unknown": ("error", "a video whose number of frames, rate or size is needed and not known"),
    "measure-differs": ("warning", "videos.json has another number than the video measures"),
    "length-conflict": ("warning", "truth and video have different numbers of frames"),
    "span-malformed": ("error", "a start without an end"),
    "span-reversed": ("error", "a span that ends before it starts"),
    "span-overlap": ("warning", "two spans of one video overlap"),
    "span-differs": ("info", "two annotations of one video mark different frames"),
    "span-past-end": ("warning", "a span that passes the end of its video; it is cut"),
    "span-outside": ("warning", "a span that is entirely outside its video; it is left out"),
    "span-base": ("warning", "frame 0 in a file that counts from 1"),
    "span-end": ("info", "an end just one past the last frame: inclusive and exclusive ends may be mixed"),
    # boxes and masks
    "box-outside": ("warning", "a box that passes the edge of the picture; it is cut"),
    "box-empty": ("warning", "a box without area; it is left out"),
    "box-past-end": ("warning", "a box in a frame that the video doesn't have; it is left out"),
    "box-outside-span": ("warning", "a box in a frame outside all spans"),
    "mask-shape": ("error", "masks with another number of frames, or another shape of picture, than they should have"),
    "mask-conflict": ("warning", "masks and spans disagree about which frames are anomalous"),
    # videos, labels and truth together
    "names-unknown": ("warning", "a data set whose video names can't be read; file names are used instead"),
    "unreadable": ("error", "the data set can't be read at all"),
    "path-dead": ("error", "a video that is listed but not there"),
    "passed-over": (
        "warning",
        "entries among videos that are no videos: other files, broken links, empty folders",
    ),
    "file-empty": ("error", "a video file without content"),
    "video-unreadable": ("error", "a video file that can't be opened"),
    "truth-missing": ("error", "a test video without truth"),
    "truth-extra": ("info", "truth without a video, such as that of a whole video of which only parts are listed"),
    "anomalous-empty": ("error", "a video labelled anomalous whose truth has no positive frame"),
    "normal-positive": ("error", "a video labelled normal whose truth has positive frames"),
    "anomalous-throughout": ("info", "an anomalous video whose every frame is positive"),
    "leak-name": ("error", "train and test share a name (case and extension aside)"),
    "leak-content": ("error", "train and test share a file, byte for byte"),
    "leak-near": ("error", "a train and a test video look the same"),
    "cameras": ("info", "the number of cameras of the videos"),
    "leak-camera": ("warning", "train and test share cameras: results for a camera that is new are not measured"),
    "content-conflict": ("error", "one file, byte for byte, with both labels"),
    "few-videos": ("warning", "a single video of a label: too few for training and validation"),
    "content-repeated": ("warning", "two videos of one side are the same file, byte for byte"),
    "unlabelled": ("warning", "videos in a folder of labelled ones that have no label"),
    "split-empty": ("warning", "videos that the column split puts into no part"),
    "one-class": ("info", "a training split without both labels: nothing to learn from weakly"),
    "rate-odd": ("warning", "a frame rate outside 5 to 120"),
    "rate-mixed": ("info", "videos of different frame rates in one set"),
    "rate-conflict": ("error", "truth and video have different frame rates, so the times of the truth are wrong"),
    "size-mixed": ("info", "pictures of different sizes in one set"),
    "count-mismatch": ("warning", "another number of videos than a complete copy has"),
}
"""Every kind of finding: its severity and meaning."""

_listener: ContextVar[list[Finding] | None] = ContextVar("listener", default=None)
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Finding:
    """A finding: its kind (see KINDS), a message, the video, and the file or row."""

    kind: str
    message: str
    video: str = ""
    where: str = ""

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(unknown("kind of finding", self.kind, KINDS))

    @property
    def severity(self) -> Severity:
        """The severity of its kind."""
        return KINDS[self.kind][0]

    def __str__(self) -> str:
        text = ": ".join(part for part in (self.where, self.video, f"{self.message} [{self.kind}]") if part)
        return printable(text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}...")


def report(kind: str, message: str, video: str = "", where: object = "") -> None:
    """Report a finding to the active listener; without one, DataError if it is an error.

    >>> with listening() as findings:
    ...     report("span-reversed", "starts at 9 and ends at 3", "a")
    >>> findings[0].severity, str(findings[0])
    ('error', 'a: starts at 9 and ends at 3 [span-reversed]')
    """
    finding = Finding(kind, message, video, str(where))
    listener = _listener.get()
    if listener is not None:
        listener.append(finding)
    elif finding.severity == "error":
        raise DataError(str(finding))
    else:
        _log.log(logging.WARNING if finding.severity == "warning" else logging.INFO, "%s", finding)


@contextmanager
def listening() -> Iterator[list[Finding]]:
    """Collect every finding reported inside the block."""
    findings: list[Finding] = []
    token = _listener.set(findings)
    try:
        yield findings
    finally:
        _listener.reset(token)


@contextmanager
def collected(root: object) -> Iterator[None]:
    """Collect what is reported inside the block, then raise its errors and log the rest."""
    with listening() as findings:
        yield
    raise_errors(findings, root)
    log_findings(findings, root)


def raise_errors(findings: Iterable[Finding], root: object) -> None:
    """DataError if there are errors about a data set: the first one, and how many more ``data check`` lists."""
    faults = list(dict.fromkeys(finding for finding in findings if finding.severity == "error"))
    if faults:
        more = f"; and {len(faults) - 1} more errors, which wherewhen data check {root} lists" if faults[1:] else ""
        raise DataError(f"{faults[0]}{more}")


def log_findings(findings: Iterable[Finding], root: object) -> None:
    """Log the warnings and notes about a data set: once per kind, and how many more ``data check`` lists."""
    kinds: dict[str, list[Finding]] = {}
    for finding in dict.fromkeys(findings):
        if finding.severity != "error":
            kinds.setdefault(finding.kind, []).append(finding)
    for first, *others in kinds.values():
        more = f", and {len(others)} more like it; wherewhen data check {root} lists them" if others else ""
        _log.log(logging.WARNING if first.severity == "warning" else logging.INFO, "%s%s", first, more)


def summary(findings: Iterable[Finding], examples: int = 3) -> list[str]:
    """Findings as text, most severe first: each kind with its meaning, how often it occurs, and some examples.

    >>> for line in summary([Finding("row-blank", "3 rows", where="list.txt")] * 5, examples=1):
    ...     print(line)
    0 errors, 0 warnings, 5 notes
    <BLANKLINE>
    note: row-blank (5): blanks at the end of rows
      list.txt: 3 rows
      and 4 more
    """
    kinds: dict[str, list[Finding]] = {}
    for finding in sorted(findings, key=lambda f: ORDER.index(f.severity)):
        kinds.setdefault(finding.kind, []).append(finding)
    counts = [sum(len(k) for k in kinds.values() if k[0].severity == severity) for severity in ORDER]
    lines = [", ".join(f"{n} {word}{'s' * (n != 1)}" for n, word in zip(counts, SPOKEN.values(), strict=True))]
    for kind, alike in kinds.items():
        severity, meaning = KINDS[kind]
        lines += ["", f"{SPOKEN[severity]}: {kind} ({len(alike)}): {meaning}"]
        lines += [f"  {str(finding).removesuffix(f' [{kind}]')}" for finding in alike[:examples]]
        lines += [f"  and {len(alike) - examples} more"] if len(alike) > examples else []
    return lines


def table(findings: Iterable[Finding]) -> list[dict[str, str]]:
    """Findings as rows for a table, most severe first.

    >>> table([Finding("row-blank", "3 rows", where="list.txt")])
    [{'severity': 'info', 'kind': 'row-blank', 'video': '', 'message': '3 rows', 'where': 'list.txt'}]
    """
    rows = sorted(findings, key=lambda f: (ORDER.index(f.severity), f.kind, f.video, f.where))
    return [
        {"severity": f.severity, "kind": f.kind, "video": f.video, "message": f.message, "where": f.where} for f in rows
    ]
