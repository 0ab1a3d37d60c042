"""Export a model to ONNX, OpenVINO or TorchScript, with proof that it finds the same."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from wherewhen.cli.needs import Fits, one_model
from wherewhen.cli.verb import Verb


@dataclass(frozen=True)
class Options:
    """Options of ``export``.

    Args:
        model: run folder of a trained, adapted or calibrated model; default: runs/latest. It is not changed.
        format: library that runs the exported networks: ONNX Runtime, OpenVINO, or torch (code: needs --trust).
        output: run folder to write; default: a new one below runs/.
        videos: file, folder or glob of videos that both models are compared on; default: up to four training videos of
            the run, or two drawn ones.
        tolerance: largest absolute deviation of scores, heat maps and other sizes that is accepted.
        which: best (by validation) or last checkpoint.
        trust: run the code in the TorchScript file that the model names, if it names one.
        json: print the result as JSON instead of text.
    """

    model: str = "runs/latest"
    format: Literal["onnx", "openvino", "torchscript"] = "onnx"
    output: str | None = None
    videos: str | None = None
    tolerance: float = 1e-3
    which: Literal["best", "last"] = "best"
    trust: bool = False
    json: bool = False


def run(options: Options) -> int:
    """Export, and print the comparison with the original."""
    from pathlib import Path

    from wherewhen.api import exporting, runs
    from wherewhen.core.console import print_json
    from wherewhen.runtime.graphs import CODE

    folder = Path(options.output) if options.output else runs.next_folder("runs", "export")
    _, record = exporting.export(
        options.model, options.format, folder, videos=options.videos, tolerance=options.tolerance,
        which=options.which, trust=options.trust,
    )  # fmt: skip
    consent = " --trust" if options.format in CODE else ""
    following = f"wherewhen detect VIDEO --model {folder} --output found/{consent}"
    if options.json:
        print_json({"output": folder, **record, "next": following})
        return 0
    count = len(record["videos"])
    print(
        f"method {record['method']}: {record['run_by']}, {record['precision']}; backbone: {record['backbone']}\n"
        f"largest deviation: scores {record['score']:.2g}, heat maps {record['heat']:.2g}, other sizes "
        f"{record['sizes']:.2g} (allowed: {record['tolerance']:g})\n"
        f"events: {record['events']}, changed: {record['changed']}; {count} videos, {record['seconds']:.0f} s\n"
        f"model: {folder}\nnext:  {following}"
    )
    return 0


VERB = Verb("start", Options, run, needs=(Fits(("which",), one_model, note="run folders only"),))
