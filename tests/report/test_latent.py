"""The latent map shows samples of the posteriors asked for, and a probe's accuracy of each."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from toys import toy_config, toy_registry

import mmvae
from mmvae.errors import DataError, UsageError
from mmvae.evaluation.probe import probe
from mmvae.report.classes import classes_of
from mmvae.report.clouds import limits
from mmvae.report.latent import Projection, cloud, latent_picture, principal_directions
from mmvae.report.subject import Subject
from mmvae.results import open_run


def subject(run: Path, seed: int = 0) -> Subject:
    o = open_run(run, registry=toy_registry())
    return Subject(o.run, o.experiment, o.trained, o.data, "test", seed, o.step)


@pytest.fixture(scope="module")
def toy(toy_run: Path) -> Subject:
    return subject(toy_run)


@pytest.fixture(scope="module")
def blind(tmp_path_factory: pytest.TempPathFactory) -> Subject:
    """A run of ``v`` alone, whose model never saw a class, with three latent dimensions."""
    folder = tmp_path_factory.mktemp("blind") / "run"
    settings = toy_config(
        modalities={"v": {"codec": "toy-vector"}},
        model={"latent_dim": 3},
        train={"epochs": 30, "learning_rate": 1e-2},
    )
    mmvae.train(settings, run_dir=folder, registry=toy_registry())
    return subject(folder)


def test_directions_of_greatest_variance_and_their_share() -> None:
    spread = torch.tensor([1.0, 5.0, 2.0])
    points = torch.randn(5000, 3, generator=torch.Generator().manual_seed(0)) * spread + 7
    centre, directions, share = principal_directions(points)
    torch.testing.assert_close(centre, torch.full((3,), 7.0), atol=0.3, rtol=0)
    wanted = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    torch.testing.assert_close(directions, wanted, atol=0.05, rtol=0)
    assert share == pytest.approx(29 / 30, abs=0.01)


@pytest.mark.parametrize("shape", [(1, 2), (4, 1), (3, 5)])
def test_few_points_and_one_dimension(shape: tuple[int, int]) -> None:
    points = torch.arange(shape[0] * shape[1]).reshape(shape).float()
    centre, directions, share = principal_directions(points)
    assert directions.shape == (shape[1], 2)
    assert torch.isfinite((points - centre) @ directions).all()
    assert share == pytest.approx(1.0)


def test_two_dimensions_are_shown_as_they_are() -> None:
    points = torch.randn(9, 2)
    assert torch.equal(Projection.of(points)(points), points)


def test_points_are_samples_and_classes_are_those_of_the_items(toy: Subject) -> None:
    classes = classes_of(toy, "c")
    shown, _ = cloud(toy, ("v", "c", "p"), classes, "all")
    batch = toy.batches.fixed(slice(0, 20))
    q = toy.trained.model.posterior(batch.x)
    error = (shown.points - q.mean) / (0.5 * q.log_variance).exp()
    assert 0.5 < float(error.detach().std()) < 1.5, "noise of the posterior's own size"
    assert torch.equal(shown.classes, toy.trained.codecs["c"].class_index(batch.x["c"]))
    assert (shown.judged, shown.known) == (20, 60)


def test_accuracy_is_of_held_out_items_among_training_items(toy: Subject) -> None:
    classes = classes_of(toy, "c")
    made, _ = cloud(toy, ("v",), classes, "v")
    test, train = (toy.latents(s, toy.chosen(s, 99), ("v",)) for s in ("test", "train"))
    right = probe(test, classes.codes["test"], train, classes.codes["train"])
    assert made.accuracy["mean"] == pytest.approx(float(right.mean()))
    assert made.accuracy["mean"] > 0.8, "classes lie apart"


def test_the_probe_looks_at_more_items_than_are_shown(toy: Subject) -> None:
    made, _ = cloud(toy, ("v",), classes_of(toy, "c"), "v", items=5)
    whole, _ = cloud(toy, ("v",), classes_of(toy, "c"), "v")
    assert len(made.points) == len(made.classes) == 5
    assert made.accuracy == whole.accuracy
    rows = {tuple(point) for point in whole.points.tolist()}
    assert {tuple(point) for point in made.points.tolist()} <= rows


def test_draws_follow_the_seed(toy: Subject) -> None:
    items = toy.chosen("test", 20)
    again, other = subject(toy.run.folder), subject(toy.run.folder, seed=1)
    z = toy.latents("test", items, ("v",))
    assert torch.equal(again.latents("test", items, ("v",)), z)
    assert not torch.equal(other.latents("test", items, ("v",)), z)


def test_a_model_without_labels_is_coloured_by_its_data(toy: Subject, blind: Subject) -> None:
    alone = latent_picture([blind])
    assert alone.numbers == {"nearest neighbours": {}}
    assert "Nothing says which classes" in alone.caption
    both = latent_picture([blind, toy])
    for picture in (latent_picture([blind], label="c"), both):
        accuracies = picture.numbers["nearest neighbours"]
        wanted, _ = cloud(blind, ("v",), classes_of(blind, "c"), "toy")
        found = accuracies[str(blind.run.folder)]
        assert (found["mean"], found["error"]) == tuple(wanted.accuracy.values())
        assert "coloured by c" in picture.caption
        assert "two principal directions of their own" in picture.caption
    assert "What toy (toy) is given holds c itself." in both.caption
    column, modality = classes_of(blind, "c"), classes_of(toy, "c")
    assert column.names == modality.names
    for split in ("train", "test"):
        assert torch.equal(column.codes[split], modality.codes[split])


def test_a_modality_is_found_under_the_column_that_another_run_has_for_it(
    blind: Subject, tmp_path: Path
) -> None:
    settings = toy_config(
        modalities={"v": {"codec": "toy-vector"}, "k": {"codec": "toy-class", "column": "c"}}
    )
    mmvae.train(settings, run_dir=tmp_path / "r", registry=toy_registry())
    picture = latent_picture([blind, subject(tmp_path / "r")])
    assert "coloured by k" in picture.caption


def test_given_restricts_what_posteriors_see(toy: Subject) -> None:
    picture = latent_picture([toy], ["v"])
    assert "of z given v for" in picture.caption
    assert "itself" not in picture.caption
    assert picture.png != latent_picture([toy]).png


def test_refusals_name_the_run(toy: Subject, blind: Subject) -> None:
    folder = str(blind.run.folder)
    with pytest.raises(UsageError, match=r"'k' is neither a modality.*nor a column") as refused:
        latent_picture([blind], label="k")
    assert folder in str(refused.value)
    with pytest.raises(UsageError, match="Unknown modality 'p'") as refused:
        latent_picture([toy, blind], ["p"])
    assert folder in str(refused.value)
    with pytest.raises(DataError, match=r"column 'w' holds float32 values of shape \(1, 3\)"):
        latent_picture([blind], label="w")


def test_all_panels_have_one_scale(toy: Subject) -> None:
    made, _ = cloud(toy, ("v",), None, "v")
    far = replace(made, points=made.points + torch.tensor([100.0, 0.0]))
    (left, right), (low, high) = limits([made, far])
    assert right - left == pytest.approx(high - low)
    points = torch.cat([made.points, far.points])
    assert left < points[:, 0].min() < points[:, 0].max() < right
    assert low < points[:, 1].min() < points[:, 1].max() < high
