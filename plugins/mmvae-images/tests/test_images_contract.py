"""The image codecs keep the contract, and their likelihoods are the densities they claim."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from mmvae_images import BernoulliImage, GaussianConvImage
from torch.distributions import Normal

from mmvae import Column
from mmvae.testing import CodecContract, PictureReading


def column(n, seed, shape, dtype=np.uint8):
    pixels = np.random.default_rng(seed).integers(0, 256, (n, *shape), dtype=np.uint8)
    return Column(pixels if dtype == np.uint8 else (pixels / 255).astype(dtype))


def invalid(shape):
    def with_value(value):
        pixels = np.full((3, *shape), 0.5, np.float32)
        pixels[1].flat[0] = value
        return Column(pixels)

    levels = np.zeros((3, *shape), np.int64)
    levels[1].flat[0] = 256
    return [
        ("NaN", with_value(np.nan)),
        ("above 1", with_value(1.01)),
        ("negative", with_value(-0.01)),
        ("infinite", with_value(np.inf)),
        ("level 256", Column(levels)),
        ("no picture", Column([np.zeros(shape, np.uint8), None])),
        ("broken file", Column([b"GIF89a"])),
    ]


class BernoulliContract(PictureReading, CodecContract):
    keys: dict[str, object] = {}
    picture = (2, 2)
    dtype: type = np.uint8

    def make_codec(self):
        keys = {"encoder": (16,), "decoder": (16,)} | self.keys
        return BernoulliImage(BernoulliImage.Config(**keys))

    def make_column(self, n, seed):
        return column(n, seed, self.picture, self.dtype)

    def edge_columns(self):
        pixels = np.stack([np.zeros(self.picture), np.full(self.picture, 255)]).astype(np.uint8)
        return [("black and white", Column(pixels))]

    def invalid_columns(self):
        return invalid(self.picture)

    def enumerate_support(self, codec):
        if codec.event_size > 4:
            return None
        values = torch.tensor(list(itertools.product((0.0, 1.0), repeat=codec.event_size)))
        return values.reshape(-1, *codec.event_shape)


class TestBernoulliImage(BernoulliContract):
    pass


class TestBernoulliImageFromFloats(BernoulliContract):
    dtype = np.float32


class TestBernoulliImageInColour(BernoulliContract):
    picture = (2, 3, 3)
    keys = {"channels": 3, "activation": "silu", "encoder": (), "decoder": ()}


class TestBernoulliImageOnce(BernoulliContract):
    keys = {"binarise": "once", "binarise_seed": 3}


class TestBernoulliImageThreshold(BernoulliContract):
    keys = {"binarise": "threshold"}
    restores = False
    dtype = np.float32


class TestBernoulliImageLeftGrey(BernoulliContract):
    keys = {"likelihood": "continuous-bernoulli"}
    dtype = np.float32

    def enumerate_support(self, codec):
        return None  # a density

    def integration_grid(self, codec):
        axis = (torch.arange(16) + 0.5) / 16
        grid = torch.cartesian_prod(*[axis] * 4).reshape(-1, *codec.event_shape)
        return grid, 16.0**-4


def grey_codec():
    config = BernoulliImage.Config(likelihood="continuous-bernoulli")
    return BernoulliImage(config, {"shape": [1, 1, 2], "dtype": "float32"})


def test_grey_pixels_are_never_binarised():
    codec, generator = grey_codec(), torch.Generator()
    x = torch.rand(5, 1, 1, 2)
    assert codec.resample(x, generator) is x
    assert codec.fixed(x, generator) is x
    assert codec.prepare(Column(x[:, 0].numpy()))[0].equal(x)


def test_continuous_bernoulli_has_the_paper_s_density_mean_and_samples():
    logits = torch.tensor([-3.0, 0.7]).expand(20_000, 1, 1, 2)
    codec, rate = grey_codec(), torch.sigmoid(torch.tensor([-3.0, 0.7]).double())
    likelihood = codec.likelihood(logits)
    constant = 2 * torch.atanh(1 - 2 * rate) / (1 - 2 * rate)
    x = torch.tensor([0.2, 1.0]).double()
    wanted = (constant.log() + x * rate.log() + (1 - x) * (1 - rate).log()).sum().float()
    got = codec.log_prob(likelihood, x.float().expand(20_000, 1, 1, 2), None)
    torch.testing.assert_close(got[0], wanted)
    mean = rate / (2 * rate - 1) + 1 / (2 * torch.atanh(1 - 2 * rate))
    torch.testing.assert_close(codec.point(likelihood)[0, 0, 0].double(), mean, atol=1e-5, rtol=0)
    drawn = codec.sample(likelihood, torch.Generator().manual_seed(0))
    torch.testing.assert_close(drawn.mean((0, 1, 2)).double(), mean, atol=0.01, rtol=0)


def test_binarising_what_stays_grey_is_refused():
    with pytest.raises(ValueError, match="binarise = 'once' has no effect"):
        BernoulliImage.Config(likelihood="continuous-bernoulli", binarise="once")


class GaussianContract(PictureReading, CodecContract):
    keys: dict[str, object] = {}
    picture = (8, 8, 3)

    def make_codec(self):
        small = {"channels_hidden": (8, 16), "dense": 12, "activation": "leaky-relu"}
        return GaussianConvImage(GaussianConvImage.Config(**(small | self.keys)))

    def make_column(self, n, seed):
        return column(n, seed, self.picture)

    def edge_columns(self):
        pixels = np.stack([np.zeros(self.picture), np.full(self.picture, 255)]).astype(np.uint8)
        return [("black and white", Column(pixels))]

    def invalid_columns(self):
        return invalid(self.picture)


class TestGaussianConvImage(GaussianContract):
    keys = {"variance": 0.5, "size": 8, "channels": 3}


class TestGaussianConvImageStandardised(GaussianContract):
    keys = {"pixels": "standardised", "variance": "scalar", "norm": "none"}


class TestGaussianConvImageLearnedPerPixel(GaussianContract):
    keys = {"variance": "pixel"}
    picture = (8, 16)


class TestGaussianConvImageWithBatchNorm(GaussianContract):
    keys = {"norm": "batch"}


class TestGaussianConvImageWithDenseLayersInTheDecoder(GaussianContract):
    keys = {"decoder_dense": (9, 7)}

    def test_the_layers_stand_between_z_and_the_map(self):
        config = self.make_codec().config
        codec = GaussianConvImage(config, GaussianConvImage(config).fit(self.make_column(2, 0)))
        dense = [m for m in codec.decoder(5).modules() if isinstance(m, torch.nn.Linear)]
        assert [layer.weight.shape for layer in dense] == [(9, 5), (7, 9), (16 * 2 * 2, 7)]


@pytest.mark.parametrize(("pixels", "middle"), [("unit", 0.5), ("standardised", 0.0)])
def test_pictures_of_an_untrained_decoder_may_start_grey(pixels, middle):
    @torch.no_grad()
    def shown(**keys):
        config = GaussianConvImage.Config(pixels=pixels, channels_hidden=(8, 16), dense=12, **keys)
        codec = GaussianConvImage(config, GaussianConvImage(config).fit(column(9, 0, (8, 8, 3))))
        torch.manual_seed(0)
        return codec.point(codec.likelihood(codec.decoder(4)(torch.randn(50, 4))))

    grey, noisy = shown(start="grey"), shown()
    assert grey.mean().item() == pytest.approx(middle, abs=0.1)
    assert grey.std().item() == pytest.approx(0.3 * noisy.std().item(), rel=0.05)


class TestFourPixelsOfGaussianConvImage(GaussianContract):
    """Few enough to integrate the density."""

    keys = {"channels_hidden": (4,), "variance": "pixel", "norm": "none", "start": "grey"}
    picture = (2, 2)

    def integration_grid(self, codec):
        axis = torch.linspace(-6, 6, 21)
        grid = torch.cartesian_prod(*[axis] * 4).reshape(-1, *codec.event_shape)
        return grid, 0.6**4


@pytest.mark.parametrize("variance", [0.3, "scalar", "pixel"])
def test_gaussian_log_prob_is_the_sum_of_normal_densities(variance):
    contract = GaussianContract()
    contract.keys = {"variance": variance}
    codec, raw = contract.fitted()
    x = codec.to_input(codec.prepare(raw)[0])
    parameters = codec.decoder(3)(torch.randn(len(x), 3))
    likelihood = codec.likelihood(parameters)
    mean, sd = likelihood.mean, likelihood.stddev
    wanted = Normal(mean, sd).log_prob(x).sum((1, 2, 3))
    torch.testing.assert_close(codec.log_prob(likelihood, x, None), wanted)
    if variance == "scalar":
        torch.testing.assert_close(sd.square(), torch.full_like(sd, 1 + 1e-3))
    if variance == 0.3:
        best = codec.log_prob(codec.likelihood(x), x, None)
        torch.testing.assert_close(
            best, torch.full((6,), -0.5 * 192 * math.log(2 * math.pi * 0.3))
        )


def test_learned_variance_never_falls_below_the_floor():
    config = GaussianConvImage.Config(variance="pixel", variance_floor=0.01)
    codec = GaussianConvImage(config, {"shape": [1, 2, 2], "dtype": "uint8"})
    zeros = torch.zeros(1, 1, 2, 2)
    likelihood = codec.likelihood({"location": zeros, "raw_scale": zeros - 100})
    torch.testing.assert_close(likelihood.variance, zeros + 0.01)


def test_scalar_variance_is_one_trained_number():
    contract = GaussianContract()
    contract.keys = {"variance": "scalar"}
    codec, _ = contract.fitted()
    sizes = {n: p.numel() for n, p in codec.decoder(3).named_parameters() if "variance" in n}
    assert sizes == {"raw_variance": 1}


def test_standardised_pixels_have_mean_0_and_deviation_1():
    contract = GaussianContract()
    contract.keys = {"pixels": "standardised"}
    codec, raw = contract.fitted()
    x = codec.to_input(codec.prepare(raw)[0]).double()
    torch.testing.assert_close(x.mean(0), torch.zeros_like(x[0]), atol=1e-5, rtol=0)
    torch.testing.assert_close(x.std(0, correction=0), torch.ones_like(x[0]), atol=1e-5, rtol=0)


def test_a_pixel_that_never_varies_is_scaled_by_one_grey_level():
    config = GaussianConvImage.Config(pixels="standardised", channels_hidden=(4,))
    raw = Column(np.full((3, 4, 4), 200, np.uint8))
    codec = GaussianConvImage(config, GaussianConvImage(config).fit(raw))
    x = codec.to_input(codec.prepare(Column(np.full((1, 4, 4), 201, np.uint8)))[0])
    torch.testing.assert_close(x, torch.ones_like(x), atol=1e-3, rtol=0)


def test_paper_networks():
    config = GaussianConvImage.Config(size=64)
    codec = GaussianConvImage(config, {"shape": [3, 64, 64], "dtype": "uint8"})
    encoder = [tuple(p.shape) for p in codec.encoder().parameters() if p.dim() > 1]
    assert encoder == [
        (64, 3, 4, 4),
        (128, 64, 4, 4),
        (256, 128, 4, 4),
        (256, 256, 4, 4),
        (1024, 256 * 4 * 4),
    ]
    decoder = [tuple(p.shape) for p in codec.decoder(128).parameters() if p.dim() > 1]
    assert decoder == [
        (256 * 4 * 4, 128),
        (256, 256, 4, 4),
        (256, 128, 4, 4),
        (128, 64, 4, 4),
        (64, 3, 4, 4),
    ]
    assert codec.decoder(128)(torch.zeros(1, 128)).shape == (1, 3, 64, 64)


def test_a_critic_is_the_encoder_with_leaky_rectifiers_and_no_norm():
    config = GaussianConvImage.Config(channels_hidden=(8, 16), dense=32, norm="batch")
    codec = GaussianConvImage(config, {"shape": [3, 8, 8], "dtype": "uint8"})
    critic, encoder = codec.critic(), codec.encoder()
    kinds = [type(layer).__name__ for layer in critic]
    assert kinds == ["Conv2d", "LeakyReLU"] * 2 + ["Flatten", "Linear", "LeakyReLU"]
    layers = [[p.shape for p in net.parameters() if p.dim() > 1] for net in (critic, encoder)]
    assert layers[0] == layers[1]
    assert critic[0].bias is not None
    assert critic(torch.zeros(2, 3, 8, 8)).shape == (2, codec.feature_dim)


@pytest.mark.parametrize("network", ["encoder", "decoder", "critic"])
def test_gaussian_networks_keep_the_scale_of_what_passes(network):
    contract = GaussianContract()
    contract.keys, contract.shape = {"norm": "none"}, (32, 32)
    codec, _ = contract.fitted()
    if network == "decoder":
        body, x = codec.decoder(64).body, torch.randn(64, 64)
    else:
        body, x = getattr(codec, network)(), torch.randn(64, *codec.event_shape)
    squares = body(x).square().mean()  # torch's own initialisation: below 1e-2
    assert 0.3 < squares < 3


def test_log_likelihoods_of_standardised_pixels_are_those_of_pixels_in_0_to_1():
    contract = GaussianContract()
    contract.keys = {"pixels": "standardised", "variance": "pixel"}
    codec, raw = contract.fitted()
    x = codec.to_input(codec.prepare(raw)[0])
    likelihood = codec.likelihood(codec.decoder(3)(torch.randn(len(x), 3)))
    mean, deviation = codec.state["mean"], codec.state["deviation"]
    seen = Normal(mean + deviation * likelihood.mean, deviation * likelihood.stddev)
    pixels = codec.to_pixels(x)
    wanted = seen.log_prob(pixels)
    got = codec.log_prob(likelihood, x, None)
    torch.testing.assert_close(got, wanted.sum((1, 2, 3)))
    observed = torch.rand(x.shape) < 0.5
    some = codec.log_prob(likelihood, x, observed)
    torch.testing.assert_close(some, torch.where(observed, wanted, 0.0).sum((1, 2, 3)))
    standardised = likelihood.log_prob(x)
    torch.testing.assert_close(got + codec.log_scale.sum(), standardised)
    assert codec.density == "pixels in [0, 1]"


def test_pixels_in_0_to_1_have_no_scale():
    codec, _ = GaussianContract().fitted()
    assert codec.log_scale is None
    assert codec.density is None


@pytest.mark.parametrize("raw", [-3e38, -1e3, 90.0, 1e30, 3e38])
def test_extreme_variances_keep_densities_samples_and_gradients_finite(raw):
    codec = GaussianConvImage(GaussianConvImage.Config(variance="pixel"), {"shape": (8, 8, 1)})
    given = torch.full((2, 1, 8, 8), raw, requires_grad=True)
    likelihood = codec.likelihood({"location": torch.zeros(2, 1, 8, 8), "raw_scale": given})
    nats = codec.log_prob(likelihood, torch.ones(2, 1, 8, 8), None)
    (slope,) = torch.autograd.grad(nats.sum(), given)
    assert nats.isfinite().all()
    assert slope.isfinite().all()
    assert codec.sample(likelihood, torch.Generator().manual_seed(0)).isfinite().all()
