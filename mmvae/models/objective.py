"""The objectives: map per-item nats to a loss and its named terms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from mmvae.modalities.subsets import Subset, subset_name
from mmvae.models.phase import Terms


@dataclass(frozen=True)
class Penalty:
    """The KL penalty of a batch, nats.

    Attributes:
        total: Σ_S α_S KL(q(z|x_M) ‖ q_S(z|x_S)), (b,) (T5).
        by_subset: KL(q(z|x_M) ‖ q_S(z|x_S)) by the name of S, (b,) each.
    """

    total: Tensor
    by_subset: Mapping[str, Tensor] = field(default_factory=dict)


def elbo(
    log_likelihoods: Mapping[str, Tensor],
    kl: Tensor,
    likelihood_weights: Mapping[str, float] | None = None,
    beta: float = 1.0,
) -> Terms:
    r"""The evidence lower bound of a variational autoencoder (T2).

    .. math::
        L = \sum_m \lambda_m E_{q(z|x)}[\log p(x_m|z)] - \beta\, KL(q(z|x) \| p(z))

    Args:
        log_likelihoods: Modality → log p(x_m|z) at a sample of q(z|x), nats, (b,).
        kl: KL(q(z|x) ‖ p(z)), nats, (b,).
        likelihood_weights: λ_m (T12); 1 where not given.
        beta: Warm-up weight of the KL term (T11).

    Returns:
        ``loss`` = −L and the terms ``log_likelihood/m``, ``kl`` and ``elbo`` (λ = β = 1), (b,)
        each.
    """
    weights = likelihood_weights or {}
    reconstruction = sum_of(
        [_weighted(value, weights.get(m, 1.0)) for m, value in log_likelihoods.items()]
    )
    named = {f"log_likelihood/{m}": value for m, value in log_likelihoods.items()}
    named |= {"kl": kl, "elbo": sum_of(list(log_likelihoods.values())) - kl}
    return Terms(beta * kl - reconstruction, named)


def jmvae_objective(
    log_likelihoods: Mapping[str, Tensor],
    kl: Tensor,
    penalty: Penalty | None = None,
    likelihood_weights: Mapping[str, float] | None = None,
    beta: float = 1.0,
    gamma: float = 1.0,
) -> Terms:
    r"""The objective of JMVAE-kl for any number of modalities (T4).

    .. math::
        L = \sum_m \lambda_m E_{q(z|x_M)}[\log p(x_m|z)] - \beta\, KL(q(z|x_M) \| p(z))
            - \gamma \sum_{S} \alpha_S\, KL(q(z|x_M) \| q_S(z|x_S))

    With two modalities, their singletons and α_S = α it is Eq. 4 of Suzuki, Nakayama and Matsuo
    (2016); without subsets it is Eq. 3; with one modality, the VAE's bound. For items with missing
    modalities it is T13: a missing modality counts 0 nats, an uninformed subset has weight 0.

    Args:
        log_likelihoods: Modality → log p(x_m|z) at a sample of the joint posterior, nats, (b,).
        kl: KL(q(z|x_M) ‖ p(z)), nats, (b,).
        penalty: Σ_S α_S KL(q(z|x_M) ‖ q_S(z|x_S)), nats, (b,); None for none.
        likelihood_weights: λ_m; 1 where not given.
        beta: Warm-up weight of the KL term (T11).
        gamma: Warm-up weight of the penalty.

    Returns:
        ``loss`` = −L, the terms of :func:`elbo`, ``penalty`` and ``subset_kl/S``, (b,) each.
    """
    bound = elbo(log_likelihoods, kl, likelihood_weights, beta)
    if penalty is None:
        return bound
    named = dict(bound.named)
    last = named.pop("elbo")
    named["penalty"] = penalty.total
    named |= {f"subset_kl/{name}": nats for name, nats in penalty.by_subset.items()}
    return Terms(bound.loss + gamma * penalty.total, named | {"elbo": last})


def kl_penalty(
    divergences: Tensor, alphas: Sequence[float] | Tensor, subsets: Sequence[Subset] = ()
) -> Penalty:
    r"""Σ_S α_S KL(q(z|x_M) ‖ q_S(z|x_S)) (T5).

    Args:
        divergences: KL(q(z|x_M) ‖ q_S(z|x_S)) for n subsets, nats, (n, b).
        alphas: α_S of the n subsets, or per item too, (n, b); with subsets drawn per step,
            already times \|𝒮\| / n.
        subsets: The n subsets, for the names of their terms; empty leaves these out.
    """
    if not isinstance(alphas, Tensor):
        alphas = torch.tensor(alphas, dtype=divergences.dtype).unsqueeze(1)
    alphas = alphas.to(divergences.device, non_blocking=True)  # waits for nothing
    # no matrix product: autocast would round it to half precision
    total = (alphas * divergences).sum(0)
    rows = zip(subsets, divergences, strict=bool(subsets))
    return Penalty(total, {subset_name(subset): row for subset, row in rows})


def sum_of(values: Sequence[Tensor]) -> Tensor:
    """Sum of tensors of one shape."""
    total = values[0]
    for value in values[1:]:
        total = total + value
    return total


def _weighted(value: Tensor, weight: float) -> Tensor:
    return value if weight == 1.0 else weight * value
