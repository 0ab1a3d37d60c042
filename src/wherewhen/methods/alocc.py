"""Adversarially learned one-class classifier (ALOCC, Sabokrou et al., CVPR 2018): trained on normal patches only."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from wherewhen.core.contracts import MethodAbilities, Output, Provenance, Training, View
from wherewhen.core.errors import ConfigError
from wherewhen.methods._grid import flat, lanes
from wherewhen.methods._recorded import picked, put_back, recorded, unrecordable

VIEW = "cells"


@dataclass(frozen=True)
class ALOCCConfig:
    """Settings of `ALOCC`; `PUBLISHED` holds the official code's.

    Args:
        channels: channels of the discriminator's first layer; all others are multiples. 16 in the official code; null
            takes that, less where patches are smaller than its 45 px.
        patches: number of patches of each bag in one training step; 128 in all in the official code.
        noise: standard deviation of the noise added to the reconstructor's input; not given in the paper.
        refinement: weight of the reconstruction's error, .4 in the paper and .2 in the official code.
        score: how anomalous a patch is: the discriminator on its reconstruction, as in the paper
            (``refined``); the discriminator on the patch, as in the official code (``original``); the error of the
            reconstruction; or the first and the last of these together.
        compat: as the official code: statistics of all patches that are scored together (here those of one bag)
            instead of those kept from training, and the reconstruction's tanh output taken for a logit in its error.
    """

    channels: int | None = None
    patches: int = 8
    noise: float = 0.1
    refinement: float = 0.4
    score: Literal["both", "refined", "original", "reconstruction"] = "both"
    compat: bool = False

    def __post_init__(self) -> None:
        for name in ("channels", "patches"):
            if getattr(self, name) is not None and getattr(self, name) < 1:
                raise ConfigError(f"alocc: {name} must be at least 1, got {getattr(self, name)}")
        for name in ("noise", "refinement"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise ConfigError(f"alocc: {name} can't be negative, got {getattr(self, name)}")


PUBLISHED = ALOCCConfig(channels=16, patches=128, refinement=0.2, score="original", compat=True)
"""The official code; its cells are the backbone's own, of `pixels` with its defaults and ``still = 0``."""

PUBLISHED_TRAINING = Training(steps=2000, bags=1, optimizer="adam", learning_rate=2e-3)
"""The official code takes RMSProp for 40 epochs and moves the reconstructor twice a step."""

PUBLISHED_WSSTAD = ALOCCConfig(channels=16, patches=128, score="refined")
"""In table 5 of Wu et al., IJCAI 2021: "the outputs of R+D network"; D(R(x)) and the weight .4 are the paper's."""

PUBLISHED_WSSTAD_TRAINING = PUBLISHED_TRAINING

EPSILON = 1e-5  # of the norms, as in the official code
KEEP = 0.9  # of their moving statistics a step
CHUNK = 512  # patches scored at once: bounds memory


@dataclass(slots=True)
class Groups:
    """The bag ``(n,)`` of each patch, of ``count`` bags; ``learn``: update the moving statistics."""

    bag: Tensor
    count: int
    learn: bool = False


class Norm(nn.Module):
    """Batch norm whose batch is one bag's patches, or, without groups, the moving statistics. Official names."""

    moving_mean: Tensor
    moving_variance: Tensor

    def __init__(self, size: int) -> None:
        super().__init__()
        self.gamma, self.beta = nn.Parameter(torch.ones(size)), nn.Parameter(torch.zeros(size))
        self.register_buffer("moving_mean", torch.zeros(size))
        self.register_buffer("moving_variance", torch.ones(size))

    def forward(self, x: Tensor, groups: Groups | None) -> Tensor:
        """``(n, C, H, W)`` -> same."""
        if groups is None:
            mean, variance = self.moving_mean[None], self.moving_variance[None]
        else:
            members = torch.bincount(groups.bag, minlength=groups.count).clamp(min=1).to(x.dtype)[:, None]
            zeros = x.new_zeros(groups.count, x.shape[1])
            means = zeros.index_add(0, groups.bag, x.mean((2, 3))) / members
            mean = means[groups.bag]
            spread = (x - mean[:, :, None, None]).square().mean((2, 3))
            variances = zeros.index_add(0, groups.bag, spread) / members
            variance = variances[groups.bag]
            if groups.learn and len(x):
                self.moving_mean.lerp_(mean.detach().mean(0), 1 - KEEP)
                self.moving_variance.lerp_(variance.detach().mean(0), 1 - KEEP)
        scaled = (x - mean[..., None, None]) * torch.rsqrt(variance[..., None, None] + EPSILON)
        return scaled * self.gamma[:, None, None] + self.beta[:, None, None]


class Convolution(nn.Module):
    """5x5, every second pixel, padded as TensorFlow's SAME; kernel (out, in, 5, 5)."""

    def __init__(self, size: int, out: int) -> None:
        super().__init__()
        self.w, self.biases = _kernel(out, size), nn.Parameter(torch.zeros(out))

    def forward(self, x: Tensor) -> Tensor:
        """``(n, C, H, W)`` -> half as high and wide, rounded up."""
        (top, bottom), (left, right) = (_same(length) for length in x.shape[2:])
        return F.conv2d(F.pad(x, (left, right, top, bottom)), self.w, self.biases, stride=2)


class Deconvolution(nn.Module):
    """The transpose of `Convolution`, to a given side; kernel (in, out, 5, 5)."""

    def __init__(self, size: int, out: int) -> None:
        super().__init__()
        self.w, self.biases = _kernel(size, out), nn.Parameter(torch.zeros(out))

    def forward(self, x: Tensor, side: int) -> Tensor:
        """``(n, C, h, h)`` -> ``(n, out, side, side)``, with h the half of side, rounded up."""
        front = _same(side)[0]
        whole = F.conv_transpose2d(x, self.w, stride=2)
        return whole[..., front : front + side, front : front + side] + self.biases[:, None, None]


class Reconstructor(nn.Module):
    """Patches ``(n, 1, side, side)`` -> their reconstructions as normal patches, in [-1, 1]."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        c = channels
        self.g_encoder_h0_conv, self.g_bn4 = Convolution(1, 2 * c), Norm(2 * c)
        self.g_encoder_h1_conv, self.g_bn5 = Convolution(2 * c, 4 * c), Norm(4 * c)
        self.g_encoder_h2_conv, self.g_bn6 = Convolution(4 * c, 8 * c), Norm(8 * c)
        self.g_decoder_h1, self.g_bn2 = Deconvolution(8 * c, 2 * c), Norm(2 * c)
        self.g_decoder_h0, self.g_bn3 = Deconvolution(2 * c, c), Norm(c)
        self.g_decoder_h00 = Deconvolution(c, 1)

    def forward(self, x: Tensor, groups: Groups | None = None) -> Tensor:
        """Reconstructed patches."""
        sides = [x.shape[-1]]
        for layer, norm in (
            (self.g_encoder_h0_conv, self.g_bn4),
            (self.g_encoder_h1_conv, self.g_bn5),
            (self.g_encoder_h2_conv, self.g_bn6),
        ):
            x = F.leaky_relu(norm(layer(x), groups), 0.2)
            sides.append(x.shape[-1])
        x = F.relu(self.g_bn2(self.g_decoder_h1(x, sides[2]), groups))
        x = F.relu(self.g_bn3(self.g_decoder_h0(x, sides[1]), groups))
        return torch.tanh(self.g_decoder_h00(x, sides[0]))


class Discriminator(nn.Module):
    """Patches ``(n, 1, side, side)`` -> logits ``(n,)``: positive for real, that is normal, ones."""

    def __init__(self, channels: int, side: int) -> None:
        super().__init__()
        c = channels
        self.d_h0_conv = Convolution(1, c)
        self.d_h1_conv, self.d_bn1 = Convolution(c, 2 * c), Norm(2 * c)
        self.d_h2_conv, self.d_bn2 = Convolution(2 * c, 4 * c), Norm(4 * c)
        self.d_h3_conv, self.d_bn3 = Convolution(4 * c, 8 * c), Norm(8 * c)
        self.d_h3_lin = nn.Linear(8 * c * math.ceil(side / 16) ** 2, 1)

    def forward(self, x: Tensor, groups: Groups | None = None) -> Tensor:
        """Logits of real patches."""
        x = F.leaky_relu(self.d_h0_conv(x), 0.2)
        x = F.leaky_relu(self.d_bn1(self.d_h1_conv(x), groups), 0.2)
        x = F.leaky_relu(self.d_bn2(self.d_h2_conv(x), groups), 0.2)
        x = F.leaky_relu(self.d_bn3(self.d_h3_conv(x), groups), 0.2)
        logits: Tensor = self.d_h3_lin(x.permute(0, 2, 3, 1).flatten(1)).squeeze(-1)
        return logits


class ALOCC(nn.Module):
    """A reconstructor and a discriminator, trained against each other on patches of normal videos.

    View ``cells``: square patches ``(B, N, side * side)`` in [-1, 1] -> scores ``(B, N)``. Anomalous videos are
    not used. In training only a sample of patches is scored, 0 elsewhere; ``extra`` holds it: ``sample`` ``(B, S, D)``
    and which bags have one, ``nonempty`` ``(B,)``.

    >>> model = ALOCC(ALOCCConfig(channels=2), {"cells": 81})
    >>> there = torch.ones(1, 4).bool()
    >>> view = View(torch.ones(1, 4, 81), torch.zeros(1, 4, 6), -torch.ones(1, 4), there, ((1, 2, 2),))
    >>> model.eval()({"cells": view}).scores.shape
    torch.Size([1, 4])
    """

    Config: ClassVar[type] = ALOCCConfig
    views: ClassVar[tuple[str, ...]] = (VIEW,)
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    abilities: ClassVar[MethodAbilities] = MethodAbilities(
        unnormalized_views=(VIEW,),
        feature_length=81,
        ablations={
            "discriminator after reconstruction": {"score": "refined"},
            "discriminator alone": {"score": "original"},
            "reconstruction alone": {"score": "reconstruction"},
            "no noise": {"noise": 0.0},
            "no error in training": {"refinement": 0.0},
            "as the official code": {"score": "original", "refinement": 0.2, "compat": True},
        },
    )
    schedule: ClassVar[Training] = Training(steps=100, bags=8, optimizer="adam", learning_rate=1e-3)
    source: ClassVar[Provenance] = Provenance(
        title="Adversarially learned one-class classifier (ALOCC)",
        homepage="https://github.com/khalooei/ALOCC-CVPR2018",
        citation="Sabokrou et al., Adversarially Learned One-Class Classifier for Novelty Detection, CVPR 2018",
    )
    usual: Tensor

    def __init__(self, config: ALOCCConfig, dims: Mapping[str, int]) -> None:
        super().__init__()
        self.side = math.isqrt(dims[VIEW])
        if self.side**2 != dims[VIEW]:
            raise ConfigError(
                f"alocc: needs square patches of pixels, got features of length {dims[VIEW]}; use --backbone pixels"
            )
        self.config = config
        self.reach: float | None = None if config.compat else 0.0
        channels = config.channels or max(2, min(16, 16 * self.side // 45))
        self.generator = Reconstructor(channels)
        self.discriminator = Discriminator(channels, self.side)
        self.register_buffer("usual", torch.tensor(1.0))  # the error of normal patches

    def forward(self, bags: Mapping[str, View]) -> Output:
        """Scores ``(B, N)`` of the view ``cells``, 0 where masked and where a patch is all zeros."""
        view = bags[VIEW]
        whole = lanes(view)
        held = whole.held.flatten(1)
        patches = whole.features.flatten(1, 2)
        if not self.training:
            return Output(flat(self._judged(patches, held).reshape(whole.held.shape), view))
        chosen = _sample(held, self.config.patches)
        sample = patches.gather(1, chosen[..., None].expand(-1, -1, patches.shape[-1]))
        with torch.no_grad():
            sample_scores = self._score(self._square(sample), _groups(len(sample), self.config.patches, sample.device))
        scores = sample_scores.new_zeros(held.shape).scatter(1, chosen, sample_scores.reshape(chosen.shape)) * held
        extra = {"sample": sample, "nonempty": held.any(1)}
        return Output(flat(scores.reshape(whole.held.shape), view), extra)

    def loss(self, output: Output, bags: Mapping[str, View], labels: Tensor) -> dict[str, Tensor]:
        """``real`` and ``fake`` train the discriminator, ``adversarial`` and ``refinement`` the reconstructor.

        All in one step, where the paper alternates. Only normal bags count. Out of training it is ``refinement`` alone.
        """
        if not self.training:
            return {"refinement": self._validated(bags[VIEW], labels)}
        usable = (labels <= 0.5) & output.extra["nonempty"]
        real = self._square(output.extra["sample"][usable])
        groups = _groups(int(usable.sum()), self.config.patches, real.device)
        if not len(real):
            none = output.extra["sample"].sum() * 0
            return dict.fromkeys(("real", "fake", "adversarial", "refinement"), none)
        groups.learn = learns = torch.is_grad_enabled()  # no update without gradients
        noise = self.config.noise * torch.randn(real.shape, dtype=real.dtype).to(real.device)
        reconstructed = self.generator(real + noise, groups)
        on_real = self.discriminator(real, groups)
        groups.learn = False
        on_fake = self.discriminator(reconstructed.detach(), groups)
        still = {name: weight.detach() for name, weight in self.discriminator.named_parameters()}
        judged = functional_call(self.discriminator, still, (reconstructed, groups))
        error = refinement(reconstructed, real, self.config.compat)
        if learns:
            self.usual.lerp_((reconstructed - real).square().mean().detach(), 1 - KEEP)
        return {
            "real": _bce(on_real, 1.0),
            "fake": _bce(on_fake, 0.0),
            "adversarial": _bce(judged, 1.0),
            "refinement": self.config.refinement * error,
        }

    def _validated(self, view: View, labels: Tensor) -> Tensor:
        held = (view.mask & (view.features != 0).any(-1)) & (labels <= 0.5)[:, None]
        rows = self._square(view.features[held])
        parts = [refinement(self.generator(x), x, self.config.compat, "sum") for x in torch.split(rows, CHUNK)]
        return torch.stack(parts).sum() / max(1, rows.numel())

    def _judged(self, patches: Tensor, held: Tensor) -> Tensor:
        """Scores ``(B, M)`` of all patches ``(B, M, D)``, a chunk at a time where their norms allow it."""
        rows = self._square(picked(patches, held))
        if self.config.compat:
            unrecordable("alocc", "compat", "it compares the nonempty patches of a video with each other")
            scores = self._score(rows, Groups(held.nonzero()[:, 0], len(held)))
        else:
            parts = [rows] if recorded() else torch.split(rows, CHUNK)
            scores = torch.cat([self._score(part, None) for part in parts])
        return put_back(scores, held)

    def _score(self, patches: Tensor, groups: Groups | None) -> Tensor:
        kind = self.config.score
        if kind == "original":
            return 1 - torch.sigmoid(self.discriminator(patches, groups))
        reconstructed = self.generator(patches, groups)
        error: Tensor = (reconstructed - patches).square().mean((1, 2, 3))
        faithful: Tensor = self.usual / (self.usual + error).clamp(min=1e-12)
        if kind == "reconstruction":
            return 1 - faithful
        real = torch.sigmoid(self.discriminator(reconstructed, groups))
        return 1 - real * faithful if kind == "both" else 1 - real

    def _square(self, patches: Tensor) -> Tensor:
        return patches.reshape(-1, 1, self.side, self.side).clamp(-1, 1)


def refinement(reconstructed: Tensor, real: Tensor, compat: bool, reduction: str = "mean") -> Tensor:
    """Squared error of a reconstruction; ``compat``: cross-entropy with the tanh output as a logit."""
    if compat:
        return F.binary_cross_entropy_with_logits(reconstructed, real, reduction=reduction)
    return F.mse_loss(reconstructed, real, reduction=reduction)


def official(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The official TensorFlow variables under our names; kernels (kh, kw, in, out) become (out, in, kh, kw).

    >>> official({"generator/g_encoder_h0_conv/w": torch.zeros(5, 5, 1, 32)})["generator.g_encoder_h0_conv.w"].shape
    torch.Size([32, 1, 5, 5])
    """
    variables = {}
    for name, tensor in tensors.items():
        ours = name.replace("/", ".").replace("d_h3_lin.Matrix", "d_h3_lin.weight")
        variables[ours] = tensor.permute(3, 2, 0, 1) if tensor.ndim == 4 else tensor.T if tensor.ndim == 2 else tensor
    return variables


def _same(length: int) -> tuple[int, int]:
    """Padding in front and behind, so that a 5 wide kernel with stride 2 gives half of ``length``, rounded up."""
    total = max((math.ceil(length / 2) - 1) * 2 + 5 - length, 0)
    return total // 2, total - total // 2


def _kernel(first: int, second: int) -> nn.Parameter:
    return nn.Parameter(torch.randn(first, second, 5, 5) * 0.02)


def _bce(logits: Tensor, target: float) -> Tensor:
    return F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, target))


def _groups(bags: int, patches: int, device: torch.device) -> Groups:
    return Groups(torch.arange(bags, device=device).repeat_interleave(patches), bags)


def _sample(held: Tensor, count: int) -> Tensor:
    """Places ``(B, count)`` of held patches ``(B, M)``, at random; repeated only where there are fewer."""
    order = torch.rand(held.shape).to(held.device).masked_fill(~held, 2.0).argsort(1)
    turn = torch.arange(count, device=held.device) % held.sum(1, keepdim=True).clamp(min=1)
    return order.gather(1, turn)


PLUGIN = ALOCC
