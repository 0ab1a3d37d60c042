"""Days of cameras in minutes: memory, disk, killed processes, and alerts compared with those of the files offline.

    python benchmarks/soak.py [MODEL] [--hours 24] [--speed 60] [--cameras 4] [--kills 4] [--rate 2] [--bytes 2MB]
        [--recording 3600]

Without MODEL, ``cuboid_mil`` is trained on 24 clips of a minute that are drawn in the same way. Two recordings of
``--recording`` seconds are drawn, one by day in color and one by night in gray, of 64x48 pixels, ``--rate`` pictures a
second and an event in five minutes. ``wherewhen watch`` replays them in turn at ``--speed`` for all cameras, with a
store of ``--bytes`` and a file of messages. At random moments processes of cameras are killed (SIGKILL); each begins
again with the first recording then. The service ends by SIGTERM once each camera watched ``--hours``. Every recording
that was watched to its end must have the alerts that it has offline, each with one ``new`` and one ``end``. Replays
drop no pictures.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from wherewhen.inference.model import Model
from wherewhen.live.alerts import AlertConfig, Alerts
from wherewhen.live.database import Database
from wherewhen.live.retention import size_of
from wherewhen.video.writer import Writer

SIZE, EVERY, HOUR = (48, 64), 300, 3600  # EVERY: seconds from event to event
SLOW, FAST = 2.0, 20.0  # pixels a second
KINDS = ("day", "night")
ALERTS: dict[str, Any] = {"duration": 3.0, "gap_seconds": 5.0, "cooldown_seconds": 60.0}
Ended = tuple[float, float]  # length and highest score of an alert


class Sample(NamedTuple):
    """A look at the service: seconds since its start, memory of each process and the disk of its store in bytes."""

    seconds: float
    memory: dict[str, int]
    disk: int


def draw(path: Path, kind: str, rate: float, length: int, starts: list[float], seed: int) -> None:
    """A recording: a figure and a spot creep along a wall, in noise; the figure is fast for 15 s from each start on."""
    wall = np.kron(np.random.default_rng(KINDS.index(kind)).integers(60, 160, (12, 16, 3)), np.ones((4, 4, 1)))
    coat = np.kron(np.random.default_rng(7).integers(40, 220, (4, 6, 3)), np.ones((5, 4, 1)))
    rng = np.random.default_rng(seed)
    place, other = rng.uniform(0, SIZE[1] - 24, 2)
    with Writer(path, rate) as writer:
        for number in range(round(length * rate)):
            is_event = any(start <= number / rate < start + 15 for start in starts)
            place = (place + (FAST if is_event else SLOW) / rate) % (SIZE[1] - 24)
            other = (other + SLOW / rate) % (SIZE[1] - 10)
            picture = wall + rng.integers(-3, 4, (*SIZE, 3))
            picture[12:32, int(place) : int(place) + 24] = coat
            picture[36:44, int(other) : int(other) + 10] = (40, 90, 200)
            if kind == "night":
                picture = np.repeat(picture.mean(2, keepdims=True) * 0.6, 3, 2)
            writer.write(picture.clip(0, 255).astype(np.uint8))


def trained(folder: Path, rate: float) -> Path:
    """A model of such recordings: twelve clips of a minute with an event, twelve without."""
    for number in range(24):
        label = ("normal", "anomalous")[number % 2]
        (folder / "clips" / label).mkdir(parents=True, exist_ok=True)
        starts = [float(np.random.default_rng(number).uniform(10, 40))] if number % 2 else []
        path = folder / "clips" / label / f"{number}.mp4"
        draw(path, KINDS[number // 2 % 2], rate, 60, starts, 100 + number)
    words = [sys.executable, "-m", "wherewhen", "train", str(folder / "clips"), "--method", "cuboid_mil", "--quiet"]
    subprocess.run([*words, "--output", str(folder / "model"), "--device", "cpu"], check=True)
    return folder / "model"


def offline(model: Model, path: Path, threshold: float) -> list[Ended]:
    """The alerts of a file."""
    alerts, ended, last = Alerts("file", threshold, AlertConfig(**ALERTS)), [], 0.0
    for step in model.stream(path):
        if step.frames is None:
            continue
        for (start, last), score in zip(pairwise(step.frames.edges), step.frames.values[:, 0, 0], strict=True):
            ended += [change.alert for change in alerts(start, last, float(score), step.boxes) if change.kind == "end"]
    ended += [change.alert for change in alerts.gap(last)]
    return [(alert.end - alert.start, alert.top_score) for alert in ended if alert.severity == "alert" and alert.end]


def plays_of(options: argparse.Namespace) -> int:
    """How many recordings each camera watches."""
    return round(options.hours * HOUR / options.recording)


def threshold_of(model: Model, path: Path) -> float:
    """A threshold between the usual scores of a file and its highest ones."""
    scores = [
        float(score) for step in model.stream(path) if step.frames is not None for score in step.frames.values[:, 0, 0]
    ]
    return float((np.quantile(scores, 0.5) + np.quantile(scores, 0.999)) / 2)


def processes(service: subprocess.Popen[bytes]) -> dict[str, int]:
    """The processes of a service, by camera where the log has told it; else by number."""
    found = {"service": service.pid}
    for child in Path(f"/proc/{service.pid}/task/{service.pid}/children").read_text().split():
        if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes():
            found[child] = int(child)
    return found


def memory(number: int) -> int:
    """Resident memory of a process in bytes."""
    try:
        return int(Path(f"/proc/{number}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError):
        return 0


def disk(store: Path) -> int:
    """Bytes of pictures and clips."""
    total = 0
    for name in ("snapshots", "thumbs", "clips"):
        for path in (store / name).rglob("*"):
            try:
                total += path.stat().st_size if path.is_file() else 0
            except FileNotFoundError:
                continue
    return total


def opened(log: Path) -> dict[str, list[str]]:
    """The kind of each hour that each camera opened, in order; "killed" where its process died."""
    found: dict[str, list[str]] = {}
    for line in log.read_text().splitlines():
        entry = json.loads(line) if line.startswith("{") else {}
        if entry.get("event") == "open":
            kind = KINDS[int(Path(entry["message"].split(": ", 1)[1].removesuffix(" is open")).stem) % 2]
            found.setdefault(entry["camera"], []).append(kind)
        elif entry.get("event") == "died":
            found.setdefault(entry["camera"], []).append("killed")
    return found


def compared(hours: list[str], expected: dict[str, list[Ended]], ended: list[Ended]) -> tuple[int, int, int]:
    """Alerts that whole hours must have, those of them that are missing, and other ones beyond those of cut hours."""
    place = wanted = lost = other = 0
    for number, kind in enumerate(hours):
        if kind == "killed":
            continue
        is_cut = number + 1 == len(hours) or hours[number + 1] == "killed"
        wanted += 0 if is_cut else len(expected[kind])
        for one in expected[kind]:
            if place < len(ended) and np.allclose(ended[place], one, atol=(0.02, 1e-3), rtol=0):
                place += 1
            elif is_cut:
                place += place < len(ended) and not _is_first(ended[place], hours, number, expected)
                break
            else:
                lost += 1
    other = len(ended) - place
    return wanted, lost, other


def _is_first(one: Ended, hours: list[str], number: int, expected: dict[str, list[Ended]]) -> bool:
    """Whether an alert is the first of the next hour, not the end of one that was cut."""
    following = next((kind for kind in hours[number + 1 :] if kind != "killed"), None)
    return following is not None and bool(np.allclose(one, expected[following][0], atol=(0.02, 1e-3), rtol=0))


def main() -> None:
    """Run, compare, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, nargs="?", help="run folder of a trained model; default: one is trained")
    parser.add_argument("--hours", type=float, default=24)
    parser.add_argument("--speed", type=float, default=60.0)
    parser.add_argument("--cameras", type=int, default=4)
    parser.add_argument("--kills", type=int, default=4)
    parser.add_argument("--recording", type=int, default=HOUR, help="seconds")
    parser.add_argument("--rate", type=float, default=2.0, help="pictures a second")
    parser.add_argument("--bytes", default="2MB")
    parser.add_argument("--minutes", type=float, default=60.0, help="end after so many minutes in any case")
    parser.add_argument("--output", type=Path, help="folder that is kept; default: a temporary one")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        run(options, (options.output or Path(temporary)).absolute())


def run(options: argparse.Namespace, folder: Path) -> None:
    """The soak in a folder."""
    (folder / "week").mkdir(parents=True, exist_ok=True)
    for kind in KINDS:
        rng = np.random.default_rng(KINDS.index(kind))
        starts = [EVERY * (k + 0.3 + 0.4 * rng.random()) for k in range(options.recording // EVERY)]
        draw(folder / f"{kind}.mp4", kind, options.rate, options.recording, starts, KINDS.index(kind))
    for number in range(plays_of(options) + 1):
        (folder / "week" / f"{number:04d}.mp4").symlink_to(folder / f"{KINDS[number % 2]}.mp4")
    run_folder = options.model or trained(folder, options.rate)
    model = Model.load(str(run_folder), device="cpu")
    threshold = threshold_of(model, folder / "day.mp4")
    expected = {kind: offline(model, folder / f"{kind}.mp4", threshold) for kind in KINDS}
    print({kind: len(alerts) for kind, alerts in expected.items()}, "alerts of a recording offline", flush=True)
    names = [f"camera{number}" for number in range(options.cameras)]
    camera = {"url": str(folder / "week"), "speed": options.speed, "alerts": {**ALERTS, "threshold": threshold}}
    store = {"path": str(folder / "live"), "bytes": options.bytes}
    sinks = {"file": {"path": str(folder / "messages.jsonl")}}
    config = {
        "model": str(run_folder.absolute()),
        "store": store,
        "sinks": sinks,
        "cameras": dict.fromkeys(names, camera),
    }
    (folder / "cameras.yaml").write_text(json.dumps(config))
    log = folder / "log.jsonl"
    words = [sys.executable, "-m", "wherewhen", "watch", str(folder / "cameras.yaml"), "--device", "cpu"]
    began, samples = time.monotonic(), list[Sample]()
    with log.open("wb") as errors:
        service = subprocess.Popen([*words, "--log-format", "json"], stderr=errors)
        stopped = watched(service, options, folder, samples)
    minutes = (time.monotonic() - began) / 60
    report(options, folder, samples, expected, minutes, stopped)


def watched(
    service: subprocess.Popen[bytes], options: argparse.Namespace, folder: Path, samples: list[Sample]
) -> float:
    """Sample and kill until each camera watched its hours; how long the service took to end."""
    rng, began = random.Random(0), time.monotonic()
    length = options.hours * HOUR / options.speed
    moments = sorted(rng.uniform(0.05, 0.6) * length for _ in range(options.kills))
    while service.poll() is None and time.monotonic() - began < 60 * options.minutes:
        time.sleep(5)
        seconds, found = time.monotonic() - began, processes(service)
        samples.append(Sample(seconds, {name: memory(pid) for name, pid in found.items()}, disk(folder / "live")))
        if moments and seconds > moments[0] and len(found) > 1:
            moments.pop(0)
            os.kill(found[rng.choice([name for name in found if name != "service"])], signal.SIGKILL)
        hours = opened(folder / "log.jsonl")
        whole = [len([kind for kind in one if kind != "killed"]) - one.count("killed") for one in hours.values()]
        if len(whole) == options.cameras and min(whole) > plays_of(options):
            break
    asked = time.monotonic()
    service.terminate()
    service.wait(60)
    return time.monotonic() - asked


def report(
    options: argparse.Namespace, folder: Path, samples: list[Sample], expected: dict[str, list[Ended]], minutes: float,
    stopped: float,
) -> None:  # fmt: skip
    """Print the figures."""
    messages = [json.loads(line) for line in (folder / "messages.jsonl").read_text().splitlines()]
    hours, pace = opened(folder / "log.jsonl"), 0.0
    total = [0, 0, 0]
    for name, kinds in hours.items():
        own = [one for one in messages if one["camera"] == name and one["type"] in ("new", "end")]
        keys = [(one["after"]["id"], one["type"]) for one in own]
        ended = [one["after"] for one in own if one["type"] == "end"]
        found = [(after["end_time"] - after["start_time"], after["top_score"]) for after in ended]
        wanted, lost, other = compared(kinds, expected, found)
        total = [a + b for a, b in zip(total, (wanted, lost, other), strict=True)]
        doubled, unmatched = len(keys) - len(set(keys)), len({id for id, _ in keys}) * 2 - len(set(keys))
        whole = sum(a != "killed" != b for a, b in pairwise(kinds))
        pace += whole
        counts = f"{wanted} alerts expected, {lost} lost, {other} other"
        print(f"{name}: {whole} whole recordings, {kinds.count('killed')} kills; {counts}")
        print(f"{name}: {doubled} messages sent twice, {unmatched} alerts without new or end")
    counts = f"{total[0]} alerts expected, {total[1]} lost, {total[2]} other"
    print(f"{pace * options.recording / HOUR:.1f} hours of camera time in {minutes:.1f} minutes; {counts}")
    for name in dict.fromkeys(name for sample in samples for name in sample.memory):
        rows = [(sample.seconds, sample.memory[name] / 2**20) for sample in samples if sample.memory.get(name)]
        settled = np.array(rows[len(rows) // 5 :])
        if len(settled) < 10:
            continue
        slope = np.polyfit(settled[:, 0] * options.speed / HOUR, settled[:, 1], 1)[0]
        first, last = settled[: len(settled) // 4, 1].mean(), settled[-len(settled) // 4 :, 1].mean()
        print(f"memory of process {name}: {first:.1f} MiB, at the end {last:.1f} MiB; {slope:+.3f} MiB a camera hour")
    highest = max(sample.disk for sample in samples)
    database = Database(folder / "live")
    waiting = database.rows("SELECT COUNT(*) FROM outbox")[0][0]
    database.close()
    print(f"disk: {highest / 1e6:.2f} MB at most of {size_of('store.bytes', options.bytes) / 1e6:g} MB; "
          f"database {(folder / 'live' / 'live.db').stat().st_size / 1e6:.2f} MB")  # fmt: skip
    print(f"ended in {stopped:.1f} s; {waiting} messages left")


if __name__ == "__main__":
    main()
