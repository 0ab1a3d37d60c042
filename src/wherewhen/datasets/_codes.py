"""Labels in the names of videos of published data sets."""

from __future__ import annotations

import re

from wherewhen.core.contracts import JOIN

CODES = {"B1": "fighting", "B2": "shooting", "B4": "riot", "B5": "abuse", "B6": "car accident", "G": "explosion"}
"""XD-Violence: what the codes at the end of a name mean; A is normal."""

CODED = re.compile(r"_label_(A|[BG][\w-]*)$")
"""The end of a name of XD-Violence."""

CAMERA = re.compile(r"\d{2}_(\d{3,4})")
"""A name of ShanghaiTech: four digits name clips in which something happens."""


def category(name: str) -> str | None:
    """What happens in a video of XD-Violence, by the codes in its name.

    >>> category("City.of.God.2002__#01-24-10_01-25-10_label_B2-G-0")
    'shooting+explosion'
    """
    codes = name.rpartition("_label_")[2].split("-")
    return JOIN.join(CODES[code] for code in codes if code in CODES) or None
