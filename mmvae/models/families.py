"""Families of distributions over z: the form of a posterior or of a learned prior.

Every posterior is a diagonal Gaussian unless a config says otherwise. A plugin's family may
replace the Gaussian in subset posteriors (``[posterior]``, T14) and may serve as a prior that
is fitted to the aggregate posterior (``[prior]``, T15).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, create_model
from torch import nn


class FamilyConfig(BaseModel):
    """The keys of ``[posterior]`` and ``[prior]``; each family adds its own."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Family(ABC):
    """A recipe for networks that give distributions over z.

    Args:
        config: The validated ``Config``.
    """

    kind: ClassVar[str]
    """The word used in TOML: ``family = "flow"``."""

    Config: ClassVar[type[FamilyConfig]] = FamilyConfig

    def __init__(self, config: Any) -> None:
        self.config = config

    @abstractmethod
    def head(self, context_dim: int, latent_dim: int) -> nn.Module:
        """Build a network from a context to a distribution over z, with fresh weights.

        Args:
            context_dim: Width c of the context; 0 for a prior, which has none.
            latent_dim: d.

        Returns:
            A module whose call takes a context (…, c), real or half precision, and returns a
            :class:`mmvae.Posterior` with batch shape (…) and event shape (d,) in at least float32,
            with or without autocast. For c = 0 it takes (…, 0). A head may have a method
            ``begin(samples, points)`` that initialises its weights near the target. It is called
            once before a prior is fitted, without gradients, with some 10,000 samples (n, d) of
            the target and the point estimates (n, d) of the posteriors they are drawn from.
        """


class PosteriorKeys(BaseModel):
    """Keys of ``[posterior]`` in addition to the family's own."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    subsets: list[str] | None = Field(
        None,
        min_length=1,
        description="Subset posteriors of this family, such as ['label']. Default: all that the "
        "model trains. The others are diagonal Gaussians.",
    )


class PriorKeys(BaseModel):
    """Keys of ``[prior]`` in addition to the family's own."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    first_epoch: int = Field(
        0,
        ge=0,
        description="First epoch, counted from 0, that fits the prior. Skip early epochs, in "
        "which the posteriors still change fast.",
    )
    learning_rate: float | None = Field(
        None,
        gt=0,
        allow_inf_nan=False,
        description="Learning rate of the prior. Default: train.learning_rate.",
    )


Table = Literal["posterior", "prior"]
TABLES: tuple[Table, ...] = get_args(Table)
"""The tables of a config that choose a family."""

BESIDE: Mapping[str, type[BaseModel]] = {"posterior": PosteriorKeys, "prior": PriorKeys}
"""Table of a config → its keys in addition to those of its family."""


@lru_cache(maxsize=64)
def joined(own: type[BaseModel], beside: type[BaseModel]) -> type[BaseModel]:
    """Merge a family's own keys and the table's other keys into one schema."""
    return create_model(own.__name__, __base__=(own, beside), __doc__=own.__doc__)


@dataclass(frozen=True)
class Shapes:
    """The families that a config chose for a model's distributions over z.

    Attributes:
        posterior: The family of subset posteriors; None for diagonal Gaussians.
        posterior_keys: The subsets that have this family.
        prior: The family of the learned prior; None for none.
        prior_keys: When and how fast it is fitted.
    """

    posterior: Family | None = None
    posterior_keys: PosteriorKeys = PosteriorKeys()
    prior: Family | None = None
    prior_keys: PriorKeys = PriorKeys()

    @property
    def any(self) -> bool:
        """True if a family was chosen at all."""
        return self.posterior is not None or self.prior is not None

    def chosen(self, table: Table) -> dict[str, Any] | None:
        """The entries of a table that define networks: family, its keys, subsets; None without."""
        keys = self.tables().get(table)
        beside = PriorKeys.model_fields
        return None if keys is None else {k: v for k, v in keys.items() if k not in beside}

    def tables(self) -> dict[str, dict[str, Any]]:
        """The tables ``[posterior]`` and ``[prior]`` that are set, as plain values."""
        pairs: dict[str, tuple[Family | None, BaseModel]] = {
            "posterior": (self.posterior, self.posterior_keys),
            "prior": (self.prior, self.prior_keys),
        }
        return {
            name: {
                "family": family.kind,
                **family.config.model_dump(mode="json", include=set(family.Config.model_fields)),
                **keys.model_dump(mode="json"),
            }
            for name, (family, keys) in pairs.items()
            if family is not None
        }

    @classmethod
    def of(cls, tables: Mapping[str, Mapping[str, Any]], find: Finder) -> Shapes:
        """Invert :meth:`tables`.

        Args:
            tables: Plain values.
            find: The class of each family by its word; raises if there is none.

        Raises:
            pydantic.ValidationError: A schema does not accept a value.
        """
        found: dict[str, Any] = {}
        for name, keys in BESIDE.items():
            if name not in tables:
                continue
            table = dict(tables[name])
            family = find(table.pop("family"))
            beside = {key: table.pop(key) for key in keys.model_fields if key in table}
            found[name] = family(family.Config.model_validate(table))
            found[f"{name}_keys"] = keys.model_validate(beside)
        return cls(**found)


Finder = Callable[[str], type[Family]]
