"""The conformance suite for codecs."""

from __future__ import annotations

import copy
from collections.abc import Callable
from contextlib import suppress
from typing import Any, ClassVar

import torch
from torch import Tensor

from mmvae.foundations.errors import short
from mmvae.modalities import returned
from mmvae.plugins.smoke_test import smoke_test
from mmvae.testing.altered import AlteredChecks
from mmvae.testing.contract import needs, require, require_config
from mmvae.testing.densities import DensityChecks
from mmvae.testing.gradients import GradientChecks
from mmvae.testing.masks import MaskChecks
from mmvae.testing.networks import NetworkChecks
from mmvae.testing.points import PointChecks
from mmvae.testing.restored import RestoredChecks
from mmvae.testing.subject import (
    N,
    built,
    generator,
    global_seed,
    input_of,
    likelihood_of,
    same,
)
from mmvae.testing.values import ValueChecks

MANY, ROW = 64, 4
"""Number of items of a draw, and of draws in a row."""


class CodecContract(
    ValueChecks,
    RestoredChecks,
    AlteredChecks,
    NetworkChecks,
    DensityChecks,
    MaskChecks,
    PointChecks,
    GradientChecks,
):
    """Checks that a codec keeps the contract of :class:`mmvae.Codec`.

    Set :attr:`codec` if the class brings :meth:`mmvae.Codec.examples`; otherwise define
    :meth:`make_codec` and :meth:`make_column`, and the other hooks for more checks.
    """

    foundations: ClassVar[tuple[str, ...]] = (
        "test_state_survives_saving",
        "test_declarations",
        "test_prepared_values_have_the_event_shape",
        "test_raw_values_are_not_edited",
        "test_prepare_is_a_function_of_each_row",
        "test_networks_and_likelihood_have_the_event_shape",
        "test_weights_belong_to_the_networks",
        "test_model_values_are_not_edited",
        "test_randomness_comes_from_the_generator",
        "test_items_do_not_mix_in_the_likelihood",
        "test_numbers_are_float32_under_autocast_too",
    )

    def test_randomness_comes_from_the_generator(self) -> None:
        """Draws follow the generator; the global random states do not affect them."""
        codec, column = self.fitted()
        x = input_of(codec, column)
        likelihood = likelihood_of(codec, N)
        draws: dict[str, Callable[[torch.Generator], Tensor]] = {
            "resample": lambda g: codec.resample(x.clone(), g),
            "fixed": lambda g: codec.fixed(x.clone(), g),
            "sample": lambda g: codec.sample(likelihood, g),
        }
        for name, draw in draws.items():
            with global_seed(1) as untouched:
                first = draw(generator())
                require(untouched(), f"{name} to leave global random states alone", "a draw")
            with global_seed(2):
                second = draw(generator())
            wants = f"{name} to depend on its generator alone"
            require(torch.equal(first, second), wants, "global randomness")
        recipe = self.make_codec()
        still: dict[str, Callable[[], object]] = {
            "fit": lambda: recipe.fit(column),
            "condition": lambda: codec.condition(column),
            "missing": lambda: codec.missing(N),
            "likelihood": lambda: likelihood_of(codec, N),
            "log_prob": lambda: codec.log_prob(likelihood, x, None),
            "point": lambda: codec.point(likelihood),
            "restore": lambda: codec.restore(x).values,
        }
        for name, call in still.items():
            with global_seed(1) as untouched:
                with suppress(Exception):  # another check reports this failure
                    call()
                require(untouched(), f"{name} to draw nothing", "a draw of global randomness")
        states = []
        for values in (x, torch.zeros_like(x)):
            source = generator()
            codec.resample(values.clone(), source)
            states.append(source.get_state())
        wants = "resample to use the same number of random draws for all values"
        require(torch.equal(*states), wants, "generators in different states")

    def test_draws_in_a_row_differ(self) -> None:
        """Further draws with one generator differ from the first: it moves on.

        Tried for the methods whose draws differ with the seed.
        """
        codec, column = self.fitted()
        x = input_of(codec, column)
        likelihood = likelihood_of(codec, MANY)
        draws: dict[str, Callable[[torch.Generator], Tensor]] = {
            "resample": lambda g: codec.resample(x.clone(), g),
            "fixed": lambda g: codec.fixed(x.clone(), g),
            "sample": lambda g: codec.sample(likelihood, g),
        }
        for name, draw in draws.items():
            source = generator()
            first, *later = (draw(source) for _ in range(ROW))
            seeds = (draw(torch.Generator().manual_seed(seed)) for seed in range(1, ROW))
            if all(torch.equal(first, other) for other in seeds):
                continue  # it draws nothing, or nothing that these values show
            differs = not all(torch.equal(first, other) for other in later)
            wants = f"{name} to give other values at the next call with the same generator"
            remedy = "Draw from the generator itself, and make no other one of its seed."
            require(differs, wants, "the same values", remedy)

    def test_state_survives_saving(self) -> None:
        """The fitted state is unchanged by JSON and safetensors."""
        column, recipe = self.make_column(N, 0), self.make_codec()
        learned = recipe.fit(column)
        restored = returned.state(learned)
        for key, value in restored.items():
            alike = isinstance(value, Tensor) is isinstance(learned[key], Tensor)
            wants = f"{key!r}: {short(learned[key])} after saving"
            require(alike and same(listed(learned[key]), value), wants, short(value))

    @needs("test_codecs_share_no_state", "test_restore_undoes_prepare")
    def test_a_loaded_codec_gives_the_same(self) -> None:
        """The fitted state is complete: a codec created from it returns the same numbers."""
        codec, column = self.fitted()
        with global_seed(1):
            loaded = type(codec)(codec.config, returned.state(codec.state))
        wants = f"event shape {codec.event_shape} after loading"
        require(loaded.event_shape == codec.event_shape, wants, loaded.event_shape)
        require(loaded.classes == codec.classes, f"classes {codec.classes}", loaded.classes)
        x, again = input_of(codec, column), input_of(loaded, column)
        require(torch.equal(x, again), f"the same input {x} after loading", again)
        for part in ("encoder", "decoder"):
            shapes = [
                [(name, p.shape) for name, p in built(c, part).named_parameters()]
                for c in (codec, loaded)
            ]
            require(shapes[0] == shapes[1], f"the same {part} after loading", shapes[1])
        alike = same(codec.show(x), loaded.show(x))
        require(alike, "the same result of show after loading", "others")

    @needs(
        "test_codecs_share_no_state",
        "test_restore_undoes_prepare",
        "test_show_gives_one_thing_per_item",
        "test_compare_gives_numbers_per_item",
        "test_classes_have_their_numbers",
    )
    def test_state_stays_as_it_was_fitted(self) -> None:
        """No method changes the fitted state: a run saves it once."""
        codec, column = self.fitted()
        before = copy.deepcopy(dict(codec.state))
        smoke_test(codec, input_of(codec, column))
        codec.restore(input_of(codec, self.make_column(N, 3)))
        changed = sorted(
            key
            for key in before.keys() | codec.state.keys()
            if key not in before or not same(codec.state.get(key), before[key])
        )
        require(not changed, "a state that stays as fit gave it", f"another {', '.join(changed)}")

    def test_config_survives_toml_and_has_a_schema(self) -> None:
        """Keys survive TOML unchanged and have descriptions; unknown keys are refused."""
        require_config(self.make_codec().config)


def listed(value: Any) -> Any:
    """A value with lists in place of tuples, as JSON has them."""
    if isinstance(value, (list, tuple)):
        return [listed(one) for one in value]
    return {k: listed(v) for k, v in value.items()} if isinstance(value, dict) else value
