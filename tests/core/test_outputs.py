"""What may be written: nothing that somebody else made, and never a source, by whatever name it is known."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherewhen.core import outputs
from wherewhen.core.array_files import save
from wherewhen.core.errors import OutputError
from wherewhen.core.outputs import MANIFEST
from wherewhen.core.store import write_atomic, write_json


def test_what_the_toolkit_wrote_is_replaced(tmp_path: Path) -> None:
    for number in range(3):
        write_json(tmp_path / "a.json", number)
    assert (tmp_path / "a.json").read_text() == "2\n" and outputs.is_output(tmp_path / "a.json")
    assert len((tmp_path / MANIFEST).read_text().splitlines()) == 3


def test_a_file_that_somebody_edited_or_put_in_its_place_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_json(path, 1)
    told = path.stat()
    path.write_text("2\n")
    with pytest.raises(OutputError, match=r"a\.json: exists already, and this toolkit did not write it, or it was cha"):
        write_json(path, 3)
    assert path.read_text() == "2\n"
    path.write_text("1\n")  # the very content again, at another time
    assert path.stat().st_mtime_ns != told.st_mtime_ns
    write_json(path, 3)
    assert path.read_text() == "3\n"


def test_results_are_known_again_in_another_place(tmp_path: Path) -> None:
    write_json(tmp_path / "a" / "x.json", 1)
    shutil.copytree(tmp_path / "a", tmp_path / "b", copy_function=shutil.copyfile)
    assert outputs.is_output(tmp_path / "b" / "x.json")
    (tmp_path / "b" / MANIFEST).unlink()
    assert not outputs.is_output(tmp_path / "b" / "x.json")


def test_a_manifest_of_another_time_says_nothing(tmp_path: Path) -> None:
    """The folder is removed and made anew while the process goes on."""
    folder = tmp_path / "a"
    for _ in range(2):
        outputs.grow(folder / "log.txt")
        assert outputs.is_output(folder / "log.txt")
        shutil.rmtree(folder)
        folder.mkdir()
        (folder / "log.txt").write_text("mine")
        assert not outputs.is_output(folder / "log.txt")
        write_json(folder / "x.json", 1)
        assert not outputs.is_output(folder / "log.txt")
        shutil.rmtree(folder)


@pytest.mark.parametrize(
    "damage", [b'{"file": "b.js', b"\xff\xfe\n[1]\n{}\nnull\n\n", b'{"file": [1]}\n', b"[" * 9999 + b"\n"]
)
def test_a_damaged_manifest_costs_no_more_than_its_damaged_lines(tmp_path: Path, damage: bytes) -> None:
    write_json(tmp_path / "a.json", 1)
    with (tmp_path / MANIFEST).open("ab") as file:
        file.write(damage)
    write_json(tmp_path / "b.json", 1)
    outputs._MANIFESTS.clear()
    assert outputs.is_output(tmp_path / "a.json") and outputs.is_output(tmp_path / "b.json")


def test_arrays_prove_themselves(tmp_path: Path) -> None:
    import numpy as np
    from safetensors.numpy import save_file

    save(tmp_path / "own.safetensors", {"x": np.zeros(2)}, {})
    save_file({"x": np.zeros(2)}, tmp_path / "other.safetensors", {"format": "pt"})
    assert outputs.is_output(tmp_path / "own.safetensors") and not outputs.is_output(tmp_path / "other.safetensors")
    assert not (tmp_path / MANIFEST).exists()
    with pytest.raises(OutputError):
        save(tmp_path / "other.safetensors", {"x": np.zeros(2)}, {})


LINKS: dict[str, Callable[[Path, Path], None]] = {
    "itself": lambda source, path: None,
    "hard link": lambda source, path: os.link(source, path),
    "symbolic link": lambda source, path: path.symlink_to(source),
    "link to its folder": lambda source, path: path.parent.symlink_to(source.parent),
}


@pytest.mark.parametrize("how", LINKS)
@pytest.mark.parametrize("own", [False, True])
def test_a_source_is_never_replaced_not_even_one_that_the_toolkit_made(tmp_path: Path, how: str, own: bool) -> None:
    source = tmp_path / "videos" / "a.mp4"
    source.parent.mkdir()
    write_atomic(source, b"recorded") if own else source.write_bytes(b"recorded")
    path = {"itself": source, "link to its folder": tmp_path / "out" / "a.mp4"}.get(how, tmp_path / "b.mp4")
    LINKS[how](source, path)
    with outputs.reading([source]):
        with pytest.raises(OutputError, match="a source, which is never overwritten"):
            outputs.check([path])
        with pytest.raises(OutputError, match="a source"):
            write_atomic(path, b"overlay")
        with pytest.raises(OutputError):
            outputs.remove(path)
    assert source.read_bytes() == b"recorded"


def test_nothing_is_written_between_the_pictures_of_a_source(tmp_path: Path) -> None:
    (tmp_path / "frames").mkdir()
    (tmp_path / "frames" / "1.png").write_bytes(b"picture")
    with outputs.reading([tmp_path / "frames"]):
        with pytest.raises(OutputError, match="frames is a source of single pictures"):
            outputs.check_folder(tmp_path / "frames", ["frames.png"])
        outputs.check_folder(tmp_path / "frames" / "found", ["frames.png"])
    outputs.check_folder(tmp_path / "frames", ["frames.png"])


def test_the_last_moment_counts(tmp_path: Path) -> None:
    """Somebody puts a file there while ours is being made."""
    from wherewhen.core.store import atomic

    with pytest.raises(OutputError, match="exists already"), atomic(tmp_path / "a.json") as draft:
        draft.write_text("ours")
        (tmp_path / "a.json").write_text("theirs")
    assert (tmp_path / "a.json").read_text() == "theirs" and [p.name for p in tmp_path.iterdir()] == ["a.json"]


def test_a_file_in_the_place_of_a_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("mine")
    for folder in (tmp_path / "a", tmp_path / "a" / "b" / "c"):
        with pytest.raises(OutputError, match=r"a(:| is a file).*choose another --output"):
            outputs.check_folder(folder, ["x.json"])
    (tmp_path / "d" / "x.json").mkdir(parents=True)
    with pytest.raises(OutputError, match="a folder that exists already"):
        outputs.check_folder(tmp_path / "d", ["x.json"])


def test_many_files_in_the_way_are_told_in_one_line(tmp_path: Path) -> None:
    for number in range(5):
        (tmp_path / f"{number}.mp4").touch()
    with pytest.raises(
        OutputError, match=r"0\.mp4, .*1\.mp4, .*2\.mp4 and 2 more: exists already.*; choose another --"
    ):
        outputs.check_folder(tmp_path, [f"{number}.mp4" for number in range(9)])


def test_a_stamped_folder_is_removed_only_as_it_was(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    outputs.remove_folder(folder)
    write_json(folder / "deep" / "a.json", 1)
    with pytest.raises(OutputError, match=r"rm -r .*run"):
        outputs.remove_folder(folder)
    outputs.stamp(folder)
    (folder / "deep" / "notes.txt").write_text("mine")
    with pytest.raises(OutputError):
        outputs.remove_folder(folder)
    (folder / "deep" / "notes.txt").unlink()
    outputs.remove_folder(folder)
    assert not folder.exists()


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["write", "edit", "delete"])), max_size=12))
def test_whatever_comes_no_edit_of_a_user_is_ever_lost(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, str]]
) -> None:
    folder = tmp_path_factory.mktemp("steps")
    theirs: dict[str, str] = {}
    for number, (name, step) in enumerate(steps):
        path = folder / name
        if step == "write":
            try:
                write_atomic(path, f"ours {number}")
                assert name not in theirs
            except OutputError:
                assert name in theirs
        elif step == "edit":
            theirs[name] = f"theirs {number}"
            path.write_text(theirs[name])
        else:
            path.unlink(missing_ok=True)
            theirs.pop(name, None)
        for known, text in theirs.items():
            assert (folder / known).read_text() == text
