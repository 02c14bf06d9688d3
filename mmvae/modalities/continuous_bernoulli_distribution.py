"""The continuous Bernoulli distribution of a grey level in [0, 1], exact at any logit.

p(x) = C(l) exp(l x) on [0, 1] with C(l) = l / (exp(l) − 1), from a logit l (Loaiza-Ganem and
Cunningham 2019, arXiv:1907.06845). torch's own distribution clamps probabilities, so in float32
it is not a density beyond |l| = 16.

Everything is computed from the size a = |l| and the distance of x from the end of [0, 1] where
the density is highest, t = 1 − x if l > 0 and t = x otherwise, which has the density
a exp(−a t) / (1 − exp(−a)). So no exponential overflows and no difference cancels. Near l = 0,
where the closed forms are 0/0, series take over.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import factorial
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution, constraints

_BERNOULLI_NUMBERS = (
    Fraction(1, 6),
    Fraction(-1, 30),
    Fraction(1, 42),
    Fraction(-1, 30),
    Fraction(5, 66),
    Fraction(-691, 2730),
    Fraction(7, 6),
    Fraction(-3617, 510),
)

_SERIES = tuple(
    float(number / (2 * n * factorial(2 * n))) for n, number in enumerate(_BERNOULLI_NUMBERS, 1)
)
"""c_n of log[sinh(l/2) / (l/2)] = Σ_n c_n l^(2n), which converges for |l| < 2π."""

_NEAR = 1.0
"""Below this |l| the series is used: accurate to 1e-15, by its ninth term."""

_FLAT = 1e-3
"""Below this |l| distribution function and quantile are expanded to second order in l."""


class ContinuousBernoulli(Distribution):
    """Density C(l) exp(l x) of x in [0, 1], l / (exp(l) − 1) for C(l), uniform at l = 0.

    Values and their gradients are finite for every finite logit in float32 and float64.

    Args:
        logits: l, any shape, which is the batch shape.
        validate_args: As torch's distributions have it.
    """

    arg_constraints = {"logits": constraints.real}
    support = constraints.unit_interval
    has_rsample = True

    def __init__(self, logits: Tensor, validate_args: bool | None = None) -> None:
        self.logits = logits
        super().__init__(logits.shape, validate_args=validate_args)

    def expand(self, batch_shape: Any, _instance: Any = None) -> ContinuousBernoulli:
        """The same distribution with its batch dimensions expanded."""
        return ContinuousBernoulli(self.logits.expand(batch_shape), validate_args=False)

    @property
    def probs(self) -> Tensor:
        """λ = 1 / (1 + exp(−l)), the parameter of the paper; not the mean."""
        return self.logits.sigmoid()

    @property
    def mean(self) -> Tensor:
        """E[x], in (0, 1): 1 / (1 − exp(−l)) − 1 / l."""
        a, near = self._split()
        low = _low(a)
        exact = torch.where(self.logits > 0, 1 - low, low)
        logits = self.logits.where(near, 0.0)
        return torch.where(near, 0.5 + logits * _slope(logits.square()), exact)

    @property
    def variance(self) -> Tensor:
        """Var[x]: 1 / l² − exp(−a) / (1 − exp(−a))², at most 1/12."""
        a, near = self._split()
        exact = a.reciprocal().square() - torch.exp(-a) / torch.expm1(-a).square()
        return torch.where(near, _curvature(self.logits.where(near, 0.0).square()), exact)

    def log_prob(self, value: Tensor) -> Tensor:
        """Log-density at x in [0, 1], nats; 0 at l = 0, log a at the likelier end for large a."""
        if self._validate_args:
            self._validate_sample(value)
        a, near = self._split()
        exact = _peak(a) - a * torch.where(self.logits > 0, 1 - value, value)
        logits = self.logits.where(near, 0.0)
        squares = logits.square()
        series = logits * (value - 0.5) - squares * _bend(squares)
        return torch.where(near, series, exact)

    def entropy(self) -> Tensor:
        """Differential entropy −E[log p(x)], nats; 0 at l = 0."""
        a, near = self._split()
        squares = self.logits.where(near, 0.0).square()
        series = squares * (_bend(squares) - _slope(squares))
        return torch.where(near, series, a * _low(a) - _peak(a))

    def cdf(self, value: Tensor) -> Tensor:
        """P(X ≤ x) = (exp(l x) − 1) / (exp(l) − 1)."""
        if self._validate_args:
            self._validate_sample(value)
        a, flat, logits = self._flattened()
        risen = torch.expm1(-a * value) / torch.expm1(-a)
        exact = torch.where(self.logits > 0, torch.exp(-a * (1 - value)) * risen, risen)
        second = logits.square() * (1 - value) * (1 - 2 * value) / 12
        return torch.where(flat, value * (1 - logits * (1 - value) / 2 + second), exact)

    def icdf(self, value: Tensor) -> Tensor:
        """Quantile: the x with P(X ≤ x) = ``value``, which lies in [0, 1]."""
        a, flat, logits = self._flattened()
        high = self.logits > 0
        nearer = torch.where(high, 1 - value, value)  # mass between x and the likelier end
        farther = torch.where(high, value, 1 - value)
        end, half = farther == 0, (nearer < 0.5) | (a < 1)
        some = torch.log1p(torch.where(half, nearer, 0.0) * torch.expm1(-a))
        most = torch.where(half | end, 1.0, farther + nearer * torch.exp(-a)).log()
        distance = (torch.where(half, some, most) / -a).clamp(0, 1)
        distance = torch.where(end, 1.0, distance)
        exact = torch.where(high, 1 - distance, distance)
        second = logits.square() * (1 - 2 * value) / 6
        series = value + value * (1 - value) * (logits / 2 + second)
        return torch.where(flat, series, exact)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """Draws with a gradient, by the quantile of uniform noise."""
        shape = self._extended_shape(torch.Size(sample_shape))
        noise = torch.rand(shape, dtype=self.logits.dtype, device=self.logits.device)
        return self.icdf(noise)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """Draws without a gradient."""
        with torch.no_grad():
            return self.rsample(sample_shape)

    def _split(self) -> tuple[Tensor, Tensor]:
        """|l| where the closed forms hold, 1 elsewhere; and the mask where the series hold."""
        size = self.logits.abs()
        near = size < _NEAR
        return size.where(~near, _NEAR), near

    def _flattened(self) -> tuple[Tensor, Tensor, Tensor]:
        """The same for distribution function and quantile, and l where they are expanded."""
        size = self.logits.abs()
        flat = size < _FLAT
        return size.where(~flat, _FLAT), flat, self.logits.where(flat, 0.0)


def bounded(logits: Tensor, bound: float) -> Tensor:
    """Logits within ±``bound``: unchanged up to half of it, smoothly saturating beyond (C²).

    l ↦ sign(l) [b/2 + (b/2) tanh((|l| − b/2) / (b/2))] for |l| > b/2.
    """
    half = bound / 2
    excess = (logits.abs() - half).clamp(min=0)
    bent = half + half * torch.tanh(excess / half)
    return torch.where(excess > 0, torch.sign(logits) * bent, logits)


def _peak(a: Tensor) -> Tensor:
    """The largest log-density, log[a / (1 − exp(−a))]."""
    return a.log() - (-torch.expm1(-a)).log()


def _low(a: Tensor) -> Tensor:
    """E[t] = 1/a − exp(−a) / (1 − exp(−a)), the mean distance from the likelier end."""
    return a.reciprocal() + torch.exp(-a) / torch.expm1(-a)


def _bend(squares: Tensor) -> Tensor:
    """log[sinh(l/2) / (l/2)] / l², from l²."""
    return _polynomial(squares, _SERIES)


def _slope(squares: Tensor) -> Tensor:
    """(E[x] − 1/2) / l, from l²: the first derivative of that logarithm by l, over l."""
    return _polynomial(squares, [2 * n * c for n, c in enumerate(_SERIES, 1)])


def _curvature(squares: Tensor) -> Tensor:
    """Var[x], from l²: the second derivative of that logarithm by l."""
    return _polynomial(squares, [2 * n * (2 * n - 1) * c for n, c in enumerate(_SERIES, 1)])


def _polynomial(x: Tensor, coefficients: Sequence[float]) -> Tensor:
    """Σ_n coefficients[n] x^n, by Horner's rule."""
    total = torch.zeros_like(x)
    for c in reversed(coefficients):
        total = total * x + c
    return total
