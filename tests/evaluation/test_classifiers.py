"""Judges learn from real items alone, the same at every call."""

from __future__ import annotations

import torch
from toys import VectorCodec, VectorConfig

from mmvae.evaluation.classifiers import Classifier, classified, train_classifier
from mmvae.foundations.randomness import ItemDraws


def weights(classifier: torch.nn.Module) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in classifier.parameters()])


def test_it_is_a_function_of_its_seed_alone(data) -> None:
    torch.manual_seed(1)
    one = train_classifier(data.batches("train"), "v", "c", seed=0)
    state = torch.get_rng_state()
    torch.manual_seed(2)
    again = train_classifier(data.batches("train"), "v", "c", seed=0)
    assert torch.equal(weights(one), weights(again))
    torch.manual_seed(1)
    assert torch.equal(torch.get_rng_state(), state), "the global state is left as it was"
    assert not torch.equal(
        weights(one), weights(train_classifier(data.batches("train"), "v", "c", 1))
    )


def test_it_learns_what_can_be_learned(data) -> None:
    classifier = train_classifier(data.batches("train"), "v", "c", seed=0)
    right, classes = classified(classifier, data.batches("test"), "v", "c", size=64)
    assert right.shape == (200,)
    assert right.mean() > 0.97
    assert not classifier.training


def test_generated_values_are_judged_in_the_view_that_real_ones_have() -> None:
    """A codec whose data are whole numbers shows a judge no others."""

    class Rounded(VectorCodec):
        def fixed(self, x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
            return x.round()

    classifier, seen = Classifier(Rounded(VectorConfig()), 3).eval(), []
    classifier.encoder.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    best = torch.rand(70, 3, generator=torch.Generator().manual_seed(0)) * 4
    classifier.verdict_on_generated(best, ItemDraws(0, "test", slice(0, 70)))
    assert torch.equal(seen[0], best.round())
