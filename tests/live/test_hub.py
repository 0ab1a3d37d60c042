"""Several machines and a hub: nothing is lost, nothing is sent twice, and no camera has two machines."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from grouped import START, Group, grouped

pytest.importorskip("fastapi")
pytest.importorskip("httpx")

from wherewhen.core.contracts.sinks import Message, Undelivered
from wherewhen.live import control, member
from wherewhen.live.hub import LEASE
from wherewhen.live.outbox import Outbox
from wherewhen.live.overview import overview
from wherewhen.live.overview_text import lines
from wherewhen.live.retention import StoreConfig, clean

FIRST, SECOND = "1790000000.000001-aaa", "1790000100.000001-bbb"


@pytest.fixture
def group(tmp_path: Path) -> Iterator[Group]:
    with grouped(tmp_path) as one:
        yield one


def test_an_alert_arrives_once_with_its_picture_though_answers_get_lost(group: Group) -> None:
    a = group.machine("a")
    a.beat()
    a.alert(FIRST, "new", "end")
    a.deliver(lose_answers=True)
    a.deliver(lose_answers=True)
    a.deliver()
    assert group.hub.sent == [(FIRST, "new"), (FIRST, "end")]
    columns = "camera, severity, zones_json, snapshot, thumb, t1 IS NOT NULL, machine"
    (row,) = group.hub.database.rows(f"SELECT {columns} FROM item")
    assert row[:3] == ("yard", "alert", '["door"]') and row[5:] == (1, a.database.store)
    assert (group.hub.folder / row[3]).read_bytes() == (a.folder / row[3]).read_bytes()
    assert (group.hub.folder / row[4]).stat().st_size > 100
    ((posted,),) = group.hub.database.rows("SELECT DISTINCT snapshot FROM outbox WHERE key NOT LIKE '%:state'")
    assert posted == row[3]


def test_the_hub_gets_no_items_that_a_person_at_a_machine_marked_or_is_shown_again(group: Group) -> None:
    a = group.machine("a")
    a.beat()
    a.alert(FIRST, "new", "end")
    a.deliver()
    columns = "camera, t0, t1, severity, score, threshold, zones_json, state, clip"
    for values in ("'again', id, 'alert'", "'m-1', NULL, 'missed'"):
        a.database.write(
            f"INSERT INTO item(id, repeat_of, source, {columns}) SELECT {values}, {columns} FROM item WHERE id = ?",
            FIRST,
        )
    assert a.database.rows("SELECT key FROM outbox") == []


def test_an_alert_expires_at_the_hub_when_its_clip_goes_at_the_machine(group: Group) -> None:
    a = group.machine("a")
    a.beat()
    a.alert(FIRST, "new", "end", clip=b"clip")
    a.deliver()
    states = "SELECT review, clip IS NULL FROM item"
    assert group.hub.database.rows(states) == [("open", 0)]
    clean(a.folder, a.database, StoreConfig(bytes="0B"), START + 60)
    a.deliver()
    assert a.database.rows(states) == group.hub.database.rows(states) == [("expired", 1)]


def test_a_second_machine_waits_until_the_lease_of_the_first_ends(group: Group) -> None:
    a, b = group.machine("a"), group.machine("b")
    assert a.holder == member.WAITING
    a.beat()
    b.beat()
    assert (a.holder, b.holder) == (None, "a")
    group.wait(LEASE - 1)
    b.beat()
    assert b.holder == "a"
    a.beat()
    group.wait(2)
    b.beat()
    assert b.holder == "a", "the lease was renewed"
    a.alert(FIRST, "new")
    a.deliver()
    group.wait(LEASE + 1)
    group.hub.hub.look(group.clock.now)
    assert group.hub.states[-1] == ("offline", "no sign of life from machine a")
    group.wait(0.5)
    b.beat()
    assert b.holder is None
    assert group.hub.states[-1][0] == "ok"
    assert group.hub.sent == [(FIRST, "new"), (FIRST, "end")], "the open alert of the machine that is gone ends"
    a.beat()
    assert a.holder == "b"
    a.alert(FIRST, "end")
    a.deliver()
    assert group.hub.sent == [(FIRST, "new"), (FIRST, "end")]


def test_alerts_of_a_machine_that_is_cut_off_are_sent_if_the_camera_was_its_own(group: Group) -> None:
    a, b = group.machine("a"), group.machine("b")
    a.beat()
    a.alert(FIRST, "new", "end")  # during its lease, and delivered much later
    group.wait(LEASE + 1)
    b.beat()
    assert b.holder is None
    group.wait(10)
    b.alert("1790000041.000001-ccc", "new", "end")
    b.deliver()
    a.alert(SECOND, "new", "end")  # it does not know that b has the camera
    a.deliver()
    a.beat()
    assert a.holder == "b"
    assert [id for id, kind in group.hub.sent if kind == "new"] == ["1790000041.000001-ccc", FIRST]
    assert [id for id, kind in group.hub.sent if kind == "end"] == ["1790000041.000001-ccc", FIRST]
    query = "SELECT id, severity, suppressed, alerted IS NULL, t1 IS NULL FROM item ORDER BY id"
    rows = {id: tuple(rest) for id, *rest in group.hub.database.rows(query)}
    assert rows[SECOND] == ("detection", "lease", 1, 0), "it is kept for review"
    assert rows[FIRST] == ("alert", None, 0, 0)


def test_an_alert_in_the_gap_between_two_leases_belongs_to_the_first_machine(group: Group) -> None:
    a, b = group.machine("a"), group.machine("b")
    a.beat()
    group.wait(LEASE + 10)
    a.alert(FIRST, "new")
    group.wait(10)
    b.beat()
    a.deliver()
    assert (FIRST, "new") in group.hub.sent


def test_a_hub_that_comes_back_knows_what_it_had_and_who_watches(group: Group) -> None:
    a, b = group.machine("a"), group.machine("b")
    a.beat()
    a.alert(FIRST, "new")
    a.deliver(lose_answers=True)
    group.hub.stop()
    with pytest.raises(Undelivered):
        a.deliver()
    a.beat()
    assert a.holder is None, "it goes on with its camera"
    group.wait(3600)
    a.alert(FIRST, "end")
    a.alert(SECOND, "new")
    group.hub.start()
    b.beat()
    assert b.holder == "a", "nobody could renew the lease"
    a.beat()
    a.deliver()
    assert group.hub.sent == [(FIRST, "new"), (FIRST, "end"), (SECOND, "new")]
    assert a.database.rows("SELECT key FROM outbox") == []


def test_a_machine_that_starts_while_the_hub_is_away_watches_its_share(group: Group) -> None:
    a = group.machine("a")
    group.hub.stop()
    a.beat()
    assert control.orders(a.database, "yard", START).idle == "waiting for the hub"
    assert member.go_on(a.database)
    assert control.orders(a.database, "yard", START).idle is None
    assert not member.go_on(a.database)


def test_a_machine_that_is_stopped_gives_its_cameras_up_at_once(group: Group) -> None:
    a, b = group.machine("a"), group.machine("b")
    a.beat()
    group.wait(1)
    a.sink.stopped()
    assert group.hub.states[-1] == ("offline", "machine a gave it up")
    b.beat()
    assert b.holder is None


def test_what_users_ask_at_the_hub_reaches_the_machine(group: Group) -> None:
    a, hub = group.machine("a"), group.hub.database
    a.database.write("INSERT INTO control(camera, layout) VALUES ('yard', ?)", json.dumps({"zones": {"door": []}}))
    a.beat()
    a.alert(FIRST, "new", "end")
    a.deliver()
    control.snooze(hub, "yard", 10, group.clock.now, "door")
    control.enable(hub, "yard", False)
    control.accept(hub, "yard")
    number = control.judge(hub, FIRST, "true", group.clock.now)
    a.beat()
    orders = control.orders(a.database, "yard", group.clock.now)
    assert (orders.idle, orders.accept, orders.silent) == ("switched off", True, {"door"})
    assert a.database.rows("SELECT item, verdict FROM verdict") == [(FIRST, "true")]
    assert a.database.rows("SELECT verdict FROM item") == [("true",)]
    a.database.write("UPDATE control SET accepting = 0, moved = 0 WHERE camera = 'yard'")  # as its camera does
    group.wait(1)
    control.undo(hub, number, group.clock.now)
    control.enable(hub, "yard", True)
    control.snooze(hub, "yard", 0, group.clock.now, "door")
    a.deliver()
    a.beat()
    orders = control.orders(a.database, "yard", group.clock.now)
    assert (orders.idle, orders.accept, orders.silent) == (None, False, frozenset())
    assert a.database.rows("SELECT verdict FROM item") == [(None,)]
    assert hub.rows("SELECT accepting FROM control") == [(0,)]


def test_a_machine_that_takes_over_has_minutes_and_budget_of_the_camera(group: Group) -> None:
    a, b = group.machine("a"), group.machine("b")
    a.beat()
    block = "INSERT OR REPLACE INTO block VALUES ('yard', ?, ?, '[0.25, null]', 'ok', 'day', 'sha')"
    for minute in range(5):
        a.database.write(block, START + 60 * minute, 30.0)
        a.database.write(block, START + 60 * minute, 60.0)
    a.database.write("UPDATE control SET layout = 'masks', baseline_at = 5.5")
    for level in (2.0, 1.5):
        a.database.write("INSERT OR REPLACE INTO tracker VALUES ('yard', 'day', 'sha', ?, ?)", level, START)
    a.alert(FIRST, "new", "end")
    assert len(a.database.waiting("hub", float("inf"), 1000)) == 5 + 1 + 1 + 4, "rows that wait are replaced"
    a.deliver()
    group.wait(LEASE + 1)
    b.database.write(block, START, 45.0)
    b.database.write("DELETE FROM outbox")
    b.beat()
    rows = "SELECT t, seconds, peaks_json FROM block ORDER BY t"
    assert b.database.rows(rows)[1:] == a.database.rows(rows)[1:]
    assert b.database.rows(rows)[0][1] == 45.0, "a minute that it has itself stays"
    assert b.database.rows("SELECT layout, baseline_at FROM control") == [("masks", 5.5)]
    assert b.database.rows("SELECT level FROM tracker") == [(1.5,)]
    assert b.database.rows("SELECT id, counted FROM item") == [(FIRST, 0)]
    assert b.database.rows("SELECT key FROM outbox WHERE key NOT LIKE '%control%'") == [], "nothing goes back"
    a.beat()
    a.database.write("UPDATE tracker SET level = 9.0")
    a.deliver()
    assert group.hub.database.rows("SELECT level FROM tracker") == [(1.5,)], "only the camera's own machine says so"


def test_the_hub_shows_all_cameras_of_all_machines(group: Group) -> None:
    a = group.machine("a")
    a.beat()
    a.beat()
    service = overview(group.hub.folder, group.clock.now)
    cameras = {camera.name: camera for camera in service.cameras}
    assert list(cameras) == ["yard", "gate"]
    assert (cameras["yard"].fault, cameras["yard"].facts["machine"], cameras["yard"].budget["per_day"]) == (
        None,
        "a",
        2,
    )
    assert cameras["yard"].status["rate"] == 12.5
    assert cameras["gate"].fault == "offline: not opened yet", "it is in the file of the hub, and nobody watches it"
    assert [(one.name, one.up) for one in service.machines] == [("a", True)]
    group.wait(LEASE + 1)
    group.hub.hub.look(group.clock.now)
    later = overview(group.hub.folder, group.clock.now)
    assert later.cameras[0].fault == "offline: no sign of life from machine a"
    assert [(one.name, one.up) for one in later.machines] == [("a", False)]
    assert any("machine a" in line for line in lines(later))


@pytest.mark.parametrize(
    "change",
    [
        {"camera": "../yard"},
        {"id": "../../x", "after": {"table": "item", "accepted": 0, "row": {"id": "../../x"}}, "kind": "row"},
        {"kind": "row", "after": {"table": "verdict", "row": {}}},
        {"kind": "row", "after": {"table": "block", "accepted": 0, "row": {"camera": "yard"}}},
        {"kind": "new", "after": {}},
        {"kind": "new", "after": {"start_time": "soon"}},
        {"more": 1},
    ],
)
def test_what_can_not_be_stored_is_refused_for_good_and_changes_nothing(
    group: Group, change: dict[str, object]
) -> None:
    a = group.machine("a")
    a.beat()
    plain = {"id": FIRST, "kind": "end", "camera": "yard", "after": {}} | change
    with pytest.raises(Undelivered) as refused:
        a.sink._ask("POST", "messages", json={"machine": a.sink._machine, "message": plain, "snapshot": None})
    assert refused.value.final and "422: message: " in refused.value.cause
    assert group.hub.sent == [] and group.hub.database.rows("SELECT key FROM received") == []


def test_a_state_that_is_short_reaches_the_hub_with_its_time(group: Group) -> None:
    a, b = group.machine("a"), group.machine("b")
    a.beat()
    b.beat()
    group.hub.database.write("DELETE FROM outbox")
    times = []
    for state in ("dark", "ok", "frozen"):
        group.wait(0.25)
        a.state(state)
        b.state("blurred")  # it waits: the camera is that of a
        times.append(group.clock.now)
    group.wait(0.25)
    a._remote._next = 0.0
    a._remote()
    assert group.hub.states == [], "they come in order, and not with the report"
    a.deliver(lose_answers=True)
    a.deliver()
    b.deliver()
    a.beat()
    assert group.hub.states == [("dark", None), ("ok", None), ("frozen", None)]
    rows = group.hub.database.rows("SELECT message_json FROM outbox ORDER BY id")
    assert [json.loads(text)["at"] for (text,) in rows] == pytest.approx(times)


def test_what_the_hub_refuses_is_set_aside_with_its_reason_and_can_be_sent_again(group: Group) -> None:
    a = group.machine("a")
    a.beat()
    a.alert(FIRST, "new")
    a.database.write(
        "UPDATE outbox SET message_json = replace(message_json, 'start_time', 'start') WHERE key GLOB '*:new'"
    )
    a.alert(FIRST, "end")
    Outbox._send_all(SimpleNamespace(), "hub", a.sink, a.database, set())  # type: ignore[arg-type]
    assert group.hub.sent == [] and a.database.rows("SELECT key FROM outbox") == []
    view = overview(a.folder, group.clock.now)
    ((sink, count, cause, _),) = view.refused
    assert (sink, count) == ("hub", 1) and "can't be stored (KeyError: 'start_time')" in cause
    assert view.plain()["refused"][0]["cause"] == cause
    assert any("1 messages that hub refused" in line and "control resend hub" in line for line in lines(view))
    a.database.write("UPDATE refused SET message_json = replace(message_json, '\"start\"', '\"start_time\"')")
    assert a.database.resend("hub") == 1 and a.database.resend("hub") == 0
    a.deliver()
    assert group.hub.sent == [(FIRST, "new")]
    assert overview(a.folder, group.clock.now).refused == ()


def test_another_server_or_token_loses_no_message(group: Group) -> None:
    a = group.machine("a")
    message = Message(FIRST, "new", "yard", {"start_time": START})
    a.sink._headers = {"Authorization": "Bearer wrong"}
    with pytest.raises(Undelivered, match=r"hub\.token") as refused:
        a.sink.send(message)
    assert not refused.value.final
    a.sink._headers = {"Authorization": "Bearer machines-0123456789"}
    with pytest.raises(Undelivered, match="is no hub") as refused:
        a.sink._ask("POST", "elsewhere", json={})
    assert not refused.value.final
