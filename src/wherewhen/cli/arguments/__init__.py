"""Options and settings of a verb as typed values: the command line takes precedence over settings files.

Only given values are returned; others keep each method's defaults. An option that can't apply is an error.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields
from typing import Any

from wherewhen.cli import needs
from wherewhen.cli.arguments import files, help, parts
from wherewhen.cli.arguments.described import settings_of
from wherewhen.cli.arguments.hints import HELP, PRINT, Known, usage
from wherewhen.cli.arguments.parts import Chosen
from wherewhen.cli.arguments.texts import merged, place
from wherewhen.cli.arguments.words import values
from wherewhen.cli.verb import FLAGS, Verb
from wherewhen.core import documents
from wherewhen.core.addresses import address_in
from wherewhen.core.config import CONSENT, build, mapping, typed
from wherewhen.core.errors import ConfigError
from wherewhen.core.store import plain


def parse(command: Verb, verb: str, words: Sequence[str]) -> tuple[Any, dict[str, Any]]:
    """Options of a verb, and plain settings of the plug-ins that it may choose.

    Prints help or all settings where the words ask for that, and ends with SystemExit.
    """
    rest, config = files.settings_files(words)
    helped, printed = any(word in HELP for word in rest), any(word.replace("_", "-") == PRINT for word in rest)
    rest = [word for word in rest if word not in HELP and word.replace("_", "-") != PRINT]
    chosen = parts.chosen(command, rest, config, printed and not helped)
    known = known_words(command, verb, chosen)
    own = {one.name for one in fields(command.options)}
    files.check(config, verb, own | chosen.names)
    given = plain(values(rest, known))
    whole = merged(config, given)
    settings = {key: _setting(key, value) for key, value in whole.items() if key not in own and value is not None}
    if helped:
        given_own = {key: value for key, value in whole.items() if key in own}
        told = needs.Told({**_usual(command.options), **given_own}, settings, known.by_place)
        print(help.text(command, known, told), end="")
        raise SystemExit(0)
    if printed:
        print(documents.yaml_text(_everything(command.options, whole, settings, chosen)), end="")
        raise SystemExit(0)
    _check_whole(command, known, whole)
    _check_places(command, whole)
    options = build(command.options, {key: value for key, value in whole.items() if key in own}, verb)
    _check_needs(command, known, options, settings, given, config, chosen)
    return options, settings


def known_words(command: Verb, verb: str, chosen: Chosen) -> Known:
    """What the command line of a verb may hold; options without a default, and its ``places``, go by place."""
    options = {one.name: one for one in settings_of(command.options)}
    names = [name for name, one in options.items() if one.default is MISSING]
    names += command.places
    places = tuple(options[name] for name in names)
    named = {name: one for name, one in options.items() if name not in names}
    return Known(verb, places, named | {one.name: one for one in chosen.flags}, chosen.sections)


def _usual(options: type) -> dict[str, Any]:
    return {one.name: None if one.default is MISSING else one.default for one in fields(options)}


def _setting(key: str, value: Any) -> Any:
    return typed(FLAGS[key], value, key) if key in FLAGS else mapping(value, key)


def _check_whole(command: Verb, known: Known, whole: Mapping[str, Any]) -> None:
    """ConfigError for a word that a verb needs and that was not said."""
    for one in known.places:
        if one.default is MISSING and one.name not in whole:
            raise ConfigError(
                f"{known.verb} needs {place(one)}: {one.text.rstrip('.')}. "
                f"Type: {usage(known)}; wherewhen {known.verb} --help explains"
            )


def _check_places(command: Verb, given: Mapping[str, Any]) -> None:
    """ConfigError for an address where a file or folder belongs; ``addresses`` of a verb are options that take one."""
    for key, value in given.items():
        where = address_in(value) if isinstance(value, str) and key not in command.addresses else None
        if where is not None:
            raise ConfigError(f"{key}: expected a file or folder of this machine, got the address {where}")


def _check_needs(
    command: Verb,
    known: Known,
    options: Any,
    settings: Mapping[str, Any],
    given: Mapping[str, Any],
    config: Mapping[str, Any],
    chosen: Chosen,
) -> None:
    """ConfigError for what was given and can't apply; a run's settings in a file are taken as far as a verb has use."""
    full = command.model_options is True
    usual = _usual(type(options)) | ({} if full else {one.name: one.default for one in chosen.flags})
    changed = {name: value for name, value in config.items() if name in usual and value != plain(usual[name])}
    said = {name for name, value in {**changed, **given}.items() if type(value) is not bool or value != usual.get(name)}
    told = needs.Told(vars(options), settings, known.by_place)
    needs.check(command.needs, known.verb, said, told, chosen.sections)


def _everything(options: type, given: Mapping[str, Any], settings: Mapping[str, Any], chosen: Chosen) -> dict[str, Any]:
    """Every setting with its value, for a settings file."""
    told = {name: given.get(name, value) for name, value in _usual(options).items()}
    told |= {one.name: settings.get(one.name, one.default) for one in chosen.flags}
    for name, record in chosen.sections.items():
        made: Any = build(record, {**chosen.bases.get(name, {}), **settings.get(name, {})}, name)
        told[name] = {key: value for key, value in vars(made).items() if key != CONSENT}
    return plain({name: value for name, value in told.items() if name != CONSENT})  # type: ignore[no-any-return]
