"""Verdicts as files over HTTP."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

import pytest
from reviewed import add_item, add_video, served, write_video

pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")

from wherewhen.core.database import Tables
from wherewhen.review.opened import Review


def test_verdicts_are_downloaded(tmp_path: Path) -> None:
    with Tables(tmp_path / "review.db") as tables:
        for name in ("walk", "other"):
            write_video(tmp_path / f"{name}.mp4", 4.0)
            add_video(tables, name, f"{name}.mp4", 4.0)
            add_item(tables, name[0], video=name)
    address = "/api/v1/verdicts/export?format="
    with served(Review(tmp_path / "review.db")) as client:
        answer = client(f"{address}coco")
        assert answer.status == 404 and "no verdicts to export yet" in answer.json["detail"]
        client.judge({"key": "1", "item": "w", "verdict": "true", "category": "fall"})
        answer = client(f"{address}cvat")
        assert answer.headers["content-type"] == "application/xml" and b'label="fall"' in answer.body
        client.judge({"key": "2", "item": "o", "verdict": "false"})
        answer = client(address[:-8])
        assert answer.headers["content-type"] == "application/json"
        assert answer.headers["content-disposition"] == "attachment; filename*=UTF-8''verdicts.json"
        assert {one["name"] for one in answer.json["categories"]} == {"anomaly", "fall", "normal"}
        assert {one["score"] for one in answer.json["annotations"]} == {0.0, 1.0}
        answer = client(f"{address}cvat")
        assert answer.headers["content-type"] == "application/zip"
        with zipfile.ZipFile(io.BytesIO(answer.body)) as archive:
            assert sorted(archive.namelist()) == ["other.xml", "walk.xml"]
        answer = client(f"{address}labels")
        assert answer.headers["content-type"].startswith("text/csv")
        assert answer.body.decode().splitlines()[0] == "path,label,class,start,end"
        assert len(json.loads(client(f"{address}label_studio").body)) == 2
        for wrong in ("mot", "worst", "../coco", "x" * 41):
            assert client(f"{address}{wrong}").status == 422
    assert not {path.suffix for path in tmp_path.iterdir()} & {".json", ".xml", ".csv", ".zip"}, "nothing stays here"
