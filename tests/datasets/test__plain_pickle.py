import collections
import os
import pickle
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wherewhen.core.errors import DataError
from wherewhen.datasets import _plain_pickle

scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary()
plain = st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner))


@settings(deadline=None)
@given(plain, st.sampled_from([2, 3, 4, 5]))
def test_plain_values_come_back(tmp_path_factory, value, protocol):
    path = tmp_path_factory.mktemp("p") / "a.pkl"
    if protocol == 2:  # bytes need a class there, as Python 2 had none
        value = repr(value)
    path.write_bytes(pickle.dumps(value, protocol=protocol))
    assert _plain_pickle.read(path) == value


def test_text_of_python_2_is_latin_1(tmp_path):
    path = tmp_path / "two.pkl"
    path.write_bytes(b"(dp0\nS'caf\\xe9'\np1\n(lp2\nI7\nas.")
    assert _plain_pickle.read(path) == {"café": [7]}


class Call:
    def __reduce__(self):
        return (os.system, ("touch hacked",))


@pytest.mark.parametrize("value", [Call(), collections.OrderedDict(a=1), Path("a"), {1, 2}.__class__, [Call()]])
@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_anything_else_is_refused_unrun(tmp_path, monkeypatch, value, protocol):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "bad.pkl"
    path.write_bytes(pickle.dumps(value, protocol=protocol))
    with pytest.raises(DataError, match="refused, the pickle names"):
        _plain_pickle.read(path)
    assert not (tmp_path / "hacked").exists()


def test_stored_objects_and_damage_are_refused(tmp_path):
    path = tmp_path / "bad.pkl"
    path.write_bytes(b"Pkey\n.")
    with pytest.raises(DataError, match="points to a stored object"):
        _plain_pickle.read(path)
    path.write_bytes(b"(lp0\nI7")
    with pytest.raises(DataError, match="not a readable pickle"):
        _plain_pickle.read(path)


def nested(levels):
    """Lists in lists, or tuples in dictionaries, as a pickle: no pickler makes it."""
    return b"]" * levels + b"a" * (levels - 1) + b"."


@pytest.mark.parametrize("levels", [101, 5_000, 100_000])
def test_deep_nesting_is_refused(tmp_path, levels):
    path = tmp_path / "deep.pkl"
    path.write_bytes(b"\x80\x02" + nested(levels))
    with pytest.raises(DataError, match=r"deep\.pkl: refused, the pickle is nested more than 100 levels deep"):
        _plain_pickle.read(path)
    path.write_bytes(b"\x80\x02" + nested(100))
    _plain_pickle.read(path)


def test_shared_and_endless_lists_take_no_time(tmp_path):
    path, shared = tmp_path / "many.pkl", ["x"]
    for _ in range(60):
        shared = [shared] * 10
    path.write_bytes(pickle.dumps(shared))
    _plain_pickle.read(path)
    endless = []
    endless.append(endless)
    path.write_bytes(pickle.dumps(endless))
    _plain_pickle.read(path)


def test_a_small_file_takes_no_large_memory(tmp_path):
    path = tmp_path / "memo.pkl"
    path.write_bytes(b"\x80\x02]r\xff\xff\xff\x7f.")  # an empty list, kept under the number 2**31 - 1
    tracemalloc.start()
    assert _plain_pickle.read(path) == []
    assert tracemalloc.get_traced_memory()[1] < 2**24
    tracemalloc.stop()
    path.write_bytes(b"\x80\x04\x8d" + (2**62).to_bytes(8, "little") + b"x.")  # a text of 4 EiB
    with pytest.raises(DataError, match="not a readable pickle"):
        _plain_pickle.read(path)
