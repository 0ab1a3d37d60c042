"""Pictures and clips of alerts, and a disk that is full."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from wherewhen.core.contracts.sinks import Message
from wherewhen.core.errors import ConfigError, StoreError
from wherewhen.core.values import Frame
from wherewhen.live import retention
from wherewhen.live.alert_files import AlertFiles, Clip, ClipConfig
from wherewhen.live.alerts import Alert
from wherewhen.live.control import judge
from wherewhen.live.database import Database
from wherewhen.live.overview import overview
from wherewhen.live.overview_text import lines
from wherewhen.live.retention import Lost, StoreConfig, clean, make_room
from wherewhen.video.packets import Packets
from wherewhen.video.reader import Reading
from wherewhen.video.writer import Writer

ORIGIN = 1_790_000_000.0  # time of day at time 0 of the recording
RATE = 10


def picture(index: int, width: int = 64) -> np.ndarray:
    """A picture that no other index up to 600 has."""
    image = np.full((48, width, 3), 20 + index // 3, np.uint8)
    image[8:24, (2 * index) % 40 : (2 * index) % 40 + 12] = (200, 120, 60)
    return image


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixty seconds at ten pictures a second, with a key picture at least every 25 s."""
    path = tmp_path_factory.mktemp("recording") / "yard.mp4"
    with Writer(path, RATE) as writer:
        for index in range(600):
            writer.write(picture(index))
    return path


def alert(start: float, end: float, number: int = 0) -> Alert:
    at = ORIGIN + start
    name = f"{at:.6f}-abc{number:03d}"
    return Alert(name, "yard", at, ORIGIN + end, 0.8, 0.9, (0.1, 0.2, 0.5, 0.6), "alert", 0.5, end=ORIGIN + end)


def watched(folder: Path, recording: Path, config: ClipConfig) -> tuple[AlertFiles, list[Frame]]:
    """The files of a camera whose stream was read."""
    files = AlertFiles(folder, config)
    with Reading(recording, "keep", None, files.ring()) as video:
        frames = list(video.frames())
    for frame in frames[:: RATE // 2]:
        files.snapshots.add(ORIGIN + frame.start, frame.image)
    return files, frames


def keys(recording: Path) -> list[float]:
    """When its key pictures begin."""
    with av.open(str(recording)) as video:
        packets = [packet for packet in video.demux(video=0) if packet.pts is not None]
        return sorted(float(packet.pts * packet.time_base) for packet in packets if packet.is_keyframe)


def key_before(recording: Path, moment: float) -> float:
    """When the last key picture before a moment begins, else the first one."""
    every = keys(recording)
    return max((key for key in every if key <= moment), default=every[0])


def read(path: Path) -> list[Frame]:
    with Reading(path, "keep", None) as video:
        return list(video.frames())


def test_a_clip_shows_the_alert_with_the_time_before_and_after(tmp_path: Path, recording: Path) -> None:
    files, frames = watched(tmp_path, recording, ClipConfig())
    one = alert(40.0, 44.0)
    files.picture(one)
    clip = files.clip(one, ORIGIN)
    assert clip == Clip(f"clips/yard/{one.id}.mp4", None, pytest.approx(ORIGIN + key_before(recording, 35.0), abs=1e-4))
    pictures = read(tmp_path / str(clip.name))
    (first,) = [n for n, frame in enumerate(frames) if np.array_equal(frame.image, pictures[0].image)]
    assert first / RATE <= 40.0 - 5.0  # the key picture before
    assert first / RATE + pictures[-1].end == pytest.approx(44.0 + 2.0, abs=0.4)
    for ours, theirs in zip(pictures, frames[first:], strict=False):
        np.testing.assert_array_equal(ours.image, theirs.image)
    for kind, form in (("snapshot", "JPEG"), ("thumb", "WEBP")):
        with Image.open(tmp_path / str(files.name(kind, one))) as image:
            assert (image.format, image.size) == (form, (64, 48))


@pytest.fixture(scope="module")
def read_once(tmp_path_factory: pytest.TempPathFactory, recording: Path) -> tuple[AlertFiles, list[Frame]]:
    """The files of a camera whose stream was read, and its pictures."""
    return watched(tmp_path_factory.mktemp("read"), recording, ClipConfig())


@settings(max_examples=10)
@given(st.floats(3.0, 58.0), st.floats(0.0, 20.0), st.floats(0.0, 12.0), st.floats(0.0, 3.0), st.booleans())
def test_each_time_in_a_clip_is_a_time_of_the_camera(
    recording: Path,
    read_once: tuple[AlertFiles, list[Frame]],
    start: float,
    length: float,
    before: float,
    after: float,
    packets: bool,
) -> None:
    whole, frames = read_once
    files = AlertFiles(whole.folder, ClipConfig(before_seconds=before, after_seconds=after))
    files.snapshots = whole.snapshots
    files._packets = whole._packets if packets else files._packets
    if not packets:
        start = max(start, frames[-1].end - 28.0)  # of the pictures for snapshots the last 30 s are kept, two a second
        length = max(length, 0.6)
    one = alert(start, min(start + length, frames[-1].end))
    clip = files.clip(one, ORIGIN)
    assert clip.name is not None and clip.start is not None
    starts = np.array([frame.start for frame in frames])
    for shown in read(whole.folder / clip.name):
        at = clip.start + shown.start - ORIGIN
        number = int(np.abs(starts - at).argmin())
        assert at == pytest.approx(starts[number], abs=1e-3)
        if packets:
            np.testing.assert_array_equal(shown.image, frames[number].image)
        else:  # encoded again
            around = frames[max(0, number - 4) : number + 5]
            off = [np.abs(shown.image.astype(int) - frame.image).mean() for frame in around]
            assert around[int(np.argmin(off))] is frames[number]
    if packets:
        assert clip.start == pytest.approx(ORIGIN + key_before(recording, start - before), abs=1e-3)


@pytest.mark.parametrize(
    ("config", "note"),
    [
        (ClipConfig(longest_seconds=10.0), "at most"),
        (ClipConfig(longest_seconds=0.0), None),
        (ClipConfig(memory="1kB"), "two pictures a second"),
    ],
)
def test_what_a_clip_lacks_is_said(tmp_path: Path, recording: Path, config: ClipConfig, note: str | None) -> None:
    files, _ = watched(tmp_path, recording, config)
    clip = files.clip(alert(35.0, 58.0), ORIGIN)
    assert (note in str(clip.note)) if note else clip == Clip(None, None)
    if clip.name:
        assert read(tmp_path / clip.name)[-1].end <= max(config.longest_seconds, 27.0) + 1


def test_a_source_without_packets_gives_a_clip_of_the_pictures_that_are_kept(tmp_path: Path) -> None:
    files = AlertFiles(tmp_path, ClipConfig())
    files.ring()
    assert files.clip(alert(1.0, 4.0), ORIGIN) == Clip(None, "its pictures are not encoded as a video")
    for index in range(20):
        files.snapshots.add(ORIGIN + index / 2, picture(index, 64 if index > 4 else 32))
    clip = files.clip(alert(5.0, 6.0), ORIGIN)
    assert "two pictures a second" in str(clip.note)
    pictures = read(tmp_path / str(clip.name))
    assert [frame.start for frame in pictures] == pytest.approx([index / 2 for index in range(12)])


def test_packets_are_released_as_scores_come(tmp_path: Path, recording: Path) -> None:
    files, _ = watched(tmp_path, recording, ClipConfig(before_seconds=1.0))
    ring: Packets = files._packets
    whole = ring.bytes
    files.release(50.0, 1.0, event=True)
    assert ring.bytes == whole
    files.release(50.0, 1.0, event=False)
    assert ring.bytes < whole
    assert files.clip(alert(48.0, 49.0), ORIGIN).name


@pytest.mark.parametrize("settings", [{"memory": "much"}, {"before_seconds": -1.0}, {"longest_seconds": float("nan")}])
def test_wrong_settings_are_errors(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="clips"):
        ClipConfig(**settings)


def stored(folder: Path, count: int, size: int = 1000) -> list[str]:
    """Alerts, one an hour, with three files each."""
    database, names = Database(folder), []
    for number in range(count):
        one = alert(3600.0 * number, 3600.0 * number + 5, number)
        for kind in retention.KINDS:
            path = folder / kind / "yard" / f"{one.id}.x"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(bytes(size))
        fields = (one.id, "yard", one.start, one.end, "alert", 0.9, 0.5, "[]", "ok", f"clips/yard/{one.id}.x")
        query = "INSERT INTO item(id, camera, t0, t1, severity, score, threshold, zones_json, state, clip) VALUES"
        database.write(f"{query} (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", *fields)
        names.append(one.id)
    database.close()
    return names


class Left(NamedTuple):
    items: list[str]
    files: set[str]


def left(folder: Path) -> Left:
    database = Database(folder)
    items = [id for (id,) in database.rows("SELECT id FROM item WHERE review != 'expired' ORDER BY t0")]
    database.close()
    return Left(items, {path.stem for kind in retention.KINDS for path in (folder / kind).rglob("*.*")})


@pytest.mark.parametrize(
    ("days", "size", "remain"), [(7.0, "1GB", 10), (3.5 / 24, "1GB", 4), (7.0, "15kB", 5), (1 / 24, "15kB", 1)]
)
def test_the_oldest_alerts_go_by_days_and_by_bytes(tmp_path: Path, days: float, size: str, remain: int) -> None:
    names = stored(tmp_path, 10)
    killed = tmp_path / "clips" / "yard" / f"{ORIGIN - 3600 * 24 * 10:.6f}-gone.mp4"  # before it was stored
    killed.write_bytes(b"")
    other = tmp_path / "clips" / "yard" / "my own.mp4"
    other.write_bytes(b"")
    database = Database(tmp_path)
    clean(tmp_path, database, StoreConfig(str(tmp_path), days, size), ORIGIN + 3600.0 * 9 + 60)
    database.close()
    assert left(tmp_path) == (names[-remain:], {*names[-remain:], "my own"})


HOUR = 1 / 24  # of days
STATES = st.lists(st.sampled_from(("open", "false", "true", "unsure", "used")), min_size=1, max_size=12)


def judged(database: Database, id: str, verdict: str) -> None:
    """Give an alert a verdict; *used*: one that a model has learned from, *open*: none."""
    if verdict != "open":
        judge(database, id, "false" if verdict == "used" else verdict, ORIGIN)
    if verdict == "used":
        database.write("UPDATE item SET review = 'used' WHERE id = ?", id)


@settings(max_examples=25)
@given(STATES, st.integers(1, 12), st.integers(1, 12), st.integers(0, 40))
def test_what_was_judged_stays_until_a_model_learned_from_it_its_days_are_over_or_the_room_is(
    tmp_path_factory: pytest.TempPathFactory, verdicts: list[str], hours: int, judged_hours: int, thousands: int
) -> None:
    folder, count = tmp_path_factory.mktemp("store"), len(verdicts)
    names = stored(folder, count)
    config = StoreConfig(str(folder), hours * HOUR, f"{thousands}kB", judged_hours * HOUR)
    with Database(folder) as database:
        database.write("PRAGMA synchronous = OFF")
        for name, verdict in zip(names, verdicts, strict=True):
            judged(database, name, verdict)
        clean(folder, database, config, ORIGIN + 3600.0 * (count - 1) + 1)
        states = dict(database.rows("SELECT id, review FROM item"))
        clips = dict(database.rows("SELECT id, clip FROM item"))
        lost = Lost.of(text for (text,) in database.rows("SELECT value_json FROM fact WHERE name = 'lost_verdicts'"))
    there = left(folder).files
    ages = dict(zip(names, range(count - 1, -1, -1), strict=True))  # hours, nearly
    waiting = {name for name, verdict in zip(names, verdicts, strict=True) if verdict in ("false", "true")}
    keeps = [name for name in names if ages[name] < (max(hours, judged_hours) if name in waiting else hours)]
    order = sorted(keeps, key=lambda name: (name in waiting and ages[name] < judged_hours, name))
    assert there == set(order[max(0, len(order) - thousands // 3) :]), "3 kB each: the oldest go, what was judged last"
    usual = {"open": "open", "false": "judged", "true": "judged", "unsure": "judged", "used": "used"}
    for name, verdict in zip(names, verdicts, strict=True):
        gone = name not in there
        assert states[name] == ("expired" if gone and verdict == "open" else usual[verdict])
        assert (clips[name] is None) is gone
    expected = len([name for name in keeps if name in waiting and ages[name] < judged_hours and name not in there])
    assert (lost.verdicts if lost is not None else 0) == expected


def test_rows_stay_for_sixty_days(tmp_path: Path) -> None:
    names = stored(tmp_path, 3)
    with Database(tmp_path) as database:
        judged(database, names[1], "true")
        for days, rest in ((59.0, names), (60.03, names[1:]), (61.0, [])):
            clean(tmp_path, database, StoreConfig(str(tmp_path)), ORIGIN + days * 86400)
            assert [id for (id,) in database.rows("SELECT id FROM item ORDER BY t0")] == rest
    assert left(tmp_path).files == set()


def test_status_and_log_say_what_was_lost_and_all_that_shows_a_clip_expires_with_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (name, other), now = stored(tmp_path, 2), ORIGIN + 7200.0
    columns = "camera, t0, t1, severity, score, threshold, zones_json, state, clip"
    with Database(tmp_path) as database:
        database.write("INSERT INTO service VALUES (1, 7, ?, ?, NULL, '{}')", now, now)
        again = f"INSERT INTO item(id, repeat_of, {columns}) SELECT 'again', id, {columns} FROM item WHERE id = ?"
        missed = f"INSERT INTO item(id, source, {columns}) SELECT 'm-1', 'missed', {columns} FROM item WHERE id = ?"
        database.write(again, name)
        database.write(missed, other)
        judged(database, name, "true")
        judged(database, "m-1", "missed")
        with caplog.at_level(logging.WARNING, "wherewhen"):
            clean(tmp_path, database, StoreConfig(str(tmp_path), bytes="3kB"), now)
        assert "1 of them were judged" in caplog.text
        states = dict(database.rows("SELECT id, review FROM item"))
        assert states == {name: "judged", "again": "expired", other: "open", "m-1": "judged"}
        assert left(tmp_path).files == {other}, "it shows an event that a person marked"
    assert "clips of 1 judged alerts" in "".join(lines(overview(tmp_path, now + 60)))
    assert "judged alerts" not in "".join(lines(overview(tmp_path, now + 8 * 86400)))


@pytest.mark.parametrize(
    "name", ["yard/12.5-holiday.mp4", "yard/1.000000-a b.mp4", "1.000000-abc123.mp4", "a/b/1.000000-abc123.mp4"]
)
def test_recordings_that_only_look_like_alerts_stay(tmp_path: Path, name: str) -> None:
    path = tmp_path / "clips" / name
    path.parent.mkdir(parents=True)
    path.write_bytes(bytes(1000))
    database = Database(tmp_path)
    clean(tmp_path, database, StoreConfig(str(tmp_path), 1.0, "1B"), ORIGIN)
    database.close()
    assert path.stat().st_size == 1000


def test_room_is_made_by_removing_the_oldest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = stored(tmp_path, 6)
    with Database(tmp_path) as database:
        judged(database, names[0], "true")
    (tmp_path / retention.RESERVE).touch()
    usage = retention.shutil.disk_usage(tmp_path)

    def used(folder: Path) -> Any:
        files = sum(path.stat().st_size for kind in retention.KINDS for path in folder.rglob(f"{kind}/yard/*"))
        return usage._replace(free=20_000 - files)

    monkeypatch.setattr(retention.shutil, "disk_usage", used)
    assert make_room(tmp_path, 7_000)
    rest = [names[0], *names[3:]]  # what no model has learned from yet goes last
    assert left(tmp_path) == (rest, set(rest))
    assert not make_room(tmp_path, 21_000)
    assert left(tmp_path) == ([names[0]], set()), "what was judged does not expire"


def test_a_full_disk_costs_clips_and_never_alerts(
    small_disk: Path, fill: Callable[[Path], None], recording: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = small_disk / "store"
    database = Database(store, lambda: retention.make_room_for_messages(store))
    clean(store, database, StoreConfig(str(store)), ORIGIN)
    files, _ = watched(store, recording, ClipConfig())
    first = alert(35.0, 37.0, 1)
    files.picture(first)
    assert files.clip(first, ORIGIN).name
    fill(small_disk)
    with caplog.at_level(logging.WARNING, "wherewhen"):
        clips = []
        for number in range(2, 30):
            one = alert(36.0, 38.0, number)
            files.picture(one)
            clips.append(files.clip(one, ORIGIN))
            for kind in ("new", "end"):
                message = Message(one.id, kind, "yard", {"padding": "x" * 2000})  # type: ignore[arg-type]
                database.post(["kept"], f"{one.id}:{kind}", message, None)
    assert set(clips) == {Clip(None, "the disk is full")}
    assert len(database.waiting("kept", ORIGIN, 1000)) == 56
    database.close()
    texts = [record.getMessage() for record in caplog.records]
    assert sum("clips of alerts can't be written" in text for text in texts) == 1  # said once
    assert len(texts) <= 5, texts  # not one for each picture
    assert files.name("snapshot", first) is None  # the oldest went
    (small_disk / "other").unlink()
    again = alert(36.0, 38.0, 40)
    assert files.clip(again, ORIGIN).name


def test_a_database_is_opened_on_a_full_disk(small_disk: Path, fill: Callable[[Path], None]) -> None:
    store = small_disk / "store"
    database = Database(store)
    clean(store, database, StoreConfig(str(store)), ORIGIN)
    database.close()  # the last connection removes the files that the next one needs
    fill(small_disk)
    with pytest.raises(StoreError):
        Database(store)
    database = Database(store, lambda: retention.make_room_for_messages(store))
    assert database.write("DELETE FROM block")
    database.close()
