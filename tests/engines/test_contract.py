"""What every engine keeps to in every precision: the same features, for any batch, again and again."""

from __future__ import annotations

import builtins
import importlib
import shutil
import sys
from typing import Any

import numpy as np
import pytest

from wherewhen.core import registry
from wherewhen.core.errors import EngineError
from wherewhen.runtime.batching import Batched, deviation
from wherewhen.runtime.devices import has_bf16
from wherewhen.runtime.select import attach, candidates

ENGINES = registry.names("engines")
CASES = [(name, precision) for name in ENGINES for precision in registry.load("engines", name).precisions]
LIBRARY = {"openvino": "openvino", "onnx": "onnxruntime"}
FAR = {"fp32": (1e-5, 0.99999), "bf16": (0.03, 0.999), "int8": (0.1, 0.99)}


def made(name: str, precision: str, toy: Any, clips: Any) -> Any:
    if name in LIBRARY:
        pytest.importorskip(LIBRARY[name])
    if precision == "int8":
        pytest.importorskip("nncf")
    if name == "compile" and (not shutil.which("g++") or (precision == "bf16" and not has_bf16("cpu"))):
        pytest.skip("nothing to compile with")
    try:
        return registry.load("engines", name)(toy.module, 1, clips, precision, "cpu")
    except EngineError as error:
        if precision == "bf16" and "no bf16" in str(error):
            pytest.skip(str(error))
        raise


@pytest.mark.parametrize(("name", "precision"), CASES)
def test_an_engine_gives_the_networks_features(name: str, precision: str, toy: Any, draw: Any) -> None:
    clips = draw(4, toy.clip.frames)
    run = Batched(made(name, precision, toy, clips), 1)
    features, plain = run(clips[:3]), toy.plain(clips[:3])
    assert features.dtype == np.float32 and features.shape == plain.shape
    relative, cosine = deviation(plain, features)
    assert relative < FAR[precision][0] and cosine > FAR[precision][1]
    kept = features.copy()
    again = run(clips[:1])
    np.testing.assert_array_equal(features, kept, err_msg="a later call may not write into what was given")
    np.testing.assert_allclose(again[0], features[0], rtol=1e-5, atol=1e-5)
    assert registry.load("engines", name).version()


@pytest.mark.parametrize("name", ENGINES)
def test_an_engine_describes_itself(name: str) -> None:
    engine = registry.load("engines", name)
    assert set(engine.precisions) <= {"fp32", "bf16", "int8"} and "fp32" in engine.precisions
    assert "cpu" in engine.devices and set(engine.devices) <= {"cpu", "cuda"}
    assert engine.__doc__


@pytest.mark.parametrize(("name", "library"), sorted(LIBRARY.items()))
def test_a_missing_library_says_what_to_install(
    name: str, library: str, make_toy: Any, draw: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = importlib.import_module

    def without(module: str, package: str | None = None) -> Any:
        if module.split(".")[0] == library:
            raise ImportError(module)
        return real(module, package)

    monkeypatch.setattr("wherewhen.engines._extra.import_module", without)
    with pytest.raises(EngineError, match=rf'needs {library}: pip install "wherewhen\[{name}\]"'):
        attach(make_toy("look"), name, "fp32", clips=draw(1, 2))


def test_compile_without_a_compiler_says_so(make_toy: Any, draw: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wherewhen.engines.compile.shutil.which", lambda name: None)
    with pytest.raises(EngineError, match=r"needs a C\+\+ compiler"):
        attach(make_toy("look"), "compile", "fp32", clips=draw(1, 2))


def test_engines_are_listed_without_their_libraries(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(module: str, *rest: Any, **more: Any) -> Any:
        if module.split(".")[0] in ("openvino", "onnxruntime", "nncf", "onnx", "onnxscript"):
            raise ImportError(module)
        return real(module, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    for name in ENGINES:
        monkeypatch.delitem(sys.modules, f"wherewhen.engines.{name}", raising=False)
    assert {pair[0] for pair in candidates("auto", "fp32", "cpu")} == set(ENGINES)
