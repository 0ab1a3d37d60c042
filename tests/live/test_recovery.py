"""A service or a camera that died: open alerts end, and no two services use one store."""

from __future__ import annotations

import json
from pathlib import Path
from threading import Event

import pytest

from wherewhen.core.contracts.sinks import Message
from wherewhen.core.errors import StoreError
from wherewhen.core.store import locked
from wherewhen.inference.model import Model
from wherewhen.live import service
from wherewhen.live.database import Database
from wherewhen.live.recovery import close_open
from wherewhen.live.retention import StoreConfig
from wherewhen.live.settings import WatchConfig

COLUMNS = "id, camera, t0, t1, severity, score, threshold, box_json, zones_json, state"


def opened(database: Database, id: str, camera: str, severity: str, end: float | None = None) -> None:
    row = (id, camera, 100.0, end, severity, 0.9, 0.5, "[0.1, 0.2, 0.3, 0.4]", '["door"]', "ok")
    database.write(f"INSERT INTO item({COLUMNS}) VALUES ({', '.join('?' * len(row))})", *row)


def test_open_alerts_of_a_dead_process_end_once(tmp_path: Path) -> None:
    database = Database(tmp_path)
    at = "INSERT INTO camera(name, state, since, at) VALUES ('gate', 'ok', 90, 130)"
    database.write(at)
    opened(database, "a", "gate", "alert")
    opened(database, "b", "gate", "alert", 110.0)
    opened(database, "c", "gate", "detection")
    opened(database, "d", "yard", "alert")
    assert close_open(database, "gate", ["kept", "other"], 140.0) == 2
    assert close_open(database, "gate", ["kept", "other"], 150.0) == 0
    assert [tuple(row) for row in database.rows("SELECT id, t1 FROM item ORDER BY id")] == [
        ("a", 130.0), ("b", 110.0), ("c", 130.0), ("d", None),
    ]  # fmt: skip
    sent = database.rows("SELECT sink, key, message_json FROM outbox ORDER BY id")
    assert [(sink, key) for sink, key, _ in sent] == [("kept", "a:end"), ("other", "a:end")]
    after = json.loads(sent[0][2])["after"]
    assert (after["end_time"], after["entered_zones"], after["top_score"]) == (130.0, ["door"], 0.9)
    database.close()


def test_changes_within_changes_are_stored_together(tmp_path: Path) -> None:
    database, message = Database(tmp_path), Message("a", "new", "gate", {})
    with pytest.raises(RuntimeError), database.transaction():
        opened(database, "a", "gate", "alert")
        database.post(["kept"], "a:new", message, None)
        raise RuntimeError
    assert database.rows("SELECT id FROM item UNION ALL SELECT id FROM outbox") == []
    database.close()


def test_a_store_in_use_is_refused(yard: Path, tmp_path: Path) -> None:
    config = WatchConfig({"gate": "rtsp://127.0.0.1:9/1"}, str(yard), {}, StoreConfig(str(tmp_path)))
    with locked(tmp_path / "service"), pytest.raises(StoreError, match="another wherewhen watch"):
        service.watch(config, Event(), device="cpu")


def test_each_model_is_loaded_once(yard: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded, load = [], Model.load
    monkeypatch.setattr(Model, "load", lambda run, **more: loaded.append(run) or load(run, **more))
    config = WatchConfig({name: f"rtsp://127.0.0.1:9/{name}" for name in ("a", "b", "c")}, str(yard))
    lines = service.check(config, "cpu")
    assert loaded == [str(yard)]
    assert [line.partition(",")[0] for line in lines] == [f"{n}: rtsp://127.0.0.1:9/{n}" for n in "abc"] + [
        "sink stdout"
    ]


def test_a_process_that_always_dies_is_started_again_for_ever() -> None:
    class Dead:
        exitcode = -9

        def is_alive(self) -> bool:
            return False

    class Quiet:
        def died(self, *_: str) -> None:
            pass

    child = service._Running(Dead(), None, starts=5000)  # type: ignore[arg-type]
    assert service._supervised("gate", child, lambda: child, Quiet()) is child  # type: ignore[arg-type]
    assert child.next_at > 0
