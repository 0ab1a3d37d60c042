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
"""Options of other tools, and what they are called here."""


@dataclass(frozen=True)
class Known:
    """What a command line may hold.

    Args:
        verb: its first word.
        places: options that are said by their place, in their order.
        options: options that are said by their name.
        sections: settings of plug-ins, by the name of the plug-in, and the record that holds them.
    """

    verb: str
    places: tuple[Setting, ...]
    options: Mapping[str, Setting]
    sections: Mapping[str, type] = field(default_factory=dict)

    @property
    def by_place(self) -> frozenset[str]:
        """Names of the options that are said by their place."""
        return frozenset(one.name for one in self.places)


def more(verb: str) -> str:
    """Where all options are listed."""
    return f"wherewhen {verb} --help lists all options"


def unknown(name: str, known: Known) -> str:
    """That there is no option of this name, and what to type instead."""
    own = name.replace("-", "_")
    for one in known.places:
        if one.name in (own, MEANT.get(own)):
            return f"{dashed(own)}: {place(one)} is named by its place: {usage(known)}"
    near = _near(own, known)
    hint = f"; did you mean {near[0]!r}?" if near else ";"
    return f"unknown option {f'--{name}'!r}{hint} {more(known.verb)}"


def usage(known: Known) -> str:
    """A verb with the words that are known by their place."""
    words = [place(one) if one.default is MISSING else f"[{place(one)}]" for one in known.places]
    return " ".join(["wherewhen", known.verb, *words])


def _near(name: str, known: Known) -> list[str]:
    """The option that was probably meant: called alike, by another tool so, or of a section that was left out."""
    typed = [one.typed for one in known.options.values()] + [f"--{one}" for one in known.sections]
    typed += [one.typed for section, record in known.sections.items() for one in settings_of(record, f"{section}.")]
    learns = {"method", "methods"} & set(known.options)
    able = [*typed, "--config", *(one.typed for one in settings_of(Training, "training.") if learns)]
    if (meant := dashed(MEANT.get(name, ""))) in able:
        return [meant]
    near = get_close_matches(dashed(name), [*typed, "--config", "--help", PRINT], 1, 0.7 if len(name) > 3 else 0.8)
    near += [one for one in able if one.endswith(f".{name}")]
    if not near and "." in name:
        parts = [part for kind in registry.PARTS.values() for part in registry.names(kind)]
        near = [f"--{part}" for part in get_close_matches(name.split(".")[0], parts, 1)]
    return near[:1]


def too_many(said: Sequence[str], known: Known) -> str:
    """That a word has no place, and which words have one."""
    places = " ".join(place(one) for one in known.places)
    takes = f"takes {places} and options" if places else "takes options only"
    return f"unexpected word {said[len(known.places)]!r}; {known.verb} {takes}; {more(known.verb)}"
