"""A verb of the command line: the record ``VERB`` at the end of its file in ``commands``."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal

from wherewhen.cli import GROUPS
from wherewhen.cli.needs import Need, Needs, Sections

FLAGS: Mapping[str, Any] = {
    "backbone": str, "instances": str, "method": str, "localizer": str, "validation": float, "engine": str,
    "precision": str, "crops": int, "crop_mode": str, "test_crop": int, "gate": float, "normalizer": str,
    "components": int, "augment": str,
    "movers": str | dict[str, Any],
}  # fmt: skip
"""Settings of a model outside of any section, with their types."""


@dataclass(frozen=True)
class Verb:
    """A verb: its options, the function that runs it, and how the command line parses them.

    Args:
        group: heading in the overview, a key of `GROUPS`.
        options: record of the options, whose docstring describes each one.
        run: function of the options, and of the settings of plug-ins where the verb takes some; returns the exit code.
        places: options with a default that are given by their place; options without a default always are.
        addresses: options that take an address, not only a file or folder.
        model_options: settings of a model that the verb takes as options; True: all.
        sections: gives the records of settings by section, from the values of options that name plug-ins, where they
            are not those of the parts of a model.
        needs: which options apply only with others.
        chooses_method: whether a method can be chosen by data (``auto``, with its settings) and is by default.

    Raises:
        ValueError: a group or option that does not exist.
    """

    group: str
    options: type[Any]
    run: Callable[..., int]
    places: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()
    model_options: tuple[str, ...] | Literal[True] = ()
    sections: Callable[[Mapping[str, str]], dict[str, type]] | None = None
    needs: Needs = ()
    chooses_method: bool = False

    def __post_init__(self) -> None:
        option_names = {field.name for field in fields(self.options)}
        self._check("group", [self.group], GROUPS)
        self._check("places", self.places, option_names)
        self._check("addresses", self.addresses, option_names)
        self._check("model_options", self.flags, FLAGS)
        for need in self.needs:
            if not isinstance(need, Sections):
                others = [need.other] if isinstance(need, Need) else []
                self._check("needs", [*need.options, *others], {*option_names, *FLAGS, "training"})

    def _check(self, name: str, values: Iterable[str], names: Iterable[str]) -> None:
        if wrong := sorted(set(values) - set(names)):
            where = f"VERB of {self.run.__module__}: {name}"
            raise ValueError(f"{where}: expected one of {', '.join(sorted(names))}, got {', '.join(wrong)}")

    @property
    def flags(self) -> tuple[str, ...]:
        """The settings of a model that the verb takes as options: all, some, or none."""
        return tuple(FLAGS) if self.model_options is True else self.model_options

    @property
    def takes_settings(self) -> bool:
        """Whether ``run`` has settings of plug-ins as its second argument."""
        return bool(self.model_options) or self.sections is not None

    @property
    def description(self) -> str:
        """The description of the verb: the docstring of its file."""
        return inspect.getdoc(inspect.getmodule(self.run)) or ""
