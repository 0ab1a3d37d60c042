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

    by_name = published()
    chosen = [weights for backbone, weights in by_name.values() if options.name in (None, backbone, weights.name)]
    if not chosen:
        raise ConfigError(unknown("weights", str(options.name), by_name))
    if options.action == "get":
        if options.name is None:
            raise ConfigError(f"weights get needs a name: {', '.join(by_name)}")
        return _get(chosen, options.quiet, options.json)
    rows, bad = _listed(by_name, chosen) if options.action == "list" else _verified(chosen, options.name is not None)
    _show(rows, options.json)
    return int(bad)


def _listed(by_name: dict[str, Any], chosen: list[Any]) -> tuple[list[dict[str, Any]], bool]:
    rows = []
    for weights in chosen:
        sizes = [part.path.stat().st_size for part in weights.parts if part.path.exists()]
        is_present = weights.path.exists()
        checked = "published" if weights.sha256 else "recorded" if weights.recorded else "not yet known"
        row = {
            "name": weights.name,
            "backbone": by_name[weights.name][0],
            "state": "missing" if not is_present else "here" if len(sizes) == len(weights.parts) else "here in part",
            "checksum": checked,
            "size": sum(sizes) if is_present else None,
            "licence": weights.licence,
            "trained on": weights.trained_on,
            "address": weights.address,
        }
        rows.append(row)
    return rows, False


def _verified(chosen: list[Any], is_named: bool) -> tuple[list[dict[str, Any]], bool]:
    from wherewhen.core.errors import StoreError

    rows, bad = [], False
    for weights in (part for entry in chosen for part in entry.parts):
        is_whole = any(weights.path == entry.path for entry in chosen)
        name = weights.name if is_whole else f"{weights.name}/{weights.path.name}"
        if not weights.path.exists():
            if is_named:
                rows.append({"name": name, "result": "missing", "sha256": ""})
                bad = True
            continue
        has_checksum = bool(weights.sha256 or weights.recorded)
        try:
            sha256 = weights.check(thorough=True)
            result = "right" if has_checksum else "recorded now"
            rows.append({"name": name, "result": result, "sha256": sha256})
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
            path = fetch(weights, partial(_update, bar, bar.add_task(weights.name, total=None)))
        rows.append({"name": weights.name, "path": path, "licence": weights.licence, "sha256": weights.recorded})
        if not as_json:
            print(f"{weights.name}: {path} (licence {weights.licence}, sha256 {weights.recorded})")
    if as_json:
        print_json(rows)
    return 0


def _update(bar: Any, task: Any, done: int, total: int | None) -> None:
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
