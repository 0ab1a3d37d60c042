"""CLIP's text encoder: texts, token ids or learned prompts to vectors in the space of pictures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from wherewhen.backbones import _clip_names as names
from wherewhen.backbones._transformers import transformers
from wherewhen.core.errors import StoreError
from wherewhen.core.values import Features
from wherewhen.runtime import weights as files
from wherewhen.runtime.weights import RANDOM

LENGTH, START, END = 77, 49406, 49407
Sequences = list[list[int]]


def _no_words(texts: Sequence[str]) -> Sequences:
    raise ValueError("this text encoder has no vocabulary: give token ids, from the start to the end of each text")


class TextTower(nn.Module):
    """Rows of token vectors ``(N, L, 512)`` and the end of each text ``(N,)`` to embeddings ``(N, 512)``.

    Gradients flow to the rows, so that prompts can be learned. L is at most 77. ``tokenized`` converts words to ids.
    """

    logit_scale: Tensor
    width, length = 512, LENGTH
    tokenized: Callable[[Sequence[str]], Sequences] = staticmethod(_no_words)

    def __init__(self) -> None:
        super().__init__()
        library = transformers("clip")
        tower = library.CLIPTextModelWithProjection(library.CLIPTextConfig())
        self.text_model, self.text_projection = tower.text_model, tower.text_projection
        self.register_buffer("logit_scale", torch.tensor(float(np.log(100))))

    def rows(self, ids: Tensor) -> Tensor:
        """Token vectors ``(N, L, 512)`` of ids ``(N, L)``, without their positions."""
        vectors: Tensor = self.text_model.embeddings.token_embedding(ids)
        return vectors

    def hidden(self, rows: Tensor) -> Tensor:
        """Output of the last layer at every token ``(N, L, 512)``; tokens attend to earlier ones only."""
        length = rows.shape[1]
        mask = torch.full((length, length), torch.finfo(rows.dtype).min, dtype=rows.dtype).triu(1)[None, None]
        placed = self.text_model.embeddings(inputs_embeds=rows)
        encoded = self.text_model.encoder(inputs_embeds=placed, attention_mask=mask).last_hidden_state
        normalized: Tensor = self.text_model.final_layer_norm(encoded)
        return normalized

    def forward(self, rows: Tensor, ends: Tensor) -> Tensor:
        """Embeddings of texts."""
        embeddings: Tensor = self.text_projection(self.hidden(rows)[torch.arange(len(rows)), ends])
        return embeddings

    def between(
        self, texts: Sequence[str] | Sequence[Sequence[int]], learnt: Tensor, prefix: int = 10, suffix: int = 10
    ) -> Tensor:
        """Embeddings ``(N, 512)``, not of unit length, of texts between rows of ``learnt`` ``(77, 512)``.

        A text is words or its token ids. Its start comes first, then ``prefix`` rows, the text, ``suffix`` rows and
        its end; each learned row keeps its own position. ValueError where these are more than 77.

        Wu et al., VadCLIP, AAAI 2024, section 3.4, as in the official code.
        """
        if tuple(learnt.shape) != (LENGTH, self.width):
            raise ValueError(f"expected learned rows ({LENGTH}, {self.width}), got {tuple(learnt.shape)}")
        rows, ends = [], []
        for text, ids in zip(texts, self._ids(texts), strict=True):
            end = prefix + suffix + len(ids) - 1
            if ids[:1] != [START] or ids[-1:] != [END] or end >= LENGTH:
                room = LENGTH - prefix - suffix - 2
                raise ValueError(f"expected a text of at most {room} tokens between its start and end, got {text!r}")
            words, begin = self.rows(torch.tensor([ids], device=learnt.device))[0], prefix + 1
            inner = begin + len(ids) - 2
            parts = (words[:1], learnt[1:begin], words[1:-1], learnt[inner:end], words[-1:], learnt[end + 1 :])
            rows.append(torch.cat(parts))
            ends.append(end)
        embeddings: Tensor = self(torch.stack(rows), torch.tensor(ends, device=learnt.device))
        return embeddings

    def _ids(self, texts: Sequence[str] | Sequence[Sequence[int]]) -> Sequences:
        words = [text for text in texts if isinstance(text, str)]
        return self.tokenized(words) if words else [[int(i) for i in text] for text in texts]


class Texts:
    """Texts in the space of CLIP's pictures; vectors are not normalized to length one.

    ``weights``: a published name, a path in Hugging Face's or OpenAI's layout, or "random". Words need the files
    vocab.json and merges.txt (or tokenizer.json) in the folder ``vocabulary`` or beside the weights; ids don't.
    """

    def __init__(self, weights: str = names.PUBLISHED[0].name, vocabulary: str | None = None) -> None:
        self.folder = None if vocabulary is None else Path(vocabulary)
        self.tower = files.seeded(TextTower, random=weights == RANDOM)
        if weights != RANDOM:
            path = files.locate(weights, names.PUBLISHED)
            names.check(path)
            self.folder = self.folder or path.parent
            prefixes = ("text_model.", "text_projection.", "logit_scale")
            files.fit(
                self.tower,
                {k: v for k, v in names.to_hugging_face(files.read(path)).items() if k.startswith(prefixes)},
                path,
            )

    def __call__(self, texts: Sequence[str]) -> Features:
        """Embeddings ``(N, 512)`` of words."""
        return self.embed(self.ids(texts))

    def embed(self, ids: NDArray[Any]) -> Features:
        """Embeddings ``(N, 512)`` of token ids ``(N, L <= 77)``, each with an end; ids after it have no effect."""
        tokens = torch.as_tensor(np.asarray(ids, np.int64))
        if tokens.ndim != 2 or tokens.shape[1] > LENGTH or not bool((tokens == END).any(1).all()):
            raise ValueError(
                f"expected ids (N, L <= {LENGTH}), each row with an end ({END}); got {tuple(tokens.shape)}"
            )
        if not len(tokens):
            return np.empty((0, self.tower.width), np.float32)
        with torch.inference_mode():
            embeddings: Features = self.tower(self.tower.rows(tokens), (tokens == END).int().argmax(1)).numpy()
        return embeddings

    def ids(self, texts: Sequence[str]) -> NDArray[np.int64]:
        """Token ids ``(N, 77)``, zeros after the end; StoreError where the vocabulary is not beside the weights."""
        rows = np.zeros((len(texts), LENGTH), np.int64)
        for row, ids in zip(rows, self.sequences(texts), strict=True):
            ids = ids if len(ids) <= LENGTH else [*ids[: LENGTH - 1], END]
            row[: len(ids)] = ids
        return rows

    def sequences(self, texts: Sequence[str]) -> Sequences:
        """Token ids of each text from its start to its end, uncut; StoreError as `ids`."""
        token_ids: Sequences = self._tokenizer(list(texts), verbose=False)["input_ids"] if len(texts) else []
        for ids in token_ids:
            if ids[0] != START or ids[-1] != END:
                raise StoreError(
                    f"{self.folder}: not CLIP's vocabulary: texts start with {ids[0]} and end with {ids[-1]}"
                )
        return token_ids

    def count(self, texts: Sequence[str]) -> list[int]:
        """Number of tokens of each text, its start and end included."""
        return [len(ids) for ids in self.sequences(texts)]

    @cached_property
    def _tokenizer(self) -> Any:
        folder = self.folder
        if folder is None or not any(all((folder / name).is_file() for name in group) for group in names.VOCABULARY):
            place = folder or "(none: these weights are random)"
            published = ", ".join(f"wherewhen weights get {weights.name}" for weights in names.PUBLISHED)
            raise StoreError(
                f"text needs CLIP's vocabulary: vocab.json and merges.txt (or tokenizer.json) are not in {place}. They "
                f"come with the weights ({published}); or give their folder: --clip.vocabulary FOLDER"
            )
        return transformers("clip").CLIPTokenizer.from_pretrained(str(folder), local_files_only=True)
