from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherewhen.core.errors import DataError
from wherewhen.core.printable import LONGEST
from wherewhen.formats._files import Node, file_name, read_json, read_xml, video_id, write_json


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_any_id_is_one_file_name_and_comes_back(video: str) -> None:
    name = file_name(video)
    assert Path(name).name == name
    assert name not in (".", "..")
    assert "\x00" not in name
    assert len(name) <= LONGEST
    assert video_id(name) == video or len(quote(video, safe="")) > LONGEST


def test_an_id_too_long_for_a_files_name_is_cut_and_stays_one_of_its_kind() -> None:
    names = {file_name("é" * count) for count in range(1, 400)}
    assert len(names) == 399
    assert max(map(len, names)) <= LONGEST


@given(
    st.recursive(
        st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text()),
        lambda inner: st.one_of(st.lists(inner), st.dictionaries(st.text(), inner)),
        max_leaves=8,
    )
)
def test_json_comes_back_whatever_stands_in_its_strings(
    tmp_path_factory: pytest.TempPathFactory, value: object
) -> None:
    file = tmp_path_factory.getbasetemp() / "any.json"
    write_json(file, {"value": value})
    assert json.loads(file.read_text()) == {"value": value}


def test_what_is_short_stands_on_one_line_and_so_do_lists_of_numbers(tmp_path: Path) -> None:
    value = {"a": list(range(100)), "b": [{"c": [1, -2.5e-7]}, {"c": "x" * 200, "d": {}}]}
    write_json(tmp_path / "a.json", value)
    lines = (tmp_path / "a.json").read_text().splitlines()
    assert len(lines) == 10
    assert lines[3] == '  {"c": [1, -2.5e-07]},'
    assert json.loads("".join(lines)) == value


@pytest.mark.parametrize("value", [True, "1", None, [], 10**400, -(2**60), 1e300])
def test_a_node_gives_no_number_that_is_none(value: object) -> None:
    with pytest.raises(DataError, match=r"here: expected a number"):
        Node(value, "here").number()


def test_a_long_value_is_cut_in_the_error() -> None:
    with pytest.raises(DataError) as caught:
        Node("x" * 10_000, "here").number()
    assert len(str(caught.value)) < 120


def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(b"\xef\xbb\xbf[1]")
    assert [node.whole() for node in read_json(tmp_path / "a.json")] == [1]


def test_xml_is_read_as_utf8_whatever_it_declares(tmp_path: Path) -> None:
    (tmp_path / "a.xml").write_text('<?xml version="1.0" encoding="utf-7"?><a b="é"/>', encoding="utf-8")
    assert read_xml(tmp_path / "a.xml").get("b") == "é"
