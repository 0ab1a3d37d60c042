"""Files of alerts: a picture and a thumbnail at once, and a clip when the alert ends."""

from __future__ import annotations

import errno
import logging
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from wherewhen.core.errors import ConfigError, VideoError, WherewhenError
from wherewhen.core.store import write_atomic
from wherewhen.live.alerts import Alert
from wherewhen.live.retention import FREE, ROOM, is_full, make_room, size_of
from wherewhen.live.snapshots import Snapshots, encoded
from wherewhen.review.building import AUDIT
from wherewhen.video.packets import Packets
from wherewhen.video.writer import Writer

log = logging.getLogger("wherewhen")

THUMB = 320  # pixels of the width of a thumbnail
SLACK = 2.0  # seconds of packets that are kept beyond what an alert can need


@dataclass(frozen=True)
class ClipConfig:
    """What is stored of alerts as video.

    Args:
        before_seconds: time before an alert that its clip has, at least: it begins with a key picture.
        after_seconds: time after an alert that its clip has, as far as it was read when the alert ends.
        longest_seconds: length of a clip at most, from its beginning; 0: no clips.
        memory: memory for the encoded pictures of the camera at most, such as 64MB.
    """

    before_seconds: float = 5.0
    after_seconds: float = 2.0
    longest_seconds: float = 120.0
    memory: str = "64MB"

    def __post_init__(self) -> None:
        for name in ("before_seconds", "after_seconds", "longest_seconds"):
            if not getattr(self, name) >= 0:
                raise ConfigError(f"clips.{name}: expected seconds from 0 on, got {getattr(self, name)}")
        _ = self.bytes

    @property
    def bytes(self) -> int:
        """The memory in bytes."""
        return size_of("clips.memory", self.memory)


class Clip(NamedTuple):
    """The name of a clip in the store, None where there is none; and what is to be said about it.

    ``start``: the time of day at second 0 of the clip, in seconds since 1970.
    """

    name: str | None
    note: str | None
    start: float | None = None


class AlertFiles:
    """Writes the files of one camera's alerts below a folder.

    What can't be written is left out, with its reason in the log once until it works again. A full disk loses its
    oldest alerts first.
    """

    def __init__(self, folder: Path, config: ClipConfig) -> None:
        self.folder, self.config = folder, config
        self.snapshots = Snapshots()
        self._packets = Packets(0, 0.0)
        self._failing: set[str] = set()

    def ring(self) -> Packets | None:
        """Where packets of a source that is opened are kept from now on; None where no clips are wanted."""
        self._packets = Packets(self.config.bytes, self.config.longest_seconds)
        return self._packets if self.config.longest_seconds else None

    def release(self, scored: float, duration: float, *, event: bool) -> None:
        """Forget packets that no later alert needs: scores are there up to a time of the stream in seconds.

        ``duration``: seconds that a score lasts before an alert begins. ``event``: whether an alert is open.
        """
        needed = max(duration + self.config.before_seconds, AUDIT) + SLACK
        self._packets.release(scored - needed, event=event)

    @property
    def has_room(self) -> bool:
        """Whether a clip fits on the disk without the removal of others."""
        disk = shutil.disk_usage(self.folder)
        return disk.free - self._packets.bytes > disk.total * FREE

    def name(self, kind: str, alert: Alert) -> str | None:
        """The name of a file of an alert in the store: of its snapshot, thumb or clip; None where it has none."""
        name = _name(kind, alert)
        return name if (self.folder / name).exists() else None

    def picture(self, alert: Alert) -> None:
        """Write the picture of an alert and its thumbnail, where they are not there."""
        picture = None if self.name("snapshot", alert) else self.snapshots.nearest(alert.last)
        if picture is not None:
            jpeg, webp = encoded(picture, "JPEG", alert.box), encoded(picture, "WEBP", alert.box, THUMB)
            self._write(_name("snapshot", alert), lambda path: write_atomic(path, jpeg, ours=True))
            self._write(_name("thumb", alert), lambda path: write_atomic(path, webp, ours=True))

    def clip(self, alert: Alert, origin: float) -> Clip:
        """Write the clip of an alert that ended; ``origin``: the time of day at time 0 of the stream."""
        config, end = self.config, alert.last if alert.end is None else alert.end
        if not config.longest_seconds:
            return Clip(None, None)
        since, until = alert.start - config.before_seconds, end + config.after_seconds
        name, clips = _name("clip", alert), list[Clip]()

        def cut(path: Path) -> None:
            note = None
            try:
                first, last = self._packets.cut(path, since - origin, until - origin)
                start = origin + first
            except VideoError as error:
                if is_full(error):
                    raise
                start = self._encode(path, since, until, error)
                note = f"encoded from two pictures a second: {error.cause}"
            else:
                if last < end - origin - SLACK:
                    note = f"ends before the alert: clips have {config.longest_seconds:g} s and {config.memory} at most"
            clips.append(Clip(name, note, start))

        missing = self._write(name, cut, self._packets.bytes + int(shutil.disk_usage(self.folder).total * FREE / 2))
        return Clip(None, missing) if missing else clips[-1]

    def _encode(self, path: Path, since: float, until: float, cause: VideoError) -> float:
        """A clip of the pictures that are kept for snapshots, where there are no packets; when it begins."""
        stored = self.snapshots.between(since, until)
        pictures = [(moment, picture) for moment, picture in stored if picture.shape == stored[-1][1].shape]
        if not pictures:
            raise cause
        start = pictures[0][0]
        path.parent.mkdir(parents=True, exist_ok=True)
        with Writer(path, 2.0, ours=True) as writer:
            for moment, picture in pictures:
                writer.write(picture, moment - start)
        return start

    def _write(self, name: str, write: Callable[[Path], None], size: int = ROOM) -> str | None:
        """Write a file, once there is room for so many bytes; why it can't be written, None where it is."""
        kind, cause = name.partition("/")[0], None
        try:
            if not make_room(self.folder, size):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            write(self.folder / name)
        except (OSError, WherewhenError) as error:
            cause = error.cause if isinstance(error, VideoError) else str(error)
            cause = "the disk is full" if is_full(error) else cause
        if cause is None:
            self._failing.discard(kind)
        elif kind not in self._failing:
            self._failing.add(kind)
            log.warning("%s: %s of alerts can't be written: %s", self.folder, kind, cause)
        return cause


def _name(kind: str, alert: Alert) -> str:
    suffix = {"snapshot": "jpg", "thumb": "webp", "clip": "mp4"}[kind]
    return f"{kind}s/{alert.camera}/{alert.id}.{suffix}"
