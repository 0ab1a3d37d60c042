"""An RTSP server for tests, in a process of the system's Python, whose streams can be disturbed.

    /usr/bin/python3 rtsp_server.py PORT

Lines of JSON on standard input:

    {"mount": "/gate", "reel": PATH, "user": "me", "password": "secret", "udp": false, "script": [[2.0, {...}], ...]}

offer a stream. The script disturbs the first client's, from so many seconds on:

    {"stall": true}    send nothing from now on
    {"jump": 3600}     add so many seconds to the time stamps
    {"reel": PATH}     go on with another reel, which later clients get too

A reel holds access units of H.264 (Annex B): for each its time in seconds and its length (``>dI``), then its bytes.
Each client gets a stream from its beginning, sent at the times of the reel; at its end the stream ends. "ready" is
printed once the server listens, and "play MOUNT SECONDS" (of the machine's clock) when a stream begins.
"""

from __future__ import annotations

import json
import os
import struct
import sys
import time
from pathlib import Path
from typing import Any

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtsp", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtsp, GstRtspServer  # noqa: E402

# config-interval=0: parameter sets are in the reel; an interval repeats them before each slice, which splits pictures
CAPS = "video/x-h264,stream-format=byte-stream,alignment=au"
PIPELINE = f"( appsrc name=source format=time caps={CAPS} ! h264parse ! rtph264pay name=pay0 pt=96 config-interval=0 )"


def units(path: str) -> list[tuple[float, bytes]]:
    """The access units of a reel with their times."""
    data, found, place = Path(path).read_bytes(), [], 0
    while place < len(data):
        moment, size = struct.unpack_from(">dI", data, place)
        place += 12 + size
        found.append((moment, data[place - size : place]))
    return found


class Mount:
    """One address: its reel, and what disturbs the next client's stream."""

    def __init__(self, server: Any, values: dict[str, Any]) -> None:
        self.path, self.reel = values["mount"], units(values["reel"])
        self.script: list[tuple[float, dict[str, Any]]] = values.get("script", [])
        self.plays: list[Play] = []
        factory = GstRtspServer.RTSPMediaFactory()
        factory.set_launch(PIPELINE)
        factory.set_protocols(GstRtsp.RTSPLowerTrans.UDP if values.get("udp") else GstRtsp.RTSPLowerTrans.TCP)
        factory.connect("media-configure", self.configured)
        role = values.get("user") or "anyone"
        for name in {role, "anyone"}:  # without the right to construct it is asked for a password
            right = "true" if name == role else "false"
            rights = f"{name}, media.factory.access=(boolean)true, media.factory.construct=(boolean){right}"
            factory.add_role_from_structure(Gst.Structure.new_from_string(rights))
        if values.get("user"):
            token = GstRtspServer.RTSPToken()
            token.set_string("media.factory.role", role)
            auth = server.get_auth()
            auth.add_basic(GstRtspServer.RTSPAuth.make_basic(role, values["password"]), token)
        server.get_mount_points().add_factory(self.path, factory)

    def configured(self, _factory: Any, media: Any) -> None:
        """A client asks for the stream."""
        self.plays.append(Play(self, media))
        self.script = []


def unsynced(element: Any) -> None:
    """Let an element send what is pushed at once, whatever its time stamp."""
    if element.find_property("sync"):
        element.set_property("sync", False)


class Play:
    """A stream that a client gets."""

    def __init__(self, mount: Mount, media: Any) -> None:
        self.mount, self.reel, self.next, self.offset = mount, mount.reel, 0, 0.0
        self.source = media.get_element().get_by_name("source")
        self.script, self.stalled, self.jump, self.began = list(mount.script), False, 0.0, 0.0
        self.push()  # the first picture makes the description of the stream
        media.connect("new-state", self.state)
        media.connect("unprepared", lambda *_: mount.plays.remove(self) if self in mount.plays else None)

    def state(self, media: Any, state: int) -> None:
        """The client wants pictures."""
        media.get_element().get_parent().iterate_recurse().foreach(unsynced)
        if state == int(Gst.State.PLAYING) and not self.began:
            self.began = time.monotonic()
            print(f"play {self.mount.path} {time.time():.3f}", flush=True)
            GLib.timeout_add(5, self.tick)

    def disturb(self, values: dict[str, Any]) -> None:
        """Disturb the stream."""
        self.stalled, self.jump = values.get("stall", self.stalled), self.jump + values.get("jump", 0.0)
        if "reel" in values:
            self.offset += self.reel[self.next - 1][0] + 0.04
            self.reel, self.next = units(values["reel"]), 0
            self.mount.reel = self.reel

    def tick(self) -> bool:
        """Send what is due; whether more follows."""
        if self not in self.mount.plays:
            return False
        while self.next < len(self.reel) and self.offset + self.reel[self.next][0] <= time.monotonic() - self.began:
            while self.script and self.offset + self.reel[self.next][0] >= self.script[0][0]:
                self.disturb(self.script.pop(0)[1])
            if self.stalled:
                return True
            self.push()
        if self.next == len(self.reel):
            GLib.timeout_add(1000, self.end)  # once the last pictures are on their way
            return False
        return True

    def end(self) -> bool:
        """End the stream."""
        self.source.emit("end-of-stream")
        return False

    def push(self) -> None:
        """Send the next picture."""
        moment, data = self.reel[self.next]
        self.next += 1
        buffer = Gst.Buffer.new_wrapped(data)
        buffer.pts = buffer.dts = int((self.offset + moment + self.jump) * Gst.SECOND)
        self.source.emit("push-buffer", buffer)


def main() -> None:
    """Serve until standard input ends."""
    Gst.init(None)
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(sys.argv[1])
    auth = GstRtspServer.RTSPAuth()
    anyone = GstRtspServer.RTSPToken()
    anyone.set_string("media.factory.role", "anyone")
    auth.set_default_token(anyone)
    server.set_auth(auth)
    if not server.attach(None):
        raise SystemExit("the port is in use")
    mounts: dict[str, Mount] = {}
    rest = [b""]  # of a line that is not complete
    loop = GLib.MainLoop()

    def told(_channel: Any, _condition: Any) -> bool:
        data = os.read(0, 65536)
        if not data:
            loop.quit()
            return False
        *lines, rest[0] = (rest[0] + data).split(b"\n")
        for line in lines:
            values = json.loads(line)
            mounts[values["mount"]] = Mount(server, values)
        return True

    GLib.io_add_watch(GLib.IOChannel.unix_new(0), GLib.IO_IN | GLib.IO_HUP, told)
    print("ready", flush=True)
    loop.run()


if __name__ == "__main__":
    main()
