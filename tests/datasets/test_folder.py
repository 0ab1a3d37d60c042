from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wherewhen import datasets
from wherewhen.core.diagnostics import listening
from wherewhen.core.errors import ConfigError, DataError, WherewhenError
from wherewhen.datasets import Folders
from wherewhen.datasets.folder import PLUGIN


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
        ("path,label\na.mp4,0\n./a.mp4,1\n", r"line 3: a\.mp4 is anomalous here and normal in line 2"),
        ("path,label\na.mp4,0\nb.mp4,0\n", r"all 2 videos are normal; learning needs anomalous"),
        ("path,label\na.mp4,1\n", r"all 1 videos are anomalous; learning needs normal"),
        ("path,label,clas\na.mp4,0,\n", r"line 1: unknown column 'clas'; did you mean 'class'"),
        ("path,class\na.mp4,x\n", r"line 1: expected a header with path and label"),
        ("path,label\n", r"labels\.csv: no videos"),
        ("", r"labels\.csv: no videos"),
        ("path,label\na.mp4\n", r"line 2: expected path,label, got 1 cells"),
        ("a.mp4,0,x,y\n", r"line 1: expected path,label,class, got 4 cells"),
        ("path,label,class\na.mp4,0,fight\n", r"line 2: a normal video can't have the class 'fight'"),
        ("path,label\nsub,0\n", r"line 2: .*sub is a folder without pictures"),
        ("path,label\nlabels.csv,0\n", r"line 2: .*labels\.csv is not a video file"),
        ("path,label\n,0\n", r"line 2: no path"),
        ("path,label\na.mp4,\n", r"line 2: no label"),
        ("path,label\na.mp4,0.5\n", r"line 2: unknown label '0\.5'"),
        (
            "path,label,class\na.mp4,1,x\na.mp4,1,y\n",
            r"line 3: a\.mp4 is anomalous, 'y' here and anomalous, 'x' in line 2",
        ),
        ("file,label\na.mp4,0\n", r"line 1: expected a header with path and label .*got 'file,label'"),
        ("path,label,path\na.mp4,0,b\n", r"line 1: two columns are called path"),
        ("path,label\nA.mp4,0\n", r"line 2: no such video: A\.mp4 in .*; did you mean a\.mp4\?"),
        ("path,label,split\na.mp4,0,tran\nb.mp4,1,test\n", r"line 2: unknown split 'tran'"),
        ("path,label,start,end\na.mp4,0,1,\n", r"line 2: expected seconds in both start and end.* got '1' and ''"),
        ("path,label,start,end\na.mp4,0,3,2\n", r"line 2: expected seconds in both start and end"),
        ("path,label,start,end\na.mp4,0,0,inf\n", r"line 2: expected seconds in both start and end"),
        ("path,label,start,end\na.mp4,0,a,b\n", r"line 2: expected seconds in both start and end"),
        ("path,label,start,end\na.mp4,0,0,2\na.mp4,1,0,2\n", r"line 3: a\.mp4 is anomalous here and normal in line 2"),
        ("path,label,split\na.mp4,0,test\nb.mp4,1,test\n", r"labels\.csv: column split: train has no videos"),
        ("path,label,split\na.mp4,0,train\nb.mp4,1,test\n", r"labels\.csv: column split: train has normal videos only"),
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
    with pytest.raises(DataError, match="pictures are directly in it"):
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


# --- tables that people really have


@pytest.mark.parametrize(("word", "label"), [("0", 0), ("0.0", 0), ("1.", 1), ("1.000", 1), ("True", 1), ("FALSE", 0)])
def test_labels_as_other_programs_write_them(tmp_path: Path, word: str, label: int) -> None:
    table(tmp_path, f"path,label\na.mp4,{word}\nb.mp4,{1 - label}\n")
    assert rows(tmp_path)[0] == ("a", label, None)


def test_columns_that_nobody_reads_are_named_once(tmp_path: Path) -> None:
    table(tmp_path, ",path,label,site,notes\n0,a.mp4,0,gate,\n1,b.mp4,1,yard,rain\n2,sub/c.avi,1,yard,\n,frames,1,,\n")
    with listening() as found:
        assert rows(tmp_path) == [("a", 0, None), ("b", 1, None), ("sub/c", 1, None), ("frames", 1, None)]
    assert [(one.kind, one.severity) for one in found] == [("column-extra", "warning")]
    assert "one without a name, 'site', 'notes'" in found[0].message and "labels.csv: line 1" in found[0].where


def test_a_row_that_stands_twice_counts_once(tmp_path: Path) -> None:
    table(tmp_path, "path,label\na.mp4,0\nb.mp4,1\n./a.mp4,normal\nsub/c.avi,1\nframes,1\n")
    with listening() as found:
        assert [one[0] for one in rows(tmp_path)] == ["a", "b", "sub/c", "frames"]
    assert [str(one) for one in found] == [f"{tmp_path}/labels.csv: line 4: a.mp4: repeats line 2 [name-repeated]"]


SPLIT = "path,label,split\na.mp4,0,Train\nb.mp4,1,training\nsub/c.avi,1,test\nframes,0,val\nd.mp4,1,valid\ne.mp4,0,\n"


def test_a_column_split_is_a_fold(tmp_path: Path) -> None:
    touch(tmp_path, "d.mp4", "e.mp4")
    with listening() as found:
        dataset = PLUGIN.load(table(tmp_path, SPLIT))
    assert [(one.kind, one.message[:10]) for one in found] == [("split-empty", "1 of 6 vid")]
    (fold,) = dataset.folds
    assert [v.id for v in fold.train] == ["a", "b", "frames", "d"]
    assert fold.validation == ("frames", "d") and [v.id for v in fold.test] == ["sub/c"]
    learn, validation = datasets.training_videos(dataset)
    assert [v.id for v in learn] == ["a", "b", "frames", "d"] and validation == ("frames", "d")
    assert [v.id for v in datasets.evaluation_videos(dataset)] == ["sub/c"]
    assert len(datasets.training_videos(dataset, "all")[0]) == len(datasets.evaluation_videos(dataset, "all")) == 6
    with pytest.raises(ConfigError, match=r"unknown fold 'seed0'\. Known: all, split"):
        datasets.training_videos(dataset, "seed0")


def test_encodings_that_say_what_they_are(tmp_path: Path) -> None:
    table(tmp_path, "")
    touch(tmp_path, "straße.mp4")
    text = "path\tlabel\r\nstraße.mp4\t0\r\nb.mp4\t1\r\n"
    for encoding in ("utf-8", "utf-8-sig", "utf-16"):
        (tmp_path / "labels.csv").write_bytes(text.encode(encoding))
        assert rows(tmp_path)[0][0] == "straße"
    (tmp_path / "labels.csv").write_bytes(text.replace("\r\n", "\r").encode())
    assert rows(tmp_path)[0][0] == "straße"


HOSTILE: dict[str, tuple[bytes, str]] = {
    "long name": (b"path,label\na.mp4,0\n" + b"x" * 300 + b".mp4,1\n", "line 3: no such video"),
    "long cell": (b"path,label\na.mp4,0\n" + b"x" * 200_000 + b",1\n", "line 3: a cell of more than"),
    "long label": (b"path,label\na.mp4," + b"y" * 100_000 + b"\n", "line 2: unknown label"),
    "zero": (b"path,label\na.mp4,0\nb\0.mp4,1\n", "line 3: holds a byte of value 0"),
    "open quote": (b'path,label\na.mp4,0\n"b.mp4,1\nsub/c.avi,1\n', "line 3: the quote .* has no end"),
    "odd quote": (b'path,label\n"a".mp4,0\n', "line 2: not a row of a table"),
    "latin": ("path,label\na.mp4,0\nstraße.mp4,1\n".encode("latin-1"), "line 3: not UTF-8 text"),
    "cut utf-16": ("path,label\na.mp4,0\n".encode("utf-16")[:-1], "not UTF-16 text"),
    "bare utf-16": ("path,label\na.mp4,0\n".encode("utf-16-le"), "line 1: holds a byte of value 0"),
    "spreadsheet": (b"PK\x03\x04" + bytes(range(256)), "a spreadsheet or archive"),
    "video": (b"\x00\x00\x00\x20ftypisom" + bytes(range(256)), "line 1: holds a byte of value 0"),
    "escape": (b"path,label\n\x1b[31mred\x07.mp4,0\n", r"line 2: no such video: '\\x1b\[31mred\\x07.mp4'"),
    "newline": (b'path,label\n"a\n.mp4",0\n', r"line 2: no such video: 'a\\n.mp4'"),
    "line after a quoted one": (b'path,label,class\na.mp4,1,"x\ny"\nz.mp4,0,\n', "line 4: no such video"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_no_table_is_refused_in_one_line_that_names_file_and_row(tmp_path: Path, name: str) -> None:
    table(tmp_path, "")
    content, says = HOSTILE[name]
    (tmp_path / "labels.csv").write_bytes(content)
    with pytest.raises(DataError, match=says) as error:
        PLUGIN.load(tmp_path)
    told = str(error.value)
    assert told.startswith(f"{tmp_path}/labels.csv: ") and told.isprintable() and len(told) < 500


def test_a_table_that_is_no_file_is_no_reason_to_take_folders(tmp_path: Path) -> None:
    touch(tmp_path, "normal/a.mp4", "anomalous/b.mp4")
    (tmp_path / "labels.csv").mkdir()
    assert PLUGIN.matches(tmp_path)
    with pytest.raises(DataError, match=r"labels\.csv: expected a file with a table, found a folder"):
        PLUGIN.load(tmp_path)


names = st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=20)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(names, st.booleans()), min_size=1, max_size=6, unique_by=lambda one: one[0].strip().lower()))
def test_names_of_any_characters_come_back(
    tmp_path_factory: pytest.TempPathFactory, given: list[tuple[str, bool]]
) -> None:
    import csv

    root = tmp_path_factory.mktemp("names")
    kept = []
    for name, label in [*given, ("zero", False), ("one", True)]:
        path = f"v{name}w.mp4"  # a name of a file; blanks at its ends and '..' are told apart elsewhere
        try:
            (root / path).touch()
        except OSError:
            continue
        kept.append((path, int(label)))
    with (root / "labels.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("path", "label"), *kept])
    assert [(v.path.name, v.label) for v in PLUGIN.load(root).videos] == kept


def test_no_damage_to_a_table_gives_anything_but_videos_or_an_error_of_ours(tmp_path: Path) -> None:
    table(tmp_path, "")
    lines = (
        "path,label,class,split",
        '"a.mp4",0,,train',
        'b.mp4,1.0,"x, y",train',
        "sub/c.avi,1,fight,test",
        "frames,0,,test",
    )
    whole = "\r\n".join(lines).encode()
    rng, pieces = (
        Random(0),
        [b'"', b",", b"\n", b"\r", b"\0", b"\xff", b"../", b"/", b";", b"\t", b"1", b"\xef\xbb\xbf", b"nan", b" "],
    )
    read = 0
    for _ in range(400):
        content = bytearray(whole)
        for _ in range(rng.randint(1, 4)):
            at = rng.randrange(len(content))
            content[at : at + rng.choice((0, 1, 1, 8))] = rng.choice(pieces) * rng.choice((1, 1, 2))
        (tmp_path / "labels.csv").write_bytes(content)
        try:
            with listening():
                read += len(PLUGIN.load(tmp_path).videos) > 0
        except DataError as error:
            assert str(tmp_path) in str(error) and str(error).isprintable(), content
    assert 20 < read < 380


# --- folders with names of one's own


def test_folders_may_have_names_of_their_own(tmp_path: Path) -> None:
    touch(tmp_path, "noFight/a.mp4", "fight/b.mp4", "fight/night/c.mp4", "fall/d.mp4", "notes/e.txt")
    with pytest.raises(
        DataError, match=r"Folders in it: fall, fight, noFight, notes\..*--normal NAME --anomalous NAME"
    ):
        datasets.reader_of(tmp_path)
    reader = datasets.reader_of(tmp_path, folders=Folders.of("noFight", "fight, fall/"))
    assert [(v.id, v.label, v.category) for v in reader.load(tmp_path).videos] == [
        ("noFight/a", 0, None),
        ("fight/b", 1, "fight"),
        ("fight/night/c", 1, "night"),
        ("fall/d", 1, "fall"),
    ]
    assert reader.truth(tmp_path) == {}
    touch(tmp_path, "abnormal/f.mp4")
    reader = datasets.reader_of(tmp_path, folders=Folders.of("noFight", "abnormal"))
    assert [v.category for v in reader.load(tmp_path).videos] == [None, None], "a word for a label names no class"


@pytest.mark.parametrize(
    ("normal", "anomalous", "says"),
    [
        ("noFights", "fight", r"no folder noFights in it; did you mean noFight\? Folders in it: fight, noFight"),
        ("nofight", "fight", r"no folder nofight in it; did you mean noFight\?"),
        ("noFight", "a.mp4", r"no folder a\.mp4 in it"),
        ("noFight", None, "--anomalous: name a folder; --normal and --anomalous are given together"),
        ("noFight", ",", "--anomalous: name a folder"),
        ("noFight", "noFight", "noFight and noFight contain each other"),
        ("noFight", "fight,fight/night", "contain each other"),
        ("noFight", "../fight", "is not the name of a folder inside the data"),
        ("/data", "fight", "is not the name of a folder inside the data"),
        ("noFight", "fight/empty", r"fight/empty: no videos in it, so there is nothing anomalous"),
    ],
)
def test_folders_that_are_not_there_are_told(tmp_path: Path, normal: str, anomalous: str | None, says: str) -> None:
    touch(tmp_path, "noFight/a.mp4", "fight/night/c.mp4", "a.mp4", "fight/empty/notes.txt")
    with pytest.raises(WherewhenError, match=says):
        datasets.reader_of(tmp_path, folders=Folders.of(normal, anomalous)).load(tmp_path)


def test_names_of_folders_are_refused_where_labels_come_from_elsewhere(natives: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"--normal and --anomalous have no effect.*--reader folder"):
        datasets.reader_of(natives, folders=Folders.of("a", "b"))
    table(tmp_path, "a.mp4,0\nb.mp4,1\n")
    with pytest.raises(ConfigError, match=r"labels\.csv: the table has the labels"):
        datasets.reader_of(tmp_path, folders=Folders.of("sub", "frames")).load(tmp_path)


# --- what lies in folders


def make_pictures(root: Path) -> None:
    touch(root, "anomalous/b.mp4", "anomalous/b.jpg", "anomalous/clip/0001.png", "anomalous/clip/0002.png")


def make_links(root: Path) -> None:
    touch(root, "elsewhere/c.mp4", "anomalous/b.mp4")
    (root / "anomalous" / "linked").symlink_to(root / "elsewhere")
    (root / "anomalous" / "circle").symlink_to(root / "anomalous")


@pytest.mark.parametrize(
    ("make", "found"),
    [
        (make_pictures, ["anomalous/b", "anomalous/clip"]),
        (make_links, ["anomalous/b", "anomalous/linked/c"]),
    ],
)
def test_videos_beside_pictures_and_behind_links_are_found(
    tmp_path: Path, make: Callable[[Path], None], found: list[str]
) -> None:
    touch(tmp_path, "normal/a.mp4")
    make(tmp_path)
    assert [v.id for v in PLUGIN.load(tmp_path).videos if v.label] == found


def test_an_empty_class_folder_is_told_by_its_name(tmp_path: Path) -> None:
    touch(tmp_path, "normal/a.mp4", "anomalous/notes.txt")
    with pytest.raises(DataError, match=r"anomalous: no videos in it, so there is nothing anomalous"):
        PLUGIN.load(tmp_path)


def test_what_is_passed_over_is_found_with_the_reason(tmp_path: Path) -> None:
    root = tmp_path
    touch(root, "normal/a.mp4", "anomalous/b.gif")
    (root / "normal" / "gone.mp4").symlink_to("nowhere.mp4")
    (root / "normal" / "note.txt").touch()
    with listening() as found:
        assert rows(root) == [("anomalous/b", 1, None), ("normal/a", 0, None)]
    told = [finding for finding in found if finding.kind == "passed-over"]
    assert len(told) == 1 and told[0].where == str(root / "normal")
    assert "note.txt" in told[0].message and "1 broken link (gone.mp4)" in told[0].message


def test_videos_that_no_label_reaches_are_told(tmp_path: Path) -> None:
    touch(tmp_path, "normal/a.mp4", "anomalous/b.mp4", "suspicious/c.mp4", "d.mp4", "frames/0001.png", "notes/e.txt")
    with listening() as found:
        assert len(rows(tmp_path)) == 2
    (told,) = found
    assert (told.kind, told.severity, told.where) == ("unlabelled", "warning", str(tmp_path))
    assert told.message == "3 videos without a label: d.mp4, frames, suspicious/c.mp4"
    (tmp_path / "labels.csv").write_text("frames,0\nd.mp4,1\n./suspicious//c.mp4,1\n")
    with listening() as found:
        assert len(rows(tmp_path)) == 3
    assert [one.message for one in found] == ["2 videos without a label: anomalous/b.mp4, normal/a.mp4"]


def test_a_column_names_the_camera(tmp_path: Path) -> None:
    table(tmp_path, "path,label,camera\na.mp4,0,gate\nb.mp4,1,\nsub/c.avi,1,gate\n")
    assert [video.camera for video in PLUGIN.load(tmp_path).videos] == ["gate", None, "gate"]


def test_one_video_has_one_camera(tmp_path: Path) -> None:
    table(tmp_path, "path,label,camera\na.mp4,0,gate\na.mp4,0,yard\nb.mp4,1,gate\n")
    message = r"line 3: a\.mp4 is normal, camera 'yard' here and normal, camera 'gate' in line 2"
    with pytest.raises(DataError, match=message):
        PLUGIN.load(tmp_path)
