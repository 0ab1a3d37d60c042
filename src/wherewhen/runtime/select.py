"""Choice of engine and precision for a network on this machine: measured once, remembered, and verified."""

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
from wherewhen.runtime.devices import has_bf16, kind_of, machine, recall, remember, source_hash
from wherewhen.runtime.network import Network

log = logging.getLogger("wherewhen")

Clips: TypeAlias = Pixels | Callable[[], Pixels] | None
VERSION = 1  # of what is remembered: raise it when engines compute something else
AUTO = "auto"
CALIBRATION = 16  # clips that int8 takes its ranges from, at most
WORK = 5600  # clips that a choice is made for: an hour of video at 25 frames per second, a clip every 16 frames
WORTH_COMPILING = 120.0  # seconds: less work than this is not worth the wait for a compiler


@dataclass(frozen=True)
class Trial:
    """A candidate as it was measured: seconds to start and per clip, or why it is out."""

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
    """Let an engine run a backbone from now on, and say which; a backbone that is no network is left alone.

    ``clips``: some real ones, uint8 ``(N, T, H, W, 3)``, or what makes them: to measure with, and to calibrate int8.
    They are asked for only where this machine has not yet measured this network; without any, made-up pictures do.
    ``device``: cpu, cuda, or auto, a GPU where there is one; an engine that can't use a GPU runs on the processor.
    EngineError where the engine is missing, can't run the network or changes its features beyond ``BOUNDS``.
    """
    if not isinstance(backbone, Network):
        return NONE
    device = _device(engine, precision, device)
    key = _key(type(backbone), backbone.config, engine, precision, device)
    known = remembered(type(backbone), backbone.config, engine, precision, device)
    kept = None if known is None else _kept(key) if known.calibration else _drawn(backbone)
    if known is not None and kept is not None:
        backbone.run = Batched(_made(known, backbone, kept)[0], known.batch)
        return known
    real = _real(backbone, clips, precision)
    trials = list(_tried(backbone, engine, precision, device, real))
    best, runner = _chosen(trials, engine, precision)
    backbone.run = Batched(runner, best.running.batch)
    if best.running.calibration:
        with Spare(_kept_at(key)):
            save(_kept_at(key), {"clips": real}, {"of": key})
    told = {key: {"running": asdict(best.running), "tried": [asdict(trial) for trial, _ in trials]}}
    for trial, _ in trials:  # whoever asks for one of them by name finds it measured
        if not trial.why_not:
            named = _key(type(backbone), backbone.config, trial.running.engine, trial.running.precision, device)
            told.setdefault(named, {"running": asdict(trial.running)})
    remember(told)
    _tell(type(backbone).__name__, best, [trial for trial, _ in trials])
    return best.running


def remembered(
    kind: type[Any], config: Any, engine: str = AUTO, precision: str = AUTO, device: str = AUTO
) -> EngineChoice | None:
    """What runs a kind of backbone here by earlier measurement, without building it; None where nobody measured."""
    if not issubclass(kind, Network):
        return NONE
    device = _device(engine, precision, device)
    found = recall(_key(kind, config, engine, precision, device))
    return None if found is None else replace(EngineChoice(**found["running"]), device=device)


def _device(engine: str, precision: str, device: str) -> str:
    """``auto`` becomes cuda where there is one; what no engine does on a GPU as it is asked for, the processor does."""
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
    """EngineError where no engine can run a network as it is asked for; the processor does what no GPU does."""
    candidates(engine, precision, _device(engine, precision, device))


def candidates(engine: str, precision: str, device: str) -> list[tuple[str, str]]:
    """Engines and precisions to measure, the surest first; EngineError where nothing fits what is asked for."""
    order = ("torch", "openvino", "onnx", "compile")
    known = sorted(registry.names("engines"), key=lambda name: order.index(name) if name in order else len(order))
    if engine != AUTO and engine not in known:
        raise EngineError(unknown("engine", engine, known))
    pairs = []
    for name in known if engine == AUTO else [engine]:
        plugin = registry.load("engines", name)
        if kind_of(device) in plugin.devices:
            wanted = [p for p in ("fp32", "bf16") if p in plugin.precisions and (p == "fp32" or has_bf16(device))]
            wanted = wanted if precision == AUTO else [precision] if precision in plugin.precisions else []
            pairs += [(name, one) for one in wanted]
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
    for name, one in pairs:
        if len(pairs) > 1 and name == "compile" and WORK * least < WORTH_COMPILING:
            continue
        running = EngineChoice(name, one, device=device, batch=_batch(backbone, device))
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
    runner, setup = _made(running, backbone, clips)
    run = Batched(runner, running.batch)
    try:
        relative, cosine = deviation(plain, run(clips))
        batch = clips[[k % len(clips) for k in range(running.batch)]]
        seconds = min(_timed(lambda: runner(batch)) for _ in range(3)) / running.batch
    except Exception as error:  # whatever a library throws: the engine can't run this network
        raise _cannot(running, backbone, error) from None
    running = replace(running, relative=float(f"{relative:.3g}"), cosine=float(f"{cosine:.7g}"))
    return Trial(running, setup, seconds), runner


def _made(running: EngineChoice, backbone: Network, clips: Pixels) -> tuple[Engine, float]:
    """An engine for a backbone, and the seconds that it took to make."""
    plugin = registry.load("engines", running.engine)
    plugin.version()
    start = perf_counter()
    try:
        made: Engine = plugin(backbone.module, running.batch, clips, running.precision, running.device)
    except EngineError:
        raise
    except Exception as error:
        raise _cannot(running, backbone, error) from None
    return made, perf_counter() - start


def _cannot(running: EngineChoice, backbone: Network, error: Exception) -> EngineError:
    told = (str(error).strip().splitlines() or [type(error).__name__])[0]
    name = type(backbone).__name__
    return EngineError(f"engine {running.engine} can't run {name} in {running.precision} here ({told}); "
                       "use engine torch, precision fp32")  # fmt: skip


def _chosen(trials: list[tuple[Trial, Engine | None]], engine: str, precision: str) -> tuple[Trial, Engine]:
    """The candidate that does the work soonest, of those that keep the features; EngineError where there is none."""
    asked = engine != AUTO and precision != AUTO
    for (trial, runner), number in zip(trials, range(len(trials)), strict=True):
        bounds = BOUNDS[trial.running.precision]
        if precision == AUTO and trial.running.precision != "fp32":
            bounds = AUTO_BOUNDS
        if not trial.why_not and not trial.running.within(bounds):
            trials[number] = (replace(trial, why_not=_too_far(trial.running, bounds)), runner)
    good = [(trial, runner) for trial, runner in trials if not trial.why_not and runner is not None]
    if not good:
        reasons = "; ".join(trial.why_not for trial, _ in trials)
        raise EngineError(reasons if asked else f"no engine can run this network here: {reasons}")
    return min(good, key=lambda pair: pair[0].cost)


def _too_far(running: EngineChoice, bounds: tuple[float, float]) -> str:
    return (
        f"engine {running.engine} in {running.precision} changes the features too much: relative error "
        f"{running.relative:.3g}, cosine {running.cosine:.5g} to plain fp32, allowed are {bounds[0]:g} and "
        f"{bounds[1]:g}; use a finer precision"
    )


def _real(backbone: Network, clips: Clips, precision: str) -> Pixels:
    given = clips() if callable(clips) else clips
    if given is not None and len(given):
        return backbone.prepared(given[:CALIBRATION])
    if precision == "int8":
        raise EngineError("precision int8 needs real clips for calibration, and there are none; use bf16 or fp32")
    return _drawn(backbone)


def _drawn(backbone: Network) -> Pixels:
    """Two clips of drifting clouds with a bright square: not noise, which no network has ever seen."""
    import cv2

    height, width = backbone.clip.size or (112, 144)
    frames, rng = backbone.clip.frames, np.random.default_rng(0)
    ground = cv2.GaussianBlur(rng.normal(0, 1, (height, width + 2 * frames, 3)).astype(np.float32), (0, 0), 4)
    wide = cv2.normalize(ground, None, 20, 230, cv2.NORM_MINMAX).astype(np.uint8)  # type: ignore[call-overload]
    made = np.stack([[wide[:, s * k : s * k + width] for k in range(frames)] for s in (0, 1)])
    made[:, :, height // 3 : height // 2, width // 3 : width // 2] = 240
    return made


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
        [VERSION, name, code, config, kind.identity(config), engine, precision, kind_of(device), machine()]
    )


def _kept_at(key: str) -> Path:
    return cache_folder() / "engines" / f"{key}.safetensors"


def _kept(key: str) -> Pixels | None:
    """The clips that int8 once took its ranges from: other ones would make other features."""
    try:
        return load(_kept_at(key))[0]["clips"]
    except StoreError:
        return None


def _digest(clips: Pixels) -> str:
    return hashlib.sha256(np.ascontiguousarray(clips).tobytes()).hexdigest()


def _tell(name: str, best: Trial, trials: list[Trial]) -> None:
    """Say what was picked and why."""
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
