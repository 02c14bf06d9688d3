"""Checks of a codec's networks: shapes, gradients, items apart, devices, weights."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from typing import TypeVar

import numpy as np
import safetensors.torch
import torch
from torch import nn

from mmvae.foundations.errors import short
from mmvae.foundations.randomness import seeded_global
from mmvae.modalities.codec import Codec
from mmvae.modalities.likelihoods.likelihood import Parameters
from mmvae.plugins.smoke_test import distributions, own_weights
from mmvae.testing.contract import ContractBroken, needs, not_tried, require
from mmvae.testing.subject import (
    INPUT,
    CodecSubject,
    N,
    built,
    flat,
    in_float32,
    input_of,
    latents,
    same,
    seeded,
)

_ANOTHER_DEVICE = r"same device|expected device|[Cc]annot copy out of meta"


DRAWS = 3
"""Number of new networks that are built to trace gradients."""


def _idle(codec: Codec, x: torch.Tensor) -> set[str]:
    """Parameters of new networks in which log p(x|z) has no gradient."""
    encoder, decoder = codec.encoder(), codec.decoder(codec.feature_dim)
    likelihood = codec.likelihood(in_float32(decoder(encoder(x))))
    nats = codec.log_prob(likelihood, x, None).sum()
    require(nats.requires_grad, "a log_prob with a gradient", "one that is detached")
    nats.backward()  # type: ignore[no-untyped-call]
    return {
        f"{part} parameter {name}"
        for part, network in {"encoder": encoder, "decoder": decoder}.items()
        for name, parameter in network.named_parameters()
        if parameter.requires_grad and (parameter.grad is None or not parameter.grad.any())
    }


def some_cells(many: int, most: int = 48) -> list[int]:
    """All cells of an event, or a sample of a large one."""
    chosen = torch.randperm(many, generator=torch.Generator().manual_seed(0))[:most]
    return sorted(int(c) for c in chosen)


def _unseen(
    encoder: nn.Module, x: torch.Tensor, others: torch.Tensor, cells: set[int]
) -> set[int]:
    """The cells in which features have no gradient, and whose change does not affect them."""
    leaf = x.clone().requires_grad_()
    features = encoder(leaf)
    weights = torch.rand(features.shape, generator=torch.Generator().manual_seed(0))
    grads: tuple[torch.Tensor | None, ...] = (None,)
    if features.requires_grad:
        grads = torch.autograd.grad((features * weights).sum(), [leaf], allow_unused=True)
    sloped = torch.zeros(x[0].numel()) if grads[0] is None else grads[0].abs().flatten(1).sum(0)

    def changes(cell: int) -> bool:
        for source in (others, x.roll(1, 0)):
            changed = x.clone()
            changed.flatten(1)[:, cell] = source.flatten(1)[:, cell]
            if not torch.equal(encoder(changed), features):
                return True
        return False

    with torch.no_grad():
        return {cell for cell in cells if not sloped[cell] and not changes(cell)}


class NetworkChecks(CodecSubject):
    """The encoder and the decoder that a codec builds."""

    def test_networks_and_likelihood_have_the_event_shape(self) -> None:
        """Features, parameters, log-likelihood, point and sample have their shapes."""
        codec, column = self.fitted()
        distributions(codec, input_of(codec, column))

    def test_weights_belong_to_the_networks(self) -> None:
        """All trained weights are in encoder() and decoder()."""
        codec, column = self.fitted()
        own_weights(codec, input_of(codec, column))

    @needs(
        "test_items_do_not_mix",
        "test_gradients_reach_every_parameter",
        "test_model_values_are_not_edited",
    )
    def test_the_encoder_sees_every_cell(self) -> None:
        """Each cell of x changes the features, in at least one network and for one item."""
        codec, column = self.fitted()
        x, others = input_of(codec, column), input_of(codec, self.make_column(N, 1))
        cells = some_cells(x[0].numel())
        varied = {c for c in cells if not torch.equal(x.flatten(1)[:, c], others.flatten(1)[:, c])}
        blind = varied
        for seed in range(DRAWS):
            if blind:
                blind = _unseen(built(codec, "encoder", seed).eval(), x, others, blind)
        where = sorted(
            tuple(int(i) for i in np.unravel_index(c, codec.event_shape)) for c in blind
        )
        wants = f"an encoder whose features follow each cell of x {codec.event_shape}"
        got = f"{len(blind)} of {len(varied)} cells that change nothing, the first at {where[:1]}"
        require(not blind, wants, got)

    def test_gradients_reach_every_parameter(self) -> None:
        """Every weight of encoder and decoder gets a gradient."""
        codec, column = self.fitted()
        x = input_of(codec, column)
        idle: set[str] | None = None
        for seed in range(DRAWS):  # by chance a small rectifier may be dead in one of them
            with seeded_global(seed):
                idle = _idle(codec, x) if idle is None else idle & _idle(codec, x)
        wanted = f"a gradient in {min(idle)}" if idle else "a gradient in each parameter"
        require(not idle, wanted, "none, or all zero")

    def test_items_do_not_mix(self) -> None:
        """In train mode an item's features and parameters do not depend on the others."""
        codec, column = self.fitted()
        if codec.mixes_items:
            not_tried("it declares mixes_items = True")
        x, others = input_of(codec, column), input_of(codec, self.make_column(N, 1))
        z = latents(N)
        pairs = {
            "encoder": (codec.encoder(), x, torch.cat([x[:1], others[1:]])),
            "decoder": (codec.decoder(INPUT), z, torch.cat([z[:1], 1 - z[1:]])),
        }
        for part, (network, batch, changed) in pairs.items():
            first, second = (flat(seeded(network, values))[0] for values in (batch, changed))
            require(
                torch.allclose(first, second, atol=1e-5),
                f"the {part} to treat each item alone (or mixes_items = True)",
                f"a first item that changes by {(first - second).abs().max():.3g} with the others",
            )

    @needs("test_items_do_not_mix", "test_networks_survive_saving")
    def test_one_item_gives_the_same_as_in_a_batch(self) -> None:
        """Trained networks, log_prob, point and sample accept a batch of one item.

        Features, parameters and log_prob are those of this item in a larger batch.
        """
        codec, column = self.fitted()
        x = input_of(codec, column)
        encoder, decoder = (built(codec, part).eval() for part in ("encoder", "decoder"))
        whole = in_float32(decoder(latents(N)))
        nats = codec.log_prob(codec.likelihood(whole), x, None)
        for row in range(2):
            own = slice(row, row + 1)
            parameters = in_float32(_alone("the decoder", decoder, latents(N)[own]))
            _is_row("the encoder", encoder(x), _alone("the encoder", encoder, x[own]), row)
            _is_row("the decoder", whole, parameters, row)
            likelihood = _alone("likelihood", codec.likelihood, parameters)
            log_prob = codec.log_prob(likelihood, x[own], None)
            _is_row("log_prob", nats, log_prob, row)
            draws = {
                "point": codec.point(likelihood),
                "sample": codec.sample(likelihood, torch.Generator().manual_seed(0)),
            }
            for name, value in draws.items():
                shape = (1, *codec.event_shape)
                wants = f"{name} {shape} of one item"
                require(value.shape == shape, wants, tuple(value.shape))

    def test_networks_follow_the_device(self) -> None:
        """Results of networks, likelihood and log_prob are on the device of their input."""
        codec, column = self.fitted()
        found = torch.accelerator.current_accelerator()
        device = torch.device("meta") if found is None else found
        x, z = input_of(codec, column).to(device), latents(N).to(device)
        try:
            features = built(codec, "encoder").to(device)(x)
            parameters = in_float32(built(codec, "decoder").to(device)(z))
            likelihood = codec.likelihood(parameters)
            log_prob = codec.log_prob(likelihood, x, None)
            results = {"features": features, "log_prob": log_prob}
            results["point"] = codec.point(likelihood)
        except (RuntimeError, NotImplementedError) as error:
            message = " ".join(str(error).split())
            if device.type == "meta" and not re.search(_ANOTHER_DEVICE, message):
                not_tried(f"it cannot be tried without an accelerator: {message[:80]}")
            wants = "networks and likelihood that follow the device (buffers, no fixed device)"
            raise ContractBroken(f"Wanted {wants}; got {message[:200]}") from error
        for name, value in results.items():
            wants = f"{name} on the device {device.type} of their input"
            require(value.device.type == device.type, wants, value.device)

    def test_codecs_share_no_state(self) -> None:
        """Each call creates new networks, and fitting a codec does not change other codecs."""
        codec, column = self.fitted()
        other = type(codec)(codec.config, codec.fit(column))
        kept: list[nn.Module] = []
        seen: set[int] = set()
        for part in ("encoder", "decoder"):
            for network in [built(c, part) for c in (codec, codec, other)]:
                kept.append(network)  # ids are of objects that live
                own = {id(p) for p in network.parameters()}
                require(not own & seen, f"fresh parameters from each {part}()", "shared ones")
                seen |= own
        state, x = copy.deepcopy(dict(codec.state)), input_of(codec, column)
        other_column = self.make_column(N, 7)
        recipe = type(codec)(codec.config)
        type(codec)(codec.config, recipe.fit(other_column)).prepare(other_column)
        stays = state.keys() == codec.state.keys() and all(
            same(codec.state[key], value) for key, value in state.items()
        )
        require(stays, f"a state that stays {state}", codec.state)
        again = input_of(codec, column)
        wants = f"{x} also after another codec was fitted to other values"
        require(torch.equal(x, again), wants, again)

    def test_networks_survive_saving(self) -> None:
        """New networks with saved weights and buffers return the same numbers."""
        codec, column = self.fitted()
        inputs = {"encoder": input_of(codec, column), "decoder": latents(N)}
        for part, values in inputs.items():
            trained, fresh = built(codec, part), built(codec, part, seed=1)
            seeded(trained, values)  # running statistics move as they do in training
            _load(fresh, trained)
            first, second = (flat(network.eval()(values)) for network in (trained, fresh))
            wants = f"a loaded {part} that gives the same numbers (keep them in buffers)"
            got = f"some that differ by {(first - second).abs().max():.3g}"
            require(torch.equal(first, second), wants, got)


T = TypeVar("T")
R = TypeVar("R")


def _alone(name: str, call: Callable[[T], R], value: T) -> R:
    """The result for a batch of one item."""
    try:
        return call(value)
    except (RuntimeError, ValueError, IndexError) as error:
        said = " ".join(str(error).split())[:200]
        raise ContractBroken(f"Wanted {name} to take a batch of one item; got {said}") from error


def _is_row(name: str, batch: Parameters, alone: Parameters, row: int) -> None:
    """Check that a result for one item is the row of this item in the result for a batch."""
    if isinstance(batch, dict):
        found = alone.keys() if isinstance(alone, dict) else None
        require(found == batch.keys(), f"{name} to give {list(batch)} for one item", found)
        assert isinstance(alone, dict)
        for key, value in batch.items():
            _is_row(f"{name} ({key})", value, alone[key], row)
        return
    assert isinstance(alone, torch.Tensor)
    wanted = batch[row : row + 1]
    shapes = tuple(wanted.shape), tuple(alone.shape)
    remedy = "Do not squeeze the dimension of items."
    require(shapes[0] == shapes[1], f"{name} {shapes[0]} for one item", shapes[1], remedy)
    close = torch.allclose(wanted, alone, rtol=1e-4, atol=1e-4, equal_nan=True)
    wants = f"{name} of one item alone as in a batch: {short(wanted.tolist())}"
    require(close, wants, short(alone.tolist()))


def _load(fresh: nn.Module, trained: nn.Module) -> None:
    """Give ``fresh`` the weights of ``trained`` through a safetensors file's bytes."""
    weights = {name: value.contiguous() for name, value in trained.state_dict().items()}
    fresh.load_state_dict(safetensors.torch.load(safetensors.torch.save(weights)))
