import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from wherewhen.core import registry
from wherewhen.core.contracts import DatasetReader, Provenance
from wherewhen.core.diagnostics import KINDS
from wherewhen.core.errors import VideoError
from wherewhen.core.values import Dataset, Fold, Truth, Video
from wherewhen.data_tools.check import Eyes, lint
from wherewhen.video.shot import VideoInfo

SHARED = Path(os.environ.get("WHEREWHEN_SHARED", Path(__file__).parents[2] / "../shared"))
EDGES = np.arange(41) / 10
INFO = VideoInfo(64, 48, 10.0, 40, 4.0, "h264", False)


class World:
    """A small clean data set of four videos, and eyes that see what they are told; a test spoils one thing."""

    def __init__(self, root):
        self.root, self.reader = root, None
        self.videos = {}
        for key, label in (("a1", 1), ("n1", 0), ("a2", 1), ("n2", 0)):
            path = root / ("anomalous" if label else "normal") / f"{key}.mp4"
            self.write(path, f"video {key}")
            self.videos[key] = Video(key, path, label)
        self.sides = (["a1", "n1"], ["a2", "n2"])
        box = [[1.0, 1.1, 0.1, 0.1, 0.2, 0.2]]
        self.truths = {
            key: Truth(EDGES, spans=[[1, 2]], boxes=box) if video.label else Truth(EDGES)
            for key, video in self.videos.items()
        }
        self.counts, self.infos, self.motion = {"train anomalous": 1, "videos": 4, "truth": 4, "boxes": 2}, {}, {}

    def write(self, path, text):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def load(self, root):
        train, test = (tuple(self.videos[key] for key in side) for side in self.sides)
        return Dataset("world", tuple(self.videos.values()), (Fold("only", train, test),))

    def measure(self, path):
        if self.infos.get(path.stem) is None and path.stem in self.infos:
            raise VideoError(path, "damaged")
        return self.infos.get(path.stem, INFO)

    def sample(self, video):
        """Noise before a still background; the noise is the video's own unless ``motion`` says otherwise."""
        seed = self.motion.get(video.id, video.id)
        rng = np.random.default_rng(list(seed.encode()))
        background = np.random.default_rng(0).integers(0, 200, (48, 64, 3))
        for _ in range(6):
            picture = background.copy()
            x, y = rng.integers(0, 48), rng.integers(0, 36)
            picture[y : y + 12, x : x + 16] = 255
            yield picture.astype(np.uint8)

    def find(self):
        own = DatasetReader(Provenance("w"), lambda _: True, self.load, lambda _: dict(self.truths), counts=self.counts)
        return lint(self.root, self.reader or own, Eyes(self.measure, self.sample), deep=True)

    def ucf(self, rows, train="Abuse/Abuse001_x264.mp4\n", frames=300):
        """The reader of UCF-Crime over rows of its annotation."""
        self.reader = registry.load("datasets", "ucf_crime")
        self.write(self.root / "Anomaly_Train.txt", train)
        self.write(self.root / "Anomaly_Test.txt", "Abuse/Abuse028_x264.mp4\n")
        self.write(self.root / "Temporal_Anomaly_Annotation.txt", rows)
        self.write(self.root / "videos.json", json.dumps({"Abuse028_x264": {"frames": frames}} if frames else {}))

    def listed(self, rows):
        """The reader of labels on whole videos."""
        self.reader = registry.load("datasets", "folder")
        self.write(self.root / "labels.csv", rows)

    def among(self, name):
        """The same reader over folders, with another file among the videos."""
        self.reader = registry.load("datasets", "folder")
        self.write(self.root / name, "")

    def classes(self, spans):
        """The reader of XD-Violence, where a second file says what happens in the spans of one video."""
        self.reader, name = registry.load("datasets", "xd_violence"), "riot_label_B4-0-0"
        self.write(self.root / "XD_Annotation.txt", f"{name} 5 20\n")
        self.write(self.root / "annotations_multiclasses.txt", f"{name}.mp4 {spans}\n")
        self.write(self.root / "videos.json", json.dumps({name: {"frames": 40}}))

    def tubes(self, rows):
        """The reader of STRA over rows of a tube file; spans come from the tubes."""
        self.reader = registry.load("datasets", "stra")
        self.write(self.root / "train.txt", "a/a1.mp4 1\nb/n1.mp4 0\n")
        self.write(self.root / "test.txt", "a/a2.mp4 1\n")
        self.write(self.root / "tubes/a2.txt", rows)
        info = {"frames": 40, "fps": 10, "width": 64, "height": 48}
        self.write(self.root / "videos.json", json.dumps({"a2": info}))

    def film(self, **cameras):
        """Name the cameras of videos."""
        for key, camera in cameras.items():
            self.videos[key] = replace(self.videos[key], camera=camera)

    def change(self, key, **what):
        self.truths[key] = replace(self.truths[key], **what)


def move(world, key, path):
    world.videos[key] = replace(world.videos[key], path=path)


def rename(world, old, new, **what):
    world.videos[new] = replace(world.videos.pop(old), id=new, **what)
    world.truths[new] = world.truths.pop(old)
    world.sides = tuple([new if key == old else key for key in side] for side in world.sides)


def broken(world):
    def load(root):
        raise ValueError("fold x: a1 in train and test")

    world.load = load


def copy(world, old, new):
    world.videos[new].path.write_bytes(world.videos[old].path.read_bytes())


def twins(world):
    """A second training video that is the first one again."""
    world.videos["a3"] = Video("a3", world.root / "anomalous/a3.mp4", 1)
    copy(world, "a1", "a3")


ROW = "Abuse028_x264.mp4 Abuse {} -1 -1\n"
SPOIL = {
    "row-malformed": lambda w: w.ucf("Abuse028_x264.mp4 Abuse one two\n"),
    "text-encoding": lambda w: (
        w.ucf(ROW.format("1 9")),
        (w.root / "Anomaly_Test.txt").write_bytes(b"Abuse/Abuse\xff.mp4\n"),
    ),
    "row-blank": lambda w: w.write(w.root / "labels.csv", "anomalous/a1.mp4,1  \n"),
    "column-extra": lambda w: w.listed("path,label,note\nanomalous/a1.mp4,1,x\nnormal/n1.mp4,0,y\n"),
    "split-empty": lambda w: w.listed(
        "path,label,split\nanomalous/a1.mp4,1,train\nnormal/n1.mp4,0,train\nnormal/n2.mp4,0,\n"
    ),
    "cameras": lambda w: w.film(a1="gate", n1="yard"),
    "leak-camera": lambda w: w.film(a1="gate", n1="yard", a2="gate", n2="hall"),
    "passed-over": lambda w: w.among("normal/note.txt"),
    "content-conflict": lambda w: copy(w, "a1", "n1"),
    "unlabelled": lambda w: w.listed("path,label\nanomalous/a1.mp4,1\nanomalous/a2.mp4,1\nnormal/n1.mp4,0\n"),
    "few-videos": lambda w: w.listed("path,label\nanomalous/a1.mp4,1\nnormal/n1.mp4,0\nnormal/n2.mp4,0\n"),
    "row-repeated": lambda w: w.tubes("0,3,1,1,9,9\n0,3,1,1,9,9\n"),
    "path-absolute": lambda w: w.write(w.root / "my.list", "C:\\Users\\me\\Desktop\\a1.mp4\n/home/me/n1.mp4\n"),
    "path-extension": lambda w: w.ucf(ROW.format("1 9"), "Abuse/Abuse001_x264\nAbuse/Abuse002_x264.mp4\n"),
    "name-repeated": lambda w: w.ucf(ROW.format("1 9") * 2),
    "name-variant": lambda w: rename(w, "n2", "N1.avi"),
    "label-conflict": lambda w: w.ucf("Abuse028_x264.mp4 Normal 1 9 -1 -1\n"),
    "length-unknown": lambda w: w.ucf(ROW.format("1 9"), frames=0),
    "length-conflict": lambda w: w.infos.update(a2=replace(INFO, frames=41)),
    "span-malformed": lambda w: w.ucf("Abuse028_x264.mp4 Abuse 5\n"),
    "span-reversed": lambda w: w.ucf(ROW.format("9 5")),
    "span-overlap": lambda w: w.change("a2", spans=[[1, 2], [1.5, 3]]),
    "span-past-end": lambda w: w.change("a2", spans=[[1, 9]]),
    "span-outside": lambda w: w.ucf(ROW.format("400 500")),
    "span-base": lambda w: w.ucf(ROW.format("0 9")),
    "span-end": lambda w: w.ucf(ROW.format("5 301")),
    "span-differs": lambda w: w.classes("B4 5 9"),
    "box-outside": lambda w: w.tubes("0,3,1,1,99,9\n"),
    "box-empty": lambda w: w.tubes("0,3,5,5,5,9\n"),
    "box-past-end": lambda w: w.tubes("0,99,1,1,9,9\n"),
    "box-outside-span": lambda w: w.change("a2", boxes=[[3, 3.1, 0, 0, 1, 1]]),
    "mask-shape": lambda w: w.change("a2", masks=lambda: np.zeros((7, 4, 4), bool)),
    "mask-conflict": lambda w: w.change("a2", masks=lambda: np.ones((40, 4, 4), bool)),
    "unreadable": broken,
    "path-dead": lambda w: w.videos["a1"].path.unlink(),
    "file-empty": lambda w: w.videos["a1"].path.write_text(""),
    "video-unreadable": lambda w: w.infos.update(a1=None),
    "truth-missing": lambda w: w.truths.pop("a2"),
    "truth-extra": lambda w: w.truths.update(stranger=Truth(EDGES)),
    "anomalous-empty": lambda w: w.change("a2", spans=[], boxes=[], track=[]),
    "normal-positive": lambda w: w.change("n2", spans=[[0, 1]]),
    "anomalous-throughout": lambda w: w.change("a2", spans=[[0, 4]]),
    "leak-name": lambda w: rename(w, "n2", "A1.MP4"),
    "leak-content": lambda w: copy(w, "a1", "a2"),
    "leak-near": lambda w: w.motion.update(a2="a1"),
    "content-repeated": twins,
    "one-class": lambda w: setattr(w, "sides", (["n1"], ["a1", "a2", "n2"])),
    "rate-odd": lambda w: w.infos.update(a2=replace(INFO, rate=2.0)),
    "rate-mixed": lambda w: w.infos.update(a2=replace(INFO, rate=25.0)),
    "rate-conflict": lambda w: w.infos.update(a2=replace(INFO, rate=12.5)),
    "size-mixed": lambda w: w.infos.update(a2=replace(INFO, width=32)),
    "count-mismatch": lambda w: w.counts.update(videos=5),
}


def test_every_kind_of_finding_has_a_planted_fault():
    measured = {"names-unknown", "measure-differs", "label-doubtful"}
    assert set(SPOIL) | measured == set(KINDS), "these are found where videos are measured or scored"
    assert len(KINDS) >= 25


def test_a_clean_set_has_no_finding(tmp_path):
    assert World(tmp_path).find() == []


@pytest.mark.parametrize("kind", SPOIL)
def test_a_planted_fault_is_found(tmp_path, kind):
    world = World(tmp_path)
    SPOIL[kind](world)
    found = world.find()
    assert kind in {finding.kind for finding in found}
    told = next(finding for finding in found if finding.kind == kind)
    assert told.severity == KINDS[kind][0] and told.message
    assert len({(f.kind, f.video, f.where) for f in found}) == len(found), "nothing is said twice"


ALONE = set(KINDS) & {
    *("row-blank", "path-absolute", "length-conflict", "span-overlap", "span-past-end", "box-outside-span"),
    *("mask-shape", "mask-conflict", "path-dead", "file-empty", "video-unreadable", "truth-extra", "normal-positive"),
    *("anomalous-throughout", "leak-near", "size-mixed", "count-mismatch", "unreadable"),
}


@pytest.mark.parametrize("kind", sorted(ALONE))
def test_one_fault_gives_one_kind(tmp_path, kind):
    world = World(tmp_path)
    world.counts = {} if kind != "count-mismatch" else world.counts
    SPOIL[kind](world)
    assert {finding.kind for finding in world.find()} == {kind}


def test_many_faults_are_told_at_once_and_the_gravest_first(tmp_path):
    world = World(tmp_path)
    rows = ["Abuse028_x264.mp4 Abuse 9 5 0 400  ", "Robbery001_x264.mp4 Robbery x", "Abuse028_x264.mp4 Abuse 1 2"]
    world.ucf("\n".join(rows), "Abuse/Abuse028_x264.mp4\nC:\\x\\Arson001_x264\nAbuse/abuse028_X264.mp4\n")
    found = world.find()
    ranks = [("error", "warning", "info").index(finding.severity) for finding in found]
    assert ranks == sorted(ranks)
    expected = {
        "span-reversed",
        "span-base",
        "span-past-end",
        "row-malformed",
        "row-blank",
        "name-repeated",
        "leak-name",
    }
    assert expected | {"path-absolute", "path-dead", "path-extension"} <= {finding.kind for finding in found}


def test_parts_of_one_file_leak_only_where_they_overlap(tmp_path):
    world = World(tmp_path)
    path = world.videos["n1"].path
    world.videos["n1"] = replace(world.videos["n1"], span=(0.0, 2.0))
    world.videos["n2"] = replace(world.videos["n2"], path=path, span=(2.0, 4.0))
    assert world.find() == []
    world.videos["n2"] = replace(world.videos["n2"], span=(1.9, 4.0))
    assert [finding.kind for finding in world.find()] == ["leak-content"]


def test_folders_are_labels_too(tmp_path):
    world = World(tmp_path)
    (tmp_path / "normal/a2.mp4").write_text("video a2")
    move(world, "a2", tmp_path / "normal/a2.mp4")
    assert [finding.kind for finding in world.find()] == ["label-conflict"]


def test_many_dead_paths_are_one_finding(tmp_path):
    world = World(tmp_path)
    for number in range(30):
        world.videos[f"x{number}"] = Video(f"x{number}", tmp_path / f"{number}.mp4", 0)
    world.counts = {}
    [found] = world.find()
    assert found.kind == "path-dead" and found.message.startswith("30 videos, the first is x0")


@pytest.mark.parametrize("name", ["ped2", "avenue6"])
def test_real_sets_are_clean(name):
    root = SHARED / "data" / name
    if not root.is_dir():
        pytest.skip(f"needs the real clips in {root} (WHEREWHEN_SHARED)")
    found = lint(root, registry.load("datasets", "native"), Eyes.open())
    kinds = {(finding.severity, finding.kind) for finding in found}
    # some clips are anomalous from end to end, and avenue6 lists two long clips only in parts
    assert kinds <= {("info", "anomalous-throughout"), ("info", "truth-extra")}
    throughout = {"ped2": 4, "avenue6": 2}
    assert sum(finding.kind == "anomalous-throughout" for finding in found) == throughout[name]


def test_the_drawn_world_is_clean(tmp_path):
    from wherewhen.datasets import toy
    from wherewhen.video.writer import Writer

    def write(path, pictures, rate):
        with Writer(path, rate) as file:
            for picture in pictures:
                file.write(picture)

    small = toy.Toy(clips_normal=4, clips_anomalous=4, seconds=4, width=96, height=72, rate=5)
    toy.generate(tmp_path / "toy", small, write)
    assert lint(tmp_path / "toy", registry.load("datasets", "toy"), Eyes.open(), deep=True) == []


@pytest.mark.parametrize(
    ("rate", "frames", "found"),
    [
        (10.0, 40, set()),
        (10.01, 40, set()),  # a thousandth off: 4 ms at the end
        (9.99, 40, set()),
        (10.2, 40, {"rate-conflict", "rate-mixed"}),
        (30.0, 40, {"rate-conflict", "rate-mixed"}),
        (10.0, 39, {"length-conflict"}),
    ],
)
def test_the_clock_of_the_truth_is_held_against_the_videos(tmp_path, rate, frames, found):
    world = World(tmp_path)
    world.infos.update(a2=replace(INFO, rate=rate, frames=frames))
    assert {finding.kind for finding in world.find()} == found


def test_a_slow_drift_is_told_once_it_is_half_a_second(tmp_path):
    world = World(tmp_path)
    world.infos.update(a2=replace(INFO, rate=10.01, frames=6000), n2=replace(INFO, rate=10.01, frames=4000))
    for key, frames in (("a2", 6000), ("n2", 4000)):
        spans = [[1, 2]] if key == "a2" else []
        world.truths[key] = Truth(np.arange(frames + 1) / 10, spans=spans)
    told = [f for f in world.find() if f.kind == "rate-conflict"]
    assert [f.video for f in told] == ["a2"] and "times are off by up to 0.60 s" in told[0].message


def test_rates_of_many_cameras_are_one_note_and_no_fault(tmp_path):
    world = World(tmp_path)
    world.truths.clear()
    world.counts = {}
    world.infos.update(a1=replace(INFO, rate=29.97), n1=replace(INFO, rate=30.0), a2=replace(INFO, rate=29.97))
    world.infos["n2"] = replace(INFO, rate=29.97)
    assert world.find() == []
    world.infos["n2"] = replace(INFO, rate=12.5)
    (told,) = world.find()
    assert (told.kind, told.severity) == ("rate-mixed", "info")
    assert told.message == "3 frame rates: 29.97 (2), 30 (1), 12.5 (1)"


# --- what is printed


def test_what_is_printed_says_each_kind_once_and_cuts_nothing(tmp_path, natives, capsys):
    import shutil

    from wherewhen import cli

    root = tmp_path / ("a folder with a long name " * 4)
    shutil.copytree(natives, root)
    gt = json.loads((root / "gt.json").read_text())
    for clip in gt.values():
        clip["fps"] = 25
    (root / "gt.json").write_text(json.dumps(gt))
    assert cli.main(["data", "check", str(root), "--examples", "2"]) == 1
    told = capsys.readouterr().out.splitlines()
    assert told[0] == "4 errors, 0 warnings, 0 notes"
    assert told[2].startswith("error: rate-conflict (4): truth and video have different frame rates")
    assert told[3] == "  a0: the truth counts 25 frames per second, the video has 12.5: times are off by up to 1.00 s"
    assert told[5] == "  and 2 more"
    assert cli.main(["data", "check", str(root), "--json"]) == 1
    assert len(json.loads(capsys.readouterr().out)) == 4
    assert cli.main(["data", "truth", str(root)]) == 0
    head, *rows = capsys.readouterr().out.splitlines()
    assert head.split() == ["video", "frames", "anomalous", "spans", "boxes"]
    assert ["a0", "25", "12", "1", "12"] in [row.split() for row in rows]
