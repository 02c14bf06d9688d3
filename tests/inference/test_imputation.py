"""Filling gaps: exact posteriors of a linear-Gaussian model, and what stays as it was."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from linear_gaussian import batch, exact, jmvae, linear_codecs
from torch.distributions import Independent, StudentT
from toys import toy_config, toy_items, toy_registry

import mmvae
from mmvae.data.source import Split
from mmvae.foundations.errors import DataError
from mmvae.inference.imputation import MEAN_SAMPLES, imputations, imputing_posterior
from mmvae.inference.model_folder import load_model
from mmvae.inference.trained_model import TrainedModel
from mmvae.modalities.column import Column
from mmvae.models.patterns import Group, posterior_of


@pytest.fixture(scope="module")
def trained(toy_run: Path) -> TrainedModel:
    """Modalities v, c and p (of the column w), trained without gaps."""
    return load_model(toy_run, toy_registry())


def items(n: int = 30, **present: Any) -> Split:
    values = toy_items(n, seed=5)
    has = {name: np.asarray(mask, bool) for name, mask in present.items()}
    return Split({m: Column(x, present=has.get(m)) for m, x in values.items()}, np.arange(n))


def test_nothing_lacks_so_nothing_is_filled(trained: TrainedModel) -> None:
    assert imputations(trained, items()) == {}


@pytest.mark.parametrize("by", ["mode", "mean", "sample"])
def test_what_is_filled_is_what_generation_gives(trained: TrainedModel, by: Any) -> None:
    gone = np.arange(30) % 3 > 0
    found = imputations(trained, items(c=gone), by)
    assert list(found) == ["c"]
    filled = found["c"]
    assert filled.rows.tolist() == np.flatnonzero(~gone).tolist()
    assert filled.cells.all()
    truth = np.array(("red", "green", "blue"))[toy_items(30, seed=5)["c"][~gone]]
    assert (np.array(filled.values.values) == truth).mean() > 0.7
    if by == "mode":
        given = {"v": toy_items(30, seed=5)["v"][~gone], "p": toy_items(30, seed=5)["w"][~gone]}
        values = trained.generate(given, "c", temperature=0)["c"]
        assert list(filled.values.values) == list(values)


def test_items_with_different_gaps_are_filled_each_from_what_it_has(trained: TrainedModel) -> None:
    masks = {"v": [1, 0, 0, 1] * 5, "c": [1, 1, 0, 0] * 5, "w": [0, 1, 1, 1] * 5}
    mixed = imputations(trained, items(20, **masks))
    x = toy_items(20, seed=5)
    for row in range(20):
        given = {
            m: x[column][row : row + 1]
            for m, column in (("v", "v"), ("c", "c"), ("p", "w"))
            if masks[column][row]
        }
        for m in {"v", "c", "p"} - given.keys():
            (alone,) = trained.generate(given, m, temperature=0)[m]
            (place,) = np.flatnonzero(mixed[m].rows == row)
            value = mixed[m].values.values[place]
            if m == "c":
                assert value == alone
            else:
                np.testing.assert_allclose(value, alone, atol=1e-5)


def test_an_item_with_nothing_is_filled_from_the_prior(trained: TrainedModel) -> None:
    lone = [0] + [1] * 9
    found = imputations(trained, items(10, v=lone, c=lone, w=lone))
    prior = trained.generate(temperature=0)
    assert found["c"].values.values[0] == prior["c"][0]
    np.testing.assert_allclose(found["v"].values.values[0], prior["v"][0], atol=1e-6)
    everything = imputations(trained, items(3, v=[0] * 3, c=[0] * 3, w=[0] * 3), "sample")
    assert len(np.unique(everything["v"].values.values, axis=0)) == 3


def test_a_modality_without_a_column_lacks_throughout(trained: TrainedModel) -> None:
    split = items()
    del split.columns["w"]  # type: ignore[attr-defined]
    assert imputations(trained, split)["p"].rows.tolist() == list(range(30))
    with pytest.raises(DataError, match="none of the columns"):
        imputations(trained, Split({"other": Column([1])}, [0]))


def test_samples_belong_to_the_number_of_an_item(trained: TrainedModel) -> None:
    split = items(20, v=[0] * 20)
    one, again = (imputations(trained, split, "sample")["v"].values.values for _ in range(2))
    np.testing.assert_array_equal(one, again)
    other = imputations(trained, split, "sample", seed=1)["v"].values.values
    assert (other != one).all()
    later = imputations(trained, split, "sample", first=20)["v"].values.values
    assert (later != one).all()
    fewer = imputations(trained, items(20, v=[0, 1] * 10), "sample")["v"].values.values
    np.testing.assert_array_equal(fewer, one[::2])  # other gaps change nothing


def test_a_mean_varies_less_than_a_sample_around_the_same_values(trained: TrainedModel) -> None:
    split = items(200, v=[0] * 200)
    mean, sample = (
        np.asarray(imputations(trained, split, by)["v"].values.values) for by in ("mean", "sample")
    )
    truth = toy_items(200, seed=5)["v"]
    errors = [((prediction - truth) ** 2).mean() for prediction in (mean, sample)]
    assert errors[0] + 0.7 < errors[1] < errors[0] + 1.5  # a sample adds the variance of p(v|z), 1


def test_a_row_gets_the_same_whatever_the_others_lack(tmp_path: Path) -> None:
    """Training items lack v alone: the model takes items without v as they are, others not."""
    config = toy_config(data={"source": "memory"})
    data = {"train": dict(items(40, v=[1, 1, 0, 1] * 10).take(np.arange(40)).columns)}
    for name in set(data["train"]) - {"v", "c"}:
        del data["train"][name]
    model = mmvae.train(config, data, registry=toy_registry(), run_dir=tmp_path / "run").model
    alone = imputations(model, items(6, v=[0, 1, 1, 0, 1, 1]))["v"]
    beside = imputations(model, items(6, v=[0, 1, 1, 0, 1, 1], c=[1, 0, 1, 1, 1, 1]))["v"]
    assert alone.rows.tolist() == beside.rows.tolist() == [0, 3]
    np.testing.assert_allclose(alone.values.values, beside.values.values, atol=1e-6)


def exact_model() -> TrainedModel:
    """Two linear-Gaussian modalities with the exact posterior of each."""
    codecs = linear_codecs(a={"dim": 3, "sd": 0.6}, b={"dim": 4, "sd": 0.3})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        model = exact(jmvae(codecs, fusion="linear"))
    return TrainedModel(model, {"a": "a", "b": "b"}, None)


@pytest.mark.parametrize("by", ["mode", "mean", "sample"])
def test_what_is_filled_has_the_distribution_of_what_lacks_given_the_rest(by: Any) -> None:
    """p(x_b|x_a) = N(B μ + b, B V Bᵀ + σ² I), where N(μ, V) = p(z|x_a)."""
    model, n = exact_model(), 20_000
    x = torch.tensor([0.5, -1.0, 0.8])
    columns = {
        "a": Column(x.expand(n, 3).numpy()),
        "b": Column(np.full((n, 4), np.nan, np.float32), present=np.zeros(n, bool)),
    }
    values = np.asarray(imputations(model, Split(columns, np.arange(n)), by)["b"].values.values)
    with torch.no_grad():
        q, decoder = model.model.posterior({"a": x[None]}), model.model.decoders["b"]
        mean = (q.mean @ decoder.weight.T + decoder.bias)[0].numpy()
        spread = decoder.weight @ q.log_variance[0].exp().diag() @ decoder.weight.T
    covariance = {
        "mode": np.zeros((4, 4)),
        "mean": spread.numpy() / MEAN_SAMPLES,
        "sample": spread.numpy() + 0.3**2 * np.eye(4),
    }[by]
    np.testing.assert_allclose(values.mean(0), mean, atol=0.02)  # errors below 1/√n, 0.007
    np.testing.assert_allclose(np.cov(values.T), covariance, atol=0.02)


@pytest.fixture(scope="module")
def with_gaps(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., TrainedModel]:
    """A model of v and c, trained on items of which some lack either."""

    def trained(**model: Any) -> TrainedModel:
        data = {
            "train": dict(items(40, v=[1, 1, 0, 1] * 10, c=[1, 1, 1, 0] * 10).columns),
        }
        del data["train"]["w"]
        keys = toy_config(data={"source": "memory"}, model=model)
        folder = tmp_path_factory.mktemp("with-gaps") / "run"
        return mmvae.train(keys, data, registry=toy_registry(), run_dir=folder).model

    return trained


def test_a_subset_posterior_tells_what_lacks_where_there_is_one(with_gaps: Any) -> None:
    """Its training looked at what lacks; that of q(z|x_O, O), which serves else, did not."""
    group = Group(torch.arange(1), ("v",), batch({"v": torch.ones(1, 3)}))
    for alpha, named in ((1.0, True), (0.0, False)):
        model = with_gaps(alpha=alpha).model
        told = imputing_posterior(model, group)
        assert torch.equal(told.mean, posterior_of(model, group, named).mean)
        assert not alpha or not torch.equal(told.mean, posterior_of(model, group).mean)


def test_a_mean_that_does_not_exist_gives_way_to_the_mode(
    trained: TrainedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A Student-t with one degree of freedom says NaN; here it is so in the first cell."""
    codec = trained.codecs["v"]
    tails = torch.tensor([1.0, 5.0, 5.0])

    def heavy(parameters: torch.Tensor) -> Independent:
        return Independent(StudentT(tails.expand_as(parameters), parameters), 1)

    monkeypatch.setattr(codec, "likelihood", heavy)
    monkeypatch.setattr(codec, "point", lambda likelihood: likelihood.base_dist.loc)
    split = items(6, v=[0] * 6)
    values = np.asarray(imputations(trained, split, "mean")["v"].values.values)
    assert np.isfinite(values).all()


@pytest.fixture(scope="module")
def with_cells(tmp_path_factory: pytest.TempPathFactory) -> TrainedModel:
    """A model of v, some of whose cells may be missing, and c."""
    config = toy_config(
        data={"source": "memory"},
        modalities={"v": {"codec": "toy-vector", "gaps": True}, "c": {"codec": "toy-class"}},
        train={"epochs": 30, "learning_rate": 1e-2},
    )
    items = toy_items(80)
    train = {m: items[m] for m in ("v", "c")}
    folder = tmp_path_factory.mktemp("cells") / "run"
    return mmvae.train(config, train, registry=toy_registry(), run_dir=folder).model


def test_cells_are_filled_and_the_others_kept(
    with_cells: TrainedModel,
) -> None:
    v = toy_items(12, seed=7)["v"]
    cells = np.zeros((12, 3), bool)
    cells[2, 1] = cells[5] = True
    cells[7, :2] = True
    found = imputations(
        with_cells,
        Split(
            {
                "v": Column(np.where(cells, np.nan, v), present=~cells.all(1)),
                "c": Column(toy_items(12, seed=7)["c"]),
            },
            np.arange(12),
        ),
    )["v"]
    assert found.rows.tolist() == [2, 5, 7]
    np.testing.assert_array_equal(found.cells, cells[[2, 5, 7]])
    values = np.asarray(found.values.values)
    np.testing.assert_allclose(values[~found.cells], v[[2, 5, 7]][~found.cells], rtol=1e-6)
    assert np.isfinite(values).all()
    assert not torch.isnan(torch.from_numpy(values)).any()
