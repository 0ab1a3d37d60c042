import logging
from threading import Thread

import pytest

from wherewhen.core.diagnostics import KINDS, Finding, listening, report, table
from wherewhen.core.errors import DataError


def test_alone_an_error_raises_and_the_rest_is_logged(caplog):
    with pytest.raises(DataError, match=r"a\.txt:3: v: ends before it starts \[span-reversed\]"):
        report("span-reversed", "ends before it starts", "v", "a.txt:3")
    with caplog.at_level(logging.INFO, "wherewhen"):
        report("span-past-end", "cut", "v")
        report("row-blank", "2 rows", where="a.txt")
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]


def test_whoever_listens_gets_it_all_and_nobody_else():
    with listening() as outer:
        report("row-blank", "one")
        with listening() as inner:
            report("span-reversed", "two")
        other = Thread(target=lambda: report("row-blank", "elsewhere"))
        other.start()
        other.join()
        report("row-blank", "three")
    assert [f.message for f in outer] == ["one", "three"]
    assert [f.message for f in inner] == ["two"]
    with pytest.raises(DataError):
        report("span-reversed", "after")


def test_kinds_are_known_and_explained():
    with pytest.raises(ValueError, match="did you mean 'row-blank'"):
        Finding("row-blnk", "x")
    assert all(severity in ("error", "warning", "info") and meaning for severity, meaning in KINDS.values())


def test_rows_come_gravest_first():
    rows = table([Finding("row-blank", "c"), Finding("span-end", "b", "v"), Finding("span-reversed", "a")])
    assert [row["severity"] for row in rows] == ["error", "info", "info"]
    assert set(rows[0]) == {"severity", "kind", "video", "message", "where"}
