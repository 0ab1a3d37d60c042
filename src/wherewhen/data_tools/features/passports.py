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
    first, second = _facts(a), _facts(b)
    both = first.keys() & second.keys()
    lines = differences({key: first[key] for key in both}, {key: second[key] for key in both})
    fields = {}
    for line in lines:
        match = re.fullmatch(r"(.*?): expected (.*), got (.*)", line, re.DOTALL)
        assert match
        key, mine, theirs = match.groups()
        if "'unknown'" not in (mine, theirs):
            fields[key] = f"the passports differ in {key}: a has {_short(mine)}, b {_short(theirs)}"
    return fields


def _facts(passport: Mapping[str, Any]) -> dict[str, Any]:
    """The entries of a passport, by names that mean the same for every backbone; unknown ones are left out."""
    settings, about, source = (dict(passport.get(part) or {}) for part in ("made", "about", "source"))
    clip = {key: about["clip"].get(key) for key in CLIPS} if isinstance(about.get("clip"), Mapping) else {}
    backbone = settings.pop("backbone", None)
    backbone_settings = dict(settings.pop(backbone, None) or {}) if backbone else {}
    facts: dict[str, Any] = {**clip, **{k: v for k, v in backbone_settings.items() if backbone != "imported"}}
    facts |= {key: value for key, value in settings.items() if key not in ("version", "instances")}
    facts |= {key: about[key] for key in (*WEAK, "stored", "layer") if about.get(key) is not None}
    facts |= {"video": source.get("sha256"), "span": source.get("span")} if source.get("sha256") else {}
    if backbone == "imported":
        imported = {
            key: backbone_settings.get(key)
            for key in ("backbone", *CLIPS[:3], "crop_order", "segments", "averaged", "length")
        }
        facts |= {key: value for key, value in imported.items() if value is not None}
    elif backbone:
        facts["backbone"] = backbone
    return facts


def _short(value: str) -> str:
    return value if len(value) <= 40 else f"{value[:24]}...{value[-8:]}"


def ordered(fields: Mapping[str, str], small: bool) -> tuple[list[str], list[str]]:
    """Names of fields, the likeliest cause first, and of those that hardly ever matter.

    ``small``: small errors suggest how a network was run, large ones suggest its input.

    >>> ordered({"engine": "", "weights": "", "decoder": ""}, small=True)
    (['engine', 'weights'], ['decoder'])
    """
    ranks = [*RUN, *CLIPS, *SAW] if small else [*SAW[:5], *CLIPS, *SAW[5:], "", *RUN]
    rank = {key: number for number, key in enumerate(ranks)}
    other = len(ranks) if small else rank[""]
    return sorted((key for key in fields if key not in WEAK), key=lambda k: rank.get(k, other)), [
        key for key in WEAK if key in fields
    ]
