"""The power spectrum tells blurred pictures from sharp ones."""

from __future__ import annotations

import pytest
import torch
from mmvae_fidelity.spectrum import distance, high, spectra
from torch.nn import functional as F


def pictures(n: int = 30, seed: int = 0) -> torch.Tensor:
    return torch.rand(n, 3, 16, 16, generator=torch.Generator().manual_seed(seed))


def blurred(x: torch.Tensor, times: int) -> torch.Tensor:
    for _ in range(times):
        x = F.avg_pool2d(F.pad(x, (1, 1, 1, 1), mode="reflect"), 3, 1)
    return x


def test_identical_sets_are_at_no_distance() -> None:
    found = spectra(pictures())
    assert distance(found, found).tolist() == [0.0] * 30


def test_the_more_blurred_the_farther_and_the_lower_at_high_frequencies() -> None:
    truth = spectra(pictures())
    others = [spectra(blurred(pictures(), times)) for times in (1, 2)]
    once, twice = (float(distance(truth, other).mean()) for other in others)
    assert 0 < once < twice
    first, second = (float(high(truth, other).mean()) for other in others)
    assert second < first < -3


def test_a_change_of_contrast_is_known_in_decibels() -> None:
    """Twice the contrast is four times the power: 6.02 dB at every frequency."""
    truth, louder = spectra(pictures()), spectra(2 * pictures())
    for figure in (distance, high):
        assert float(figure(truth, louder).mean()) == pytest.approx(6.0206, abs=0.01)


def test_a_wave_has_its_power_at_its_own_frequency() -> None:
    wave = torch.cos(2 * torch.pi * 5 * torch.arange(16) / 16).expand(1, 1, 16, 16)
    assert int(spectra(wave)[0].argmax()) == 5 - 1


def test_brightness_and_the_order_of_pictures_change_nothing() -> None:
    truth = spectra(pictures())
    torch.testing.assert_close(spectra(pictures() + 0.25), truth, rtol=1e-4, atol=1e-3)
    order = torch.arange(29, -1, -1)
    torch.testing.assert_close(spectra(pictures()[order]), truth[order])


def test_the_linearisation_is_the_distance_in_the_mean() -> None:
    truth, other = spectra(pictures()), spectra(pictures(seed=1) ** 2)
    size = (other - truth).mean(0).square().mean().sqrt()
    assert float(distance(truth, other).mean()) == pytest.approx(float(size))


def test_turned_pictures_have_the_same_spectrum() -> None:
    stripes = torch.cos(torch.arange(16) * torch.pi).expand(1, 1, 16, 16) / 2 + 0.5
    for x in (pictures(), stripes):
        torch.testing.assert_close(spectra(x), spectra(x.mT), rtol=0, atol=1e-3)  # decibels
