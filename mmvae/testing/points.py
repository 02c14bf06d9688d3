"""Check of best values: point follows what the decoder says, in each cell."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from mmvae.modalities.codec import Codec
from mmvae.modalities.likelihoods.likelihood import Parameters
from mmvae.testing.contract import needs, not_tried, require
from mmvae.testing.goodness import DEVIATIONS
from mmvae.testing.networks import some_cells
from mmvae.testing.subject import INPUT, CodecSubject, built, generator, in_float32, of_rows

ITEMS = 16
"""Number of items whose likelihoods are compared."""

SHIFTS = range(1, ITEMS, 3)
"""Distances, in items, to the others that an item is compared with."""

REACHES = (1.0, 3.0, 10.0, 30.0)
"""Scales of z that are tried until likelihoods of items are well separated."""

SEPARATED = 2.0
"""Nats by which an item's own draw is more likely than those of other items, at least."""

SHARE = 0.25
"""Share of these nats that a best value may lack. One that is the same for all lacks a half."""

MOST = 1e4
"""Nats beyond which one value counts no more: some are impossible for other items."""


class PointChecks(CodecSubject):
    """Best values of p(x_m | z) for different z."""

    @needs(
        "test_log_prob_is_finite_on_the_support",
        "test_total_probability_is_one",
        "test_samples_follow_the_density",
        "test_points_lie_within_the_support",
    )
    def test_points_follow_the_parameters(self) -> None:
        """A point estimate is nearly as likely as a sample and depends on the parameters.

        Likelihoods of well separated z are compared, as a whole and in single cells.
        """
        codec, _ = self.fitted()
        tried = 0
        for parameters in _spread_out(codec):
            likelihood = codec.likelihood(parameters)
            drawn = codec.sample(likelihood, generator()).detach()
            point = codec.point(likelihood).detach()
            for where, cells in _parts(codec, likelihood, drawn):
                own, others = _nats(codec, parameters, drawn, cells)
                apart = float((own - others).mean())
                if not apart > SEPARATED:  # NaN is not
                    continue
                tried += 1
                each = own - _own(codec, likelihood, point, cells)
                lacks, error = float(each.mean()), float(own.std()) / ITEMS**0.5  # by chance
                wants = f"point{where} to be nearly as likely as a sample: less likely by at most "
                wants += f"{SHARE:.0%} of {apart:.3g} nats, the distance to samples of other items"
                got = f"{lacks / apart:.0%}"
                if _constant(point, cells):
                    got = f"{got}: the same for all {ITEMS} items"
                remedy = "Return the mean or mode of the likelihood that point receives."
                require(lacks - DEVIATIONS * error <= SHARE * apart, wants, got, remedy)
        if not tried:
            not_tried("new decoders return nearly the same output for every z")


def _spread_out(codec: Codec) -> Iterator[Parameters]:
    """Parameters of items whose z lie ever further apart; of a new decoder, then a shaken one."""
    z = torch.randn(ITEMS, INPUT, generator=generator())
    decoder = built(codec, "decoder").eval()
    for shaken in (False, True):
        if shaken:  # its last weights may start at 0
            _shake(decoder)
        for reach in REACHES:
            parameters = in_float32(decoder(reach * z))
            leaves = parameters.values() if isinstance(parameters, dict) else [parameters]
            if all(bool(leaf.isfinite().all()) for leaf in leaves):
                yield of_rows(parameters, list(range(ITEMS)))


def _shake(network: nn.Module) -> None:
    source = generator()
    with torch.no_grad():
        for weights in network.parameters():
            weights.add_(0.3 * torch.randn(weights.shape, generator=source))


def _parts(
    codec: Codec, likelihood: Distribution, x: Tensor
) -> Iterator[tuple[str, Tensor | None]]:
    """The whole value, and single cells if the likelihood factorises over them."""
    yield "", None
    for cell in some_cells(x[0].numel()) if x[0].numel() > 1 else []:
        alone = torch.zeros(x.shape, dtype=torch.bool)
        alone.flatten(1)[:, cell] = True
        try:
            codec.log_prob(likelihood, x, alone)
        except TypeError:
            return
        yield f" in cell {cell}", alone


def _own(codec: Codec, likelihood: Distribution, x: Tensor, cells: Tensor | None) -> Tensor:
    """Log p of each item's value in its own likelihood, float64."""
    return codec.log_prob(likelihood, x, cells).detach().double().clamp(-MOST, MOST)


def _nats(
    codec: Codec, parameters: Parameters, x: Tensor, cells: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Log p of each item's value in its own likelihood, and the mean of those of some others."""
    own = _own(codec, codec.likelihood(parameters), x, cells)
    others = torch.zeros_like(own)
    for shift in SHIFTS:
        rows = [(i + shift) % ITEMS for i in range(ITEMS)]
        others += _own(codec, codec.likelihood(of_rows(parameters, rows)), x, cells)
    return own, others / len(SHIFTS)


def _constant(point: Tensor, cells: Tensor | None) -> bool:
    seen = point.flatten(1) if cells is None else point[cells].view(len(point), -1)
    return bool((seen == seen[0]).all())
