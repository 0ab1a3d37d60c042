"""Checks of prompts: repeated texts, texts of the same meaning on both sides, truncated texts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import combinations
from typing import Literal, NamedTuple

from wherewhen.core.contracts import TextImage
from wherewhen.core.errors import WherewhenError
from wherewhen.core.prompts import Prompts

SIMILAR = 0.95  # cosine from which two texts are equal to an encoder
ALIKE = 0.75  # share of common words from which two texts are near-synonyms
FEW = 2  # descriptions of a class: a single one depends on its wording
_PICTURE = "a an the of picture photo person people someone in on at with"
PICTURE = frozenset(_PICTURE.split())


class Fault(NamedTuple):
    """One fault: severity, kind, the texts or class concerned, and what to do."""

    severity: Literal["error", "warning", "info"]
    kind: str
    about: str
    message: str


def check(prompts: Prompts, encoder: TextImage | None = None, similar: float = SIMILAR) -> list[Fault]:
    """All faults, the most severe first; without an encoder those that need none.

    >>> [fault.kind for fault in check(Prompts(("a road",), {"crash": ("A  road", "a crash")}))]
    ['repeated']
    """
    faults = [*_repeated(prompts), *_few(prompts)]
    faults += _worded(prompts) if encoder is None else [*_read(prompts, encoder, similar)]
    order = ("error", "warning", "info")
    return sorted(faults, key=lambda fault: (order.index(fault.severity), fault.kind, fault.about))


def _side(prompts: Prompts, owner: int) -> str:
    return "normal" if owner < 0 else prompts.names[owner]


def _plain(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.lower()))


def _pairs(prompts: Prompts) -> Iterator[tuple[int, int, str]]:
    """Indices of every two different texts, and both with their classes as a text."""
    texts, owners = prompts.texts, prompts.owners.tolist()
    plain = [_plain(text) for text in texts]
    for a, b in combinations(range(len(texts)), 2):
        if plain[a] != plain[b]:
            yield a, b, f"{texts[a]} ({_side(prompts, owners[a])}) / {texts[b]} ({_side(prompts, owners[b])})"


def _repeated(prompts: Prompts) -> Iterator[Fault]:
    places: dict[str, list[int]] = {}
    for text, owner in zip(prompts.texts, prompts.owners.tolist(), strict=True):
        places.setdefault(_plain(text), []).append(owner)
    for text, owners in places.items():
        sides = list(dict.fromkeys(_side(prompts, owner) for owner in owners))
        if len(sides) > 1:
            message = f"in {', '.join(sides)}: so it doesn't separate them; keep it in one"
            yield Fault("error", "repeated", text, message)
        elif len(owners) > 1:
            yield Fault("warning", "repeated", text, f"{len(owners)} times in {sides[0]}, so it counts as often")


def _few(prompts: Prompts) -> Iterator[Fault]:
    for name, texts in prompts.classes.items():
        if len(texts) < FEW:
            yield Fault("info", "few", name, "a single text depends on its wording; add other descriptions")


def _worded(prompts: Prompts) -> Iterator[Fault]:
    """Near-synonyms across the two sides by their words alone."""
    owners = prompts.owners
    words = [frozenset(_plain(text).split()) - PICTURE for text in prompts.texts]
    for a, b, pair in _pairs(prompts):
        if (owners[a] < 0) != (owners[b] < 0) and len(words[a] & words[b]) >= ALIKE * len(words[a] | words[b]) > 0:
            yield Fault("warning", "synonym", pair, "nearly the same words on both sides")


def _read(prompts: Prompts, encoder: TextImage, similar: float) -> Iterator[Fault]:
    """Faults by an encoder: texts that it can't encode, that it truncates, and that it can't distinguish."""
    broken = False
    for text in prompts.texts:
        try:
            encoder.encode([text])
        except WherewhenError as error:
            broken = True
            yield Fault("error", "unread", text, str(error))
            if "vocabulary" in str(error):  # the same for every text
                return
    for text, count in zip(prompts.texts, encoder.tokens(prompts.texts), strict=True):
        if encoder.limit is not None and count > encoder.limit:
            yield Fault("error", "long", text, f"{count} tokens, of which {encoder.limit} are read; shorten it")
    if broken:
        return
    vectors, owners = encoder.encode(prompts.texts), prompts.owners
    cosines = vectors @ vectors.T
    for a, b, pair in _pairs(prompts):
        if cosines[a, b] >= similar and owners[a] != owners[b]:
            across = bool((owners[a] < 0) != (owners[b] < 0))
            sides = "both sides" if across else "two classes"
            yield Fault(
                "warning" if across else "info", "synonym", pair, f"cosine {cosines[a, b]:.3f}: the same on {sides}"
            )
