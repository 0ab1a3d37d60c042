"""How fast networks are on each engine and in each precision, beside plain torch and what the machine could do.

    python benchmarks/extract.py [--only i3d,c3d] [--modes torch:fp32,openvino:bf16] [--quick] [--video FILE] [--memory]

Plain is the module as it was published: not folded, contiguous, fp32. All modes of a network take turns in one process
and the probes of the machine's peak between them; a ratio is the median over rounds of the ratio inside a round, so
that what else runs on the machine falls on all alike. ``of peak`` is operations of convolutions and products per
second over those of the best probe of that precision in the same run. Compare ratios, never absolute numbers.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import threading
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import av
import cv2
import numpy as np
import torch

from wherewhen.core import registry
from wherewhen.core.config import build
from wherewhen.core.errors import EngineError
from wherewhen.runtime.batching import Batched, deviation
from wherewhen.runtime.devices import ISA_LIMITS, has_bf16, machine
from wherewhen.runtime.hardware import described
from wherewhen.runtime.network import Network
from wherewhen.runtime.select import candidates

NETWORKS: dict[str, dict[str, Any]] = {
    "i3d": {"layer": "mixed_4e", "frames": 16},
    "c3d": {"layer": "fc6"},
    "clip": {"layer": "embedding", "frames": 8, "sampling": 1},
    "x3d": {"variant": "s"},
    "uniformer": {"frames": 16, "sampling": 1, "stride": 16},
    "videomae": {},
    "shufflenet": {},
}
USUAL = ("i3d", "c3d", "clip", "x3d", "uniformer")
LIMITS = (*ISA_LIMITS, "ATEN_CPU_CAPABILITY")  # variables that keep libraries from some instruction sets
INT8 = 8  # clips to calibrate on


@dataclass
class Mode:
    """One way to run a network, and how long a batch took in each round."""

    name: str
    run: Callable[[Any], Any]
    setup: float
    far: tuple[float, float] = (0.0, 1.0)
    seconds: list[float] = field(default_factory=list)


def clouds(backbone: Network, count: int) -> Any:
    """Soft clouds that drift, with a bright square: pictures that a network answers to."""
    rng, made = np.random.default_rng(0), []
    height, width = backbone.clip.size or (224, 224)
    for number in range(count):
        wide = rng.normal(size=(height, width + 2 * backbone.clip.frames, 3)).astype(np.float32)
        wide = cv2.normalize(cv2.GaussianBlur(wide, (0, 0), 2 + number), None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)
        made.append(np.stack([wide[:, 2 * k : 2 * k + width] for k in range(backbone.clip.frames)]))
    return np.stack(made)


def warmed(name: str, settings: dict[str, Any], weights: str | None) -> Network:
    """A backbone; its random weights, if such, get batch statistics of real activations, so that nothing dies out."""
    plugin = registry.load("backbones", name)
    backbone: Network = plugin(build(plugin.Config, {**settings, "weights": weights or "random"}, name))
    norms = [m for m in backbone.module.modules() if isinstance(m, torch.nn.modules.batchnorm._BatchNorm)]
    if not weights and norms:
        for norm in norms:
            norm.momentum = None
            norm.reset_running_stats()
            norm.train()
        with torch.inference_mode(False), torch.no_grad():
            backbone.module(torch.from_numpy(clouds(backbone, 1)))
        backbone.module.eval()
    return backbone


def operations(backbone: Network, clips: Any) -> float:
    """Additions and multiplications of the convolutions and products for these clips."""
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter, torch.no_grad():
        backbone.module(torch.from_numpy(clips))
    return float(counter.get_total_flops())


def probes() -> dict[str, Callable[[], float]]:
    """Operations per second of what the machine does best, by precision: a deep convolution and a product."""
    found: dict[str, Callable[[], float]] = {}
    for name, kind in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        if name == "bf16" and not has_bf16("cpu"):
            continue
        conv = torch.nn.Conv3d(128, 256, 3, padding=1).to(kind).to(memory_format=torch.channels_last_3d)
        x = torch.randn(1, 128, 8, 28, 28, dtype=kind).to(memory_format=torch.channels_last_3d)
        a, b = torch.randn(1576, 768, dtype=kind), torch.randn(768, 3072, dtype=kind)

        def measured(conv: Any = conv, x: Any = x, a: Any = a, b: Any = b) -> float:
            with torch.inference_mode():
                one = min(timed(lambda: conv(x)) for _ in range(4))
                two = min(timed(lambda: a @ b) for _ in range(4))
            return max(2 * 128 * 256 * 27 * 8 * 28 * 28 / one, 2 * 1576 * 768 * 3072 / two)

        found[name] = measured
    return found


def timed(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def modes(backbone: Network, clips: Any, batch: int, only: list[str]) -> tuple[list[Mode], list[str]]:
    """Plain and every engine that there is, and why others are not."""
    plain = backbone.plain(clips[:2])
    found, missing = [Mode("plain fp32", Batched(backbone.plain, batch), 0.0)], []  # type: ignore[arg-type]
    pairs = [pair for precision in ("auto", "int8") for pair in candidates_of(precision)]
    if not has_bf16("cpu"):
        missing.append("bf16: this processor does not compute in it")
    for name, precision in pairs:
        if only and f"{name}:{precision}" not in only and name not in only:
            continue
        try:
            start = time.perf_counter()
            engine = registry.load("engines", name)(backbone.module, batch, clips, precision, "cpu")
            run = Batched(engine, batch)
            found.append(Mode(f"{name} {precision}", run, 0.0, deviation(plain, run(clips[:2]))))
            found[-1].setup = time.perf_counter() - start
        except Exception as error:  # a mode that can't be is told, the others go on
            missing.append(f"{name} {precision}: {str(error).splitlines()[0][:160]}")
    return found, missing


def candidates_of(precision: str) -> list[tuple[str, str]]:
    try:
        return candidates("auto", precision, "cpu")
    except EngineError:
        return []


def bench(name: str, options: argparse.Namespace) -> dict[str, Any]:
    """Measure one network in every mode and print a table."""
    backbone = warmed(name, NETWORKS[name], options.weights)
    batch = 8 if backbone.clip.frames == 1 else 1
    clips = clouds(backbone, max(INT8, batch))
    work = operations(backbone, clips[:batch]) / batch
    known, missing = modes(backbone, clips, batch, options.modes)
    peak = probes()
    best: dict[str, list[float]] = {precision: [] for precision in peak}
    for mode in known:
        mode.run(clips[:batch])
    for _ in range(options.rounds):
        for precision, probe in peak.items():
            best[precision].append(probe())
        for mode in known:
            mode.seconds.append(min(timed(lambda m=mode: m.run(clips[:batch])) for _ in range(options.repeats)) / batch)
    plain, rows = known[0], []
    for mode in known:
        rate = 1 / median(mode.seconds)
        ratio = median(p / s for p, s in zip(plain.seconds, mode.seconds, strict=True))
        of = max(best.get(mode.name.split()[-1], [0.0]) or [0.0])
        share = work * rate / of if of else None
        rows.append({"mode": mode.name, "clips_per_second": rate, "ratio": ratio, "of_peak": share, "setup": mode.setup,
                     "relative": mode.far[0], "cosine": mode.far[1]})  # fmt: skip
    _print(name, backbone, work, batch, rows, missing, {p: max(v) for p, v in best.items()})
    return {"network": name, "operations": work, "rows": rows, "missing": missing}


def _print(name: str, backbone: Network, work: float, batch: int, rows: list[dict[str, Any]], missing: list[str],
           peak: dict[str, float]) -> None:  # fmt: skip
    size = "x".join(map(str, (backbone.clip.frames, *(backbone.clip.size or ()))))
    told = ", ".join(f"{precision} {value / 1e9:.0f} GF/s" for precision, value in peak.items())
    print(f"\n{name} {size}: {work / 1e9:.1f} GF a clip, batch {batch}; best probe: {told}")
    print(f"{'mode':<16}{'clips/s':>9}{'x plain':>9}{'of peak':>9}{'start s':>9}{'rel. error':>12}{'cosine':>10}")
    for row in rows:
        share = f"{row['of_peak']:.0%}" if row["of_peak"] else "-"
        print(f"{row['mode']:<16}{row['clips_per_second']:>9.3g}{row['ratio']:>9.2f}{share:>9}{row['setup']:>9.1f}"
              f"{row['relative']:>12.2g}{row['cosine']:>10.6f}")  # fmt: skip
    for line in missing:
        print(f"  not measured: {line}")


# --- whole videos


def drawn(path: Path, seconds: int, rate: int = 25) -> Path:
    """A made-up surveillance video, H.264, 320x240."""
    rng = np.random.default_rng(0)
    ground = cv2.GaussianBlur(rng.integers(0, 255, (240, 320, 3), np.uint8), (0, 0), 3)
    with av.open(str(path), "w") as file:
        stream = file.add_stream("libx264", rate=rate, options={"preset": "ultrafast", "threads": "1"})
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        for k in range(seconds * rate):
            picture = ground.copy()
            cv2.rectangle(picture, (k * 3 % 300, 100), (k * 3 % 300 + 20, 140), (240, 240, 200), -1)
            file.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        file.mux(stream.encode())
    return path


def whole(name: str, video: Path, options: argparse.Namespace, memory: bool = False) -> dict[str, Any]:
    """Extraction of a video from file to instances, beside decoding alone; with ``memory``, how that grows."""
    from wherewhen.core.values import Video
    from wherewhen.extraction.extractor import FeatureSpec
    from wherewhen.video.reader import frames

    plugin = registry.load("backbones", name)
    chosen = {"weights": options.weights or "random"} if issubclass(plugin, Network) else {}
    settings = build(plugin.Config, {**NETWORKS.get(name, {}), **chosen}, name)
    look = FeatureSpec.named(name)
    look = type(look)(**{**vars(look), "backbone_settings": settings, "engine": options.engine,
                         "precision": options.precision})  # fmt: skip
    one = Video("v", video, 0)
    look.resolved_settings(one) if hasattr(look, "resolved_settings") else look.extract(
        one
    )  # the engine is measured and made before
    marks, done = [held()], threading.Event()

    def watch() -> None:
        while not done.wait(0.5):
            marks.append(held())

    watcher = threading.Thread(target=watch)
    watcher.start()
    count = sum(1 for _ in frames(video))
    decode, seen = [], []
    for _ in range(1 if memory else options.rounds):
        if not memory:
            decode.append(timed(lambda: sum(1 for _ in frames(video))))
        seen.append(timed(lambda: look.extract(one)))
    done.set()
    watcher.join()
    spent = median(seen)
    print(f"\n{name} on {video.name}: {count} frames, {count / spent:.1f} frames/s from file to instances", end="")
    if decode:
        print(f"; decoding alone {count / median(decode):.0f} ({spent / median(decode):.1f} times as long)", end="")
    quarter = max(1, len(marks) // 4)
    grown = median(marks[-quarter:]) - median(marks[quarter : 2 * quarter] or marks[:1])
    print(f"\n  memory MiB: {', '.join(f'{m:.0f}' for m in marks[:: max(1, len(marks) // 8)])}; "
          f"last quarter against second: {grown:+.0f}")  # fmt: skip
    return {"network": name, "frames": count, "seconds": spent, "decode": decode, "memory": marks, "grown": grown}


def held() -> float:
    """Memory of this process in MiB, without pages of mapped files, which the system takes back at will."""
    told = Path("/proc/self/status").read_text()
    return int(told.split("RssAnon:")[1].split()[0]) / 2**10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default=",".join(USUAL), help=f"of {', '.join(NETWORKS)}")
    parser.add_argument("--modes", default="", help="engines, or engine:precision, between commas; default: all")
    parser.add_argument("--weights", help="file or name of weights, with one network in --only; default: random")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--quick", action="store_true", help="two rounds, no compiler, no int8")
    parser.add_argument("--video", type=Path, help="extract this video too; default: one is drawn")
    parser.add_argument("--no-video", action="store_true", help="clips only")
    parser.add_argument("--engine", default="auto", help="for whole videos")
    parser.add_argument("--precision", default="auto", help="for whole videos")
    parser.add_argument("--memory", action="store_true", help="also watch memory over an hour of video, 5 frames/s")
    parser.add_argument("--json", type=Path, help="write every number to this file")
    options = parser.parse_args()
    options.modes = [mode for mode in options.modes.split(",") if mode]
    if options.quick:
        options.rounds, options.repeats = 2, 1
        options.modes = options.modes or ["torch", "onnx", "openvino:fp32", "openvino:bf16"]
    torch.set_num_threads(options.threads)
    cv2.setNumThreads(1)
    warnings.simplefilter("ignore")
    names = options.only.split(",")
    limits = [f"{name}={value}" for name in LIMITS if (value := os.environ.get(name))]
    print(", ".join([described(), *limits, f"{options.threads} threads, load {os.getloadavg()[0]:.1f}"]))
    print(json.dumps(machine()))
    told = [bench(name, options) for name in names]
    videos = []
    with tempfile.TemporaryDirectory() as folder:
        if not options.no_video:
            video = options.video or drawn(Path(folder) / "drawn.mp4", 20 if options.quick else 60)
            videos += [whole(name, video, options) for name in names[:1]]
        if options.memory:
            videos.append(whole(names[0], drawn(Path(folder) / "hour.mp4", 3600, 5), options, memory=True))
    if options.json:
        from wherewhen.core.store import write_json

        write_json(options.json, {"machine": machine(), "clips": told, "videos": videos})


if __name__ == "__main__":
    main()
