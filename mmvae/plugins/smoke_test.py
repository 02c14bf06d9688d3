"""The smoke test: a few items pass through each codec before a training.

The result of each method is checked against the contract, so that a mistake is reported with its
method, the requirement and the result, instead of a failure somewhere in the core.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from mmvae.data.batches import training_view
from mmvae.data.dataset import Data
from mmvae.foundations.errors import (
    LONG,
    ContractBroken,
    MmvaeError,
    PluginError,
    out_of_memory,
    require,
    shortened,
)
from mmvae.foundations.randomness import StepDraws, seeded_global
from mmvae.modalities import returned
from mmvae.modalities.codec import Codec
from mmvae.modalities.likelihoods.likelihood import Parameters
from mmvae.models.parameters import in_float32
from mmvae.plugins.guard import broken, culprit, failed
from mmvae.plugins.registry import Registry

T = TypeVar("T")

ITEMS, INPUT = 4, 5
"""Number of items of a smoke test, and the width of its decoders' input."""

EVENT, ITEM = "(b, event…)", "(b,)"


def smoke_test(codec: Codec, x: Tensor, observed: Tensor | None = None) -> None:
    """Pass model input through all methods that a training and its uses call.

    Args:
        codec: A fitted codec.
        x: Model input of a few items, shape (b, event…).
        observed: Mask of its observed cells, or None if all are observed.

    Raises:
        ContractBroken: The message names the method, the requirement and the result.
    """
    for method, value in distributions(codec, x, observed).items():
        returned.float32(method, value)
    own_weights(codec, x, observed)
    values(codec, x)


def distributions(codec: Codec, x: Tensor, observed: Tensor | None = None) -> dict[str, Tensor]:
    """Test the networks: method → its result, of the right shape.

    Raises:
        ContractBroken: A result is of another kind or shape, or not finite.
    """
    b, shape = len(x), codec.event_shape
    with seeded_global(0), torch.no_grad():
        encoder = _network("encoder()", codec.encoder, b)
        features = _call(f"encoder()(x) of x {tuple(x.shape)}", lambda: encoder(x))
        returned.tensor("encoder()(x)", features, (b, codec.feature_dim), "(b, feature_dim)")
        decoder = _network("decoder(input_dim)", lambda: codec.decoder(INPUT), b)
        z = torch.randn(b, INPUT, generator=_generator())
        parameters = _call(f"decoder({INPUT})(z) of z {tuple(z.shape)}", lambda: decoder(z))
        _parameters(parameters, b)
        likelihood = _call("likelihood", lambda: codec.likelihood(in_float32(parameters)))
        returned.distribution(likelihood, b, shape)
        nats = _call("log_prob", lambda: codec.log_prob(likelihood, x, observed))
        returned.tensor("log_prob", nats, (b,), ITEM)
        point = _call("point", lambda: codec.point(likelihood))
        returned.tensor("point", point, (b, *shape), EVENT)
        drawn = _call("sample", lambda: codec.sample(likelihood, _generator()))
        returned.tensor("sample", drawn, (b, *shape), EVENT)
    return {"log_prob": nats, "point": point, "sample": drawn}


def own_weights(codec: Codec, x: Tensor, observed: Tensor | None = None) -> None:
    """Check that log p(x|z) depends on no weights but those of the networks.

    Raises:
        ContractBroken: It depends on a weight that the codec holds, or that no network registers.
    """
    with seeded_global(0), torch.enable_grad():
        encoder = _network("encoder()", codec.encoder, len(x))
        decoder = _network("decoder(input_dim)", lambda: codec.decoder(codec.feature_dim), len(x))

        def log_prob() -> Tensor:
            parameters: Parameters = in_float32(decoder(encoder(x)))
            return codec.log_prob(codec.likelihood(parameters), x, observed)

        nats = _call("log_prob", log_prob)
    registered = {id(p) for net in (encoder, decoder) for p in net.parameters()}
    wanted = "log_prob to follow weights that encoder() and decoder() register, and no others"
    for leaf in leaves(nats):
        got = f"one of shape {tuple(leaf.shape)}{_owner(codec, leaf)}"
        require(id(leaf) in registered, wanted, got, returned.OWN_WEIGHTS)


def leaves(value: Tensor) -> Iterator[Tensor]:
    """The leaf tensors of a result's gradient."""
    waiting, seen = [value.grad_fn], set()
    while waiting:
        node: Any = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if hasattr(node, "variable"):
            yield node.variable
        waiting.extend(following for following, _ in node.next_functions)


def _owner(codec: Codec, leaf: Tensor) -> str:
    """The attribute of the codec, or of its class, that holds a weight, if any."""
    own = {**{k: v for c in reversed(type(codec).__mro__) for k, v in vars(c).items()}}
    for name, value in (own | vars(codec)).items():
        inside = list(value.parameters()) if isinstance(value, nn.Module) else [value]
        if any(one is leaf for one in inside):
            return f", in the codec's attribute {name!r}"
    return ""


def values(codec: Codec, x: Tensor) -> None:
    """Test the values: written, shown and compared.

    Raises:
        ContractBroken: A result is of another kind or length.
    """
    b = len(x)
    with seeded_global(0), torch.no_grad():
        blank = _call("missing", lambda: codec.missing(b))
        returned.tensor("missing", blank, tuple(x.shape), EVENT)
        returned.float32("missing", blank)
        fixed = _call("fixed", lambda: codec.fixed(x.clone(), _generator()))
        returned.model_values("fixed", fixed, x)
        returned.column("restore", _call("restore", lambda: codec.restore(x)), b)
        returned.things(_call("show", lambda: codec.show(x)), b)
        returned.figures(_call("compare", lambda: codec.compare(x.clone(), x.clone())), b)
        if codec.classes is not None:
            index = _call("class_index", lambda: codec.class_index(x))
            returned.indices(index, b, len(codec.classes))


def smoke_test_all(data: Data) -> None:
    """Test each codec of an experiment with the first training items that have its modality.

    Raises:
        ContractBroken: As :func:`smoke_test`; it names the codec.
    """
    train = data.batches("train")
    having = {m: train.items_with((m,))[:ITEMS] for m in data.codecs}
    items = torch.unique(torch.cat(list(having.values())))
    draws = StepDraws(0, "rehearsal", 0, slice(0, len(items)), len(items), train.device)
    batch = train.batch(items, draws, training_view)
    for modality, codec in data.codecs.items():
        x, observed = batch.x[modality], batch.observed[modality]
        few = torch.isin(items, having[modality])
        try:
            returned.declared(codec)
            wanted = (len(items), *codec.event_shape)
            returned.tensor("to_input and resample", x, wanted, EVENT, observed)
            smoke_test(codec, x.cpu()[few], None if observed is None else observed.cpu()[few])
        except ContractBroken as error:
            raise ContractBroken(str(error), codec.kind) from error


@contextmanager
def blaming(registry: Registry) -> Iterator[None]:
    """Within the block, make errors of a plugin's code name the plugin.

    Raises:
        PluginError: A codec broke its contract, or a plugin's code raised an error that is not
            ours.
    """
    try:
        yield
    except ContractBroken as error:
        if error.codec is None:
            raise
        raise broken(error.codec, registry.provider("codec", error.codec), error) from error
    except MmvaeError:
        raise
    except Exception as error:
        if out_of_memory(error):
            raise
        plugin = culprit(error, registry.plugins)
        if plugin is None:
            raise
        raise failed(plugin, error) from error


def _generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def _call(method: str, function: Callable[[], T]) -> T:
    try:
        return function()
    except PluginError:
        raise
    except Exception as error:  # third-party code; any error breaks the contract
        if out_of_memory(error):  # but for this, which the widths of the config decide
            raise
        said = f"{type(error).__name__}: {shortened(str(error), LONG)}"
        raise ContractBroken(f"Wanted a value of {method}; got {said}.") from error


def _network(method: str, build: Callable[[], Any], b: int) -> nn.Module:
    network = _call(method, build)
    returned.network(method, network)
    module: nn.Module = network.train(b > 1)  # batch norm needs several items
    return module


def _parameters(parameters: Any, b: int) -> None:
    parts = parameters if isinstance(parameters, dict) else {"": parameters}
    for name, value in parts.items():
        wanted = "decoder(input_dim)(z) to give a tensor (b, …), or a dict of those"
        require(isinstance(value, Tensor), wanted, f"{returned.kind(value)} {name}".rstrip())
        kept = value.ndim > 0 and len(value) == b
        require(kept, f"{wanted}, with b = {b}", f"{name} shape {tuple(value.shape)}".lstrip())
        require(
            bool(value.isfinite().all()),
            "decoder(input_dim)(z) to give finite numbers",
            "NaN or infinity",
        )
