"""Gaussian conv image: real pixels, p(x|z) = Π_i N(x_i; μ_i(z), σ_i²), convolutional networks.

The networks are those for faces in the published code of Suzuki, Nakayama and Matsuo (2016,
arXiv:1611.01891): stride-2 4×4 convolutions, a dense layer, and the mirror image as decoder.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import torch
from pydantic import Field, PositiveInt
from torch import Tensor, nn

from mmvae import (
    Activation,
    Column,
    Examples,
    GaussianLikelihood,
    Likelihood,
    Parameters,
    SoftplusScale,
    State,
    UnsupportedValue,
    activation,
    check_standardised,
    mlp,
)
from mmvae_images.examples import pictures
from mmvae_images.image import ImageCodec, ImageConfig
from mmvae_images.pixels import describe

_ROWS = 1024  # pictures read at once while the scale is learned
_LEAST = 1e-24  # of a variance: squares in units of a smaller one leave the range of float32
VarianceKey = Annotated[float, Field(ge=_LEAST, allow_inf_nan=False)] | Literal["scalar", "pixel"]
_RAW_ONE = math.log(math.expm1(1.0))  # its softplus is 1, the initial value of a learned number
_FAINT = 0.3  # scale of the decoder's last weights when pictures start grey
_LEVEL = 1 / 255  # a pixel that varies less than one grey level is scaled by one grey level


class GaussianConvImageConfig(ImageConfig):
    """Keys of ``codec = "gaussian-conv-image"``."""

    pixels: Literal["unit", "standardised"] = Field(
        "unit",
        description="Model units. 'unit': [0, 1]. 'standardised': each pixel has mean 0 and "
        "standard deviation 1 over the training split.",
    )
    variance: VarianceKey = Field(
        1.0,
        description="σ² in squared model units: a number, 'scalar' (one learned value), or "
        "'pixel' (predicted from z for each pixel).",
    )
    variance_floor: float = Field(
        1e-3, ge=_LEAST, allow_inf_nan=False, description="Lower bound of a learned σ²."
    )
    channels_hidden: tuple[PositiveInt, ...] = Field(
        (64, 128, 256, 256),
        min_length=1,
        description="Channels of the stride-2 convolutions. Each convolution halves height and "
        "width.",
    )
    dense: PositiveInt = Field(
        1024, description="Width of the dense layer after the convolutions."
    )
    decoder_dense: tuple[PositiveInt, ...] = Field(
        (),
        description="Widths of dense layers between z and the decoder's smallest feature map; the "
        "paper has none. A layer helps if global properties in z determine every pixel.",
    )
    norm: Literal["group", "batch", "none"] = Field(
        "group",
        description="Normalisation. 'batch' mixes the items of a batch, so it is refused with "
        "missing modalities, batches of one item, gradient accumulation and several processes.",
    )
    activation: Activation = Field("relu", description="Activation after each layer.")
    start: Literal["noisy", "grey"] = Field(
        "noisy",
        description="Pictures of an untrained decoder. 'noisy': the initial weights are used "
        "unchanged. 'grey': the weights of the last layer are multiplied by 0.3 and its bias "
        "starts at mid-grey (at the mean, with standardised pixels), from which training is "
        "faster.",
    )


class GaussianConvImage(ImageCodec):
    """Real pixels with a normalised Gaussian density."""

    kind = "gaussian-conv-image"
    Config = GaussianConvImageConfig

    def __init__(self, config: GaussianConvImageConfig, state: State | None = None) -> None:
        super().__init__(config, state)
        self.mixes_items = config.norm == "batch"

    def check_shape(self, shape: tuple[int, ...]) -> None:
        """Height and width must be divisible by 2 once per convolution; groups need 2 numbers."""
        step, last = 2 ** len(self.config.channels_hidden), self.config.channels_hidden[-1]
        if shape[1] % step or shape[2] % step:
            raise UnsupportedValue(
                None,
                f"pictures of {describe(shape)}",
                f"height and width that are multiples of {step}, one halving for each of the "
                f"{len(self.config.channels_hidden)} entries of channels_hidden",
                "List fewer channels_hidden, scale the pictures, or use codec = "
                "'bernoulli-image' for small ones.",
            )
        if self.config.norm == "group" and shape[1:] == (step, step) and 8 % last == 0:
            raise UnsupportedValue(
                None,
                f"pictures of {describe(shape)}, of which the convolutions leave {last} numbers",
                "16 or more: norm = 'group' makes 0 of each group of one number",
                "Set norm = 'none', list fewer channels_hidden, or end them with 16 or more.",
            )

    def fit(self, column: Column) -> State:
        """Learn the shape and, for standardised pixels, their mean and deviation."""
        state = dict(super().fit(column))
        if self.config.pixels == "standardised":
            state |= _scale(GaussianConvImage(self.config, state), column)
        return state

    def check_state(self) -> None:
        """Require a finite mean and a positive deviation for each standardised pixel."""
        super().check_state()
        if self.config.pixels == "standardised":
            check_standardised(self.state, self.event_shape, torch.float32)

    @property
    def feature_dim(self) -> int:
        """Width of the dense layer."""
        return int(self.config.dense)

    def to_input(self, x: Tensor) -> Tensor:
        """Pixels → [0, 1], then (x − mean) / deviation if standardised."""
        x = super().to_input(x)
        if self.config.pixels == "unit":
            return x
        mean, deviation = self.state["mean"].to(x), self.state["deviation"].to(x)
        return torch.div(x - mean, deviation)

    @property
    def density(self) -> str | None:
        """See :attr:`mmvae.Codec.density`."""
        return "pixels in [0, 1]" if self.config.pixels == "standardised" else None

    @property
    def log_scale(self) -> Tensor | None:
        """Logarithm of each pixel's deviation, (channels, height, width), if standardised."""
        standardised = self.config.pixels == "standardised"
        return self.state["deviation"].log() if standardised else None

    def to_pixels(self, x: Tensor) -> Tensor:
        """Model values → pixels in [0, 1], clamped."""
        x = x.detach().float().cpu()
        if self.config.pixels == "standardised":
            x = x * self.state["deviation"] + self.state["mean"]
        return super().to_pixels(x)

    @property
    def _map_shape(self) -> tuple[int, int, int]:
        _, height, width = self.event_shape
        hidden = self.config.channels_hidden
        return hidden[-1], height >> len(hidden), width >> len(hidden)

    def encoder(self) -> nn.Module:
        """Stride-2 convolutions, then a dense layer."""
        layers: list[nn.Module] = []
        width = self.event_shape[0]
        for wider in self.config.channels_hidden:
            layers += [
                nn.Conv2d(width, wider, 4, 2, 1, bias=self._bias),
                *self._norm_and_activation(wider),
            ]
            width = wider
        layers += [nn.Flatten(), nn.Linear(math.prod(self._map_shape), self.config.dense)]
        layers.append(activation(self.config.activation))
        return _initialised(nn.Sequential(*layers))

    def critic(self) -> nn.Module:
        """The encoder's layers with leaky rectifiers and no norm, for an adversary's critic."""
        plain = self.config.model_copy(update={"norm": "none", "activation": "leaky-relu"})
        return GaussianConvImage(plain, self.state).encoder()

    def decoder(self, input_dim: int) -> nn.Module:
        """A dense layer to the smallest map, then transposed convolutions up to the picture.

        The layers of ``decoder_dense`` come first.
        """
        widths = list(reversed(self.config.channels_hidden))
        smallest = math.prod(self._map_shape)
        layers: list[nn.Module] = [
            *mlp(input_dim, self.config.decoder_dense, self.config.activation, smallest),
            nn.Unflatten(1, self._map_shape),
            *self._norm_and_activation(widths[0]),
        ]
        for width, narrower in zip(widths, widths[1:], strict=False):
            layers += [
                nn.ConvTranspose2d(width, narrower, 4, 2, 1, bias=self._bias),
                *self._norm_and_activation(narrower),
            ]
        channels = self.event_shape[0] * (2 if self.config.variance == "pixel" else 1)
        layers.append(nn.ConvTranspose2d(widths[-1], channels, 4, 2, 1))
        body = _initialised(nn.Sequential(*layers))
        if self.config.start == "grey":
            self._start_grey(body[-1])
        return _GaussianHead(body, self.config)

    @torch.no_grad()
    def _start_grey(self, last: nn.Module) -> None:
        """Initialise the decoder's last layer near mid-grey; if standardised, near the mean."""
        assert isinstance(last, nn.ConvTranspose2d)
        assert last.bias is not None
        last.weight.mul_(_FAINT)
        last.bias.zero_()
        if self.config.pixels == "unit":
            last.bias[: self.event_shape[0]] = 0.5

    @property
    def _bias(self) -> bool:
        return bool(self.config.norm != "batch")  # batch norm removes any constant

    def _norm_and_activation(self, width: int) -> list[nn.Module]:
        norms: dict[str, list[nn.Module]] = {
            "group": [nn.GroupNorm(math.gcd(8, width), width)],
            "batch": [nn.BatchNorm2d(width)],
            "none": [],
        }
        return [*norms[self.config.norm], activation(self.config.activation)]

    @property
    def likelihood_family(self) -> Likelihood:
        """Independent normal pixels; σ² = softplus(raw) + floor if it is learned."""
        c = self.config
        if isinstance(c.variance, float):
            return GaussianLikelihood(math.sqrt(c.variance))
        return GaussianLikelihood(SoftplusScale(c.variance_floor, squared=True))

    @classmethod
    def examples(cls, keys: Mapping[str, Any] | None = None) -> Examples:
        """Small pictures in colour, by small layers."""
        return pictures((8, 8, 3), {"channels_hidden": (8, 16), "dense": 12})


class _GaussianHead(nn.Module):
    """The decoder's last step: its output as a mean, with the learned part of σ²."""

    def __init__(self, body: nn.Module, config: GaussianConvImageConfig) -> None:
        super().__init__()
        self.body = body
        self.variance = config.variance
        if config.variance == "scalar":
            self.raw_variance = nn.Parameter(torch.tensor(_RAW_ONE))

    def forward(self, h: Tensor) -> Parameters:
        out: Tensor = self.body(h)
        if self.variance == "scalar":
            return {"location": out, "raw_scale": self.raw_variance.expand(len(out), 1, 1, 1)}
        if self.variance == "pixel":
            mean, raw = out.chunk(2, dim=1)
            return {"location": mean, "raw_scale": raw}
        return out


def _initialised(network: nn.Sequential) -> nn.Sequential:
    """Initialise weights so that rectifiers preserve the scale of activations (He et al. 2015).

    torch's own are smaller by a factor of √6 per layer; with them these networks learn more
    slowly.
    """
    for layer in network:
        if isinstance(layer, (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)):
            inputs = layer.weight[0].numel()
            if isinstance(layer, nn.ConvTranspose2d):  # each output sees every stride-th row
                inputs = (
                    layer.in_channels * math.prod(layer.kernel_size) // math.prod(layer.stride)
                )
            nn.init.normal_(layer.weight, 0.0, math.sqrt(2 / inputs))
    return network


def _scale(codec: ImageCodec, column: Column) -> State:
    """Each pixel's mean and deviation over the column, float32 (channels, height, width)."""
    total = torch.zeros(codec.event_shape, dtype=torch.float64)
    squares = torch.zeros_like(total)
    for stored, _ in column.in_parts(codec.prepare, _ROWS):
        x = ImageCodec.to_input(codec, stored).double()
        total += x.sum(0)
        squares += x.square().sum(0)
    mean = total / len(column)
    variance = (squares / len(column) - mean.square()).clamp(min=0)
    return {"mean": mean.float(), "deviation": variance.sqrt().clamp(min=_LEVEL).float()}
