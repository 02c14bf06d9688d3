"""Generators of known coherence, on the toys' vectors ``v`` and classes ``c``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from toys import CENTRES

from mmvae.models.base import Model
from mmvae.models.phase import Phase
from mmvae.models.posteriors import DiagonalGaussian

CENTRE = torch.tensor(CENTRES["v"], dtype=torch.float32)


class Generator(Model):
    """z says the class; ``v`` is the centre of that class, or of one drawn anew."""

    kind = "generator"
    latent_dim = 3

    def __init__(self, codecs: Mapping[str, Any], shuffled: bool = False) -> None:
        super().__init__(None, codecs)
        self.shuffled, self.nothing = shuffled, nn.Parameter(torch.zeros(()))

    def posterior(self, observed: Mapping[str, Tensor]) -> DiagonalGaussian:
        if "c" in observed:
            mean = 4.0 * observed["c"]
        else:
            nearest = torch.cdist(observed["v"], CENTRE).argmin(1)
            mean = 4.0 * torch.eye(3)[nearest]
        return DiagonalGaussian(mean, torch.full_like(mean, -4.0))

    def prior(self, given: Mapping[str, Tensor], b: int) -> DiagonalGaussian:
        return DiagonalGaussian.standard(torch.zeros(b, 3))

    def parameters_of(self, modality: str, z: Tensor, given: Mapping[str, Tensor]) -> Tensor:
        classes = z.argmax(1)
        if modality == "c":
            return z
        if self.shuffled:
            classes = torch.randint(3, classes.shape, generator=torch.Generator().manual_seed(0))
        return CENTRE[classes]

    def supports(self, targets: Any, given: Any, proposal: Any) -> str | None:
        return None

    def phases(self) -> list[Phase]:
        return []

    def objective(self, *args: Any) -> Any:
        raise NotImplementedError
