"""A rehearsal: a few items pass through each codec before a training; whoever fails is named.

What each method returns is held against the contract, so that a mistake is told by method, with
what was wanted and got, rather than by a failure somewhere in the core.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from mmvae.codec import Codec
from mmvae.data.batches import training_view
from mmvae.data.loading import Data
from mmvae.errors import ContractBroken, MmvaeError, PluginError, out_of_memory, require
from mmvae.models.protocol import in_float32
from mmvae.randomness import StepDraws, seeded_global
from mmvae.registry import IN_MEMORY, PluginInfo, Registry

T = TypeVar("T")

ITEMS, INPUT = 4, 5
"""Items of a rehearsal, and the width of its decoders' input."""


def rehearse(codec: Codec, x: Tensor, observed: Tensor | None = None) -> None:
    """Pass model input through all that a training calls, and see that the contract is kept.

    Args:
        codec: A fitted codec.
        x: Model input of a few items, shape (b, event…).
        observed: Which of its cells are observed, or None if all are.

    Raises:
        ContractBroken: The message names the method, what was wanted and what was got.
    """
    b, shape = len(x), codec.event_shape
    with seeded_global(0), torch.no_grad():
        encoder = _network("encoder()", codec.encoder, b)
        features = _call(f"encoder()(x) of x {tuple(x.shape)}", lambda: encoder(x))
        _tensor("encoder()(x)", features, (b, codec.feature_dim), "(b, feature_dim)")
        decoder = _network("decoder(input_dim)", lambda: codec.decoder(INPUT), b)
        z = torch.randn(b, INPUT, generator=torch.Generator().manual_seed(0))
        parameters = _call(f"decoder({INPUT})(z) of z {tuple(z.shape)}", lambda: decoder(z))
        _parameters(parameters, b)
        likelihood = _call("likelihood", lambda: codec.likelihood(in_float32(parameters)))
        _likelihood(likelihood, b, shape)
        nats = _call("log_prob", lambda: codec.log_prob(likelihood, x, observed))
        _tensor("log_prob", nats, (b,), "(b,)")
        point = _call("point", lambda: codec.point(likelihood))
        _tensor("point", point, (b, *shape), "(b, event…)")
        drawn = _call("sample", lambda: codec.sample(likelihood, torch.Generator().manual_seed(0)))
        _tensor("sample", drawn, (b, *shape), "(b, event…)")


def rehearse_all(materials: Data) -> None:
    """Rehearse each codec of an experiment with the first training items that have its modality.

    Raises:
        ContractBroken: As :func:`rehearse`; it knows which codec it was.
    """
    train = materials.batches("train")
    having = {m: train.items_with((m,))[:ITEMS] for m in materials.codecs}
    items = torch.unique(torch.cat(list(having.values())))
    draws = StepDraws(0, "rehearsal", 0, slice(0, len(items)), len(items), train.device)
    batch = train.batch(items, draws, training_view)
    for modality, codec in materials.codecs.items():
        x, observed = batch.x[modality], batch.observed[modality]
        few = torch.isin(items, having[modality])
        try:
            wanted = (len(items), *codec.event_shape)
            _tensor("to_input and resample", x, wanted, "(b, event…)", observed)
            rehearse(codec, x.cpu()[few], None if observed is None else observed.cpu()[few])
        except ContractBroken as error:
            raise ContractBroken(str(error), codec.kind) from error


@contextmanager
def blaming(registry: Registry) -> Iterator[None]:
    """Within the block say of what a plugin's code does wrong which plugin it is.

    Raises:
        PluginError: A codec broke its contract, or code of a plugin raised what is no error of
            ours.
    """
    try:
        yield
    except ContractBroken as error:
        if error.codec is None:
            raise
        raise PluginError(
            f"codec {error.codec!r} of plugin {registry.provider('codec', error.codec)} breaks "
            f"the contract. {error} `mmvae plugins check {error.codec}` tries the rest of it."
        ) from error
    except MmvaeError:
        raise
    except Exception as error:
        if out_of_memory(error):
            raise
        plugin = _culprit(error, registry)
        if plugin is None:
            raise
        raise PluginError(
            f"plugin {plugin} failed: {type(error).__name__}: {error}{raised_at(error, plugin)}. "
            f"`mmvae plugins check {plugin.name}` may say what the contract wants."
        ) from error


def raised_at(error: BaseException, plugin: PluginInfo) -> str:
    """`` (in Angle.decoder, mmvae_angles.py:57)``: the innermost place in a plugin's code."""
    roots = {_root(offer.offered.__module__) for offer in plugin.offers}
    for frame, line in reversed(list(traceback.walk_tb(error.__traceback__))):
        if _root(frame.f_globals.get("__name__", "")) in roots:
            code = frame.f_code
            return f" (in {code.co_qualname}, {Path(code.co_filename).name}:{line})"
    return ""


def _culprit(error: BaseException, registry: Registry) -> PluginInfo | None:
    """The plugin whose code raised; None if no plugin's did."""
    strangers = [p for p in registry.plugins if p.distribution not in ("mmvae", IN_MEMORY)]
    return next((plugin for plugin in strangers if raised_at(error, plugin)), None)


def _root(module: str) -> str:
    return module.split(".")[0]


def _call(method: str, function: Callable[[], T]) -> T:
    try:
        return function()
    except Exception as error:  # a stranger's code; whatever it raises breaks the contract
        if out_of_memory(error):  # but for this, which the widths of the config decide
            raise
        said = f"{type(error).__name__}: {error}"
        raise ContractBroken(f"Wanted a value of {method}; got {said}.") from error


def _network(method: str, build: Callable[[], Any], b: int) -> nn.Module:
    network = _call(method, build)
    if not isinstance(network, nn.Module):
        raise ContractBroken(f"Wanted {method} to give a torch.nn.Module; got {kind(network)}.")
    return network.train(b > 1)  # a single item tells batch norm nothing


def _tensor(
    method: str, value: Any, shape: tuple[int, ...], words: str, observed: Tensor | None = None
) -> None:
    wanted = f"{method} to give a tensor {words} = {shape}"
    require(isinstance(value, Tensor), wanted, kind(value))
    require(tuple(value.shape) == shape, wanted, f"shape {tuple(value.shape)}")
    finite = value.isfinite() if observed is None else value.isfinite() | ~observed
    require(bool(finite.all()), f"{method} to give finite numbers", "NaN or infinity")


def _parameters(parameters: Any, b: int) -> None:
    parts = parameters if isinstance(parameters, dict) else {"": parameters}
    for name, value in parts.items():
        wanted = "decoder(input_dim)(z) to give a tensor (b, …), or a dict of those"
        require(isinstance(value, Tensor), wanted, f"{kind(value)} {name}".rstrip())
        kept = value.ndim > 0 and len(value) == b
        require(kept, f"{wanted}, with b = {b}", f"{name} shape {tuple(value.shape)}".lstrip())
        require(
            bool(value.isfinite().all()),
            "decoder(input_dim)(z) to give finite numbers",
            "NaN or infinity",
        )


def _likelihood(likelihood: Any, b: int, shape: tuple[int, ...]) -> None:
    wanted = f"likelihood to give a Distribution with batch shape ({b},) and event shape {shape}"
    require(isinstance(likelihood, Distribution), wanted, kind(likelihood))
    require(
        (likelihood.batch_shape, likelihood.event_shape) == ((b,), shape),
        wanted,
        f"{tuple(likelihood.batch_shape)} and {tuple(likelihood.event_shape)}: reinterpret its "
        f"dimensions with Independent",
    )


def kind(value: Any) -> str:
    """What a value is, in words."""
    return "None" if value is None else f"a {type(value).__name__}"
