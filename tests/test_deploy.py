"""Files of deployment: what can be checked without systemd running and without building an image."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import socket
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from wherewhen.cli import command_of
from wherewhen.cli.arguments import parse
from wherewhen.live import notify
from wherewhen.live.settings import read
from wherewhen.live.sharding import Shard

ROOT = Path(__file__).parents[1]
DEPLOY = ROOT / "deploy"
UNIT = DEPLOY / "wherewhen.service"
PROGRAM = "/opt/wherewhen/bin/wherewhen"


def options(words: list[str]) -> Any:
    """The options of a command line of wherewhen; an error for one that does not exist."""
    verb, *rest = words
    return parse(command_of(verb), verb, rest)[0]


def test_the_unit_starts_a_command_that_exists() -> None:
    (line,) = re.findall(r"^ExecStart=(.+)$", UNIT.read_text("utf-8"), re.MULTILINE)
    program, *words = shlex.split(line)
    assert program == PROGRAM
    watch = options(words)
    assert (watch.source, watch.log_format) == ("/etc/wherewhen/cameras.yaml", "json")
    assert watch.output.startswith("/var/lib/wherewhen/"), "the only folder below which the unit may write"


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze")
def test_systemd_accepts_the_unit(tmp_path: Path) -> None:
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text("utf-8").replace(PROGRAM, sys.executable))
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", unit], capture_output=True, text=True, timeout=60)
    assert [line for line in done.stderr.splitlines() if UNIT.name in line] == []
    words = ["systemd-analyze", "security", "--offline=true", "--threshold=30", unit]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, "exposure above 3.0:\n" + done.stdout[-2000:]


def test_units_of_several_machines_start_commands_that_exist_with_the_same_rights(tmp_path: Path) -> None:
    rights = re.compile(
        r"^(?:Protect|Private|Restrict|System|No|Lock|Capab|Dynamic|UMask|State|Cache).*$", re.MULTILINE
    )
    expected = rights.findall(UNIT.read_text("utf-8"))
    for name, verb in (("wherewhen-hub.service", "hub"), ("wherewhen-shard@.service", "watch")):
        text = (DEPLOY / name).read_text("utf-8").replace("%i", "1-of-3")
        (line,) = re.findall(r"^ExecStart=(.+)$", text, re.MULTILINE)
        program, *words = shlex.split(line)
        assert (program, words[0]) == (PROGRAM, verb)
        assert options(words).output.startswith("/var/lib/wherewhen/")
        assert rights.findall(text) == expected
    assert options(words).shard == "1-of-3" and Shard.of("1-of-3") == Shard(1, 3)


def test_compose_of_several_machines_starts_commands_and_shares_all_cameras() -> None:
    services = yaml.safe_load((DEPLOY / "compose.machines.yaml").read_text("utf-8"))["services"]
    assert options(services.pop("hub")["command"]).source == "/config/cameras.yaml"
    shards = [Shard.of(options(service["command"]).shard) for service in services.values()]
    assert [shard.number for shard in shards] == list(range(1, shards[0].count + 1))


def instructions() -> list[tuple[str, str]]:
    """Name and text of the instructions of the Dockerfile."""
    lines = [line for line in (DEPLOY / "Dockerfile").read_text("utf-8").splitlines() if not line.startswith("#")]
    text = "\n".join(lines).replace("\\\n", " ")
    return [(name, rest.strip()) for name, _, rest in (line.partition(" ") for line in text.splitlines() if line)]


def test_the_image_copies_what_there_is_and_installs_extras_that_exist() -> None:
    parts = instructions()
    sources = [word for name, text in parts if name == "COPY" for word in text.split()[:-1]]
    assert sources and [word for word in sources if not (ROOT / word).exists()] == []
    allowed = set(re.findall(r"^!(\S+)$", (DEPLOY / "Dockerfile.dockerignore").read_text("utf-8"), re.MULTILINE))
    assert allowed == set(sources), "what is ignored can't be copied"
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    (extras,) = re.findall(r"\.\[([\w,]+)\]", " ".join(text for name, text in parts if name == "RUN"))
    assert set(extras.split(",")) == {"apprise", "live", "server"} <= set(project["project"]["optional-dependencies"])
    (image,) = [text for name, text in parts if name == "FROM"]
    version = re.fullmatch(r"python:(3\.\d+)-slim", image)
    assert version and f"Programming Language :: Python :: {version[1]}" in project["project"]["classifiers"]


def test_the_image_runs_commands_that_exist() -> None:
    parts = dict(instructions())
    assert json.loads(parts["ENTRYPOINT"]) == ["wherewhen"]
    watch = options(json.loads(parts["CMD"]))
    program, *words = json.loads(parts["HEALTHCHECK"].partition("CMD ")[2])
    assert program == "wherewhen" and options(words).store == watch.output == parts["VOLUME"]


KEYS = {"image", "build", "restart", "depends_on", "env_file", "volumes", "ports", "stop_grace_period", "read_only",
        "tmpfs", "cap_drop", "security_opt"}  # fmt: skip


def test_compose_names_services_files_and_ports_that_exist() -> None:
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text("utf-8"))
    assert set(compose) == {"services", "volumes"}
    parts = dict(instructions())
    for service in compose["services"].values():
        assert set(service) <= KEYS
        assert set(service.get("depends_on", [])) <= set(compose["services"])
        for volume in service["volumes"]:
            source = volume.split(":")[0]
            assert (DEPLOY / source).exists() if source.startswith(".") else source in compose["volumes"]
        assert all(port.startswith("127.0.0.1:") for port in service["ports"]), "no port is open to other machines"
    ours = compose["services"]["wherewhen"]
    assert (DEPLOY / ours["build"]["context"] / ours["build"]["dockerfile"]).is_file()
    assert ours["ports"][0].rsplit(":", 1)[1] == parts["EXPOSE"]
    assert any(volume.endswith(f":{parts['VOLUME']}") for volume in ours["volumes"])


def test_the_example_of_cameras_is_valid(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("YARD_PASSWORD", "PQsecret")
    monkeypatch.setenv("SERVER_TOKEN", "KQ" * 16)
    config = read(DEPLOY / "config" / "cameras.yaml")
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text("utf-8"))
    assert config.sinks["mqtt"]["host"] in compose["services"]
    assert config.server is not None and config.server.secret == "KQ" * 16
    assert str(config.server.port) == dict(instructions())["EXPOSE"]
    assert "PQsecret" not in repr(config.of_cameras["yard"].source)


def test_systemd_is_told_that_the_service_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(path))
        systemd.settimeout(5)
        notify.notify("READY=1")
        monkeypatch.setenv("NOTIFY_SOCKET", str(path))
        notify.notify("WATCHDOG=1")
        assert systemd.recv(100) == b"WATCHDOG=1"
    notify.notify("STOPPING=1")  # nobody listens any more
