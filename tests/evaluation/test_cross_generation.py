"""Guesses of one modality from another, against the truth."""

from __future__ import annotations

import torch

from mmvae.evaluation.cross_generation import cross_generation, predictions
from mmvae.evaluation.items import chunks

from .generators import CENTRE, Generator


def whole(data):
    ((batch, _),) = chunks(data.batches("test"), 1000, seed=0)
    return batch


def test_guesses_come_from_the_best_point_of_the_posterior(data) -> None:
    batch = whole(data)
    guessed = predictions(Generator(data.codecs), batch, ("c",))
    assert guessed["c"].equal(batch.x["c"])
    assert guessed["v"].equal(CENTRE[batch.x["c"].argmax(1)])


def test_every_target_is_compared_given_every_subset_and_all(data) -> None:
    batch = whole(data)
    found = cross_generation(Generator(data.codecs), batch)
    assert {path[1:3] for path in found if path[0] == "given"} == {
        (given, target) for given in ("v", "c", "v+c") for target in ("v", "c")
    }
    error = (CENTRE[batch.x["c"].argmax(1)] - batch.x["v"]).square().sum(1)
    torch.testing.assert_close(found["given", "c", "v", "squared_error"], error)


def test_accuracy_is_the_share_of_classes_guessed_from_others(data) -> None:
    batch = whole(data)
    found = cross_generation(Generator(data.codecs), batch)
    assert [path for path in found if path[0] == "accuracy"] == [("accuracy", "v → c")]
    nearest = torch.cdist(batch.x["v"], CENTRE).argmin(1)
    right = (nearest == batch.x["c"].argmax(1)).float()
    assert found["accuracy", "v → c"].equal(right)
    assert found["given", "v", "c", "accuracy"].equal(right)
