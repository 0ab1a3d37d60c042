"""Recipes of systems A, B and D against what is written about each: a setting or number, its value, and its place."""

from __future__ import annotations

from typing import Any

import pytest

from wherewhen.api import recipes
from wherewhen.core.config import flat
from wherewhen.inference.model_config import ModelConfig

A = "the summary of arXiv 2605.13746: "
SULTANI = "the code of Sultani et al., CVPR 2018, in the port by an author of arXiv 2605.13746: "
B = "the earlier code of the first author of arXiv 2606.29498: "
REWARD = "the code of REWARD, WACV 2024: "
D = "the summary of arXiv 2408.05905: "
VADCLIP = "the code of VadCLIP, by the group of arXiv 2408.05905: "

WRITTEN: list[tuple[str, str, Any, str]] = [
    ("cuboid_mil", "i3d.layer", "mixed_4e", A + 'methodology, "I3D features from the sixth inception module (4e)"'),
    ("cuboid_mil", "cells.rows", 7, A + 'methodology, "49 spatiotemporal cuboids (2x2 spatial splits)" of 14 x 14'),
    ("cuboid_mil", "cells.columns", 7, A + "the same"),
    ("cuboid_mil", "cells.steps", 1, A + "the same: 49 in each clip"),
    ("cuboid_mil", "cuboid_mil.top", 0.0, A + 'methodology, "the max score in the anomalous bag exceeds"'),
    ("cuboid_mil", "cuboid_mil.margin", 1.0, SULTANI + "the ranking loss"),
    ("cuboid_mil", "cuboid_mil.hidden", 512, SULTANI + "the classifier"),
    ("cuboid_mil", "cuboid_mil.middle", 32, SULTANI + "the classifier"),
    ("cuboid_mil", "cuboid_mil.dropout", 0.6, SULTANI + "the classifier"),
    ("cuboid_mil", "cuboid_mil.segments", 32, SULTANI + "segments of a video"),
    ("cuboid_mil", "training.optimizer", "adagrad", SULTANI + "the optimizer"),
    ("cuboid_mil", "training.learning_rate", 0.01, SULTANI + "the optimizer"),
    ("cuboid_mil", "training.bags", 30, SULTANI + "30 + 30 bags"),
    ("cuboid_mil", "expect.ucfcrime2local_frame", 0.68, A + 'key results, "an AUC of 68%"'),
    ("proximity", "uniformer.layer", "stage4", B + "in_channels=512, the width of the last stage"),
    ("proximity", "cells.rows", 7, B + "grid_size=(7, 7)"),
    ("proximity", "cells.columns", 7, B + "grid_size=(7, 7)"),
    ("proximity", "proximity.width", 512, B + "in_channels=512"),
    ("proximity", "proximity.extraction", "spatial", "figure 2 of arXiv 2606.29498: patch map extraction"),
    ("proximity", "proximity.proximity", True, "the abstract of arXiv 2606.29498: proximity-aware top-k"),
    ("proximity", "proximity.patches", "relative", B + "process_patches, 3x3 mean, then scaled per frame"),
    ("proximity", "expect.tiou_patch_raw", None, "the tables of arXiv 2606.29498 were not available"),
    ("reward", "uniformer.frames", 192, REWARD + "segments of 192 frames"),
    ("reward", "uniformer.sampling", 6, REWARD + "32 of 192 frames"),
    ("reward", "uniformer.middle", True, REWARD + "center crop of 224 x 224 of the native frame"),
    ("reward", "uniformer.size", [224, 224], REWARD + "center crop of 224 x 224 of the native frame"),
    ("reward", "uniformer.bgr", True, REWARD + "frames are converted from RGB to BGR"),
    ("reward", "uniformer.layer", "pooled", REWARD + "the head is the identity, 512 numbers"),
    ("reward", "reward.neighbors", 20, REWARD + "distance to the 20 nearest segments"),
    ("reward", "reward.seed", 0.8, REWARD + "segments above .8 are seeds"),
    ("reward", "reward.width", 1000, REWARD + "perceptron 512-1000-1000-512-1"),
    ("reward", "reward.last", 512, REWARD + "perceptron 512-1000-1000-512-1"),
    ("reward", "training.learning_rate", 1e-4, REWARD + "Adam of the perceptron"),
    ("reward", "training.weight_decay", 1e-4, REWARD + "Adam of the perceptron"),
    ("reward", "expect.frame_auc", 0.869, "the README of REWARD: 86.9 in the paper"),
    ("reward_xd", "expect.frame_ap_trapezoid", 0.8026, "the name of REWARD's checkpoint: 80.26"),
    ("stprompt", "stprompt.frame", "embedding", D + 'component map, "CLIP image encoder -> frame-level features"'),
    ("stprompt", "stprompt.choose", "motion", D + 'mechanism 1, "selects patches with highest motion"'),
    ("stprompt", "stprompt.adapter", "distance", D + 'mechanism 2, "relative distance-based attention"'),
    ("stprompt", "stprompt.place", "words", D + 'mechanism 3, "queries to retrieve anomalous patches"'),
    ("stprompt", "stprompt.segments", 256, VADCLIP + "visual length"),
    ("stprompt", "stprompt.top", 16, VADCLIP + "k = length / 16 + 1"),
    ("stprompt", "stprompt.temperature", 0.07, VADCLIP + "the temperature"),
    ("stprompt", "stprompt.prefix", 10, VADCLIP + "prompt prefix"),
    ("stprompt", "stprompt.suffix", 10, VADCLIP + "prompt postfix"),
    ("stprompt", "clip.variant", "b16", D[:-2] + ", section on features, in a reading note: CLIP ViT-B/16"),
    ("stprompt", "clip.stride", 16, VADCLIP + "one frame of 16"),
    ("stprompt", "training.optimizer", "adamw", VADCLIP + "the optimizer"),
    ("stprompt", "training.learning_rate", 2e-5, VADCLIP + "the optimizer for UCF-Crime"),
    ("stprompt", "training.bags", 64, VADCLIP + "64 + 64 videos"),
    ("stprompt", "expect.frame_auc", 0.8808, D + 'quick facts, "88.08% AUC on UCF-Crime"'),
    ("stprompt", "expect.tiou_raw", 0.239, D + 'quick facts, "23.90% TIoU on spatial localization"'),
    ("stprompt_shanghaitech", "expect.frame_auc", 0.978, "tables of surveys: STPrompt on ShanghaiTech 97.8"),
    ("stprompt_ubnormal", "expect.frame_auc", 0.64, "tables of surveys: STPrompt on UBnormal 64.0"),
    ("rtfm_xd", "expect.frame_ap_trapezoid", 0.7781, "table 1 of SST-WSVADL, row RTFM"),
    ("pel4vad_shanghaitech", "expect.frame_auc", 0.9814, "the README of PEL4VAD"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "key", "value", "place"), WRITTEN)
def test_a_recipe_has_the_written_value(name: str, key: str, value: Any, place: str) -> None:
    recipe = recipes.read(name)
    numbers = {f"expect.{number.metric}": number.value for number in recipe.expect}
    settings = flat(ModelConfig.of(recipe.model()).plain()) | numbers
    found = settings[key]
    assert (list(found) if isinstance(found, tuple) else found) == value, place


def test_every_recipe_of_these_systems_is_compared() -> None:
    methods = {name: recipes.read(name).method for name in recipes.names()}
    systems = {name for name, method in methods.items() if method in ("cuboid_mil", "proximity", "reward", "stprompt")}
    assert systems <= {name for name, *_ in WRITTEN}
