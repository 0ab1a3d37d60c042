"""CLIP's text tower: words, token ids or learnt prompts to vectors in the space of pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from wherewhen import weights as files
from wherewhen.backbones import _clip_names as names
from wherewhen.backbones._transformers import transformers
from wherewhen.errors import StoreError
from wherewhen.values import Features
from wherewhen.weights import RANDOM

LENGTH, START, END = 77, 49406, 49407


class TextTower(nn.Module):
    """Rows of token vectors ``(N, L, 512)`` and where each text ends ``(N,)`` to embeddings ``(N, 512)``.

    Gradients flow to the rows, so that prompts can be learnt. L is at most 77.
    """

    logit_scale: Tensor

    def __init__(self) -> None:
        super().__init__()
        library = transformers("clip")
        tower = library.CLIPTextModelWithProjection(library.CLIPTextConfig())
        self.text_model, self.text_projection = tower.text_model, tower.text_projection
        self.register_buffer("logit_scale", torch.tensor(float(np.log(100))))

    def rows(self, ids: Tensor) -> Tensor:
        """Token vectors ``(N, L, 512)`` of ids ``(N, L)``, without their positions."""
        found: Tensor = self.text_model.embeddings.token_embedding(ids)
        return found

    def hidden(self, rows: Tensor) -> Tensor:
        """What the last layer says at every token ``(N, L, 512)``; no token sees a later one."""
        length = rows.shape[1]
        mask = torch.full((length, length), torch.finfo(rows.dtype).min, dtype=rows.dtype).triu(1)[None, None]
        placed = self.text_model.embeddings(inputs_embeds=rows)
        seen = self.text_model.encoder(inputs_embeds=placed, attention_mask=mask).last_hidden_state
        found: Tensor = self.text_model.final_layer_norm(seen)
        return found

    def forward(self, rows: Tensor, ends: Tensor) -> Tensor:
        """Embeddings of texts."""
        found: Tensor = self.text_projection(self.hidden(rows)[torch.arange(len(rows)), ends])
        return found


class Texts:
    """Texts in the space of CLIP's pictures; vectors are not normalized to length one.

    ``weights``: a published name, a path in Hugging Face's or OpenAI's layout, or "random". Words need the files
    vocab.json and merges.txt (or tokenizer.json) beside the weights; ids don't.
    """

    def __init__(self, weights: str = names.PUBLISHED[0].name) -> None:
        self.folder: Path | None = None
        devices = torch.random.fork_rng(devices=[])
        with devices:
            torch.manual_seed(0)
            self.tower = TextTower().eval().requires_grad_(False)
        if weights != RANDOM:
            path = files.locate(weights, names.PUBLISHED)
            names.check(path)
            self.folder = path.parent
            mine = ("text_model.", "text_projection.", "logit_scale")
            files.fit(self.tower, {k: v for k, v in names.own(files.read(path)).items() if k.startswith(mine)}, path)

    def __call__(self, texts: Sequence[str]) -> Features:
        """Embeddings ``(N, 512)`` of words."""
        return self.embed(self.ids(texts))

    def embed(self, ids: NDArray[Any]) -> Features:
        """Embeddings ``(N, 512)`` of token ids ``(N, L <= 77)``, each with an end; what follows it has no say."""
        tokens = torch.as_tensor(np.asarray(ids, np.int64))
        if tokens.ndim != 2 or tokens.shape[1] > LENGTH or not bool((tokens == END).any(1).all()):
            raise ValueError(
                f"expected ids (N, L <= {LENGTH}), each row with an end ({END}); got {tuple(tokens.shape)}"
            )
        with torch.inference_mode():
            found: Features = self.tower(self.tower.rows(tokens), (tokens == END).int().argmax(1)).numpy()
        return found

    def ids(self, texts: Sequence[str]) -> NDArray[np.int64]:
        """Token ids ``(N, 77)``, zeros after the end; StoreError where the vocabulary is not beside the weights."""
        rows = np.zeros((len(texts), LENGTH), np.int64)
        tokenizer = self._tokenizer()
        for row, text in zip(rows, texts, strict=True):
            found = tokenizer(text, truncation=True, max_length=LENGTH)["input_ids"]
            if found[0] != START or found[-1] != END:
                raise StoreError(
                    f"{self.folder}: not CLIP's vocabulary: texts start with {found[0]} and end with {found[-1]}"
                )
            row[: len(found)] = found
        return rows

    def _tokenizer(self) -> Any:
        folder = self.folder
        needed = (("tokenizer.json",), ("vocab.json", "merges.txt"))
        if folder is None or not any(all((folder / name).is_file() for name in group) for group in needed):
            raise StoreError(
                f"words need CLIP's vocabulary: put vocab.json and merges.txt (or tokenizer.json) beside the weights "
                f"in {folder or 'a folder (these are random)'}; they are published with "
                "https://huggingface.co/openai/clip-vit-base-patch16. Nothing is downloaded."
            )
        return transformers("clip").CLIPTokenizer.from_pretrained(str(folder), local_files_only=True)
