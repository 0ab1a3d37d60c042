"""CLIP: features of frames or of their patches in the space of texts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar, Literal

from wherewhen.backbones import _clip_names as names
from wherewhen.backbones import _transformers
from wherewhen.core.contracts import BackboneAbilities, ClipSpec, Provenance
from wherewhen.core.errors import ConfigError
from wherewhen.core.values import Features, unit
from wherewhen.runtime.network import Network, NetworkConfig
from wherewhen.runtime.weights import RANDOM, Weights

if TYPE_CHECKING:
    import torch

    from wherewhen.backbones._clip_text import Texts, TextTower


SPACE = 512  # numbers of an embedding of ViT-B


@dataclass(frozen=True)
class ClipConfig(NetworkConfig):
    """Settings of `Clip`.

    Args:
        weights: name of published weights, path of a file in Hugging Face's or OpenAI's layout, or "random".
        stride: a new clip every so many frames.
        frames: frames per clip.
        sampling: of so many frames the middle one is used.
        variant: ViT-B with patches of 16 or 32 px.
        layer: patches are tokens in the space of texts (patches_penultimate: one block earlier), tokens are those
            of the last block but one as they are, embedding is one vector per frame; patches_embedding are patches,
            and the embedding of the frame beside them for methods that take it.
        vocabulary: folder with vocab.json and merges.txt (or tokenizer.json); null: the folder of the weights. No
            feature depends on it.
    """

    weights: str = "clip_vit_b16"
    stride: int = 16
    frames: int = 16
    sampling: int = 16
    variant: Literal["b16", "b32"] = "b16"
    layer: Literal["embedding", "patches", "patches_embedding", "patches_penultimate", "tokens"] = "patches"
    vocabulary: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 <= self.sampling <= self.frames:
            raise ConfigError(f"clip: expected 1 <= sampling <= frames; got {self.sampling} and {self.frames}")
        expected = f"clip_vit_{self.variant}"
        if self.weights != expected and self.weights in {weights.name for weights in names.PUBLISHED}:
            raise ConfigError(f"clip: variant {self.variant} has the weights {expected}, not {self.weights}")


class Clip(Network):
    """CLIP ViT-B: uint8 ``(B, T, H, W, 3)`` -> float32 ``(B, frames / sampling, h, w, D)``; it encodes texts too.

    The whole scene is squeezed into 224 x 224. Patches make 14 x 14 (b16) or 7 x 7 cells (b32) of 512 numbers, tokens
    the same of 768; an embedding has one cell. Vectors are not normalized to length one.

    Radford et al., Learning Transferable Visual Models From Natural Language Supervision, ICML 2021.
    """

    Config: ClassVar[type] = ClipConfig
    source: ClassVar[Provenance] = Provenance(
        title="CLIP ViT-B",
        homepage="https://github.com/openai/CLIP",
        licence="MIT",
        citation="Radford et al., Learning Transferable Visual Models From Natural Language Supervision, ICML 2021",
    )
    weights: ClassVar[tuple[Weights, ...]] = names.PUBLISHED
    limit: ClassVar[int | None] = 77
    abilities: ClassVar[BackboneAbilities] = BackboneAbilities(reads_text=True, settings_without_effect=("vocabulary",))

    def __init__(self, config: ClipConfig) -> None:
        if config.weights != RANDOM:
            names.check(self.weights_file(config))
        super().__init__(config)

    @classmethod
    def spec(cls, config: ClipConfig) -> ClipSpec:
        """The clips of the network's input."""
        whole = SPACE if config.layer == "patches_embedding" else 0
        return ClipSpec(config.frames, config.stride, config.rate, size=(224, 224), tail=config.tail, whole=whole)

    @classmethod
    def check_libraries(cls) -> None:
        """ConfigError where transformers is not installed."""
        _transformers.check("clip")

    @classmethod
    def build(cls, config: ClipConfig) -> torch.nn.Module:
        """The module with random weights; ConfigError where transformers is not installed."""
        from wherewhen.backbones._clip import Pictures

        return Pictures(config.variant, config.frames, config.sampling, config.layer)

    def renamed(self, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """The picture tower's tensors out of either layout."""
        return {
            k: v
            for k, v in names.to_hugging_face(tensors).items()
            if k.startswith(("vision_model.", "visual_projection."))
        }

    @cached_property
    def texts(self) -> Texts:
        """The text encoder, loaded on first use."""
        from wherewhen.backbones._clip_text import Texts

        return Texts(self.config.weights, self.config.vocabulary)

    def encode(self, texts: Sequence[str]) -> Features:
        """Unit vectors ``(N, 512)`` of texts; StoreError where the vocabulary is missing."""
        return unit(self.texts(texts))

    def tokens(self, texts: Sequence[str]) -> list[int]:
        """Number of tokens of each text, its start and end included; 77 are used."""
        return self.texts.count(texts)

    def tower(self) -> TextTower:
        """The text tower, frozen: gradients flow through it to learned prompts."""
        self.texts.tower.tokenized = self.texts.sequences
        return self.texts.tower


PLUGIN = Clip
