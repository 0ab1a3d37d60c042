from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from golden import Golden
from safetensors.torch import save_file

from wherewhen.backbones.clip import Clip, ClipConfig
from wherewhen.core.contracts import TextImage
from wherewhen.core.errors import ConfigError, StoreError

pytest.importorskip("transformers", reason='CLIP needs pip install "wherewhen[clip]"')

from wherewhen.backbones._clip_text import END, START, Texts

LAYERS = ["embedding", "patches", "patches_penultimate", "tokens"]


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)


def opened(name: str) -> list[tuple[str, ...]]:
    """``a.{weight,bias}`` as ``a.weight`` and ``a.bias``."""
    if "{weight,bias}" in name:
        return [(name.replace("{weight,bias}", end),) for end in ("weight", "bias")]
    if "{q,k,v}" in name:
        return [tuple(name.replace("{q,k,v}", part) for part in "qkv")]
    return [(name,)]


def as_openai(tensors: dict[str, torch.Tensor], table: list[list[str]]) -> dict[str, torch.Tensor]:
    """The layout of OpenAI, by the table that came with the golden numbers."""
    made = {
        "input_resolution": torch.tensor(224),
        "context_length": torch.tensor(77),
        "vocab_size": torch.tensor(49408),
    }
    for ours, theirs, how in table:
        for block in range(12) if "{i}" in ours else [0]:
            pairs = zip(opened(ours.replace("{i}", str(block))), opened(theirs.replace("{i}", str(block))), strict=True)
            for sources, (target,) in pairs:
                value = torch.cat([tensors[name] for name in sources]) if len(sources) > 1 else tensors[sources[0]]
                made[target] = value.t().contiguous() if how.startswith("transpose") else value
    return made


@pytest.fixture(scope="module")
def published(golden: Callable[[str], Golden]) -> Golden:
    return golden("clip_vit_b16")


@pytest.fixture(scope="module")
def checkpoints(published: Golden, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Path]]:
    """The golden weights in both layouts; older files of Hugging Face hold position ids too."""
    folder = tmp_path_factory.mktemp("clip")
    tensors = published.tensors
    torch.save(as_openai(tensors, published.spec["mapping_hf_to_openai"]), folder / "ViT-B-16.plain.pt")
    tensors |= {f"{tower}.embeddings.position_ids": torch.arange(5) for tower in ("vision_model", "text_model")}
    save_file(tensors, folder / "model.safetensors")
    yield {"huggingface": folder / "model.safetensors", "openai": folder / "ViT-B-16.plain.pt"}
    shutil.rmtree(folder)


def test_pictures_are_seen_as_published(published: Golden, checkpoints: dict[str, Path]) -> None:
    module = Clip(ClipConfig(str(checkpoints["huggingface"]))).module
    pictures = torch.from_numpy(published.input(*published.spec["input"]["image_shape"]))
    found = {}
    with torch.inference_mode():
        for module.layer in LAYERS:
            found[module.layer] = module.features(pictures).flatten(1, 2)
        states = module.vision_model(pixel_values=pictures, output_hidden_states=True).hidden_states
    image = found["embedding"][:, 0]
    published.close("image_embedding", image)
    published.close("image_embedding_normalised", image / image.norm(dim=-1, keepdim=True))
    published.close("patch_tokens_projected_last", found["patches"])
    published.close("patch_tokens_projected_penultimate", found["patches_penultimate"])
    published.close("patch_tokens_penultimate", found["tokens"])
    published.close("vision_hidden_0_after_pre_ln", states[0])
    published.close("vision_hidden_11_penultimate", states[11])
    published.close("vision_hidden_12_last_before_post_ln", states[12])


def test_both_layouts_are_the_same_weights(published: Golden, checkpoints: dict[str, Path]) -> None:
    theirs = Clip(ClipConfig(str(checkpoints["openai"]), layer="embedding")).module
    with torch.inference_mode():
        image = theirs.features(torch.from_numpy(published.input(*published.spec["input"]["image_shape"])))[:, 0, 0]
    published.close("openai_code__image_embedding", image)
    texts = Texts(str(checkpoints["openai"]))
    published.close("openai_code__text_embedding", texts.embed(padded(published.spec["input"]["token_sequences"], 0)))


def padded(sequences: list[list[int]], fill: int) -> np.ndarray:
    return np.array([ids + [fill] * (77 - len(ids)) for ids in sequences])


def test_texts_are_read_as_published(published: Golden, checkpoints: dict[str, Path]) -> None:
    texts = Texts(str(checkpoints["huggingface"]))
    sequences = published.spec["input"]["token_sequences"]
    found = texts.embed(padded(sequences, 0))
    published.close("text_embedding", found)
    published.close("text_embedding_pad49407", texts.embed(padded(sequences, END)))
    for number, ids in enumerate(sequences):
        published.close(f"text_embedding_unpadded_{number}", texts.embed(np.array([ids])))
    tower = texts.tower
    with torch.inference_mode():
        published.close("text_last_hidden", tower.hidden(tower.rows(torch.from_numpy(padded(sequences, 0)))))
    image = published.outputs["image_embedding"]
    cosine = (image / np.linalg.norm(image, axis=1, keepdims=True)) @ (
        found / np.linalg.norm(found, axis=1, keepdims=True)
    ).T
    published.close("logits_per_image", cosine * tower.logit_scale.exp().numpy())


def test_prompts_are_read_as_published(published: Golden, checkpoints: dict[str, Path]) -> None:
    """The prompt branch of VadCLIP: words between learnt vectors, ten before and ten after; gradients reach those."""
    tower = Clip(ClipConfig(str(checkpoints["openai"]))).tower()
    assert isinstance(tower.width, int) and tower.length == 77
    sequences = published.spec["input"]["token_sequences"][:2]
    learnt = torch.from_numpy((np.random.default_rng(17).standard_normal((77, 512)) * 0.01).astype(np.float32))
    learnt.requires_grad_(True)
    found = tower.between(sequences, learnt)
    published.close("vadclip_prompt_text_features", found)
    found.sum().backward()
    assert learnt.grad is not None and (learnt.grad[1:11].abs().sum(1) > 0).all()
    assert all(parameter.grad is None for parameter in tower.parameters()), "the tower stays frozen"
    with pytest.raises(ValueError, match="at most 55 tokens"):
        tower.between([[START, *[5] * 56, END]], learnt)


@pytest.mark.parametrize("variant", ["b16", "b32"])
def test_a_layer_has_its_grid_and_width(variant: Any, shallow_clip: None) -> None:
    network = Clip(ClipConfig("random", frames=4, sampling=2, variant=variant))
    for network.module.layer in LAYERS:
        side = 1 if network.module.layer == "embedding" else {"b16": 14, "b32": 7}[variant]
        width = 768 if network.module.layer == "tokens" else 512
        assert network(noise(1, 4, 48, 64)).shape == (1, 2, side, side, width)


def test_patches_can_come_with_the_embedding_of_their_frame(shallow_clip: None) -> None:
    layers: Any = ("patches", "embedding", "patches_embedding")
    networks = [Clip(ClipConfig("random", variant="b32", frames=4, sampling=2, layer=layer)) for layer in layers]
    patches, embedding, both = (network(noise(2, 4, 224, 224)) for network in networks)
    np.testing.assert_allclose(both[..., :512], patches, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(both[..., 512:], np.broadcast_to(embedding, patches.shape), rtol=1e-5, atol=1e-6)
    assert [network.clip.whole for network in networks] == [0, 0, 512]


def test_pixels_are_normalized_as_published_and_the_middle_frame_is_seen(shallow_clip: None) -> None:
    network = Clip(ClipConfig("random", frames=4, sampling=4, variant="b32", layer="patches"))
    clip = noise(1, 4, 224, 224)
    mean, std = np.array([0.48145466, 0.4578275, 0.40821073]), np.array([0.26862954, 0.26130258, 0.27577711])
    picture = torch.from_numpy(((clip[0, 1] / 255 - mean) / std).transpose(2, 0, 1)[None].astype(np.float32))
    with torch.inference_mode():
        wanted = network.module.features(picture).numpy()
    np.testing.assert_allclose(network(clip)[0], wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("layer", ["embedding", "tokens"])
def test_it_can_be_exported(layer: Any, shallow_clip: None) -> None:
    network = Clip(ClipConfig("random", frames=2, sampling=1, variant="b32", layer=layer))
    clips = torch.from_numpy(noise(1, 2, 224, 224))
    with torch.inference_mode():
        torch.testing.assert_close(torch.export.export(network.module, (clips,)).module()(clips), network.module(clips))


def vocabulary(folder: Path) -> None:
    """A vocabulary of letters and one word, with CLIP's own start and end."""
    letters = [*"abcdefghijklmnopqrstuvwxyz"]
    tokens = letters + [f"{letter}</w>" for letter in letters] + ["fa", "fal", "fall", "fall</w>"]
    ids = {token: number for number, token in enumerate(tokens)} | {"<|startoftext|>": START, "<|endoftext|>": END}
    (folder / "vocab.json").write_text(json.dumps(ids))
    (folder / "merges.txt").write_text("#version: 0.2\nf a\nfa l\nfal l</w>\n")


def test_words_become_ids_only_with_a_vocabulary(tmp_path: Path, shallow_clip: None) -> None:
    texts = Texts("random")
    with pytest.raises(StoreError, match=r"vocab.json and merges.txt .*wherewhen weights get clip_vit_b16"):
        texts(["a fall"])
    vocabulary(tmp_path)
    texts = Texts("random", str(tmp_path))
    ids = texts.ids(["A fall", "z " * 100])
    tokens = json.loads((tmp_path / "vocab.json").read_text())
    assert ids[0, :5].tolist() == [START, tokens["a</w>"], tokens["fall</w>"], END, 0]
    assert ids[1].tolist() == [START, *[tokens["z</w>"]] * 75, END]
    assert texts.count(["A fall", "z " * 100]) == [4, 102]
    np.testing.assert_array_equal(texts(["a fall"]), texts.embed(ids[:1]))


def test_it_reads_words_through_its_contract(tmp_path: Path, shallow_clip: None) -> None:
    vocabulary(tmp_path)
    network = Clip(ClipConfig("random", frames=1, sampling=1, variant="b32", vocabulary=str(tmp_path)))
    assert isinstance(network, TextImage)
    found = network.encode(["a fall", "a"])
    raw = network.texts(["a fall", "a"])
    np.testing.assert_allclose(found, raw / np.linalg.norm(raw, axis=1)[:, None], atol=1e-6)
    assert network.tokens(["a fall"]) == [4] and network.limit == 77
    learnt = torch.zeros(77, 512)
    by_words = network.tower().between(["a fall"], learnt)
    by_ids = network.tower().between(network.texts.sequences(["a fall"]), learnt)
    torch.testing.assert_close(by_words, by_ids)
    bare = network.tower().between(["a fall"], learnt, 0, 0)
    np.testing.assert_allclose(bare.numpy(), raw[:1], atol=1e-5)


def test_the_published_weights_come_with_their_vocabulary() -> None:
    for weights in Clip.weights:
        assert [part.path.name for part in weights.parts] == ["pytorch_model.bin", "vocab.json", "merges.txt"]
        assert len({part.path.parent for part in weights.parts}) == 1


@pytest.mark.parametrize("ids", [np.full((1, 78), END), np.array([END]), np.array([[START, 5]])])
def test_ids_without_an_end_are_refused(ids: np.ndarray, shallow_clip: None) -> None:
    with pytest.raises(ValueError, match="each row with an end"):
        Texts("random").embed(ids)


def test_an_archive_of_code_is_not_opened(tmp_path: Path) -> None:
    class Tiny(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x

    with pytest.warns(DeprecationWarning):
        torch.jit.save(torch.jit.trace(Tiny(), torch.zeros(1)), str(tmp_path / "ViT-B-16.pt"))
    for load in (lambda path: Clip(ClipConfig(path)), Texts):
        with pytest.raises(StoreError, match=r"(?s)holds code, so it is not opened.*torch.jit.load"):
            load(str(tmp_path / "ViT-B-16.pt"))


def test_weights_of_another_activation_are_refused(tmp_path: Path) -> None:
    save_file({"x": torch.zeros(1)}, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps({"vision_config": {"hidden_act": "gelu"}}))
    with pytest.raises(StoreError, match="quick_gelu; this one has gelu"):
        Clip(ClipConfig(str(tmp_path / "model.safetensors")))
    (tmp_path / "config.json").write_text("[]")
    with pytest.raises(StoreError, match="not the settings of a CLIP network"):
        Clip(ClipConfig(str(tmp_path / "model.safetensors")))


@pytest.mark.parametrize(("call", "settings"), [(Clip, {"weights": "random"}), (Clip, {}), (Clip.identity, {})])
def test_a_missing_library_says_how_to_get_it(
    call: Callable[[Any], Any], settings: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Without weights too: the library is an error before a large download."""
    monkeypatch.setenv("WHEREWHEN_CACHE", str(tmp_path))
    monkeypatch.setitem(__import__("sys").modules, "transformers", None)
    with pytest.raises(ConfigError, match=r'clip needs transformers: pip install "wherewhen\[clip\]"'):
        call(ClipConfig(**settings))


@pytest.mark.parametrize("wrong", [{"sampling": 0}, {"sampling": 17}, {"variant": "b32"}, {"stride": 0}])
def test_senseless_settings(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"expected|variant b32 has the weights clip_vit_b32"):
        ClipConfig(**wrong)
