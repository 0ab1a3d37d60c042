"""What is wrong with the pictures of a camera: frozen, dark, blurred, moved, or a switch to infrared."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from wherewhen.core.values import Floats, Pixels

State = Literal["ok", "offline", "frozen", "dark", "blurred", "moved", "ir_switch"]
Light = Literal["day", "ir"]

SIZE = (36, 64)  # height and width of the pictures that are compared
GAP = 15.0  # seconds without pictures after which what lasts begins again
COLORFUL = 6  # mean range of the color channels above which pictures have color


@dataclass(frozen=True)
class StateConfig:
    """Limits of the states of a camera.

    Args:
        frozen_seconds: pictures without any change for so long are frozen.
        dark: mean brightness, from 0 to 255, below which a picture is dark.
        blurred: share of the usual sharpness below which pictures are blurred.
        moved: correlation with the usual background, from -1 to 1, below which the camera was moved.
        lasts_seconds: how long dark, blurred and moved must last.
        settle_seconds: time without alerts after a switch to or from infrared.
    """

    frozen_seconds: float = 10.0
    dark: float = 8.0
    blurred: float = 0.25
    moved: float = 0.2
    lasts_seconds: float = 10.0
    settle_seconds: float = 30.0


@dataclass
class PictureState:
    """The state of a camera from its pictures, a small one a second.

    The usual background and sharpness are those of the last five minutes in state ``ok``. A camera that was moved stays
    so until it shows the old view again, or the present view is accepted (`accept`). ``held``: it was moved before, and
    the old view is not known any more.
    """

    config: StateConfig = field(default_factory=StateConfig)
    held: bool = False

    def __post_init__(self) -> None:
        self.state: State = "ok"
        self._accepting = False
        self._forget()
        self._since: dict[State, float] = {}
        self._previous: tuple[float, Floats] | None = None
        self._changed_at = -np.inf
        self._color: float | None = None
        self._settled_at = -np.inf

    def accept(self) -> None:
        """Take the next pictures as the usual ones; another thread than that of the pictures may call it."""
        self._accepting = True

    @property
    def light(self) -> Light:
        """Whether pictures have color, or are those of infrared light (or of a camera without color)."""
        return "ir" if self._color is not None and self._color <= COLORFUL else "day"

    def _forget(self) -> None:
        """Forget the usual background and sharpness."""
        self._usual: Floats | None = None
        self._seen = 0
        self._sharp: deque[float] = deque(maxlen=300)

    def __call__(self, at: float, picture: Pixels) -> State:
        """The state after a picture ``(H, W, 3)`` at a time in seconds."""
        if self._accepting:
            self._accepting = self.held = False
            self._since.pop("moved", None)
            self._forget()
        small = _small(picture)
        gray, color = small.mean(2), float((small.max(2) - small.min(2)).mean())
        if self._previous is not None and not 0 <= at - self._previous[0] <= GAP:
            self._since.clear()
            self._previous, self._settled_at = None, min(self._settled_at, at + self.config.settle_seconds)
        if self._previous is None or float(np.abs(gray - self._previous[1]).max()) > 0.5:
            self._changed_at = at
        self._previous = at, gray
        if gray.mean() >= self.config.dark:
            self._watch_color(at, color)
        faults = self._faults(gray)
        for name in ("dark", "blurred", "moved"):
            if name in faults:
                self._since.setdefault(name, at)
            else:
                self._since.pop(name, None)
        self.state = self._decided(at)
        if not faults:
            self._learn(gray)
        return self.state

    def _decided(self, at: float) -> State:
        if at - self._changed_at >= self.config.frozen_seconds:
            return "frozen"
        if at < self._settled_at:
            return "ir_switch"
        lasting = [name for name, since in self._since.items() if at - since >= self.config.lasts_seconds]
        return next((name for name in ("dark", "blurred", "moved") if name in lasting), "moved" if self.held else "ok")

    def _watch_color(self, at: float, color: float) -> None:
        """A switch to infrared takes all color away at once, and back."""
        if self._color is not None and (self._color > COLORFUL) != (color > COLORFUL) and abs(self._color - color) > 4:
            self._settled_at = at + self.config.settle_seconds
            self.held |= self.state == "moved"
            self._forget()
        self._color = color

    def _faults(self, gray: Floats) -> set[State]:
        faults: set[State] = set()
        if gray.mean() < self.config.dark:
            return {"dark"}
        if self._seen >= 5 and self._usual is not None:
            usual = float(np.median(self._sharp))
            if usual > 1 and _sharpness(gray) < self.config.blurred * usual:
                faults.add("blurred")
            elif _agreement(gray, self._usual) < self.config.moved:
                faults.add("moved")
        return faults

    def _learn(self, gray: Floats) -> None:
        self._seen += 1
        share = max(1 / self._seen, 1 / 300)
        self._usual = gray if self._usual is None else (1 - share) * self._usual + share * gray
        self._sharp.append(_sharpness(gray))


def _small(picture: Pixels) -> Floats:
    """A small copy, by means of areas."""
    h, w = picture.shape[:2]
    rows, columns = np.linspace(0, h, SIZE[0] + 1).astype(int), np.linspace(0, w, SIZE[1] + 1).astype(int)
    sums = np.add.reduceat(np.add.reduceat(picture.astype(np.float64), rows[:-1], 0), columns[:-1], 1)
    areas = np.maximum(np.diff(rows), 1)[:, None, None] * np.maximum(np.diff(columns), 1)[None, :, None]
    means: Floats = sums / areas
    return means


def _sharpness(gray: Floats) -> float:
    """Mean squared second difference: high where there are edges."""
    across = gray[:, 2:] - 2 * gray[:, 1:-1] + gray[:, :-2]
    down = gray[2:] - 2 * gray[1:-1] + gray[:-2]
    return float((across**2).mean() + (down**2).mean())


def _agreement(gray: Floats, usual: Floats) -> float:
    """Correlation of the gradients of two pictures; 1 where one shows nothing."""
    a, b = (np.concatenate([np.diff(x, axis=0).ravel(), np.diff(x, axis=1).ravel()]) for x in (gray, usual))
    scale = float(np.sqrt((a**2).sum() * (b**2).sum()))
    return float((a * b).sum()) / scale if scale > 1e-6 else 1.0
