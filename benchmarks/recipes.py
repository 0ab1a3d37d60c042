"""How long a training step of each recipe on published features takes, for ``wherewhen reproduce --list``.

    python benchmarks/recipes.py [NAME ...]

Seeded features of the published length, number of segments and crops; steps with 1 and 2 bags of each label give a
fixed part and a part per bag, and so the time with the published number of bags. Processor seconds of one thread, the
lower of two steps each: other load on the machine changes them little. Reading features is not included. Results go to
``src/wherewhen/recipes/measured.json``.
"""

from __future__ import annotations

import json
import sys
import time

import torch

from wherewhen.api import recipes
from wherewhen.api.recipes import MEASURED, Recipe
from wherewhen.core.contracts import View
from wherewhen.inference.model_config import ModelConfig
from wherewhen.training import loop


def batch(recipe: Recipe, config: ModelConfig, bags: int) -> tuple[dict[str, View], torch.Tensor]:
    """Seeded bags of each label, as training gets them: all crops of a video, or one sequence."""
    assert recipe.files is not None
    settings = config.settings[config.method]
    crops = recipe.files.crops if recipe.settings.get("joint") else 1
    steps = settings.segments or 32
    torch.manual_seed(0)
    features = torch.randn(2 * bags, steps * crops, recipe.files.length)
    extents = torch.zeros(*features.shape[:2], 6)
    mask = torch.ones(features.shape[:2], dtype=torch.bool)
    view = View(features, extents, -mask.long(), mask, ((steps, 1, crops),) * len(features))
    return {config.scored: view}, torch.arange(2 * bags) % 2 * 1.0


def seconds(recipe: Recipe, bags: int) -> float:
    """Processor seconds of a step with so many bags of each label."""
    assert recipe.files is not None
    config = ModelConfig.of(recipe.model())
    state = loop.State.begun(config, {config.scored: recipe.files.length}, "cpu")
    views, labels = batch(recipe, config, bags)
    taken = []
    for _ in range(2):
        start = time.process_time()
        output = state.method(views)
        loss = torch.stack(list(state.method.loss(output, views, labels).values())).sum()
        state.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        state.optimizer.step()
        taken.append(time.process_time() - start)
    return min(taken)


def main(names: list[str]) -> None:
    """Measure the recipes and write the file."""
    torch.set_num_threads(1)
    measured = json.loads(MEASURED.read_text("utf-8")) if MEASURED.exists() else {}
    for name in names or [name for name in recipes.names() if recipes.read(name).files]:
        recipe = recipes.read(name)
        one, two = seconds(recipe, 1), seconds(recipe, 2)
        each = max(two - one, 0.0)
        measured[name] = round(max(one - each, 0.0) + each * recipe.training.bags, 3)
        print(
            f"{name}: 1 bag {one:.3f} s, 2 bags {two:.3f} s, {recipe.training.bags} bags {measured[name]} s", flush=True
        )
        MEASURED.write_text(json.dumps(dict(sorted(measured.items())), indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
