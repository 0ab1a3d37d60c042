"""Learning over HTTP: start, progress, the reason of a failure, promotion and roll back."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from reviewed import Client, served

pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")

from wherewhen.core.database import Tables
from wherewhen.review import runs
from wherewhen.review.opened import Review
from wherewhen.server import retraining


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Client]:
    """The review of a database whose model is the run ``yard``; ``yard-2`` learned and is better, ``yard-3`` is not."""
    with Tables(tmp_path / "review.db") as tables:
        for number, name in enumerate(("yard", "yard-2", "yard-3")):
            (tmp_path / name / "weights").mkdir(parents=True)
            (tmp_path / name / "weights" / "best.safetensors").write_bytes(name.encode())
            if number:
                held_out = {"promoted": number == 1, "reason": "it loses 1 confirmed event (a7)"}
                runs.record(tables, runs.sha_of(tmp_path / "yard"), tmp_path / name, held_out, [], float(number))
        tables.write("INSERT INTO fact VALUES ('model', ?)", json.dumps(str(tmp_path / "yard")))
    with served(Review(tmp_path / "review.db")) as client:
        yield client


def finished(client: Client) -> dict[str, Any]:
    end = time.monotonic() + 60
    while (state := client("/api/v1/runs").json["training"])["state"] == "running" and time.monotonic() < end:
        time.sleep(0.05)
    return dict(state)


def test_a_better_model_is_promoted_and_rolled_back_by_its_checksum(client: Client, tmp_path: Path) -> None:
    worse, better = client("/api/v1/runs").json["runs"]
    answer = client(f"/api/v1/models/{better['sha']}/promote", "POST", {})
    assert answer.status == 200 and answer.json["run"]["active"]
    with Tables(tmp_path / "review.db") as tables:
        assert runs.current(tables, tmp_path / "yard") == tmp_path / "yard-2"
    refused = client(f"/api/v1/models/{worse['sha']}/promote", "POST", {})
    assert refused.status == 409 and "it loses 1 confirmed event" in refused.json["detail"]
    back = client(f"/api/v1/models/{better['sha'].removeprefix('sha256:')}/rollback", "POST", {})
    assert back.status == 200 and not back.json["run"]["active"]
    for path in (f"{better['sha']}/rollback", "sha256:00/promote", "..%2Fyard-2/promote", "x" * 3000 + "/promote"):
        assert client(f"/api/v1/models/{path}", "POST", {}).status in (404, 409)


def test_one_training_at_a_time_and_only_of_models_that_the_server_knows(
    client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = tmp_path / "slow"
    slow.write_text(
        '#!/bin/sh\necho "$@" > "$0.words"\nsleep 1\necho \'error: there are no verdicts yet\' >&2\nexit 1\n'
    )
    slow.chmod(0o755)
    monkeypatch.setattr(retraining.sys, "executable", str(slow))
    assert client("/api/v1/info").json["retrain"] is True
    assert client("/api/v1/runs").json["training"] == {"state": "idle"}
    other = client("/api/v1/retrain", "POST", {"model": "/etc"})
    assert other.status == 422 and str(tmp_path / "yard") in other.json["detail"]
    assert client("/api/v1/retrain", "POST", {}).status == 202
    assert client("/api/v1/retrain", "POST", {}).status == 409
    state = finished(client)
    assert (state["state"], state["detail"]) == ("failed", "there are no verdicts yet")
    assert Path(state["output"]).name == "yard-4"
    words = (tmp_path / "slow.words").read_text().split()
    assert words[:3] == ["-m", "wherewhen", "learn"] and words[words.index("--model") + 1] == str(tmp_path / "yard")
    assert client("/api/v1/retrain", "POST", {}).status == 202, "again, after it failed"
    finished(client)


def test_without_a_known_model_the_command_is_named(tmp_path: Path) -> None:
    with Tables(tmp_path / "review.db"):
        pass
    with served(Review(tmp_path / "review.db")) as client:
        assert client("/api/v1/info").json["retrain"] is False
        answer = client("/api/v1/retrain", "POST", {})
        assert answer.status == 409 and "wherewhen learn --from" in answer.json["detail"]
