"""Changes of the pictures of training videos, from which a method learns what scores must not depend on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np

from wherewhen.core.contracts import Backbone, StreamingBackbone
from wherewhen.core.values import Features, Floats, Frame, Pixels
from wherewhen.video.reader import Want


@dataclass(frozen=True, repr=False)
class Change:
    """A change of the pictures of a video before features are computed.

    Args:
        delay: seconds left out at the beginning, half of a video at most.
        rate: pictures per second at most.
        gain: factor of the gray levels.
        quality: JPEG quality, 1 to 100, that each picture is compressed with; 0 = not compressed.
        mirrored: left and right are exchanged, and the features are put back to the places of their pixels.

    >>> Change(rate=8.0)
    Change(rate=8.0)
    """

    delay: float = 0.0
    rate: float | None = None
    gain: float = 1.0
    quality: int = 0
    mirrored: bool = False

    @property
    def plain(self) -> dict[str, Any]:
        """What is changed, as plain values."""
        return {name: value for name, value in vars(self).items() if value != getattr(Change, name)}

    def __repr__(self) -> str:
        return f"Change({', '.join(f'{name}={value}' for name, value in self.plain.items())})"

    def want(self, want: Want, duration: float | None = None) -> Want:
        """The frames to read of a video that lasts so many seconds, in place of those of ``want``."""
        rates = [rate for rate in (want.rate, self.rate) if rate is not None]
        delay = self.delay if duration is None else min(self.delay, duration / 2)
        return want._replace(rate=min(rates, default=None), delay=delay)

    def frames(self, frames: Iterable[Frame]) -> Iterator[Frame]:
        """The same frames with changed gray levels and compression."""
        table = np.clip(np.arange(256) * self.gain, 0, 255).astype(np.uint8)
        for frame in frames:
            image = frame.image if self.gain == 1 else table[frame.image]
            yield frame if self.gain == 1 and not self.quality else replace(frame, image=self._compressed(image))

    def _compressed(self, image: Pixels) -> Pixels:
        if not self.quality:
            return image
        import cv2

        swapped = np.ascontiguousarray(image[:, :, ::-1])
        code = cv2.imencode(".jpg", swapped, [cv2.IMWRITE_JPEG_QUALITY, self.quality])[1]
        decoded = np.asarray(cv2.imdecode(code, cv2.IMREAD_COLOR), np.uint8)
        return np.ascontiguousarray(decoded[:, :, ::-1])

    def backbone(self, backbone: Backbone) -> Backbone:
        """The backbone for the changed frames."""
        return cast(Backbone, Mirrored(backbone)) if self.mirrored else backbone


class Mirrored:
    """A backbone that gets mirrored pictures and whose features are mirrored back."""

    def __init__(self, backbone: Backbone) -> None:
        self._backbone, self.clip, self.abilities = backbone, backbone.clip, backbone.abilities

    def for_video(self) -> Mirrored | None:
        """The same for the clips of one video in order; None where the backbone keeps no states."""
        streaming = self._backbone.for_video() if isinstance(self._backbone, StreamingBackbone) else None
        return None if streaming is None else Mirrored(streaming)

    def __call__(self, clips: Pixels, *seconds: Floats | None) -> Features:
        """Features of clips ``(B, T, H, W, 3)``."""
        return np.ascontiguousarray(self._backbone(clips[:, :, :, ::-1], *seconds)[:, :, :, ::-1])


CHANGES: Mapping[str, tuple[Change, ...]] = {
    "phase": (Change(delay=0.1), Change(delay=0.35)),  # less than a clip of most backbones, no multiple of its pictures
    "rate": (Change(rate=8.0),),
    "brightness": (Change(gain=0.6), Change(gain=1.3)),
    "compression": (Change(quality=20),),
    "flip": (Change(mirrored=True),),
}
"""The changes of each kind of augmentation."""
