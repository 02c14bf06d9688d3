"""Strings: a distribution over all strings up to a length, its positions independent."""

from __future__ import annotations

import torch
from torch import Size, Tensor
from torch.distributions import Distribution, constraints
from torch.nn import functional as F

from mmvae import Likelihood, Parameters

END = 0
"""The symbol that ends a string and fills the positions after its end."""


class StringLikelihood(Likelihood):
    """Strings whose positions are independent, from logits of each position's symbols."""

    parameters = ("logits",)
    support = constraints.nonnegative_integer

    def distribution(self, parameters: Parameters) -> Distribution:
        """Strings from logits (b, L, V)."""
        assert isinstance(parameters, Tensor)
        return Strings(parameters)

    def log_prob(self, p: Distribution, x: Tensor, observed: Tensor | None = None) -> Tensor:
        """Log-probability of codes (b, L), nats (b,); 0 if any position is unobserved.

        Codes that are no symbol, as of a missing text, are read as END.
        """
        assert isinstance(p, Strings)
        nats = p.log_prob(torch.where(x < p.log_probs.shape[-1], x, END))
        return nats if observed is None else torch.where(observed.all(-1), nats, 0.0)

    def point(self, p: Distribution) -> Tensor:
        """The most likely string."""
        return p.mode.float()

    def sample(self, p: Distribution, generator: torch.Generator) -> Tensor:
        """A draw of each position, up to the first end."""
        assert isinstance(p, Strings)
        return p.draw(generator).float()


class Strings(Distribution):
    r"""Strings of at most L symbols, each position independent until one of them ends.

    .. math::
        p(s) = \prod_{i < n} p_i(s_i) \cdot p_n(\mathrm{end}), \qquad n = |s| < L,

    and without the last factor for n = L. Each position either ends the string or continues it, so
    the probabilities of all strings sum to 1.

    Args:
        logits: Scores of each position's symbols, END first, shape (b, L, V).
    """

    def __init__(self, logits: Tensor) -> None:
        self.log_probs = F.log_softmax(logits, -1)
        super().__init__(logits.shape[:-2], logits.shape[-2:-1], validate_args=False)

    def log_prob(self, value: Tensor) -> Tensor:
        """Log-probability of codes (…, b, L), nats (…, b); codes after an end are ignored."""
        codes = value.long()
        log_probs = self.log_probs.expand(*codes.shape, -1)
        nats = log_probs.gather(-1, codes.unsqueeze(-1)).squeeze(-1)
        return torch.where(ended(codes), 0.0, nats).sum(-1)

    @property
    def mode(self) -> Tensor:
        """Codes (b, L) of the most likely string, of any length."""
        likeliest, codes = self.log_probs[..., END + 1 :].max(-1)
        lead = F.pad(likeliest.cumsum(-1), (1, 0))  # the best n symbols, n = 0..L
        stop = F.pad(self.log_probs[..., END], (0, 1))  # the end, free at length L
        length = (lead + stop).argmax(-1, keepdim=True)
        inside = torch.arange(codes.shape[-1], device=codes.device) < length
        return torch.where(inside, codes + END + 1, END)

    def draw(self, generator: torch.Generator | None = None) -> Tensor:
        """One string for each item, codes (b, L), drawn on the generator's device."""
        log_probs = self.log_probs
        where = log_probs.device if generator is None else generator.device
        probabilities = log_probs.exp().flatten(0, -2).to(where)
        codes = torch.multinomial(probabilities, 1, generator=generator)
        codes = codes.to(log_probs.device).reshape(log_probs.shape[:-1])
        return torch.where(ended(codes), END, codes)

    def sample(self, sample_shape: Size | list[int] | tuple[int, ...] = ()) -> Tensor:
        """Draws (…, b, L) from the global random state."""
        shape = Size(sample_shape)
        return torch.stack([self.draw() for _ in range(shape.numel())]).reshape(
            self._extended_shape(shape)
        )


def ended(codes: Tensor) -> Tensor:
    """True for positions (…, L) after the first end, bool of the same shape."""
    ends = (codes == END).int()
    return ends.cumsum(-1) - ends > 0


def lengths(codes: Tensor) -> Tensor:
    """Number of symbols before the end, (…,)."""
    return (~ended(codes) & (codes != END)).sum(-1)
