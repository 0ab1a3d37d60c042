"""Adaptation of a trained model to another camera, from unlabelled footage, into a run folder of its own."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

from wherewhen.api import extraction
from wherewhen.api.logs import LOG, log_file
from wherewhen.api.runs import check_names, next_folder, point_latest
from wherewhen.core import outputs
from wherewhen.core.config import flat, write_yaml
from wherewhen.core.documents import read_json
from wherewhen.core.errors import ConfigError, DataError, expected
from wherewhen.core.feature_file import content
from wherewhen.core.store import fingerprint, plain, write_json
from wherewhen.core.values import Bag, Video
from wherewhen.evaluation import pages
from wherewhen.extraction import frame_rates, loading
from wherewhen.inference.exported import Exported
from wherewhen.inference.model import Model
from wherewhen.inference.normal_time import CONFIDENCE, DAY, NormalTime, rate
from wherewhen.training.adapting import Adapted, adapted
from wherewhen.video.batch import Quarantine
from wherewhen.video.reader import Damaged
from wherewhen.visualization.report import Facts

log = logging.getLogger("wherewhen")

RECORD = "adaptation.json"
WRITTEN = (
    RECORD, "report.html", "quarantine.json", LOG, "weights/best.safetensors", "weights/last.safetensors",
)  # fmt: skip
"""Files that an adaptation writes into its folder, besides its settings."""


def adapt(
    model: str | Path | Model,
    footage: str | Path,
    output: str | Path | None = None,
    *,
    alarms_per_day: float = 1.0,
    which: str = "best",
    device: str = "auto",
    trust: bool = False,
    resume: bool = False,
    damaged: Damaged = "keep",
    quiet: bool = False,
) -> Model:
    """Adapt a model to a new camera from unlabelled, mostly normal footage of it, and write a run folder.

    Normalizers, bank of normal cells, what the method stores of normal videos, calibration and threshold are of the new
    camera; the weights are those of the model, whose folder is not changed. Unreadable videos are listed in
    ``quarantine.json``.

    Args:
        model: run folder of a trained model, or the model.
        footage: folder of videos, file or glob: recordings of one camera; at least 30 seconds, better hours.
        output: run folder to write; None: a new one below ``runs/``.
        alarms_per_day: wished number of false alarms a day, which chooses the threshold.
        which: best or last checkpoint of the run folder.
        device: auto, cpu or cuda.
        trust: run the code in the TorchScript file that the model names, if it names one.
        resume: continue an interrupted adaptation in ``output``.
        damaged: keep uses a damaged video as far as it can be read; set-aside lists it in ``quarantine.json``.
        quiet: no progress bars.

    Returns:
        The adapted model.

    Raises:
        DataError: there is too little footage, or it has anomalous labels.
        ConfigError: ``output`` holds another run.
        OutputError: a file that the toolkit did not write would be replaced.
    """
    if not isinstance(model, str | Path | Model):
        raise expected("model", "the path of a run folder, or a model", model)
    rate(alarms_per_day)
    source = model if isinstance(model, Model) else Model.load(model, which, device, trust=trust)
    if isinstance(source.method, Exported):
        raise ConfigError(
            "adapt: an exported run can't learn; adapt the run that it was exported from, then export that"
        )
    videos = _footage(footage)
    folder = Path(output) if output else next_folder("runs", "adapt")
    request = _Request.of(source, None if isinstance(model, Model) else Path(model), videos, alarms_per_day)
    if _finished(folder, request, resume):
        log.info("%s: finished already", folder)
        return Model.load(folder, device=device, trust=source.trusted)
    check_names(folder, WRITTEN, ())
    with outputs.reading(video.path for video in videos), log_file(folder):
        start = perf_counter()
        quarantine = Quarantine(folder, damaged)
        outputs.remove(quarantine.file)
        write_json(folder / RECORD, {"request": request.plain})
        if not (folder / "config.yaml").exists():
            write_yaml(folder / "config.yaml", source.config.plain())
        log.info("adapting %s to %d videos of %s", request.plain["model"] or "a model", len(videos), footage)
        bags = _bags(source, videos, quarantine, quiet)
        extracted = perf_counter() - start
        result = adapted(source, bags, alarms_per_day)
        hashes = {content(bag.video.path) for bag in bags}
        result.model.trained_on = tuple(sorted({*source.trained_on, *hashes}))
        for name in ("best", "last"):
            result.model.save(folder / "weights" / f"{name}.safetensors")
        seconds = {"reading": extracted, "adapting": perf_counter() - start - extracted}
        _write(folder, request, result, bags, seconds, quarantine)
    point_latest(folder)
    return result.model


def _footage(footage: str | Path) -> list[Video]:
    """The videos of the footage; DataError where some have an anomalous label."""
    if not isinstance(footage, str | Path):
        raise expected("footage", "the path of a folder of videos, a file or a glob", footage)
    videos = list(extraction.sources(footage).dataset.videos)
    anomalous = [video.id for video in videos if video.label == 1]
    if anomalous:
        names = ", ".join(anomalous[:3])
        raise DataError(
            f"{footage}: {len(anomalous)} of {len(videos)} videos have an anomalous label ({names}); adapt to normal "
            "footage, such as the folder of normal videos alone"
        )
    return videos


@dataclass(frozen=True)
class _Request:
    """What a run folder is adapted from: plain values, which a resumed run compares."""

    plain: Mapping[str, Any]

    @classmethod
    def of(cls, model: Model, run: Path | None, videos: Sequence[Video], per_day: float) -> _Request:
        """The request for a model (of a run folder, or in memory) and footage; missing files have no content."""
        weights = {"trained_on": model.trained_on, "threshold": model.threshold, "config": model.config.plain()}
        footage = [{"id": video.id, "span": plain(video.span), **_content(video)} for video in videos]
        return cls({
            "model": None if run is None else str(run), "weights": fingerprint([weights, _weights(model)]),
            "alarms_per_day": float(per_day), "footage": footage,
        })  # fmt: skip

    def check(self, folder: Path) -> None:
        """ConfigError where a folder holds another adaptation."""
        before, now = flat(read_json(folder / RECORD).get("request") or {}), flat(plain(self.plain))
        other = [key for key in ("alarms_per_day", "weights", "footage") if before.get(key) != now.get(key)]
        if other:
            names = {"weights": "another model", "footage": "other footage"}
            changes = " and ".join(names.get(key, f"{before.get(key)} alarms a day") for key in other)
            raise ConfigError(f"{folder}: started with {changes}; choose another --output")


def _content(video: Video) -> dict[str, str]:
    return {"sha256": content(video.path)} if video.path.exists() else {}


def _weights(model: Model) -> list[float]:
    """A number for each tensor of the method, to recognize it by."""
    return [float(tensor.double().sum()) for tensor in model.method.state_dict().values()]


def _finished(folder: Path, request: _Request, resume: bool) -> bool:
    """Whether a folder holds this adaptation already; ConfigError for another run, or for any without ``resume``."""
    if not (folder / "config.yaml").exists() and not (folder / RECORD).exists():
        return False
    if not resume or not (folder / RECORD).exists():
        advice = "add --resume to continue it, or choose" if (folder / RECORD).exists() else "choose"
        raise ConfigError(f"{folder}: holds a run already; {advice} another --output")
    request.check(folder)
    return (folder / "report.html").exists()


def _bags(model: Model, videos: Sequence[Video], quarantine: Quarantine, quiet: bool) -> Sequence[Bag]:
    """The features of the footage; DataError where no video can be read."""
    specs = model.config.feature_specs(model.device)
    bags = loading.gathered(videos, specs, quarantine=quarantine, quiet=quiet)
    if not bags:
        raise DataError(f"none of the {len(videos)} videos can be read; the reasons are in {quarantine.file}")
    frame_rates.warn_of_videos([bag.video for bag in bags], specs.values())
    return bags


def _write(
    folder: Path, request: _Request, result: Adapted, bags: Sequence[Bag], seconds: Mapping[str, float],
    quarantine: Quarantine,
) -> None:  # fmt: skip
    """Write the record and the page of a finished adaptation."""
    model, time, per_day = result.model, result.model.normal_time, request.plain["alarms_per_day"]
    assert time is not None and model.adaptation is not None
    notes = _notes(result, time, per_day)
    for note in notes:
        log.warning("%s", note)
    count, bound = time.count(model.threshold), time.bound(model.threshold)
    threshold = {
        "raw_score": model.threshold, "alarms_per_day": per_day, "alarms": count, "hours": time.hours,
        "measured_per_day": count * DAY / time.hours, "bound_per_day": bound, "confidence": CONFIDENCE,
    }  # fmt: skip
    outliers = [dict(zip(("video", "start", "end", "score"), row, strict=True)) for row in result.outliers]
    record = {
        "request": request.plain, "hours": result.hours, "threshold": threshold, "excluded": outliers,
        "seconds": seconds, "activity": model.adaptation.activity, "notes": notes,
    }  # fmt: skip
    write_json(folder / RECORD, record)
    rows = [
        ("footage", f"{result.hours:.2f} h, {len(bags)} videos"),
        ("excluded", f"{len(outliers)} blocks of 10 s"),
        ("wished false alarms", f"{per_day:g} a day"),
        ("measured at the threshold", f"{count} in {time.hours:.2f} h"),
        ("bound (95 %)", f"{bound:.3g} a day"),
        ("time", f"{seconds['reading']:.0f} s reading, {seconds['adapting']:.0f} s adapting"),
    ]
    facts = [
        Facts("Threshold", ("value",), rows, "Scores are of footage by a model that was adapted to other footage.")
    ]
    if outliers:
        times = [(row[0], f"{row[1]:.1f} s", f"{row[2]:.1f} s", f"{row[3]:.2f}") for row in result.outliers]
        facts.append(Facts("Excluded", ("from", "to", "raw score"), times))
    pages.adaptation_page(
        folder / "report.html", f"Adaptation: {folder.name}", notes=notes, facts=facts,
        activity=model.adaptation.activity, video=bags[0].video, settings=model.config.plain(), quarantine=quarantine,
    )  # fmt: skip
    log.info("the raw score %.3f is the threshold: %d alarms in %.2f h", model.threshold, count, time.hours)


def _notes(result: Adapted, time: NormalTime, per_day: float) -> list[str]:
    """What a user should know about the footage."""
    notes = []
    if result.outliers:
        notes.append(
            f"{len(result.outliers)} blocks of 10 s score far above all others and were excluded; check "
            "them: if they are normal, the threshold gives more alarms than wished"
        )
    if result.unclear:
        notes.append(
            f"{result.unclear} more blocks score far above the others: too many to be excluded, so they count as "
            "normal; check that the footage is mostly normal"
        )
    if (caution := time.caution(per_day)) is not None:
        notes.append(caution)
    return notes
