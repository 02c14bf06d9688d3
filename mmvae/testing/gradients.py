"""Check of gradients: that of log p in the decoder's output is the one of its values."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from mmvae.foundations.errors import short
from mmvae.modalities.codec import Codec
from mmvae.modalities.likelihoods.likelihood import Parameters
from mmvae.testing.contract import needs, not_tried, require
from mmvae.testing.subject import CodecSubject, N, generator, input_of, parameters_of

DIRECTIONS = 4
"""Number of random directions in the decoder's output."""

STEPS = ((torch.float64, 1e-4), (torch.float32, 1e-2), (torch.float32, 3e-2))
"""Types of numbers and steps of differences; an item takes the first that is exact enough."""

EXACT = 0.01
"""Largest change of a difference with twice its step, as a share of the slope."""

BENT = 0.05
"""Largest distance of the slopes ahead and behind, as a share of the slope."""

COARSE = 200.0
"""Units in the last place of log p that a difference must have, at least."""

CLOSE = 0.05
"""Largest error of a gradient, as a share of the slope in the steepest direction."""

Nats = Callable[[Parameters, torch.dtype], Tensor]


class GradientChecks(CodecSubject):
    """Gradients of log p(x_m | z)."""

    @needs(
        "test_log_prob_is_finite_on_the_support",
        "test_gradients_reach_every_parameter",
        "test_unobserved_cells_have_no_effect",
    )
    def test_gradients_are_those_of_log_prob(self) -> None:
        """The gradient of log p in the decoder's output agrees with finite differences.

        Tried per item in random directions, with all cells observed and with some. Not tried where
        log p has a corner (the slopes ahead and behind differ), or where it is too coarse.
        """
        codec, column = self.fitted()
        x, parameters = input_of(codec, column), parameters_of(codec, N)
        some = torch.arange(x[0].numel()).view(x.shape[1:]).expand_as(x) % 2 == 0
        tried = 0
        for where, observed in (("", None), (", some cells unobserved", some)):
            try:
                codec.log_prob(codec.likelihood(parameters), x, observed)
            except TypeError:  # it does not factorise over cells
                continue
            tried += agrees(_nats(codec, x, observed), parameters, where)
        if not tried:
            not_tried("finite differences of log_prob are not exact enough")


def _nats(codec: Codec, x: Tensor, observed: Tensor | None) -> Nats:
    def nats(parameters: Parameters, dtype: torch.dtype) -> Tensor:
        return codec.log_prob(codec.likelihood(parameters), x.to(dtype), observed)

    return nats


def agrees(nats: Nats, parameters: Parameters, where: str) -> int:
    """Compare both slopes of each item; return the number of items that were compared."""
    pending, source = torch.ones(N, dtype=torch.bool), generator()
    directions = [
        _each(parameters, lambda p: torch.randn(p.shape, generator=source))
        for _ in range(DIRECTIONS)
    ]
    for dtype, step in STEPS:
        base = _each(parameters, lambda p, to=dtype: p.detach().to(to))  # type: ignore[misc]
        try:
            if nats(base, dtype).dtype != dtype:
                continue
        except (RuntimeError, TypeError, ValueError):  # it takes float32 alone
            if dtype == torch.float32:
                raise
            continue
        here = nats(base, dtype).detach().double()
        found_by_steps = [_differences(nats, base, d, step, dtype, here) for d in directions]
        slopes, again, bend = (torch.stack(p) for p in zip(*found_by_steps, strict=True))
        steepest = slopes.abs().amax(0)
        fine = 2 * step * steepest > COARSE * torch.finfo(dtype).eps * here.abs()
        close = (slopes - again).abs() <= EXACT * steepest
        straight = bend.abs() <= BENT * steepest
        exact = (close & straight).all(0) & fine & steepest.isfinite() & pending
        found = _slopes(nats, base, directions, dtype)
        off = (found - slopes).abs().amax(0) > CLOSE * steepest
        for row in torch.nonzero(exact & (off | ~found.isfinite().all(0))).flatten().tolist():
            wants = f"a gradient of log_prob{where} with the slopes of its values, "
            wants += short([round(v, 4) for v in slopes[:, row].tolist()])
            got = short([round(v, 4) for v in found[:, row].tolist()])
            remedy = "Do not detach or replace part of the parameters in likelihood or log_prob."
            require(False, wants, f"{got} in the same random directions", remedy)
        pending &= ~exact
    return int((~pending).sum())


def _differences(
    nats: Nats,
    base: Parameters,
    direction: Parameters,
    step: float,
    dtype: torch.dtype,
    here: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    """Central differences of each item with a step and with twice this step, float64 (b,).

    The third is the slope ahead minus the slope behind.
    """
    with torch.no_grad():
        behind, ahead, far_behind, far_ahead = (
            nats(_moved(base, direction, steps * step), dtype).double() for steps in (-1, 1, -2, 2)
        )
    bend = (ahead - 2 * here + behind) / step
    return (ahead - behind) / (2 * step), (far_ahead - far_behind) / (4 * step), bend


def _slopes(
    nats: Nats, base: Parameters, directions: list[Parameters], dtype: torch.dtype
) -> Tensor:
    """The gradient's component in each direction for each item, float64 (directions, b)."""
    leaves = _each(base, lambda p: p.clone().requires_grad_())
    total = nats(leaves, dtype).sum()
    if not total.requires_grad:
        return torch.zeros(len(directions), N, dtype=torch.float64)
    grads = torch.autograd.grad(total, _parts(leaves), allow_unused=True)
    rows = []
    for direction in directions:
        pairs = zip(grads, _parts(direction), strict=True)
        products = [(g * d).flatten(1).sum(1).double() for g, d in pairs if g is not None]
        rows.append(sum(products, torch.zeros(N, dtype=torch.float64)))
    return torch.stack(rows)


def _each(parameters: Parameters, change: Callable[[Tensor], Tensor]) -> Parameters:
    if isinstance(parameters, Tensor):
        return change(parameters)
    return {name: change(value) for name, value in parameters.items()}


def _parts(parameters: Parameters) -> list[Tensor]:
    return [parameters] if isinstance(parameters, Tensor) else list(parameters.values())


def _moved(base: Parameters, direction: Parameters, reach: float) -> Parameters:
    if isinstance(base, Tensor):
        return base + reach * direction  # type: ignore[operator]  # both are of one kind
    return {name: value + reach * direction[name] for name, value in base.items()}  # type: ignore[index]
