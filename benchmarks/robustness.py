"""How far scores of the same clips move when a clip is cut, thinned, recompressed or otherwise changed.

    python benchmarks/robustness.py DATA [--methods cuboid_mil,gclnc,pooled] [--fold 0] [--changes phase,rate]
    python benchmarks/robustness.py DATA --model RUN

Trains each method on the training videos of a fold (or loads a model) and scores the test videos of the fold, each as
it is and after each change of its decoded pictures. A row: mean and largest distance of a clip's peak from that of the
unchanged clip, frame AUC and video AUC (undefined ones are left out), and how many anomalous and normal clips have
an alarm. The row "phases" has the mean and largest range of the peaks over 0 to 4 removed pictures. Settings: `--set
motion.skip_repeats=true augment=phase,rate`.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy is loaded

import argparse
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import av
import cv2
import numpy as np
import yaml

from wherewhen import datasets
from wherewhen.core.errors import DataError
from wherewhen.core.values import Floats, Pictures, Pixels, Truth, Video
from wherewhen.evaluation.measurable import evaluation_set
from wherewhen.extraction import loading
from wherewhen.inference.model import Model
from wherewhen.inference.model_config import ModelConfig
from wherewhen.metrics._curves import roc_auc
from wherewhen.training.fit import fit
from wherewhen.video import reader

PHASES = 5
RATES = (5.0, 8.0, 12.5, 25.0)
UNCHANGED = "unchanged"


class Shown(NamedTuple):
    """Pictures ``(T, H, W, 3)`` of a clip, their number per second, and when the first one begins in the clip."""

    images: Pixels
    rate: float
    start: float = 0.0


Change = Callable[[Shown], Shown | None]  # None: has no effect on this clip


def phase(count: int, clip: Shown) -> Shown:
    """Without the first ``count`` pictures."""
    return clip._replace(images=clip.images[count:], start=count / clip.rate)


def thinned(rate: float, clip: Shown) -> Shown | None:
    """As transcoders lower the rate: the picture that is shown at each new time."""
    if rate > 0.97 * clip.rate:
        return None
    index = (np.arange(int(len(clip.images) / clip.rate * rate)) / rate * clip.rate + 1e-6).astype(int)
    return Shown(clip.images[index], rate)


def repeated(clip: Shown) -> Shown:
    """Every second picture shown twice, at the same rate."""
    return clip._replace(images=clip.images[np.arange(len(clip.images)) // 2 * 2])


def encoded(codec: str, options: dict[str, str], clip: Shown) -> Shown:
    """Encoded and decoded again."""
    height, width = (side // 2 * 2 for side in clip.images.shape[1:3])
    file = io.BytesIO()
    pixels = "yuvj420p" if codec == "mjpeg" else "yuv420p"
    with av.open(file, "w", format="matroska") as output:
        stream = output.add_stream(codec, rate=Fraction(clip.rate).limit_denominator(1001), options=options)
        stream.width, stream.height, stream.pix_fmt = width, height, pixels
        for image in clip.images:
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image[:height, :width]), format="rgb24")
            output.mux(stream.encode(frame))
        output.mux(stream.encode())
    file.seek(0)
    with av.open(file) as source:
        return clip._replace(images=np.stack([frame.to_ndarray(format="rgb24") for frame in source.decode(video=0)]))


def noisy(sigma: float, clip: Shown) -> Shown:
    """With noise of a sensor, independent in each pixel."""
    rng = np.random.default_rng(0)
    images = np.empty_like(clip.images)
    for image, out in zip(clip.images, images, strict=True):
        noise = rng.standard_normal(image.shape, np.float32)
        np.clip(image + sigma * noise + 0.5, 0, 255, out=noise)
        out[:] = noise
    return clip._replace(images=images)


def scaled(share: float, clip: Shown) -> Shown:
    """At another size."""
    height, width = (round(share * side) for side in clip.images.shape[1:3])
    how = cv2.INTER_AREA if share < 1 else cv2.INTER_LINEAR
    return clip._replace(
        images=np.stack([cv2.resize(image, (width, height), interpolation=how) for image in clip.images])
    )


def lit(gain: float, clip: Shown) -> Shown:
    """Darker or brighter."""
    table = np.clip(np.arange(256) * gain, 0, 255).astype(np.uint8)
    return clip._replace(images=table[clip.images])


def interlaced(clip: Shown) -> Shown:
    """Every second row from the next picture."""
    images = clip.images.copy()
    images[:-1, 1::2] = clip.images[1:, 1::2]
    return clip._replace(images=images)


def flipped(clip: Shown) -> Shown:
    """Left and right exchanged."""
    return clip._replace(images=np.ascontiguousarray(clip.images[:, :, ::-1]))


CHANGES: dict[str, dict[str, Change]] = {
    "phase": {f"pictures removed: {count}": partial(phase, count) for count in range(1, PHASES)},
    "rate": {f"{rate:g} pictures/s": partial(thinned, rate) for rate in RATES},
    "repeat": {"every picture twice": repeated},
    "compression": {
        "MJPEG, quality 12 of 31": partial(encoded, "mjpeg", {"qmin": "12", "qmax": "12"}),
        "H.264, crf 35": partial(encoded, "libx264", {"crf": "35", "preset": "veryfast", "threads": "1"}),
    },
    "noise": {"noise, sigma 6": partial(noisy, 6.0)},
    "scale": {"3/4 of the size": partial(scaled, 0.75), "half of the size": partial(scaled, 0.5)},
    "brightness": {"brightness x 0.6": partial(lit, 0.6), "brightness x 1.3": partial(lit, 1.3)},
    "interlacing": {"interlaced": interlaced},
    "flip": {"flipped": flipped},
}


class Outcome(NamedTuple):
    """Scores ``(F,)`` of the frames of a clip with a truth, the peak, and whether there is an alarm."""

    scores: Floats
    peak: float
    alarm: bool


@dataclass(frozen=True)
class Numbers:
    """Measures of a set of clips; None where undefined."""

    frame_auc: float | None
    video_auc: float | None
    alarms: tuple[int, int]

    @classmethod
    def of(cls, outcomes: Mapping[str, Outcome], truths: Mapping[str, Truth]) -> Numbers:
        """Of the clips with an outcome."""
        frames = [(outcome.scores, truths[name].frames) for name, outcome in outcomes.items()]
        labels = [truths[name].label for name in outcomes]
        peaks = [outcome.peak for outcome in outcomes.values()]
        scores, flags = (np.concatenate(parts) for parts in zip(*frames, strict=True))
        alarms = [
            [outcome.alarm for name, outcome in outcomes.items() if truths[name].label == kind] for kind in (1, 0)
        ]
        return cls(auc(scores, flags), auc(peaks, labels), (sum(alarms[0]), sum(alarms[1])))


def auc(scores: Sequence[float] | Floats, labels: Sequence[int] | Floats) -> float | None:
    """Area under the ROC curve; None where one kind is missing."""
    try:
        return roc_auc(scores, labels)
    except DataError:
        return None


def decoded(video: Video) -> Shown:
    """All pictures of a video."""
    frames = list(reader.frames(video.path, span=video.span, damaged="keep"))
    rate = (len(frames) - 1) / (frames[-1].start - frames[0].start) if len(frames) > 1 else 25.0
    return Shown(np.stack([frame.image for frame in frames]), round(rate, 3))


def outcome(model: Model, clip: Shown, truth: Truth) -> Outcome:
    """Of one model and clip."""
    result = model.detect_one(Pictures(clip.images, clip.rate))
    frames = result.prediction.frames
    assert frames is not None
    edges = truth.edges - truth.edges[0] - clip.start
    return Outcome(frames.on(edges)[:, 0, 0].astype(float), float(frames.values.max()), bool(result.events))


def outcomes(
    models: Mapping[str, Model], videos: Sequence[Video], truths: Mapping[str, Truth], changes: Mapping[str, Change]
) -> Iterator[tuple[str, str, str, Outcome]]:
    """Method, change, name of the clip and outcome."""
    for video in videos:
        clip = decoded(video)
        for name, change in {UNCHANGED: lambda shown: shown, **changes}.items():
            if (changed := change(clip)) is not None and len(changed.images) > 1:
                for method, model in models.items():
                    yield method, name, video.id, outcome(model, changed, truths[video.id])


def rows(by_change: Mapping[str, Mapping[str, Outcome]], truths: Mapping[str, Truth]) -> Iterator[str]:
    """Lines of the table of one method: a change that has no effect on some clips is compared on the others."""
    plain = by_change[UNCHANGED]
    for name, changed in by_change.items():
        before = {clip: plain[clip] for clip in changed}
        numbers, reference = Numbers.of(changed, truths), Numbers.of(before, truths)
        moved = np.array([abs(changed[clip].peak - plain[clip].peak) for clip in changed])
        pairs = (numbers.frame_auc, reference.frame_auc), (numbers.video_auc, reference.video_auc)
        aucs = [_auc(new, old, name) for new, old in pairs]
        clips = "" if len(changed) == len(plain) else f" ({len(changed)} clips)"
        alarms = " | ".join(f"{new}" + ("" if name == UNCHANGED or new == old else f" ({new - old:+d})")
                            for new, old in zip(numbers.alarms, reference.alarms, strict=True))  # fmt: skip
        distance = "|" if name == UNCHANGED else f"{moved.mean():.3f} | {moved.max():.3f}"
        yield f"| {name}{clips} | {distance} | {' | '.join(aucs)} | {alarms} |".replace("0.", ".")
        if name == f"pictures removed: {PHASES - 1}":
            every = [UNCHANGED, *(f"pictures removed: {count}" for count in range(1, PHASES))]
            peaks = np.array([[by_change[change][clip].peak for clip in changed] for change in every])
            yield f"| phases | {np.ptp(peaks, 0).mean():.3f} | {np.ptp(peaks, 0).max():.3f} | | | | |".replace(
                "0.", "."
            )


def _auc(new: float | None, old: float | None, name: str) -> str:
    if new is None or old is None:
        return ""
    return f"{new:.3f}" + ("" if name == UNCHANGED else f" ({new - old:+.3f})")


def trained(method: str, videos: Sequence[Video], settings: Mapping[str, Any]) -> Model:
    """A model of a method with default settings."""
    config = ModelConfig.of({**settings, "method": method})
    return fit(list(loading.bags(videos, config.training_specs(), workers=1, quiet=True)), config, device="cpu").best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--methods", default="cuboid_mil", help="names between commas")
    parser.add_argument("--model", type=Path, help="a run, in place of training")
    parser.add_argument("--fold", type=int, default=0)
    parser.add_argument("--clips", type=int, help="test clips, evenly chosen; default all")
    parser.add_argument("--changes", default=",".join(CHANGES), help=f"of {', '.join(CHANGES)}")
    parser.add_argument("--set", nargs="*", default=[], help="such as motion.skip_repeats=true augment=phase")
    options = parser.parse_args()
    source = datasets.reader_of(options.data)
    fold = source.load(options.data).folds[options.fold]
    judged = evaluation_set(fold.test, source.truth(options.data), str(options.data))
    videos = judged.videos
    if options.clips and options.clips < len(videos):
        videos = tuple(videos[k] for k in np.linspace(0, len(videos) - 1, options.clips).round().astype(int))
    settings: dict[str, Any] = {}
    for item in options.set:
        *section, setting = item.split("=", 1)[0].split(".")
        place = settings.setdefault(section[0], {}) if section else settings
        place[setting] = yaml.safe_load(item.split("=", 1)[1])
    if options.model:
        models = {str(options.model): Model.load(options.model, device="cpu")}
    else:
        models = {name: trained(name, fold.train, settings) for name in options.methods.split(",")}
    changes = {name: change for kind in options.changes.split(",") for name, change in CHANGES[kind].items()}
    table: dict[str, dict[str, dict[str, Outcome]]] = {}
    for method, change, clip, found in outcomes(models, videos, judged.truths, changes):
        table.setdefault(method, {}).setdefault(change, {})[clip] = found
    labels = [judged.truths[video.id].label for video in videos]
    print(
        f"{options.data.name}, fold {fold.name}: {sum(labels)} anomalous and {len(labels) - sum(labels)} normal clips"
    )
    for method, by_change in table.items():
        print(
            f"\n| {method} | peak moved, mean | largest | frame AUC | video AUC | alarms, anomalous | alarms, normal |"
        )
        print("|---|---:|---:|---:|---:|---:|---:|", *rows(by_change, judged.truths), sep="\n")


if __name__ == "__main__":
    main()
