"""What plug-ins offer beyond their contract is a typed record; no attribute of theirs is looked for by its name."""

from __future__ import annotations

import ast
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

import wherewhen
from wherewhen.core import registry
from wherewhen.core.contracts import ABILITIES, ByVideo, TextImage, fault
from wherewhen.core.errors import ConfigError

SOURCE = Path(wherewhen.__file__).parent
PLUGINS = [(kind, name) for kind in sorted(ABILITIES) for name in registry.names(kind)]

METHOD = """
from dataclasses import dataclass
from typing import ClassVar
from wherewhen.core.contracts import BuilderAbilities, MethodAbilities, Provenance, Training

@dataclass(frozen=True)
class Config:
    segments: int | None = 32

class Theirs:
    Config: ClassVar[type] = Config
    schedule, source, views, presets = Training(), Provenance("Theirs"), ("cells",), dict()
    forward = loss = None
    abilities: ClassVar[MethodAbilities] = {abilities}

PLUGIN = Theirs
"""


def offered(folder: Path, monkeypatch: pytest.MonkeyPatch, text: str, kind: str = "methods") -> Any:
    """The plug-in ``theirs`` of another package whose module holds this text."""
    about = folder / "theirs-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(f"[wherewhen.{kind}]\ntheirs = module_of_theirs:PLUGIN\n")
    (folder / "module_of_theirs.py").write_text(text)
    monkeypatch.setattr(sys, "path", [*sys.path, str(folder)])
    monkeypatch.delitem(sys.modules, "module_of_theirs", raising=False)
    return registry.load(kind, "theirs")


@pytest.mark.parametrize(("kind", "name"), PLUGINS)
def test_every_plug_in_states_its_record(kind: str, name: str) -> None:
    plugin = registry.load(kind, name)
    assert type(plugin.abilities) is ABILITIES[kind] and fault(kind, plugin) is None


@pytest.mark.parametrize("record", ABILITIES.values())
def test_every_field_is_described(record: type) -> None:
    told = str(record.__doc__)
    assert not [field.name for field in fields(record) if f"        {field.name}: " not in told]
    assert record() == record(), "a plug-in may state the defaults"


@pytest.mark.parametrize("name", registry.names("methods"))
def test_records_of_methods_fit_their_settings_and_views(name: str) -> None:
    plugin = registry.load("methods", name)
    abilities, own = plugin.abilities, {field.name for field in fields(plugin.Config)}
    assert abilities.averages_time == ("segments" in own)
    assert abilities.samples_instances == ("instances" in own)
    assert abilities.divides_time == ("bag" in own)
    assert set(abilities.unnormalized_views) <= set(plugin.views)
    assert set(abilities.optional_views) <= set(plugin.views[1:])
    assert {setting for setting, _ in abilities.optional_views.values()} <= own
    assert set(abilities.other_builders) <= set(registry.names("instances")) - set(plugin.views)


def test_records_say_what_classes_have() -> None:
    members = {member for member in vars(TextImage) if not member.startswith("_")} | {"limit"}
    for name in registry.names("backbones"):
        plugin = registry.load("backbones", name)
        assert plugin.abilities.reads_text == all(hasattr(plugin, member) for member in members), name
        consents = "trust" in {field.name for field in fields(plugin.Config)}
        assert (plugin.abilities.runs_code_of is not None) == consents, name
    for name in registry.names("proposals"):
        plugin = registry.load("proposals", name)
        assert plugin.abilities.by_video == hasattr(plugin, "file_of"), name
    assert "file_of" in vars(ByVideo)
    for name in registry.names("instances"):
        leader = registry.load("instances", name).abilities.shares_settings_with
        assert leader is None or registry.load("instances", leader).Config is registry.load("instances", name).Config


def test_a_class_inherits_the_record_of_its_base() -> None:
    plugin = registry.load("backbones", "shufflenet")
    assert "abilities" not in vars(plugin) and fault("backbones", plugin) is None


def test_another_package_states_its_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plugin = offered(tmp_path, monkeypatch, METHOD.format(abilities="MethodAbilities(averages_time=True)"))
    assert plugin.abilities.averages_time and not plugin.abilities.samples_instances


@pytest.mark.parametrize(
    ("abilities", "said"),
    [
        ("MethodAbilities(ablation={})", "can't be loaded: TypeError: .*'ablation'"),
        ("BuilderAbilities()", r"Theirs.abilities: expected a wherewhen.core.contracts.MethodAbilities, got Builder"),
        (
            "MethodAbilities(samples_instances=True)",
            "can't be used: Config has no setting instances, which the contract of methods",
        ),
        (
            "None",
            r"the class Theirs has no abilities; add abilities: ClassVar\[MethodAbilities\] = MethodAbilities\(\)",
        ),
        ("undefined", "can't be loaded: NameError: name 'undefined'"),
    ],
)
def test_a_wrong_record_is_told(abilities: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(
        ConfigError,
        match=rf"^the plug-in theirs of methods \(module_of_theirs:PLUGIN of the package theirs 1.0\) .*{said}",
    ):
        offered(tmp_path, monkeypatch, METHOD.format(abilities=abilities))


@pytest.mark.parametrize(
    ("kind", "text", "said"),
    [
        ("metrics", "PLUGI = 1", "can't be loaded: AttributeError: .*PLUGIN"),
        ("methods", "PLUGIN = 3", "expected a class as PLUGIN, got int"),
        ("methods", "PLUGIN = lambda config: None", "expected a class as PLUGIN, got function"),
        ("backbones", "class PLUGIN: pass", r"has no abilities; add abilities: ClassVar\[BackboneAbilities\]"),
        ("proposals", "class PLUGIN: pass", r"has no abilities; add abilities: ClassVar\[ProposerAbilities\]"),
        ("instances", "class PLUGIN: abilities = BuilderAbilities()", r"PLUGIN.Config: expected a dataclass"),
    ],
)
def test_what_is_no_plug_in_is_told(
    kind: str, text: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(
        ConfigError,
        match=rf"the plug-in theirs of {kind} \(module_of_theirs:PLUGIN of the package theirs 1.0\) .*{said}",
    ):
        offered(tmp_path, monkeypatch, f"from wherewhen.core.contracts import *\n{text}\n", kind)


@pytest.mark.parametrize(
    ("kind", "abilities", "lacking"),
    [
        ("methods", "MethodAbilities()", "class PLUGIN has no schedule"),
        ("instances", "BuilderAbilities()", "class PLUGIN has no track_source"),
        ("localize", "LocalizerAbilities()", "Settings has no setting alarm"),
        ("backbones", "BackboneAbilities(reads_text=True)", "class PLUGIN has no encode"),
        ("backbones", "BackboneAbilities(settings_without_effect=('path',))", "Settings has no setting path"),
        ("backbones", "BackboneAbilities(runs_code_of=lambda settings: None)", "Settings has no setting trust"),
        ("proposals", "ProposerAbilities(by_video=True)", "class PLUGIN has no file_of"),
    ],
)
def test_what_a_class_lacks_is_told(
    kind: str, abilities: str, lacking: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (
        "from dataclasses import make_dataclass\nfrom wherewhen.core.contracts import *\n"
        "class PLUGIN:\n    Config, source, raw = make_dataclass('Settings', []), Provenance('Theirs'), None\n"
        f"    abilities = {abilities}\n"
    )
    with pytest.raises(ConfigError, match=rf"can't be used: .*{lacking}, which the contract of {kind} and its "):
        offered(tmp_path, monkeypatch, text, kind)


def test_members_may_be_promised_by_annotations(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (
        "from dataclasses import make_dataclass\nfrom wherewhen.core.contracts import BuilderAbilities\n"
        "class PLUGIN:\n    Config, abilities = make_dataclass('Settings', []), BuilderAbilities()\n"
        "    track_source: object\n    roi = None\n    wait: float\n"
    )
    assert offered(tmp_path, monkeypatch, text, "instances").roi is None


PROBED = {
    ("_files", "values"): "what numpy read",
    ("cli", "options"): "a verb's options, some without --quiet",
    ("cli", "sys.stdout"): "a stream of Python",
    ("console", "self._stream"): "a stream of Python",
    ("decoding", "error"): "PyAV",
    ("detection", "model"): "a detector of the user's own",
    ("documents", "yaml"): "PyYAML with or without its C library",
    ("downloads", "answer"): "urllib",
    ("guard", "error"): "PyAV",
    ("hardware", "os"): "Python on this system",
    ("predictions", "values"): "an array of any library",
    ("prompt_writer", "error"): "urllib",
    ("spill", "os"): "Python on this system",
}
"""Objects whose attributes may be looked for by name: file and object, and whose object it is."""


def probes(path: Path) -> set[tuple[str, str]]:
    """File and object of each ``hasattr`` and each ``getattr`` with a literal name."""
    calls = [node for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.Call)]
    named = [call for call in calls if ast.unparse(call.func) in ("getattr", "hasattr")]
    file = path.parent.name if path.stem == "__init__" else path.stem
    return {(file, ast.unparse(call.args[0])) for call in named if isinstance(call.args[1], ast.Constant)}


def test_no_attribute_of_a_plug_in_is_looked_for_by_its_name(tmp_path: Path) -> None:
    found = set().union(*(probes(path) for path in SOURCE.rglob("*.py")))
    assert found and found <= PROBED.keys(), found - PROBED.keys()
    (tmp_path / "code.py").write_text("raw = hasattr(made.method, 'raw') or getattr(plugin, 'raw', getattr(x, name))")
    assert probes(tmp_path / "code.py") == {("code", "made.method"), ("code", "plugin")}


def test_constants_of_verbs_are_read() -> None:
    """What the command line must know of a verb is in its record; other constants are read by the verb itself."""
    verbs = list((SOURCE / "cli" / "commands").glob("*.py"))
    assert len(verbs) > 10
    for path in verbs:
        tree = ast.parse(path.read_text("utf-8"))
        names = [node for node in ast.walk(tree) if isinstance(node, ast.Name) and node.id.isupper()]
        read = {node.id for node in names if isinstance(node.ctx, ast.Load)}
        stored = {node.id for node in names if isinstance(node.ctx, ast.Store)}
        assert stored <= read | {"VERB"}, f"{path.name}: {stored - read}"
