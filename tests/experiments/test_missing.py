"""Gaps end to end: trained, resumed, evaluated and used on items that lack modalities."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from toys import toy_config, toy_items, toy_registry
from trainings import assert_same_run, latest, losses

import mmvae
from mmvae.data.batches import Batches
from mmvae.data.source import Split
from mmvae.evaluation.config import EvaluateConfig
from mmvae.evaluation.evaluate import evaluate
from mmvae.evaluation.likelihood_queries import needs
from mmvae.foundations.errors import ConfigError, DataError, UsageError
from mmvae.modalities.column import Column
from mmvae.models.base import Model
from mmvae.plugins.registry import Registry

N = 60
NAMES = ("v", "w", "c")


def masks(n: int = N, seed: int = 0) -> dict[str, np.ndarray]:
    has = np.random.default_rng(seed).random((n, 3)) < 0.6
    has[np.arange(n), np.arange(n) % 3] = True
    has[:6] = True
    return {m: has[:, k] for k, m in enumerate(NAMES)}


def columns(n: int = N, fill: Any = None, seed: int = 0) -> dict[str, Column]:
    items, has = toy_items(n, seed), masks(n, seed)
    if fill is not None:
        for m in ("v", "w"):
            items[m][~has[m]] = fill
        items["c"][~has["c"]] = 77
    return {m: Column(items[m], present=has[m]) for m in NAMES}


def config(**sections: Any) -> dict[str, Any]:
    modalities = {m: {"codec": "toy-vector"} for m in "vw"} | {"c": {"codec": "toy-class"}}
    model = {"latent_dim": 2, "fusion_dim": 16, "subsets": "all", "feature_dim": 8, "head_dim": 8}
    model |= dict(sections.pop("model", {}))
    train = {"epochs": 3, "batch_size": 16, "log_every": 2, "learning_rate": 0.01}
    return toy_config(
        data={"source": "memory"}, modalities=modalities, model=model, train=train, **sections
    )


def splits(fill: Any = None) -> dict[str, Any]:
    return {
        name: columns(n, fill, seed)
        for name, n, seed in (("train", N, 0), ("validation", 20, 1), ("test", 30, 2))
    }


def train(folder: Path, data: Any, keys: Any = None, **options: Any):
    options = {"registry": toy_registry()} | options
    return mmvae.train(keys or config(), data, run_dir=folder, **options)


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("gaps") / "run"
    train(folder, splits())
    return folder


@pytest.fixture(scope="module")
def trained(run):
    from mmvae.inference.model_folder import load_model

    return load_model(run, toy_registry())


# -- training -------------------------------------------------------------------------------------


@pytest.mark.parametrize("fill", [np.nan, 1e30])
def test_what_stands_in_a_gap_changes_no_bit_of_a_run(fill, run, tmp_path) -> None:
    """Loss, gradient, validation, statistics, fingerprint."""
    train(tmp_path / "run", splits(fill))
    assert_same_run(run, tmp_path / "run")


@pytest.mark.parametrize("stopped_at", [1, 4, 7])
def test_a_stopped_run_goes_on_with_the_same_bits(stopped_at, run, tmp_path) -> None:
    train(tmp_path / "run", splits(), max_steps=stopped_at)
    mmvae.resume(tmp_path / "run", splits(), registry=toy_registry())
    assert_same_run(run, tmp_path / "run")


def test_streamed_and_accumulated_it_is_the_same(run, tmp_path) -> None:
    keys = config()
    keys["data"] = {"source": "memory", "resident": False}
    keys["train"]["accumulation"] = 4
    train(tmp_path / "run", splits(), keys)
    assert losses(tmp_path / "run") == pytest.approx(losses(run), rel=1e-5)
    for name, value in latest(run).tensors["model"].items():
        torch.testing.assert_close(
            latest(tmp_path / "run").tensors["model"][name], value, rtol=1e-3, atol=1e-4
        )


def test_a_model_that_takes_complete_items_only_says_so(tmp_path) -> None:
    class Whole(toy_registry().find("model", "jmvae")):
        kind = "whole"
        takes_missing = False

    known = toy_registry()
    plugins = Registry.of(
        codecs=[known.find("codec", "toy-vector"), known.find("codec", "toy-class")],
        sources=[known.find("source", "memory")],
        models=[Whole],
    )
    with pytest.raises(ConfigError, match=r"'whole' model takes complete items only.*v, w, c"):
        train(tmp_path / "run", splits(), config(model={"kind": "whole"}), registry=plugins)
    assert not (tmp_path / "run").exists()


class Counting(mmvae.Metric):
    """How many items it is given, and how many of them the model could train on."""

    kind, about = "counting", "complete items"

    def measure(self, specimen):
        model, items = specimen.model, specimen.items
        assert len(items.items_with(model.modalities)) == len(items)
        counts = {"items": len(items), "training": len(specimen.training())}
        return {name: torch.full((len(items),), float(n)) for name, n in counts.items()}


def counting_registry() -> Registry:
    known = toy_registry()
    return Registry.of(
        codecs=[known.find("codec", "toy-vector"), known.find("codec", "toy-class")],
        sources=[known.find("source", "memory")],
        models=[known.find("model", "jmvae")],
        metrics=[Counting],
    )


COUNT = {"metrics": {"n": {"kind": "counting", "every": 1}}}


def test_a_metric_while_training_is_of_the_complete_items(tmp_path) -> None:
    train(tmp_path / "run", splits(), config() | COUNT, registry=counting_registry())
    lines = [
        json.loads(line) for line in (tmp_path / "run/metrics.jsonl").read_text().splitlines()
    ]
    whole = {
        name: int(np.stack(list(masks(n, seed).values())).all(0).sum())
        for name, n, seed in (("training", N, 0), ("items", 20, 1))
    }
    measured = [line for line in lines if "n/items" in line]
    assert len(measured) == 3
    assert {(line["n/items"], line["n/training"]) for line in measured} == {
        (whole["items"], whole["training"])
    }


def test_a_metric_while_training_needs_some_complete_item(tmp_path) -> None:
    data = splits()
    data["validation"]["c"] = Column(
        data["validation"]["c"].values, present=~masks(20, 1)["v"] & masks(20, 1)["c"]
    )
    with pytest.raises(
        ConfigError, match=r"metrics.n.every = 1: .*none of the items of the split"
    ):
        train(tmp_path / "run", data, config() | COUNT, registry=counting_registry())


def test_discarded_items_make_the_model_of_complete_data(tmp_path) -> None:
    keys = config()
    keys["data"] = {"source": "memory", "incomplete": "discard"}
    result = train(tmp_path / "run", splits(), keys)
    assert not result.model.model.sees_presence
    kept = np.stack(list(masks().values())).all(0)
    whole = {m: toy_items(N)[m][kept] for m in NAMES}
    other = train(tmp_path / "other", {**splits(), "train": whole}, keys)
    assert losses(tmp_path / "run") == losses(tmp_path / "other")
    assert other.model.codecs["v"].state == result.model.codecs["v"].state


def test_weights_of_complete_data_do_not_begin_a_training_with_gaps(tmp_path) -> None:
    whole = {m: toy_items(N)[m] for m in NAMES}
    train(tmp_path / "whole", {"train": whole}, max_steps=1)
    with pytest.raises(mmvae.MmvaeError, match="modality 'v' with has gaps = None, here it is Tr"):
        train(tmp_path / "run", splits(), init_from=tmp_path / "whole")


# -- evaluation -----------------------------------------------------------------------------------


def test_every_figure_is_of_the_items_that_have_what_it_takes(trained) -> None:
    model, has = trained.model, masks(30, 2)
    items = Split(columns(30, np.nan, 2), np.arange(30))
    batches = Batches(items, model.codecs, {m: m for m in NAMES})
    real = Batches(Split(columns(N), np.arange(N)), model.codecs, {m: m for m in NAMES})
    keys = EvaluateConfig(bounds=["v", "v|c", "v+w+c"], samples=4, coherence_samples=6)
    found = evaluate(model, batches, keys, real)
    both, all_ = has["v"] & has["c"], has["v"] & has["w"] & has["c"]
    assert "items" not in found["bounds"]["elbo"]
    assert found["terms"]["log_likelihood/v"]["items"] == has["v"].sum()
    assert found["cells"]["v@single"]["items"] == has["v"].sum()
    assert found["cells"]["v@multiple"]["items"] == has["v"].sum()
    assert found["cells"]["v|c@multiple"]["items"] == both.sum()
    assert found["cells"]["v+w+c"]["items"] == all_.sum()
    assert found["given"]["c"]["v"]["squared_error"]["items"] == both.sum()
    assert found["accuracy"]["v → c"]["items"] == both.sum()
    assert found["subset posteriors"]["v+c"]["items"] == all_.sum()
    assert found["coherence"]["c → v"]["classifier on real items"]["error"] is not None
    for size in (7, 30):  # neither chunks nor what stands in gaps change a figure
        other = Batches(
            Split(columns(30, 5.0, 2), np.arange(30)), model.codecs, {m: m for m in NAMES}
        )
        again = evaluate(model, other, keys.model_copy(update={"batch_size": size}), real)
        for cell, figure in found["cells"].items():
            assert again["cells"][cell]["mean"] == pytest.approx(figure["mean"], rel=1e-5)


def test_a_cell_for_which_no_item_has_all_is_left_out_with_the_reason(trained) -> None:
    apart = {"v": toy_items(6)["v"], "w": [None] * 6, "c": [0, 1, 2, 0, 1, None]}
    items = Split({m: mmvae.data.in_memory.as_column(v, m) for m, v in apart.items()}, range(6))
    batches = Batches(items, trained.codecs, {m: m for m in NAMES})
    keys = EvaluateConfig(bounds=["w", "v|c"], samples=2, coherence=False)
    found = evaluate(trained.model, batches, keys)
    assert found["left out"]["w@single"] == "no item of the split has w"
    assert found["cells"]["v|c@single"]["items"] == 5
    assert needs_of(trained.model, "v|c@single") == ("v", "c")


def needs_of(model: Model, text: str) -> tuple[str, ...]:
    from mmvae.evaluation.query import parse_cell

    return needs(parse_cell(text, model.modalities)[0], model)


# -- use ------------------------------------------------------------------------------------------


def test_items_are_embedded_by_what_they_have(trained) -> None:
    data, has = columns(30, np.nan, 2), masks(30, 2)
    z = trained.embed(data)
    assert z.isfinite().all()
    whole = np.flatnonzero(has["v"] & has["w"] & has["c"])
    exact = trained.embed({m: Column(data[m].values).take(whole) for m in NAMES})
    torch.testing.assert_close(z[whole], exact)
    lone = int(np.flatnonzero(has["v"] & ~has["w"] & ~has["c"])[0])
    v = {"v": data["v"].values[[lone]]}
    torch.testing.assert_close(z[[lone]], trained.embed(v))  # a column absent, a value absent
    assert not torch.allclose(z[[lone]], trained.embed(v, given="v"))  # that is q_v
    given = trained.embed(data, given=["v", "w", "c"])[[lone]]
    torch.testing.assert_close(given, trained.embed(v, given="v"))


def test_scores_are_bounds_of_what_items_have(trained) -> None:
    data, has = columns(30, np.nan, 2), masks(30, 2)
    scores = trained.score(data, samples=3)
    assert scores.shape == (30,)
    assert scores.isfinite().all()
    whole = np.flatnonzero(has["v"] & has["w"] & has["c"])[:1]
    if whole[0] == 0:  # samples belong to the row
        first = {m: Column(data[m].values[:1]) for m in NAMES}
        torch.testing.assert_close(scores[:1], trained.score(first, samples=3))
    assert trained.elbo(data)["elbo"].isfinite().all()


def test_each_given_item_generates_from_what_it_has(trained) -> None:
    v = toy_items(3)["v"].tolist()
    made = trained.generate({"v": [v[0], None, v[2]], "c": [1, 2, None]}, to="w", count=2, seed=4)
    assert made["w"].shape == (6, 3)
    alone = trained.generate({"v": [v[0]], "c": [1]}, to="w", count=2, seed=4)
    np.testing.assert_allclose(made["w"][:2], alone["w"], rtol=1e-4, atol=1e-5)
    with pytest.raises(DataError, match="item 1 has none of v"):
        trained.generate({"v": [v[0], None]})


def test_a_model_of_complete_items_answers_gaps_by_subset_posteriors(tmp_path) -> None:
    whole = {m: toy_items(N)[m] for m in NAMES}
    made = train(tmp_path / "run", {"train": whole}, max_steps=2).model
    data, has = columns(30, np.nan, 2), masks(30, 2)
    lone = int(np.flatnonzero(has["v"] & ~has["w"] & ~has["c"])[0])
    z = made.embed(data)
    torch.testing.assert_close(z[[lone]], made.embed({"v": data["v"].values[[lone]]}))
    assert made.score(data, samples=2).isfinite().all()
    with pytest.raises(UsageError, match="every training item of this model had"):
        made.elbo(data)
