"""How fast methods learn at UCF-Crime's size, beside a plain loop on the same bags and the machine's matrix peak.

    python benchmarks/train.py [--quick] [--methods cuboid_mil,dmrm,rtfm,proximity] [--length 32] [--precision fp32]

Made-up features of 1,610 videos go to a temporary folder: ``cells``, 32 time steps of 7 x 7 cells of 528 numbers, and
``crops``, 32 time steps of 10 crops of 2,048. Ours: packed once, averaged into 32 segments once where ``--length`` is
more, a batch gathered into a buffer that stays. Plain: read and padded bag by bag into fresh memory at every step,
whole, so that the method averages them itself; ordinary dropout where ours is locked; an optimizer that walks through
its parameters. Both take the same steps with the same method. Processor seconds stand beside the clock's: other load
slows the clock, less so them, and the share of the peak is theirs. ``--quick`` takes a tenth of the videos and 12 bags
of each label, not 30.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from wherewhen.core import extents as ext
from wherewhen.core import registry
from wherewhen.core.contracts import View
from wherewhen.core.values import Bag, Instances, Video
from wherewhen.engines.torch import KINDS
from wherewhen.inference.model_config import ModelConfig
from wherewhen.methods._dropout import LockedDropout
from wherewhen.runtime.allocation import kept_memory
from wherewhen.runtime.hardware import described
from wherewhen.training import loop
from wherewhen.training.batches import Batches

SHAPES = {"cells": ((32, 7, 7), 528), "crops": ((32, 1, 10), 2048)}
VIDEOS = 1610


class Stored(Sequence[Bag]):
    """Made-up bags, their features float16 in one mapped file."""

    def __init__(self, folder: Path, shape: tuple[int, int, int], width: int, count: int) -> None:
        rng, cells = np.random.default_rng(0), int(np.prod(shape))
        path = folder / "features.npy"
        self.file = np.lib.format.open_memmap(path, "w+", np.float16, (count, cells, width))
        noise = rng.normal(size=(cells, width)).astype(np.float16)
        for k in range(count):
            self.file[k] = np.roll(noise, k, 0)
        self.file.flush()
        self.shape, self.extents = shape, ext.grid([0, 100, 0, 0, 1, 1], shape)

    def __len__(self) -> int:
        return len(self.file)

    def __getitem__(self, index: Any) -> Any:
        rows = Instances(self.file[index].astype(np.float32), self.extents, shape=self.shape)
        return Bag(Video(f"v{index}", Path("x"), index % 2), {"cells": rows})


def plain_batch(bags: Stored, chosen: list[int]) -> tuple[dict[str, View], torch.Tensor]:
    """Bag by bag into fresh memory."""
    sets = [bags[k].views["cells"] for k in chosen]
    longest = max(len(s.features) for s in sets)

    def padded(arrays: list[Any], dtype: torch.dtype) -> torch.Tensor:
        batch = torch.zeros((len(arrays), longest, *arrays[0].shape[1:]), dtype=dtype)
        for row, array in zip(batch, arrays, strict=True):
            row[: len(array)] = torch.from_numpy(np.array(array))
        return batch

    view = View(
        padded([s.features for s in sets], torch.float32),
        padded([s.extents for s in sets], torch.float32),
        padded([s.track for s in sets], torch.int64),
        padded([np.ones(len(s.features), bool) for s in sets], torch.bool),
        tuple(s.shape for s in sets),
    )
    return {"cells": view}, torch.tensor([float(k % 2) for k in chosen])


def ordinary(module: torch.nn.Module) -> None:
    """Ordinary dropout in the place of the locked one."""
    for name, child in module.named_children():
        if isinstance(child, LockedDropout):
            setattr(module, name, torch.nn.Dropout(child.share))
        ordinary(child)


@dataclass
class Spent:
    """Seconds by the clock and of the processor, one number per step."""

    clock: list[float]
    cores: list[float]

    def __str__(self) -> str:
        return f"{1 / median(self.clock):7.3f} steps/s  {median(self.cores):7.2f} core s"


def timed(step: Callable[[int], None], steps: int) -> Spent:
    spent = Spent([], [])
    step(0)
    for k in range(1, steps + 1):
        clock, cores = time.perf_counter(), time.process_time()
        step(k)
        spent.clock.append(time.perf_counter() - clock)
        spent.cores.append(time.process_time() - cores)
    return spent


def peak(dtype: torch.dtype, size: int = 1024) -> float:
    """The best of some matrix products, in GFLOP for each second of a core."""
    a = torch.randn(size, size).to(dtype)
    best = 0.0
    for _ in range(20):
        start = time.process_time()
        torch.mm(a, a)
        best = max(best, 2 * size**3 / (time.process_time() - start) / 1e9)
    return best


def memory() -> float:
    """The most memory that this process held, in GiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def ways(config: ModelConfig, bags: Stored, width: int, steps: int) -> Iterator[tuple[str, Spent, float]]:
    """Name, time and GFLOP of a step for both ways to train."""
    how = config.training
    start = time.perf_counter()
    batches = Batches(bags, ["cells"], how.bags, 0, "cpu", 32)
    print(f"  {'':<6} packed in {time.perf_counter() - start:.1f} s, {batches.packs[0].features.dtype}")
    for name in ("ours", "plain"):
        torch.manual_seed(0)
        method = config.make("method", {"cells": width}).train()
        if name == "plain":
            ordinary(method)
            kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}.get(how.optimizer, torch.optim.SGD)
            optimizer: Any = kind(method.parameters(), lr=how.learning_rate, foreach=False)
        else:
            optimizer = loop.optimizer(method, config)

        def step(k: int, name: str = name, method: Any = method, optimizer: Any = optimizer) -> None:
            packed, labels = batches.draw(k) if name == "ours" else plain_batch(bags, batches.chosen(k))
            output = loop.answer(method, packed, how.precision)
            loss = torch.stack(list(method.loss(output, packed, labels).values())).sum()
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()

        with FlopCounterMode(display=False) as counter:
            step(0)
        with kept_memory() if name == "ours" else nullcontext():
            spent = timed(step, steps)
        yield name, spent, counter.get_total_flops() / 1e9


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--methods", default="cuboid_mil,dmrm,rtfm,proximity")
    parser.add_argument("--sets", default="cells,crops")
    parser.add_argument("--precision", default="fp32", choices=["fp32", "bf16"])
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--length", type=int, default=32, help="time steps of a stored video")
    options = parser.parse_args()
    count, bags = (VIDEOS // 10, 12) if options.quick else (VIDEOS, 30)
    top = {word: peak(dtype) for word, dtype in KINDS.items()}
    told = ", ".join(f"{word} {value:.3g}" for word, value in top.items())
    print(described())
    print(f"{torch.get_num_threads()} threads; matrix products, GFLOP per core s: {told}; {options.precision} is used")
    for kind in options.sets.split(","):
        (_, *cells), width = SHAPES[kind]
        shape = (options.length, cells[0], cells[1])
        with tempfile.TemporaryDirectory() as folder:
            stored = Stored(Path(folder), shape, width, count)
            size = stored.file.nbytes / 2**30
            print(f"{kind}: {count} videos of {shape} x {width}, {size:.1f} GiB; {2 * bags} bags a step")
            for name in options.methods.split(","):
                if name not in registry.names("methods"):
                    print(f"  {name}: not there")
                    continue
                segments = {"segments": 32} if registry.load("methods", name).abilities.averages_time else {}
                how = {"bags": bags, "precision": options.precision}
                config = ModelConfig.of({"method": name, name: segments, "training": how})
                print(f"  {name}")
                for way, spent, work in ways(config, stored, width, options.steps):
                    top[options.precision] = max(top[options.precision], peak(KINDS[options.precision]))
                    speed = work / median(spent.cores)
                    share = speed / top[options.precision]
                    print(f"  {way:<6} {spent}  {work:7.1f} GFLOP  {speed:6.1f} per core s = {share:4.0%} of peak  "
                          f"at most {memory():.1f} GiB")  # fmt: skip


if __name__ == "__main__":
    main()
