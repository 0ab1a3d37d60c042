"""Routes of learning: train a model again with the verdicts, list models, promote one or roll it back."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from wherewhen.core.errors import ConfigError
from wherewhen.core.printable import unused
from wherewhen.review import runs
from wherewhen.review.opened import Review
from wherewhen.review.verdicts import Conflict

if TYPE_CHECKING:
    from fastapi import FastAPI

SHOWN = 500  # characters of the reason of a failure


@dataclass
class Training:
    """The process of ``wherewhen learn`` that a server started last, if any."""

    review: Review
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    output: Path | None = None
    errors: Any = None
    reason: str = ""
    lock: Lock = field(default_factory=Lock)

    def start(self, model: str | None) -> dict[str, Any]:
        """Begin to learn, with less priority than the rest; Conflict where that goes on already."""
        models = self.review.models()
        if not models:
            raise Conflict("the model of these alerts is not known here; learn with: wherewhen learn --from FOLDER "
                           "--model RUN")  # fmt: skip
        if model is None and len(models) > 1:
            raise ConfigError(f"model: the cameras have several; name one: {', '.join(models)}")
        run = models[0] if model is None else model
        if run not in models:
            raise ConfigError(f"model: expected one of {', '.join(models)}")
        with self.lock:
            if self.process is not None and self.process.poll() is None:
                raise Conflict("a model is learning already")
            parent = Path(run).parent
            self.output = parent / unused(Path(run).name, lambda name: (parent / name).exists())
            self.errors = tempfile.TemporaryFile()  # noqa: SIM115 (read when the process has ended)
            command = [sys.executable, "-m", "wherewhen", "learn", "--from", str(self.review.file), "--model", run,
                       "--output", str(self.output), "--quiet"]  # fmt: skip
            if shutil.which("nice"):
                command = ["nice", "-n", "10", *command]
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=self.errors, process_group=0
            )
            self.started = time.time()
        return self.state()

    def state(self) -> dict[str, Any]:
        """``state``: idle, running, done or failed, with the reason; ``output``: the run folder."""
        if self.process is None:
            return {"state": "idle"}
        facts = {"started": self.started, "output": str(self.output)}
        code = self.process.poll()
        if code is None:
            return {"state": "running", **facts}
        if not self.errors.closed:
            self.errors.seek(0)
            lines = self.errors.read().decode(errors="replace").strip().splitlines()
            self.reason = (lines[-1] if lines else f"it ended with code {code}").removeprefix("error: ")[:SHOWN]
            self.errors.close()
        return {"state": "done", **facts} if code in (0, 3) else {"state": "failed", "detail": self.reason, **facts}


def add_retraining(app: FastAPI, review: Review) -> None:
    """The routes ``/api/v1/retrain``, ``/api/v1/runs`` and ``/api/v1/models``."""
    from fastapi import Body

    training = Training(review)

    @app.post("/api/v1/retrain", status_code=202, response_model=None)
    def retrain(model: str | None = Body(None, embed=True, max_length=4096)) -> Any:
        """Begin to learn from all verdicts. ``model``: one of those in ``/runs``, where cameras have several."""
        return training.start(model)

    @app.get("/api/v1/runs", response_model=None)
    def models() -> Any:
        """Models that learned, the newest first, with their comparison; the models of cameras; what is learning now."""
        with review.writing() as tables:
            listed = [run.plain() for run in runs.listed(tables)]
        return {"runs": listed, "models": review.models(), "training": training.state()}

    @app.post("/api/v1/models/{sha}/promote", response_model=None)
    def promote(sha: str) -> Any:
        """Use a model in place of the one that it came from; 409 where it is not better."""
        return _changed(review, runs.promote, sha)

    @app.post("/api/v1/models/{sha}/rollback", response_model=None)
    def rollback(sha: str) -> Any:
        """Use the model before it again."""
        return _changed(review, runs.rollback, sha)


def _changed(review: Review, change: Any, sha: str) -> dict[str, Any]:
    with review.writing() as tables:
        name = sha if sha.startswith("sha256:") else f"sha256:{sha}"
        if name not in {run.sha for run in runs.listed(tables)}:
            raise Conflict(f"there is no model {sha[:80]}")
        try:
            run: runs.Run = change(tables, name, time.time())
        except ConfigError as error:
            raise Conflict(str(error)) from None
    return {"run": run.plain()}
