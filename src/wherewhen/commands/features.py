"""Look after features: compare two stores and say why they differ, bring in those that others made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from wherewhen.needs import Fits, Need, no_look

SECOND = "source"
THIRD = "other"
NEEDS = (
    Need(("other", "tolerance", "video", "clips", "trust"), "action", ("verify",)),
    Need(
        (
            "layout", "output", "labels", "reader", "labels_from_name", "train_list", "test_list", "gt", "axes",
            "frames_per_clip", "stride", "rate", "width", "height", "crop_order", "average", "stored",
        ),
        "action",
        ("import",),
    ),
    Fits(("clips", "trust", "backbone", "settings"), no_look, "add --video FILE, or leave it out"),
    Need(("reader",), "labels", True, "it reads the data set that says the labels"),
    Need(("gt",), "test_list", True, "frame labels follow the order of a list"),
    Need(("width",), "height"),
    Need(("height",), "width"),
    Need(("stride",), "frames_per_clip", True, "alone it says nothing about times"),
)  # fmt: skip


@dataclass(frozen=True)
class Options:
    """What ``features`` is told.

    Args:
        action: verify (compare two stores, exit code 1 where they differ) or import (read others' files).
        source: store, file of features or npy file; for import the folder of files.
        other: what to compare with (verify).
        tolerance: relative error up to which clips are equal (verify).
        video: video that both were made of; a few of its clips are looked at in other ways, to find how the second
            features were made (verify).
        clips: how many of its clips (verify).
        backbone: what made the features, as you declare it; for verify the network to look with.
        settings: YAML file with the settings of that backbone.
        trust: run the code in the TorchScript file that these settings name, if they name one (verify).
        layout: rtfm, deepmil, vadclip, xd5, sultani, or auto (import).
        output: store to write (import).
        labels: table path,label[,class][,seconds][,split], or folder of a data set with labels, folds, truth (import).
        reader: name of that data set's reader; default: the one that recognizes the folder (import).
        labels_from_name: labels by names as in UCF-Crime, MSAD, XD-Violence or ShanghaiTech where no table says one
            (import).
        train_list: list of training features as published code ships it; of paths in it only names count (import).
        test_list: the same for test features (import).
        gt: npy file of frame labels of the test list's videos, one after the other (import).
        axes: time-first (T, D), time-last (D, T); auto takes the first and refuses what looks like the other (import).
        frames_per_clip: frames that each feature saw (import).
        stride: frames from one clip to the next; default: clips lie back to back (import).
        rate: frames per second of the videos (import).
        width: of the videos in px, for the places of crops (import).
        height: the same (import).
        crop_order: corners-first, center-first or unknown; default: the layout's (import).
        average: keep the mean of all crops instead of each (import).
        stored: float32 keeps features exact; float16 halves a store (import).
        json: print JSON instead of a table.
    """

    action: Literal["verify", "import"]
    source: str | None = None
    other: str | None = None
    tolerance: float = 1e-3
    video: str | None = None
    clips: int = 4
    backbone: str | None = None
    settings: str | None = None
    trust: bool = False
    layout: str = "auto"
    output: str | None = None
    labels: str | None = None
    reader: str | None = None
    labels_from_name: bool = False
    train_list: str | None = None
    test_list: str | None = None
    gt: str | None = None
    axes: Literal["auto", "time-first", "time-last"] = "auto"
    frames_per_clip: int | None = None
    stride: int | None = None
    rate: float | None = None
    width: int | None = None
    height: int | None = None
    crop_order: str | None = None
    average: bool = False
    stored: Literal["float32", "float16"] = "float32"
    json: bool = False


def run(options: Options) -> int:
    """Print what was found or brought; exit code 1 where stores differ, 3 where files were set aside."""
    from wherewhen.errors import ConfigError

    if options.source is None:
        raise ConfigError(f"features {options.action}: say of what; wherewhen features --help says more")
    return _verify(options, options.source) if options.action == "verify" else _import(options, options.source)


def _import(options: Options, source: str) -> int:

    from wherewhen.errors import ConfigError
    from wherewhen.feature_stores import importing, layouts
    from wherewhen.feature_stores.published import Lists

    if options.output is None:
        raise ConfigError("features import: say where to write the store: --output STORE")
    if (options.width is None) != (options.height is None):
        raise ConfigError("give both --width and --height of the videos, or none")
    size = (options.width, options.height) if options.width and options.height else None
    known = importing.Known(
        options.backbone or layouts.UNKNOWN, options.settings, options.frames_per_clip, options.stride,
        options.rate, size, options.crop_order, options.average,
    )  # fmt: skip
    brought = importing.bring(
        source,
        options.output,
        options.layout,
        known=known,
        labels=importing.Said(options.labels, options.reader) if options.labels is not None else None,
        from_name=options.labels_from_name,
        stored=options.stored,
        axes=options.axes,
        lists=Lists.of(options.train_list, options.test_list, options.gt),
    )
    if options.json:
        _json({**{k: v for k, v in vars(brought).items() if k != "quarantine"}, "aside": brought.quarantine.reasons})
    else:
        print("\n".join(brought.lines(options.output)))
    return 3 if brought.quarantine.reasons else 0


def _verify(options: Options, source: str) -> int:
    from wherewhen.feature_stores.diff import verify
    from wherewhen.feature_stores.sheets import matched, sheets
    from wherewhen.feature_stores.trials import concluded, tried

    if options.other is None:
        from wherewhen.errors import ConfigError

        raise ConfigError("features verify: name two: wherewhen features verify A B")
    a, b = matched(sheets(source), sheets(options.other))
    found = verify(a, b, options.tolerance)
    trials = []
    if options.video is not None:
        trials = tried(
            a, b, options.video,
            backbone=options.backbone, settings=options.settings, clips=options.clips, trust=options.trust,
        )  # fmt: skip
        found = concluded(found, trials)
    if options.json:
        _json({**found.plain(), "trials": [vars(trial) for trial in trials]})
        return int(not found.equal)
    _table("clip by clip", [row.plain() for row in found.rows])
    _table("likely causes, the first one first", [{"cause": c.name, "evidence": c.told} for c in found.causes])
    _table("clips looked at again, the nearest first", [vars(trial) for trial in trials])
    print("equal" if found.equal else "not equal")
    return int(not found.equal)


def _json(value: Any) -> None:
    import json

    from wherewhen.store import plain

    print(json.dumps(plain(value), indent=1, default=str))


def _table(title: str, rows: list[dict[str, Any]]) -> None:
    from rich.table import Table

    from wherewhen.console import tables

    if not rows:
        return
    table = Table(*rows[0], title=title)
    for row in rows:
        told = (f"{v:.6g}" if isinstance(v, float) else "-" if v is None else str(v) for v in row.values())
        table.add_row(*told)
    tables().print(table)
