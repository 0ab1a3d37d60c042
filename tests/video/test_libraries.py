from __future__ import annotations

import av

from wherewhen.video import libraries


def test_versions_and_codecs_are_those_of_pyav() -> None:
    assert libraries.libraries()["libavcodec"].split(".")[0] == str(av.library_versions["libavcodec"][0])
    found = libraries.codecs()
    assert "h264" in found["decoders"] and found["encoders"] and not set(found["missing"]) & set(found["decoders"])
    assert {*found["decoders"], *found["encoders"], *found["missing"]} == {*libraries.DECODERS, *libraries.ENCODERS}
