"""What every reader of a data set keeps to, before there is any data."""

from __future__ import annotations

from pathlib import Path

import pytest

from wherewhen import datasets
from wherewhen.core import registry
from wherewhen.core.contracts import DatasetReader
from wherewhen.core.errors import DataError

NAMES = registry.names("datasets")
OWN = {"features", "folder", "native", "toy"}  # ours, not published by anybody
BY_HEART = {"avenue"}  # its videos are simply numbered, so the reader names them before they are there


def reader(name: str) -> DatasetReader:
    found = registry.load("datasets", name)
    assert isinstance(found, DatasetReader)
    return found


@pytest.mark.parametrize("name", NAMES)
def test_it_describes_itself(name: str) -> None:
    one = reader(name)
    assert one.source.title
    if name not in OWN:
        assert one.source.homepage.startswith("http")
        assert one.source.citation
        assert one.split_rule
        assert all(isinstance(count, int) and count >= 0 for count in one.counts.values())
        assert sum(one.counts.values()) > 0


@pytest.mark.parametrize("name", NAMES)
def test_an_empty_folder_is_not_it(name: str, tmp_path: Path) -> None:
    one = reader(name)
    assert not one.matches(tmp_path)
    assert not one.matches(tmp_path / "none")
    for read in (one.load, one.truth):
        if read is one.load and name in BY_HEART:
            assert len(read(tmp_path).videos) == sum(one.counts.values())
            continue
        for root in (tmp_path, tmp_path / "none"):
            with pytest.raises(DataError) as caught:
                read(root)
            assert len(str(caught.value).split()) >= 4
            assert str(tmp_path) in str(caught.value)


@pytest.mark.parametrize("name", NAMES)
def test_a_folder_of_something_else_is_not_it(name: str, tmp_path: Path) -> None:
    (tmp_path / "holiday.txt").write_text("sun\n")
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "1.jpg").touch()
    assert not reader(name).matches(tmp_path)


def test_a_folder_that_no_one_knows_is_told_what_would_do(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"normal/ and anomalous/ folders, a labels\.csv"):
        datasets.reader_of(tmp_path)
    with pytest.raises(DataError, match="no such folder"):
        datasets.reader_of(tmp_path / "none")
    assert datasets.reader_of(tmp_path, "toy") is reader("toy")


def test_the_users_own_folders_are_read_last(tmp_path: Path) -> None:
    for label in ("normal", "anomalous"):
        (tmp_path / label).mkdir()
    assert datasets.reader_of(tmp_path) is reader("folder")
