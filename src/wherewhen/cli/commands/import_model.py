"""Turn published weights of a method, as its authors' code saves them, into a model for detect and evaluate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from wherewhen.cli.needs import Need, Sections, any_backbone, of_untrained
from wherewhen.cli.verb import Verb


@dataclass(frozen=True)
class Options:
    """Options of ``import-model``.

    Args:
        file: weights as the authors' code saves them (.pkl, .pth, .pt, .safetensors); no code in it is run.
        output: run folder to write; default: a new one below runs/.
        features: store of imported features that the model is for, in place of a backbone.
        json: print the result as JSON instead of text.
    """

    file: str
    output: str | None = None
    features: str | None = None
    json: bool = False


def run(options: Options, settings: dict[str, Any]) -> int:
    """Write the run folder and print what comes next."""
    from pathlib import Path

    from wherewhen.api import checkpoints, runs
    from wherewhen.core.console import print_json
    from wherewhen.core.errors import ConfigError

    method = settings.pop("method", None)
    if method is None:
        raise ConfigError(f"import-model needs --method, one of {', '.join(checkpoints.importable())}")
    folder = Path(options.output) if options.output else runs.next_folder("runs", str(method))
    model = checkpoints.import_model(options.file, method, folder, settings=settings, features=options.features)
    following = runs.following(model.config, options.features or "DATA", folder)
    if options.json:
        print_json({"output": folder, "method": method, "backbone": model.config.backbone, "next": following})
    else:
        print(f"model: {folder} ({model.config.summary})\nnext:  {following}")
    return 0


VERB = Verb(
    "models",
    Options,
    run,
    model_options=("backbone", "method", "localizer", "crops", "crop_mode", "test_crop", "gate", "movers"),
    needs=(
        Need(("backbone", "crops", "gate"), "features", False, "the store has the features"),
        Sections(of_untrained, others=any_backbone),
    ),
)
