"""The description of a saved model: what ``state.json`` says of it, checked before it is used.

A checksum tells that a file is what was saved, not that what was saved is sound: whoever gives a
model away can seal anything. So names are held to the rule of configurations, sizes and types are
compared with the weights before memory is taken for a network, and the network is tried once.
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

from mmvae.codec import State
from mmvae.config import TableName
from mmvae.errors import CheckpointError, MmvaeError, PluginError, TrainingError, out_of_memory
from mmvae.models.protocol import Model
from mmvae.randomness import seeded_global
from mmvae.returned import is_name
from mmvae.training.state import codec_states

_LARGER, _SMALL, _LEAST = 4, 1 << 22, 1 << 10
"""How many times larger than its weights a network may be while it is built, how many numbers are
few, and how many a tensor counts at least."""


class Description(BaseModel):
    """What ``state.json`` says of a model; keys of a training beside it are left alone.

    Attributes:
        order: The modalities in the order of the configuration.
        modalities: The table of each, with the kind of its ``codec``.
        model: The table of the model, with its ``kind``.
        codecs: What each codec learned, but for tensors.
        posterior: The table of the family of subset posteriors, if one was chosen.
        prior: The table of the family of the prior, if one was chosen.
        plugins: The plugins that it was made with, if it says so.
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
        """Refuse lists of modalities that differ, and tables that do not say their kind."""
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
            state: What its ``state.json`` holds.
            origin: What to call it in messages.

        Raises:
            CheckpointError: A key is missing or its value is none that mmvae writes.
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
        """The tables of families that there are, as `Shapes.of` takes them."""
        tables = {"posterior": self.posterior, "prior": self.prior}
        return {name: table for name, table in tables.items() if table is not None}

    def states(self, tensors: Mapping[str, Tensor], origin: object) -> dict[str, State]:
        """What each codec learned, tensors included.

        Args:
            tensors: ``modality/name`` → tensor.
            origin: What to call it in messages.

        Raises:
            CheckpointError: A tensor is of no modality.
        """
        for name in tensors:
            modality, slash, key = name.partition("/")
            if not (slash and key) or modality not in self.codecs:
                raise CheckpointError(f"{origin}: tensor {name!r} is of none of its codecs.")
        return codec_states(self.codecs, tensors)


@contextmanager
def fitting(origin: object) -> Iterator[None]:
    """Run a block that puts a model together as its description says.

    Raises:
        CheckpointError: Something failed: the description does not fit the installed plugins.
        PluginError: A plugin that it needs is missing or broken.
        TrainingError: Memory ran out.
    """
    try:
        yield
    except (CheckpointError, PluginError):
        raise
    except Exception as error:  # of any kind: the codecs met values that nobody foresaw
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
    """Stop networks that, while they are built in the block, outgrow their weights.

    Args:
        weights: The weights that they shall take.

    Raises:
        CheckpointError: One operation would make a tensor of many more numbers than the largest
            weight has, or all weights and buffers together would have many more than these.
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
    """Runs each operation without memory first (on torch's ``meta`` device), to learn its size.

    Args:
        most: Numbers that a tensor may hold.
    """

    def __init__(self, most: int) -> None:
        self.most = most

    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        """Refuse what would be too large, else let it happen."""
        kwargs = kwargs or {}
        if not _in_place(func) and _reach(args, kwargs) ** 2 > self.most:
            for made in tree_leaves(_sketch(func, args, kwargs)):
                if isinstance(made, Tensor) and made.numel() > self.most:
                    raise _outgrown()
        return func(*args, **kwargs)


def _in_place(func: Any) -> bool:
    """Whether a function of torch fills or describes a tensor that is there."""
    name: str = getattr(func, "__name__", "")
    return name.endswith("_") or name in ("__get__", "__set__")


def _reach(args: Sequence[Any], kwargs: Mapping[str, Any]) -> int:
    """The product of all sizes that an operation is given; what it gives is below its square."""
    reach = 1
    for value in tree_leaves((tuple(args), dict(kwargs))):
        size = value.numel() if isinstance(value, Tensor) else value
        reach *= max(1, abs(size)) if isinstance(size, int) else 1
    return reach


def _sketch(func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """What an operation gives, without memory; None where only its values could tell."""

    def bare(value: Any) -> Any:
        return value.detach().to("meta") if isinstance(value, Tensor) else value

    if "device" in kwargs:
        kwargs = {**kwargs, "device": torch.device("meta")}
    try:
        with torch.device("meta"):
            return func(*tree_map(bare, tuple(args)), **tree_map(bare, dict(kwargs)))
    except Exception:  # the operation itself follows, and says why
        return None


def _outgrown() -> CheckpointError:
    return CheckpointError(
        "Its description asks for much larger networks than it has weights for: another model's, "
        "or it was changed. Get the model from its authors again."
    )


@torch.no_grad()
def try_out(model: Model) -> None:
    """Pass one stand-in item through a model in eval mode, and what is decoded through its codecs.

    Whatever is wrong with what codecs learned shows here rather than in use.

    Raises:
        ValueError: A codec answers with another shape, or with classes that are no names.
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
            if len(codec.restore(point)) != 1 or len(codec.show(point)) != 1:
                raise ValueError(f"{m}: one item is not restored as one")
    for m, codec in model.codecs.items():
        for names in (codec.classes, codec.attributes):
            if names is not None and not all(map(is_name, names)):
                raise ValueError(f"{m}: {names!r:.80} are no names")
