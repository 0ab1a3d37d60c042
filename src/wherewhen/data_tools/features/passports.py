"""Comparison of the passports of two sets of features: the fields that differ, the likeliest cause first."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from wherewhen.core.feature_file import differences

SAW = ("video", "span", "backbone", "weights", "layer", "crops", "crop_order", "averaged", "segments")
CLIPS = ("rate", "stride", "frames", "size", "width", "tail")
RUN = ("precision", "engine", "calibration", "stored")
WEAK = ("device", "engine_version", "decoder", "package", "resize")


def fields_apart(a: Mapping[str, Any], b: Mapping[str, Any]) -> dict[str, str]:
    """Fields that both passports know and that differ, by plain names, with both values."""
    one, other = _facts(a), _facts(b)
    both = one.keys() & other.keys()
    told = differences({key: one[key] for key in both}, {key: other[key] for key in both})
    found = {}
    for line in told:
        match = re.fullmatch(r"(.*?): expected (.*), got (.*)", line, re.DOTALL)
        assert match
        key, mine, theirs = match.groups()
        if "'unknown'" not in (mine, theirs):
            found[key] = f"the passports differ in {key}: a has {_short(mine)}, b {_short(theirs)}"
    return found


def _facts(passport: Mapping[str, Any]) -> dict[str, Any]:
    """What a passport says, by names that mean the same for every backbone; what it doesn't know is left out."""
    made, about, source = (dict(passport.get(part) or {}) for part in ("made", "about", "source"))
    clip = {key: about["clip"].get(key) for key in CLIPS} if isinstance(about.get("clip"), Mapping) else {}
    backbone = made.pop("backbone", None)
    own = dict(made.pop(backbone, None) or {}) if backbone else {}
    facts: dict[str, Any] = {**clip, **{k: v for k, v in own.items() if backbone != "imported"}}
    facts |= {key: value for key, value in made.items() if key not in ("version", "instances")}
    facts |= {key: about[key] for key in (*WEAK, "stored", "layer") if about.get(key) is not None}
    facts |= {"video": source.get("sha256"), "span": source.get("span")} if source.get("sha256") else {}
    if backbone == "imported":
        known = {key: own.get(key) for key in ("backbone", *CLIPS[:3], "crop_order", "segments", "averaged", "length")}
        facts |= {key: value for key, value in known.items() if value is not None}
    elif backbone:
        facts["backbone"] = backbone
    return facts


def _short(value: str) -> str:
    return value if len(value) <= 40 else f"{value[:24]}...{value[-8:]}"


def ordered(told: Mapping[str, str], small: bool) -> tuple[list[str], list[str]]:
    """Names of fields, the likeliest cause first, and of those that hardly ever matter.

    ``small``: errors are small, which speaks for how a network was run; large ones speak for what it saw.

    >>> ordered({"engine": "", "weights": "", "decoder": ""}, small=True)
    (['engine', 'weights'], ['decoder'])
    """
    ranks = [*RUN, *CLIPS, *SAW] if small else [*SAW[:5], *CLIPS, *SAW[5:], "", *RUN]
    rank = {key: number for number, key in enumerate(ranks)}
    other = len(ranks) if small else rank[""]
    return sorted((key for key in told if key not in WEAK), key=lambda k: rank.get(k, other)), [
        key for key in WEAK if key in told
    ]
