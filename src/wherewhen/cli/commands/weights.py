"""List, download or verify published weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from wherewhen.cli.verb import Verb
from wherewhen.core.console import print_json


@dataclass(frozen=True)
class Options:
    """Options of ``weights``.

    WHEREWHEN_MIRROR: prefix of another address, or a folder, that holds NAME/FILE. WHEREWHEN_OFFLINE=1: no downloads.

    Args:
        action: list, get (download) or verify (read again and compare checksums).
        name: name of weights, or of a backbone for all of its weights; default: all (verify: all that are downloaded).
        json: print the result as JSON instead of text.
        quiet: no progress bars, and only warnings and errors in the log.
    """

    action: Literal["list", "get", "verify"]
    name: str | None = None
    json: bool = False
    quiet: bool = False


def run(options: Options) -> int:
    """Print the rows; exit code 1 where weights can't be downloaded or have another checksum."""
    from wherewhen.core.errors import ConfigError, unknown
    from wherewhen.runtime.weights import published

    known = published()
    chosen = [weights for backbone, weights in known.values() if options.name in (None, backbone, weights.name)]
    if not chosen:
        raise ConfigError(unknown("weights", str(options.name), known))
    if options.action == "get":
        if options.name is None:
            raise ConfigError(f"weights get needs a name: {', '.join(known)}")
        return _get(chosen, options.quiet, options.json)
    rows, bad = _listed(known, chosen) if options.action == "list" else _verified(chosen, options.name is not None)
    _show(rows, options.json)
    return int(bad)


def _listed(known: dict[str, Any], chosen: list[Any]) -> tuple[list[dict[str, Any]], bool]:
    rows = []
    for weights in chosen:
        sizes = [part.path.stat().st_size for part in weights.parts if part.path.exists()]
        here = weights.path.exists()
        checked = "published" if weights.sha256 else "recorded" if weights.recorded else "not yet known"
        row = {
            "name": weights.name,
            "backbone": known[weights.name][0],
            "state": "missing" if not here else "here" if len(sizes) == len(weights.parts) else "here in part",
            "checksum": checked,
            "size": sum(sizes) if here else None,
            "licence": weights.licence,
            "trained on": weights.trained_on,
            "address": weights.address,
        }
        rows.append(row)
    return rows, False


def _verified(chosen: list[Any], asked: bool) -> tuple[list[dict[str, Any]], bool]:
    from wherewhen.core.errors import StoreError

    rows, bad = [], False
    for weights in (part for one in chosen for part in one.parts):
        own = any(weights.path == one.path for one in chosen)
        name = weights.name if own else f"{weights.name}/{weights.path.name}"
        if not weights.path.exists():
            if asked:
                rows.append({"name": name, "result": "missing", "sha256": ""})
                bad = True
            continue
        known = bool(weights.sha256 or weights.recorded)
        try:
            found = weights.check(thorough=True)
            told = "right" if known else "recorded now"
            rows.append({"name": name, "result": told, "sha256": found})
        except StoreError as error:
            rows.append({"name": name, "result": str(error), "sha256": ""})
            bad = True
    return rows, bad


def _get(chosen: list[Any], quiet: bool, as_json: bool) -> int:
    from functools import partial

    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    from wherewhen.runtime.downloads import fetch

    rows: list[dict[str, Any]] = []
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    for weights in chosen:
        with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True), disable=quiet) as bar:
            path = fetch(weights, partial(_told, bar, bar.add_task(weights.name, total=None)))
        rows.append({"name": weights.name, "path": path, "licence": weights.licence, "sha256": weights.recorded})
        if not as_json:
            print(f"{weights.name}: {path} (licence {weights.licence}, sha256 {weights.recorded})")
    if as_json:
        print_json(rows)
    return 0


def _told(bar: Any, task: Any, done: int, total: int | None) -> None:
    bar.update(task, completed=done, total=total)


def _show(rows: list[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        print_json(rows)
        return
    if not rows:
        print("no weights are downloaded; wherewhen weights list prints all")
    for row in rows:
        shown = {**row, "size": f"{row['size'] / 2**20:.1f} MiB"} if row.get("size") else row
        print("  ".join([f"{shown['name']:<26}", str(shown.get("state", shown.get("result")))]))
        for key, value in shown.items():
            if key not in ("name", "state", "result") and value not in (None, ""):
                print(f"{'':<28}{key}: {value}")


VERB = Verb("models", Options, run, places=("name",))
