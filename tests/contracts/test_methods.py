"""What every method keeps to, whoever wrote it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from functools import cache, partial
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from wherewhen.core import registry
from wherewhen.core.config import build
from wherewhen.core.contracts import Output, StagedMethod, Training, View
from wherewhen.core.errors import ConfigError
from wherewhen.core.store import plain
from wherewhen.core.values import Bag, Instances, Masks
from wherewhen.inference.model import Model
from wherewhen.inference.model_config import ModelConfig
from wherewhen.inference.packing import view
from wherewhen.training import fit

METHODS = registry.names("methods")
MakeBag = Callable[..., Bag]

pytestmark = [pytest.mark.parametrize("name", METHODS), pytest.mark.usefixtures("all_builders")]


def plugin(name: str) -> Any:
    return registry.load("methods", name)


def length(name: str) -> int:
    """Of the features of toy bags: a method that can't do with any says which one it can."""
    return plugin(name).abilities.feature_length or 6


def stages(name: str) -> int:
    """Parts that training is cut into."""
    method = made(name)
    return method.stages if isinstance(method, StagedMethod) else 1


def made(name: str, config: Any = None) -> Any:
    """A fresh method, with its default settings unless told otherwise."""
    torch.manual_seed(0)
    cls = plugin(name)
    return cls(config or cls.Config(), dict.fromkeys(cls.views, length(name)))


def choices(name: str) -> list[Any]:
    """Settings that differ from the defaults in one word, switch or optional number each."""
    default, found = plugin(name).Config(), []
    hints = get_type_hints(type(default))
    for setting in fields(default):
        now, hint = getattr(default, setting.name), hints[setting.name]
        others: list[Any] = [not now] if isinstance(now, bool) else []
        if get_origin(hint) is Literal:
            others = [word for word in get_args(hint) if word != now]
        elif type(None) in get_args(hint) and now is not None:
            others = [None]
        found += [replace(default, **{setting.name: other}) for other in others]
    return found


def packed(bags: list[Bag]) -> tuple[dict[str, View], torch.Tensor]:
    views = {key: view([bag.views[key] for bag in bags]) for key in bags[0].views}
    return views, torch.tensor([float(bag.video.label or 0) for bag in bags])


def run(method: Any, bags: list[Bag], seed: int = 0) -> Output:
    torch.manual_seed(seed)
    with torch.no_grad():
        answer: Output = method(packed(bags)[0])
    return answer


@pytest.fixture
def toy_bag(name: str, toy_bag: MakeBag) -> MakeBag:
    """Makes a procedural bag with features of the length that the method can do with."""
    return partial(toy_bag, dims=length(name))


@pytest.fixture
def mixed(name: str, toy_bag: MakeBag) -> list[Bag]:
    """Six bags of different lengths, both labels."""
    return [toy_bag(n, n % 2, 4 + 3 * (n % 3), views=plugin(name).views) for n in range(6)]


def test_it_describes_itself(name: str) -> None:
    cls = plugin(name)
    assert cls.source.title and cls.source.citation
    assert isinstance(cls.schedule, Training)
    assert cls.views and set(cls.views) <= set(registry.names("instances"))
    reach = made(name).reach
    assert reach is None or reach >= 0


def test_an_emptied_instance_has_no_score(name: str, toy_bag: MakeBag) -> None:
    """That is how a wrong place is kept out of training, see `wherewhen.training.verdicts.in_place`."""
    bag = toy_bag(1, 1, 6, views=plugin(name).views)
    views = {key: replace(part, features=part.features.copy()) for key, part in bag.views.items()}
    for part in views.values():
        part.features.flags.writeable = True
        part.features[np.random.default_rng(5).random(len(part.features)) < 0.4] = 0  # the same rows in all views
    first = views[plugin(name).views[0]]
    for mode in (False, True):
        scores = run(made(name).train(mode), [replace(bag, views=views)]).scores[0, : len(first.features)].numpy()
        empty = ~first.features.any(1)
        assert empty.any() and not scores[empty].any() and scores[~empty].any()


def test_scores_lie_between_0_and_1_and_are_0_where_nothing_is(name: str, mixed: list[Bag]) -> None:
    for mode in (False, True):
        method, (views, _) = made(name).train(mode), packed(mixed)
        scores, mask = run(method, mixed).scores, views[method.views[0]].mask
        assert scores.shape == mask.shape and scores.dtype == torch.float32
        assert torch.isfinite(scores).all() and scores.min() >= 0 and scores.max() <= 1
        assert (scores[~mask] == 0).all()
        assert (~mask).any()


def test_the_order_of_bags_changes_nothing(name: str, mixed: list[Bag]) -> None:
    method, order = made(name).eval(), [3, 0, 5, 1, 4, 2]
    straight, turned = run(method, mixed).scores, run(method, [mixed[i] for i in order]).scores
    torch.testing.assert_close(turned, straight[order], rtol=1e-5, atol=1e-6)


def test_a_bag_alone_scores_as_in_a_batch(name: str, mixed: list[Bag]) -> None:
    """Which also says that padding changes nothing: alone, a bag has none."""
    method = made(name).eval()
    together = run(method, mixed).scores
    for row, bag in zip(together, mixed, strict=True):
        alone = run(method, [bag]).scores[0]
        torch.testing.assert_close(row[: len(alone)], alone, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("mode", [False, True])
def test_what_padding_holds_changes_nothing(name: str, mixed: list[Bag], mode: bool) -> None:
    method = made(name).train(mode)
    views, labels = packed(mixed)
    torch.manual_seed(0)
    with torch.no_grad():
        clean = method(views)
        before = method.loss(clean, views, labels)
        for one in views.values():
            one.features[~one.mask] = 1e3
            one.extents[~one.mask] = 7.0
            one.track[~one.mask] = 99
        torch.manual_seed(0)
        dirty = method(views)
        after = method.loss(dirty, views, labels)
    torch.testing.assert_close(dirty.scores, clean.scores, rtol=1e-5, atol=1e-6)
    assert after.keys() == before.keys()
    for term, value in before.items():
        torch.testing.assert_close(after[term], value, rtol=1e-5, atol=1e-6)


def test_in_training_a_bag_does_not_see_the_others(name: str, mixed: list[Bag], toy_bag: MakeBag) -> None:
    method = made(name).train()
    first = [toy_bag(0, 1, 6, views=method.views), toy_bag(1, 0, 9, views=method.views)]
    second = [first[0], toy_bag(2, 1, 9, views=method.views)]
    assert not torch.equal(run(method, first).scores[1], run(method, second).scores[1])
    assert torch.equal(run(method, first).scores[0], run(method, second).scores[0])


def changed_outside(rows: Instances, start: float, end: float) -> Instances:
    """The same instances, other features outside of some seconds."""
    far = (rows.extents[:, 1] <= start) | (rows.extents[:, 0] >= end)
    features = np.where(far[:, None], rows.features[::-1] * 3 + 1, rows.features)
    return Instances(features, rows.extents, rows.track, rows.shape)


def test_nothing_outside_its_reach_matters(name: str, toy_bag: MakeBag) -> None:
    method = made(name).eval()
    reach = method.reach
    if reach is None:
        reach = float("inf")
    bag = toy_bag(1, 1, 40, views=method.views)
    rows = bag.views[method.views[0]]
    before = run(method, [bag]).scores[0].numpy()
    for moment in (3.0, 20.0, 39.0):
        here = (rows.extents[:, 0] <= moment) & (rows.extents[:, 1] > moment)
        start, end = rows.extents[here, 0].min() - reach, rows.extents[here, 1].max() + reach
        other = Bag(bag.video, {view: changed_outside(one, start, end) for view, one in bag.views.items()})
        after = run(method, [other]).scores[0].numpy()
        np.testing.assert_allclose(after[here], before[here], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("labels", [(0, 0, 0), (1, 1, 1), (0,), (1,), (0, 1, 1, 1)])
@pytest.mark.parametrize("mode", [False, True])
def test_losses_are_finite_whatever_the_batch(name: str, labels: tuple[int, ...], mode: bool, toy_bag: MakeBag) -> None:
    method = made(name).train(mode)
    bags = [toy_bag(n, label, 1 + 4 * n, views=method.views) for n, label in enumerate(labels)]
    views, truth = packed(bags)
    terms = method.loss(method(views), views, truth)
    assert terms and all(isinstance(key, str) for key in terms)
    assert all(value.shape == () and torch.isfinite(value) for value in terms.values())
    total = torch.stack(list(terms.values())).sum()
    if total.requires_grad:
        total.backward()
        assert all(p.grad is None or torch.isfinite(p.grad).all() for p in method.parameters())


def test_every_choice_of_settings_works(name: str, mixed: list[Bag]) -> None:
    for config in choices(name):
        method = made(name, config)
        views, labels = packed(mixed)
        terms = method(views), views, labels
        assert all(torch.isfinite(value) for value in method.loss(*terms).values()), config
        together = run(method.eval(), mixed).scores
        for row, bag in zip(together, mixed, strict=True):
            alone = run(method, [bag]).scores[0]
            torch.testing.assert_close(row[: len(alone)], alone, rtol=1e-5, atol=1e-6)


def test_every_ablation_differs_from_the_defaults_and_works(name: str, mixed: list[Bag]) -> None:
    """Those of its own settings; what another part changes is looked at in the tests of the benchmark."""
    cls = plugin(name)
    own = {field.name for field in fields(cls.Config)}
    changes = {row: change for row, change in cls.abilities.ablations.items() if set(change) <= own}
    assert changes
    configs = [build(cls.Config, change, name) for change in changes.values()]
    assert all(config != cls.Config() for config in configs)
    assert len({repr(config) for config in configs}) == len(configs)
    for row, config in zip(changes, configs, strict=True):
        method, (views, labels) = made(name, config).train(), packed(mixed)
        assert all(torch.isfinite(value) for value in method.loss(method(views), views, labels).values()), row
        scores = run(method.eval(), mixed).scores
        assert torch.isfinite(scores).all() and scores.min() >= 0 and scores.max() <= 1, row


def test_it_trains_with_matrix_products_in_bf16(name: str, toy_bags: Callable[..., list[Bag]]) -> None:
    """In every stage; as ``--training.precision bf16`` asks for it."""
    how = {"steps": 2 * stages(name), "precision": "bf16"}
    config = ModelConfig.of({"method": name, "instances": plugin(name).views[0], "training": how})
    bags = toy_bags(8, views=plugin(name).views, dims=length(name))
    torch.manual_seed(0)
    before = made(name).state_dict()
    model = fit.fit(bags, config, device="cpu").last
    for key, value in model.method.state_dict().items():
        assert torch.isfinite(value).all() and value.dtype == before[key].dtype, key
    scores = model.scores(model.normalized(bags[1].views))
    assert np.isfinite(scores).all() and scores.min() >= 0 and scores.max() <= 1


def test_every_parameter_learns(name: str, mixed: list[Bag]) -> None:
    method = made(name).train()
    views, labels = packed(mixed)
    torch.manual_seed(0)
    torch.stack(list(method.loss(method(views), views, labels).values())).sum().backward()
    idle = [key for key, p in method.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert not idle


def test_the_order_of_bags_does_not_change_the_loss(name: str, mixed: list[Bag]) -> None:
    """Labels, not positions, say which bag is which. (Methods that pair bags keep the order within a label.)"""
    method = made(name).eval()
    sums = []
    for bags in (mixed, sorted(mixed, key=lambda bag: bag.video.label or 0)):
        views, labels = packed(bags)
        with torch.no_grad():
            sums.append(method.loss(method(views), views, labels))
    assert sums[0].keys() == sums[1].keys()
    for term, value in sums[0].items():
        torch.testing.assert_close(sums[1][term], value, rtol=1e-5, atol=1e-6)


def test_settings_make_the_round_trip(name: str) -> None:
    config = ModelConfig.of({"method": name, "instances": plugin(name).views[0]})
    assert ModelConfig.of(plain(config.plain())) == config
    assert build(plugin(name).Config, plain(config.settings[name]), name) == config.settings[name]


def test_senseless_settings_are_config_errors(name: str) -> None:
    config = plugin(name).Config
    with pytest.raises(ConfigError, match=f"unknown setting of {name} 'hiden_'"):
        build(config, {"hiden_": 1}, name)
    for setting in fields(config):
        with pytest.raises(ConfigError, match=setting.name):
            build(config, {setting.name: {"no": "sense"}}, name)
        default = getattr(config(), setting.name)
        if isinstance(default, float | int) and not isinstance(default, bool):
            with pytest.raises(ConfigError, match=setting.name):
                build(config, {setting.name: -1}, name)


@cache
def fitted(name: str, make: Callable[..., list[Bag]]) -> fit.Fitted:
    """A method that has learnt toy bags with its own way of training."""
    config = ModelConfig.of({"method": name, "instances": plugin(name).views[0]})
    steps = min(config.training.steps, 60 * stages(name))
    config = replace(config, training=replace(config.training, steps=steps, validate_every=30))
    return fit.fit(make(20, views=plugin(name).views, dims=length(name)), config, device="cpu")


def test_it_learns_toy_bags(
    name: str, toy_bags: Callable[..., list[Bag]], toy_bag: MakeBag, planted: Callable[..., Masks]
) -> None:
    """On bags that it has not seen: which cells, and which videos."""
    model = fitted(name, toy_bags).last
    bags = [toy_bag(n, n % 2, 6, views=model.method.views) for n in range(100, 124)]
    scores = [model.scores(model.normalized(bag.views)) for bag in bags]
    truth = [planted(n, n % 2, 6) for n in range(100, 124)]
    assert roc_auc_score(np.concatenate(truth), np.concatenate(scores)) > 0.9
    assert roc_auc_score([t.any() for t in truth], [s.max() for s in scores]) > 0.9


def test_a_model_comes_back_from_disk_as_it_was(
    name: str, toy_bags: Callable[..., list[Bag]], toy_bag: MakeBag, tmp_path: Path
) -> None:
    model = fitted(name, toy_bags).best
    model.save(tmp_path / "model.safetensors")
    back = Model.load(tmp_path / "model.safetensors", device="cpu")
    views = toy_bag(50, 1, views=model.method.views).views
    np.testing.assert_array_equal(back.scores(back.normalized(views)), model.scores(model.normalized(views)))
    assert (back.threshold, back.config, back.dims) == (model.threshold, model.config, model.dims)
    assert set(back.dims) == set(back.normalizers) == set(back.builders) == set(model.config.views)
    np.testing.assert_array_equal(back.bank.features, model.bank.features)


def test_it_takes_instances_of_other_builders_where_it_says_so(
    name: str, toy_bag: MakeBag, planted: Callable[..., Masks]
) -> None:
    """Off a grid too, as tubes are: it learns which of them, whatever view of its own they stand in for."""
    view = plugin(name).views[0]
    for builder in plugin(name).abilities.other_builders:
        assert builder in registry.names("instances") and len(plugin(name).views) == 1
        config = ModelConfig.of({"method": name, "instances": builder})
        assert config.views == {view: builder}

    def bag(number: int) -> Bag:
        rows = toy_bag(number, number % 2, 5 + number % 4, views=("tubes",)).views["tubes"]
        return Bag(toy_bag(number, number % 2).video, {view: rows})

    if "tubes" in plugin(name).abilities.other_builders:
        config = ModelConfig.of({"method": name, "instances": "tubes"})
        steps = min(config.training.steps, 60 * stages(name))
        config = replace(config, training=replace(config.training, steps=steps))
        model = fit.fit([bag(n) for n in range(20)], config, device="cpu").last
        bags = [bag(n) for n in range(100, 124)]
        scores = np.concatenate([model.scores(model.normalized(one.views)) for one in bags])
        assert roc_auc_score(np.concatenate([planted(n, n % 2, 5 + n % 4) for n in range(100, 124)]), scores) > 0.9


def test_training_again_gives_the_same_weights(name: str, toy_bags: Callable[..., list[Bag]]) -> None:
    config = ModelConfig.of({"method": name, "instances": plugin(name).views[0], "training": {"steps": 5}})
    bags = toy_bags(8, views=plugin(name).views, dims=length(name))
    first, second = (fit.fit(bags, config, device="cpu").last for _ in range(2))
    for key, value in first.method.state_dict().items():
        assert torch.equal(value, second.method.state_dict()[key]), key
