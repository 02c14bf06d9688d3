r"""Importance-weighted log-likelihoods, in nats per item (T10).

Everything here is one estimator, :class:`Evidence`,

.. math::
    \log \hat p(x_T) = \log \frac{1}{k} \sum_{i=1}^k
        \frac{p(z_i) \prod_{m \in T} p(x_m|z_i)}{q(z_i|x_P)}, \qquad z_i \sim q(z|x_P),

and evidences that share a proposal share one pass over its samples. A likelihood query is one
evidence, or for a conditional the difference of two: :mod:`mmvae.evaluation.likelihood_queries`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mmvae.data.batches import Batch
from mmvae.evaluation.noise import item_noise, prior_noise
from mmvae.evaluation.onednn import OneDnnDense
from mmvae.evaluation.weight_sum import Estimate, WeightSum
from mmvae.foundations.errors import UsageError
from mmvae.foundations.randomness import StepDraws
from mmvae.modalities.likelihoods.likelihood import Parameters
from mmvae.modalities.subsets import Subset, canonical, subset_name
from mmvae.models.base import Model
from mmvae.models.parameters import fold, in_float32, unfold
from mmvae.models.posteriors import Posterior

ROWS = 16_384
"""Default number of samples per chunk, large enough to keep the overhead per operation low."""

DECODED = 1024
"""Number of samples decoded at once: activations that fit into caches are faster."""


@dataclass(frozen=True)
class Evidence:
    """log p̂(x_T | x_G), estimated with k samples of one proposal.

    Attributes:
        targets: T.
        given: G, the modalities that the model conditions on natively; empty for most models.
        proposal: P of q(z|x_P), or None for samples of the prior, the same for every item.
        samples: k ≥ 1.
    """

    targets: Subset
    given: Subset
    proposal: Subset | None
    samples: int


@torch.no_grad()
def iw_bound(
    model: Model,
    batch: Batch,
    targets: Sequence[str],
    proposal: Sequence[str],
    samples: int,
    draws: StepDraws,
    given: Sequence[str] = (),
) -> Tensor:
    r"""Importance-weighted bound of log p(x_T) with samples of q(z|x_P) (T10).

    With k = 1 it is the bound whose mean is the ELBO; it rises with k on average. A model that
    conditions natively (CVAE, CMMA) may be given G: then p(z|x_G) and p(x_m|z, x_G) replace p(z)
    and p(x_m|z), and it is a bound of log p(x_T|x_G).

    For an item with missing modalities it bounds the observed part of T. If P is all modalities,
    z comes from the joint posterior of the observed modalities (T13).

    Args:
        model: Any model of the protocol.
        batch: Model input with the modalities of T, P and G.
        targets: T.
        proposal: P; T itself for the single bound, all modalities for the multiple one.
        samples: k ≥ 1.
        draws: Randomness; the same draws give the same bound.
        given: G, for models with :attr:`~mmvae.models.base.Model.conditional`.

    Returns:
        Nats per item, float64 (b,).

    Raises:
        UsageError: k < 1; the model has no posterior for P or cannot condition on G; items lack
            modalities of G, or of a P that is a proper subset.
    """
    if samples < 1:
        raise UsageError(f"samples = {samples}: expected at least 1.")
    here, by = canonical(targets, model.modalities), canonical(proposal, model.modalities)
    condition = canonical(given, model.modalities)
    if condition and not model.conditional:
        raise UsageError(
            f"given = {subset_name(condition)}: a {model.kind!r} model has no prior and "
            f"likelihoods given other modalities, so its conditional is no bound. Take the "
            f"difference of two bounds: log p(x_T, x_G) − log p(x_G)."
        )
    reason = model.supports(here, condition, by)
    if reason is not None:
        raise UsageError(reason)
    seen = condition if by == model.modalities else tuple(dict.fromkeys((*condition, *by)))
    has = batch.having(seen)
    if has is not None and not has.all():
        raise UsageError(
            f"q(z|{subset_name(by)}): {int((~has).sum())} of {len(batch)} items lack some of "
            f"{', '.join(seen)}. Leave them out, or take samples of the joint posterior."
        )
    evidence = Evidence(here, condition, by, samples)
    return estimates(model, batch, [evidence], draws)[evidence].nats


@torch.no_grad()
def estimates(
    model: Model,
    batch: Batch,
    evidences: Iterable[Evidence],
    draws: StepDraws,
    rows: int = ROWS,
) -> dict[Evidence, Estimate]:
    """Estimate several evidences of the same items, in one pass per proposal.

    Args:
        model: Any model of the protocol that supports them.
        batch: The items.
        evidences: The evidences to estimate.
        draws: Randomness. A sample depends neither on ``rows`` nor on the other evidences.
        rows: Number of samples, over all items, to decode at once.
    """
    with OneDnnDense():
        return _estimates(model, batch, evidences, draws, rows)


def _estimates(
    model: Model, batch: Batch, evidences: Iterable[Evidence], draws: StepDraws, rows: int
) -> dict[Evidence, Estimate]:
    passes: dict[tuple[Subset, Subset | None, int], list[Evidence]] = {}
    for evidence in dict.fromkeys(evidences):
        key = (evidence.given, evidence.proposal, evidence.samples)
        passes.setdefault(key, []).append(evidence)
    found: dict[Evidence, Estimate] = {}
    for (given, proposal, samples), members in passes.items():
        sums = {evidence: WeightSum(len(batch)) for evidence in members}
        known = {m: batch.x[m] for m in given}
        decoded = {m: Repeated(batch, m, known) for e in members for m in e.targets}
        at_once = max(1, rows // len(batch))
        for weights, nats in weighted(
            model, batch, proposal, known, decoded, samples, at_once, draws
        ):
            for evidence, total in sums.items():
                total.add(sum((nats[m] for m in evidence.targets), start=weights))
        found |= {evidence: total.estimate() for evidence, total in sums.items()}
    return found


def weighted(
    model: Model,
    batch: Batch,
    proposal: Subset | None,
    known: Mapping[str, Tensor],
    decoded: Mapping[str, Repeated],
    samples: int,
    at_once: int,
    draws: StepDraws,
) -> Iterator[tuple[Tensor, dict[str, Tensor]]]:
    """Yield chunks of log p(z) − log q(z|x_P) and, by modality, log p(x_m|z), each (k', b)."""
    if proposal is None:
        for noise in prior_noise(draws, samples, model.latent_dim, at_once):
            z = noise.to(batch.device)
            nats = {m: repeat.of_shared(model, z) for m, repeat in decoded.items()}
            yield torch.zeros(len(z), len(batch), device=z.device), nats
        return
    if proposal == model.modalities:
        q = model.joint_posterior(batch)
    else:
        q = model.posterior({m: batch.x[m] for m in proposal})
    p = model.prior(known, len(batch))
    for noise in item_noise(draws, samples, model.latent_dim, at_once):
        z = q.rsample(noise)
        parts = torch.split(z, max(1, DECODED // len(batch)))
        nats = {
            m: torch.cat([repeat.of_own(model, part) for part in parts])
            for m, repeat in decoded.items()
        }
        yield log_ratio(p, q, z), nats


def log_ratio(p: Posterior, q: Posterior, z: Tensor) -> Tensor:
    """Log p(z) − log q(z), shape (k, b)."""
    return p.log_prob(z) - q.log_prob(z)


class Repeated:
    """One modality of a batch, repeated for each sample of z and reused from chunk to chunk.

    Items that lack the modality have nats of 0.

    Args:
        batch: The items.
        modality: m.
        known: Condition → its model input (b, event…), for conditional models.
    """

    def __init__(self, batch: Batch, modality: str, known: Mapping[str, Tensor]) -> None:
        self.modality, self.b = modality, len(batch)
        self._x, self._observed, self._known = batch.x[modality], batch.observed[modality], known
        self._present = batch.presence.get(modality)
        self._kept: tuple[int, Tensor, Tensor | None, dict[str, Tensor]] | None = None

    def times(self, k: int) -> tuple[Tensor, Tensor | None, dict[str, Tensor]]:
        """Inputs (k · b, …), their masks and conditions, ordered by sample, then item."""
        if self._kept is None or self._kept[0] < k:
            mask = None if self._observed is None else repeated(self._observed, k)
            known = {m: repeated(x, k) for m, x in self._known.items()}
            self._kept = (k, repeated(self._x, k), mask, known)
        n = k * self.b
        _, x, mask, known = self._kept
        return x[:n], None if mask is None else mask[:n], {m: c[:n] for m, c in known.items()}

    def of_own(self, model: Model, z: Tensor) -> Tensor:
        """Log p(x_m|z), (k, b), for latents (k, b, d) that differ between items."""
        flat, shape = fold(z)
        x, mask, known = self.times(shape[0])
        has = None if self._present is None else repeated(self._present, shape[0])
        return unfold(model.log_likelihood(self.modality, flat, x, mask, known, has), shape)

    def of_shared(self, model: Model, z: Tensor) -> Tensor:
        """Log p(x_m|z), (k, b), for latents (k, d) that all items share: decoded once."""
        codec, k = model.codecs[self.modality], len(z)
        parameters = in_float32(model.parameters_of(self.modality, z, {}))
        likelihood = codec.likelihood(spread(parameters, self.b))
        x, mask, _ = self.times(k)
        nats = codec.log_prob(likelihood, x, mask).reshape(k, self.b)
        return nats if self._present is None else torch.where(self._present, nats, 0.0)


def spread(parameters: Parameters, b: int) -> Parameters:
    """Parameters (k, …) for b items each: (k · b, …)."""
    if isinstance(parameters, Tensor):
        return parameters.repeat_interleave(b, 0)
    return {name: spread(value, b) for name, value in parameters.items()}  # type: ignore[misc]


def repeated(values: Tensor, k: int) -> Tensor:
    """Repeat values (b, …) k times, in the order of :func:`fold` for (k, b, …): (k · b, …)."""
    return values.expand(k, *values.shape).flatten(0, 1)
