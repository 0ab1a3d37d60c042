"""Extraction of a few clips in several ways, to find the one that reproduces given features."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wherewhen.core import registry
from wherewhen.core.config import CONSENT, build, from_file, mapping
from wherewhen.core.contracts import ClipSpec
from wherewhen.core.errors import ConfigError, DataError
from wherewhen.core.values import Clip, Features, Frame, Grid, Pixels
from wherewhen.data_tools.features.changes import EXACT
from wherewhen.data_tools.features.diff import Cause, Sheets, Verdict, cosine
from wherewhen.extraction import assembly, sampling
from wherewhen.runtime.network import Network
from wherewhen.video import reader

RATES = (None, 10.0, 15.0, 24.0, 25.0, 30.0)
AS_TOLD = "as in the passport"


@dataclass(frozen=True)
class Trial:
    """One way to look, with how near its features come: mean cosine and relative L2 error over so many clips."""

    way: str
    cosine: float
    error: float
    clips: int


@dataclass(frozen=True)
class Way:
    """One way to look: what is done to the pictures before they are resized and after, and to the stream of clips.

    ``floats``: what the network is given instead of bytes; only networks can be looked with so.
    """

    name: str
    before: Callable[[Pixels], Pixels] | None = None
    after: Callable[[Pixels], Pixels] | None = None
    floats: Callable[[NDArray[np.float32]], NDArray[np.float32]] | None = None
    clip: Mapping[str, Any] | None = None


def ways(spec: ClipSpec) -> list[Way]:
    """The ways that are tried with a backbone's clips."""
    candidates = [
        Way(AS_TOLD),
        Way("blue before red (BGR)", after=lambda p: p[..., ::-1]),
        Way("mirrored", after=lambda p: p[..., ::-1, :]),
        Way("center crop of the picture, square", before=_square),
        Way("center crop of 7/8 (224 of 256)", before=lambda p: _middle(p, 7 / 8, 7 / 8)),
        Way("center crop of 7/8 (224 of 256), square", before=lambda p: _middle(_square(p), 7 / 8, 7 / 8)),
        Way("resized without averaging (bilinear)", before=lambda p: _bilinear(p, spec.size)),
        Way("values 0 to 1 instead of 0 to 255", floats=lambda p: p / np.float32(255)),
        Way("values -1 to 1 instead of 0 to 255", floats=lambda p: p / np.float32(127.5) - np.float32(1)),
        Way("values 255 times as large", floats=lambda p: p * np.float32(255)),
    ]
    strides = sorted({max(1, spec.stride // 2), spec.stride * 2, spec.frames, 1} - {spec.stride})
    candidates += [Way(f"stride {stride}", clip={"stride": stride}) for stride in strides]
    candidates += [Way(f"rate {rate or 'of the source'}", clip={"rate": rate}) for rate in RATES if rate != spec.rate]
    return candidates


def tried(
    a: Sheets,
    b: Sheets,
    video: str,
    *,
    backbone: str | None = None,
    settings: Mapping[str, Any] | None = None,
    clips: int = 4,
    trust: bool = False,
) -> list[Trial]:
    """Every way to look at the first clips of a video, the one that comes nearest to b's features first.

    The backbone is that of a's passport, with its settings, unless another is named. ConfigError where none is known.
    ``trust``: run the code in the TorchScript file that these settings name, if they name one.
    """
    if clips < 1:
        raise ConfigError(f"clips are at least 1, got {clips}")
    name = _name_of(b, video)
    theirs = b[name]().values
    passport = a[name]().passport if name in a else {}
    looker = _looker(passport, backbone, settings, trust)
    trials = []
    for way in ways(looker.clip):
        if way.floats is not None and not isinstance(looker, Network):
            continue
        features = _look(looker, way, video, clips, passport)
        trial = _judged(way.name, features, theirs)
        if trial is not None:
            trials.append(trial)
    if not trials:
        raise DataError(f"{video}: none of its clips gives features of {theirs.shape[-1]} numbers; name the --backbone")
    return sorted(trials, key=lambda t: (-round(t.cosine, 6), t.error))


def concluded(verdict: Verdict, trials: list[Trial]) -> Verdict:
    """A verdict with the way to look as its first cause, where one gives the features that the passport's doesn't."""
    stated = next((trial for trial in trials if trial.way == AS_TOLD), None)
    best = trials[0] if trials else None
    if (
        verdict.equal
        or best is None
        or best is stated
        or best.error > 0.1
        or (stated and best.error > 0.1 * stated.error)
    ):
        return verdict
    sure = "gives b's features" if best.error <= EXACT else "is closest to b's features"
    text = f"{best.clips} time steps extracted again: '{best.way}' {sure}: cosine {best.cosine:.6f}"
    text += f", as in the passport {stated.cosine:.6f}" if stated else ""
    return replace(verdict, causes=[Cause(best.way, text, best.error), *verdict.causes])


def _name_of(sheets: Sheets, video: str) -> str:
    stem = Path(video).stem
    alike = [name for name in sheets if name == stem or Path(name).name == stem]
    if len(alike) == 1 or len(sheets) == 1:
        return (alike or list(sheets))[0]
    raise DataError(f"{video}: no features are called {stem}; there are {', '.join(sorted(sheets)[:5])}")


def _looker(passport: Mapping[str, Any], backbone: str | None, settings: Mapping[str, Any] | None, trust: bool) -> Any:
    stored = passport.get("made") or {}
    name = backbone or stored.get("backbone")
    if name in (None, "imported"):
        raise ConfigError("these features have no passport that names their backbone; name one: --backbone NAME")
    plugin = registry.load("backbones", str(name))
    options = settings
    if options is None and stored.get("backbone") == name:
        options = from_file(mapping(stored.get(name), str(name)))
        options["weights"] = _weights(str(name), plugin, options["weights"]) if "weights" in options else None
        options = {key: value for key, value in options.items() if value is not None or key != "weights"}
    if trust and CONSENT in plugin.Config.__dataclass_fields__:
        options = {**(options or {}), CONSENT: True}
    return plugin(build(plugin.Config, options, str(name)))


def _weights(name: str, plugin: Any, sha256: str) -> str:
    """The name of the weights with a checksum; ConfigError where they are not here."""
    if sha256.startswith("random"):
        return "random"
    for weights in plugin.weights:
        if weights.path.exists() and weights.check() == sha256:
            return str(weights.name)
    raise ConfigError(f"the weights {sha256[:12]}... are not here; name a file with them: --{name}.weights PATH")


def _look(looker: Any, way: Way, video: str, clips: int, passport: Mapping[str, Any]) -> Features:
    """Features ``(T, P, D)`` of the first clips, in one way."""
    spec = replace(looker.clip, **(way.clip or {}))
    pictures = _pictures(video, spec, way)
    stream = list(islice(sampling.clips(pictures, spec), clips))
    grids = [_grid(looker, way, clip) for clip in stream]
    stored = passport.get("made") or {}
    builder = registry.load("instances", stored.get("instances", "cells"))
    options = stored.get(stored.get("instances", "cells"))
    instances = assembly.join_instances(builder(build(builder.Config, options, "cells"))(grids))
    steps = instances.shape[0] if instances.shape else len(instances.features)
    return instances.features.reshape(steps, -1, instances.features.shape[1])


def _pictures(video: str, spec: ClipSpec, way: Way) -> Iterator[Frame]:
    if way.before is None:
        frames: Iterable[Frame] = sampling.frames(video, spec)
    else:
        frames = reader.frames(video, rate=spec.rate)
    for frame in frames:
        image = frame.image if way.before is None else way.before(frame.image)
        if way.before is not None and spec.width is not None and image.shape[1] > spec.width:
            image = _to(image, (round(image.shape[0] * spec.width / image.shape[1]), spec.width))
        elif way.before is not None and spec.size is not None and image.shape[:2] != spec.size:
            image = _to(image, spec.size)
        if way.after is not None:
            image = np.ascontiguousarray(way.after(image))
        yield Frame(image, frame.index, frame.start, frame.end)


def _to(image: Pixels, size: tuple[int, int]) -> Pixels:
    import cv2

    return np.asarray(cv2.resize(image, size[::-1], interpolation=cv2.INTER_AREA), np.uint8)


def _bilinear(image: Pixels, size: tuple[int, int] | None) -> Pixels:
    import cv2

    return (
        image if size is None else np.asarray(cv2.resize(image, size[::-1], interpolation=cv2.INTER_LINEAR), np.uint8)
    )


def _square(image: Pixels) -> Pixels:
    side = min(image.shape[:2])
    return _middle(image, side / image.shape[0], side / image.shape[1])


def _middle(image: Pixels, high: float, wide: float) -> Pixels:
    h, w = max(1, round(image.shape[0] * high)), max(1, round(image.shape[1] * wide))
    top, left = (image.shape[0] - h) // 2, (image.shape[1] - w) // 2
    return np.ascontiguousarray(image[top : top + h, left : left + w])


def _grid(looker: Any, way: Way, clip: Clip) -> Grid:
    ((images, place),) = sampling.cropped(clip.images, looker.clip)
    if way.floats is None:
        features = sampling.clip_features(looker, images[None], clip.seconds[None])
    else:
        features = looker.plain(way.floats(looker.prepared(images[None]).astype(np.float32)))
    edges = sampling.steps(clip, len(features[0]), looker.clip.changes)
    return Grid(features[0], np.array([*clip.extent[:2], *place]), edges=edges, span=clip.span)


def _judged(way: str, features: Features, theirs: Features) -> Trial | None:
    """How near features come; the mean over places where only one side has several."""
    if features.shape[2] != theirs.shape[2]:
        return None
    if features.shape[1] != theirs.shape[1]:
        features, theirs = features.mean(1, keepdims=True), theirs.mean(1, keepdims=True)
    count = min(len(features), len(theirs))
    x, y = features[:count].astype(np.float64), theirs[:count].astype(np.float64)
    if not np.isfinite(x).all():
        return None
    size = float(np.linalg.norm(y))
    return Trial(way, cosine(x, y), float(np.linalg.norm(x - y)) / size if size else float("inf"), count)
