"""Features of whole data sets: each file whole or not at all, whoever is killed; read without the videos."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from wherewhen import datasets
from wherewhen.api import evaluation, extraction, runs
from wherewhen.api.extraction import Sources, extract_all, sources
from wherewhen.core import registry
from wherewhen.core.errors import ConfigError, DataError, StoreError, VideoError
from wherewhen.core.feature_file import content, open_features, save_features
from wherewhen.core.values import Instances, Truth, Video
from wherewhen.evaluation.evaluator import feature_specs
from wherewhen.extraction import assembly, loading
from wherewhen.extraction import feature_cache as saved
from wherewhen.extraction.extractor import VERSION, FeatureSpec, extract_features
from wherewhen.inference.model import Model
from wherewhen.inference.model_config import ModelConfig
from wherewhen.inference.normalizer import Normalizer
from wherewhen.runtime.parallel import Workers

LOOK = ModelConfig.of().feature_spec()
BOTH = list(feature_specs({"cells": LOOK}).values())


@pytest.fixture(autouse=True)
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A cache of each test's own."""
    monkeypatch.setenv("WHEREWHEN_CACHE", str(tmp_path / "cache"))
    yield


@pytest.fixture(scope="module")
def store(natives: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The features of a data set with truth and folds."""
    folder = tmp_path_factory.mktemp("stores") / "store"
    extract_all(sources(natives), BOTH, folder, quiet=True)
    return folder


def contents(folder: Path) -> dict[str, str]:
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def two(clips: Path) -> Sources:
    """Two videos are enough for what is slow."""
    found = sources(clips).dataset
    return Sources(replace(found, videos=found.videos[:2]), {})


def same(one: Instances, other: Instances) -> None:
    assert one.shape == other.shape
    for name in ("features", "extents", "track", "detail"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


# --- what is known of videos is never left out


def _row(root: Path, text: str) -> None:
    (root / "labels.csv").write_text(text)


FAULTS = {
    "a label that is none": lambda root: _row(root, "path,label\nnormal/n0.mp4,0\nanomalous/a0.mp4,bad\n"),
    "a dead path": lambda root: _row(root, "path,label\nnormal/n0.mp4,0\nanomalous/z.mp4,1\n"),
    "a broken gt.json": lambda root: (root / "gt.json").write_text('{"n0": '),
    "a gt.json of another form": lambda root: (root / "gt.json").write_text('{"n0": {"file": "n0.mp4"}}'),
    "a broken index of features": lambda root: (root / "features.json").write_text("{"),
    "one label alone": lambda root: _row(root, "path,label\nnormal/n0.mp4,0\nnormal/n1.mp4,0\n"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_in_a_label_file_stops_extraction_before_any_work(clips: Path, tmp_path: Path, fault: str) -> None:
    root = tmp_path / "yard"
    shutil.copytree(clips, root)
    FAULTS[fault](root)
    with pytest.raises(DataError, match=str(root)):
        sources(root)


def test_a_fault_in_the_truth_stops_extraction_too(natives: Path, tmp_path: Path) -> None:
    root = tmp_path / "yard"
    shutil.copytree(natives, root)
    told = json.loads((root / "gt.json").read_text())
    told["a0"]["segments_0based_halfopen"] = [[20, 8]]
    (root / "gt.json").write_text(json.dumps(told))
    with pytest.raises(DataError, match=r"gt\.json: a0: segment \[20, 8\]"):
        sources(root)


def test_videos_without_any_label_file_are_looked_at_without_labels(clips: Path) -> None:
    found = sources(clips / "normal")
    assert [v.label for v in found.dataset.videos] == [None, None]
    assert "labels: none" in found.summary()
    assert "2 anomalous, 2 normal" in sources(clips).summary()


def test_a_truth_that_was_mended_reaches_the_store(natives: Path, tmp_path: Path) -> None:
    root = tmp_path / "yard"
    shutil.copytree(natives, root)
    extract_all(sources(root), [LOOK], tmp_path / "store", quiet=True)
    told = json.loads((root / "gt.json").read_text())
    told["a0"]["segments_0based_halfopen"] = [[9, 20]]
    (root / "gt.json").write_text(json.dumps(told))
    outcome = extract_all(sources(root), [LOOK], tmp_path / "store", quiet=True)
    assert (outcome.new, outcome.existing) == (0, 4)
    reader = datasets.reader_of(tmp_path / "store")
    assert reader.truth(tmp_path / "store")["a0"].frames.sum() == 11


# --- a store is a data set


def test_a_store_stands_for_its_data_set(natives: Path, store: Path) -> None:
    assert datasets.reader_of(store) is registry.load("datasets", "features")
    before, after = datasets.reader_of(natives).load(natives), datasets.reader_of(store).load(store)
    assert [(v.id, v.label, v.category, v.span) for v in before.videos] == [
        (v.id, v.label, v.category, v.span) for v in after.videos
    ]
    for one, other in zip(before.folds, after.folds, strict=True):
        assert one.name == other.name
        assert [v.id for v in one.train] == [v.id for v in other.train]
        assert [v.id for v in one.test] == [v.id for v in other.test]
    for video, kept in zip(before.videos, after.videos, strict=True):
        assert kept.path.exists() and content(kept.path) == content(video.path)
        for look in BOTH:
            same(saved.instances(kept, look), saved.instances(video, look))


def test_what_really_happens_comes_along(natives: Path, store: Path) -> None:
    before, after = datasets.reader_of(natives).truth(natives), datasets.reader_of(store).truth(store)
    assert set(before) == set(after)
    for name, truth in before.items():
        for part in ("edges", "spans", "boxes", "track", "categories"):
            np.testing.assert_array_equal(getattr(truth, part), getattr(after[name], part))


def test_masks_come_along(tmp_path: Path) -> None:
    masks = np.random.default_rng(0).random((4, 5, 13)) < 0.5
    boxed = np.array([True, False, True, True])
    truth = Truth(np.arange(5.0), np.array([[1.0, 2.0]]), categories=("fall",), masks=lambda: masks, boxed=boxed)
    from wherewhen.datasets._feature_store import read_truths, write_truths

    write_truths(tmp_path, {"a/b": truth})
    found = read_truths(tmp_path, ["a/b", "other"])["a/b"]
    assert found.masks is not None and found.categories == ("fall",) and found.boxed is not None
    np.testing.assert_array_equal(found.masks(), masks)
    np.testing.assert_array_equal(found.boxed, boxed)


def test_a_model_learns_and_is_judged_without_the_videos(natives: Path, tmp_path: Path) -> None:
    """What it learns and how good it is are the same to the last bit."""
    shutil.copytree(natives, tmp_path / "yard")
    extract_all(sources(tmp_path / "yard"), BOTH, tmp_path / "store", quiet=True)
    settings = {"training": {"steps": 3, "validate_every": 3}}
    runs.train(tmp_path / "yard", tmp_path / "a", settings=settings, fold="first", device="cpu", quiet=True)
    shutil.move(tmp_path / "yard" / "videos", tmp_path / "gone")
    shutil.rmtree(tmp_path / "cache")
    model = runs.train(tmp_path / "store", tmp_path / "b", settings=settings, fold="first", device="cpu", quiet=True)
    weights = "weights/best.safetensors"
    assert (tmp_path / "a" / weights).read_bytes() == (tmp_path / "b" / weights).read_bytes()
    table, quarantine, *_ = evaluation.evaluate(model, tmp_path / "store", tmp_path / "c", fold="first", quiet=True)
    assert not quarantine.reasons and {row.metric for row in table} >= {"frame_auc", "pixel_auc"}
    shutil.move(tmp_path / "gone", tmp_path / "yard" / "videos")
    other, *_ = evaluation.evaluate(model, tmp_path / "yard", tmp_path / "d", fold="first", quiet=True)
    assert table == other


def test_features_made_in_another_way_are_refused_by_field(store: Path) -> None:
    (video, *_) = datasets.reader_of(store).load(store).videos
    for settings, told in [
        ({"motion": {"width": 48}}, r"motion\.width: expected 48, got 320"),
        ({"cells": {"rows": 2}}, r"cells\.rows: expected 2, got None"),
        ({"crops": 5}, "crops: expected 5, got 1"),
        ({"gate": 2.0}, r"gate: expected 2\.0, got 0\.0"),
    ]:
        with pytest.raises(StoreError, match=told):
            saved.instances(video, ModelConfig.of(settings).feature_spec())


def test_a_store_of_another_backbone_says_what_it_holds(store: Path) -> None:
    (video, *_) = datasets.reader_of(store).load(store).videos
    told = "has no features of pixels, only of frame_difference, motion; choose one with --backbone NAME"
    with pytest.raises(StoreError, match=told):
        saved.instances(video, FeatureSpec.named("pixels"))


def test_a_file_that_does_not_fit_its_folder_is_refused(store: Path, tmp_path: Path) -> None:
    """The index may promise what it likes: each file speaks for itself."""
    shutil.copytree(store, tmp_path / "mixed")
    (video, *_) = datasets.reader_of(tmp_path / "mixed").load(tmp_path / "mixed").videos
    coarse = ModelConfig.of({"cells": {"rows": 1, "columns": 1}}).feature_spec()
    index = json.loads((tmp_path / "mixed" / "features.json").read_text())
    (mine,) = [name for name in index["looks"] if name.startswith("motion")]
    index["looks"][mine]["cells"] |= {"rows": 1, "columns": 1}
    (tmp_path / "mixed" / "features.json").write_text(json.dumps(index))
    with pytest.raises(StoreError, match=r"has other settings \(cells\.rows: expected 1, got None"):
        saved.instances(video, coarse)
    (tmp_path / "mixed" / mine / f"{video.id}.safetensors").unlink()
    with pytest.raises(VideoError, match=r"no features .* extract them"):
        saved.instances(video, coarse)


def test_a_file_without_the_span_that_it_covers_is_refused(store: Path, tmp_path: Path) -> None:
    shutil.copytree(store, tmp_path / "copy")
    (video, *_) = datasets.reader_of(tmp_path / "copy").load(tmp_path / "copy").videos
    spec = FeatureSpec.named("motion")
    (path,) = (tmp_path / "copy").glob(f"motion*/{video.id}.safetensors")
    file = open_features(path)
    source = {name: value for name, value in file.passport["source"].items() if name != "span"}
    save_features(path, file.instances(), file.clock, {**file.passport, "source": source})
    with pytest.raises(StoreError, match="span: expected None, got 'a file without it'"):
        saved.instances(video, spec)


# --- how it is made


def test_what_is_done_is_not_done_again(clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = extract_all(sources(clips), [LOOK], tmp_path / "store", quiet=True)
    assert (first.new, first.existing, first.effort.pictures) == (4, 0, 100)
    before = contents(tmp_path / "store")
    again = extract_all(sources(clips), [LOOK], tmp_path / "store", quiet=True)
    assert (again.new, again.existing, again.effort.pictures) == (0, 4, 0) and contents(tmp_path / "store") == before
    more = extract_all(sources(clips), BOTH, tmp_path / "store", quiet=True)
    assert (more.new, more.existing, more.effort.pictures) == (4, 4, 100)
    assert {k: v for k, v in contents(tmp_path / "store").items() if k in before and k != "features.json"} == {
        k: v for k, v in before.items() if k != "features.json"
    }


def test_all_looks_at_once_are_each_alone(clips: Path, tmp_path: Path) -> None:
    """Decoded once for all; the files are those of looks that came one after the other."""
    many = [
        *BOTH,
        ModelConfig.of({"motion": {"width": 48}}).feature_spec(),
        ModelConfig.of({"crops": 5}).feature_spec(),
    ]
    done = extract_all(two(clips), many, tmp_path / "once", quiet=True)
    assert done.effort.pictures == 50
    for look in many:
        extract_all(two(clips), [look], tmp_path / "apart", quiet=True)
    assert contents(tmp_path / "once") == contents(tmp_path / "apart")


def test_into_the_cache_so_that_training_looks_at_nothing(
    clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = extract_all(sources(clips), [LOOK], quiet=True)
    assert done.new == 4 and done.store is None

    def forbidden(*_: object) -> None:
        raise AssertionError("looked at before")

    monkeypatch.setattr(saved, "extract_features", forbidden)
    assert len(list(loading.bags(datasets.reader_of(clips).load(clips).videos, {"cells": LOOK}, quiet=True))) == 4


def test_broken_videos_are_set_aside_and_the_rest_is_a_data_set(clips: Path, tmp_path: Path) -> None:
    for label in ("normal", "anomalous"):
        shutil.copytree(clips / label, tmp_path / "in" / label)
    (tmp_path / "in" / "normal" / "bad.mp4").write_bytes(b"holiday")
    done = extract_all(sources(tmp_path / "in"), [LOOK], tmp_path / "store", quiet=True)
    (row,) = json.loads((tmp_path / "store" / "quarantine.json").read_text())
    assert row["path"] == "../in/normal/bad.mp4" and "no video" in row["reason"] and done.new == 4
    assert len(datasets.reader_of(tmp_path / "store").load(tmp_path / "store").videos) == 4
    (tmp_path / "in" / "normal" / "bad.mp4").unlink()
    extract_all(sources(tmp_path / "in"), [LOOK], tmp_path / "store", quiet=True)
    assert not (tmp_path / "store" / "quarantine.json").exists()


def test_any_videos_will_do(clips: Path, tmp_path: Path) -> None:
    shutil.copytree(clips / "normal", tmp_path / "mine" / "deep")
    found = sources(tmp_path / "mine")
    assert [(v.id, v.label) for v in found.dataset.videos] == [("deep/n0", None), ("deep/n1", None)]
    extract_all(found, [LOOK], tmp_path / "store", quiet=True)
    (one, _) = datasets.reader_of(tmp_path / "store").load(tmp_path / "store").videos
    same(saved.instances(one, LOOK), saved.instances(Video("x", clips / "normal" / "n0.mp4"), LOOK))
    assert [v.id for v in sources(clips / "normal" / "n0.mp4").dataset.videos] == ["n0"]


def test_rounded_features_say_so(clips: Path, tmp_path: Path) -> None:
    extract_all(sources(clips), [LOOK], tmp_path / "store", stored="float16", quiet=True)
    (folder,) = [p for p in (tmp_path / "store").iterdir() if p.is_dir()]
    assert folder.name.endswith("-float16")
    (video, *_) = datasets.reader_of(tmp_path / "store").load(tmp_path / "store").videos
    assert open_features(video.path).passport["about"]["stored"] == "float16"
    exact = saved.instances(datasets.reader_of(clips).load(clips).videos[0], LOOK)
    np.testing.assert_array_equal(saved.instances(video, LOOK).features, exact.features.astype(np.float16))


def test_wrong_orders_are_refused(clips: Path, store: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cache are float32"):
        extract_all(sources(clips), [LOOK], stored="float16", quiet=True)
    with pytest.raises(ConfigError, match="expected float32 or float16"):
        extract_all(sources(clips), [LOOK], tmp_path / "s", stored="int8", quiet=True)
    with pytest.raises(ConfigError, match="store of features already"):
        extract_all(sources(store), [LOOK], tmp_path / "s", quiet=True)
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "me.jpg").touch()
    with pytest.raises(ConfigError, match="holds other files"):
        extract_all(sources(clips), [LOOK], tmp_path / "photos", quiet=True)
    with pytest.raises(VideoError, match="no such file"):
        sources(tmp_path / "none")
    with pytest.raises(ConfigError, match="--reader has no effect: it reads the folder of a data set; leave it out"):
        sources(clips / "normal/n0.mp4", "folder")


def test_another_video_of_the_same_name_is_not_written_over(clips: Path, tmp_path: Path) -> None:
    def of(path: Path) -> Sources:
        return Sources(replace(sources(clips).dataset, videos=(Video("a", path),), folds=()), {})

    extract_all(of(clips / "normal" / "n0.mp4"), [LOOK], tmp_path / "store", quiet=True)
    before = contents(tmp_path / "store")
    with pytest.raises(StoreError, match="another video called a"):
        extract_all(of(clips / "normal" / "n1.mp4"), [LOOK], tmp_path / "store", quiet=True)
    assert contents(tmp_path / "store") == before


def test_the_passport_tells_it_all(store: Path) -> None:
    (video, *_) = datasets.reader_of(store).load(store).videos
    passport = open_features(video.path).passport
    assert set(passport) == {"made", "source", "about"}
    assert passport["made"] | {"motion": None, "cells": None} == {
        "version": VERSION, "backbone": "motion", "instances": "cells", "crops": 1, "gate": 0.0,
        "motion": None, "cells": None,
    }  # fmt: skip
    about = passport["about"]
    assert about["frames"] == 25 and about["clip"]["frames"] == 9 and about["clip"]["tail"] == "back"
    assert about["stored"] == "float32" and "PyAV" in about["decoder"] and about["gated"] == []
    assert about["rows"] == np.prod(about["grid"]) and about["length"] == 21


def test_what_the_gate_shut_is_marked(clips: Path) -> None:
    video = datasets.reader_of(clips).load(clips).videos[0]
    (seen,) = extract_features(video, [ModelConfig.of({"gate": 250.0}).feature_spec()])
    assert not seen.instances.features.any()
    gated = seen.passport["about"]["gated"]
    assert gated[0][0] == 0 and gated[-1][1] == pytest.approx(2.0)


def test_a_forecast_counts_and_measures(clips: Path) -> None:
    (told,) = extraction.forecast(sources(clips), [LOOK], Workers(2))
    assert (told.videos, told.frames) == (4, 100) and told.hours == pytest.approx(8 / 3600)
    done = extract_all(sources(clips), [LOOK], quiet=True)
    assert told.gigabytes * 1e9 == pytest.approx(done.effort.size, rel=0.35)
    assert told.seconds == pytest.approx(told.frames / told.rate / 2)
    with pytest.raises(DataError, match="no video can be read"):
        list(extraction.forecast(Sources(replace(sources(clips).dataset, videos=(), folds=()), {}), [LOOK], Workers()))


# --- in several processes, and killed


def test_several_processes_make_the_same_files(natives: Path, store: Path, tmp_path: Path) -> None:
    done = extract_all(sources(natives), BOTH, tmp_path / "store", where=Workers(2), quiet=True)
    assert done.new == 8 and done.effort.pictures == 100 and min(vars(done.effort).values()) > 0
    assert contents(tmp_path / "store") == contents(store)


def extracting(folder: Path, target: Path, workers: int) -> subprocess.Popen[bytes]:
    words = ["extract", folder, "--output", target, "--workers", workers, "--quiet"]
    return subprocess.Popen(
        [sys.executable, "-m", "wherewhen", *map(str, words)], start_new_session=True, stdout=subprocess.DEVNULL
    )


@pytest.mark.slow
@pytest.mark.parametrize(("workers", "kills"), [(1, [3]), (2, [1, 4])])
def test_a_killed_extraction_is_gone_on_with(
    workers: int, kills: list[int], natives: Path, store: Path, tmp_path: Path
) -> None:
    """Killed as soon as so many more files, whole or not, are there, so that kills fall into the writing too."""
    target, seen = tmp_path / "store", 0
    reference = contents(store)
    for more in kills:
        running = extracting(natives, target, workers)
        deadline = time.monotonic() + 120
        while running.poll() is None and time.monotonic() < deadline:
            there = sum(1 for path in target.rglob("*") if path.is_file()) if target.exists() else 0
            if there >= seen + more:
                seen = there
                break
            time.sleep(0.002)
        if running.poll() is None:
            os.killpg(running.pid, signal.SIGKILL)
        running.wait()
        whole = [path for path in target.rglob("*.safetensors") if "~" not in path.name]
        for path in whole:
            assert hashlib.sha256(path.read_bytes()).hexdigest() == reference[path.relative_to(target).as_posix()]
    extract_all(sources(natives), BOTH, target, quiet=True)
    assert contents(target) == reference


# --- networks


NETWORK = {
    "backbone": "shufflenet",
    "shufflenet": {"weights": "random", "layer": "stage2", "size": [64, 96]},
    "engine": "torch",
    "precision": "fp32",
}


@pytest.mark.slow
def test_networks_see_the_same_in_any_process_and_live(clips: Path, tmp_path: Path) -> None:
    config = ModelConfig.of(NETWORK)
    look = config.feature_spec()
    extract_all(two(clips), [look], tmp_path / "one", quiet=True)
    extract_all(two(clips), [look], tmp_path / "two", where=Workers(2), quiet=True)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    video, kept = two(clips).dataset.videos[0], datasets.reader_of(tmp_path / "one").load(tmp_path / "one").videos[0]
    passport = open_features(kept.path).passport
    assert passport["made"]["engine"] == "torch" and passport["made"]["precision"] == "fp32"
    assert passport["made"]["shufflenet"]["weights"] == "random, seed 0"
    assert set(passport["about"]["deviation"]) == {"relative", "cosine"}
    seen = saved.instances(kept, look)
    method = config.make("method", {"cells": seen.features.shape[1]})
    model = Model(
        config, {"cells": Normalizer.fit([seen])}, method, 0.5, Instances(seen.features[:9], seen.extents[:9])
    )
    model.detect(video.path)
    assert model.running is not None and model.running.engine == "torch"
    parts, _ = model.instances(video)
    same(assembly.join_instances(part for _, part in parts), seen)


def test_a_store_is_taken_with_the_engine_that_made_it(clips: Path, tmp_path: Path) -> None:
    extract_all(two(clips), [ModelConfig.of(NETWORK).feature_spec()], tmp_path / "store", quiet=True)
    video = datasets.reader_of(tmp_path / "store").load(tmp_path / "store").videos[0]
    free = ModelConfig.of({**NETWORK, "engine": "auto", "precision": "auto"}).feature_spec()
    chosen = saved.settled(free, video)
    assert (chosen.engine, chosen.precision) == ("torch", "fp32")
    same(saved.instances(video, free), saved.instances(video, chosen))
    with pytest.raises(StoreError, match="precision: expected 'bf16', got 'fp32'"):
        saved.instances(video, replace(free, precision="bf16"))


def test_networks_run_where_they_are_told_to(clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A picker that knows of no GPU notes what it is asked for."""
    asked: list[str] = []

    def pick(engine: str, precision: str, device: str) -> str:
        asked.append(device)
        return "cpu"

    monkeypatch.setattr("wherewhen.runtime.select._device", pick)
    config = ModelConfig.of({**NETWORK, "cells": {"rows": 1, "columns": 1}, "training": {"steps": 2}})
    free, told = config.feature_spec(), config.feature_spec("cuda:3")
    video = two(clips).dataset.videos[0]
    assert free.device == "auto" and told.resolved_settings(video) == free.resolved_settings(video), (
        "the device is no part of what is looked for"
    )
    assert set(asked) == {"auto", "cuda:3", "cpu"}, "cpu is what the picker said"
    asked.clear()
    extract_all(two(clips), [free], tmp_path / "store", quiet=True)
    assert "auto" in asked and "cuda:3" not in asked
    kept = datasets.reader_of(tmp_path / "store").load(tmp_path / "store").videos[0]
    assert open_features(kept.path).passport["about"]["device"] == "cpu"
    same(saved.instances(kept, told), saved.instances(kept, free))
    asked.clear()
    model = runs.train(clips, tmp_path / "run", settings=config.plain(), device="cpu", quiet=True)
    model.detect(video.path)
    assert set(asked) == {"cpu"}
