"""The file of alerts has each line once and whole, wherever a process died."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherewhen.core import outputs
from wherewhen.core.contracts.sinks import Message, Undelivered
from wherewhen.sinks._lines import line
from wherewhen.sinks.file import File, FileConfig


def message(id: str) -> Message:
    return Message("new", id, "gate", {}, {"id": id, "score": 0.5})


def lines(*ids: str) -> bytes:
    return "".join(f"{line(message(id))}\n" for id in ids).encode()


@given(st.lists(st.sampled_from(["1", "22", "333"]), max_size=4, unique=True), st.data())
def test_lines_that_a_process_left_are_not_repeated(before: list[str], data: st.DataObject) -> None:
    again = before[data.draw(st.integers(0, len(before))) :]  # were sent, which the process did not live to note
    written = lines("4444")[: data.draw(st.integers(0, len(lines("4444"))))]
    with TemporaryDirectory() as folder:
        path = outputs.grow(Path(folder, "alerts.jsonl"))
        path.write_bytes(lines(*before) + written)
        sink = File(FileConfig(str(path)))
        for id in (*again, "4444", "55555", *before):
            sink.send(message(id))
        assert path.read_bytes() == lines(*before, "4444", "55555", *before)


@pytest.mark.parametrize("torn", ["half of another line", "another line that is longer than the message: " + "x" * 200])
def test_what_others_left_stays_on_its_own_line(torn: str, tmp_path: Path) -> None:
    path = outputs.grow(tmp_path / "alerts.jsonl")
    path.write_text(torn)
    sink = File(FileConfig(str(path)))
    sink.send(message("1"))
    assert path.read_bytes() == f"{torn}\n".encode() + lines("1")
    with path.open("a") as other:
        other.write(torn)
    sink.send(message("1"))
    assert path.read_bytes() == 2 * (f"{torn}\n".encode() + lines("1"))


def test_a_file_that_is_not_ours_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "alerts.jsonl"
    path.write_text("someone's")
    with pytest.raises(Undelivered, match="exists already"):
        File(FileConfig(str(path))).send(message("1"))
    assert path.read_text() == "someone's"
