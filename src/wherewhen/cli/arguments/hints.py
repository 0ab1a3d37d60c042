"""The options that a verb has, and suggestions for unknown ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, field
from difflib import get_close_matches

from wherewhen.cli.arguments.described import Setting, settings_of
from wherewhen.cli.arguments.texts import place
from wherewhen.cli.needs import dashed
from wherewhen.core import registry
from wherewhen.core.contracts import Training

PRINT = "--print-config"
HELP = ("-h", "--help")

MEANT = {
    "lr": "training.learning_rate", "epochs": "training.steps", "iterations": "training.steps",
    "batch_size": "training.bags", "gpu": "device", "cuda": "device", "out": "output", "checkpoint": "model",
    "weights": "model", "conf": "threshold", "settings": "config", "dataset": "data", "input": "source",
}  # fmt: skip
"""Options of other tools, and their names here."""


@dataclass(frozen=True)
class Accepted:
    """The arguments that a verb accepts.

    Args:
        verb: its first word.
        places: positional options, in order.
        options: named options.
        sections: records of the settings of plug-ins, by the name of the plug-in.
    """

    verb: str
    places: tuple[Setting, ...]
    options: Mapping[str, Setting]
    sections: Mapping[str, type] = field(default_factory=dict)

    @property
    def by_place(self) -> frozenset[str]:
        """Names of the positional options."""
        return frozenset(option.name for option in self.places)


def more(verb: str) -> str:
    """The command that lists all options."""
    return f"wherewhen {verb} --help lists all options"


def unknown(name: str, accepted: Accepted) -> str:
    """The message about an unknown option, with the option to type instead."""
    normalized = name.replace("-", "_")
    for option in accepted.places:
        if option.name in (normalized, MEANT.get(normalized)):
            return f"{dashed(normalized)}: {place(option)} is named by its place: {usage(accepted)}"
    close = _closest(normalized, accepted)
    hint = f"; did you mean {close[0]!r}?" if close else ";"
    return f"unknown option {f'--{name}'!r}{hint} {more(accepted.verb)}"


def usage(accepted: Accepted) -> str:
    """A verb with its positional arguments."""
    words = [place(option) if option.default is MISSING else f"[{place(option)}]" for option in accepted.places]
    return " ".join(["wherewhen", accepted.verb, *words])


def _closest(name: str, accepted: Accepted) -> list[str]:
    """The closest option: of a similar name, of another tool's name, or of a section whose name is missing."""
    typed = [option.typed for option in accepted.options.values()] + [f"--{option}" for option in accepted.sections]
    typed += [
        option.typed for section, record in accepted.sections.items() for option in settings_of(record, f"{section}.")
    ]
    learns = {"method", "methods"} & set(accepted.options)
    able = [*typed, "--config", *(option.typed for option in settings_of(Training, "training.") if learns)]
    if (meant := dashed(MEANT.get(name, ""))) in able:
        return [meant]
    close = get_close_matches(dashed(name), [*typed, "--config", "--help", PRINT], 1, 0.7 if len(name) > 3 else 0.8)
    close += [option for option in able if option.endswith(f".{name}")]
    if not close and "." in name:
        parts = [part for kind in registry.PARTS.values() for part in registry.names(kind)]
        close = [f"--{part}" for part in get_close_matches(name.split(".")[0], parts, 1)]
    return close[:1]


def too_many(words: Sequence[str], accepted: Accepted) -> str:
    """The message about an unexpected word, with the positional arguments."""
    places = " ".join(place(option) for option in accepted.places)
    takes = f"takes {places} and options" if places else "takes options only"
    return f"unexpected word {words[len(accepted.places)]!r}; {accepted.verb} {takes}; {more(accepted.verb)}"
