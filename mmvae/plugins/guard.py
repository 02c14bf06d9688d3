"""The guard: a plugin's codec in use, with every call checked against the contract.

A wrong result of a codec fails somewhere in the core, long after the call, if at all. So every
codec that a config or a model folder names is made from a guarded class: a subclass of the
plugin's own that checks the result of each method. The message names plugin, method, requirement
and result, and what the plugin's author can do.
"""

# super() is the plugin's class, which defines what is abstract here.
# mypy: disable-error-code="safe-super"

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from pathlib import Path
from types import new_class
from typing import Any, ClassVar, TypeVar

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from mmvae.foundations.errors import (
    LONG,
    ContractBroken,
    MmvaeError,
    PluginError,
    out_of_memory,
    shortened,
)
from mmvae.modalities import returned
from mmvae.modalities.codec import Codec
from mmvae.modalities.column import Column
from mmvae.modalities.likelihoods.likelihood import Parameters
from mmvae.modalities.recipe import State
from mmvae.plugins.plugin_info import PluginInfo
from mmvae.plugins.registry import IN_MEMORY, Registry

T = TypeVar("T")

OF_VALUES = (TypeError, ValueError)
"""The errors that a codec may raise for unacceptable values; the core then names the value."""


def guarded_codec(registry: Registry, kind: str) -> type[Codec]:
    """The codec class of this kind under guard.

    Raises:
        ConfigError: No installed plugin offers it.
        PluginError: Two plugins offer it, or a broken one might.
    """
    codec: type[Codec] = registry.find("codec", kind)
    return _guarded(codec, registry.provider("codec", kind))


@cache
def _guarded(codec: type[Codec], plugin: PluginInfo) -> type[Codec]:
    names = {name: getattr(codec, name) for name in ("__module__", "__qualname__", "__doc__")}
    made: type[Codec] = new_class(
        codec.__name__, (Guard, codec), {}, lambda own: own.update(names)
    )
    made._Guard__plugin = plugin  # type: ignore[attr-defined]  # Guard's own, by its mangled name
    return made


class Guard(Codec):
    """Wraps a codec's class; see the module. Its own names do not hide the codec's."""

    __plugin: ClassVar[PluginInfo]

    def __init__(self, config: Any, state: State | None = None) -> None:
        self.__ask("__init__", super().__init__, config, state)

    def __ask(
        self,
        method: str,
        function: Callable[..., T],
        *given: Any,
        check: Callable[[Any], Any] | None = None,
        passing: tuple[type[Exception], ...] = (),
    ) -> T:
        """Call a method and check its result; ``check`` may convert it.

        Raises:
            PluginError: It raised an error that is not ours, or its result breaks the contract.
        """
        try:
            value: T = function(*given)
        except Exception as error:  # third-party code may raise anything
            passes = isinstance(error, (MmvaeError, *passing)) or out_of_memory(error)
            if passes or self.__plugin.distribution == IN_MEMORY:
                raise
            if raised_at(error, self.__plugin):
                raise failed(self.__plugin, error) from error
            said = f"{type(error).__name__}: {shortened(str(error), LONG)}"
            breach = ContractBroken(f"Wanted a value of {method}; got {said}.")
            raise broken(self.kind, self.__plugin, breach) from error
        try:
            changed: T | None = None if check is None else check(value)
        except ContractBroken as error:
            raise broken(self.kind, self.__plugin, error) from error
        return value if changed is None else changed

    def fit(self, column: Column) -> State:
        """See :meth:`Codec.fit`; the result is as it is read back from a run folder."""
        return self.__ask("fit", super().fit, column, check=returned.state, passing=OF_VALUES)

    def prepare(self, column: Column) -> tuple[Tensor, Tensor | None]:
        """See :meth:`Codec.prepare`."""
        return self.__ask(
            "prepare",
            super().prepare,
            column,
            check=lambda given: returned.pair(self, given, len(column)),
            passing=OF_VALUES,
        )

    def doubts(self, column: Column) -> Iterable[tuple[int, str]]:
        """See :meth:`Codec.doubts`."""
        return self.__ask(
            "doubts",
            super().doubts,
            column,
            check=lambda found: returned.doubts(found, len(column)),
            passing=OF_VALUES,
        )

    def to_input(self, x: Tensor) -> Tensor:
        """See :meth:`Codec.to_input`."""
        return self.__view("to_input", super().to_input, x)

    def resample(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """See :meth:`Codec.resample`."""
        return self.__view("resample", super().resample, x, generator)

    def fixed(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """See :meth:`Codec.fixed`."""
        return self.__view("fixed", super().fixed, x, generator)

    def __view(
        self, method: str, function: Callable[..., Tensor], x: Tensor, *more: Any
    ) -> Tensor:
        def check(view: Tensor) -> None:
            returned.model_values(method, view, x)

        return self.__ask(method, function, x, *more, check=check)

    def condition(self, raw: Column) -> Tensor:
        """See :meth:`Codec.condition`."""

        def check(x: Any) -> None:  # another shape may be the values' own fault; the core says so
            wanted = (len(raw), *x.shape[1:]) if isinstance(x, Tensor) else (len(raw),)
            returned.numbers("condition", x, wanted, "(b, event…)")

        return self.__ask("condition", super().condition, raw, check=check, passing=OF_VALUES)

    def encoder(self) -> nn.Module:
        """See :meth:`Codec.encoder`."""
        return self.__ask(
            "encoder()", super().encoder, check=lambda v: returned.network("encoder()", v)
        )

    def decoder(self, input_dim: int) -> nn.Module:
        """See :meth:`Codec.decoder`."""
        name = "decoder(input_dim)"
        return self.__ask(
            name, super().decoder, input_dim, check=lambda v: returned.network(name, v)
        )

    def likelihood(self, parameters: Parameters) -> Distribution:
        """See :meth:`Codec.likelihood`."""
        first = next(iter(parameters.values())) if isinstance(parameters, dict) else parameters
        return self.__ask(
            "likelihood",
            super().likelihood,
            parameters,
            check=lambda v: returned.distribution(v, len(first), self.event_shape),
        )

    def log_prob(self, likelihood: Distribution, x: Tensor, observed: Tensor | None) -> Tensor:
        """See :meth:`Codec.log_prob`."""
        return self.__ask(
            "log_prob",
            super().log_prob,
            likelihood,
            x,
            observed,
            check=lambda v: returned.numbers("log_prob", v, (len(x),), "(b,)"),
        )

    def point(self, likelihood: Distribution) -> Tensor:
        """See :meth:`Codec.point`."""
        return self.__drawn("point", super().point, likelihood)

    def sample(self, likelihood: Distribution, generator: torch.Generator) -> Tensor:
        """See :meth:`Codec.sample`."""
        return self.__drawn("sample", super().sample, likelihood, generator)

    def __drawn(
        self, method: str, function: Callable[..., Tensor], likelihood: Distribution, *more: Any
    ) -> Tensor:
        def check(values: Tensor) -> None:
            shape = (*likelihood.batch_shape, *self.event_shape)
            returned.numbers(method, values, shape, "(b, event…)")

        return self.__ask(method, function, likelihood, *more, check=check)

    def missing(self, b: int) -> Tensor:
        """See :meth:`Codec.missing`."""

        def check(x: Any) -> None:
            returned.tensor("missing", x, (b, *self.event_shape), "(b, event…)")
            returned.model_values("missing", x, torch.empty(x.shape))

        return self.__ask("missing", super().missing, b, check=check)

    def restore(self, x: Tensor) -> Column:
        """See :meth:`Codec.restore`."""
        return self.__ask(
            "restore", super().restore, x, check=lambda v: returned.column("restore", v, len(x))
        )

    def parse(self, text: str) -> Column:
        """See :meth:`Codec.parse`."""
        return self.__ask(
            "parse",
            super().parse,
            text,
            check=lambda v: returned.column("parse", v, 1),
            passing=(ValueError,),
        )

    def show(self, x: Tensor) -> list[Any]:
        """See :meth:`Codec.show`."""
        return self.__ask("show", super().show, x, check=lambda v: returned.things(v, len(x)))

    def compare(self, prediction: Tensor, x: Tensor) -> dict[str, Tensor]:
        """See :meth:`Codec.compare`."""
        return self.__ask(
            "compare", super().compare, prediction, x, check=lambda v: returned.figures(v, len(x))
        )

    def class_index(self, x: Tensor) -> Tensor:
        """See :meth:`Codec.class_index`."""
        many = len(self.classes or ())
        return self.__ask(
            "class_index",
            super().class_index,
            x,
            check=lambda v: returned.indices(v, len(x), many),
        )


def broken(kind: str, plugin: PluginInfo, error: ContractBroken) -> PluginError:
    """Convert a breach of contract to an error that names the plugin and advises its author."""
    if plugin.distribution == IN_MEMORY:
        whose, how = f"codec {kind!r}", "mmvae.testing.CodecContract"
    else:
        whose, how = f"codec {kind!r} of plugin {plugin}", f"`mmvae plugins check {kind}`"
    return PluginError(f"{whose} breaks the contract. {error} {how} checks the rest of it.")


def failed(plugin: PluginInfo, error: BaseException) -> PluginError:
    """Convert an exception of a plugin's code to an error that names where it was raised."""
    said = f"{type(error).__name__}: {shortened(str(error), LONG)}"
    return PluginError(
        f"plugin {plugin} failed: {said}{raised_at(error, plugin)}. "
        f"`mmvae plugins check {plugin.name}` may name what the contract requires."
    )


def raised_at(error: BaseException, plugin: PluginInfo) -> str:
    """`` (in Angle.decoder, mmvae_angles.py:57)``: the innermost place in a plugin's code."""
    roots = {_root(offer.offered.__module__) for offer in plugin.offers}
    for frame, line in reversed(list(traceback.walk_tb(error.__traceback__))):
        if _root(frame.f_globals.get("__name__", "")) in roots:
            code = frame.f_code
            return f" (in {code.co_qualname}, {Path(code.co_filename).name}:{line})"
    return ""


def culprit(error: BaseException, plugins: Sequence[PluginInfo]) -> PluginInfo | None:
    """The plugin whose code raised; None if no plugin's did."""
    third_party = [p for p in plugins if p.distribution not in ("mmvae", IN_MEMORY)]
    return next((plugin for plugin in third_party if raised_at(error, plugin)), None)


def _root(module: str) -> str:
    return module.split(".")[0]
