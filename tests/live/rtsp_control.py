"""Starts the RTSP server of tests and tells it what to do; makes the clips that it plays."""

from __future__ import annotations

import json
import socket
import struct
import subprocess
from collections import defaultdict
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from threading import Thread
from typing import Any

import av
import numpy as np

PYTHON = "/usr/bin/python3"
NEEDS = "import gi; gi.require_version('GstRtspServer', '1.0'); from gi.repository import GstRtspServer as server"
PACKAGES = "gir1.2-gst-rtsp-server-1.0 gstreamer1.0-plugins-good gstreamer1.0-plugins-bad python3-gi"
SECRET = "pa55w0rd"


def missing() -> str | None:
    """Why there can be no server; None where there can."""
    if Path(PYTHON).exists() and not subprocess.run([PYTHON, "-c", NEEDS], capture_output=True).returncode:
        return None
    return f"no RTSP server: apt-get install {PACKAGES} (make system)"


class Server:
    """An RTSP server in a process of its own, and when its streams began to play."""

    def __init__(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.plays: defaultdict[str, list[float]] = defaultdict(list)
        self.start()

    def start(self) -> None:
        script = Path(__file__).with_name("rtsp_server.py")
        words = [PYTHON, str(script), str(self.port)]
        self.process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout
        assert self.process.stdout.readline() == "ready\n"
        Thread(target=self._listen, args=(self.process.stdout,), daemon=True).start()

    def offer(self, mount: str, reel: Path, **more: Any) -> str:
        assert self.process.stdin
        self.process.stdin.write(json.dumps({"mount": f"/{mount}", "reel": str(reel), **more}) + "\n")
        self.process.stdin.flush()
        secret = f"{more['user']}:{SECRET}@" if "user" in more else ""
        return f"rtsp://{secret}127.0.0.1:{self.port}/{mount}"

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()

    def _listen(self, told: Any) -> None:
        for line in told:
            if line.startswith("play "):
                _, mount, moment = line.split()
                self.plays[mount[1:]].append(float(moment))


class Clip:
    """A recording without pictures that are sent ahead of others: as a file, and as a reel for the server."""

    def __init__(self, path: Path, pictures: Iterable[np.ndarray], rate: Fraction) -> None:
        self.path, self.reel = path, path.with_suffix(".reel")
        options = {"bf": "0", "g": "10", "crf": "23", "preset": "ultrafast"}
        with av.open(str(path), "w") as container:
            stream = container.add_stream("libx264", rate=rate, options=options)
            for number, picture in enumerate(pictures):
                if not number:
                    stream.height, stream.width = picture.shape[:2]
                frame = av.VideoFrame.from_ndarray(picture, "rgb24")
                frame.pts, frame.time_base = number, 1 / rate
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        with av.open(str(path)) as container, self.reel.open("wb") as reel:
            video = container.streams.video[0]
            annex_b = av.BitStreamFilterContext("h264_mp4toannexb", video)
            for packet in container.demux(video):
                for unit in annex_b.filter(packet if packet.size else None):
                    reel.write(struct.pack(">dI", float(unit.pts * unit.time_base), len(bytes(unit))) + bytes(unit))
