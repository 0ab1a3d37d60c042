"""Cameras on a Ray cluster: a named actor for each, which does what a machine of several does for one camera."""

from __future__ import annotations

import logging
import os
import socket
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from threading import Event, Thread
from typing import Any, NamedTuple

from wherewhen.core.addresses import masked
from wherewhen.core.config import build, mapping
from wherewhen.core.errors import ConfigError, WherewhenError
from wherewhen.core.store import fingerprint
from wherewhen.live import logs, service
from wherewhen.live.logs import LogFormat, fields
from wherewhen.live.notify import notify
from wherewhen.live.settings import WatchConfig
from wherewhen.live.sharding import shard_of
from wherewhen.runtime.parallel import Workers, ray_cluster
from wherewhen.server.web_server import with_server

log = logging.getLogger("wherewhen")

EVERY = 2.0  # seconds between two questions to an actor
PATIENCE = 10.0  # seconds that an answer may take
ENDING = 20.0  # seconds that a camera may take to end, with the messages that are left
SHARE = 0.01  # of a processor that Ray reserves for a camera: names decide about the place, not room


class Task(NamedTuple):
    """What an actor needs: settings of its camera, the folder of relative paths, device, log."""

    settings: dict[str, Any]
    folder: str
    device: str = "auto"
    quiet: bool = False
    log_format: LogFormat = "text"

    @property
    def key(self) -> str:
        """Equal for equal tasks."""
        return fingerprint(list(self))


class ActorState(NamedTuple):
    """What an actor says of itself: the key of its task, its process, whether a replay came to its end, an error."""

    key: str
    process: int
    ended: bool
    error: str


class CameraActor:
    """Watches a camera on the node where Ray creates it, with a store of its own on the disk of that node.

    It begins with what this store has: also in a new process after its own died.
    """

    def __init__(self, camera: str, task: Task) -> None:
        self.camera, self.task = camera, task
        self._stop, self._ended, self._error = Event(), False, ""
        vars(sys.modules["__main__"]).pop("__file__", None)  # else the processes of cameras import Ray
        log.handlers = [logs.handler(task.log_format)]
        log.setLevel(logging.WARNING if task.quiet else logging.INFO)
        self._thread = Thread(target=self._watch, name="service", daemon=True)
        self._thread.start()

    def state(self) -> ActorState:
        """What it says of itself."""
        return ActorState(self.task.key, os.getpid(), self._ended, self._error)

    def stop(self) -> None:
        """End the camera, with the messages that are left."""
        self._stop.set()
        self._thread.join(ENDING)

    def _watch(self) -> None:
        try:
            os.chdir(self.task.folder)
            settings, task = self.task.settings, self.task
            host = mapping(settings["hub"], "hub").get("name") or socket.gethostname()
            hub = {**settings["hub"], "name": f"{host}/{self.camera}"}
            config = build(WatchConfig, {**settings, "hub": hub}, "watch")
            with with_server(config) as served:
                service.watch(served, self._stop, device=task.device, quiet=task.quiet, log_format=task.log_format)
        except (WherewhenError, OSError) as error:
            self._error = masked(str(error))
        except BaseException:
            log.exception("%s: its service failed", self.camera)
            os._exit(1)  # Ray starts another process
        self._ended = True


def tasks(
    settings: Mapping[str, Any], config: WatchConfig, device: str, quiet: bool, log_format: LogFormat
) -> dict[str, Task]:
    """The task of the actor of each camera: its own store below that of the service, and a free port."""
    if config.hub is None:
        raise ConfigError("--distributed ray: actors send their alerts to a hub: add hub: {url: ...}, or --hub URL")
    cameras = config.of_cameras
    store = mapping(settings.get("store"), "store") | {"bytes": str(config.store.size // max(1, len(cameras)))}
    every = {}
    for name in cameras:
        part: dict[str, Any] = {**settings, "cameras": {name: settings["cameras"][name]}, "sinks": {}}
        part["store"] = {**store, "path": str(Path(config.store.path) / "cameras" / name)}
        if config.server is not None:
            part["server"] = {**settings["server"], "port": 0}
        every[name] = Task(part, str(Path.cwd()), device, quiet, log_format)
    return every


@contextmanager
def cluster(address: str | None) -> Iterator[Any]:
    """The module of Ray with a cluster: the one at an address, or one on this machine that ends with the block."""
    with ray_cluster(Workers(os.cpu_count() or 1, True, address or "")) as ray:
        yield ray


def watch(ray: Any, tasks: Mapping[str, Task], hub: str, stop: Event) -> None:
    """Watch cameras by an actor for each, until ``stop`` is set or all replays have ended; their actors end then.

    Args:
        ray: the module, with a cluster.
        tasks: of the actors, by camera.
        hub: address of the hub; actors of another one are others.
        stop: ends the actors.

    Raises:
        WherewhenError: an actor can't watch its camera, such as without its model.
    """
    space = f"wherewhen-{fingerprint(hub)[:12]}"
    processes: dict[str, int] = {}
    ended: set[str] = set()
    with ExitStack() as stack:
        actors: dict[str, Any] = {}
        stack.callback(_end, ray, actors)
        for name, task in tasks.items():
            actors[name] = _actor(ray, space, name, task)
        while not stop.is_set() and len(ended) < len(actors):
            notify("READY=1\nWATCHDOG=1")
            for name, state in _states(ray, actors).items():
                if state is None:
                    if processes.pop(name, None) is not None:
                        cause = "its actor does not answer"
                        log.error("%s: %s; Ray starts it again", name, cause, extra=fields(name, "died", cause))
                    continue
                if state.error:
                    raise WherewhenError(f"{name}: {state.error}")
                if processes.get(name) != state.process:
                    log.info("%s: watched by process %d", name, state.process, extra=fields(name, "open"))
                processes[name] = state.process
                if state.ended:
                    ended.add(name)
            stop.wait(EVERY)


def _actor(ray: Any, space: str, name: str, task: Task) -> Any:
    """The actor of a camera: the one that an earlier run left, if its task is the same, or a new one."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    with suppress(ValueError):
        left = ray.get_actor(name, namespace=space)
        state = _states(ray, {name: left})[name]
        if state is None or (state.key == task.key and not state.ended):
            return left
        _end(ray, {name: left})
    nodes = sorted(node["NodeID"] for node in ray.nodes() if node["Alive"])
    node = NodeAffinitySchedulingStrategy(nodes[shard_of(name, len(nodes)) - 1], soft=True)
    gpus = 0.0 if task.device == "cpu" else ray.cluster_resources().get("GPU", 0.0)
    options: dict[str, Any] = {
        "num_cpus": SHARE,
        "num_gpus": SHARE if gpus else 0,
        "max_restarts": -1,
        "max_concurrency": 2,
    }
    options |= {"name": name, "namespace": space, "lifetime": "detached", "scheduling_strategy": node}
    return ray.remote(CameraActor).options(**options).remote(name, task)


def _states(ray: Any, actors: Mapping[str, Any]) -> dict[str, ActorState | None]:
    """What actors say of themselves; None for one that does not answer."""
    references = {name: actor.state.remote() for name, actor in actors.items()}
    end = time.monotonic() + PATIENCE
    answers: dict[str, ActorState | None] = dict.fromkeys(actors)
    for name, reference in references.items():
        with suppress(ray.exceptions.RayActorError, ray.exceptions.GetTimeoutError):
            answers[name] = ray.get(reference, timeout=max(0.1, end - time.monotonic()))
    return answers


def _end(ray: Any, actors: Mapping[str, Any]) -> None:
    """End actors: asked first, killed after `ENDING` seconds."""
    references = [actor.stop.remote() for actor in actors.values()]
    if references:
        ray.wait(references, num_returns=len(references), timeout=ENDING + 5)
    for actor in actors.values():
        ray.kill(actor, no_restart=True)
