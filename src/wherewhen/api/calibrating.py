"""Calibration of a model's threshold on normal footage, with a confidence bound on false alarms a day."""

from __future__ import annotations

import logging
from pathlib import Path

from wherewhen.api import detection, results
from wherewhen.api.logs import LOG, log_file
from wherewhen.api.runs import next_folder, point_latest
from wherewhen.api.training_data import NAME as DATA
from wherewhen.api.training_data import hand_on
from wherewhen.budget.blocks import BLOCK, BlockMaker, Blocks
from wherewhen.budget.calibration import Calibration
from wherewhen.budget.calibration import calibrate as calibration_of
from wherewhen.core import outputs
from wherewhen.core.config import write_yaml
from wherewhen.core.errors import DataError, expected
from wherewhen.core.extents import TICK
from wherewhen.core.store import atomic, write_json
from wherewhen.inference.model import Model
from wherewhen.inference.normal_time import rate
from wherewhen.video.reader import Damaged

log = logging.getLogger("wherewhen")

RECORD = "calibration.json"
BLOCKS = "blocks.parquet"
FOOTAGE = "footage"
WRITTEN = (RECORD, BLOCKS, LOG, DATA, "weights/best.safetensors", "weights/last.safetensors")
"""Files that a calibration writes into its folder, besides its settings and the results of the footage."""


def calibrate(
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
) -> tuple[Model, Calibration]:
    """Choose a threshold for at most so many false alarms a day on normal footage, and write a run folder.

    Every alarm in the footage counts as false, so it must not be footage that the model was trained on. The bound is
    that of `wherewhen.budget.calibration.calibrate`. The model is not changed. Results of the footage are kept in
    ``footage/``, so that another budget, or more footage, reads only new videos.

    Args:
        model: run folder of a trained or adapted model, or the model.
        footage: folder of videos, file or glob: recordings of the camera without anomalies; days are best.
        output: run folder to write; None: a new one below ``runs/``.
        alarms_per_day: wished number of false alarms a day.
        which: best or last checkpoint of the run folder.
        device: auto, cpu or cuda.
        trust: run the code in the TorchScript file that the model names, if it names one.
        resume: skip videos whose results are in ``output``.
        damaged: keep uses a damaged video as far as it can be read; set-aside lists it in ``quarantine.json``.
        quiet: no progress bars.

    Returns:
        The model with the threshold, and the calibration.

    Raises:
        DataError: less than 20 minutes of footage, footage of the training, or scores that can't be told apart.
        OutputError: a file that the toolkit did not write would be replaced.
    """
    if not isinstance(model, str | Path | Model):
        raise expected("model", "the path of a run folder, or a model", model)
    rate(alarms_per_day)
    source = model if isinstance(model, Model) else Model.load(model, which, device, trust=trust)
    folder = Path(output) if output else next_folder("runs", "calibrate")
    outputs.check_folder(folder, (*WRITTEN, "config.yaml"))
    recordings, quarantine = detection.detect(
        source, str(footage), folder / FOOTAGE, render=False, resume=resume, quiet=quiet, damaged=damaged
    )
    with log_file(folder):
        blocks = blocks_in(folder / FOOTAGE, source.trained_on)
        log.info("%d videos of %s: %.3g hours", len(recordings), footage, blocks.days * 24)
        calibration = calibration_of(blocks, alarms_per_day)
        if calibration.threshold > 1:
            raise DataError(
                f"the footage reaches the highest score, 1, more often than {alarms_per_day:g} times a day: no "
                "threshold can tell its alarms apart; adapt the model to this camera first (wherewhen adapt)"
            )
        calibrated = with_calibration(source, calibration)
        _write_blocks(folder / BLOCKS, blocks)
        if not (folder / "config.yaml").exists():
            write_yaml(folder / "config.yaml", calibrated.config.plain())
        for name in ("best", "last"):
            calibrated.save(folder / "weights" / f"{name}.safetensors")
        if not isinstance(model, Model):
            hand_on(Path(model), folder)
        record = {**calibration.plain(), "promise": calibration.lines(), "quarantined": len(quarantine.reasons)}
        write_json(folder / RECORD, record)
        for line in calibration.lines():
            log.log(logging.WARNING if calibration.method == "extrapolated" else logging.INFO, "%s", line)
    point_latest(folder)
    return calibrated, calibration


def with_calibration(model: Model, calibration: Calibration) -> Model:
    """The model whose alarms are those that a calibration counts.

    An alarm lasts at least the calibrated duration without a pause, no lower score prolongs it, and the next one starts
    a block later at the earliest.
    """
    return model.with_localizer(
        alarm=calibration.threshold, keep=0.5, gap_seconds=0.0, shortest_seconds=calibration.duration,
        cooldown_seconds=BLOCK,
    )  # fmt: skip


def blocks_in(output: Path, trained_on: tuple[str, ...] = ()) -> Blocks:
    """The blocks of all results in an output folder of `detect`, one video after the other; DataError without any.

    ``trained_on``: content hashes of videos whose results must not be there.
    """
    parts, offset = [], 0.0
    for path in results.all_of(output):
        result = results.read(path)
        if result is None:
            continue
        if result.about.sha256 in trained_on:
            raise DataError(
                f"{result.about.file}: the model was trained on this video, so its scores there are too low; calibrate "
                "on other footage"
            )
        scores = result.prediction.frames
        assert scores is not None  # results have a time step
        maker, edges, values = BlockMaker(), scores.edges + offset, scores.values[:, 0, 0]
        for start, end, score in zip(edges[:-1], edges[1:], values, strict=True):
            parts += list(maker(float(start), float(end), float(score)))
        parts += list(maker.close())
        offset = BLOCK * float((edges[-1] - TICK) // BLOCK + 1)
    if not parts:
        raise DataError(f"{output}: no results of videos; the reasons are in {output / 'quarantine.json'}")
    return Blocks.joined(parts)


def _write_blocks(path: Path, blocks: Blocks) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = {f"peak_{duration:g}s": blocks.peaks[:, number] for number, duration in enumerate(blocks.durations)}
    with atomic(path) as draft:
        pq.write_table(pa.table({"start": blocks.starts, "seconds": blocks.seconds, **columns}), draft)
