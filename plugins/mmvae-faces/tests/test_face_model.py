"""What figures ask of a model is what the paper's formulas say, on a model that is linear."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from mmvae_faces import FaceModel
from mmvae_faces.face_model import face_noise, random_base
from torch.testing import assert_close

from mmvae import MmvaeError, UsageError


def pictures(n):
    return torch.rand(n, 3, 4, 4)


def test_the_modalities_are_found_whatever_their_names_and_order(linear):
    assert (linear.image, linear.attributes) == ("photo", "traits")
    assert FaceModel.of(linear.trained, "photo", "traits") == linear


@pytest.mark.parametrize(
    ("named", "message"),
    [
        ({"image": "phota"}, "--image phota: no such modality.*Did you mean 'photo'"),
        ({"image": "traits"}, r"holds a picture, but there is only traits \(signed-attributes\)"),
        ({"attributes": "photo"}, "holds signed attributes, but there is only photo"),
    ],
)
def test_modalities_that_do_not_fit_are_refused(linear, named, message):
    with pytest.raises(UsageError, match=message):
        FaceModel.of(linear.trained, **named)


def test_a_change_adds_the_difference_of_two_average_faces(linear):
    model, x = linear.trained.model, pictures(5)
    w, other = torch.randn(2, 5, 6)
    moved = ((other - w) @ model.a @ model.c).unflatten(1, (3, 4, 4))
    assert_close(linear.changed(x, w, other), x + moved.detach())
    assert_close(linear.average(w), (w @ model.a @ model.c).unflatten(1, (3, 4, 4)).detach())
    assert torch.equal(linear.changed(x, w, w), x), "no edit changes no pixel"


def test_reading_goes_through_the_best_point_of_the_posterior(linear):
    model, x = linear.trained.model, pictures(5)
    z = x.flatten(1) @ model.b
    assert_close(linear.read(x), (z @ model.d).tanh().detach())
    assert_close(linear.reconstructed(x), (z @ model.c).unflatten(1, (3, 4, 4)).detach())


def test_latents_that_are_not_finite_are_refused(linear):
    with torch.no_grad():
        linear.trained.model.a.fill_(torch.nan)
    with pytest.raises(MmvaeError, match="traits: the latent z of item 0 is nan"):
        linear.latents(torch.ones(2, 6), face_noise(2, 3, 1.0, seed=0))


@pytest.mark.parametrize("variance", [0.6, 1.0, 2.5])
def test_zeta_is_the_variance_of_the_noise_in_units_of_the_posterior_s(linear, variance):
    w = torch.randn(1, 6).expand(50_000, -1)
    z = linear.latents(w, face_noise(len(w), 3, variance, seed=0))
    assert_close(
        z.var(0), variance * linear.trained.model.log_variance.exp().detach(), rtol=0.03, atol=0
    )
    assert_close(z.mean(0), (w[0] @ linear.trained.model.a).detach(), rtol=0, atol=0.03)


@given(st.floats(0, 4), st.integers(0, 100))
def test_noise_scales_with_the_root_of_zeta_and_its_first_rows_stay(variance, seed):
    unit = face_noise(4, 3, 1.0, seed)
    assert_close(face_noise(4, 3, variance, seed), math.sqrt(variance) * unit)
    assert not torch.equal(unit, face_noise(4, 3, 1.0, seed + 1))


def test_no_noise_is_the_average_face(linear):
    w = torch.randn(3, 6)
    assert_close(linear.random(w, face_noise(3, 3, 0.0, 0)), linear.average(w))


def test_base_is_of_ones_at_random():
    bases = torch.cat([random_base(40, seed) for seed in range(50)])
    assert set(bases.unique().tolist()) == {-1.0, 1.0}
    assert bases.mean().abs() < 0.1
    assert torch.equal(random_base(40, 3), random_base(40, 3))


def test_a_model_that_does_not_decode_pictures_says_so(linear, monkeypatch):
    monkeypatch.setattr(type(linear.trained.model), "decoded", ("traits",))
    with pytest.raises(UsageError, match="linear-faces has no decoder for 'photo'; it decodes tr"):
        linear.average(torch.zeros(1, 6))
