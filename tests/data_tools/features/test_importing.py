"""Features of others' making: every layout as it is described, hostile files, labels, times, places, and a model."""

from __future__ import annotations

import json
import pickle
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from wherewhen import cli, datasets
from wherewhen.api import evaluation, runs
from wherewhen.backbones.imported import Imported, ImportedConfig
from wherewhen.core.errors import ConfigError, DataError, StoreError
from wherewhen.core.feature_file import open_features
from wherewhen.core.values import Features
from wherewhen.data_tools.features.importing import Known, bring, labels_of
from wherewhen.data_tools.features.layouts import LAYOUTS, gathered, places, recognized

WHOLE = [0.0, 0.0, 1.0, 1.0]


def values(seed: int, steps: int = 6, crops: int = 10, length: int = 8) -> Features:
    return np.random.default_rng(seed).normal(size=(steps, crops, length)).astype(np.float32)


def write(folder: Path, layout: str, name: str, array: Features) -> None:
    """Write ``(T, P, D)`` as a layout has it."""
    folder.mkdir(parents=True, exist_ok=True)
    if layout == "rtfm":
        np.save(folder / f"{name}_i3d.npy", array)
    elif layout == "sultani":
        np.savetxt(folder / f"{name}.txt", array[:, 0], fmt="%.9g")
    else:
        for crop in range(array.shape[1]):
            np.save(folder / f"{name}__{crop}.npy", array[:, crop])


SIZES = {"rtfm": (6, 10, 8), "deepmil": (6, 10, 8), "vadclip": (6, 10, 512), "xd5": (6, 5, 8), "sultani": (32, 1, 16)}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_comes_back_clip_by_clip_and_crop_by_crop(layout: str, tmp_path: Path) -> None:
    arrays = {f"v{k}": values(k, *SIZES[layout]) for k in range(2)}
    for name, array in arrays.items():
        write(tmp_path / "in", layout, name, array)
    assert recognized(tmp_path / "in", gathered(tmp_path / "in")) == layout
    found = bring(tmp_path / "in", tmp_path / "store")
    assert (found.layout, found.videos, found.time) == (layout, 2, "relative")
    for path in sorted((tmp_path / "store").rglob("*.safetensors")):
        seen = open_features(path).instances()
        array = arrays[path.stem.removesuffix("_i3d")]
        np.testing.assert_array_equal(seen.features, array.reshape(-1, array.shape[-1]))
        steps, crops, _ = array.shape
        for row in range(steps * crops):
            begin, end = row // crops / steps, (row // crops + 1) / steps
            assert seen.extents[row, :2] == pytest.approx([begin, end])
        assert seen.shape == ((steps, 1, 1) if crops == 1 else None)


def test_text_of_one_crop_is_read(tmp_path: Path) -> None:
    array = values(0)
    (tmp_path / "in").mkdir()
    for crop in range(10):
        np.savetxt(tmp_path / "in" / f"v__{crop}.txt", array[:, crop], fmt="%.9g", delimiter=",")
    bring(tmp_path / "in", tmp_path / "store", "deepmil")
    (path,) = (tmp_path / "store").rglob("*.safetensors")
    np.testing.assert_array_equal(open_features(path).instances().features, array.reshape(-1, 8))


def test_places_of_crops() -> None:
    wide, high = 224 / 340, 224 / 256
    left, right, top, bottom = (0, wide), (1 - wide, 1), (0, high), (1 - high, 1)
    middle = ((1 - wide) / 2, (1 + wide) / 2), ((1 - high) / 2, (1 + high) / 2)
    corners = [(left, top), (right, top), (left, bottom), (right, bottom)]
    twins = [(right, top), (left, top), (right, bottom), (left, bottom), middle]  # cut after mirroring
    wanted = {"corners-first": [*corners, middle, *twins], "center-first": [middle, *corners] * 2}
    for order, boxes in wanted.items():
        flat = [(x[0], y[0], x[1], y[1]) for x, y in boxes]
        np.testing.assert_allclose(places(10, order, (wide, high)), flat)
        np.testing.assert_allclose(places(5, order, (wide, high)), flat[:5])
    assert places(10, "unknown", (wide, high)) == places(10, "corners-first", None) == [tuple(WHOLE)] * 10


def test_places_follow_from_the_size_of_the_videos(tmp_path: Path) -> None:
    write(tmp_path / "in", "rtfm", "v", values(0))
    bring(tmp_path / "in", tmp_path / "a", metadata=Known(size=(320, 240)))
    (path,) = (tmp_path / "a").rglob("*.safetensors")
    boxes = open_features(path).instances().extents[:10, 2:]
    np.testing.assert_allclose(boxes[0], [0, 0, 224 / 256 * 240 / 320, 224 / 256])
    np.testing.assert_allclose(boxes[5], boxes[1])
    found = bring(tmp_path / "in", tmp_path / "b", metadata=Known(size=(320, 240), crop_order="unknown"))
    assert not found.placed and "counts as the whole picture" in "\n".join(found.lines("b"))


def test_times_by_rate_and_by_length(tmp_path: Path) -> None:
    write(tmp_path / "in", "rtfm", "v", values(0))
    bring(tmp_path / "in", tmp_path / "a", metadata=Known(frames=16, stride=8, rate=25))
    (path,) = (tmp_path / "a").rglob("*.safetensors")
    file = open_features(path)
    borders = [0, *(8 * k + 4 for k in range(1, 6)), 56]  # clips that overlap share what both show
    np.testing.assert_allclose(file.times[::10] * 25, np.stack([borders[:-1], borders[1:]], 1))
    assert len(file.clock) == 5 * 8 + 16 + 1
    (tmp_path / "labels.csv").write_text("path,label,seconds\nsome/v.mp4,1,12\n")
    found = bring(tmp_path / "in", tmp_path / "b", labels=labels_of(tmp_path / "labels.csv"))
    (path,) = (tmp_path / "b").rglob("*.safetensors")
    np.testing.assert_allclose(open_features(path).times[::10], [[2 * k, 2 * k + 2] for k in range(6)])
    assert found.time == "seconds"
    write(tmp_path / "in", "rtfm", "w", values(1))
    found = bring(tmp_path / "in", tmp_path / "c", labels=labels_of(tmp_path / "labels.csv"))
    assert found.videos == 1 and "its length is unknown" in next(iter(found.quarantine.reasons.values()))


def test_the_passport_says_unknown_and_never_guesses(tmp_path: Path) -> None:
    write(tmp_path / "in", "deepmil", "v", values(0))
    bring(tmp_path / "in", tmp_path / "store")
    (path,) = (tmp_path / "store").rglob("*.safetensors")
    made = open_features(path).passport["made"]
    told = made["imported"]
    assert made["backbone"] == "imported" and made["crops"] == 10
    assert (told["backbone"], told["crop_order"], told["time"]) == ("unknown", "unknown", "relative")
    assert told["frames"] is told["rate"] is told["stride"] is None and told["length"] == 8


def hostile(folder: Path) -> dict[str, str]:
    """Files that are no features, and a word of the reason that each must get."""
    folder.mkdir(exist_ok=True)
    np.save(folder / "object.npy", np.array([{"a": 1}, None], object), allow_pickle=True)
    (folder / "pickle.npy").write_bytes(pickle.dumps([1, 2]))
    (folder / "empty.npy").write_bytes(b"")
    np.save(folder / "nan.npy", np.full((6, 10, 8), np.nan, np.float32))
    np.save(folder / "large.npy", np.full((6, 10, 8), 1e300))
    np.save(folder / "words.npy", np.full((6, 10, 8), "x"))
    np.save(folder / "short.npy", values(0, length=4))
    np.save(folder / "flat.npy", np.zeros(8, np.float32))
    whole = (folder / "short.npy").read_bytes()
    (folder / "cut.npy").write_bytes(whole[:-20])
    (folder / "huge.npy").write_bytes(whole.replace(b"(6, 10, 4)", b"(9**9, 9,)"[:10]))
    np.savez(folder / "zip.npz", a=values(0))
    (folder / "zip.npz").rename(folder / "zip.npy")
    (folder / "text.txt").write_text("1 2\n3 four\n")
    names = ("object", "pickle", "empty", "cut", "huge", "zip")
    reasons = dict.fromkeys((f"{name}.npy" for name in names), "not a readable npy file")
    return reasons | {
        "nan.npy": "not finite", "large.npy": "not finite", "words.npy": "expected numbers",
        "short.npy": "most have", "flat.npy": "expected (T, crops, D)", "text.txt": "not numbers",
    }  # fmt: skip


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_hostile_and_corrupt_files_are_set_aside_with_the_reason(tmp_path: Path) -> None:
    for k in range(3):
        write(tmp_path / "in", "rtfm", f"v{k}", values(k))
    reasons = hostile(tmp_path / "in")
    found = bring(tmp_path / "in", tmp_path / "store", "rtfm")
    told = {row["path"]: row["reason"] for row in json.loads((tmp_path / "store" / "quarantine.json").read_text())}
    assert found.videos == 3 and {Path(path).name for path in told} == set(reasons)
    for path, reason in told.items():
        assert reasons[Path(path).name] in reason, (path, reason)


def test_crops_that_lack_or_differ_are_set_aside(tmp_path: Path) -> None:
    for name in ("whole", "lacks", "differs"):
        write(tmp_path / "in", "deepmil", name, values(1))
    (tmp_path / "in" / "lacks__3.npy").unlink()
    np.save(tmp_path / "in" / "differs__3.npy", np.zeros((5, 8), np.float32))
    found = bring(tmp_path / "in", tmp_path / "store", "deepmil")
    assert found.videos == 1
    told = sorted(found.quarantine.reasons.values())
    assert told[0].startswith("expected crops __0 to __9; lacks 3") and told[1].startswith("its crops differ in size")


def test_labels(tmp_path: Path) -> None:
    for name in ("Normal_Videos_1_x264", "Abuse001_x264"):
        write(tmp_path / "in" / "sub", "rtfm", name, values(2))
    assert bring(tmp_path / "in", tmp_path / "a").unlabelled == 2, "names decide nothing unless asked for"
    bring(tmp_path / "in", tmp_path / "b", from_name=True)
    videos = datasets.reader_of(tmp_path / "b").load(tmp_path / "b").videos
    assert {(v.label, v.category) for v in videos} == {(0, None), (1, "Abuse")}
    table = tmp_path / "labels.csv"
    table.write_text(
        "path,label,class,split\nx/Normal_Videos_1_x264.mp4,normal,,train\nAbuse001_x264.mp4,anomalous,hit,test\n"
    )
    bring(tmp_path / "in", tmp_path / "c", labels=labels_of(table))
    dataset = datasets.reader_of(tmp_path / "c").load(tmp_path / "c")
    (fold,) = dataset.folds
    assert [v.category for v in fold.test] == ["hit"] and [v.label for v in fold.train] == [0]
    for broken, word in (
        ("a,b\n", "expected a header"),
        ("path,label\nx.mp4,2\n", "label"),
        ("path,label\n,1\n", "no path"),
    ):
        table.write_text(broken)
        with pytest.raises(DataError, match=word):
            labels_of(table)
    table.write_text("path,label\na/x.mp4,1\nb/x.mp4,0\n")
    with pytest.raises(DataError, match="two videos are called x"):
        labels_of(table)


def test_the_same_again_is_kept_and_other_features_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "in", "rtfm", "v", values(0))
    bring(tmp_path / "in", tmp_path / "store")
    assert bring(tmp_path / "in", tmp_path / "store").existing == 1
    write(tmp_path / "in", "rtfm", "v", values(1))
    with pytest.raises(StoreError, match="holds other features of a video called v"):
        bring(tmp_path / "in", tmp_path / "store")


def test_what_cannot_be_is_told(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    with pytest.raises(DataError, match="found none"):
        bring(tmp_path / "in", tmp_path / "store")
    with pytest.raises(DataError, match="no such file or folder"):
        bring(tmp_path / "gone", tmp_path / "store")
    write(tmp_path / "in", "rtfm", "v", values(0))
    with pytest.raises(ConfigError, match="unknown layout 'rtmf'; did you mean 'rtfm'"):
        bring(tmp_path / "in", tmp_path / "store", "rtmf")
    with pytest.raises(DataError, match="no file can be read in the layout xd5"):
        bring(tmp_path / "in", tmp_path / "store", "xd5")
    for wrong in (
        {"frames": 0},
        {"crop_order": "any"},
        {"stride": 8},
        {"settings": {"stride": 8}},
        {"backbone": "i4d"},
    ):
        with pytest.raises(ConfigError):
            Known(**wrong)


# --- models


def test_a_declared_backbone_must_fit() -> None:
    assert Imported(ImportedConfig(backbone="motion", stride=4, rate=10.0)).clip.stride == 4
    clips = np.zeros((1, 9, 48, 64, 3), np.uint8)
    with pytest.raises(ConfigError, match=r"it gives length 21, these 7"):
        Imported(ImportedConfig(backbone="motion", length=7))(clips)
    wrong: list[dict[str, Any]] = [{"frames": 16}, {"segments": 32}, {"averaged": 10}]
    for told in wrong:
        with pytest.raises(ConfigError, match="motion can't make these imported features"):
            _ = Imported(ImportedConfig(backbone="motion", **told)).clip
    with pytest.raises(ConfigError, match="imported features of an unknown backbone"):
        _ = Imported(ImportedConfig()).clip


def theirs(natives: Path, folder: Path, crops: int) -> None:
    """Features of the native toy's videos: noise, and something else where anything happens."""
    reader = datasets.reader_of(natives)
    truths = reader.truth(natives)
    for number, video in enumerate(reader.load(natives).videos):
        frames = truths[video.id].frames
        steps = len(frames) // 4
        array = values(number, steps, crops)
        array[[frames[4 * k : 4 * k + 4].any() for k in range(steps)], :, :3] += 6
        write(folder, "rtfm", video.id, array)


@pytest.mark.parametrize("crops", [1, 10])
def test_a_model_learns_from_them_and_is_judged(crops: int, natives: Path, tmp_path: Path) -> None:
    theirs(natives, tmp_path / "in", crops)
    bring(tmp_path / "in", tmp_path / "store", "rtfm", metadata=Known(frames=4), labels=labels_of(natives))
    settings: dict[str, Any] = {"training": {"steps": 30, "bags": 4}, "method": "cuboid_mil"}
    for asked, told in (({"crops": 5}, "--crops 5"), ({"cells": {"rows": 7}}, "--cells.rows 7")):
        with pytest.raises(ConfigError, match=f"{told} has no effect: its features are imported"):
            runs.train(tmp_path / "store", tmp_path / "run", settings={**settings, **asked}, quiet=True)
    model = runs.train(tmp_path / "store", tmp_path / "run", settings=settings, device="cpu", quiet=True)
    assert model.config.backbone == "imported" and model.config.crops == crops
    rows, quarantine, *_ = evaluation.evaluate(model, tmp_path / "store", tmp_path / "eval", quiet=True)
    found = {row.metric: row.mean for row in rows if row.method == "cuboid_mil"}
    assert found["frame_auc"] > 0.9 and not quarantine.reasons
    assert "motion_only" not in {row.method for row in rows}
    with pytest.raises(ConfigError, match="imported features of an unknown backbone"):
        model.detect(next((natives / "videos").iterdir()))


# --- the page in docs


PAGE = Path(__file__).parents[3] / "docs" / "features.md"
CELLS = "--cells.rows 1 --cells.columns 1 --cells.steps 1"
TINY = {  # real ones are long: a backbone without weights, short clips
    "--frames-per-clip 16 --rate 30 --width 320 --height 240": "--frames-per-clip 9 --stride 8 --layout rtfm",
    "--backbones i3d --crops 10": f"--backbones motion {CELLS} --workers 1 --quiet",
    "train theirs": "train theirs --training.steps 3 --device cpu --quiet",
    "evaluate theirs": "evaluate theirs --device cpu --quiet",
}


def test_the_commands_of_the_page_do_what_it_says(
    natives: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(natives, "dataset")
    videos = datasets.reader_of("dataset").load(Path("dataset")).videos
    shutil.copy(videos[0].path, "clip.mp4")
    own = f"extract dataset --output own --backbones motion {CELLS}"
    assert cli.main([*own.split(), "--workers", "1", "--quiet"]) == 0
    for video in videos:
        (path,) = Path("own").glob(f"motion-*/{video.id}.safetensors")
        write(Path("i3d"), "rtfm", video.id, open_features(path).instances().features[:, None])
    commands = [line for line in PAGE.read_text().splitlines() if line.startswith("wherewhen ")]
    assert len(commands) == 6
    codes, told = [], []
    for line in commands:
        for long, short in TINY.items():
            line = line.replace(long, short)
        line = line.replace("--video clip.mp4", f"--video {videos[0].path}")
        codes.append(cli.main(line.split()[1:]))
        told.append(capsys.readouterr().out)
    assert codes == [0] * 6, told
    assert "next:  wherewhen train theirs" in told[0]
    assert "not equal" not in told[4] and "as in the passport" in told[5]
    assert cli.main(["detect", str(videos[0].path), "--model", "run"]) == 2
    assert "imported features of an unknown backbone" in capsys.readouterr().err


def test_verify_tells_by_its_exit_code(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.save(tmp_path / "a.npy", values(0)[:, 0])
    np.save(tmp_path / "b.npy", values(0)[:-1, 0] * 255)
    assert cli.main(["features", "verify", str(tmp_path / "a.npy"), str(tmp_path / "a.npy")]) == 0
    capsys.readouterr()
    assert cli.main(["features", "verify", str(tmp_path / "a.npy"), str(tmp_path / "b.npy"), "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert found["causes"][0]["name"] == "scale" and found["videos"][0]["clips_b"] == 5
    assert cli.main(["features", "verify", str(tmp_path / "a.npy")]) == 2
    assert cli.main(["features", "import", str(tmp_path)]) == 2
