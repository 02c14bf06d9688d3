"""The description of a saved model in ``state.json``, checked before it is used.

A checksum shows that a file is unchanged, not that its content is sound: anybody who distributes
a model can compute one. So names must satisfy the rules of configurations, sizes and types are
compared with the weights before memory is allocated for a network, and the network is run once.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from torch import Tensor, nn
from torch.nn.modules.module import (
    register_module_buffer_registration_hook,
    register_module_parameter_registration_hook,
)
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves, tree_map

from mmvae.foundations.errors import (
    CheckpointError,
    MmvaeError,
    PluginError,
    TrainingError,
    out_of_memory,
)
from mmvae.foundations.randomness import seeded_global
from mmvae.foundations.section import TableName
from mmvae.modalities.names import are_names
from mmvae.modalities.recipe import State
from mmvae.models.base import Model
from mmvae.training.state import codec_states

_LARGER, _SMALL, _LEAST = 4, 1 << 22, 1 << 10
"""Limit of a network while it is built, in numbers: this factor times its weights plus a constant;
each weight counts at least a minimum."""


class Description(BaseModel):
    """The description of a model in ``state.json``; other keys, of a training, are ignored.

    Attributes:
        order: The modalities in the order of the configuration.
        modalities: The table of each, with the kind of its ``codec``.
        model: The table of the model, with its ``kind``.
        codecs: The fitted state of each codec, without tensors.
        posterior: The table of the family of subset posteriors, if one was chosen.
        prior: The table of the family of the prior, if one was chosen.
        plugins: The plugins that it was made with, if recorded.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    order: list[TableName] = Field(min_length=1)
    modalities: dict[TableName, dict[str, Any]]
    model: dict[str, Any]
    codecs: dict[TableName, dict[str, Any]]
    posterior: dict[str, Any] | None = None
    prior: dict[str, Any] | None = None
    plugins: dict[str, Any] | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Description:
        """Refuse lists of modalities that differ, and tables without their kind."""
        names = sorted(self.order)
        if len(set(names)) < len(names) or not names == sorted(self.modalities):
            raise ValueError("'order' and 'modalities' name different modalities")
        if names != sorted(self.codecs):
            raise ValueError("'order' and 'codecs' name different modalities")
        chosen = {f"modalities.{m}.codec": t.get("codec") for m, t in self.modalities.items()}
        for key, kind in {"model.kind": self.model.get("kind"), **chosen}.items():
            if not isinstance(kind, str):
                raise ValueError(f"{key} is {kind!r}, expected a name")
        return self

    @classmethod
    def of(cls, state: Mapping[str, Any], origin: object) -> Description:
        """Read a description from the state of a checkpoint or a model folder.

        Args:
            state: The content of its ``state.json``.
            origin: Its name in messages.

        Raises:
            CheckpointError: A key is missing or has a value that mmvae does not write.
        """
        try:
            return cls.model_validate(state)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            key = ".".join(map(repr, first["loc"])) or "state.json"
            raise CheckpointError(
                f"{origin}: its description is not what mmvae writes: {key}: {first['msg']}. "
                f"Get the model from its authors again."
            ) from error

    @property
    def families(self) -> dict[str, dict[str, Any]]:
        """The tables of families that are set, as `Shapes.of` takes them."""
        tables = {"posterior": self.posterior, "prior": self.prior}
        return {name: table for name, table in tables.items() if table is not None}

    def states(self, tensors: Mapping[str, Tensor], origin: object) -> dict[str, State]:
        """The fitted state of each codec, tensors included.

        Args:
            tensors: ``modality/name`` → tensor.
            origin: Its name in messages.

        Raises:
            CheckpointError: A tensor belongs to no modality.
        """
        for name in tensors:
            modality, slash, key = name.partition("/")
            if not (slash and key) or modality not in self.codecs:
                raise CheckpointError(f"{origin}: tensor {name!r} is of none of its codecs.")
        return codec_states(self.codecs, tensors)


@contextmanager
def fitting(origin: object) -> Iterator[None]:
    """Run a block that builds a model from its description.

    Raises:
        CheckpointError: Something failed: the description does not fit the installed plugins.
        PluginError: A plugin that it needs is missing or broken.
        TrainingError: Memory ran out.
    """
    try:
        yield
    except (CheckpointError, PluginError):
        raise
    except Exception as error:  # of any kind: codecs may meet any values
        if out_of_memory(error):
            raise TrainingError(
                f"Out of memory while the model of {origin} is built. Free some, or use a "
                f"machine with more."
            ) from error
        said = str(error) if isinstance(error, MmvaeError) else f"{type(error).__name__}: {error}"
        raise CheckpointError(
            f"{origin}: its description does not fit the installed plugins "
            f"({' '.join(said.split())[:500]}). `mmvae plugins list` shows their versions."
        ) from error


@contextmanager
def no_larger_than(weights: Mapping[str, Tensor]) -> Iterator[None]:
    """Stop networks that outgrow their weights while they are built in the block.

    Args:
        weights: The weights to be loaded.

    Raises:
        CheckpointError: One operation would create a tensor much larger than the largest weight,
            or all weights and buffers together would be much larger than these.
    """
    largest = max((value.numel() for value in weights.values()), default=0)
    left = _LARGER * sum(max(_LEAST, value.numel()) for value in weights.values()) + _SMALL
    thread = threading.get_ident()

    def count(module: nn.Module, name: str, value: Tensor | None) -> None:
        nonlocal left
        if threading.get_ident() == thread and value is not None:
            left -= max(_LEAST, value.numel())
            if left < 0:
                raise _outgrown()

    hooks = [
        register_module_parameter_registration_hook(count),
        register_module_buffer_registration_hook(count),
    ]
    try:
        with _Bounded(max(_LARGER * largest, _SMALL)):
            yield
    finally:
        for hook in hooks:
            hook.remove()


class _Bounded(TorchFunctionMode):
    """Runs each operation first without memory (on torch's ``meta`` device), to learn its size.

    Args:
        most: Maximum number of elements of a tensor.
    """

    def __init__(self, most: int) -> None:
        self.most = most

    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        """Refuse an operation whose result would be too large, else run it."""
        kwargs = kwargs or {}
        if not _in_place(func) and _reach(args, kwargs) ** 2 > self.most:
            for made in tree_leaves(_sketch(func, args, kwargs)):
                if isinstance(made, Tensor) and made.numel() > self.most:
                    raise _outgrown()
        return func(*args, **kwargs)


def _in_place(func: Any) -> bool:
    """True if a function of torch fills or describes an existing tensor."""
    name: str = getattr(func, "__name__", "")
    return name.endswith("_") or name in ("__get__", "__set__")


def _reach(args: Sequence[Any], kwargs: Mapping[str, Any]) -> int:
    """The product of all sizes among an operation's arguments; the result is below its square."""
    reach = 1
    for value in tree_leaves((tuple(args), dict(kwargs))):
        size = value.numel() if isinstance(value, Tensor) else value
        reach *= max(1, abs(size)) if isinstance(size, int) else 1
    return reach


def _sketch(func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """The result of an operation, without memory; None if it depends on values."""

    def bare(value: Any) -> Any:
        return value.detach().to("meta") if isinstance(value, Tensor) else value

    if "device" in kwargs:
        kwargs = {**kwargs, "device": torch.device("meta")}
    try:
        with torch.device("meta"):
            return func(*tree_map(bare, tuple(args)), **tree_map(bare, dict(kwargs)))
    except Exception:  # the operation runs next and raises its own error
        return None


def _outgrown() -> CheckpointError:
    return CheckpointError(
        "Its description asks for much larger networks than it has weights for: another model's, "
        "or it was changed. Get the model from its authors again."
    )


@torch.no_grad()
def try_out(model: Model) -> None:
    """Run one item of fill values through a model in eval mode, and decode it through its codecs.

    An error in the codecs' fitted state shows here rather than in use.

    Raises:
        ValueError: A codec returns another shape, or names that are none.
    """
    with seeded_global(0):
        x = {m: codec.missing(1) for m, codec in model.codecs.items()}
        model.posterior(x)
        z = torch.zeros(1, model.latent_dim)
        for m in model.decoded:
            codec = model.codecs[m]
            point = codec.point(model.likelihood(m, z, x))
            if tuple(point.shape) != (1, *codec.event_shape):
                raise ValueError(f"{m}: decoded {tuple(point.shape)}, not {codec.event_shape}")
            restored = codec.restore(point)
            if len(restored) != 1 or len(codec.show(point)) != 1:
                raise ValueError(f"{m}: one item is not restored as one")
            _check_names(m, names=restored.names)
    for m, codec in model.codecs.items():
        _check_names(m, classes=codec.classes, attributes=codec.attributes)


def _check_names(modality: str, **found: Sequence[str] | None) -> None:
    """Require that what a codec calls names are names, each once."""
    for key, names in found.items():
        if names is not None and not are_names(names):
            raise ValueError(f"{modality}: {key} is {names!r:.80}, expected names, each once")
