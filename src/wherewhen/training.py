"""Learning from labels on whole videos: bags in, model out; killed at any moment, it goes on to the same result."""

from __future__ import annotations

import csv
import io
import logging
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from wherewhen import distributed
from wherewhen.batches import WHOLE, Batches, Chosen, Mapped, class_names, label_of, mixed_names, thinned
from wherewhen.contracts import Classes, Output, Student
from wherewhen.errors import ConfigError, DataError, StoreError
from wherewhen.model import Model, Recipe, pick_device
from wherewhen.progress import track
from wherewhen.store import fingerprint, load, save, write_atomic
from wherewhen.values import Bag, Instances, Video

if TYPE_CHECKING:
    import torch

    from wherewhen.normalize import Normalizer

log = logging.getLogger("wherewhen")

TAUGHT = 2**27  # values that the normalizer learns from: of longer videos every k-th time step
JUDGED = 2**27  # values of one batch of validation videos; more are judged in groups
FUSED = 100_000  # parameters from which on an optimizer is fused: several times as fast, the last bit may differ
MOVERS = 200  # instances that move that a training bag holds at most, where the method doesn't choose
BANK = 4096  # cells of normal training videos that a model keeps
FEW = 8  # with fewer training videos of either label than this, all are learnt from and none validates


def carve(videos: Sequence[Video], share: float, seed: int) -> tuple[list[Video], list[Video]]:
    """Divide training videos into those to learn from and those to validate on, label by label.

    With fewer than 8 videos of a label none is held out: each of so few teaches more than it can judge.

    >>> clips = [Video(f"{label}{n}", Path("x"), label) for label in (0, 1) for n in range(10)]
    >>> [len(part) for part in carve(clips, 0.2, 0)]
    [16, 4]
    """
    rng = np.random.default_rng(seed)
    held: set[str] = set()
    by_label = [[v.id for v in videos if v.label == label] for label in (0, 1)]
    if share > 0 and min(map(len, by_label)) >= FEW:
        for ids in by_label:
            count = min(max(1, round(share * len(ids))), len(ids) - 2)
            held |= set(rng.permutation(ids)[:count].tolist())
    return [v for v in videos if v.id not in held], [v for v in videos if v.id in held]


def check_labels(videos: Sequence[Video]) -> None:
    """DataError unless both labels are there and every video has one."""
    missing = [v.id for v in videos if v.label is None]
    if missing:
        raise DataError(f"training needs a label on every video; none on {', '.join(missing[:5])}")
    for label, word in ((0, "normal"), (1, "anomalous")):
        if not any(v.label == label for v in videos):
            raise DataError(f"training needs normal and anomalous videos; there is no {word} one")


@dataclass
class State:
    """All that training must remember between two steps."""

    method: Any
    optimizer: Any
    step: int = 0
    best_loss: float = float("inf")
    best: dict[str, torch.Tensor] = field(default_factory=dict)
    history: list[dict[str, float]] = field(default_factory=list)

    def save(self, path: Path, key: str) -> None:
        """Write a checkpoint."""
        arrays = {f"method.{k}": v.cpu().numpy() for k, v in self.method.state_dict().items()}
        arrays |= {f"best.{k}": v.cpu().numpy() for k, v in self.best.items()}
        for index, slots in self.optimizer.state_dict()["state"].items():
            arrays |= {f"optimizer.{index}.{name}": np.asarray(value.cpu()) for name, value in slots.items()}
        frozen = [name for name, p in self.method.named_parameters() if not p.requires_grad]
        kept = {"key": key, "step": self.step, "best_loss": repr(self.best_loss), "history": self.history}
        save(path, arrays, {**kept, "frozen": frozen})

    def load(self, path: Path, key: str) -> None:
        """Go on from a checkpoint; StoreError if it belongs to other data or settings."""
        import torch

        arrays, kept = load(path)
        if kept.get("key") != key:
            raise StoreError(f"{path}: this run was begun with other data or settings; choose another --output")
        tensors = {name: torch.from_numpy(np.array(array)) for name, array in arrays.items()}
        self.method.load_state_dict(
            {k.removeprefix("method."): v for k, v in tensors.items() if k.startswith("method.")}
        )
        for name, parameter in self.method.named_parameters():
            parameter.requires_grad_(name not in kept["frozen"])
        self.best = {k.removeprefix("best."): v for k, v in tensors.items() if k.startswith("best.")}
        slots: dict[int, dict[str, torch.Tensor]] = {}
        for name, value in tensors.items():
            if name.startswith("optimizer."):
                _, index, slot = name.split(".", 2)
                slots.setdefault(int(index), {})[slot] = value
        self.optimizer.load_state_dict({**self.optimizer.state_dict(), "state": slots})
        self.step, self.history = int(kept["step"]), [_row(row["step"], row) for row in kept["history"]]
        self.best_loss = float(kept["best_loss"])


def _row(step: int, numbers: dict[str, float]) -> dict[str, float]:
    """A line of the history, its numbers in an order that a checkpoint can't change."""
    return {"step": step, **{name: numbers[name] for name in sorted(numbers.keys() - {"step"})}}


def _optimizer(method: Any, recipe: Recipe) -> Any:
    import torch

    kinds: dict[str, Callable[..., Any]] = {
        "adam": torch.optim.Adam,
        "adamw": torch.optim.AdamW,
        "adagrad": torch.optim.Adagrad,
        "sgd": torch.optim.SGD,
    }
    how = recipe.training
    learns = list(method.parameters()) or [torch.nn.Parameter(torch.zeros(()))]
    fused = sum(p.numel() for p in learns) >= FUSED
    return kinds[how.optimizer](learns, lr=how.learning_rate, weight_decay=how.weight_decay, fused=fused)


def _answer(method: Any, packed: Any, precision: str) -> Output:
    """What a method says of a batch, in float32 whatever its matrix products were made in."""
    import torch

    if precision == "fp32":
        output: Output = method(packed)
        return output
    try:
        with torch.autocast(next(iter(packed.values())).features.device.type, torch.bfloat16):
            output = method(packed)
    except RuntimeError as error:
        if "BFloat16" not in str(error):
            raise
        raise ConfigError(f"{type(method).__name__} can't be trained in bf16 ({error}); use fp32") from None
    extra = {name: value.float() if value.is_floating_point() else value for name, value in output.extra.items()}
    return Output(output.scores.float(), extra)


def _validate(state: State, held: Batches, recipe: Recipe) -> float:
    """The loss of held-out bags, prepared as the learning ones; the mean over groups where they are many."""
    import torch

    parts = held.groups(JUDGED)
    state.method.eval()
    losses = []
    with torch.inference_mode():
        for part in parts:
            packed, labels = held.take(part)
            terms = state.method.loss(_answer(state.method, packed, recipe.training.precision), packed, labels)
            losses.append(float(sum(terms.values())))
    state.method.train()
    return losses[0] if len(losses) == 1 else float(np.average(losses, weights=[len(part) for part in parts]))


def stages_at(step: int, steps: int, stages: int) -> list[int]:
    """The stages that begin before a step, where ``steps`` steps are cut into ``stages`` equal parts.

    >>> [stages_at(step, 5, 2) for step in range(5)]
    [[0], [], [1], [], []]
    """
    return [stage for stage in range(stages) if stage * steps // stages == step]


def _study(state: State, batches: Batches, recipe: Recipe) -> None:
    """Let a method look at its training set where a stage begins; losses of two stages are not compared."""
    import torch

    stages = state.method.stages if isinstance(state.method, Student) else 0
    for stage in stages_at(state.step, recipe.training.steps, stages):
        torch.manual_seed(recipe.seed * 1_000_003 - 1 - stage)
        state.method.eval()
        with torch.no_grad():
            state.method.study(stage, batches)
        state.method.train()
        state.best_loss = float("inf")


def _loss(state: State, batches: Batches, recipe: Recipe, team: distributed.Team) -> dict[str, torch.Tensor]:
    """The named terms of a step's batch; of several processes each answers for its share of the bags."""
    packed, labels = batches.draw(state.step)
    if team.size == 1:
        output = _answer(state.method, packed, recipe.training.precision)
    else:
        share, each = team.share(packed, len(labels))
        output = team.whole(_answer(state.method, share, recipe.training.precision), each, len(labels))
    terms: dict[str, torch.Tensor] = state.method.loss(output, packed, labels)
    return terms


def _steps(state: State, batches: Batches, recipe: Recipe) -> Iterator[dict[str, float]]:
    """Train step by step and yield the loss terms."""
    import torch

    team = distributed.team()
    while state.step < recipe.training.steps:
        _study(state, batches, recipe)
        # One seed a step: what dropout draws is the same whether the run was interrupted or not.
        torch.manual_seed(recipe.seed * 1_000_003 + state.step + (team.rank << 40))
        terms = _loss(state, batches, recipe, team)
        loss = torch.stack(list(terms.values())).sum()
        if not torch.isfinite(loss):
            raise DataError(f"the loss is not finite at step {state.step}; lower --training.learning_rate")
        state.optimizer.zero_grad(set_to_none=True)
        if loss.requires_grad:  # what a stage freezes may be everything
            loss.backward()  # type: ignore[no-untyped-call]
            if team.size > 1:
                team.average(state.method)
            state.optimizer.step()
        state.step += 1
        yield {"step": state.step, "loss": loss.item(), **{k: v.item() for k, v in terms.items()}}


class Logbook:
    """The history of a run as ``training.csv`` and as TensorBoard events, complete at every look."""

    def __init__(self, folder: Path, history: list[dict[str, float]]) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self.folder, self.history = folder, history
        shutil.rmtree(folder / "tensorboard", ignore_errors=True)
        self.events = SummaryWriter(folder / "tensorboard")
        for row in history:
            self._scalars(row)

    def _scalars(self, row: dict[str, float]) -> None:
        for name, value in row.items():
            if name != "step":
                self.events.add_scalar(name, value, int(row["step"]))

    def __call__(self) -> None:
        """Write what the last look added."""
        text = io.StringIO()
        table = csv.DictWriter(text, list(self.history[0]), lineterminator="\n")
        table.writeheader()
        table.writerows(self.history)
        write_atomic(self.folder / "training.csv", text.getvalue())
        self._scalars(self.history[-1])
        self.events.flush()


@dataclass(frozen=True)
class Fitted:
    """The outcome of training: the model of the last step and the one that validation liked best.

    ``looks``: the models at every look at the validation videos, where they were asked for.
    """

    last: Model
    best: Model
    history: list[dict[str, float]]
    looks: list[Model] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Known:
    """What is known of a bag without looking at it again: its video, and of its views the shape and sum of features."""

    video: Video
    shapes: dict[str, tuple[int, int]]
    totals: dict[str, float]

    @classmethod
    def of(cls, bag: Bag, views: Iterable[str]) -> _Known:
        """All that training asks of one bag."""
        features = {name: bag.views[name].features for name in views}
        shapes = {name: (len(one), one.shape[1]) for name, one in features.items()}
        return cls(bag.video, shapes, {name: float(one.sum(dtype=np.float64)) for name, one in features.items()})

    def size(self, view: str) -> int:
        """How many numbers the features of a view are."""
        rows, length = self.shapes[view]
        return rows * length


@dataclass
class _Record:
    """What a training leaves behind while it runs: a checkpoint and its log, and the weights of every look."""

    state: State
    key: str
    checkpoint: Path | None
    logbook: Logbook | None
    keep_looks: bool
    seen: list[dict[str, torch.Tensor]] = field(default_factory=list)

    @classmethod
    def begun(cls, state: State, key: str, folder: Path | None, resume: bool, keep_looks: bool) -> _Record:
        """A new record in a folder, or with ``resume`` the one there gone on with."""
        checkpoint = folder / "weights" / "checkpoint.safetensors" if folder else None
        if resume and checkpoint and checkpoint.exists():
            state.load(checkpoint, key)
            log.info("going on from step %d", state.step)
        logbook = Logbook(folder, state.history) if folder and distributed.team().leads else None
        return cls(state, key, checkpoint, logbook, keep_looks)

    def look(self) -> None:
        """Keep what a look at the validation videos found."""
        if self.keep_looks:
            self.seen.append(_copied(self.state.method))
        if self.checkpoint and self.logbook:
            self.state.save(self.checkpoint, self.key)
            self.logbook()

    def close(self) -> None:
        """End the log."""
        if self.logbook:
            self.logbook.events.close()


def _copied(method: Any) -> dict[str, torch.Tensor]:
    return {k: v.detach().cpu().clone() for k, v in method.state_dict().items()}


def fit(
    bags: Sequence[Bag],
    recipe: Recipe,
    *,
    folder: Path | None = None,
    device: str = "auto",
    resume: bool = False,
    keep_looks: bool = False,
    quiet: bool = True,
) -> Fitted:
    """Train a method on labelled bags (not yet normalized).

    ``folder``: where checkpoints and logs go; ``resume`` goes on from the checkpoint there.
    """
    names = list(recipe.views)
    check_labels([b.video for b in bags])
    known = [_Known.of(bag, names) for bag in bags]
    device = pick_device(device)
    learn, hold = carve([one.video for one in known], recipe.validation, recipe.seed)
    usual = {v.id for v in learn if v.label == 0}
    normalizers = {name: _normalizer(bags, known, usual, recipe, name) for name in names}
    ready: Sequence[Bag] = Mapped(
        bags, lambda bag: Bag(bag.video, {name: normalizers[name](bag.views[name]) for name in names})
    )
    if sum(one.size(name) for one in known for name in names) <= WHOLE:
        ready = list(ready)
    dims = {name: length for name, (_, length) in known[0].shapes.items()}
    classes = _classes(recipe, [one.video for one in known])
    state = _state(recipe, dims, device, classes)
    held_out = {v.id for v in hold}
    parts = [[k for k, one in enumerate(known) if (one.video.id in held_out) == held] for held in (False, True)]
    told = classes.labels if classes else ()
    batches = _batches(bags, ready, parts[0], recipe, device, told)
    held = _batches(bags, ready, parts[1], recipe, device, told) if hold else None
    record = _Record.begun(state, _key(recipe, known, hold, told), folder, resume, keep_looks)
    try:
        _loop(state, batches, held, recipe, record.look, quiet)
    finally:
        record.close()
    bank = _bank(ready, recipe)

    def finish(weights: dict[str, torch.Tensor]) -> Model:
        method = recipe.student(dims, classes)
        method.load_state_dict(weights)
        named = classes.names if classes and classes.named else ()
        model = Model(recipe, normalizers, method, 0.5, bank, device, dims=dims, classes=named)
        model.threshold = choose_threshold(model, ready)
        return model

    last = finish({k: v.clone() for k, v in state.method.state_dict().items()})
    best = finish(state.best) if held else last
    looks = [*(finish(weights) for weights in record.seen[:-1]), last] if record.seen else []
    return Fitted(last, best, state.history, looks)


def _normalizer(bags: Sequence[Bag], known: Sequence[_Known], usual: set[str], recipe: Recipe, name: str) -> Normalizer:
    """What the ``usual`` videos teach of a view's features, or nothing for a method that wants them as they are."""
    from wherewhen.normalize import Normalizer

    total = sum(one.size(name) for one in known if one.video.id in usual)
    taught = thinned((b.views[name] for b in bags if b.video.id in usual), total, TAUGHT)
    return Normalizer.none() if recipe.raw(name) else Normalizer.fit(taught)


def _classes(recipe: Recipe, videos: Sequence[Video]) -> Classes | None:
    """What a method that tells classes apart is made for; None for any other."""
    if not recipe.tells_classes:
        return None
    return Classes(class_names(videos), recipe.reader(), mixed_names(videos))


def _batches(
    raw: Sequence[Bag], ready: Sequence[Bag], some: list[int], recipe: Recipe, device: str, names: Sequence[str]
) -> Batches:
    """Some bags, by their numbers, ready to be drawn from."""
    settings = recipe.settings[recipe.method]
    segments = getattr(settings, "segments", None)
    movers = None if hasattr(settings, "instances") else MOVERS  # a method that has a word in it chooses anew each step
    how = recipe.views, recipe.training.bags, recipe.seed, device, segments
    return Batches(Chosen(ready, some), *how, raw=Chosen(raw, some), movers=movers, names=names)


def _state(recipe: Recipe, dims: dict[str, int], device: str, classes: Classes | None = None) -> State:
    """A method and its optimizer before the first step."""
    import torch

    torch.manual_seed(recipe.seed)
    method = recipe.student(dims, classes).to(device).train()
    return State(method, _optimizer(method, recipe))


def _key(recipe: Recipe, known: Sequence[_Known], hold: Sequence[Video], names: Sequence[str] = ()) -> str:
    """What tells a training from others: its settings, its bags and which of them validate."""

    def told(one: _Known) -> list[Any]:
        return [part for name in one.shapes for part in (one.shapes[name], one.totals[name])]

    bags = [(one.video.id, one.video.label, *told(one)) for one in known]
    classes = [list(names), [label_of(one.video, names) for one in known]] if names else []
    return fingerprint([recipe.plain(), bags, [v.id for v in hold], *classes])


def _loop(
    state: State, batches: Batches, held: Batches | None, recipe: Recipe, look: Callable[[], None], quiet: bool
) -> None:
    every = max(1, recipe.training.validate_every)
    todo = track(_steps(state, batches, recipe), "training", recipe.training.steps - state.step, quiet=quiet)
    recent: list[dict[str, float]] = []
    for row in todo:
        recent.append(row)
        if state.step % every and state.step < recipe.training.steps:
            continue
        mean = {name: float(np.mean([r[name] for r in recent])) for name in row}
        judged = _validate(state, held, recipe) if held else mean["loss"]
        state.history.append(_row(state.step, {**mean, "validation_loss": judged}))
        recent = []
        if judged <= state.best_loss or not held:
            state.best_loss = judged
            state.best = _copied(state.method)
        look()


def _bank(bags: Sequence[Bag], recipe: Recipe) -> Instances:
    """A random sample of the scored instances of normal training videos, of those that hold anything if some do."""
    normal = [number for number, bag in enumerate(bags) if bag.video.label == 0]
    held = [np.asarray(bags[number].views[recipe.scored].features.any(1)) for number in normal]
    full = np.concatenate(held)
    rows = np.flatnonzero(full) if full.any() else np.arange(len(full))
    rows = np.sort(np.random.default_rng(recipe.seed).permutation(rows)[:BANK])
    ends = np.cumsum([len(part) for part in held])
    features, extents = [], []
    parts = np.split(rows, np.searchsorted(rows, ends[:-1]))
    for number, part, end, flags in zip(normal, parts, ends, held, strict=True):
        if len(part):
            cells, own = bags[number].views[recipe.scored], part - (end - len(flags))
            features.append(cells.features[own])
            extents.append(cells.extents[own])
    return Instances(np.concatenate(features), np.concatenate(extents))


def choose_threshold(model: Model, bags: Sequence[Bag]) -> float:
    """The raw frame score that becomes 0.5, from labels on (normalized) training bags alone.

    A quarter of the way from what normal videos reach in 1 % of their time to what anomalous videos typically peak at.
    """
    from wherewhen import painting

    normal: list[float] = []
    peaks: list[float] = []
    for bag in bags:
        heat = painting.heat([(bag.views[model.recipe.scored], model.scores(bag.views))])
        raw = [score for _, score in model.localizer.raw(heat)]
        if bag.video.label:
            peaks.append(max(raw))
        else:
            normal += raw
    quiet = float(np.quantile(normal, 0.99))
    return quiet + max(0.0, float(np.median(peaks)) - quiet) / 4
