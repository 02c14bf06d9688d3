"""The conformance suite for codecs."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from mmvae.codec import State
from mmvae.testing.contract import ContractBroken, require, require_config
from mmvae.testing.densities import DensityChecks
from mmvae.testing.networks import NetworkChecks
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


class CodecContract(ValueChecks, NetworkChecks, DensityChecks):
    """Checks that a codec keeps the contract of :class:`mmvae.Codec`.

    Set :attr:`codec` if the class brings :meth:`mmvae.Codec.examples`; otherwise define
    :meth:`make_codec` and :meth:`make_column`, and the other hooks for more checks.
    """

    def test_randomness_comes_from_the_generator(self) -> None:
        """Draws follow the generator; the global random states have no part in them."""
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
        states = []
        for values in (x, torch.zeros_like(x)):
            source = generator()
            codec.resample(values.clone(), source)
            states.append(source.get_state())
        wants = "resample to draw the same amount whatever the values"
        require(torch.equal(*states), wants, "generators that have moved unequally far")

    def test_state_survives_saving(self) -> None:
        """What was learned goes through JSON and safetensors and gives the same numbers."""
        codec, column = self.fitted()
        loaded = type(codec)(codec.config, saved(codec.state))
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
        require(alike, "the same things to look at after loading", "others")

    def test_config_survives_toml_and_has_a_schema(self) -> None:
        """Keys go through TOML unchanged, are described, and unknown ones are refused."""
        require_config(self.make_codec().config)


def saved(state: State) -> State:
    """A state as it comes back from a run folder."""
    tensors = {key: v.contiguous() for key, v in state.items() if isinstance(v, Tensor)}
    plain = {key: v for key, v in state.items() if not isinstance(v, Tensor)}
    try:
        text = json.dumps(plain, allow_nan=False)
    except (TypeError, ValueError) as error:
        wanted = "a state of numbers, strings, lists of those, or tensors"
        raise ContractBroken(f"Wanted {wanted}; got {plain} ({error}).") from error
    restored: dict[str, Any] = json.loads(text)
    return restored | safetensors.torch.load(safetensors.torch.save(tensors))
