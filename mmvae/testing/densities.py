"""Checks of a codec's likelihood: finite, normalised, in float32, blind to unobserved cells."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor
from torch.distributions import Distribution

from mmvae.foundations.errors import short
from mmvae.modalities.codec import Codec
from mmvae.testing.contract import needs, not_tried, require
from mmvae.testing.goodness import Density, ends, units_hint
from mmvae.testing.subject import (
    CodecSubject,
    N,
    built,
    flat,
    generator,
    in_float32,
    input_of,
    latents,
    likelihood_of,
    of_rows,
    parameters_of,
    restored_scale,
)
from mmvae.testing.tails import has_no_floor

TOLERANCE = 1e-3
"""Tolerance of a total probability."""

TOTAL = "test_total_probability_is_one"

TOLERANCE_OF_SCALES = 0.01
"""How far a logarithm of a scale may be from what restore shows."""

SAMPLES, MIN_SAMPLES, CELLS = 40_000, 400, 4_000_000
"""Number of draws that are compared with a density: fewer for large events."""


class DensityChecks(CodecSubject):
    """p(x_m | z) as a density."""

    def test_log_prob_is_finite_on_the_support(self) -> None:
        """log_prob is finite for valid values, including the edges of the support."""
        codec, column = self.fitted()
        for name, edge in [("valid values", column), *self.edge_columns()]:
            x = input_of(codec, edge)
            log_prob = codec.log_prob(likelihood_of(codec, len(x)), x, None)
            require(bool(log_prob.isfinite().all()), f"{name}: a finite log_prob", log_prob)

    @needs("test_restore_undoes_prepare")
    def test_log_scale_says_the_units(self) -> None:
        """If restore multiplies each cell by a number s, ``log_scale`` is its logarithm.

        Unless the codec says as ``density`` that log p is one of other values.
        """
        codec, column = self.fitted()
        said = codec.log_scale
        if said is None and codec.density is not None:
            not_tried(f"its density is one of {codec.density}")
        measured = restored_scale(codec, input_of(codec, column))
        if measured is None:
            not_tried("restore does not give a real number for each cell, or is not linear")
        wanted = measured.log()
        got = torch.zeros_like(wanted) if said is None else said.double()
        wants = (
            f"log_scale to be log s = {wanted.tolist()} where restore multiplies cells by s = "
            f"{measured.tolist()}"
        )
        remedy = (
            "log_prob then holds -log s of each observed cell. Or set density to name the values "
            "that log p is a density of."
        )
        alike = torch.allclose(got, wanted, rtol=0, atol=TOLERANCE_OF_SCALES)
        require(alike, wants, said if said is None else said.tolist(), remedy)

    @needs("test_log_prob_is_finite_on_the_support", "test_log_scale_says_the_units")
    def test_total_probability_is_one(self) -> None:
        """The density sums to 1 over a small support, or integrates to 1 over a grid or cells.

        A grid is of model values; where these are standardised, the user's are s times as far
        apart.
        """
        codec, _ = self.fitted()
        support, grid = self.enumerate_support(codec), self.integration_grid(codec)
        log_scale = codec.log_scale
        if support is not None:
            self._adds_up(codec, "sum over the support", support, 1.0)
        if grid is not None:
            stretch = 1.0 if log_scale is None else float(log_scale.double().sum().exp())
            self._adds_up(codec, "integral over the grid", grid[0], grid[1] * stretch)
        if support is None and grid is None:
            if log_scale is None:
                not_tried("neither support nor grid: name one in the examples if x is small")
            density = self._density(codec)
            try:
                density.adds_up_in_cells(density.sample(SAMPLES // 4), log_scale.double().exp())
            except TypeError as refusal:
                not_tried(f"neither support nor grid, and no cells alone: {refusal}")

    @staticmethod
    def _adds_up(codec: Codec, name: str, values: Tensor, volume: float) -> None:
        z = latents(1).expand(len(values), -1)
        likelihood = codec.likelihood(in_float32(built(codec, "decoder").eval()(z)))
        log_prob = codec.log_prob(likelihood, values.to(torch.float32), None)
        total = float(log_prob.detach().double().exp().sum()) * volume
        wants = f"a total probability of 1 ({name}, within {TOLERANCE})"
        require(abs(total - 1) < TOLERANCE, wants, f"{total:.6g}", units_hint(codec, total))

    @staticmethod
    def _density(codec: Codec) -> Density:
        decoder = built(codec, "decoder").eval()
        return Density(codec, in_float32(decoder(latents(1).expand(2, -1))))

    @needs(TOTAL)
    def test_samples_follow_the_density(self) -> None:
        """The frequencies of draws match log_prob: over the support, a grid, or cells."""
        codec, _ = self.fitted()
        support, grid = self.enumerate_support(codec), self.integration_grid(codec)
        n = max(MIN_SAMPLES, min(SAMPLES, CELLS // math.prod(codec.event_shape)))
        density = self._density(codec)
        drawn = density.sample(n)
        if support is not None:
            density.fits_support(drawn, support)
        if grid is not None:
            density.fits_grid(drawn, grid[0])
        if support is None and grid is None:
            try:
                density.fits_cells(drawn)
            except TypeError as refusal:
                not_tried(f"neither support nor grid, and no cells alone: {refusal}")

    @needs(TOTAL, "test_samples_follow_the_density", "test_restore_undoes_prepare")
    def test_log_prob_has_no_floor(self) -> None:
        """Log p is not constant far beyond all draws, as far as ``prepare`` accepts values."""
        codec, column = self.fitted()

        def holds(x: Tensor) -> bool:
            again = input_of(codec, codec.restore(x))
            return torch.allclose(again, x, rtol=1e-5, atol=1e-5)

        has_no_floor(self._density(codec), input_of(codec, column)[:1], holds)

    @needs(TOTAL)
    def test_points_lie_within_the_support(self) -> None:
        """The point estimate has positive density and lies between the ends of the support."""
        codec, _ = self.fitted()
        likelihood = likelihood_of(codec, N)
        point = codec.point(likelihood)
        nats = codec.log_prob(likelihood, point, None)
        dense = bool((nats > -math.inf).all())  # NaN is not
        require(dense, f"point {point} where the density is not 0", f"log_prob {nats}")
        for low, high in self._ends(codec, likelihood):
            within = bool(((point >= low) & (point <= high)).all())
            require(within, f"point between {low} and {high}, the ends of the support", point)

    def _ends(self, codec: Codec, likelihood: Distribution) -> Iterator[tuple[Tensor, Tensor]]:
        """Ends of the support, from the examples and from the distribution itself."""
        support, grid = self.enumerate_support(codec), self.integration_grid(codec)
        for values in (support, None if grid is None else grid[0]):
            if values is not None:
                low, high = values.amin(0), values.amax(0)
                room = 0.01 * (high - low)
                yield low - room, high + room
        try:
            yield from ends(likelihood.support)
        except NotImplementedError:  # it says nothing of its support
            return

    @needs(TOTAL)
    def test_unobserved_cells_have_no_effect(self) -> None:
        """Unobserved values, even NaN, have no effect; no observed cell gives 0, all the total."""
        codec, column = self.fitted()
        x = input_of(codec, column)
        observed = torch.rand(x.shape, generator=generator()) < 0.5
        parameters = parameters_of(codec, N)
        leaves = list(parameters.values()) if isinstance(parameters, dict) else [parameters]
        likelihood = codec.likelihood(parameters)
        try:
            log_prob = codec.log_prob(likelihood, x, observed)
        except TypeError as refusal:
            not_tried(f"it refuses unobserved cells: {refusal}")
        hidden = codec.log_prob(likelihood, torch.where(observed, x, torch.nan), observed)
        require(torch.equal(log_prob, hidden), f"log_prob {log_prob} with NaN hidden", hidden)
        tracked = [leaf for leaf in leaves if leaf.requires_grad and hidden.requires_grad]
        for grad in torch.autograd.grad(hidden.sum(), tracked, allow_unused=True):
            finite = grad is None or bool(grad.isfinite().all())
            require(finite, "finite gradients with NaN hidden", grad)
        none = codec.log_prob(likelihood, x, torch.zeros_like(observed))
        require(not none.any(), "log_prob 0 if no cell is observed", none)
        whole, full = (codec.log_prob(likelihood, x, o) for o in (None, torch.ones_like(observed)))
        require(torch.allclose(whole, full), f"log_prob {whole} if all are observed", full)

    @needs("test_log_prob_is_finite_on_the_support")
    def test_log_prob_takes_the_stand_in(self) -> None:
        """log_prob accepts the fill value of a missing modality; the result is ignored.

        Parameters that are held fixed for that item get no gradient, even from NaN.
        """
        codec, column = self.fitted()
        x = input_of(codec, column)
        x[0] = codec.missing(1)[0]
        log_prob = codec.log_prob(likelihood_of(codec, N), x, None)
        require(log_prob.shape == (N,), f"log_prob ({N},)", tuple(log_prob.shape))
        others = log_prob[1:]
        require(bool(others.isfinite().all()), "a finite log_prob of the other items", others)

    def test_items_do_not_mix_in_the_likelihood(self) -> None:
        """An item's log_prob, point and sample do not depend on the other items."""
        codec, column = self.fitted()
        x, parameters = input_of(codec, column), parameters_of(codec, N)
        every, one, changed = list(range(N)), [0], [0] + [1] * (N - 1)
        whole, alone, among = (
            codec.likelihood(of_rows(parameters, rows)) for rows in (every, one, changed)
        )
        nats = codec.log_prob(whole, x, None)
        pairs = {
            "log_prob": (nats, codec.log_prob(alone, x[:1], None)),
            "point": (codec.point(whole), codec.point(alone)),
        }
        sources = generator(), generator()
        draws = codec.sample(whole, sources[0]), codec.sample(among, sources[1])
        if torch.equal(*(source.get_state() for source in sources)):  # else the noise differs
            pairs["sample"] = draws
        for name, (first, second) in pairs.items():
            close = torch.allclose(first[0], second[0], rtol=1e-4, atol=1e-4, equal_nan=True)
            wants = f"{name} of an item whatever the others are: {short(first[0].tolist())}"
            remedy = "likelihood, log_prob, point and sample treat each item independently."
            require(close, wants, short(second[0].tolist()), remedy)

    def test_numbers_are_float32_under_autocast_too(self) -> None:
        """Features and parameters are float32, or bfloat16 under autocast; the rest is float32.

        The core passes on float32 parameters, for any dtype under autocast.
        """
        codec, column = self.fitted()
        x = input_of(codec, column)
        features, raw = built(codec, "encoder")(x), built(codec, "decoder")(latents(N))
        for name, value in {"features": features, "parameters": flat(raw)}.items():
            require(value.dtype == torch.float32, f"{name} in float32", value.dtype)
        with torch.autocast("cpu", torch.bfloat16):
            narrow = built(codec, "encoder")(x)
            parameters = in_float32(built(codec, "decoder")(latents(N)))
            inside = codec.log_prob(codec.likelihood(parameters), x, None)
        require(bool(narrow.isfinite().all()), "finite features under autocast", narrow)
        likelihood = codec.likelihood(parameters)
        outside = codec.log_prob(likelihood, x, None)
        numbers = {"log_prob": inside, "point": codec.point(likelihood)}
        numbers["sample"] = codec.sample(likelihood, generator())
        for name, value in numbers.items():
            require(value.dtype == torch.float32, f"{name} in float32", value.dtype)
        exact = torch.allclose(inside, outside, rtol=1e-5, equal_nan=True)
        require(exact, f"log_prob {outside} under autocast too", inside)
