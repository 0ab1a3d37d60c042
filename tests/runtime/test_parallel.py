"""The same work here, in processes and on Ray; processes that die lose nothing."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from wherewhen.api import detection
from wherewhen.core.errors import ConfigError
from wherewhen.inference.model import Model
from wherewhen.runtime.parallel import THREADS, Workers, ray_cluster, spread

ONCE = "__import__('os')._exit(1) if not __import__('os').path.exists({0!r}) and open({0!r}, 'w') else {1}"
"""Dies the first time that it is worked out."""
ALWAYS = "__import__('os')._exit(1)"


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_every_thing_is_done_once(workers: int) -> None:
    things = list(range(-6, 6))
    assert sorted(spread(abs, things, Workers(workers))) == [(k, abs(thing)) for k, thing in enumerate(things)]
    assert list(spread(abs, [], Workers(workers))) == []


def test_what_a_process_was_at_when_it_died_is_done_again(tmp_path: Path) -> None:
    things = [str(k) if k not in (1, 4) else ONCE.format(str(tmp_path / str(k)), k) for k in range(7)]
    assert sorted(spread(eval, things, Workers(2))) == [(k, k) for k in range(7)]


def test_what_kills_every_process_is_given_up() -> None:
    things = ["0", "1", ALWAYS, "3", "4"]
    assert sorted(spread(eval, things, Workers(2))) == [(k, None if k == 2 else k) for k in range(5)]


def test_errors_come_through() -> None:
    with pytest.raises(ZeroDivisionError):
        list(spread(eval, ["1", "1 / 0", "2"], Workers(2)))


def test_results_come_as_they_are_done() -> None:
    things = ["__import__('time').sleep(1.0)", "1", "2"]
    assert [number for number, _ in spread(eval, things, Workers(2))][-1] == 0


def test_processes_use_one_thread_and_leave_the_settings_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(THREADS[0], "3")
    monkeypatch.delenv(THREADS[1], raising=False)
    things = [f"__import__('os').environ[{name!r}]" for name in THREADS]
    assert [value for _, value in sorted(spread(eval, things, Workers(2)))] == ["1"] * len(THREADS)
    assert os.environ[THREADS[0]] == "3" and THREADS[1] not in os.environ


def test_words_become_a_place() -> None:
    cores = os.cpu_count() or 1
    assert Workers.of(None, None, None, 100) == Workers(cores)
    assert Workers.of(None, None, None, 1) == Workers(1) == Workers.of(4, None, None, 0)
    assert Workers.of(3, "ray", "ray://a:1", 1) == Workers(3, True, "ray://a:1")
    for wrong in [(0, None, None), (1, "dask", None), (1, None, "ray://a:1")]:
        with pytest.raises(ConfigError, match=r"expected|needs"):
            Workers.of(*wrong, 5)


# --- on Ray


def test_a_cluster_that_does_not_answer_is_an_error_with_advice(monkeypatch: pytest.MonkeyPatch) -> None:
    ray = pytest.importorskip("ray")

    def refuse(address: str, **options: object) -> None:
        raise ConnectionError(f"no answer from {address}")

    monkeypatch.setattr(ray, "init", refuse)
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    with pytest.raises(ConfigError, match=r"10\.0\.0\.1:6379.*no answer.*RAY_AUTH_MODE=token"):
        list(spread(abs, [1], Workers(1, True, "10.0.0.1:6379")))


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    """One for all tests, since to start it takes long; begun and ended in our own way."""
    pytest.importorskip("ray")
    with ray_cluster(Workers(2, ray=True)):
        yield


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # Ray's own
def test_ray_does_the_same(cluster: None, tmp_path: Path) -> None:
    things = [str(k) if k != 2 else ONCE.format(str(tmp_path / "once"), k) for k in range(5)]
    assert sorted(spread(eval, things, Workers(2, ray=True))) == [(k, k) for k in range(5)]
    assert list(spread(eval, [ALWAYS], Workers(2, ray=True))) == [(0, None)]
    with pytest.raises(ZeroDivisionError):
        list(spread(eval, ["1 / 0"], Workers(2, ray=True)))
    things = ["__import__('os').nice(0)", *(f"__import__('os').environ[{name!r}]" for name in THREADS)]
    values = [value for _, value in sorted(spread(eval, things, Workers(2, ray=True)))]
    assert values == [os.nice(0), *["1"] * len(THREADS)]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # Ray's own
def test_a_cluster_finds_what_one_process_finds(cluster: None, yard: Path, clips: Path, tmp_path: Path) -> None:
    model = Model.load(yard, device="cpu")
    broken = tmp_path / "broken.mp4"
    broken.write_text("no video")
    videos = [clips / "anomalous" / "a0.mp4", broken, clips / "anomalous" / "a1.mp4"]
    here, aside = detection.detect(model, videos, tmp_path / "here", render=False, quiet=True)
    there, lost = detection.detect(
        model, videos, tmp_path / "ray", render=False, where=Workers(2, ray=True), quiet=True
    )
    assert [one.id for one in there] == [one.id for one in here] == ["a0", "a1"]
    assert [one.path for one in there] == [one.path for one in here]
    assert lost.reasons == aside.reasons and len(lost.reasons) == 1
    for name in ("events.json", "scores.parquet", "quarantine.json"):
        assert (tmp_path / "ray" / name).read_bytes() == (tmp_path / "here" / name).read_bytes(), name
    assert json.loads((tmp_path / "here" / "events.json").read_text())
    left = {name: {path.name for path in (tmp_path / name).iterdir()} for name in ("here", "ray")}
    assert left["ray"] == left["here"], "the model that workers read is gone"
