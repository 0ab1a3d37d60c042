"""A drawn surveillance data set: labels, times, boxes, tracks and masks are exact, at any length.

A fixed camera shows a plaza, a walkway with one direction and a lawn that is not entered. In anomalous clips
an anomaly of one kind happens for a part of the time; in normal ones a similar activity does.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from wherewhen.core import extents as ext
from wherewhen.core.contracts import DatasetReader, Provenance
from wherewhen.core.errors import ConfigError, DataError, unknown
from wherewhen.core.values import Dataset, Fold, Masks, Pixels, Truth, Video
from wherewhen.datasets import native

if TYPE_CHECKING:
    from wherewhen.datasets._toy_render import Drawn
    from wherewhen.datasets._toy_scene import Scene

KINDS = ("running", "wheels", "wrong_way", "fight", "fall", "abandoned", "intrusion")
"""Kinds of anomaly, by the name of the act that plays them."""

NUISANCES = ("rain", "wind", "flicker")
"""What disturbs a recording and is no anomaly."""

MOST_DECOYS = 64
UNSEEN_FROM = 3  # cameras, of which the last third are in a fold of their own

Writer = Callable[[Path, Iterator[Pixels], float], None]
"""Writes pictures, uint8 RGB ``(H, W, 3)``, at a rate in frames per second to a video file."""


@dataclass(frozen=True, slots=True)
class Toy:
    """What to draw: equal settings give equal pixels.

    ``scene``: number of the first camera. Each of ``cameras`` has as many clips of a label as the others, or one more;
    several cameras also differ in height, view angle and light. ``seed``: what happens there.
    ``test_fraction``: share of the clips, of each label and kind, that the one fold tests on. ``palette``: all is dull
    but the anomaly, which wears the color of its kind while it lasts; what happens stays the same. ``decoys``: how many
    still things in colors of the palette stand about in every clip, normal ones too: color alone is then no evidence.
    ``nuisance``: kinds of `NUISANCES`, each in about half of the clips, whatever their label; all else stays the same.
    """

    seed: int = 0
    scene: int = 0
    cameras: int = 1
    clips_normal: int = 14
    clips_anomalous: int = 14
    seconds: float = 16.0
    width: int = 320
    height: int = 240
    rate: float = 25.0
    kinds: tuple[str, ...] = KINDS
    test_fraction: float = 0.5
    palette: bool = False
    decoys: int = 0
    nuisance: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "kinds", tuple(self.kinds))
        for kind in self.kinds:
            if kind not in KINDS:
                raise ConfigError(unknown("kind of anomaly", kind, KINDS))
        object.__setattr__(self, "nuisance", tuple(self.nuisance))
        for name in self.nuisance:
            if name not in NUISANCES:
                raise ConfigError(unknown("kind of nuisance", name, NUISANCES))
        low = {"seed": 0, "scene": 0, "cameras": 1, "clips_normal": 0, "clips_anomalous": 0, "seconds": 4}
        for name, least in {**low, "width": 64, "height": 48}.items():
            if getattr(self, name) < least:
                raise ConfigError(f"toy: {name} must be at least {least}, got {getattr(self, name)}")
        if not 0 <= self.decoys <= MOST_DECOYS:
            raise ConfigError(f"toy: decoys is 0 to {MOST_DECOYS}, got {self.decoys}")
        if self.width % 2 or self.height % 2:
            raise ConfigError(f"toy: width and height must be even, got {self.width}x{self.height}")
        if not 1 <= self.rate <= 240 or not 0 <= self.test_fraction <= 1:
            raise ConfigError(f"toy: rate is 1 to 240 and test_fraction 0 to 1, got {self.rate}, {self.test_fraction}")
        for count in (self.clips_normal, self.clips_anomalous):
            if 0 < count < self.cameras:
                raise ConfigError(f"toy: {self.cameras} cameras need as many clips of each label, or none; got {count}")
        if not self.clips_normal + self.clips_anomalous or (self.clips_anomalous and not self.kinds):
            raise ConfigError("toy: needs at least one clip, and a kind for the anomalous ones")

    @property
    def frames(self) -> int:
        """Pictures per clip."""
        return round(self.seconds * self.rate)


@dataclass(frozen=True, slots=True)
class Planned:
    """One clip before it is drawn: id, kind of anomaly (None = normal), camera, and whether it is for testing."""

    id: str
    kind: str | None
    scene: int
    test: bool


def plan(settings: Toy) -> tuple[Planned, ...]:
    """All clips in a shuffled order, so that neither name nor position reveals the label.

    >>> [clip.kind for clip in plan(Toy(clips_normal=1, clips_anomalous=2, kinds=("fall",)))]
    [None, 'fall', 'fall']
    """
    s, count = settings, settings.clips_normal + settings.clips_anomalous
    order = np.random.default_rng([s.seed, 0x0DE2]).permutation(count)
    kinds = sorted(s.kinds[k % len(s.kinds)] for k in range(s.clips_anomalous))
    clips: dict[int, Planned] = {}
    groups: tuple[list[str | None], ...] = ([None] * s.clips_normal, list(kinds))
    for group, drawn in zip(groups, _cameras(s), strict=True):
        for k, kind in enumerate(group):
            test = int((k + 1) * s.test_fraction + 1e-9) > int(k * s.test_fraction + 1e-9)
            place = int(order[len(clips)])
            clips[place] = Planned(f"toy{place:04d}", kind, s.scene + drawn[k], test)
    return tuple(clips[k] for k in range(count))


def _cameras(settings: Toy) -> list[list[int]]:
    """The cameras of the normal and the anomalous clips: each once, in random order, then again."""
    rng = np.random.default_rng([settings.seed, 0xCA3])
    counts = (settings.clips_normal, settings.clips_anomalous)
    rounds = [-(-count // settings.cameras) for count in counts]
    return [[k for _ in range(number) for k in rng.permutation(settings.cameras).tolist()] for number in rounds]


def _folds(videos: Sequence[Video], clips: Sequence[Planned], settings: Toy) -> tuple[Fold, ...]:
    """The fold ``toy`` on all cameras; from three cameras on also ``unseen``, which tests the last third of them."""
    first_unseen = settings.scene + settings.cameras - -(-settings.cameras // 3)
    sides = {"toy": [clip.test for clip in clips]}
    if settings.cameras >= UNSEEN_FROM:
        sides["unseen"] = [clip.scene >= first_unseen for clip in clips]
    folds = []
    for name, tests in sides.items():
        train, test = (
            tuple(v for v, tested in zip(videos, tests, strict=True) if tested == side) for side in (False, True)
        )
        folds.append(Fold(name, train, test))
    return tuple(folds)


@lru_cache(16)
def _scene(seed: int, width: int, height: int, varied: bool, windy: bool = False) -> Scene:
    from wherewhen.datasets._toy_scene import build

    return build(seed, width, height, varied, windy)


def clip(settings: Toy, index: int) -> Iterator[Drawn]:
    """Draw clip ``index`` of the plan: ``image`` uint8 RGB ``(H, W, 3)``, ``mask`` ``(H, W)``, ``boxes`` by track.

    Boxes are half-open pixels ``x0 y0 x1 y1`` around what can be seen.

    >>> next(clip(Toy(width=64, height=48), 0)).image.shape
    (48, 64, 3)
    """
    from wherewhen.datasets._toy_acts import fill
    from wherewhen.datasets._toy_nuisance import Nuisance
    from wherewhen.datasets._toy_render import render

    clips = plan(settings)
    if not 0 <= index < len(clips):
        raise DataError(f"toy: clips 0 to {len(clips) - 1}, got {index}")
    place = clips[index].scene, settings.width, settings.height, settings.cameras > 1
    scene = _scene(*place)
    rng = np.random.default_rng([settings.seed, 0xC11B, index])
    actors = fill(scene, rng, settings.rate, settings.frames, clips[index].kind)
    draws = np.random.default_rng([settings.seed, 0x4A17, index])
    kinds = {kind: kind in settings.nuisance for kind in NUISANCES}
    nuisance = Nuisance.of(kinds, scene, draws, settings.rate, settings.frames)
    if nuisance.is_windy:
        scene = replace(scene, pictures=_scene(*place, windy=True).pictures)
    if settings.palette:
        from wherewhen.datasets._toy_palette import dressed, muted

        scene, actors = muted(scene), dressed(actors, clips[index].kind)
    if settings.decoys:
        from wherewhen.datasets._toy_decoys import standing

        apart = np.random.default_rng([settings.seed, 0xDEC0, index])  # so that all else stays in its place
        actors = actors + standing(scene, apart, settings.frames, settings.decoys, actors)
    return render(scene, actors, rng, settings.rate, settings.frames, nuisance)


def _spans(hot: Masks, rate: float) -> list[tuple[float, float]]:
    """Runs of anomalous frames in seconds; a gap of up to half a second, behind a post, doesn't end one."""
    runs: list[list[int]] = []
    for k in np.flatnonzero(hot).tolist():
        if runs and k - runs[-1][1] <= rate / 2:
            runs[-1][1] = k + 1
        else:
            runs.append([k, k + 1])
    return [(a / rate, b / rate) for a, b in runs]


def _film(settings: Toy, index: int, path: Path, write: Writer) -> Truth:
    """Draw a clip into a video file and give its truth; the masks wait, packed, beside the video."""
    rows: list[tuple[int, int, tuple[int, int, int, int]]] = []
    packed: list[Pixels] = []

    def images() -> Iterator[Pixels]:
        for drawn in clip(settings, index):
            rows.extend((len(packed), track, box) for track, box in drawn.boxes.items())
            packed.append(np.packbits(drawn.mask, axis=-1))
            yield drawn.image

    write(path, images(), settings.rate)
    if len(packed) != settings.frames:
        raise DataError(f"{path}: the writer took {len(packed)} of {settings.frames} pictures")
    bits = path.with_name(f"{path.name}.bits.npy")
    np.save(bits, np.stack(packed))
    hot = np.zeros(settings.frames, bool)
    hot[[frame for frame, _, _ in rows]] = True
    spans = _spans(hot, settings.rate)
    kind = plan(settings)[index].kind
    if bool(kind) != bool(spans):
        raise DataError(f"{path.stem}: nothing of {kind!r} is visible; use another seed or a larger picture")
    times = np.array([[frame, frame + 1] for frame, _, _ in rows]).reshape(-1, 2) / settings.rate
    boxes = ext.from_pixels([box for _, _, box in rows], times, settings.width, settings.height)
    return Truth(
        edges=np.arange(settings.frames + 1) / settings.rate,
        spans=np.array(spans).reshape(-1, 2),
        boxes=boxes,
        track=np.array([track for _, track, _ in rows], np.int64),
        categories=(kind,) * len(spans) if kind else (),
        masks=partial(_unpack, bits, settings.width),
    )


def _unpack(path: Path, width: int) -> Masks:
    return np.unpackbits(np.load(path), axis=-1, count=width).astype(bool)


def generate(
    root: Path,
    settings: Toy,
    write: Writer,
    suffix: str = ".mp4",
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Draw the whole data set into a new folder in the native format; ``write`` makes the video files.

    ``progress(done, clips)`` is called after each clip. Raises DataError if ``root`` exists already.
    """
    root = Path(root)
    if root.exists():
        raise DataError(f"{root}: already there; choose another folder or remove it")
    clips = plan(settings)
    root.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{root.name}.", dir=root.parent) as draft:
        videos, truths = [], {}
        for index, planned in enumerate(clips):
            path = Path(draft) / f"{planned.id}{suffix}"
            truths[planned.id] = _film(settings, index, path, write)
            videos.append(
                Video(planned.id, path, int(planned.kind is not None), planned.kind, camera=f"scene{planned.scene}")
            )
            if progress:
                progress(index + 1, len(clips))
        dataset = Dataset("toy", tuple(videos), _folds(videos, clips, settings))
        sizes = {clip.id: (settings.width, settings.height) for clip in clips}
        native.write(root, dataset, truths, sizes, {"reader": "toy", "settings": asdict(settings)})


def matches(root: Path) -> bool:
    """Whether ``generate`` made this folder."""
    return native.reader_of(root) == "toy"


PLUGIN = DatasetReader(
    source=Provenance("A drawn surveillance scene with seven kinds of anomaly", licence="Apache-2.0"),
    matches=matches,
    load=native.load,
    truth=native.truth,
    split_rule="test_fraction of the clips of each label and kind",
)
