"""Densities p(x_m|z) of codecs, in the user's units."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.distributions import Distribution

from mmvae.modalities.likelihoods.likelihood import (
    Likelihood,
    Parameters,
    cellwise_log_prob,
    seeded_sample,
)
from mmvae.modalities.recipe import Recipe


class Density(Recipe):
    """The part of a codec that composes its likelihood from a decoder's parameters."""

    @classmethod
    def undefined(cls) -> tuple[str, ...]:
        """The methods of the likelihood that neither the class nor its family defines."""
        if cls.likelihood_family is not Density.likelihood_family:
            return ()
        return tuple(m for m in ("likelihood", "point") if getattr(cls, m) is getattr(Density, m))

    @property
    def likelihood_family(self) -> Likelihood | None:
        """The likelihood that the codec composes: links, density, point and sample.

        Default: None; such a codec defines :meth:`likelihood` and :meth:`point` itself.
        """
        return None

    def _family(self) -> Likelihood:
        family = self.likelihood_family
        if family is None:
            raise NotImplementedError(
                f"Codec {self.kind!r} defines neither likelihood_family nor likelihood and point."
            )
        return family

    def likelihood(self, parameters: Parameters) -> Distribution:
        """p(x_m|z): batch shape (b,), event shape ``event``; parameters are at least float32.

        Called at every step, after the decoder, so pass ``validate_args=False``. New tensors
        belong on the parameters' device. Default: that of :attr:`likelihood_family`.
        """
        return self._family().distribution(parameters)

    def log_prob(self, likelihood: Distribution, x: Tensor, observed: Tensor | None) -> Tensor:
        """Log-likelihood log p(x_m|z) in nats per item, float32 (b,), without unobserved cells.

        A density refers to values in the user's units, pixels of images in [0, 1]. Default: that
        of :attr:`likelihood_family`, less Σ log s over observed cells (:attr:`log_scale`); without
        a family, of the distribution as it is.

        Called for losses and bounds. Values of unobserved cells, even NaN, change neither the
        result nor a gradient. For an item that lacks the modality ``x`` is the fill value
        (:meth:`missing`), and the core ignores the result.

        Args:
            likelihood: The result of :meth:`likelihood` for b items.
            x: Model input, shape (b, event…).
            observed: Mask of observed cells, bool (b, event…), or None if all are observed.

        Raises:
            TypeError: Some cells are unobserved and the likelihood does not factorise over cells.
        """
        if observed is not None:
            x = torch.where(observed, x, self.missing(len(x)).to(x))
        family = self.likelihood_family
        try:
            if family is None:
                return cellwise_log_prob(likelihood, x, observed)
            nats = family.log_prob(likelihood, x, observed)
        except TypeError as error:
            raise TypeError(f"Codec {self.kind!r}: {error}") from error
        log_scale = self.log_scale
        if log_scale is None:
            return nats
        log_scale = log_scale.to(nats, non_blocking=True)
        if observed is None:
            return nats - log_scale.sum()
        return nats - (observed * log_scale).flatten(1).sum(1)

    def point(self, likelihood: Distribution) -> Tensor:
        """One best value, the mean or mode, float32 (b, event…).

        Called where one value represents p(x_m|z): generated and imputed values unless samples are
        requested, reconstructions, coherence and metrics. Default: that of
        :attr:`likelihood_family`.
        """
        return self._family().point(likelihood)

    def sample(self, likelihood: Distribution, generator: torch.Generator) -> Tensor:
        """A draw of x_m, float32 (b, event…), determined by ``generator`` only.

        Called where samples of values are requested: ``generate --sample``, ``impute --by
        sample``. Default: that of :attr:`likelihood_family`, or ``likelihood.sample()``.
        """
        family = self.likelihood_family
        if family is None:
            return seeded_sample(likelihood, generator)
        return family.sample(likelihood, generator)

    @property
    def density(self) -> str | None:
        """The measure of the likelihood's density, if it needs stating; default: None.

        Evaluations print it beside their results: ``"pixels in [0, 1]"``. Results are comparable
        only for equal densities.
        """
        return None

    @property
    def log_scale(self) -> Tensor | None:
        """Logarithm of each cell's scale s if model input is (x − m) / s; default: None.

        Shape (event…), on the CPU. :meth:`log_prob` refers to x in the user's units, so it
        includes −Σ log s over the observed cells; a codec that overrides it must include them.
        Evaluations also report the log-likelihood of the standardised values, which does not.
        """
        return None


def scale_nats(codec: Density, observed: Tensor | None) -> Tensor | None:
    """Σ log s over observed cells: log-density of standardised values minus that of the user's.

    Args:
        codec: A fitted codec.
        observed: Mask of observed cells, bool (b, event…), or None if all are observed.

    Returns:
        Nats, float64 on the CPU, shape (b,), or () if all cells are observed; None if values
        are not standardised.
    """
    log_scale = codec.log_scale
    if log_scale is None:
        return None
    if observed is None:
        return log_scale.double().sum()
    return torch.where(observed.cpu(), log_scale.double(), 0.0).flatten(1).sum(1)
