"""Checks of the results of a codec's methods against the contract, one per kind of value.

The guard applies them at every call, the smoke test before a training, and the conformance suite
in its checks, so that one mistake has the same message everywhere.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import safetensors.torch
import torch
from PIL import Image
from torch import Tensor, nn
from torch.distributions import Distribution

from mmvae.foundations.errors import ContractBroken, require, short
from mmvae.foundations.printable import is_unicode
from mmvae.modalities.codec import Codec
from mmvae.modalities.column import Column, LazyValues
from mmvae.modalities.names import is_name
from mmvae.modalities.recipe import HAS_MISSING, State

SAVED = "numbers that are finite, texts, lists and dicts of those by text, or tensors"
"""The types that a state may hold."""

OWN_WEIGHTS = (
    "Create the weight in encoder() or decoder(), and let the decoder return it: tensors of a "
    "codec are neither trained nor saved. A value that fit learns is not a weight; keep it "
    "without a gradient."
)


def kind(value: Any) -> str:
    """The type of a value, in words."""
    return "None" if value is None else f"a {type(value).__name__}"


def tensor(
    method: str, value: Any, shape: tuple[int, ...], words: str, cells: Tensor | None = None
) -> None:
    """Check for a finite tensor of this shape; with ``cells``, only these need be finite."""
    shaped(method, value, shape, words)
    finite = value.isfinite() if cells is None else value.isfinite() | ~cells
    require(bool(finite.all()), f"{method} to give finite numbers", "NaN or infinity")


def shaped(method: str, value: Any, shape: tuple[int, ...], words: str) -> None:
    """Check for a tensor of this shape."""
    wanted = f"{method} to give a tensor {words} = {shape}"
    require(isinstance(value, Tensor), wanted, kind(value))
    require(tuple(value.shape) == shape, wanted, f"shape {tuple(value.shape)}")


def float32(method: str, value: Tensor) -> None:
    """Check for a tensor in float32."""
    wanted, remedy = f"{method} to give float32", "Cast it: .to(torch.float32)."
    require(value.dtype == torch.float32, wanted, value.dtype, remedy)


def numbers(method: str, value: Any, shape: tuple[int, ...], words: str) -> None:
    """Check for a tensor in float32 of this shape."""
    shaped(method, value, shape, words)
    float32(method, value)


def model_values(method: str, value: Any, like: Tensor) -> None:
    """Check model input or a view of it: float32, as many cells as its argument, no gradient."""
    numbers(method, value, tuple(like.shape), "(b, event…)")
    followed = bool(value.requires_grad) and not like.requires_grad
    require(not followed, f"{method} without weights", "a result with a gradient", OWN_WEIGHTS)


def state(learned: Any) -> State:
    """Check the result of ``fit``, and return it as it is read back from a run folder.

    Raises:
        ContractBroken: It is not a mapping, cannot be saved, or is read back as something else.
    """
    wanted = "fit to give a mapping of what it learned"
    require(isinstance(learned, Mapping), wanted, short(learned))
    plain = {key: value for key, value in learned.items() if not isinstance(value, Tensor)}
    tensors = {key: value for key, value in learned.items() if isinstance(value, Tensor)}
    for key in learned:
        named = isinstance(key, str) and is_unicode(key) and key not in ("", HAS_MISSING)
        require(
            named, f"fit to name what it learned by texts, {HAS_MISSING!r} excepted", repr(key)
        )
    for key, value in plain.items():
        _plain(key, value)
    for key, value in tensors.items():
        _tensor(key, value)
    restored: dict[str, Any] = json.loads(json.dumps(plain, allow_nan=False))
    kept = {key: value.detach().cpu().clone().contiguous() for key, value in tensors.items()}
    restored |= safetensors.torch.load(safetensors.torch.save(kept))
    return {key: restored[key] for key in learned}


def _plain(key: str, value: Any) -> None:
    """Check that JSON returns a value unchanged, except tuples, which become lists."""
    wanted, remedy = f"fit to give a state of {SAVED}", "Arrays can be kept by torch.as_tensor."
    got = f"{key!r}: {short(value)}"
    try:
        again = json.loads(json.dumps(value, allow_nan=False, ensure_ascii=False).encode())
    except (TypeError, ValueError, RecursionError) as error:  # ValueError: half a character, too
        got = f"{got} ({error})"
        raise ContractBroken(f"Wanted {wanted}; got {got}. {remedy}") from error
    require(again == _listed(value), wanted, f"{got}, which comes back as {short(again)}")


def _listed(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return [_listed(one) for one in value]
    return {k: _listed(v) for k, v in value.items()} if isinstance(value, dict) else value


def _tensor(key: str, value: Tensor) -> None:
    require(not value.requires_grad, f"{key!r} without a gradient", "a weight", OWN_WEIGHTS)
    dense = value.layout == torch.strided and not value.is_quantized and not value.is_complex()
    got = f"{value.dtype}, {value.layout}"
    require(dense, f"{key!r} to be a tensor that can be saved", got, "Keep real, dense tensors.")
    require(value.device.type != "meta", f"{key!r} to be a tensor with values", "one of meta")


def event(codec: Codec) -> tuple[int, ...]:
    """The event shape, a tuple of sizes.

    Raises:
        ContractBroken: It is something else.
    """
    shape: Any = codec.event_shape
    require(isinstance(shape, tuple), "event_shape to be a tuple", short(shape))
    whole = all(isinstance(n, int) and not isinstance(n, bool) and n > 0 for n in shape)
    wanted = "event_shape to be a tuple of one size > 0 at least"
    remedy = "One number per item has the event shape (1,)."
    require(whole and len(shape) > 0, wanted, short(shape), remedy)
    return codec.event_shape


def declared(codec: Codec) -> None:
    """Check event shape, width of features, names of classes or attributes, log s of each cell."""
    shape, width = event(codec), codec.feature_dim
    whole = isinstance(width, int) and not isinstance(width, bool) and width > 0
    require(whole, "feature_dim to be a whole number > 0", short(width))
    mixes = codec.mixes_items
    require(isinstance(mixes, bool), "mixes_items to be True or False", short(mixes))
    for name, names in {"classes": codec.classes, "attributes": codec.attributes}.items():
        if names is None:
            continue
        texts = isinstance(names, tuple) and all(map(is_name, names))
        require(texts and bool(names), f"{name} to be None or a tuple of names", short(names))
        require(len(set(names)) == len(names), f"{name} to name each once", short(names))
    attributes = codec.attributes
    wanted = f"an event shape (attributes,) = ({len(attributes or ())},)"
    require(attributes is None or shape == (len(attributes),), wanted, shape)
    if codec.log_scale is not None:
        _log_scale(codec.log_scale, shape)


def _log_scale(value: Any, shape: tuple[int, ...]) -> None:
    """Check the logarithm of each cell's scale: floats on the CPU, without a gradient."""
    shaped("log_scale", value, shape, "(event…)")
    where = value.device.type
    require(where == "cpu", "log_scale on the CPU", where, "Move it: .cpu().")
    real = value.is_floating_point()
    require(real, "log_scale to give floats", value.dtype, "Cast it: .float().")
    require(not value.requires_grad, "log_scale without a gradient", "a weight", OWN_WEIGHTS)
    tensor("log_scale", value, shape, "(event…)")


def pair(codec: Codec, prepared: Any, n: int) -> tuple[Tensor, Tensor | None]:
    """Check the result of ``prepare`` for n rows: the values and the mask of observed cells.

    Raises:
        ContractBroken: They are something else; it knows the codec's kind.
    """
    try:
        wanted = "prepare to give a pair: a tensor, and None or which cells are observed"
        require(isinstance(prepared, tuple) and len(prepared) == 2, wanted, _named(prepared))
        x, observed = prepared
        require(isinstance(x, Tensor), wanted, f"{_named(x)} for the values")
        wanted = f"prepare to give {n} items, one for each row"
        require(x.dim() > 0 and len(x) == n, wanted, f"shape {tuple(x.shape)}")
        if observed is not None:
            kept = isinstance(observed, Tensor) and observed.dtype == torch.bool
            got = observed.dtype if isinstance(observed, Tensor) else _named(observed)
            require(kept, "observed cells as a bool tensor", got)
            require(observed.shape == x.shape, f"observed {tuple(x.shape)}", tuple(observed.shape))
        event(codec)
    except ContractBroken as error:
        raise ContractBroken(str(error), codec.kind) from error
    return x, observed


def _named(value: Any) -> str:
    return type(value).__name__


def network(method: str, value: Any) -> None:
    """Check for a module of torch."""
    require(isinstance(value, nn.Module), f"{method} to give a torch.nn.Module", kind(value))


def distribution(value: Any, b: int, shape: tuple[int, ...]) -> None:
    """Check for a distribution of b items of this event shape."""
    wanted = f"likelihood to give a Distribution with batch shape ({b},) and event shape {shape}"
    require(isinstance(value, Distribution), wanted, kind(value))
    got = f"{tuple(value.batch_shape)} and {tuple(value.event_shape)}"
    require(
        (value.batch_shape, value.event_shape) == ((b,), shape),
        wanted,
        f"{got}: reinterpret its dimensions with Independent",
    )


def column(method: str, value: Any, n: int) -> None:
    """Check for a column of n values in memory."""
    wanted, remedy = f"{method} to give a Column of {n}", "Return mmvae.Column(values)."
    require(isinstance(value, Column), wanted, kind(value), remedy)
    values = value.values
    in_memory = not isinstance(values, (Tensor, LazyValues)) and hasattr(values, "__len__")
    remedy = "Its values are an array or a list."
    require(in_memory, wanted, f"one of {kind(values)}", remedy)
    require(len(value) == n, wanted, f"one of {len(value)}")


def things(value: Any, n: int) -> None:
    """Check for n images, or n texts."""
    require(isinstance(value, list), "show to give a list", kind(value))
    require(len(value) == n, f"show to give {n} things to look at", len(value))
    sorts = {Image.Image if isinstance(one, Image.Image) else type(one) for one in value}
    one = not value or sorts in ({Image.Image}, {str})
    got = ", ".join(sorted(sort.__name__ for sort in sorts))
    require(one, "show to give PIL images, or strings", got)


def doubts(value: Any, n: int) -> list[tuple[int, str]]:
    """Check for rows below n, each with a reason; return them as a list, as they may be lazy."""
    wanted = f"doubts to give pairs of a row, 0 to {n - 1}, and a text"
    require(isinstance(value, Iterable), wanted, kind(value), "Return () for none.")
    found = list(value)
    for pair in found:
        require(isinstance(pair, tuple) and len(pair) == 2, wanted, short(pair))
        row, text = pair
        whole = isinstance(row, (int, np.integer)) and not isinstance(row, bool)
        require(whole and 0 <= row < n, wanted, f"the row {short(row)}")
        require(isinstance(text, str) and bool(text.strip()), wanted, f"the text {short(text)}")
    return found


def figures(value: Any, n: int) -> None:
    """Check for a mapping of names to one real number for each item."""
    wanted = f"compare to give a dict of names to float tensors (b,) = ({n},)"
    require(isinstance(value, Mapping), wanted, kind(value), "Return {} for none.")
    for name, found in value.items():
        require(isinstance(name, str) and bool(name), wanted, f"the name {short(name)}")
        require(isinstance(found, Tensor), wanted, f"{name!r}: {kind(found)}")
        shape = tuple(found.shape)
        require(shape == (n,), wanted, f"{name!r}: shape {shape}", "Reduce all but dimension 0.")
        real = found.is_floating_point()
        require(real, wanted, f"{name!r}: {found.dtype}", "Cast it: .float().")


def indices(value: Any, n: int, classes: int) -> None:
    """Check for the number of a class for each item."""
    shaped("class_index", value, (n,), "(b,)")
    require(value.dtype == torch.int64, "class_index to give int64", value.dtype)
    within = bool(((value >= 0) & (value < classes)).all())
    require(within, f"class_index to give numbers from 0 to {classes - 1}", value.tolist())
