"""Choice of engine and precision for a network on this machine: measured once, cached, and verified."""

from __future__ import annotations

import hashlib
import inspect
import logging
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import Any, TypeAlias

import numpy as np

from wherewhen.core import registry
from wherewhen.core.array_files import load, save
from wherewhen.core.contracts import Backbone, Engine
from wherewhen.core.errors import EngineError, StoreError, unknown
from wherewhen.core.store import Spare, cache_folder, fingerprint
from wherewhen.core.values import Features, Pixels
from wherewhen.runtime.batching import AUTO_BOUNDS, BOUNDS, NONE, Batched, EngineChoice, deviation
from wherewhen.runtime.devices import has_bf16, has_tiles, kind_of, machine, recall, remember, source_hash
from wherewhen.runtime.network import Network

log = logging.getLogger("wherewhen")

Clips: TypeAlias = Pixels | Callable[[], Pixels] | None
VERSION = 2  # of the measurements: raise it when engines compute something else
AUTO = "auto"
CALIBRATION = 16  # most clips that int8 is calibrated on
WORK = 5600  # clips that a choice is made for: an hour of video at 25 frames per second, a clip every 16 frames
WORTH_COMPILING = 120.0  # seconds: less work than this is not worth the wait for a compiler


@dataclass(frozen=True)
class Trial:
    """A measured candidate: seconds to start and per clip, or why it is excluded."""

    running: EngineChoice
    setup: float = float("inf")
    clip: float = float("inf")
    why_not: str = ""

    @property
    def cost(self) -> float:
        """Seconds for the work that a choice is made for."""
        return self.setup + WORK * self.clip


def attach(
    backbone: Backbone, engine: str = AUTO, precision: str = AUTO, device: str = AUTO, clips: Clips = None
) -> EngineChoice:
    """Let an engine run a backbone from now on, and return the choice; a backbone that is no network is unchanged.

    ``clips``: real ones, uint8 ``(N, T, H, W, 3)``, or a function that returns them, to measure and to calibrate int8.
    They are used only where this machine has not measured this network yet; by default synthetic pictures are used.
    ``device``: cpu, cuda, or auto, a GPU where there is one; an engine that can't use a GPU runs on the processor.
    EngineError where the engine is missing, can't run the network or changes its features beyond ``BOUNDS``.
    """
    if not isinstance(backbone, Network):
        return NONE
    device = _device(engine, precision, device)
    key = _key(type(backbone), backbone.config, engine, precision, device)
    choice = remembered(type(backbone), backbone.config, engine, precision, device)
    calibration_clips = None if choice is None else _calibration_clips(key) if choice.calibration else _drawn(backbone)
    if choice is not None and calibration_clips is not None:
        backbone.run = Batched(_created(choice, backbone, calibration_clips)[0], choice.batch)
        return choice
    real = _real(backbone, clips, precision)
    trials = list(_tried(backbone, engine, precision, device, real))
    best, runner = _chosen(trials, engine, precision)
    backbone.run = Batched(runner, best.running.batch)
    if best.running.calibration:
        with Spare(_calibration_file(key)):
            save(_calibration_file(key), {"clips": real}, {"of": key})
    entries = {key: {"running": asdict(best.running), "tried": [asdict(trial) for trial, _ in trials]}}
    for trial, _ in trials:  # each candidate is also kept under its own name
        if not trial.why_not:
            own_key = _key(type(backbone), backbone.config, trial.running.engine, trial.running.precision, device)
            entries.setdefault(own_key, {"running": asdict(trial.running)})
    remember(entries)
    _log_choice(type(backbone).__name__, best, [trial for trial, _ in trials])
    return best.running


def remembered(
    kind: type[Any], config: Any, engine: str = AUTO, precision: str = AUTO, device: str = AUTO
) -> EngineChoice | None:
    """The measured choice for a kind of backbone on this machine, without building it; None where there is none."""
    if not issubclass(kind, Network):
        return NONE
    device = _device(engine, precision, device)
    entry = recall(_key(kind, config, engine, precision, device))
    return None if entry is None else replace(EngineChoice(**entry["running"]), device=device)


def _device(engine: str, precision: str, device: str) -> str:
    """``auto`` becomes cuda where there is one; cpu where no engine of that name and precision runs on a GPU."""
    import torch

    if device == AUTO:
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cpu":
        return device
    try:
        candidates(engine, precision, device)
    except EngineError:
        return "cpu"
    return device


def check(engine: str, precision: str, device: str = AUTO) -> None:
    """EngineError where no engine of that name and precision can run a network on this machine."""
    candidates(engine, precision, _device(engine, precision, device))


def candidates(engine: str, precision: str, device: str) -> list[tuple[str, str]]:
    """Engines and precisions to measure, the surest first; EngineError where there is none."""
    order = ("torch", "openvino", "onnx", "compile")
    names = sorted(registry.names("engines"), key=lambda name: order.index(name) if name in order else len(order))
    if engine != AUTO and engine not in names:
        raise EngineError(unknown("engine", engine, names))
    pairs = []
    for name in names if engine == AUTO else [engine]:
        plugin = registry.load("engines", name)
        if kind_of(device) in plugin.devices:
            precisions = [p for p in ("fp32", "bf16") if p in plugin.precisions and (p == "fp32" or has_bf16(device))]
            precisions = precisions if precision == AUTO else [precision] if precision in plugin.precisions else []
            pairs += [(name, choice) for choice in precisions]
    if not pairs:
        raise EngineError(f"engine {engine} has no {precision} on {device}; see wherewhen list engines")
    return pairs


def _tried(
    backbone: Network, engine: str, precision: str, device: str, clips: Pixels
) -> Iterator[tuple[Trial, Engine | None]]:
    """Every candidate measured against the plain module."""
    plain = np.concatenate([backbone.plain(clip[None]) for clip in clips])
    pairs = candidates(engine, precision, device)
    least = float("inf")
    for name, own_precision in pairs:
        if len(pairs) > 1 and name == "compile" and WORK * least < WORTH_COMPILING:
            continue
        running = EngineChoice(name, own_precision, device=device, batch=_batch(backbone, device))
        try:
            running = replace(running, version=registry.load("engines", name).version())
            trial, runner = _measured(running, backbone, clips, plain)
        except EngineError as error:
            trial, runner = Trial(running, why_not=str(error)), None
        least = min(least, trial.clip)
        yield trial, runner


def _measured(running: EngineChoice, backbone: Network, clips: Pixels, plain: Features) -> tuple[Trial, Engine]:
    if running.precision == "int8":
        running = replace(running, calibration=fingerprint([list(clips.shape), _digest(clips)]))
    runner, setup = _created(running, backbone, clips)
    run = Batched(runner, running.batch)
    try:
        relative, cosine = deviation(plain, run(clips))
        batch = clips[[k % len(clips) for k in range(running.batch)]]
        seconds = min(_timed(lambda: runner(batch)) for _ in range(3)) / running.batch
    except Exception as error:  # any error of a library: the engine can't run this network
        raise _cannot(running, backbone, error) from None
    running = replace(running, relative=float(f"{relative:.3g}"), cosine=float(f"{cosine:.7g}"))
    return Trial(running, setup, seconds), runner


def _created(running: EngineChoice, backbone: Network, clips: Pixels) -> tuple[Engine, float]:
    """An engine for a backbone, and the seconds that its creation took."""
    plugin = registry.load("engines", running.engine)
    plugin.version()
    start = perf_counter()
    try:
        runner: Engine = plugin(backbone.module, running.batch, clips, running.precision, running.device)
    except EngineError:
        raise
    except Exception as error:
        raise _cannot(running, backbone, error) from None
    return runner, perf_counter() - start


def _cannot(running: EngineChoice, backbone: Network, error: Exception) -> EngineError:
    reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
    name = type(backbone).__name__
    return EngineError(f"engine {running.engine} can't run {name} in {running.precision} here ({reason}); "
                       "use engine torch, precision fp32")  # fmt: skip


def _chosen(trials: list[tuple[Trial, Engine | None]], engine: str, precision: str) -> tuple[Trial, Engine]:
    """The fastest candidate of those within the bounds; EngineError where there is none."""
    is_explicit = engine != AUTO and precision != AUTO
    for (trial, runner), number in zip(trials, range(len(trials)), strict=True):
        bounds = BOUNDS[trial.running.precision]
        if precision == AUTO and trial.running.precision != "fp32":
            bounds = AUTO_BOUNDS
        if not trial.why_not and not trial.running.within(bounds):
            trials[number] = (replace(trial, why_not=_too_far(trial.running, bounds)), runner)
    good = [(trial, runner) for trial, runner in trials if not trial.why_not and runner is not None]
    if not good:
        reasons = "; ".join(trial.why_not for trial, _ in trials)
        raise EngineError(reasons if is_explicit else f"no engine can run this network here: {reasons}")
    return min(good, key=lambda pair: pair[0].cost)


def _too_far(running: EngineChoice, bounds: tuple[float, float]) -> str:
    return (
        f"engine {running.engine} in {running.precision} changes the features too much: relative error "
        f"{running.relative:.3g}, cosine {running.cosine:.5g} to plain fp32, allowed are {bounds[0]:g} and "
        f"{bounds[1]:g}; use a finer precision"
    )


def _real(backbone: Network, clips: Clips, precision: str) -> Pixels:
    pixels = clips() if callable(clips) else clips
    if pixels is not None and len(pixels):
        return backbone.prepared(pixels[:CALIBRATION])
    if precision == "int8":
        raise EngineError("precision int8 needs real clips for calibration, and there are none; use bf16 or fp32")
    return _drawn(backbone)


def _drawn(backbone: Network) -> Pixels:
    """Two clips of drifting clouds with a bright square, closer to real pictures than noise."""
    import cv2

    height, width = backbone.clip.size or (112, 144)
    frames, rng = backbone.clip.frames, np.random.default_rng(0)
    ground = cv2.GaussianBlur(rng.normal(0, 1, (height, width + 2 * frames, 3)).astype(np.float32), (0, 0), 4)
    wide = cv2.normalize(ground, None, 20, 230, cv2.NORM_MINMAX).astype(np.uint8)  # type: ignore[call-overload]
    clips = np.stack([[wide[:, s * k : s * k + width] for k in range(frames)] for s in (0, 1)])
    clips[:, :, height // 3 : height // 2, width // 3 : width // 2] = 240
    return clips


def _batch(backbone: Network, device: str) -> int:
    """Clips at once: enough pictures to keep a processor busy, or as many as a GPU's memory holds."""
    if kind_of(device) != "cuda":
        return max(1, 8 // backbone.clip.frames)
    import torch

    from wherewhen.runtime.tensors import called, shaped

    module, clip, peaks = backbone.module.to(device), _drawn(backbone), []
    try:
        for count in (1, 2):
            torch.cuda.reset_peak_memory_stats(device)
            called(module, shaped(clip, count), device)
            peaks.append(torch.cuda.max_memory_allocated(device))
        free = torch.cuda.mem_get_info(device)[0]
    finally:
        backbone.module.to("cpu")
    return int(np.clip(0.5 * free // max(1, peaks[1] - peaks[0]), 1, 64))


def _timed(call: Callable[[], object]) -> float:
    start = perf_counter()
    call()
    return perf_counter() - start


def _key(kind: type[Network], config: Any, engine: str, precision: str, device: str) -> str:
    code = source_hash(inspect.getfile(kind))
    name = f"{kind.__module__}.{kind.__name__}"
    return fingerprint(
        [VERSION, name, code, config, kind.identity(config), engine, precision, kind_of(device), machine(), has_tiles()]
    )


def _calibration_file(key: str) -> Path:
    return cache_folder() / "engines" / f"{key}.safetensors"


def _calibration_clips(key: str) -> Pixels | None:
    """The clips that int8 was calibrated on; other clips would give other features."""
    try:
        return load(_calibration_file(key))[0]["clips"]
    except StoreError:
        return None


def _digest(clips: Pixels) -> str:
    return hashlib.sha256(np.ascontiguousarray(clips).tobytes()).hexdigest()


def _log_choice(name: str, best: Trial, trials: list[Trial]) -> None:
    """Log the choice and its measurements."""
    rest = [trial for trial in trials if trial is not best]
    others = "; ".join(
        f"{t.running.engine} {t.running.precision}: "
        + (t.why_not or f"{1 / t.clip:.3g} clips/s, {t.setup:.1f} s to start")
        for t in rest
    )
    log.info(
        "%s runs on %s, %s: %.3g clips/s; its features are %.2g (relative) from plain fp32%s",
        name, best.running.engine, best.running.precision, 1 / best.clip, best.running.relative,
        f". Also measured: {others}" if others else "",
    )  # fmt: skip
