"""Cameras behind web addresses: an HLS playlist, and JPEGs that an HTTP server sends one after another."""

from __future__ import annotations

import http.server
from base64 import b64encode
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from threading import Thread

import av
import numpy as np
import pytest
from PIL import Image

from wherewhen.core.errors import VideoError
from wherewhen.video.reader import frames
from wherewhen.video.writer import Writer

RATE, FRAMES = 25.0, 60
KEY = b64encode(b"me:pass word").decode()


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A spot that goes from left to right."""
    path = tmp_path_factory.mktemp("recording") / "a.mp4"
    with Writer(path, RATE) as writer:
        for index in range(FRAMES):
            picture = np.full((48, 64, 3), 60, np.uint8)
            picture[10:30, index // 2 : index // 2 + 12] = 220
            writer.write(picture)
    return path


@pytest.fixture(scope="module")
def server(recording: Path) -> Iterator[str]:
    """A server with a playlist, and with JPEGs for those who know the password."""
    folder = recording.parent
    with (
        av.open(str(recording)) as source,
        av.open(str(folder / "list.m3u8"), "w", format="hls", options={"hls_time": "1", "hls_list_size": "0"}) as list_,
    ):
        stream = list_.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(source.streams.video[0]):
            if packet.dts is not None:
                packet.stream = stream
                list_.mux(packet)
    pictures = [frame.image for frame in frames(recording)]

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments: object) -> None:
            super().__init__(*arguments, directory=str(folder))  # type: ignore[arg-type]

        def log_message(self, *_: object) -> None: ...

        def do_GET(self) -> None:
            if self.path != "/camera.mjpg":
                return super().do_GET()
            if self.headers.get("Authorization") != f"Basic {KEY}":
                self.send_response(401)
                self.send_header("WWW-Authenticate", 'Basic realm="camera"')
                return self.end_headers()
            self.send_response(200)
            self.send_header("Content-Type", "multipart/x-mixed-replace;boundary=--next")
            self.end_headers()
            for picture in pictures:
                jpeg = BytesIO()
                Image.fromarray(picture).save(jpeg, "JPEG", quality=95, subsampling=0)
                head = f"--next\r\nContent-Type: image/jpeg\r\nContent-Length: {jpeg.tell()}\r\n\r\n"
                self.wfile.write(head.encode() + jpeg.getvalue() + b"\r\n")
            return None

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http_server:
        thread = Thread(target=http_server.serve_forever)
        thread.start()
        yield f"127.0.0.1:{http_server.server_port}"
        http_server.shutdown()
        thread.join()


def test_a_playlist_has_the_pictures_of_the_recording(recording: Path, server: str) -> None:
    expected, streamed = (list(frames(source)) for source in (recording, f"http://{server}/list.m3u8"))
    assert len(streamed) == FRAMES
    for frame, other in zip(expected, streamed, strict=True):
        np.testing.assert_array_equal(frame.image, other.image)
        assert other.start - streamed[0].start == pytest.approx(frame.start - expected[0].start, abs=1e-3)


def test_pictures_of_a_web_camera_come_in_order(recording: Path, server: str) -> None:
    expected = [frame.image.astype(int) for frame in frames(recording)]
    streamed = list(frames(f"http://me:pass%20word@{server}/camera.mjpg"))
    assert len(streamed) == FRAMES
    assert max(np.abs(a - b.image).mean() for a, b in zip(expected, streamed, strict=True)) < 3
    starts = np.array([frame.start for frame in streamed])
    assert (np.diff(starts) > 0).all()


def test_a_wrong_password_is_named_and_not_shown(server: str) -> None:
    with pytest.raises(VideoError, match="401 unauthorized") as raised:
        list(frames(f"http://me:secret77@{server}/camera.mjpg"))
    assert "secret77" not in str(raised.value)
