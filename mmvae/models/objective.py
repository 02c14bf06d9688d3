"""The objectives: per-item nats in, a loss and its named terms out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from mmvae.modalities.subsets import Subset, subset_name
from mmvae.models.base import Terms


def jmvae_objective(
    log_likelihoods: Mapping[str, Tensor],
    kl: Tensor,
    penalties: Tensor | None = None,
    subsets: Sequence[Subset] = (),
    alphas: Sequence[float] | Tensor = (),
    likelihood_weights: Mapping[str, float] | None = None,
    beta: float = 1.0,
    gamma: float = 1.0,
) -> Terms:
    r"""The objective of JMVAE-kl for any number of modalities (T4).

    .. math::
        L = \sum_m \lambda_m E_{q(z|x_M)}[\log p(x_m|z)] - \beta\, KL(q(z|x_M) \| p(z))
            - \gamma \sum_{S} \alpha_S\, KL(q(z|x_M) \| q_S(z|x_S))

    With two modalities, their singletons and α_S = α it is Eq. 4 of Suzuki, Nakayama and Matsuo
    (2016); without subsets it is Eq. 3; with one modality, the VAE's bound. Of items with gaps it
    is T13: what an item lacks has nats of 0, and subsets that it cannot inform a weight of 0.

    Args:
        log_likelihoods: Modality → log p(x_m|z) at a sample of the joint posterior, nats, (b,).
        kl: KL(q(z|x_M) ‖ p(z)), nats, (b,).
        penalties: KL(q(z|x_M) ‖ q_S(z|x_S)) for n subsets, nats, (n, b); None for none.
        subsets: The n subsets, for the names of the terms; empty leaves the terms of single
            subsets out.
        alphas: α_S of the n subsets, or of each item too, (n, b); with subsets drawn per step,
            already times \|𝒮\| / n.
        likelihood_weights: λ_m; 1 where not given.
        beta: Warm-up weight of the KL term (T11).
        gamma: Warm-up weight of the penalty.

    Returns:
        ``loss`` = −L and the terms ``log_likelihood/m``, ``kl``, ``penalty`` (Σ_S α_S KL,
        T5), ``subset_kl/S``, and ``elbo`` (λ = β = 1, no penalty), each (b,).
    """
    weights = likelihood_weights or {}
    reconstruction = sum_of(
        [_weighted(value, weights.get(m, 1.0)) for m, value in log_likelihoods.items()]
    )
    loss = beta * kl - reconstruction
    named = {f"log_likelihood/{m}": value for m, value in log_likelihoods.items()}
    named["kl"] = kl
    if penalties is not None:
        if not isinstance(alphas, Tensor):
            alphas = torch.tensor(alphas, dtype=penalties.dtype).unsqueeze(1)
        alphas = alphas.to(penalties.device, non_blocking=True)  # waits for nothing
        # no matrix product: autocast would round it to half precision
        named["penalty"] = (alphas * penalties).sum(0)
        loss = loss + gamma * named["penalty"]
        rows = zip(subsets, penalties, strict=bool(subsets))
        named |= {f"subset_kl/{subset_name(subset)}": row for subset, row in rows}
    named["elbo"] = sum_of(list(log_likelihoods.values())) - kl
    return Terms(loss, named)


def sum_of(values: Sequence[Tensor]) -> Tensor:
    """Sum of tensors of one shape."""
    total = values[0]
    for value in values[1:]:
        total = total + value
    return total


def _weighted(value: Tensor, weight: float) -> Tensor:
    return value if weight == 1.0 else weight * value
