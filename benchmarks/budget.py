"""How the budget of a service holds: simulated cameras, drawn cameras, and held-out halves of real footage.

    python benchmarks/budget.py simulated [--cameras 1000] [--per-day 10]
    python benchmarks/budget.py drawn [--cameras 20] [--days 10] [--clips 20] [--adapt 10]
    python benchmarks/budget.py halves DATA [--fold 0]

Minutes go the way of `watch`: into the database of a service, from there to a calibration, a threshold and the tracker.
No alarm is judged. *Simulated* peaks are uniform, so that the true rate of each threshold is known. *Drawn* cameras are
scenes of `wherewhen toy`; one model, trained on other scenes and adapted to each with other normal clips, scores their
clips. Days of normal life are RESAMPLED: each minute has clips of the camera, drawn with replacement, with frequencies
over several powers of ten that change from day to day. So they have rare events and clustered days, but no more kinds
of events than there are clips.
*Halves*: a model is trained on a fold, and its normal test clips are divided in two, many times: the threshold that the
first half promises (in blocks of a second, for the lowest rate that it can promise) and the rate in the second half.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy is loaded

import argparse
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np

import wherewhen
from wherewhen import datasets
from wherewhen.budget.blocks import BLOCK, DAY, DURATIONS, Blocks, Lasting, blocks_of
from wherewhen.budget.bounds import days_for
from wherewhen.budget.calibration import calibrate
from wherewhen.budget.tail import Tail
from wherewhen.core.values import Floats
from wherewhen.data_tools.toy_videos import toy
from wherewhen.inference.model import Model
from wherewhen.live.alerts import AlertConfig
from wherewhen.live.budgeting import BudgetConfig, CameraBudget, ModelRecord
from wherewhen.live.database import Database

BEGIN = 20_000 * DAY
MINUTES = int(DAY / BLOCK)
CLIPS = 4  # in a minute
MODEL = ModelRecord("sha256:benchmark", 0.5)


@contextmanager
def service(folder: str) -> Iterator[Database]:
    """A database that is not written to the disk at once."""
    with closing(Database(Path(folder))) as database:
        database.write("PRAGMA synchronous = OFF")
        yield database


class Watched:
    """A camera of a service, whose minutes are given."""

    def __init__(self, database: Database, name: str, per_day: float) -> None:
        self.config = BudgetConfig(per_day)
        self.alerts = self.config.alerts(AlertConfig())
        self.database, self.name, self.minute = database, name, 0
        self.budget = CameraBudget(database, name, self.config, self.alerts, MODEL, BEGIN)

    def learn(self, peaks: Floats) -> None:
        """Minutes with peaks ``(N, 5)``, all at once."""
        starts = BEGIN + (self.minute + np.arange(len(peaks))) * BLOCK
        self.budget.store([Blocks(starts, np.full(len(peaks), BLOCK), peaks)], float(starts[-1]))
        self.minute += len(peaks)

    def day(self, peaks: Floats) -> tuple[int, int]:
        """Alarms that are sent in a day of minutes; and those that the threshold alone would give."""
        sent, alone, begin = 0, 0, 0
        index = self.column
        for number in np.flatnonzero(peaks[:, index] >= self.budget.level.threshold):
            self.learn(peaks[begin : number + 1])
            begin = int(number) + 1
            alone += 1
            if sent < (self.alerts.a_day or 0) and peaks[number, index] >= self.budget.raised:
                sent += 1
                at = BEGIN + self.minute * BLOCK
                columns = "id, camera, t0, t1, severity, score, threshold, zones_json, state, alerted, model_sha"
                row = (f"{self.name}-{at}", self.name, at, at, "alert", 1.0, 0.5, "[]", "ok", at, MODEL.sha)
                self.database.write(f"INSERT INTO item({columns}) VALUES ({', '.join('?' * len(row))})", *row)
                self.budget.count_alarms(at)
        if begin < len(peaks):
            self.learn(peaks[begin:])
        return sent, alone

    @property
    def column(self) -> int:
        """The place of the calibrated duration."""
        return DURATIONS.index(self.budget.level.duration)


def simulated(options: argparse.Namespace) -> None:
    """Uniform peaks: share of cameras whose true rate is within the budget, and alarms of the day after."""
    rng, per_day = np.random.default_rng(0), options.per_day
    needed = int(np.ceil(days_for(per_day) * MINUTES))
    rates, alarms, alone = [], [], []
    with tempfile.TemporaryDirectory() as folder, service(folder) as database:
        for number in range(options.cameras):
            camera = Watched(database, f"camera{number}", per_day)
            camera.learn(np.repeat(rng.random((needed, 1)), len(DURATIONS), 1))
            assert camera.budget.level.method == "bound"
            rates.append(MINUTES * (1 - min(camera.budget.level.threshold, 1.0)))
            sent, plain = camera.day(np.repeat(rng.random((MINUTES, 1)), len(DURATIONS), 1))
            alarms.append(sent)
            alone.append(plain)
    within = np.mean(np.array(rates) <= per_day)
    print(f"{options.cameras} cameras at their first promise ({needed} minutes), {per_day:g} alarms a day:")
    print(f"true rate within the budget: {within:.1%} of cameras; mean rate {np.mean(rates):.2f} a day")
    print(f"next day: {np.mean(alarms):.2f} alarms sent on average, {np.mean(alone):.2f} at the threshold alone")


class Clip(NamedTuple):
    """Peaks ``(5,)`` of a clip for each duration, and whether it is anomalous."""

    peaks: Floats
    anomalous: bool


def clip_peaks(model: Model, path: Path) -> Floats:
    """The highest score of a clip that lasts, for each duration."""
    frames = model.detect_one(path).prediction.frames
    assert frames is not None
    peaks: Floats = blocks_of(frames.edges, frames.values[:, 0, 0]).peaks.max(0)
    return peaks


def clips_of(model: Model, root: Path) -> list[Clip]:
    """All clips of a data set."""
    videos = datasets.reader_of(root).load(root).videos
    return [Clip(clip_peaks(model, video.path), bool(video.label)) for video in videos]


def days_of(peaks: Floats, days: int, rng: np.random.Generator) -> Iterator[Floats]:
    """Days of minutes ``(1440, 5)``, resampled from the peaks ``(C, 5)`` of normal clips."""
    usual = rng.lognormal(0, 3, len(peaks))
    for _ in range(days):
        frequency = usual * rng.lognormal(0, 1, len(peaks))
        chosen = rng.choice(len(peaks), (MINUTES, CLIPS), p=frequency / frequency.sum())
        yield peaks[chosen].max(1)


class Rule(NamedTuple):
    """How the threshold of a camera is chosen, and what follows: false alarms a day and recall of anomalous clips."""

    name: str
    alarms: float
    recall: float


def drawn(options: argparse.Namespace) -> None:
    """Drawn cameras: false alarms of days after the calibration, and the recall of anomalous clips."""
    kinds = tuple(options.kinds.split(","))
    size = {"seconds": options.seconds, "width": options.width, "height": options.width * 3 // 4, "rate": 12.5}
    rng, began, rules = np.random.default_rng(0), time.perf_counter(), dict[str, list[Rule]]()
    bounded, shares = list[bool](), list[float]()
    with tempfile.TemporaryDirectory() as folder, service(folder) as database:
        root = Path(folder)
        settings = {**size, "kinds": kinds, "quiet": True}
        toy(
            root / "train", clips_normal=options.train, clips_anomalous=options.train, cameras=5, scene=1000, **settings
        )
        model = wherewhen.train(root / "train", root / "run", settings={"method": options.method}, quiet=True)
        for number in range(options.cameras):
            scene, counts = root / f"scene{number}", {"clips_normal": options.clips, "clips_anomalous": options.events}
            toy(scene, **counts, scene=number, seed=number, **settings)
            own = model
            if options.adapt:
                footage = root / f"footage{number}"
                toy(
                    footage, clips_normal=options.adapt, clips_anomalous=0, scene=number, seed=1000 + number, **settings
                )
                own = wherewhen.adapt(root / "run", footage / "videos", root / f"run{number}", quiet=True)
            clips = clips_of(own, scene)
            normal = np.array([clip.peaks for clip in clips if not clip.anomalous])
            anomalous = np.array([clip.peaks for clip in clips if clip.anomalous])
            days = list(days_of(normal, 2 * options.days, rng))
            before, after = np.concatenate(days[: options.days]), days[options.days :]
            camera = Watched(database, f"camera{number}", 1.0)
            camera.learn(before)
            level, column = camera.budget.level, camera.column
            reached = float((anomalous[1::2, column] >= level.threshold).mean())
            counted = np.array([camera.day(day) for day in after]).mean(0)
            found = [Rule("the service", counted[0], reached), Rule("its threshold alone", counted[1], reached)]
            found += list(others(before, np.concatenate(after), anomalous, options.days, own.alarm))
            for rule in found:
                rules.setdefault(rule.name, []).append(rule)
            bounded.append(level.method == "bound")
            shares.append(level.calibration.share if level.calibration is not None else np.nan)
            about = f"{level.method}, {counted[0]:.2f} alarms a day, recall {reached:.2f}"
            print(f"camera {number}: {about}", flush=True)
    of = f"adapted with {options.adapt} clips" if options.adapt else "of other scenes"
    print(
        f"{options.cameras} drawn cameras, model {of}, {options.clips} normal and {options.events} anomalous clips "
        f"each of {options.seconds:g} s ({', '.join(kinds)}); {options.days} resampled days after {options.days}; "
        f"promise for {np.mean(bounded):.0%}; footage counts as {np.nanmean(shares):.2f} of its days"
    )
    head = ("threshold", "cameras with at most 1 false alarm a day", "false alarms a day", "recall")
    print(f"| {' | '.join(head)} |\n|---|---:|---:|---:|")
    for name, every in rules.items():
        alarms, recalls = (np.array([getattr(rule, field) for rule in every]) for field in ("alarms", "recall"))
        print(f"| {name} | {np.mean(alarms <= 1):.0%} | {alarms.mean():.2f} | {recalls.mean():.2f} |")
    print(f"{time.perf_counter() - began:.0f} s")


def others(before: Floats, after: Floats, anomalous: Floats, days: int, alarm: float) -> Iterator[Rule]:
    """Other ways to choose the threshold from the same minutes; one in two anomalous clips is confirmed before."""
    blocks = Blocks(np.arange(len(before)) * BLOCK, np.full(len(before), BLOCK), before)
    confirmed, rest = anomalous[::2], anomalous[1::2]

    def rule(name: str, threshold: float, column: int) -> Rule:
        alarms = float((after[:, column] >= threshold).sum()) / days
        return Rule(name, alarms, float((rest[:, column] >= threshold).mean()))

    chosen = calibrate(blocks, 1.0, confirmed=confirmed)
    yield rule("duration chosen by confirmed events", chosen.threshold, DURATIONS.index(chosen.duration))
    for column, duration in enumerate(DURATIONS[:4]):
        one = Blocks(blocks.starts, blocks.seconds, before[:, [column]], (duration,))
        yield rule(f"duration {duration:g} s", calibrate(one, 1.0).threshold, column)
    usual = DURATIONS.index(1.0)
    yield rule("Pareto tail, no promise", Tail.of(before[:, usual]).level(1.0, BLOCK), usual)
    yield rule("that of the model", alarm, usual)


def halves(options: argparse.Namespace) -> None:
    """Real footage: what the first half of the normal clips promises, and what the second half shows."""
    source = datasets.reader_of(options.data)
    fold = source.load(options.data).folds[options.fold]
    with tempfile.TemporaryDirectory() as folder:
        settings = {"method": options.method}
        model = wherewhen.train(options.data, Path(folder) / "run", fold=fold.name, settings=settings, quiet=True)
        every = [(seconds_of(model, video.path), bool(video.label)) for video in fold.test]
    normal = [blocks for blocks, label in every if not label]
    anomalous = [blocks.peaks.max() for blocks, label in every if label]
    rng, kept, recalls, rates = np.random.default_rng(0), [], [], []
    for _ in range(options.splits):
        order = rng.permutation(len(normal))
        parts = [Blocks.joined([normal[k] for k in half]) for half in np.array_split(order, 2)]
        per_day = days_for(1.0) / parts[0].days * 1.0001
        chosen = calibrate(parts[0], per_day)
        if chosen.method != "bound":
            continue
        rate = float((parts[1].peaks[:, 0] >= chosen.threshold).sum()) / parts[1].days
        rates.append(rate / 24)
        kept.append(rate <= per_day)
        recalls.append(np.mean(np.array(anomalous) >= chosen.threshold))
    seconds = sum(len(blocks.starts) for blocks in normal)
    print(f"{options.data.name}, fold {fold.name}: {len(normal)} normal test clips, {seconds} s; "
          f"{len(anomalous)} anomalous ones")  # fmt: skip
    print(f"{len(kept)} divisions: rate in the second half within the promise of the first: {np.mean(kept):.1%}; "
          f"promise {days_for(1.0) / (seconds / 2 / 3600):.0f} blocks of 1 s an hour, "
          f"mean rate {np.mean(rates):.0f}; recall of anomalous clips {np.mean(recalls):.2f}")  # fmt: skip


def seconds_of(model: Model, path: Path) -> Blocks:
    """Blocks of a second of a clip, with the peak that lasts half a second."""
    frames = model.detect_one(path).prediction.frames
    assert frames is not None
    lasting, count = Lasting(0.5), max(1, int(frames.edges[-1] - frames.edges[0]))
    peaks = np.full(count, -np.inf)
    for start, end, score in zip(frames.edges[:-1], frames.edges[1:], frames.values[:, 0, 0], strict=True):
        place = min(count - 1, int(start - frames.edges[0]))
        peaks[place] = max(peaks[place], lasting(float(start), float(end), float(score)))
    return Blocks(np.arange(count, dtype=float), np.ones(count), peaks[:, None], (0.5,))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=("simulated", "drawn", "halves"))
    parser.add_argument("data", type=Path, nargs="?", help="of halves")
    parser.add_argument("--cameras", type=int, help="default 1000 simulated, 20 drawn ones")
    parser.add_argument("--per-day", type=float, default=10.0, help="budget of simulated cameras")
    parser.add_argument("--days", type=int, default=10, help="to learn from, and as many after these")
    parser.add_argument("--clips", type=int, default=20, help="normal clips of a drawn camera")
    parser.add_argument("--events", type=int, default=6, help="its anomalous clips")
    parser.add_argument(
        "--train", type=int, default=30, help="clips of each label, of other scenes, that train the model"
    )
    parser.add_argument("--adapt", type=int, default=10, help="other normal clips that adapt it; 0: none")
    parser.add_argument("--kinds", default="running,wheels", help="kinds of anomaly, between commas")
    parser.add_argument("--seconds", type=float, default=6.0, help="of a drawn clip")
    parser.add_argument("--width", type=int, default=96, help="of it in pixels")
    parser.add_argument("--method", default="cuboid_mil")
    parser.add_argument("--fold", type=int, default=0)
    parser.add_argument("--splits", type=int, default=500, help="divisions of the normal clips")
    options = parser.parse_args()
    options.cameras = options.cameras or {"simulated": 1000}.get(options.part, 20)
    {"simulated": simulated, "drawn": drawn, "halves": halves}[options.part](options)


if __name__ == "__main__":
    main()
