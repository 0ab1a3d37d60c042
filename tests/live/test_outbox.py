"""Delivery: once, in order, through failures and restarts."""

from __future__ import annotations

import time
from pathlib import Path
from typing import ClassVar

import pytest

from wherewhen.core.contracts.sinks import Message, SinkAbilities, Undelivered
from wherewhen.core.errors import StoreError
from wherewhen.live.database import Database
from wherewhen.live.outbox import Outbox


class Shaky:
    """Fails so many times before each message arrives."""

    Config: ClassVar[type] = dict
    abilities: ClassVar[SinkAbilities] = SinkAbilities(states=True)

    def __init__(self, fails: int = 0, refused: tuple[str, ...] = ()) -> None:
        self.fails, self.refused, self.left = fails, refused, fails
        self.received: list[str] = []

    def send(self, message: Message) -> None:
        if message.id in self.refused:
            raise Undelivered("not wanted", final=True)
        if self.left:
            self.left -= 1
            raise Undelivered("no connection", 0.0)
        self.left = self.fails
        self.received.append(message.id)

    def close(self) -> None:
        pass


def posted(folder: Path, count: int, sinks: list[str], first: int = 0) -> None:
    database = Database(folder)
    for number in range(first, first + count):
        message = Message(f"m{number:03d}", "new", "yard", {"number": number})
        for _ in range(2):  # a message that is posted twice is sent once
            database.post(sinks, message.id, message, None)
    database.close()


def run_until_empty(folder: Path, sinks: dict[str, Shaky]) -> None:
    outbox = Outbox(folder, {name: (lambda sink=sink: sink) for name, sink in sinks.items()}, ["yard"])  # type: ignore[misc]
    database, end = Database(folder), time.monotonic() + 20
    while database.rows("SELECT 1 FROM outbox") and time.monotonic() < end:
        time.sleep(0.02)
    outbox.close()
    database.close()


@pytest.mark.parametrize("fails", [0, 2])
def test_every_message_arrives_once_in_order(tmp_path: Path, fails: int) -> None:
    sink = Shaky(fails)
    posted(tmp_path, 6, ["shaky"])
    run_until_empty(tmp_path, {"shaky": sink})
    assert sink.received == [f"m{number:03d}" for number in range(6)]


def test_a_sink_that_fails_does_not_delay_another(tmp_path: Path) -> None:
    good, bad = Shaky(), Shaky(fails=10**9)
    posted(tmp_path, 3, ["good", "bad"])
    outbox = Outbox(tmp_path, {"good": lambda: good, "bad": lambda: bad}, [])
    end = time.monotonic() + 20
    while len(good.received) < 3 and time.monotonic() < end:
        time.sleep(0.02)
    outbox.close()
    assert (len(good.received), bad.received) == (3, [])
    database = Database(tmp_path)
    assert [sink for (sink,) in database.rows("SELECT sink FROM outbox")] == ["bad"] * 3
    database.close()
    again = Shaky()
    run_until_empty(tmp_path, {"bad": again})  # kept for the next run
    assert again.received == ["m000", "m001", "m002"]


def test_an_error_of_a_sink_does_not_end_its_thread(tmp_path: Path) -> None:
    class Faulty(Shaky):
        def send(self, message: Message) -> None:
            self.fails += 1
            if self.fails == 1:
                raise KeyError("an answer that was not foreseen")
            self.received.append(message.id)

    sink = Faulty()
    posted(tmp_path, 2, ["faulty"])
    run_until_empty(tmp_path, {"faulty": sink})
    assert sink.received == ["m000", "m001"]


def test_a_message_that_a_sink_refuses_does_not_hold_up_the_next(tmp_path: Path) -> None:
    sink = Shaky(refused=("m001",))
    posted(tmp_path, 3, ["shaky"])
    run_until_empty(tmp_path, {"shaky": sink})
    assert sink.received == ["m000", "m002"]
    with Database(tmp_path) as database:
        assert database.rows("SELECT sink, key, cause FROM refused") == [("shaky", "m001", "not wanted")]
        assert database.resend("other") == 0 and database.resend("shaky") == 1
    sink.refused = ()
    run_until_empty(tmp_path, {"shaky": sink})
    assert sink.received == ["m000", "m002", "m001"]


def test_a_sink_with_a_fault_is_tried_again(tmp_path: Path) -> None:
    class Faulty(Shaky):
        def send(self, message: Message) -> None:
            if self.left:
                self.left -= 1
                raise KeyError("a fault of the sink")
            self.received.append(message.id)

    sink = Faulty(fails=1)
    posted(tmp_path, 2, ["shaky"])
    run_until_empty(tmp_path, {"shaky": sink})
    assert sink.received == ["m000", "m001"]


def test_a_sink_may_be_away_for_days(tmp_path: Path) -> None:
    posted(tmp_path, 1, ["shaky"])
    database = Database(tmp_path)
    database.write("UPDATE outbox SET tries = 5000")
    database.close()

    class Away(Shaky):
        def send(self, message: Message) -> None:
            self.received.append(message.id)
            raise Undelivered("no connection")

    away, again = Away(), Shaky()
    outbox = Outbox(tmp_path, {"shaky": lambda: away}, [])
    end = time.monotonic() + 10
    while not away.received and time.monotonic() < end:
        time.sleep(0.02)
    outbox.close()
    database = Database(tmp_path)
    ((tries, wait),) = database.rows("SELECT tries, next_at FROM outbox")
    assert tries == 5001
    assert wait - time.time() <= 72  # a minute, and a fifth
    database.write("UPDATE outbox SET next_at = 0")
    database.close()
    run_until_empty(tmp_path, {"shaky": again})
    assert again.received == ["m000"]


def test_a_database_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    database = Database(tmp_path)
    database.write("PRAGMA user_version = 99")
    database.close()
    with pytest.raises(StoreError, match="newer version"):
        Database(tmp_path)


def test_another_file_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "live.db").write_text("a diary, which stays as it is\n" * 50)
    with pytest.raises(StoreError, match="can't be used"):
        Database(tmp_path)
    assert (tmp_path / "live.db").read_text().startswith("a diary")
