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
from wherewhen.cli.arguments.hints import HELP, PRINT, Accepted, usage
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
    """Options of a verb, and plain settings of its plug-ins.

    Prints help or all settings on --help or --print-config, and ends with SystemExit.
    """
    rest, file_values = files.settings_files(words)
    config = parts.with_plurals(command, file_values)
    helped, printed = any(word in HELP for word in rest), any(word.replace("_", "-") == PRINT for word in rest)
    rest = [word for word in rest if word not in HELP and word.replace("_", "-") != PRINT]
    chosen = parts.chosen(command, rest, config, printed and not helped)
    accepted = accepted_words(command, verb, chosen)
    names = {field.name for field in fields(command.options)}
    files.check(config, verb, names | chosen.names)
    command_values = plain(values(rest, accepted))
    whole = merged(config, command_values)
    settings = {key: _setting(key, value) for key, value in whole.items() if key not in names and value is not None}
    if helped:
        own_values = {key: value for key, value in whole.items() if key in names}
        arguments = needs.Arguments({**_usual(command.options), **own_values}, settings, accepted.by_place)
        print(help.text(command, accepted, arguments), end="")
        raise SystemExit(0)
    if printed:
        print(documents.yaml_text(_everything(command.options, whole, settings, chosen)), end="")
        raise SystemExit(0)
    _check_whole(command, accepted, whole)
    _check_places(command, whole)
    options = build(command.options, {key: value for key, value in whole.items() if key in names}, verb)
    _check_needs(command, accepted, options, settings, command_values, config, chosen)
    return options, settings


def accepted_words(command: Verb, verb: str, chosen: Chosen) -> Accepted:
    """The arguments that a verb accepts; options without a default, and its ``places``, are positional."""
    options = {setting.name: setting for setting in settings_of(command.options)}
    names = [name for name, setting in options.items() if setting.default is MISSING]
    names += command.places
    places = tuple(options[name] for name in names)
    named = {name: setting for name, setting in options.items() if name not in names}
    return Accepted(verb, places, named | {setting.name: setting for setting in chosen.flags}, chosen.sections)


def _usual(options: type) -> dict[str, Any]:
    return {field.name: None if field.default is MISSING else field.default for field in fields(options)}


def _setting(key: str, value: Any) -> Any:
    return typed(FLAGS[key], value, key) if key in FLAGS else mapping(value, key)


def _check_whole(command: Verb, accepted: Accepted, whole: Mapping[str, Any]) -> None:
    """ConfigError for a missing positional argument."""
    for setting in accepted.places:
        if setting.default is MISSING and setting.name not in whole:
            raise ConfigError(
                f"{accepted.verb} needs {place(setting)}: {setting.text.rstrip('.')}. "
                f"Type: {usage(accepted)}; wherewhen {accepted.verb} --help explains"
            )


def _check_places(command: Verb, options: Mapping[str, Any]) -> None:
    """ConfigError for an address where a file or folder belongs; ``addresses`` of a verb are options that take one."""
    for key, value in options.items():
        address = address_in(value) if isinstance(value, str) and key not in command.addresses else None
        if address is not None:
            raise ConfigError(f"{key}: expected a file or folder of this machine, got the address {address}")


def _check_needs(
    command: Verb,
    accepted: Accepted,
    options: Any,
    settings: Mapping[str, Any],
    command_values: Mapping[str, Any],
    config: Mapping[str, Any],
    chosen: Chosen,
) -> None:
    """ConfigError for an option that can't apply; settings of a run's file that a verb doesn't use are ignored."""
    full = command.model_options is True
    usual = _usual(type(options)) | ({} if full else {setting.name: setting.default for setting in chosen.flags})
    changed = {name: value for name, value in config.items() if name in usual and value != plain(usual[name])}
    set_names = {
        name
        for name, value in {**changed, **command_values}.items()
        if type(value) is not bool or value != usual.get(name)
    }
    arguments = needs.Arguments(vars(options), settings, accepted.by_place)
    needs.check(command.needs, accepted.verb, set_names, arguments, chosen.sections)


def _everything(
    options: type, option_values: Mapping[str, Any], settings: Mapping[str, Any], chosen: Chosen
) -> dict[str, Any]:
    """Every setting with its value, for a settings file."""
    config = {name: option_values.get(name, value) for name, value in _usual(options).items()}
    config |= {setting.name: settings.get(setting.name, setting.default) for setting in chosen.flags}
    for name, record in chosen.sections.items():
        if name in chosen.open:
            config |= {name: settings[name]} if name in settings else {}
            continue
        values_of_record: Any = build(record, {**chosen.bases.get(name, {}), **settings.get(name, {})}, name)
        config[name] = {key: value for key, value in vars(values_of_record).items() if key != CONSENT}
    return plain({name: value for name, value in config.items() if name != CONSENT})  # type: ignore[no-any-return]
