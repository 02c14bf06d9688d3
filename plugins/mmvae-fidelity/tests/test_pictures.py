"""Pictures of any codec come in [0, 1], or are refused by the codec's name."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmvae_fidelity.frechet import Frechet
from mmvae_fidelity.pictures import pixels
from mmvae_fidelity.spectrum import PowerSpectrum

from mmvae import Column, ConfigError


def codec(dtype=np.float32):
    """A codec that gives back what it gets, in this type."""
    return SimpleNamespace(kind="raw", restore=lambda x: Column(x.numpy().astype(dtype)))


def test_rounding_is_cut_off_and_whole_numbers_are_scaled() -> None:
    x = torch.tensor([[[-1e-6, 0.5], [1 + 1e-6, 1]]])
    assert pixels(codec(), x).tolist() == [[[[0, 0.5], [1, 1]]]]
    assert pixels(codec(np.uint8), torch.tensor([[[0, 255]]])).tolist() == [[[[0, 1]]]]


@pytest.mark.parametrize("dtype", [np.float32, np.uint16])
def test_pictures_outside_the_range_are_refused(dtype) -> None:
    with pytest.raises(ConfigError, match=r"codec 'raw' gives pictures from 0 to 200; .*\[0, 1\]"):
        pixels(codec(dtype), torch.tensor([[[0.0, 200.0]]]))
    with pytest.raises(ConfigError, match=r"from -0\.5 to 1;"):
        pixels(codec(), torch.tensor([[[-0.5, 1.0]]]))


@pytest.mark.parametrize("metric", [Frechet, PowerSpectrum])
def test_a_modality_that_is_no_picture_is_refused_before_a_training(metric) -> None:
    made = metric(metric.Config(modality="x"))
    for shape, accepted in (((4, 4), True), ((4, 4, 3), True), ((4,), False), ((), False)):
        known = codec()
        known.missing = lambda b, shape=shape: torch.zeros(b, *shape)
        if accepted:
            made.check({"x": known})
        else:
            with pytest.raises(ConfigError, match=r"modality = 'x': .*expected pictures"):
                made.check({"x": known})
