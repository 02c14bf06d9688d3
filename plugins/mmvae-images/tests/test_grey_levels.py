"""Pictures of the continuous Bernoulli likelihood: black and white, the bound, its key."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from mmvae_images import BernoulliImage

from mmvae import Column


def codec(**keys: object) -> BernoulliImage:
    config = BernoulliImage.Config(likelihood="continuous-bernoulli", **keys)
    return BernoulliImage(config, {"shape": [1, 1, 3], "dtype": "uint8"})


def test_means_stop_one_grey_level_before_black_and_white_and_are_shown_as_these() -> None:
    image = codec()
    likelihood = image.likelihood(torch.tensor([-1e4, 2.0, 1e4]).view(1, 1, 1, 3))
    black, grey, white = likelihood.mean.flatten().tolist()
    assert (black, white) == pytest.approx((1 / 255, 1 - 1 / 255), abs=1e-6)
    point = image.point(likelihood)
    assert point.flatten().tolist() == [0.0, grey, 1.0]
    assert image.restore(point).values.flatten().tolist() == [0, round(255 * grey), 255]
    assert np.asarray(image.show(point)[0])[0, ::2].tolist() == [0, 255]
    raw = Column(np.array([[[1, 2, 254]]], np.uint8))
    assert np.array_equal(image.restore(image.to_input(image.prepare(raw)[0])).values, raw.values)


def test_rounding_to_black_and_white_leaves_the_gradient_of_the_mean() -> None:
    image = codec()
    found = []
    for value in (image.point, lambda likelihood: likelihood.mean):
        at = torch.tensor([-150.0, 2.0, 200.0]).view(1, 1, 1, 3).requires_grad_()
        found.append(torch.autograd.grad(value(image.likelihood(at)).sum(), at)[0])
    assert torch.equal(*found)
    assert found[0].abs().min() > 0


def test_the_bound_is_a_key_and_is_told_beside_figures() -> None:
    assert codec(logit_bound=20).density == "grey levels in [0, 1], logits within ±20"
    narrow = codec(logit_bound=20).likelihood(torch.full((1, 1, 1, 3), 1e4))
    torch.testing.assert_close(narrow.mean, torch.full((1, 1, 1, 3), 0.95))
    assert BernoulliImage(BernoulliImage.Config()).density is None
    with pytest.raises(ValueError, match="logit_bound = 20 has no effect"):
        BernoulliImage.Config(logit_bound=20)
