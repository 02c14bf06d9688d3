"""A conditional linear-Gaussian model: p(z|w) = N(Dw, I), p(x|z, w) = N(Az + Cw, σ² I).

It conditions natively, as CVAE (likelihood) and CMMA (prior) do; its posterior is exact.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from linear_gaussian import linear_codecs
from torch import Tensor, nn
from torch.distributions import MultivariateNormal

from mmvae.models.base import Model
from mmvae.models.phase import Phase
from mmvae.models.posteriors import DiagonalGaussian

VARIANCE = 0.8**2


class Conditional(Model):
    kind = "conditional"
    conditional = True
    decoded = ("x",)
    latent_dim = 2

    def __init__(self) -> None:
        super().__init__(None, linear_codecs(x={"dim": 4, "sd": 0.8}, w={"dim": 3}))
        source = torch.Generator().manual_seed(0)
        a, _ = torch.linalg.qr(torch.randn(4, 2, generator=source))
        self.a = nn.Parameter(0.7 * a)  # orthogonal columns: posteriors are diagonal
        self.c = nn.Parameter(torch.randn(4, 3, generator=source))
        self.d = nn.Parameter(torch.randn(2, 3, generator=source))

    def posterior(self, observed: Mapping[str, Tensor]) -> DiagonalGaussian:
        w = observed["w"]
        if "x" not in observed:
            return self.prior(observed, len(w))
        precision = 1 + self.a.square().sum(0) / VARIANCE
        shift = w @ self.d.T + (observed["x"] - w @ self.c.T) @ self.a / VARIANCE
        mean = shift / precision
        return DiagonalGaussian(mean, -precision.log().expand_as(mean))

    def prior(self, given: Mapping[str, Tensor], b: int) -> DiagonalGaussian:
        mean = given["w"] @ self.d.T
        return DiagonalGaussian(mean, torch.zeros_like(mean))

    def parameters_of(self, modality: str, z: Tensor, given: Mapping[str, Tensor]) -> Tensor:
        assert modality == "x"
        return z @ self.a.T + given["w"] @ self.c.T

    def evidence(self, x: Tensor, w: Tensor) -> Tensor:
        """log p(x|w), the closed form, shape (b,)."""
        mean = w @ (self.a @ self.d + self.c).T
        covariance = self.a @ self.a.T + VARIANCE * torch.eye(4)
        return MultivariateNormal(mean, covariance).log_prob(x)

    def supports(self, targets: Any, given: Any, proposal: Any) -> str | None:
        whole = (tuple(targets), tuple(given)) == (("x",), ("w",))
        return None if whole else "It knows p(x|w) alone."

    def phases(self) -> list[Phase]:
        return []

    def objective(self, *args: Any) -> Any:
        raise NotImplementedError
