"""Settings of a model outside of any section: their types, defaults and values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from wherewhen.core import registry
from wherewhen.core.config import typed
from wherewhen.core.errors import ConfigError, unknown
from wherewhen.extraction import sampling
from wherewhen.extraction.augmentation import CHANGES
from wherewhen.inference.camera_normalizer import CAMERA
from wherewhen.inference.running_normalizer import BOTH, PAST


@dataclass(frozen=True)
class Option:
    """A setting outside of any section: its type, its default, and which values it takes (``names``)."""

    kind: type
    default: Any
    expected: str = ""
    accepts: Callable[[Any], bool] = lambda value: True
    names: tuple[str, ...] = ()

    def of(self, value: Any, name: str) -> Any:
        """The value with its type; ConfigError where it is not one that the setting takes."""
        setting = typed(self.kind, value, name)
        if self.names and setting not in self.names:
            raise ConfigError(unknown(name, setting[:80], self.names))
        if not self.accepts(setting):
            raise ConfigError(f"{name}: expected {self.expected}, got {setting}")
        return setting


def _choice(*names: str) -> Option:
    """A setting that takes one of these names, the first one by default."""
    return Option(str, names[0], names=names)


NORMALIZERS = ("places", "global", "none", PAST, BOTH, CAMERA)
"""What features are normalized by: statistics of normal training videos by place, or of all places together; nothing;
the past of the same video; ``places`` and ``past`` side by side; or by place at cameras with enough normal training
videos, and by the past at others."""

OPTIONS: Mapping[str, Option] = {
    "seed": Option(int, 0),
    "validation": Option(float, 0.2, "a share of the training videos from 0 to below 1", lambda share: 0 <= share < 1),
    "engine": _choice("auto", *registry.names("engines")),
    "precision": _choice("auto", "fp32", "bf16", "int8"),
    "crops": Option(int, 1, "1, 5 or 10", lambda value: value in sampling.CROPS),
    "crop_mode": _choice("places", "separate"),
    "test_crop": Option(int, 0, "0, or the number of a crop", lambda value: 0 <= value <= max(sampling.CROPS)),
    "gate": Option(float, 0.0, "0 or more gray levels", lambda value: value >= 0),
    "normalizer": _choice("auto", *NORMALIZERS),
    "components": Option(int, 0, "0 or more", lambda value: value >= 0),
    "augment": Option(
        str, "", f"names between commas, of {', '.join(CHANGES)}", lambda value: {*between(value)} <= {*CHANGES}
    ),
}


def between(names: str) -> tuple[str, ...]:
    """Names between commas, each once."""
    return tuple(dict.fromkeys(name.strip() for name in names.split(",") if name.strip()))
