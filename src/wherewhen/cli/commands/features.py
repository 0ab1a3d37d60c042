"""Compare two stores of features and find why they differ, or import features of other tools."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from wherewhen.cli.needs import Fits, Need, Sections, no_clips, of_named
from wherewhen.cli.verb import Verb
from wherewhen.core.console import print_json


@dataclass(frozen=True)
class Options:
    """Options of ``features``.

    For import, --backbone NAME and its settings declare what made the features; for verify they choose the network that
    processes the clips of --video.

    Args:
        action: verify (compare two stores, exit code 1 where they differ) or import (read files of other tools).
        source: store, file of features or npy file; for import the folder of files.
        other: store or file to compare with.
        tolerance: relative error up to which clips are equal.
        video: video that both were made of; a few of its clips are processed in several ways, to find how the second
            features were made.
        clips: number of these clips.
        trust: run the code in the TorchScript file that the backbone's settings name, if they name one.
        layout: how the files are arranged.
        output: store to write.
        labels: table path,label[,class][,seconds][,split][,camera], or folder of a data set with labels, folds, truth.
        reader: name of that data set's reader (wherewhen list datasets); default: the one that recognizes the folder.
        labels_from_name: take labels from names as in UCF-Crime, MSAD, XD-Violence or ShanghaiTech where no table has
            one.
        train_list: list of training features as published code ships it; only file names in its paths are used.
        test_list: list of test features.
        gt: npy file of frame labels of the test list's videos, one after the other.
        axes: time-first (T, D) or time-last (D, T); auto takes the first and refuses what looks like the other.
        frames_per_clip: frames of each clip.
        stride: frames from one clip to the next; default: the frames of a clip.
        rate: frames per second of the videos.
        width: width of the videos in px, for the places of crops.
        height: height of the videos in px.
        crop_order: order of the crops; default: the layout's.
        average: keep the mean of all crops instead of each.
        stored: float32 keeps features exact; float16 halves the size of the store.
        json: print the result as JSON instead of text.
    """

    action: Literal["verify", "import"]
    source: str
    other: str | None = None
    tolerance: float = 1e-3
    video: str | None = None
    clips: int = 4
    trust: bool = False
    layout: Literal["auto", "rtfm", "deepmil", "vadclip", "xd5", "sultani"] = "auto"
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
    crop_order: Literal["corners-first", "center-first", "unknown"] | None = None
    average: bool = False
    stored: Literal["float32", "float16"] = "float32"
    json: bool = False


def run(options: Options, settings: dict[str, Any]) -> int:
    """Print the result; exit code 1 where stores differ, 3 where files are in quarantine."""
    return {"verify": _verify, "import": _import}[options.action](options, settings)


def _import(options: Options, settings: dict[str, Any]) -> int:
    from wherewhen.core.errors import ConfigError
    from wherewhen.data_tools.features import importing, layouts
    from wherewhen.data_tools.features.published import Lists

    if options.output is None:
        raise ConfigError("features import needs a place to write the store: --output STORE")
    if (options.width is None) != (options.height is None):
        raise ConfigError("give both --width and --height of the videos, or none")
    size = (options.width, options.height) if options.width and options.height else None
    declared = importing.Known(
        settings.get("backbone", layouts.UNKNOWN), _of(settings), options.frames_per_clip, options.stride,
        options.rate, size, options.crop_order, options.average,
    )  # fmt: skip
    brought = importing.bring(
        options.source,
        options.output,
        options.layout,
        metadata=declared,
        labels=importing.Said(options.labels, options.reader) if options.labels is not None else None,
        from_name=options.labels_from_name,
        stored=options.stored,
        axes=options.axes,
        lists=Lists.of(options.train_list, options.test_list, options.gt),
    )
    if options.json:
        counts = {key: value for key, value in vars(brought).items() if key != "quarantine"}
        print_json({**counts, "quarantine": brought.quarantine.reasons})
    else:
        print("\n".join(brought.lines(options.output)))
    return 3 if brought.quarantine.reasons else 0


def _of(settings: dict[str, Any]) -> dict[str, Any] | None:
    """Settings of the backbone that is named; None without any."""
    backbone_settings: dict[str, Any] | None = settings.get(settings.get("backbone", ""))
    return backbone_settings


def _verify(options: Options, settings: dict[str, Any]) -> int:
    from wherewhen.data_tools.features.diff import verify
    from wherewhen.data_tools.features.sheets import matched, sheets
    from wherewhen.data_tools.features.trials import concluded, tried

    if options.other is None:
        from wherewhen.core.errors import ConfigError

        raise ConfigError("features verify compares two: wherewhen features verify A B")
    a, b = matched(sheets(options.source), sheets(options.other))
    verdict = verify(a, b, options.tolerance)
    trials = []
    if options.video is not None:
        trials = tried(
            a, b, options.video,
            backbone=settings.get("backbone"), settings=_of(settings), clips=options.clips, trust=options.trust,
        )  # fmt: skip
        verdict = concluded(verdict, trials)
    if options.json:
        print_json({**verdict.plain(), "trials": [vars(trial) for trial in trials]})
        return int(not verdict.equal)
    _table("clip by clip", [row.plain() for row in verdict.rows])
    _table("likely causes, the most likely first", [{"cause": c.name, "evidence": c.told} for c in verdict.causes])
    _table("clips processed in other ways, the nearest first", [vars(trial) for trial in trials])
    print("equal" if verdict.equal else "not equal")
    return int(not verdict.equal)


def _table(title: str, rows: list[dict[str, Any]]) -> None:
    from rich.table import Table

    from wherewhen.core.console import tables

    if not rows:
        return
    table = Table(*rows[0], title=title)
    for row in rows:
        cells = (f"{v:.6g}" if isinstance(v, float) else "-" if v is None else str(v) for v in row.values())
        table.add_row(*cells)
    tables().print(table)


VERB = Verb(
    "research",
    Options,
    run,
    places=("other",),
    model_options=("backbone",),
    needs=(
        Need(("other", "tolerance", "video", "clips", "trust"), "action", ("verify",)),
        Need(
            (
                "layout", "output", "labels", "reader", "labels_from_name", "train_list", "test_list", "gt", "axes",
                "frames_per_clip", "stride", "rate", "width", "height", "crop_order", "average", "stored",
            ),
            "action",
            ("import",),
        ),
        Fits(("clips", "trust", "backbone"), no_clips, "add --video FILE, or leave it out",
            "for verify only with --video"),
        Need(("reader",), "labels", True, "it reads the data set that has the labels"),
        Need(("gt",), "test_list", True, "frame labels follow the order of a list"),
        Need(("width",), "height"),
        Need(("height",), "width"),
        Need(("stride",), "frames_per_clip", True, "alone it gives no times"),
        Sections(of_named),
    ),
)  # fmt: skip
