"""A model: its configuration, its processing of a stream, and its file."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from wherewhen.core.calibration import calibrate
from wherewhen.core.contracts import Backbone, Builder, Localizer, TrackSource
from wherewhen.core.errors import ConfigError, StoreError, unknown
from wherewhen.core.feature_file import is_features
from wherewhen.core.values import Bag, Boxes, Features, Floats, Instances, Prediction, Video
from wherewhen.extraction import assembly, crops, sampling, track_cache
from wherewhen.extraction.assembly import Part
from wherewhen.extraction.backgrounds import Background
from wherewhen.extraction.cameras import recognized
from wherewhen.inference import alarms, exported, model_file, score_maps, stored_parts
from wherewhen.inference.adaptation import Adaptation
from wherewhen.inference.class_maps import class_maps, named
from wherewhen.inference.detector import Detector
from wherewhen.inference.exported import Exported
from wherewhen.inference.model_config import ModelConfig
from wherewhen.inference.normal_time import NormalTime
from wherewhen.inference.packing import view
from wherewhen.inference.scoring import beside, interleaved, scored
from wherewhen.runtime import select as engines
from wherewhen.runtime.batching import EngineChoice
from wherewhen.runtime.devices import pick_device
from wherewhen.runtime.network import Network
from wherewhen.runtime.select import attach
from wherewhen.video.reader import Reading

if TYPE_CHECKING:
    from wherewhen.inference.camera_normalizer import AnyNormalizer

log = logging.getLogger("wherewhen")


@dataclass(repr=False)
class Model(Detector):
    """A trained model, which detects when and where events happen in videos.

    ``normalizers``: one per view. ``threshold``: the raw frame score that becomes 0.5, chosen without test data.
    ``bank``: normalized scored instances of normal training videos, for comparison. ``dims``:
    length of the features of each view. ``classes``: classes of anomalies in training videos, where the method predicts
    them. ``trained_on``: content hashes of the training videos. ``normal_time``: normal videos scored out of fold,
    where training or adaptation did so. ``adaptation``: how scores of another
    camera than that of training are calibrated. ``cameras``: backgrounds of each camera whose statistics normalize its
    videos; ``camera``: the one that records all of them, None = recognized.
    """

    config: ModelConfig
    normalizers: Mapping[str, AnyNormalizer]
    method: Any
    threshold: float
    bank: Instances
    device: str = "cpu"
    trained_on: tuple[str, ...] = ()
    dims: Mapping[str, int] = field(default_factory=dict)
    classes: tuple[str, ...] = ()
    normal_time: NormalTime | None = None
    adaptation: Adaptation | None = None
    cameras: Mapping[str, Sequence[Background]] = field(default_factory=dict)
    camera: str | None = None
    backbone: Backbone = field(init=False)
    builders: Mapping[str, Builder] = field(init=False)
    running: EngineChoice | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        """Create the parts that have no weights."""
        is_exported = isinstance(self.method, Exported)
        self.backbone = self.method.backbone_of(self.config) if is_exported else self.config.make("backbone")
        self.device = "cpu" if is_exported else self.device
        self.builders = self.config.builders()
        self.dims = {self.config.scored: int(self.bank.features.shape[1]), **self.dims}
        self.method = self.method.to(self.device).eval()

    def __repr__(self) -> str:
        classes = f", {len(self.classes)} classes" if self.classes else ""
        form = f", {self.method.graph.format}" if isinstance(self.method, Exported) else ""
        return f"Model({self.config.summary}, {len(self.trained_on)} training videos{classes}, {self.device}{form})"

    def with_movers(self, movers: object) -> Model:
        """The same model, whose events have the boxes of tracked objects.

        Args:
            movers: name of a source of boxes, or its settings.

        Returns:
            A copy of the model, with the same weights.

        Raises:
            ConfigError: the method scores tracked objects already.
        """
        changed = ModelConfig.of({**self.config.plain(), track_cache.MOVERS: movers}, trust=self.config.trusted)
        return replace(self, config=changed)

    def with_engine(self, engine: str = "auto", precision: str = "auto") -> Model:
        """The same model with another engine or precision for its backbone.

        Args:
            engine: auto, torch, compile, openvino or onnx.
            precision: auto, fp32, bf16 or int8.

        Returns:
            A copy of the model, with the same weights.

        Raises:
            ConfigError: the backbone is no network.
            EngineError: the engine doesn't support the device or the precision.
        """
        if isinstance(self.method, Exported):
            raise ConfigError("an exported run has its engine and precision: export another format of the run instead")
        if not isinstance(self.backbone, Network):
            raise ConfigError(
                f"--engine and --precision have no effect on this model: engines run networks, and its backbone "
                f"{self.config.backbone} is none; leave them out"
            )
        config = ModelConfig.of(
            {**self.config.plain(), "engine": engine, "precision": precision}, trust=self.config.trusted
        )
        engines.check(config.engine, config.precision, self.device)
        return replace(self, config=config)

    def with_localizer(self, **settings: Any) -> Model:
        """The same model with other settings of its localizer.

        Args:
            settings: settings by name, such as ``cooldown_seconds=30``.

        Returns:
            A copy of the model, with the same weights.

        Raises:
            ConfigError: a setting is unknown, or the trained threshold depends on it.
        """
        name, changed = self.config.localizer, copy(self)
        sections = {**self.config.settings, name: alarms.tuned(name, self.config.settings[name], settings)}
        changed.config = replace(self.config, settings=sections)
        return changed

    def with_alarms_per_day(self, count: float) -> Model:
        """The same model with a threshold for this many false alarms a day; scores don't change.

        The rate is that of normal training videos, or of the footage of an adapted model, each scored by a model that
        was not trained on it; alarms within 10 seconds count as one. A warning is logged where they are too short to
        measure it.

        Args:
            count: wished number of alarms in a day without an anomaly.

        Returns:
            A copy of the model, with the same weights.

        Raises:
            ConfigError: the model was trained without scores out of fold.
        """
        if self.normal_time is None:
            raise ConfigError(
                "alarms per day: this model has no scores out of fold; train it with --threshold-from out-of-fold "
                "(it needs at least 12 videos of each label), or choose a --threshold"
            )
        if (caution := self.normal_time.caution(count)) is not None:
            log.warning(caution)
        level = np.array([self.normal_time.level(count)])
        return self.with_threshold(float(calibrate(level, self.threshold)[0]))

    def at_camera(self, name: str) -> Model:
        """The same model for videos and streams of one camera, which is then not looked for in their pictures.

        Args:
            name: a camera of the training videos with statistics of its own.

        Returns:
            A copy of the model, with the same weights.

        Raises:
            ConfigError: the model has no statistics of that camera.
        """
        if not self.cameras:
            raise ConfigError(
                f"camera: this model has no statistics of single cameras ({name}); leave it out, or train with "
                "--normalizer camera on enough normal videos of each camera"
            )
        if name not in self.cameras:
            raise ConfigError(unknown("camera", name, list(self.cameras)))
        changed = copy(self)
        changed.camera = name
        return changed

    def camera_of(self, video: Video) -> str | None:
        """The camera that recorded a video, if the model has statistics of it."""
        return self.camera or recognized(video, self.cameras)

    def stream(self, source: sampling.AnySource) -> Iterator[Prediction]:
        """Predictions of a source, which may be endless, a time step at a time.

        Args:
            source: file, folder of pictures, camera number, address, or an open reading.

        Returns:
            An iterator of predictions; each has the frames, heat map and events that became final in its time step.
        """
        path = source.source if isinstance(source, Reading) else source
        is_file = self.cameras and isinstance(path, str | Path) and Path(path).exists()
        model = self.for_video(Video("source", Path(str(path)))) if is_file else self
        return Detector.stream(model, source)

    def for_video(self, video: Video) -> Model:
        """The same model for the camera that recorded a video, see `at_camera`; itself where that is unknown."""
        name = self.camera_of(video)
        return self.at_camera(name) if name and self.camera is None else self

    @property
    def trusted(self) -> bool:
        """Whether the user consented to run the code in a file that the model names or holds."""
        return self.config.trusted or (isinstance(self.method, Exported) and self.method.trust)

    @property
    def alarm(self) -> float:
        """The score at which an alarm starts."""
        return alarms.level(self.config.settings[self.config.localizer])

    def normalized(self, views: Mapping[str, Instances], camera: str | None = None) -> dict[str, Instances]:
        """The same views with normalized features; views without a normalizer are unchanged.

        ``camera``: the one that recorded the video; None: `camera`, or an unknown one.
        """
        at = {name: normalizer.at(camera or self.camera) for name, normalizer in self.normalizers.items()}
        return {name: at[name](instances) if name in at else instances for name, instances in views.items()}

    def normalized_bag(self, bag: Bag) -> Bag:
        """The same bag with normalized features, see `normalized`."""
        return replace(bag, views=self.normalized(bag.views, self.camera_of(bag.video)))

    def scores(self, views: Mapping[str, Instances]) -> Features:
        """Raw scores ``(N,)`` in [0, 1] of the scored instances of one video, from its normalized views."""
        return self.answers(views)[:, 0]

    def answers(self, views: Mapping[str, Instances]) -> Features:
        """Raw scores in [0, 1] of the scored instances of one video, from its normalized views: ``(N, 1 + C)``.

        The C columns after the score are the likelihoods of the classes, for methods that predict classes.
        """
        if self.config.crop_mode == "places":
            answers = self.method_answers(views)
        else:
            several = crops.sequences(views, self.config.crops)
            several = several[self.config.test_crop - 1 :][:1] if self.config.test_crop else several
            answers = np.repeat(np.mean([self.method_answers(of_crop) for of_crop in several], 0), self.config.crops, 0)
        if self.adaptation is not None:
            answers[:, 0] = self.adaptation.scores(answers[:, 0], views[self.config.scored], self.bank)
        return answers

    def method_answers(self, views: Mapping[str, Instances]) -> Features:
        """The `answers` of the method alone."""
        if isinstance(self.method, Exported):
            return self.method.answers(views)
        import torch

        with torch.inference_mode():
            output = self.method({name: view([views[name]], self.device) for name in self.config.views})
        parts = [output.scores[0, :, None], *([output.extra["classes"][0]] if self.classes else [])]
        answers: Features = torch.cat(parts, 1).cpu().numpy()
        return answers

    def answered(self, parts: Iterable[Part]) -> Iterator[tuple[Instances, Features]]:
        """The scored instances of normalized ones with their `answers`, as far as the method's reach allows."""
        return scored(parts, self.answers, self.method.reach, list(self.config.views))

    def predictions(self, parts: Iterable[Part], tracks: Iterable[Boxes] | None = None) -> Iterator[Prediction]:
        """Predictions of instances, a time step at a time; events have the names of classes where there are any."""
        streams = {name: normalizer.at(self.camera).stream() for name, normalizer in self.normalizers.items()}
        return self.located(self.answered((name, streams[name](part)) for name, part in parts), tracks)

    def located(
        self, answered: Iterable[tuple[Instances, Features]], tracks: Iterable[Boxes] | None = None
    ) -> Iterator[Prediction]:
        """Predictions of instances with their `answers`; ``tracks``: tracked boxes beside the maps, see `movers_of`."""
        if self.classes:
            return named(class_maps(answered), self.localizer, self.classes, tracks)
        maps = score_maps.heat((part, values[:, 0]) for part, values in answered)
        return self.localizer(beside(maps, tracks))

    def movers_of(self, video: Video) -> Iterator[Boxes] | None:
        """The tracked boxes of a file beside its maps, cached; None where the model has no source of boxes."""
        return track_cache.cached_boxes(video, self._beside)[track_cache.MOVERS] if self._beside else None

    def detected(self, video: Video) -> Floats | None:
        """Seconds ``(N, 2)`` of frames in which its source of boxes gave any, cached; None without one, or pictures."""
        sources = [*track_cache.track_sources(self.builders).values(), *self._beside.values()]
        return track_cache.detected(video, sources[0]) if sources and not is_features(video.path) else None

    @property
    def _beside(self) -> dict[str, TrackSource]:
        return {track_cache.MOVERS: self.config.movers.track_source} if self.config.movers else {}

    @property
    def localizer(self) -> Localizer:
        """The last stage, with this model's threshold."""
        localizer: Localizer = self.config.make("localizer", self.threshold)
        return localizer

    def instances(self, source: sampling.AnySource) -> tuple[Iterator[Part], Iterator[Boxes] | None]:
        """Instances of a source for each view of the method; and tracks, where events get their boxes from them."""
        config = self.config
        if self.running is None and isinstance(self.method, Exported):
            self.running = EngineChoice(self.method.graph.format, "fp32", batch=self.method.batch)
        if self.running is None:  # the engine that features for training were made with
            self.running = attach(self.backbone, config.engine, config.precision, self.device)
        streams = track_cache.live(source, self.backbone.clip, self.builders, config.crops, self._beside)
        parts = assembly.instances(
            streams, self.backbone, self.builders, crops=config.crops, gate=config.gate, batch=self.running.batch
        )
        return interleaved(parts, streams.boxes.get(track_cache.MOVERS))

    def save(self, path: str | Path) -> None:
        """Write the model as one safetensors file.

        Args:
            path: file to write.
        """
        model_file.write(path, *stored_parts.contents(self))

    def export(
        self, format: str = "onnx", output: str | Path | None = None, *, videos: Any = None, tolerance: float = 1e-3
    ) -> Path:
        """Write a run folder whose networks other libraries run, after a comparison with this model.

        Args:
            format: onnx, openvino or torchscript.
            output: run folder to write; None: a new one below ``runs/``.
            videos: both models are compared on them, as for `detect`; None: two drawn ones.
            tolerance: largest absolute deviation of scores that is accepted.

        Returns:
            The run folder.

        Raises:
            ConfigError: the method can't be exported, or a deviation is larger.
            EngineError: a library is missing, or has no operation for a part of a network.
        """
        from wherewhen.inference import export_folder

        return export_folder.write(self, format, output, videos, tolerance)[0]

    @classmethod
    def load(cls, run: str | Path, which: str = "best", device: str = "auto", *, trust: bool = False) -> Model:
        """Load the model of a run folder.

        Args:
            run: the run folder, or the path of a weights file.
            which: best (by validation) or last checkpoint.
            device: auto, cpu or cuda.
            trust: run the code in the TorchScript file that the configuration names, if any.

        Returns:
            The model, ready for detection.

        Raises:
            StoreError: no model is there, or its file is damaged.
            ConfigError: the model needs ``trust``.
        """
        path = Path(run)
        if path.is_dir():
            path = path / "weights" / f"{which}.safetensors"
        if not path.exists():
            raise StoreError(f"{run}: no model there (expected {path}); {stored_parts.advice(Path(run))}")
        stored = model_file.read(path)
        try:
            config = ModelConfig.of(stored.config, trust=trust)
        except ConfigError as error:
            raise stored.wrong(f"its configuration: {error}") from None
        stored_parts.check_code(stored, config)
        if stored.dims.keys() != config.views.keys():
            raise stored.wrong(f"dims: expected {', '.join(config.views)}, found {', '.join(stored.dims)}"[:200])
        method = exported.stored(stored, config, trust) if stored.exported else stored_parts.student(stored, config)
        bank = stored.bank(stored.dims[config.scored])
        normalizers = {
            name: stored.normalizer(stored_parts.key(config, name), stored.dims[name], config.normalizer_of(name))
            for name in config.views
        }
        device = pick_device(device)
        fields = (stored.threshold, bank, device, stored.trained_on, stored.dims, stored.classes)
        try:
            model = cls(config, normalizers, method, *fields, stored.normal_time(), stored.adaptation())
            model.cameras = stored.backgrounds()
            return model.at_camera(stored.camera) if stored.camera else model
        except ConfigError as error:
            raise StoreError(f"{path}: {error}") from None
