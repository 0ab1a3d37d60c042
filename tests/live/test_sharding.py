"""Cameras among machines: each on one, the same everywhere, and few move."""

from __future__ import annotations

import math
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherewhen.core.config import build
from wherewhen.core.errors import ConfigError
from wherewhen.live.settings import WatchConfig, with_options
from wherewhen.live.sharding import Shard, shard_of

names = st.lists(st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_-]{0,20}", fullmatch=True), max_size=30, unique=True)
counts = st.integers(1, 12)


@given(names, counts)
def test_each_camera_is_on_exactly_one_shard(cameras: list[str], count: int) -> None:
    for camera in cameras:
        assert sum(camera in Shard(number, count) for number in range(1, count + 1)) == 1


@given(names, counts)
def test_one_more_shard_takes_cameras_and_moves_no_other(cameras: list[str], count: int) -> None:
    for camera in cameras:
        assert shard_of(camera, count + 1) in (shard_of(camera, count), count + 1)


@pytest.mark.parametrize("count", [1, 4, 9])
def test_shares_are_even_and_one_more_shard_takes_its_share(count: int) -> None:
    cameras = [f"camera-{number}" for number in range(3000)]
    for number in range(1, count + 2):
        share = sum(camera in Shard(number, count + 1) for camera in cameras) / len(cameras)
        expected = 1 / (count + 1)
        assert abs(share - expected) < 5 * math.sqrt(expected * (1 - expected) / len(cameras))


def test_another_process_computes_the_same() -> None:
    words = "from wherewhen.live.sharding import shard_of; print([shard_of(f'c{k}', 7) for k in range(50)])"
    done = subprocess.run([sys.executable, "-c", words], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == str([shard_of(f"c{k}", 7) for k in range(50)])


@pytest.mark.parametrize("text", ["", "0/3", "4/3", "1/0", "1", "1/3/4", "-1/3", "a/b"])
def test_wrong_shards_are_errors(text: str) -> None:
    with pytest.raises(ConfigError, match="1/3"):
        Shard.of(text)


def test_a_machine_has_the_cameras_of_its_shard_and_all_are_checked() -> None:
    values = {"cameras": {f"c{k}": "0" for k in range(8)}}
    parts = [build(WatchConfig, with_options(values, shard=f"{k}/3"), "watch").of_cameras for k in (1, 2, 3)]
    assert sorted(name for part in parts for name in part) == sorted(values["cameras"])
    values["cameras"]["c9"] = {"url": "0", "speed": 0}  # type: ignore[assignment]
    for number in (1, 2, 3):
        with pytest.raises(ConfigError, match="above 0"):
            build(WatchConfig, with_options(values, shard=f"{number}/3"), "watch")


def test_a_hub_needs_no_camera_and_anything_else_does() -> None:
    assert build(WatchConfig, with_options({"hub": {}}), "hub").of_cameras == {}
    with pytest.raises(ConfigError, match="at least one"):
        build(WatchConfig, with_options({}), "watch")
    settings = with_options({"cameras": {"gate": "0"}, "hub": {"token": "x"}}, hub="http://10.0.0.2:5000")
    assert settings["hub"] == {"token": "x", "url": "http://10.0.0.2:5000"}
