"""A user's network, from an ONNX, TensorFlow Lite, OpenVINO IR or TorchScript file."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from wherewhen.backbones import _onnx_file, _openvino_file
from wherewhen.backbones._states import Stream
from wherewhen.core.config import CONSENT
from wherewhen.core.contracts import Backbone, BackboneAbilities, ClipSpec, Provenance
from wherewhen.core.errors import ConfigError
from wherewhen.core.values import Features, Pixels
from wherewhen.runtime import network_files
from wherewhen.runtime.network import fitted

Array = NDArray[np.float32]
Run = Callable[[Array], Array]
ONNX, SCRIPT = (".onnx",), (".pt", ".pth", ".ts", ".torchscript")
OPENVINO = (_openvino_file.TFLITE, network_files.IR)
SUFFIXES = ONNX + OPENVINO + SCRIPT
AUTO = "auto"


@dataclass(frozen=True)
class FileConfig:
    """Settings of `File`. Letters of layouts: B clips (frames where there is no T), T time, H, W, C or D channels.

    Args:
        path: a file of ONNX (.onnx), TensorFlow Lite (.tflite), OpenVINO IR (.xml with .bin beside it) or TorchScript
            (.pt, .pth, .ts, .torchscript).
        sha256: checksum of the file (IR: of both files); empty: computed. A file with another checksum is an error.
        trust: TorchScript files contain code; true runs it, for files that you trust. Only the command line
            (--file.trust, or --trust for a trained model) or an argument in Python can set it, never a file.
        frames: frames per clip.
        stride: a new clip every so many frames.
        rate: frames per second after resampling by timestamps; null keeps the source's.
        tail: frames left over at the end make a last clip that reaches back, or are dropped.
        sampling: of so many frames the middle one is used.
        size: height and width in px that the whole scene is squeezed into.
        mean: subtracted from the channels red, green and blue in [0, 1].
        std: divisor of the channels after that.
        scaling: file: pixels cover the whole range of a quantized input, and mean and std have no effect (TensorFlow
            Lite and IR); settings: mean and std, which an integer input can't have.
        bgr: blue comes first; mean and std stay red first.
        input: layout of the network's input; without T it processes single frames. auto: by the file's shapes for
            TensorFlow Lite and IR, BCTHW for others.
        output: layout of the network's output; auto: channels last for TensorFlow Lite, first for IR, BD for others.
        take: index of the output that is used, from 0 (ONNX and TorchScript); states don't count.
        operation: name of the operation whose output is used (TensorFlow Lite and IR); empty: the last map of several
            rows and columns, before pooling, or the only output that is no state.
        states: INPUT=OUTPUT for each state of a streaming network whose names don't match.
    """

    path: str = ""
    sha256: str = ""
    trust: bool = False
    frames: int = 16
    stride: int = 16
    rate: float | None = None
    tail: Literal["back", "drop"] = "back"
    sampling: int = 1
    size: tuple[int, int] = (224, 224)
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    scaling: Literal["file", "settings"] = "file"
    bgr: bool = False
    input: Literal["auto", "BCTHW", "BTCHW", "BTHWC", "BCHW", "BHWC"] = "auto"
    output: Literal["auto", "BD", "BTD", "BCHW", "BHWC", "BCTHW", "BTCHW", "BTHWC"] = "auto"
    take: int = 0
    operation: str = ""
    states: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if min(self.stride, *self.size) < 1 or not 1 <= self.sampling <= self.frames or self.take < 0:
            raise ConfigError(f"file: expected stride and size >= 1, 1 <= sampling <= frames and take >= 0; got {self}")
        if (self.rate is not None and not self.rate > 0) or not min(self.std) > 0:
            raise ConfigError(f"file: rate and std must be above 0; got {self.rate} and {self.std}")
        by_openvino = Path(self.path).suffix.lower() in OPENVINO
        if (self.take if by_openvino else self.operation) and self.path:
            setting, other = ("take", "operation") if by_openvino else ("operation", "take")
            raise ConfigError(f"file: {self.path} has no setting {setting}; its output is chosen by {other}")
        if self.path and not by_openvino:
            object.__setattr__(self, "input", "BCTHW" if self.input == AUTO else self.input)
            object.__setattr__(self, "output", "BD" if self.output == AUTO else self.output)
        if self.input != AUTO and "T" not in self.input and "T" in self.output:
            raise ConfigError(f"file: frame by frame ({self.input}), a network has no time in its output {self.output}")
        digest = network_files.identity(self.path, self.sha256, "file")
        object.__setattr__(self, "sha256", digest)  # identifies the file in passports of features


def code_of(settings: Mapping[str, Any]) -> tuple[str, str] | None:
    """Path and sha256 of the TorchScript file that plain settings name; None for a file that runs no code."""
    path = str(settings.get("path", ""))
    return (path, str(settings.get("sha256", ""))) if Path(path).suffix.lower() in SCRIPT else None


class File:
    """The user's own network: uint8 ``(B, T, H, W, 3)`` -> float32 ``(B, t, h, w, D)``.

    Without time, height or width in the output, t, h or w is 1; frame by frame, t is the number of used frames.
    ConfigError where the file or the library to run it is missing, or the shapes are not those of the settings.
    """

    Config: ClassVar[type] = FileConfig
    source: ClassVar[Provenance] = Provenance(
        title="A user's network (ONNX, TensorFlow Lite, OpenVINO IR or TorchScript)"
    )
    abilities: ClassVar[BackboneAbilities] = BackboneAbilities(
        settings_without_effect=("path", CONSENT),  # its sha256 identifies the file
        runs_code_of=code_of,
        streams=True,
    )

    def __init__(self, config: FileConfig) -> None:
        self.config = config
        self.clip = ClipSpec(config.frames, config.stride, config.rate, size=config.size, tail=config.tail)
        path = Path(config.path)
        if not config.path or not path.is_file():
            reason = f"there is no {path}" if config.path else "no path is given"
            raise ConfigError(f"file: {reason}; name a file of a network: --file.path FILE ({', '.join(SUFFIXES)})")
        self.input, self.output = str(config.input), str(config.output)
        self.pixels: tuple[float, float] | None = None
        self.stream: Stream | None = None
        if path.suffix.lower() in ONNX:
            opened = _onnx_file.opened(path, config.take, config.states, self.input)
            self.run, self.stream = opened.run, opened.stream
        elif path.suffix.lower() in OPENVINO:
            self._open(path)
        elif path.suffix.lower() in SCRIPT:
            self.run = _script(path, config)
        else:
            suffixes = ", ".join(SUFFIXES)
            raise ConfigError(f"file: expected one of {suffixes}; got {path.name}")
        if self.stream is not None:
            _check_stream(config, self.stream)
            self.clip = replace(self.clip, tail="drop" if config.tail == "drop" else "short")

    def _open(self, path: Path) -> None:
        config = self.config
        network = _openvino_file.opened(path, config.operation, (config.input, config.output), config.states)
        self.input, self.output, self.run = network.input, network.output, network.run
        self.stream = network.stream
        if len(network.shape) != len(self.input) or ("T" not in self.input and "T" in self.output):
            raise ConfigError(
                f"file: {path} takes {list(network.shape)} and gives {self.output}; that doesn't fit the layout "
                f"{self.input} (settings input and output)"
            )
        sides = {"H": config.size[0], "W": config.size[1]}
        if any(network.shape[self.input.index(k)] not in (0, size) for k, size in sides.items()):
            height, width = (network.shape[self.input.index(k)] for k in "HW")
            raise ConfigError(f'file: {path} takes pictures of {height} x {width}: --file.size "[{height}, {width}]"')
        self.pixels = network.pixels if config.scaling == "file" else None
        if config.scaling == "settings" and network.integers:
            raise ConfigError(f"file: {path} takes whole numbers, so mean and std don't apply: --file.scaling file")

    def __call__(self, clips: Pixels) -> Features:
        """Features of a batch of clips; other sizes are resized, short clips repeat their last frame."""
        clips = fitted(clips, self.clip, "file")
        first = (self.config.sampling - 1) // 2
        frames = clips[:, first :: self.config.sampling]
        if self.stream is not None:  # each clip as the first one of a video
            return np.concatenate([StreamingFile(self)(clip[None]) for clip in clips])
        batch, steps = frames.shape[:2]
        if "T" in self.input:
            return self.grid(self.run(self.inputs(frames)), batch)
        grid = self.grid(self.run(self.inputs(frames)), batch * steps)
        return grid.reshape(batch, steps, *grid.shape[2:])

    def for_video(self) -> Backbone | None:
        """The network for the clips of one video in order, where it keeps states."""
        return None if self.stream is None else StreamingFile(self)

    def inputs(self, frames: Pixels) -> Array:
        """The network's input for pictures ``(B, T, H, W, 3)``."""
        if self.pixels:
            scale, offset = (np.float32(number) for number in self.pixels)
            values = frames.astype(np.float32) * scale + offset
        else:
            mean, std = (np.array(v, np.float32) for v in (self.config.mean, self.config.std))
            values = (frames.astype(np.float32) / 255 - mean) / std
        if self.config.bgr:
            values = values[..., ::-1]
        if "T" not in self.input:
            return _turned(values.reshape(-1, *values.shape[2:]), "BHWC", self.input)
        return _turned(values, "BTHWC", self.input)

    def grid(self, values: Array, rows: int) -> Features:
        """The network's output as features ``(rows, t, h, w, D)``; ConfigError where it has another layout."""
        layout = self.output.replace("D", "C")
        if values.ndim != len(layout) or len(values) != rows:
            kind = "clips" if "T" in self.input else "frames"
            raise ConfigError(
                f"file: {self.config.path} gives {values.shape} for {rows} {kind}; "
                f"that is not {self.output} (settings input, output, take and operation)"
            )
        for letter in "THW":
            if letter not in layout:
                values, layout = values[..., None], layout + letter
        return _turned(values, layout, "BTHWC")


def _check_stream(config: FileConfig, stream: Stream) -> None:
    """ConfigError for settings that a network with states can't have."""
    if config.stride != config.frames:
        raise ConfigError(
            f"file: {config.path} keeps states, so it needs each picture once: --file.stride {config.frames} "
            f"(the same as --file.frames)"
        )
    used = -(-(config.frames - (config.sampling - 1) // 2) // config.sampling)
    if stream.frames and used % stream.frames:
        raise ConfigError(
            f"file: {config.path} takes {stream.frames} frames at a time, and clips have {used}: choose a multiple "
            f"(--file.frames and --file.stride {stream.frames * config.sampling})"
        )


class StreamingFile:
    """A network with states, on the clips of one video in order.

    uint8 ``(B, T, H, W, 3)`` -> float32 ``(B, t, h, w, D)``. Clips of a call follow each other. States are zero at
    first. Each call of the network gives a time step, or as many as its output has; those of frames that complete a
    short last clip are left out.
    """

    Config: ClassVar[type] = FileConfig
    source: ClassVar[Provenance] = File.source
    abilities: ClassVar[BackboneAbilities] = BackboneAbilities()

    def __init__(self, file: File) -> None:
        if file.stream is None:
            raise ConfigError(f"file: {file.config.path} keeps no states")
        self.file, self.config, self.clip, self.stream = file, file.config, file.clip, file.stream
        self.states = file.stream.zeros

    def __call__(self, clips: Pixels) -> Features:
        """Features of the next clips; other sizes are resized."""
        clips = fitted(clips, replace(self.clip, frames=1), "file")
        first = (self.config.sampling - 1) // 2
        return np.stack([self._features(clip[min(first, len(clip) - 1) :: self.config.sampling]) for clip in clips])

    def _features(self, frames: Pixels) -> Features:
        """Features ``(t, h, w, D)`` of the used frames of a clip."""
        at_once = self.stream.frames or len(frames)
        lacking = -len(frames) % at_once
        padded = np.concatenate([frames, np.repeat(frames[-1:], lacking, 0)]) if lacking else frames
        steps = []
        for start in range(0, len(padded), at_once):
            values = self.file.inputs(padded[None, start : start + at_once])
            output, self.states = self.stream.step(values, self.states)
            steps.append(self.file.grid(output, 1)[0])
        features = np.concatenate(steps)
        return features[: len(frames)] if len(features) == len(padded) else features


def _turned(values: NDArray[Any], layout: str, target: str) -> Array:
    """An array with the axes ``layout`` in the order ``target``."""
    return np.ascontiguousarray(values.transpose([layout.index(letter) for letter in target]), np.float32)


def _script(path: Path, config: FileConfig) -> Run:
    take = config.take
    if not config.trust:
        raise ConfigError(
            f"file: {path} is TorchScript, which holds code that runs when it is opened. If you trust it, "
            "add --file.trust (--trust where there is that option). Or export the "
            "network to ONNX, which holds none."
        )
    import warnings

    import torch

    data = (
        path.read_bytes()
    )  # read once: the checked bytes are those that run, even where the file is replaced meanwhile
    if (digest := sha256(data).hexdigest()) != config.sha256:
        raise ConfigError(f"file: {path} has changed: its sha256 is {digest}, expected {config.sha256}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # torch prefers other formats; users have these
            module = torch.jit.load(io.BytesIO(data), map_location="cpu").eval()  # type: ignore[no-untyped-call]
    except (RuntimeError, ValueError) as error:
        raise ConfigError(f"file: {path} can't be opened as TorchScript ({error})") from None

    def run(values: Array) -> Array:
        try:
            with torch.inference_mode():
                outputs = module(torch.from_numpy(values))
        except RuntimeError as error:
            raise ConfigError(f"file: {path} fails on {values.shape}: {error}") from None
        several = (
            list(outputs.values())
            if isinstance(outputs, dict)
            else [outputs]
            if isinstance(outputs, torch.Tensor)
            else outputs
        )
        if take >= len(several):
            raise ConfigError(f"file: {path} has {len(several)} outputs; there is no number {take}")
        numbers: Array = several[take].float().numpy()
        return numbers

    return run


PLUGIN = File
