"""The training loop of a method; a run that is killed resumes from its checkpoint to the same result."""

from __future__ import annotations

import csv
import io
import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from wherewhen.core import outputs
from wherewhen.core.array_files import Arrays, load, save
from wherewhen.core.contracts import Classes, Output, StagedMethod
from wherewhen.core.errors import ConfigError, DataError, StoreError, WherewhenError
from wherewhen.core.progress import track
from wherewhen.core.store import plain, write_atomic
from wherewhen.inference.model_config import ModelConfig
from wherewhen.inference.model_file import DIGEST, digest
from wherewhen.runtime.allocation import kept_memory
from wherewhen.training import distributed
from wherewhen.training.batches import Batches
from wherewhen.training.clock import Clock

if TYPE_CHECKING:
    import torch

log = logging.getLogger("wherewhen")

JUDGED = 2**27  # values of one batch of validation videos; more are judged in groups
FUSED = 100_000  # parameters from which on an optimizer is fused: several times as fast, the last bit may differ


ANEW = "remove it, and --resume begins with the first step"


@dataclass
class State:
    """All that training must remember between two steps.

    ``best``: weights of the lowest loss of validation videos; ``judged``: of the highest number of a judge, if any.
    """

    method: Any
    optimizer: Any
    step: int = 0
    best_loss: float = float("inf")
    best: dict[str, torch.Tensor] = field(default_factory=dict)
    judged_number: float = float("-inf")
    judged: dict[str, torch.Tensor] = field(default_factory=dict)
    history: list[dict[str, float]] = field(default_factory=list)

    @classmethod
    def begun(cls, config: ModelConfig, dims: dict[str, int], device: str, classes: Classes | None = None) -> State:
        """A method and its optimizer before the first step; ``dims``: numbers in a feature of each view."""
        import torch

        torch.manual_seed(config.seed)
        method = config.student(dims, classes).to(device).train()
        return cls(method, optimizer(method, config))

    def save(self, path: Path, key: str) -> None:
        """Write a checkpoint."""
        arrays = {f"method.{k}": v.cpu().numpy() for k, v in self.method.state_dict().items()}
        arrays |= {f"best.{k}": v.cpu().numpy() for k, v in self.best.items()}
        arrays |= {f"judged.{k}": v.cpu().numpy() for k, v in self.judged.items()}
        for index, slots in self.optimizer.state_dict()["state"].items():
            arrays |= {f"optimizer.{index}.{name}": np.asarray(value.cpu()) for name, value in slots.items()}
        frozen = [name for name, p in self.method.named_parameters() if not p.requires_grad]
        progress = {"key": key, "step": self.step, "best_loss": repr(self.best_loss), "history": self.history}
        progress["judged"] = repr(self.judged_number)
        passport = plain({**progress, "frozen": frozen})
        save(path, arrays, {**passport, DIGEST: digest(arrays, passport)})

    def load(self, path: Path, key: str) -> None:
        """Continue from a checkpoint; StoreError if it is damaged or of other data or settings."""
        arrays, metadata = load(path, advice=ANEW)
        written = metadata.pop(DIGEST, None)
        if written is not None and written != digest(arrays, metadata):
            raise StoreError(f"{path}: damaged, its numbers are not those that were written; {ANEW}")
        if metadata.get("key") != key:
            raise StoreError(f"{path}: this run was begun with other data or settings; choose another --output")
        try:
            self._take(arrays, metadata)
        except (KeyError, IndexError, TypeError, ValueError, RuntimeError, AttributeError) as error:
            message = (str(error).splitlines() or [""])[0][:120]
            raise StoreError(f"{path}: not a checkpoint of this training ({message}); {ANEW}") from None

    def _take(self, arrays: Arrays, metadata: Mapping[str, Any]) -> None:
        import torch

        tensors = {name: torch.from_numpy(np.array(array)) for name, array in arrays.items()}
        self.method.load_state_dict(
            {k.removeprefix("method."): v for k, v in tensors.items() if k.startswith("method.")}
        )
        for name, parameter in self.method.named_parameters():
            parameter.requires_grad_(name not in metadata["frozen"])
        self.best = {k.removeprefix("best."): v for k, v in tensors.items() if k.startswith("best.")}
        self.judged = {k.removeprefix("judged."): v for k, v in tensors.items() if k.startswith("judged.")}
        slots: dict[int, dict[str, torch.Tensor]] = {}
        for name, value in tensors.items():
            if name.startswith("optimizer."):
                _, index, slot = name.split(".", 2)
                slots.setdefault(int(index), {})[slot] = value
        self.optimizer.load_state_dict({**self.optimizer.state_dict(), "state": slots})
        self.step, self.history = int(metadata["step"]), [_row(row["step"], row) for row in metadata["history"]]
        self.best_loss, self.judged_number = float(metadata["best_loss"]), float(metadata["judged"])


def _row(step: int, numbers: dict[str, float]) -> dict[str, float]:
    """A line of the history, its numbers in an order that a checkpoint can't change."""
    return {"step": step, **{name: numbers[name] for name in sorted(numbers.keys() - {"step"})}}


def optimizer(method: Any, config: ModelConfig) -> Any:
    """What a configuration asks for, over all parameters of a method; one with none still gets an optimizer."""
    import torch

    kinds: dict[str, Callable[..., Any]] = {
        "adam": torch.optim.Adam,
        "adamw": torch.optim.AdamW,
        "adagrad": torch.optim.Adagrad,
        "sgd": torch.optim.SGD,
    }
    training = config.training
    learns = list(method.parameters()) or [torch.nn.Parameter(torch.zeros(()))]
    fused = sum(p.numel() for p in learns) >= FUSED
    return kinds[training.optimizer](learns, lr=training.learning_rate, weight_decay=training.weight_decay, fused=fused)


def answer(method: Any, packed: Any, precision: str) -> Output:
    """The output of a method for a batch, in float32 for any precision of its matrix products."""
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


def _validate(state: State, held: Batches, config: ModelConfig) -> float:
    """The loss of held-out bags, prepared as the learning ones; the mean over groups where they are many."""
    import torch

    parts = held.groups(JUDGED)
    state.method.eval()
    losses = []
    with torch.inference_mode():
        for part in parts:
            packed, labels = held.take(part)
            terms = state.method.loss(answer(state.method, packed, config.training.precision), packed, labels)
            losses.append(float(sum(terms.values())))
    state.method.train()
    return losses[0] if len(losses) == 1 else float(np.average(losses, weights=[len(part) for part in parts]))


def stages_at(step: int, steps: int, stages: int) -> list[int]:
    """The stages that begin before a step, where ``steps`` steps are cut into ``stages`` equal parts.

    >>> [stages_at(step, 5, 2) for step in range(5)]
    [[0], [], [1], [], []]
    """
    return [stage for stage in range(stages) if stage * steps // stages == step]


def _study(state: State, batches: Batches, config: ModelConfig) -> None:
    """Give a method its training set where a stage begins; losses of two stages are not compared."""
    import torch

    stages = state.method.stages if isinstance(state.method, StagedMethod) else 0
    for stage in stages_at(state.step, config.training.steps, stages):
        torch.manual_seed(config.seed * 1_000_003 - 1 - stage)
        state.method.eval()
        with torch.no_grad():
            state.method.study(stage, batches)
        state.method.train()
        state.best_loss = float("inf")


def _loss(state: State, batches: Batches, config: ModelConfig, team: distributed.Team) -> dict[str, torch.Tensor]:
    """The named terms of a step's batch; of several processes each answers for its share of the bags."""
    packed, labels = batches.draw(state.step)
    if team.size == 1:
        output = answer(state.method, packed, config.training.precision)
    else:
        share, each = team.share(packed, len(labels))
        output = team.whole(answer(state.method, share, config.training.precision), each, len(labels))
    terms: dict[str, torch.Tensor] = state.method.loss(output, packed, labels)
    return terms


def _steps(state: State, batches: Batches, config: ModelConfig) -> Iterator[dict[str, float]]:
    """Train step by step and yield the loss terms."""
    import torch

    team = distributed.team()
    while state.step < config.training.steps:
        _study(state, batches, config)
        # One seed a step: what dropout draws is the same whether the run was interrupted or not.
        torch.manual_seed(config.seed * 1_000_003 + state.step + (team.rank << 40))
        terms = _loss(state, batches, config, team)
        loss = torch.stack(list(terms.values())).sum()
        if not torch.isfinite(loss):
            raise DataError(f"the loss is not finite at step {state.step}; lower --training.learning_rate")
        state.optimizer.zero_grad(set_to_none=True)
        if loss.requires_grad:  # what a stage freezes may be everything
            loss.backward()  # type: ignore[no-untyped-call]
            if team.size > 1:
                team.average(state.method)
            for group in state.optimizer.param_groups:
                group["lr"] = config.training.rate(state.step)
            state.optimizer.step()
        state.step += 1
        yield {"step": state.step, "loss": loss.item(), **{k: v.item() for k, v in terms.items()}}


class OutOfTime(WherewhenError):
    """Training that did not end in its time."""


@kept_memory()
def learn(
    state: State,
    batches: Batches,
    held: Batches | None,
    config: ModelConfig,
    look: Callable[[], None],
    quiet: bool,
    clock: Clock | None = None,
) -> None:
    """Take all steps that are left; ``look`` is called after each validation on what is ``held`` out.

    ``clock``: when it is over, no step is taken: OutOfTime.
    """
    every = max(1, config.training.validate_every)
    todo = track(_steps(state, batches, config), "training", config.training.steps - state.step, quiet=quiet)
    recent: list[dict[str, float]] = []
    for row in todo:
        if clock is not None and clock.is_over:
            raise OutOfTime(f"step {state.step} of {config.training.steps} was reached in time")
        recent.append(row)
        if state.step % every and state.step < config.training.steps:
            continue
        mean = {name: float(np.mean([r[name] for r in recent])) for name in row}
        judged = _validate(state, held, config) if held else mean["loss"]
        state.history.append(_row(state.step, {**mean, "validation_loss": judged}))
        recent = []
        if judged <= state.best_loss or not held:
            state.best_loss = judged
            state.best = _copied(state.method)
        look()


class Logbook:
    """The history of a run as ``training.csv`` and as TensorBoard events, complete at every look."""

    def __init__(self, folder: Path, history: list[dict[str, float]]) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self.folder, self.history = folder, history
        for path in outputs.grow(folder / "tensorboard").glob("events.out.tfevents.*"):
            path.unlink(missing_ok=True)
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


@dataclass
class Record:
    """What a training leaves behind while it runs: a checkpoint and its log, and the weights that a judge prefers.

    ``judge``: gives a number for the present weights at every look; only the first highest one's weights are kept.
    """

    state: State
    key: str
    checkpoint: Path | None
    logbook: Logbook | None
    judge: Callable[[], float] | None

    @classmethod
    def begun(
        cls, state: State, key: str, folder: Path | None, resume: bool, judge: Callable[[], float] | None = None
    ) -> Record:
        """A new record in a folder, or with ``resume`` the existing one continued."""
        checkpoint = folder / "weights" / "checkpoint.safetensors" if folder else None
        if resume and checkpoint and checkpoint.exists():
            state.load(checkpoint, key)
            log.info("going on from step %d", state.step)
        logbook = Logbook(folder, state.history) if folder and distributed.team().leads else None
        return cls(state, key, checkpoint, logbook, judge)

    def look(self) -> None:
        """Record the result of a validation."""
        if self.judge is not None and (number := self.judge()) > self.state.judged_number:
            self.state.judged_number, self.state.judged = number, _copied(self.state.method)
        if self.checkpoint and self.logbook:
            self.state.save(self.checkpoint, self.key)
            self.logbook()

    def close(self) -> None:
        """End the log."""
        if self.logbook:
            self.logbook.events.close()


def _copied(method: Any) -> dict[str, torch.Tensor]:
    return {k: v.detach().cpu().clone() for k, v in method.state_dict().items()}
