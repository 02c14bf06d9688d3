"""The latent map shows samples of the posteriors asked for, and a probe's accuracy of each."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from toys import toy_config, toy_items, toy_registry

import mmvae
from mmvae.data.split_names import SplitName
from mmvae.evaluation.nearest_neighbours import probe
from mmvae.experiments.open_run import open_run
from mmvae.foundations.errors import DataError, UsageError
from mmvae.report.classes import classes_of
from mmvae.report.clouds import limits
from mmvae.report.latent import cloud, latent_picture
from mmvae.report.subject import Subject


def subject(run: Path, seed: int = 0, split: SplitName = "test") -> Subject:
    return Subject(open_run(run, registry=toy_registry()), split, seed)


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


def test_points_are_samples_and_classes_are_those_of_the_items(toy: Subject) -> None:
    classes = classes_of(toy, "c")
    shown, _ = cloud(toy, ("v", "c", "p"), classes, "all")
    batch = toy.batches.fixed(slice(0, 20))
    q = toy.trained.model.posterior(batch.x)
    error = (shown.points - q.mean) / (0.5 * q.log_variance).exp()
    assert 0.5 < float(error.detach().std()) < 1.5, "noise of the posterior's own size"
    assert torch.equal(shown.classes, toy.trained.codecs["c"].class_index(batch.x["c"]))
    assert (shown.judged, shown.known) == (20, 60)


def test_items_to_look_at_are_of_all_classes_though_the_split_is_sorted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mmvae.report.subject.MAPPED_ITEMS", 12)
    items = toy_items(60)
    order = items["c"].argsort(kind="stable")
    data = {"train": items, "test": {name: values[order] for name, values in items.items()}}
    settings = toy_config(train={"epochs": 1})
    del settings["data"]
    mmvae.train(settings, data, run_dir=tmp_path / "r", registry=toy_registry())
    made = Subject(open_run(tmp_path / "r", data, registry=toy_registry()), "test", 0)
    assert made.classes_of(made.mapped).tolist() == sorted(made.classes_of(made.mapped).tolist())
    assert len(made.mapped) == 12
    assert made.classes_of(made.few(3)).tolist() == [0, 1, 2]
    rows = made.chosen("test", 12)
    assert torch.equal(made.mapped.x["v"], made.batches.fixed(slice(0, 60)).x["v"][rows])


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


def test_training_items_are_judged_by_others_than_themselves(
    toy: Subject, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[str, torch.Tensor] = {}

    def watched(points, truth, known, classes):
        seen.update(points=points, truth=truth, known=known, classes=classes)
        return probe(points, truth, known, classes)

    monkeypatch.setattr("mmvae.report.latent.probe", watched)
    trained = subject(toy.run.folder, split="train")
    for most, (judged, known) in ((10_000, (30, 30)), (20, (20, 20)), (40, (30, 30))):
        monkeypatch.setattr("mmvae.report.latent.PROBED_ITEMS", most)
        made, _ = cloud(trained, ("v",), classes_of(trained, "c"), "v", items=10)
        assert (made.judged, made.known, len(made.points)) == (judged, known, 10)
        assert (len(seen["points"]), len(seen["known"])) == (judged, known)
        assert torch.cdist(seen["points"], seen["known"]).min() > 0, "none is its own neighbour"
        codes = torch.cat([seen["truth"], seen["classes"]]).bincount()
        assert (codes <= classes_of(trained, "c").codes["train"].bincount()).all()


def test_the_caption_says_that_training_items_are_judged(toy: Subject) -> None:
    caption = latent_picture([subject(toy.run.folder, split="train")], ["v"]).caption
    assert "of 30 train items whose class" in caption
    assert "nearest of 30 other training items" in caption
    assert "The model was trained on all of them: this is no held-out test." in caption
    assert "held-out" not in latent_picture([toy], ["v"]).caption


def test_too_few_training_items_have_no_probe_and_that_is_said(
    toy: Subject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mmvae.report.latent.NEIGHBOURS", 31)
    few = subject(toy.run.folder, split="train")
    alone = latent_picture([few], ["v"])
    assert alone.numbers == {"nearest neighbours": {}}
    assert "coloured by c" in alone.caption
    assert "No accuracy is given for fewer than 62 training items" in alone.caption
    assert "nearest of" not in alone.caption
    assert "held-out" not in alone.caption
    assert len(cloud(few, ("v",), classes_of(few, "c"), "v")[0].points) == 60


def test_draws_follow_the_seed(toy: Subject) -> None:
    items = toy.chosen("test", 20)
    again, other = subject(toy.run.folder), subject(toy.run.folder, seed=1)
    z = toy.latents("test", items, ("v",))
    assert torch.equal(again.latents("test", items, ("v",)), z)
    assert not torch.equal(other.latents("test", items, ("v",)), z)


def test_a_model_without_labels_is_coloured_by_its_data(toy: Subject, blind: Subject) -> None:
    alone = latent_picture([blind])
    assert alone.numbers == {"nearest neighbours": {}}
    assert "The classes of the items are unknown." in alone.caption
    both = latent_picture([blind, toy])
    for picture in (latent_picture([blind], label="c"), both):
        accuracies = picture.numbers["nearest neighbours"]
        wanted, _ = cloud(blind, ("v",), classes_of(blind, "c"), "toy")
        found = accuracies[str(blind.run.folder)]
        assert (found["mean"], found["error"]) == tuple(wanted.accuracy.values())
        assert "coloured by c" in picture.caption
        assert "two principal directions of their own" in picture.caption
    assert "The modalities given to toy (toy) include c itself." in both.caption
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
