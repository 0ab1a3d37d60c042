"""Recipes of system C against the text of Wu et al., IJCAI 2021: values with their place, and numbers of tables."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from wherewhen.api import recipes
from wherewhen.inference.model_config import ModelConfig

SHARED = Path(os.environ.get("WHEREWHEN_SHARED", Path(__file__).parents[2] / "../shared")) / "seeds"
PAGE = Path(__file__).parents[2] / "docs" / "methods" / "mgpr.md"
C_ROWS = [name for name in recipes.names() if recipes.read(name).data.reader in ("st_ucf_crime", "stra")]
Check = Callable[[ModelConfig], bool]

TEXT: list[tuple[str, str, Check]] = [
    ("3.1", "multivariate tube contains multiple intersecting objects",
     lambda c: c.sections["tubes"].shape.multivariate and c.sections["tubes"].shape.unions == "groups"),
    ("3.2", "deploys $H$ ( $H = 8$ )", lambda c: c.sections["mgpr"].heads == 8),
    ("3.2", "pre-trained C3D model", lambda c: c.backbone == "c3d"),
    ("3.2", "three-layer fully connected neural network (abnormal score predictor)",
     lambda c: (c.sections["mgpr"].hidden, c.sections["mgpr"].middle, c.sections["mgpr"].dropout) == (512, 32, 0.6)),
    ("3.3", "obtained from the inside of tubes (region-level)", lambda c: c.sections["tubes"].features == "crop"),
    ("3.3", "we first freeze the tube branch", lambda c: c.sections["mgpr"].ranking == "guided"),
    ("3.3", "combined to optimize the proposed framework jointly", lambda c: c.sections["mgpr"].entropy),
    ("3.4", "we evenly divide each instance into $M$ hypothetical tube instances",
     lambda c: c.sections["tubes"].whole_in_training and c.sections["tubes"].part == pytest.approx(64 / 30, abs=1e-4)),
    ("3.4", "retrieve the top-1 tube",
     lambda c: c.sections["tubes"].track == "part" and c.sections["regions"].within is None),
    ("3.4", "an aggregate function that averages scores from two branches",
     lambda c: c.sections["mgpr"].branches == "both" and c.sections["regions"].smooth_seconds == 0),
    ("5.1", "We feed each 16-frame image sequence", lambda c: c.sections["c3d"].stride == 16),
    ("5.1", "extract the features from the *fc6* layer", lambda c: c.sections["c3d"].layer == "fc6"),
    ("3.2", "in \\mathbb{R}^{d_k \\times n}$", lambda c: c.sections["mgpr"].width == 4096),
    ("5.1", "randomly choose 30 positive and 30 negative bags", lambda c: c.training.bags == 30),
    ("5.1", "the number of instances per bag is limited to 200", lambda c: c.sections["mgpr"].instances == 200),
    ("5.1", "optimized via Adam optimizer with the learning rate of 0.0005",
     lambda c: (c.training.optimizer, c.training.learning_rate) == ("adam", 0.0005)),
]  # fmt: skip


@pytest.fixture(scope="module")
def paper() -> str:
    """The text of the paper in the shared material, as one line."""
    paths = sorted(SHARED.glob("003_*.txt"))
    if not paths:
        pytest.skip("needs the text of the paper in ../shared/seeds")
    return " ".join(paths[0].read_text("utf-8").replace("  ", " ").split())


@pytest.mark.parametrize("name", ["mgpr", "mgpr_stra"])
@pytest.mark.parametrize(("section", "quote", "holds"), TEXT, ids=[quote[:40] for _, quote, _ in TEXT])
def test_a_setting_is_that_of_the_text(name: str, section: str, quote: str, holds: Check) -> None:
    assert holds(ModelConfig.of(recipes.read(name).model())), f"section {section}: {quote}"


def test_the_quotes_are_in_the_text(paper: str) -> None:
    assert [quote for _, quote, _ in TEXT if quote not in paper] == []
    assert "obtain the score from the outputs of $\\mathcal{R}+\\mathcal{D}$ network" in paper


@pytest.mark.parametrize("name", C_ROWS)
def test_numbers_are_those_of_the_tables(name: str, paper: str) -> None:
    """Each is in its table; "Bold" marks and ticks are left out."""
    bounds = {"table 1": ("Table 1:", "3.4 Inference"), "table 2": ("Table 2:", "Table 3:")}
    bounds |= {
        "table 3": ("Table 3:", "5.3 Ablation"),
        "table 4": ("Table 4:", "Table 5:"),
        "table 5": ("Table 5:", "ences"),
    }
    for expected in recipes.read(name).expect:
        first, last = bounds[expected.source]
        table = paper[paper.index(first) : paper.index(last, paper.index(first))]
        assert expected.value is not None and f"{100 * expected.value:.2f}" in table, expected


def test_alocc_is_scored_by_both_networks() -> None:
    """Section 5.4: "obtain the score from the outputs of R+D network", which is D(R(x))."""
    assert all(recipes.read(name).settings["score"] == "refined" for name in ("alocc", "alocc_stra"))


@pytest.mark.parametrize("name", [name for name in C_ROWS if not name.startswith("alocc")])
def test_rows_of_one_table_have_the_same_tubes(name: str) -> None:
    base, recipe = recipes.read("mgpr"), recipes.read(name)
    assert (recipe.videos, recipe.regions, recipe.metrics) == (base.videos, base.regions, base.metrics)


def test_the_page_has_every_ablation_with_its_numbers() -> None:
    lines = PAGE.read_text("utf-8").splitlines()
    for name in ("mgpr", "mgpr_stra"):
        recipe = recipes.read(name)
        assert set(recipe.ablations) == {
            row.row for row in recipe.expect if row.source in ("table 2", "table 3", "table 4")
        }
        for expected in recipe.expect:
            if expected.row in recipe.ablations:
                assert any(line.startswith(f"| {expected.row} |") and expected.text[1:] in line for line in lines), (
                    expected
                )
