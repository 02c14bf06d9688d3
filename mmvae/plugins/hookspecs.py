"""The hooks through which plugins reach the core: the public contract.

A plugin is a module or object named by an entry point of the group ``mmvae``; it marks its hooks
with ``@mmvae.hookimpl``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pluggy

hookspec = pluggy.HookspecMarker("mmvae")
hookimpl = pluggy.HookimplMarker("mmvae")


@hookspec
def register_codecs(register: Callable[[type[Any]], None]) -> None:
    """Offer codecs that configs can name.

    Called once per registry, before a config is validated; call ``register(codec_class)`` once
    for each subclass of :class:`mmvae.Codec`; it is offered under its ``kind``. Every plugin is
    heard, in the order of their names; a kind offered twice is an error that names both plugins.
    """


@hookspec
def register_sources(register: Callable[[type[Any]], None]) -> None:
    """Offer sources that ``[data] source = …`` can name.

    Called once per registry; call ``register(source_class)`` once for each subclass of
    :class:`mmvae.Source`. A kind offered twice is an error that names both plugins.
    """


@hookspec
def register_makers(register: Callable[[type[Any]], None]) -> None:
    """Offer data sets that ``mmvae data make KIND`` can make.

    Called once per registry; call ``register(maker_class)`` once for each subclass of
    :class:`mmvae.Maker`. A kind offered twice is an error that names both plugins.
    """


@hookspec
def register_models(register: Callable[[type[Any]], None]) -> None:
    """Offer models that ``[model] kind = …`` can name.

    Called once per registry; call ``register(model_class)`` once for each class that fulfils the
    model protocol. The core offers ``jmvae`` through this same hook.
    """


@hookspec
def register_families(register: Callable[[type[Any]], None]) -> None:
    """Offer families of distributions over z, for ``[posterior] family = …`` and ``[prior]``.

    Called once per registry; call ``register(family_class)`` once for each subclass of
    :class:`mmvae.Family`. A kind offered twice is an error that names both plugins.
    """


@hookspec
def register_extensions(register: Callable[[type[Any]], None]) -> None:
    """Offer extensions, each switched on by a table of its own at a config's top level.

    Called once per registry; call ``register(extension_class)`` once for each subclass of
    :class:`mmvae.Extension`; its ``kind`` is the table's name. A kind offered twice is an error
    that names both plugins.
    """


@hookspec
def register_metrics(register: Callable[[type[Any]], None]) -> None:
    """Offer metrics, each measured where a config has a table ``[metrics.NAME]`` of its kind.

    Called once per registry; call ``register(metric_class)`` once for each subclass of
    :class:`mmvae.Metric`. A kind offered twice is an error that names both plugins. The core
    offers ``latent`` through this same hook.
    """


@hookspec
def register_observers(register: Callable[[type[Any]], None]) -> None:
    """Offer observers of trainings, switched on by tables ``[observers.NAME]``.

    Called once per registry; call ``register(observer_class)`` once for each subclass of
    :class:`mmvae.Observer`. A kind offered twice is an error that names both plugins.
    """
