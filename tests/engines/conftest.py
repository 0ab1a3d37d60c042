"""Two small networks that hold all that engines rewrite."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wherewhen.core.contracts import ClipSpec, Provenance
from wherewhen.core.values import Pixels
from wherewhen.runtime.network import Network, NetworkConfig


class Space(nn.Module):
    """A stem of 7x7x7 with stride 2, pools that are padded by hand, branches and a residual, as I3D and C3D have."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.norm = nn.Conv3d(3, 16, 7, 2, bias=False), nn.BatchNorm3d(16, eps=1e-3)
        self.wide, self.wide_norm = nn.Conv3d(16, 24, 3, bias=True), nn.BatchNorm3d(24)
        self.narrow = nn.Conv3d(24, 16, 1)
        self.deep = nn.Conv3d(16, 16, 3, padding=1, groups=16)
        self.out, self.out_norm = nn.Conv3d(40, 24, 1, bias=False), nn.BatchNorm3d(24, affine=False)

    def forward(self, clips: Tensor) -> Tensor:
        x = clips.permute(0, 4, 1, 2, 3).float() / 127.5 - 1
        x = F.relu(self.norm(self.stem(F.pad(x, [2, 3, 2, 3, 2, 3]))))
        x = F.max_pool3d(F.pad(x, [0, 1, 0, 1, 0, 0]), (1, 3, 3), (1, 2, 2))
        x = F.relu(self.wide_norm(self.wide(F.pad(x, [1, 1, 1, 1, 1, 1]))))
        narrow = F.gelu(self.narrow(F.pad(x, [0, 0])))
        narrow = narrow + self.deep(F.max_pool3d(narrow, 3, 1, 1))
        x = torch.cat([F.max_pool3d(x, 3, 1, 1), narrow], 1)
        return self.out_norm(self.out(x)).permute(0, 2, 3, 4, 1)


class Look(nn.Module):
    """A small vision transformer, frame by frame; its patches overlap nothing and are not padded."""

    def __init__(self) -> None:
        super().__init__()
        self.patch = nn.Conv2d(3, 32, 8, 8)
        self.place = nn.Parameter(torch.randn(36, 32) * 0.1)
        self.norms = nn.ModuleList(nn.LayerNorm(32) for _ in range(3))
        self.qkv, self.back = nn.Linear(32, 96), nn.Linear(32, 32)
        self.up, self.down = nn.Linear(32, 64), nn.Linear(64, 32)
        self.register_buffer("mean", torch.tensor([123.0, 117.0, 104.0]))
        self.register_buffer("spread", torch.tensor([58.0, 57.0, 56.0]))

    def forward(self, clips: Tensor) -> Tensor:
        batch, frames = clips.shape[:2]
        x = ((clips.flatten(0, 1).float() - self.mean) / self.spread).permute(0, 3, 1, 2)
        x = self.patch(x).flatten(2).transpose(1, 2) + self.place
        q, k, v = self.qkv(self.norms[0](x)).view(len(x), -1, 3, 4, 8).permute(2, 0, 3, 1, 4)
        seen = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        x = x + self.back(seen)
        x = self.norms[2](x + self.down(F.gelu(self.up(self.norms[1](x)))))
        return x.view(batch, frames, 6, 6, 32)


@dataclass(frozen=True)
class ToyConfig(NetworkConfig):
    """Settings of `Toy`."""

    kind: Literal["space", "look"] = "space"


class Toy(Network):
    """One of the two as a backbone."""

    Config: ClassVar[type] = ToyConfig
    source: ClassVar[Provenance] = Provenance("toy")

    @classmethod
    def spec(cls, config: ToyConfig) -> ClipSpec:
        return ClipSpec(8, 4, size=(48, 48)) if config.kind == "space" else ClipSpec(2, 2, size=(48, 48))

    @classmethod
    def build(cls, config: ToyConfig) -> nn.Module:
        made = Space() if config.kind == "space" else Look()
        for part in made.modules():
            if isinstance(part, nn.BatchNorm3d):
                part.running_mean = torch.randn(part.num_features) * 0.2
                part.running_var = torch.rand(part.num_features) + 0.3
        return made


def drawn(count: int, frames: int, size: int = 48, seed: int = 0) -> Pixels:
    """Soft clouds that drift: ``(count, frames, size, size, 3)``."""
    rng = np.random.default_rng(seed)
    clips = []
    for _ in range(count):
        wide = cv2.GaussianBlur(rng.normal(size=(size, size + frames, 3)).astype(np.float32), (0, 0), 2)
        wide = cv2.normalize(wide, None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)
        clips.append(np.stack([wide[:, k : k + size] for k in range(frames)]))
    return np.stack(clips)


@pytest.fixture(params=["space", "look"])
def toy(request: pytest.FixtureRequest) -> Toy:
    return Toy(ToyConfig(kind=request.param))


@pytest.fixture
def make_toy() -> Any:
    return lambda kind="space": Toy(ToyConfig(kind=kind))


@pytest.fixture
def draw() -> Any:
    return drawn
