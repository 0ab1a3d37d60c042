"""Parallel work: in this process, in several processes, or on the machines of a Ray cluster.

Results are yielded as they are done. The task of a killed process is run again.
"""

from __future__ import annotations

import os
import sys
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.context import SpawnContext
from typing import Any, TypeVar

from wherewhen.core import progress
from wherewhen.core.errors import ConfigError, first_line

T = TypeVar("T")
R = TypeVar("R")

DEATHS = 3  # of processes with the same item, after which it is given up
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
GIVEN_UP = f"{DEATHS} processes that read it ended abnormally (out of memory?)"


@dataclass(frozen=True)
class Workers:
    """Placement of work: ``workers`` processes of this machine, or tasks of a Ray cluster.

    ``address``: of a running cluster; empty starts one on this machine.
    """

    workers: int = 1
    ray: bool = False
    address: str = ""

    @classmethod
    def of(cls, workers: int | None, distributed: str | None, address: str | None, things: int) -> Workers:
        """From command-line options; ConfigError for invalid ones. ``things``: the number of items."""
        if distributed not in (None, "ray"):
            raise ConfigError(f"--distributed: expected ray, got {distributed}")
        if address and not distributed:
            raise ConfigError("--ray-address needs --distributed ray")
        if workers is not None and workers < 1:
            raise ConfigError(f"--workers: expected at least 1, got {workers}")
        count = workers or (os.cpu_count() or 1)
        return cls(count if distributed else max(1, min(count, things)), distributed == "ray", address or "")


def spread(work: Callable[[T], R], things: Sequence[T], where: Workers) -> Iterator[tuple[int, R | None]]:
    """Number and result of each item as it is done; None where every process that ran it died.

    ``work`` is a function of a module; items and results can be pickled. Each process uses one thread.

    >>> sorted(spread(abs, [-1, 2], Workers()))
    [(0, 1), (1, 2)]
    """
    if where.ray:
        yield from _on_ray(work, things, where)
    elif where.workers == 1:
        with one_thread():
            yield from ((number, work(thing)) for number, thing in enumerate(things))
    else:
        yield from _in_processes(work, things, where.workers)


@contextmanager
def one_thread() -> Iterator[None]:
    """Results as of a worker process: sums of a network (torch is then loaded) in the order of one thread."""
    if "torch" not in sys.modules:
        yield
        return
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def calm(slots: Any = None) -> None:
    """Limit this worker process to one thread; ``slots``: shared memory for its progress."""
    import cv2

    cv2.setNumThreads(1)
    progress.connect(slots)


def _numbered(work: Callable[[T], R], number: int, thing: T) -> R:
    with progress.working_on(number):
        return work(thing)


@contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    """Variables of the environment for processes that start inside the block."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _in_processes(work: Callable[[T], R], things: Sequence[T], workers: int) -> Iterator[tuple[int, R | None]]:
    """Items of a broken pool are run again one at a time, so that the one that kills its process is identified."""
    context = get_context("spawn")
    slots = context.RawArray("d", max(1, len(things)))
    with progress.followed(slots):
        yield from _in_pools(work, things, workers, context, slots)


def _in_pools(
    work: Callable[[T], R], things: Sequence[T], workers: int, context: SpawnContext, slots: Any
) -> Iterator[tuple[int, R | None]]:
    todo, suspects, deaths = deque(range(len(things))), deque[int](), Counter[int]()
    while todo or suspects:
        alone = bool(suspects)
        running: dict[Future[R], int] = {}
        queue, limit = (suspects, 1) if alone else (todo, workers)
        options: dict[str, Any] = {"mp_context": context, "initializer": calm, "initargs": (slots,)}
        with _environment(dict.fromkeys(THREADS, "1")), ProcessPoolExecutor(limit, **options) as pool:
            try:
                while queue or running:
                    while queue and len(running) < limit:
                        running[pool.submit(_numbered, work, queue[0], things[queue[0]])] = queue[0]
                        queue.popleft()
                    for future in wait(running, return_when=FIRST_COMPLETED).done:
                        result = future.result()
                        yield running.pop(future), result
            except BrokenProcessPool:
                held = list(running.values())
                deaths.update(held)
                for number in held:
                    if deaths[number] >= DEATHS:
                        yield number, None
                suspects.extend(number for number in held if deaths[number] < DEATHS)
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise


def _on_ray(work: Callable[[T], R], things: Sequence[T], where: Workers) -> Iterator[tuple[int, R | None]]:
    """A task of Ray for each item, so many at a time; Ray runs the task of a killed worker again."""
    with ray_cluster(where) as ray:
        gpus = ray.cluster_resources().get("GPU", 0.0)  # Ray hides them from tasks that request none
        share = min(1.0, int(1000 * gpus / where.workers) / 1000)
        task = ray.remote(num_cpus=1, num_gpus=share or None, max_retries=DEATHS - 1)(_on_worker)
        common, todo, running = ray.put(work), deque(range(len(things))), dict[Any, int]()
        try:
            while todo or running:
                while todo and len(running) < where.workers:
                    number = todo.popleft()
                    running[task.remote(common, things[number])] = number
                for done in ray.wait(list(running))[0]:
                    try:
                        result, error = ray.get(done)
                    except (ray.exceptions.WorkerCrashedError, ray.exceptions.OutOfMemoryError):
                        result, error = None, None
                    if error is not None:
                        raise error
                    yield running.pop(done), result
        finally:
            for left in running:
                ray.cancel(left, force=True)


def _on_worker(work: Callable[[T], R], thing: T) -> tuple[R | None, Exception | None]:
    """The result, or the error, which Ray would wrap."""
    calm()
    try:
        return work(thing), None
    except Exception as error:
        return None, error


@contextmanager
def ray_cluster(where: Workers) -> Iterator[Any]:
    """The module of Ray with a cluster: the one at an address, or one on this machine that ends with the block.

    Its workers would have the priority of background work (niceness 15): beside other processes they get next to no
    processor time.
    """
    try:
        import ray
        import ray.exceptions
    except ImportError:
        raise ConfigError('--distributed ray needs Ray: pip install "wherewhen[ray]"') from None
    import logging

    started_here = not ray.is_initialized()
    if started_here:
        options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
        if not where.address:
            options |= {"num_cpus": where.workers, "include_dashboard": False}
            options |= {"_system_config": {"worker_niceness": 0}}
        with _environment({**dict.fromkeys(THREADS, "1"), "RAY_USAGE_STATS_ENABLED": "0"}):
            try:
                ray.init(where.address or "local", **options)
            except (OSError, ValueError, RuntimeError, ray.exceptions.RayError) as error:
                if not where.address:
                    raise
                advice = "a cluster with a token needs RAY_AUTH_MODE=token, and the token of its first node"
                reason = first_line(error)
                raise ConfigError(f"--ray-address {where.address}: can't connect to it ({reason}); {advice}") from None
    logging.getLogger("ray").setLevel(logging.ERROR)
    try:
        yield ray
    finally:
        if started_here:
            ray.shutdown()
