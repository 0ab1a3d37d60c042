"""Classes as vectors in the space of features: learned prompts around their names, or learned vectors."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wherewhen.core.contracts import Classes, TextImage
from wherewhen.core.errors import ConfigError

SPREAD = 0.01  # initial deviation of learned rows, as in VadCLIP's official code


class ClassTexts(nn.Module):
    """Embeddings ``(1 + C, D)``, not of unit length, of normal and of each class; ``D`` = ``size``.

    With a reader: of ``normal`` and of the classes' names between learned rows, by the frozen text tower (Wu et al.,
    VadCLIP, AAAI 2024, section 3.4). They are stored as a buffer, so a model from disk needs no tower. Without one:
    learned vectors. ConfigError where texts and features differ in length.

    >>> ClassTexts("vadclip", Classes(("fight", "fall")), 8, "normal")().shape
    torch.Size([3, 8])
    """

    texts: Tensor
    shares: Tensor  # of each class (1 + C,) in each label; for training only

    def __init__(
        self, method: str, classes: Classes, size: int, normal: str, prefix: int = 10, suffix: int = 10
    ) -> None:
        super().__init__()
        self.words = [normal, *map(spelt, classes.names)]
        self.prefix, self.suffix = prefix, suffix
        self.register_buffer("shares", shares(classes), persistent=False)
        self._reads: list[Any] = []  # a list, so that the frozen tower's weights are not those of the method
        if classes.reader is None:
            self.texts = nn.Parameter(torch.randn(len(self.words), size))
            return
        tower = classes.reader.tower()
        if prefix + suffix + 3 > tower.length:
            raise ConfigError(f"{method}: prefix + suffix: a text has room for {tower.length} tokens in all")
        self._reads.append(tower)
        self.context = nn.Parameter(SPREAD * torch.randn(tower.length, tower.width))
        with torch.no_grad():
            texts = self._read()
        if texts.shape[1] != size:
            raise ConfigError(
                f"{method}: texts are {texts.shape[1]} numbers long and features {size}; choose a layer of the "
                "backbone in the space of texts (embedding or patches)"
            )
        self.register_buffer("texts", texts)

    def forward(self) -> Tensor:
        """Embeddings; in training with gradients to the learned rows."""
        return self._read() if self._reads and self.training else self.texts

    def train(self, mode: bool = True) -> ClassTexts:
        """At the end of training, store the last embeddings."""
        if self._reads and self.training and not mode:
            with torch.no_grad():
                self.texts = self._read()
        return super().train(mode)

    def _read(self) -> Tensor:
        (tower,) = self._reads
        if isinstance(tower, nn.Module):
            tower.to(self.context.device)
        embeddings: Tensor = tower.between(self.words, self.context, self.prefix, self.suffix)
        return embeddings

    def _load_from_state_dict(self, state_dict: Mapping[str, Tensor], prefix: str, *rest: Any) -> None:
        """Load the learned rows of a model from disk also without the tower that defines their shape."""
        rows = state_dict.get(f"{prefix}context")
        if rows is not None and not self._reads and isinstance(self.texts, nn.Parameter):
            texts = self.texts.detach()
            del self.texts
            self.register_buffer("texts", texts)
            self.context = nn.Parameter(torch.empty_like(rows))
        super()._load_from_state_dict(state_dict, prefix, *rest)


def spelt(name: str) -> str:
    """The words of a class name.

    >>> spelt("RoadAccidents"), spelt("wrong_way")
    ('road accidents', 'wrong way')
    """
    return re.sub(r"[_\s-]+", " ", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)).strip().lower()


def alike(values: Tensor, texts: Tensor, temperature: float) -> Tensor:
    """Cosines over ``temperature`` ``(..., N, 1 + C)`` of values ``(..., N, D)`` and texts ``(..., 1 + C, D)``."""
    return F.normalize(values, dim=-1) @ F.normalize(texts, dim=-1).transpose(-1, -2) / temperature


def shares(classes: Classes) -> Tensor:
    """Target shares of each label ``(1 + L, 1 + C)``: 1 for its class, or equal ones for several in one video.

    >>> shares(Classes(("fall", "fight"), mixed=("fall+fight",)))[2:].tolist()
    [[0.0, 0.0, 1.0], [0.0, 0.5, 0.5]]
    """
    rows = torch.eye(1 + len(classes.names))
    several = [rows[list(numbers)].mean(0) for numbers in classes.members[len(classes.names) :]]
    return torch.cat([rows, *(row[None] for row in several)])


def class_loss(bag: Tensor, labels: Tensor, shares: Tensor, method: str) -> Tensor:
    """Cross entropy of bags' similarity to classes ``(B, 1 + C)`` with the `shares` of their labels.

    ConfigError for a label without a class. Several classes share a label evenly, as in VadCLIP's official code.
    """
    numbers = labels.round().long()
    if len(numbers) and int(numbers.max()) >= len(shares):
        raise ConfigError(f"{method}: {bag.shape[1] - 1} classes, but a label is {int(numbers.max())}")
    return F.cross_entropy(bag, shares[numbers].to(bag.dtype))


def separation(texts: Tensor) -> Tensor:
    """Mean over classes of the absolute cosine between the first text, normal, and theirs.

    >>> float(separation(torch.tensor([[1.0, 0], [0, 2], [-3, 0]])))
    0.5
    """
    unit = F.normalize(texts, dim=-1)
    return (unit[1:] @ unit[0]).abs().mean()


def best_means(values: Tensor, held: Tensor, top: int) -> Tensor:
    """Mean ``(B, V)`` of the n // top + 1 highest of n held values ``(B, M, V)``, for each column; 0 of none.

    >>> best_means(torch.tensor([[[1.0], [5.0], [3.0], [9.0]]]), torch.tensor([[1, 1, 1, 0]]).bool(), 2).tolist()
    [[4.0]]
    """
    total = held.sum(1)
    counts = torch.minimum(total // top + 1, total)
    most = max(1, int(counts.max())) if len(counts) else 1
    best = values.masked_fill(~held[..., None], -torch.inf).topk(min(most, values.shape[1]), dim=1).values
    rank = torch.arange(best.shape[1], device=counts.device)
    counted = (rank < counts[:, None])[..., None]
    means: Tensor = torch.where(counted, best, 0).sum(1) / counts.clamp(min=1)[:, None]
    return means


class SpatialTexts(nn.Module):
    """Unit vectors ``(M, D)`` of normal texts, the first ``normal`` of them, and abnormal ones, compared with places.

    They are buffers with the length of a loaded model; empty without a reader. (Wu et al., STPrompt, ACM MM 2024.)
    """

    texts: Tensor
    normal: Tensor

    def __init__(
        self, reader: TextImage | None = None, normal: Sequence[str] = (), abnormal: Sequence[str] = ()
    ) -> None:
        super().__init__()
        vectors = torch.empty(0, 0) if reader is None else torch.from_numpy(reader.encode([*normal, *abnormal]))
        self.register_buffer("texts", vectors)
        self.register_buffer("normal", torch.tensor(len(normal)))

    def abnormal(self, values: Tensor, scale: float) -> Tensor:
        """The logarithm of the share ``(...)`` of similarity to all texts that abnormal ones have."""
        shares = (scale * F.normalize(values, dim=-1) @ self.texts.T).log_softmax(-1)
        usual = torch.arange(len(self.texts), device=shares.device) < self.normal
        return shares.masked_fill(usual, -torch.inf).logsumexp(-1)

    def _load_from_state_dict(self, state_dict: Mapping[str, Tensor], prefix: str, *rest: Any) -> None:
        stored = state_dict.get(f"{prefix}texts")
        if stored is not None and stored.shape != self.texts.shape:
            self.texts = torch.empty_like(stored)
        super()._load_from_state_dict(state_dict, prefix, *rest)
