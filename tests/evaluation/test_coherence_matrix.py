"""The coherence matrix of generators of which it is known, of three modalities."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from mmvae.data.batches import Batches
from mmvae.data.dataset import Data
from mmvae.data.source import Split
from mmvae.evaluation.classifiers import Classifiers
from mmvae.evaluation.coherence_matrix import coherence_matrix, given_sets
from mmvae.evaluation.config import EvaluateConfig
from mmvae.foundations.randomness import sample
from mmvae.models.posteriors import DiagonalGaussian

from .generators import Generator

CONFIG = EvaluateConfig(coherence_samples=150, batch_size=64)
COLUMNS = {"v": "v", "w": "w", "c": "c"}


class Three(Generator):
    """As Generator, with ``w``, which looks like ``v`` but says nothing when it is given."""

    def posterior(self, observed: Mapping[str, Tensor]) -> DiagonalGaussian:
        if set(observed) == {"w"}:
            return DiagonalGaussian.standard(torch.zeros(len(observed["w"]), 3))
        return super().posterior(observed)


class Constant(Three):
    """As Three, but always at the z of one class."""

    def __init__(self, codecs: Mapping[str, Any], says: int) -> None:
        super().__init__(codecs)
        self.says = says

    def posterior(self, observed: Mapping[str, Tensor]) -> DiagonalGaussian:
        mean = torch.zeros(len(next(iter(observed.values()))), 3)
        mean[:, self.says] = 100.0
        return DiagonalGaussian(mean, torch.zeros_like(mean))


def items(split: Split, present: np.ndarray[Any, Any] | None = None) -> Split:
    v = split.columns["v"]
    return Split({**split.columns, "w": replace(v, present=present)}, split.ids)


@pytest.fixture(scope="module")
def codecs(data: Data) -> dict[str, Any]:
    return {"v": data.codecs["v"], "w": data.codecs["v"], "c": data.codecs["c"]}


@pytest.fixture
def classifiers(data: Data, codecs: Any) -> Classifiers:
    return Classifiers(Batches(items(data.splits["train"]), codecs, COLUMNS), CONFIG.seed)


@pytest.fixture
def measured(data: Data, codecs: Any, classifiers: Classifiers) -> Any:
    def measure(present: Any = None, config: EvaluateConfig = CONFIG) -> dict[str, Any]:
        batches = Batches(items(data.splits["test"], present), codecs, COLUMNS)
        found: dict[str, Any] = coherence_matrix(Three(codecs), batches, classifiers, config)["c"]
        return found

    return measure


def test_every_set_and_every_target_outside_of_it(measured: Any) -> None:
    cells = measured()["cells"]
    assert {given: set(row) for given, row in cells.items()} == {
        "v": {"w", "c"},
        "w": {"v", "c"},
        "c": {"v", "w"},
        "v+w": {"c"},
        "v+c": {"w"},
        "w+c": {"v"},
    }
    assert all(set(f) == {"mean", "error"} for row in cells.values() for f in row.values())


def test_what_tells_the_class_is_coherent_and_what_does_not_is_right_by_chance(
    measured: Any,
) -> None:
    found = measured()
    cells = found["cells"]
    for given, m in (("c", "v"), ("c", "w"), ("w+c", "v"), ("v+c", "w")):
        assert cells[given][m]["mean"] == 1.0  # the judge sees each centre as it is
    for given, m in (("v", "c"), ("v", "w"), ("v+w", "c")):
        assert cells[given][m]["mean"] > 0.9  # as far as v itself tells its class
    for m in ("v", "c"):
        assert abs(cells["w"][m]["mean"] - 1 / 3) < 4 * cells["w"][m]["error"]
    assert found["classifier on real items"].keys() == {"v", "w"}
    # Without the label: v → w and w → v, no set of two leaves a target that is not the label.
    expected = (cells["v"]["w"]["mean"] + cells["w"]["v"]["mean"]) / 2
    assert found["by size"].keys() == {"1"}
    assert found["by size"]["1"]["mean"] == pytest.approx(expected)


def test_the_size_of_batches_changes_nothing(measured: Any) -> None:
    assert measured() == measured(config=CONFIG.model_copy(update={"batch_size": 37}))


def test_items_count_where_they_have_what_is_given(measured: Any, data: Data) -> None:
    present = np.arange(len(data.splits["test"])) % 2 == 0
    cells, whole = measured(present)["cells"], measured()["cells"]
    asked = sample(200, 150, CONFIG.seed, "matrix")
    assert cells["w"]["v"]["items"] == cells["w+c"]["v"]["items"] == int((asked % 2 == 0).sum())
    assert cells["v"]["w"] == whole["v"]["w"]  # w need not be there to be generated


def test_items_sorted_by_class_are_judged_by_a_fair_sample_of_them(
    codecs: Any, data: Data, classifiers: Classifiers
) -> None:
    """A model that always says the same class is right as often as that class occurs."""
    split = data.splits["test"]
    kinds = np.asarray(split.columns["c"].values)
    batches = Batches(items(split.take(np.argsort(kinds, kind="stable"))), codecs, COLUMNS)
    config, found = CONFIG.model_copy(update={"coherence_samples": 40}), []
    for k in range(3):
        matrix = coherence_matrix(Constant(codecs, k), batches, classifiers, config)["c"]
        found.append(matrix["cells"]["w"]["c"]["mean"])
        share = float((kinds == k).mean())
        assert abs(found[k] - share) < 3 * (share * (1 - share) / 40) ** 0.5
    assert sum(found) == pytest.approx(1)  # the items are the same for each model


def test_of_two_modalities_there_is_no_matrix(data: Data) -> None:
    classifiers = Classifiers(data.batches("train"), CONFIG.seed)
    model = Generator(data.codecs)
    assert coherence_matrix(model, data.batches("test"), classifiers, CONFIG) == {}


def test_of_many_modalities_the_sets_are_few(codecs: Any) -> None:
    model = Generator({f"m{i}": codecs["v"] for i in range(8)})
    sizes = [len(s) for s in given_sets(model)]
    assert sizes == [1] * 8 + [2] * 28 + [7] * 8
    model = Generator({f"m{i}": codecs["v"] for i in range(6)})
    assert len(given_sets(model)) == 62


def test_sets_without_a_posterior_are_left_out(codecs: Any) -> None:
    model = Three(codecs)
    model.supports = lambda t, g, p: "no" if p == ("w",) else None  # type: ignore[method-assign]
    assert ("w",) not in given_sets(model)
    assert len(given_sets(model)) == 5
