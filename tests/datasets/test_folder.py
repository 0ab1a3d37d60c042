from pathlib import Path

import pytest

from wherewhen.datasets.folder import PLUGIN
from wherewhen.errors import DataError


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def table(root: Path, text: str) -> Path:
    touch(root, "a.mp4", "b.mp4", "sub/c.avi", "frames/0001.png")
    (root / "labels.csv").write_text(text, "utf-8")
    return root


def rows(root: Path) -> list[tuple[str, int | None, str | None]]:
    return [(v.id, v.label, v.category) for v in PLUGIN.load(root).videos]


@pytest.mark.parametrize(
    "text",
    [
        "path,label,class\na.mp4,0,\nsub/c.avi,1,fight\nframes,1,\n",
        "label,path,class\nnormal,a.mp4,normal\nanomalous,sub/c.avi,fight\nABNORMAL,frames,\n",
        "a.mp4,0\nsub/c.avi,anomaly,fight\n\nframes,1\n",
        "\ufeffPath;Label;Class\r\na.mp4;Normal;\r\nsub\\c.avi;1;fight\r\n./frames;1;\r\n",
        "path\tlabel\tclass\na.mp4\t0\t\n./sub/c.avi\t1\tfight\nframes/\t1\t\n",
        '"a.mp4", 0\n"sub/c.avi", 1, fight\nframes, 1\n',
    ],
)
def test_tables_in_every_shape_say_the_same(tmp_path: Path, text: str) -> None:
    assert rows(table(tmp_path, text)) == [("a", 0, None), ("sub/c", 1, "fight"), ("frames", 1, None)]
    assert PLUGIN.matches(tmp_path)
    assert PLUGIN.load(tmp_path).folds == ()
    assert PLUGIN.load(tmp_path).videos[1].path == tmp_path / "sub/c.avi"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("path,label\na.mp4,0\nb.mp4,bad\n", r"line 3: unknown label 'bad'"),
        ("path,label\na.mp4,0\nb.mp4,anomalus\n", r"line 3: .*did you mean 'anomalous'"),
        ("path,label\na.mp4,0\nz.mp4,1\n", r"line 3: no such video: .*z\.mp4"),
        ("a.mp4,0\n\n\nz.mp4,1\n", r"line 4: no such video"),
        ("path,label\na.mp4,0\n../b.mp4,1\n", r"line 3: \.\./b\.mp4 leads out of"),
        ("path,label\na.mp4,0\nsub/../../x.mp4,1\n", r"line 3: .* leads out of"),
        ("path,label\n/data/a.mp4,0\n", r"line 2: /data/a\.mp4 is an absolute path"),
        ("path,label\nC:\\a.mp4,0\n", r"line 2: .* is an absolute path"),
        ("path,label\na.mp4,0\n./a.mp4,1\n", r"line 3: a\.mp4 would be the same video as a\.mp4 \(.*line 2\)"),
        ("path,label\na.mp4,0\nb.mp4,0\n", r"all 2 videos are normal; learning needs anomalous"),
        ("path,label\na.mp4,1\n", r"all 1 videos are anomalous; learning needs normal"),
        ("path,label,clas\na.mp4,0,\n", r"line 1: unknown column 'clas'; did you mean 'class'"),
        ("path,class\na.mp4,x\n", r"line 1: expected the header path,label"),
        ("path,label\n", r"labels\.csv: no videos"),
        ("", r"labels\.csv: no videos"),
        ("path,label\na.mp4\n", r"line 2: expected path,label\[,class\], got 1 cells"),
        ("a.mp4,0,x,y\n", r"line 1: expected path,label\[,class\], got 4 cells"),
        ("path,label,class\na.mp4,0,fight\n", r"line 2: a normal video can't have the class 'fight'"),
        ("path,label\nsub,0\n", r"line 2: .*sub is a folder without pictures"),
        ("path,label\nlabels.csv,0\n", r"line 2: .*labels\.csv is not a video file"),
        ("path,label\n,0\n", r"line 2: no path"),
    ],
)
def test_mistakes_in_a_table_are_named_with_their_line(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(DataError, match=says):
        PLUGIN.load(table(tmp_path, text))


def test_two_suffixes_of_one_name_are_one_video(tmp_path: Path) -> None:
    touch(tmp_path, "normal/x.mp4", "normal/x.avi", "anomalous/y.mp4")
    with pytest.raises(DataError, match=r"normal/x\.mp4 would be the same video as normal/x\.avi"):
        PLUGIN.load(tmp_path)


@pytest.mark.parametrize("word", ["anomalous", "abnormal", "anomaly", "Anomalous"])
def test_folders(tmp_path: Path, word: str) -> None:
    touch(tmp_path, "normal/day one/a.mp4", "normal/notes.txt", "normal/.DS_Store", "normal/._a.mp4")
    touch(tmp_path, f"{word}/b.MKV", f"{word}/fight/deep/c.mp4", f"{word}/fight/v1.2/0001.jpg", f"{word}/d/0001.jpg")
    assert PLUGIN.matches(tmp_path)
    assert sorted(rows(tmp_path)) == sorted(
        [
            ("normal/day one/a", 0, None),
            (f"{word}/b", 1, None),
            (f"{word}/fight/deep/c", 1, "fight"),
            (f"{word}/fight/v1.2", 1, "fight"),
            (f"{word}/d", 1, None),
        ]
    )


def test_a_table_goes_before_folders(tmp_path: Path) -> None:
    touch(tmp_path, "normal/a.mp4", "anomalous/b.mp4", "anomalous/c.mp4")
    (tmp_path / "labels.csv").write_text("normal/a.mp4,0\nanomalous/b.mp4,1\n")
    assert [v.id for v in PLUGIN.load(tmp_path).videos] == ["normal/a", "anomalous/b"]


def test_what_is_no_data_set_says_so(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such folder"):
        PLUGIN.load(tmp_path / "nowhere")
    with pytest.raises(DataError, match=r"expected a file labels\.csv .* or folders normal/ and anomalous/"):
        PLUGIN.load(tmp_path)
    assert not PLUGIN.matches(tmp_path)
    assert not PLUGIN.matches(tmp_path / "nowhere")
    (tmp_path / "normal").mkdir()
    with pytest.raises(DataError, match="no videos in it"):
        PLUGIN.load(tmp_path)
    assert not PLUGIN.matches(tmp_path)
    touch(tmp_path, "normal/a.mp4")
    with pytest.raises(DataError, match="all 1 videos are normal"):
        PLUGIN.load(tmp_path)
    touch(tmp_path, "anomalous/0001.png")
    with pytest.raises(DataError, match="pictures lie directly in it"):
        PLUGIN.load(tmp_path)


def test_a_table_in_another_encoding_says_so(tmp_path: Path) -> None:
    table(tmp_path, "")
    (tmp_path / "labels.csv").write_bytes("stra\u00dfe.mp4,0\n".encode("latin-1"))
    with pytest.raises(DataError, match="UTF-8"):
        PLUGIN.load(tmp_path)


def test_there_is_no_truth(tmp_path: Path) -> None:
    table(tmp_path, "a.mp4,0\nb.mp4,1\n")
    for name in ("a.mp4", "b.mp4"):
        (tmp_path / name).touch()
    assert PLUGIN.truth(tmp_path) == {}
