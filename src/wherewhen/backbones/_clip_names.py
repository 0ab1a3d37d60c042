"""CLIP's published weights; OpenAI's parameter names are converted to those of Hugging Face."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from wherewhen.core.documents import json_of
from wherewhen.core.errors import StoreError
from wherewhen.runtime.weights import Weights

if TYPE_CHECKING:
    import torch

VOCABULARY = (("tokenizer.json",), ("vocab.json", "merges.txt"))
"""Files with the vocabulary, either group."""

_ROOT = "https://huggingface.co/openai/clip-vit-base-patch{}/resolve/main/"

PUBLISHED = tuple(
    Weights(
        name=f"clip_vit_b{patch}",
        address=f"{_ROOT.format(patch)}pytorch_model.bin",
        beside=tuple(f"{_ROOT.format(patch)}{file}" for file in VOCABULARY[1]),
        licence="MIT",
        trained_on="400 million pictures and texts from the web (WIT)",
        homepage="https://github.com/openai/CLIP",
    )
    for patch in (16, 32)
)

_EXTRA = ("input_resolution", "context_length", "vocab_size")
_ENDS = {
    "visual.class_embedding": "vision_model.embeddings.class_embedding",
    "visual.conv1.weight": "vision_model.embeddings.patch_embedding.weight",
    "visual.positional_embedding": "vision_model.embeddings.position_embedding.weight",
    "visual.proj": "visual_projection.weight",
    "token_embedding.weight": "text_model.embeddings.token_embedding.weight",
    "positional_embedding": "text_model.embeddings.position_embedding.weight",
    "text_projection": "text_projection.weight",
}
_TURNED = ("visual.proj", "text_projection")  # used as x @ W there, as x @ W.T here
_PARTS = (
    (r"^visual\.ln_pre\.", "vision_model.pre_layrnorm."),
    (r"^visual\.ln_post\.", "vision_model.post_layernorm."),
    (r"^ln_final\.", "text_model.final_layer_norm."),
    (r"^visual\.transformer\.resblocks\.", "vision_model.encoder.layers."),
    (r"^transformer\.resblocks\.", "text_model.encoder.layers."),
    (r"\.attn\.out_proj\.", ".self_attn.out_proj."),
    (r"\.ln_([12])\.", r".layer_norm\1."),
    (r"\.mlp\.c_fc\.", ".mlp.fc1."),
    (r"\.mlp\.c_proj\.", ".mlp.fc2."),
)


def to_hugging_face(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Tensors of either layout under the names of Hugging Face, in full precision."""
    if "visual.proj" not in tensors:
        return {name: value.float() for name, value in tensors.items() if not name.endswith(".position_ids")}
    converted: dict[str, torch.Tensor] = {}
    for name, value in tensors.items():
        if name in _EXTRA:
            continue
        value = value.float().t().contiguous() if name in _TURNED else value.float()
        if (joint := re.match(r"(.*)\.attn\.in_proj_(weight|bias)$", name)) is not None:
            for part, share in zip("qkv", value.chunk(3), strict=True):
                converted[f"{_renamed(joint[1] + '.')}self_attn.{part}_proj.{joint[2]}"] = share.clone()
        else:
            converted[_ENDS.get(name) or _renamed(name)] = value
    return converted


def _renamed(name: str) -> str:
    for pattern, other in _PARTS:
        name = re.sub(pattern, other, name)
    return name


def check(path: Path) -> None:
    """StoreError for unsuitable weights: archives of code, networks of another activation."""
    _no_archive(path)
    _same_activation(path.with_name("config.json"))


def _same_activation(described: Path) -> None:
    """Later networks of the same shape have plain GELU: their weights fit, and their features would be wrong."""
    if not described.is_file():
        return
    try:
        settings = json_of(described.read_bytes())
        towers = [settings.get(name) or {} for name in ("vision_config", "text_config")]
        others = {tower.get("hidden_act", "quick_gelu") for tower in towers} - {"quick_gelu"}
    except (ValueError, AttributeError) as error:
        raise StoreError(f"{described}: not the settings of a CLIP network ({error})") from None
    if others:
        raise StoreError(
            f"{described}: expected OpenAI's CLIP with quick_gelu; this one has {', '.join(sorted(others))}"
        )


def _no_archive(path: Path) -> None:
    """A TorchScript archive, as OpenAI publishes its weights, is not opened: that would run its code."""
    if not zipfile.is_zipfile(path):
        return
    with zipfile.ZipFile(path) as archive:
        holds_code = any("/code/" in name for name in archive.namelist())
    if holds_code:
        raise StoreError(
            f"{path}: a TorchScript archive holds code, so it is not opened. If you trust it, extract its "
            f"tensors once:\n  python -c \"import torch; torch.save(torch.jit.load('{path}', map_location='cpu')"
            f".state_dict(), '{path.with_suffix('.plain.pt')}')\"\nor use the same weights from Hugging Face "
            "(model.safetensors or pytorch_model.bin)."
        )
