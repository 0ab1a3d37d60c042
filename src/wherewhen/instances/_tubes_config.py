"""Settings of tubes: their boxes, shapes, features and joints."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from wherewhen.core.contracts import PoseSpec, RoiSpec, TrackSource
from wherewhen.core.errors import ConfigError
from wherewhen.core.linking import LinkConfig
from wherewhen.core.tubes import SUB_TUBE, TubeConfig
from wherewhen.runtime.network_files import identity

WINDOW = 5 * SUB_TUBE


@dataclass(frozen=True)
class PoseConfig:
    """Settings of `TubesConfig.pose`, which have an effect where features is pose.

    Args:
        path: a file of a network of joints such as MoveNet (.tflite, .xml with .bin beside it, .onnx).
        sha256: checksum of the file; empty: computed. A file with another checksum is an error.
        rate: pictures per second in which joints are located; null keeps the source's.
        margin: share of its size by which a box is enlarged on each side; the crop is then made square.
        confidence: joints of lower confidence are left out.
    """

    path: str = ""
    sha256: str = ""
    rate: float | None = 5.0
    margin: float = 0.15
    confidence: float = 0.2

    def __post_init__(self) -> None:
        if (self.rate is not None and not self.rate > 0) or not 0 <= self.margin <= 2 or not 0 <= self.confidence <= 1:
            raise ConfigError(
                f"tubes.pose: expected rate above 0 or null, margin in [0, 2] and confidence in [0, 1]; got {self}"
            )
        object.__setattr__(self, "sha256", identity(self.path, self.sha256, "tubes.pose"))


@dataclass(frozen=True)
class TubesConfig:
    """Settings of `Tubes` and `TubeFrames`.

    Args:
        proposals: source of boxes (wherewhen list proposals).
        boxes: settings of that source, such as {rate: 6}.
        tracks: settings of the tracker that links boxes.
        shape: how tubes are built from tracks; by default its window is 12.8 seconds, and movers that
            touch have no union.
        part: seconds; every tube is cut evenly into parts no longer than this, each an instance. Null keeps it whole.
        whole_in_training: tubes of training videos are kept whole; parts are those of detection, as in Wu et al., 2021.
        track: what is numbered as a track: an object, whose parts are one path, or each part, so that the best
            part alone is the predicted tube (equation 9 of Wu et al.).
        features: pool averages the grid cells inside the boxes; crop cuts the boxes out of the pictures and
            runs the backbone on them; pose is pool with the motion of each person's joints. Tubes only.
        margin: share of its size by which a box is enlarged on each side before its features are computed.
        width: crops are cut out of pictures at most so many px wide; null keeps them as they are.
        l2: scale features of pictures to unit length, as Sultani et al.
        manner: add each mover's motion: path, speed relative to its size, change of shape, neighbors. Tubes only.
        pose: the network of joints, and how it is applied.
    """

    proposals: str = "motion"
    boxes: dict[str, Any] = field(default_factory=dict)
    tracks: LinkConfig = LinkConfig()  # noqa: RUF009 (frozen)
    shape: TubeConfig = TubeConfig(window=WINDOW, multivariate=False)  # noqa: RUF009 (frozen)
    part: float | None = SUB_TUBE
    whole_in_training: bool = False
    track: Literal["object", "part"] = "object"
    features: Literal["pool", "crop", "pose"] = "pool"
    margin: float = 0.0
    width: int | None = 640
    l2: bool = False
    manner: bool = True
    pose: PoseConfig = PoseConfig()

    def __post_init__(self) -> None:
        if self.part is not None and not self.part > 0:
            raise ConfigError(f"tubes: part is above 0 seconds or null; got {self.part}")
        if not 0 <= self.margin <= 2:
            raise ConfigError(f"tubes: expected margin in [0, 2]; got {self.margin}")
        if self.width is not None and self.width < 1:
            raise ConfigError(f"tubes: width is at least 1 px or null; got {self.width}")
        if self.shape.frame == "never":
            raise ConfigError("tubes: shape.frame never leaves a video without movers empty; use fallback or always")
        if self.features == "pose" and not self.pose.path:
            raise ConfigError(
                "tubes: features pose needs a network of joints: --tubes.pose.path FILE "
                "(such as movenet_single_pose_lightning_ptq.tflite)"
            )

    @property
    def track_source(self) -> TrackSource:
        """The source of the boxes that come with each grid."""
        return TrackSource(self.proposals, self.boxes, self.tracks)

    @property
    def roi(self) -> RoiSpec | None:
        """How movers are cropped; None where the features are pooled only."""
        if self.features == "pose":
            pose = PoseSpec(self.pose.path, self.pose.sha256, self.pose.rate, self.pose.confidence)
            return RoiSpec(self.pose.margin, self.width, pose=pose)
        return RoiSpec(self.margin, self.width, self.l2) if self.features == "crop" else None

    @property
    def wait(self) -> float:
        """Seconds after its end that an instance may wait; without a window it waits for the end of the video."""
        return (self.shape.window or float("inf")) + self.tracks.gap


def in_training(settings: TubesConfig) -> TubesConfig:
    """The settings by which instances of training videos are built: without parts where they are whole in training.

    >>> in_training(TubesConfig(whole_in_training=True)).part is None
    True
    """
    return replace(settings, part=None) if settings.whole_in_training else settings


def effective(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The plain settings that features depend on, without those that have no effect and the path of the file of joints.

    Settings that older releases lacked are left out where they have their effect, so that stores stay valid.

    >>> sorted(effective({"features": "pose", "pose": {"path": "net.tflite", "sha256": "1"}})["pose"])
    ['sha256']
    """
    without_effect = {"pose", "whole_in_training"} | ({"track"} if settings.get("track") == "object" else set())
    result = {name: value for name, value in settings.items() if name not in without_effect}
    if settings["features"] == "pose":
        result["pose"] = {name: value for name, value in settings["pose"].items() if name != "path"}
    if "shape" in settings:
        shape = settings["shape"]
        newer = {"unions": "pairs", "contact": 0.0}
        idle = {name for name, usual in newer.items() if not shape["multivariate"] or shape.get(name) == usual}
        result["shape"] = {name: value for name, value in shape.items() if name not in idle}
    return result
