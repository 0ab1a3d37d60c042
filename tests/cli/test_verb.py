"""What a verb states about itself is checked when its file is read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from wherewhen.cli.commands import list as listing
from wherewhen.cli.needs import Fits, Need
from wherewhen.cli.verb import FLAGS, Verb


@dataclass(frozen=True)
class Options:
    data: str
    other: str | None = None


def run(options: Options) -> int:
    return 0


@pytest.mark.parametrize(
    ("stated", "message"),
    [
        ({"group": "starts"}, "group: expected one of data, help, models, research, start, got starts"),
        ({"places": ("othr",)}, "places: expected one of data, other, got othr"),
        ({"addresses": ("url",)}, "addresses: expected one of data, other, got url"),
        ({"model_options": ("backbones",)}, "model_options: expected one of .*backbone, .*, got backbones"),
        ({"needs": (Need(("other",), "dta"),)}, "needs: expected one of .*, got dta"),
        ({"needs": (Need(("othr",), "data"),)}, "needs: expected one of .*, got othr"),
        ({"needs": (Fits(("model",), lambda told: None),)}, "needs: expected one of .*, got model"),
    ],
)
def test_a_misspelt_name_is_an_error(stated: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"VERB of {__name__}: {message}"):
        Verb(**{"group": "start", "options": Options, "run": run, **stated})


def test_a_misspelt_field_is_an_error() -> None:
    with pytest.raises(TypeError, match="plases"):
        Verb("start", Options, run, plases=("other",))  # type: ignore[call-arg]


def test_flags_and_settings_follow_from_the_model_options() -> None:
    assert Verb("start", Options, run).flags == () and not Verb("start", Options, run).takes_settings
    whole = Verb("start", Options, run, model_options=True)
    assert whole.flags == tuple(FLAGS) and whole.takes_settings
    assert Verb("start", Options, run, sections=lambda given: {}).takes_settings
    assert listing.VERB.description == listing.__doc__
