from __future__ import annotations

import json
import shutil
import socket
from pathlib import Path

import numpy as np
import pytest

from wherewhen.core.errors import ConfigError
from wherewhen.core.values import Frame
from wherewhen.proposals.transformers import Transformers, TransformersConfig


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError("the network is cut")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


def test_a_network_in_a_folder_gives_what_it_says(tiny_transformer: Path) -> None:
    import torch
    from transformers import YolosForObjectDetection

    image = np.random.default_rng(0).integers(0, 255, (32, 48, 3), np.uint8)
    settings = TransformersConfig(model=str(tiny_transformer), score=0.0, classes=(), overlap=1.0, stride=3)
    source = Transformers(settings)
    assert source.clip.size == (32, 48) and source.clip.stride == 3 and source.names == ("person", "bicycle", "car")
    (found,) = source([Frame(image, 0, 1.0, 1.5)])

    pixels = np.stack([(image[..., k] / 255.0 - 0.5) / 0.25 for k in range(3)])[None]
    with torch.inference_mode():
        out = YolosForObjectDetection.from_pretrained(tiny_transformer).eval()(torch.tensor(pixels).float())
    expected = {}
    for logits, (x, y, w, h) in zip(out.logits[0].tolist(), out.pred_boxes[0].tolist(), strict=True):
        shares = np.exp(logits) / np.exp(logits).sum()  # the last one means nothing at all
        best = int(np.argmax(shares[:-1]))
        if source.names[best]:
            expected[round(float(shares[best]), 5)] = (source.names[best], [x - w / 2, y - h / 2, x + w / 2, y + h / 2])
    assert sorted(expected) == sorted(round(v, 5) for v in found.values.tolist()) and expected
    for value, name, row in zip(found.values.tolist(), found.names, found.extents, strict=True):
        told, box = expected[round(value, 5)]
        assert told == name
        np.testing.assert_allclose(row, [1.0, 1.5, *np.clip(box, 0, 1)], atol=1e-5)


def test_what_can_not_be_had_is_told(tiny_transformer: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="can't be had"):
        Transformers(TransformersConfig(model="nobody/nothing"))
    with pytest.raises(ConfigError, match="can't be had"):
        Transformers(TransformersConfig(model=str(tmp_path)))
    other = tmp_path / "edge"
    shutil.copytree(tiny_transformer, other)
    (other / "preprocessor_config.json").write_text(json.dumps({"size": {"shortest_edge": 800}}))
    with pytest.raises(ConfigError, match="only networks with one height and width"):
        Transformers(TransformersConfig(model=str(other)))


def test_only_safetensors_are_read(tiny_transformer: Path, tmp_path: Path) -> None:
    """A file that might hold code is not even opened."""
    other = tmp_path / "pickled"
    shutil.copytree(tiny_transformer, other)
    (other / "model.safetensors").rename(other / "pytorch_model.bin")
    with pytest.raises(ConfigError, match="can't be used as a detector"):
        Transformers(TransformersConfig(model=str(other)))
