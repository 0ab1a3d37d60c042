import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wherewhen.core.diagnostics import listening
from wherewhen.core.errors import DataError
from wherewhen.datasets import _files


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Abuse/Abuse001_x264.mp4", "Abuse001_x264"),
        ("/home/me/x/Fire_1.NPY", "Fire_1"),
        ("C:\\Users\\me\\a.avi", "a"),
        ("01_0014", "01_0014"),
        ("Your.Name.2016__#01-01-20_label_A", "Your.Name.2016__#01-01-20_label_A"),
        ("dir.mp4/a.tar", "a.tar"),
    ],
)
def test_ids_lose_folders_and_known_endings_alone(name, expected):
    assert _files.stem(name) == expected


@settings(deadline=None)
@given(st.lists(st.sampled_from(["a", "A", "b", "a.mp4", "x/b.mp4", "c.avi"])))
def test_of_repeated_names_the_first_is_kept(tmp_path_factory, names):
    path = tmp_path_factory.mktemp("l") / "list.txt"
    path.write_text("".join(f"{name}\n" for name in names))
    with listening() as found:
        kept = _files.listed(path)
    first = {}
    for name in names:
        first.setdefault(_files.stem(name), name)
    assert dict(kept) == first and len(kept) == len(first)
    repeated = sum(f.kind.startswith("name-") for f in found)
    assert repeated >= len(names) - len(first)


def test_rows_lose_blanks_marks_and_other_line_ends(tmp_path):
    path = tmp_path / "l.txt"
    path.write_bytes("\ufeffa  \r\n\r\nb\r\n".encode())
    with listening() as found:
        assert _files.lines(path) == [(1, "a"), (3, "b")]
    assert [f.message for f in found] == ["1 rows end in blanks"]
    path.write_bytes(b"caf\xe9\n")
    assert _files.lines(path) == [(1, "café")]


def test_files_are_found_below_and_named_when_they_are_not(tmp_path):
    deep = tmp_path / "one/two/List.TXT"
    deep.parent.mkdir(parents=True)
    deep.write_text("")
    assert _files.locate(tmp_path, "other.txt", "list.txt") == deep
    assert _files.locate(tmp_path, "list.txt", depth=1) is None
    assert _files.locate(tmp_path, "one/two/List.TXT") == deep
    with pytest.raises(DataError, match=r"the spans not found; expected a file called a.txt or b.txt"):
        _files.need(tmp_path, "a.txt", "b.txt", content="the spans")


def test_footage_is_files_and_folders_of_pictures(tmp_path):
    for name in ("v/a.mp4", "v/clip.mp4/2.jpg", "v/clip.mp4/10.jpg", "w/b.AVI", "w/notes.txt", ".hidden/c.mp4"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    footage = _files.Footage(tmp_path)
    assert [p.name for p in footage.all()] == ["a.mp4", "clip.mp4", "b.AVI"]
    assert footage.path("clip", "nowhere/clip.mp4") == tmp_path / "v/clip.mp4"
    assert footage.path("B", "w/b.mp4") == tmp_path / "w/b.AVI"
    assert footage.path("z", "w/z.mp4") == tmp_path / "w/z.mp4"
    assert [p.name for p in footage.under("W")] == ["b.AVI"]
    assert [p.name for p in _files.pictures(tmp_path / "v/clip.mp4")] == ["2.jpg", "10.jpg"]


def test_tables_are_parted_by_commas_or_tabs(tmp_path):
    (tmp_path / "a.csv").write_text("name, total frames\nA , 3\n")
    (tmp_path / "b.tsv").write_text("name\ttotal frames\nA, B\t3\n")
    assert _files.table(tmp_path / "a.csv") == [{"name": "A", "total frames": "3"}]
    assert _files.table(tmp_path / "b.tsv") == [{"name": "A, B", "total frames": "3"}]
