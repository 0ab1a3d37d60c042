from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from wherewhen import cli
from wherewhen.api import installation
from wherewhen.core import registry
from wherewhen.runtime import hardware


def doctor(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    capsys.readouterr()
    code = cli.main(["doctor", *words])
    return code, capsys.readouterr().out


def test_it_says_all_in_text_and_json(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket.socket, "connect", lambda *args: pytest.fail("the network is asked"))
    code, out = doctor(capsys, "--json")
    found = json.loads(out)
    assert code == int(bool(found["problems"]))
    assert set(found["engines"]) == set(registry.names("engines")) and found["engines"]["torch"]["runs"] is True
    assert found["extras"]["search"]["libraries"]["faiss-cpu"] and found["versions"]["torch"]
    assert not set(found["extras"]) & {"all", "dev", "docs"}, "extras of developers are no part of an installation"
    assert found["processor"]["cores"] >= found["processor"]["usable_cores"] >= 1
    assert found["memory"]["total"] > 2**28 and found["folders"]["weights"]["free"] > 0
    code, text = doctor(capsys)
    for section in ("versions", "processor", "engines", "extras", "folders", "variables", "problems"):
        assert f"\n{section}\n" in f"\n{text}"
    assert found["versions"]["numpy"] in text and found["ffmpeg"]["libavcodec"] in text


def test_an_installation_without_extras_is_no_problem(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    extras = {name for one in installation.extras().values() for name in one["libraries"]}
    known = installation._version
    monkeypatch.setattr(installation, "_version", lambda name: None if name in extras else known(name))
    for library in ("openvino", "onnx", "onnxruntime", "onnxscript"):
        monkeypatch.setitem(sys.modules, library, None)
    code, out = doctor(capsys)
    assert code == 0 and 'search       faiss-cpu missing: pip install "wherewhen[search]"' in out
    assert 'openvino  does not run here: engine openvino needs openvino: pip install "wherewhen[openvino]"' in out
    assert 'onnx      does not run here: engine onnx needs onnx: pip install "wherewhen[onnx]"' in out


def test_a_broken_library_hides_nothing_else(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> Any:
        raise ImportError("libavcodec.so.62: cannot open shared object file\nand more")

    monkeypatch.setattr("wherewhen.video.libraries.libraries", broken)
    monkeypatch.setattr(hardware, "gpus", broken)
    code, out = doctor(capsys)
    assert code == 1 and "1.  ffmpeg: ImportError: libavcodec.so.62: cannot open shared object file" in out
    assert "2.  gpus: ImportError" in out and "versions" in out and "and more" not in out


def test_secrets_are_not_printed(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WHEREWHEN_MIRROR", "https://me:PQsecret@mirror.invalid/weights?key=PQsecret")
    for name in ("WHEREWHEN_API_KEY", "OPENAI_API_KEY", "HF_TOKEN"):
        monkeypatch.setenv(name, "PQsecret")
    for words in ((), ("--json",)):
        out = doctor(capsys, *words)[1]
        assert "PQsecret" not in out and "mirror.invalid" in out and out.count("set (not shown)") == 3


def test_problems_are_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(hardware, "unused_gpu", lambda: "NVRM version: 1")
    found = installation.report()
    found["versions"] |= {"scipy": None, "opencv-python": "4"}
    found["folders"]["cache"] |= {"writable": False, "free": 2**20}
    told = "\n".join(installation.problems(found))
    for part in ("scipy is not installed", "opencv-python is installed beside", "can't use the GPU", "can't be written",
                 "0.0 GiB are free"):  # fmt: skip
        assert part in told


def test_heavy_extras_are_not_imported(tmp_path: Path) -> None:
    heavy = ["transformers", "ray", "nncf", "onnxscript", "faiss", "pandas", "tensorboard"]
    code = (
        f"import sys; from wherewhen.cli import main; main(['doctor']); print([n for n in {heavy} if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.stdout.splitlines()[-1] == "[]", done.stderr
