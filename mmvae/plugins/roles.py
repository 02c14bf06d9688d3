"""The roles that a plugin's class can fill: one row each, which everything else reads.

A further role is a further row, with a base class that says what its classes must define.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from mmvae.data.generator import Maker
from mmvae.data.source import Source
from mmvae.evaluation.metric import Metric
from mmvae.modalities.codec import Codec
from mmvae.models.base import Model
from mmvae.models.extension import Extension
from mmvae.models.families import Family, PosteriorKeys, PriorKeys
from mmvae.plugins.hookspecs import hookspec
from mmvae.training.observer import Observer

Register = Callable[[type[Any]], None]


@dataclass(frozen=True)
class Role:
    """One thing that a class can be to the core.

    Attributes:
        name: The word for it, in messages and in the provenance of runs.
        base: The class that all in this role derive from; its ``Config`` is the base of theirs.
        about: The first sentence of its hook's documentation.
        tables: The tables of a config that each choose one class of this role.
        key: The key that chooses it, in each of these tables.
        default: The kind that a table without this key chooses; empty if the key is required.
        named: Whether these are tables of tables, whose names the user chooses.
        own_table: Whether each kind is switched on by a table of its name; extensions only are.
        trained: True if such a class has a part in training.
        of_model: Whether a trained model cannot do without it, wherever it is used.
        taken: Further keys that its tables have from the core.
    """

    name: str
    base: type[Any]
    about: str
    tables: tuple[str, ...] = ()
    key: str = ""
    default: str = ""
    named: bool = False
    own_table: bool = False
    trained: bool = True
    of_model: bool = False
    taken: tuple[str, ...] = ()

    def __str__(self) -> str:
        return self.name

    @property
    def plural(self) -> str:
        """The word for several classes in it."""
        stem, ending = (self.name[:-1], "ies") if self.name.endswith("y") else (self.name, "s")
        return stem + ending

    @property
    def hook(self) -> str:
        """The function by which a plugin offers classes in it: ``register_codecs``."""
        return f"register_{self.plural}"

    @property
    def config(self) -> type[BaseModel]:
        """The base of the schemas of its tables."""
        config: type[BaseModel] = self.base.Config
        return config

    def specification(self) -> Callable[[Register], None]:
        """Its hook as pluggy and the documentation know it."""

        def specified(register: Register) -> None: ...

        specified.__name__ = specified.__qualname__ = self.hook
        specified.__doc__ = (
            f"{self.about}\n\n"
            f"Called once per registry, before a config is validated; call "
            f"``register({self.name}_class)`` once for each subclass of "
            f":class:`mmvae.{self.base.__name__}`; it is offered under its ``kind``. The hooks "
            f"of all plugins are called in the order of their names; a kind offered twice is an "
            f"error that names "
            f"both plugins."
        )
        return hookspec(specified)


_ROWS = (
    Role(
        "codec",
        Codec,
        "Offer codecs that ``[modalities.NAME] codec = …`` can name.",
        tables=("modalities",),
        key="codec",
        named=True,
        of_model=True,
    ),
    Role(
        "source",
        Source,
        "Offer sources that ``[data] source = …`` can name.",
        tables=("data",),
        key="source",
    ),
    Role("maker", Maker, "Offer data sets that ``mmvae data make KIND`` can make."),
    Role(
        "model",
        Model,
        "Offer models that ``[model] kind = …`` can name, as the core offers ``jmvae``.",
        tables=("model",),
        key="kind",
        default="jmvae",
        of_model=True,
    ),
    Role(
        "family",
        Family,
        "Offer families of distributions over z, for ``[posterior] family = …`` and ``[prior]``.",
        tables=("posterior", "prior"),
        key="family",
        of_model=True,
        taken=(*PosteriorKeys.model_fields, *PriorKeys.model_fields),
    ),
    Role(
        "extension",
        Extension,
        "Offer extensions, each switched on by a table ``[KIND]`` at a config's top level.",
        own_table=True,
    ),
    Role(
        "metric",
        Metric,
        "Offer metrics that ``[metrics.NAME] kind = …`` can name, as the core offers ``latent``.",
        tables=("metrics",),
        key="kind",
        named=True,
        trained=False,
    ),
    Role(
        "observer",
        Observer,
        "Offer observers of trainings that ``[observers.NAME] kind = …`` can name.",
        tables=("observers",),
        key="kind",
        named=True,
        trained=False,
    ),
)

ROLES: dict[str, Role] = {role.name: role for role in _ROWS}
"""Every role by its name, in the order in which a plugin's hooks are called."""


def choosing() -> Iterator[tuple[str, Role]]:
    """Each table of a config that chooses a class, with the role that it chooses from."""
    for role in ROLES.values():
        for table in role.tables:
            yield table, role


def top_level() -> tuple[str, ...]:
    """Keys and tables of a config that are the core's own, so that no extension may take them."""
    return ("name", *dict(choosing()), "train", "evaluate", "reference")
