"""Split items into train, validation and test, by seed: single items, groups or strata."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterator, Mapping
from typing import Any

import numpy as np
from pydantic import Field, model_validator

from mmvae.data.item_names import LISTED, look_alikes
from mmvae.data.source import SourceConfig, Split
from mmvae.data.split_names import SplitName
from mmvae.foundations.errors import ConfigError, DataError, nearest
from mmvae.foundations.randomness import generator

Array = np.ndarray[Any, Any]


class CutConfig(SourceConfig):
    """How items that come in one piece are cut into splits."""

    split_seed: int = Field(0, ge=0, description="Seed of the random split.")
    group: str | None = Field(
        None,
        description="Column that groups items, such as a patient id. All items of a group are in "
        "the same split. An item without a value is its own group.",
    )
    stratum: str | None = Field(
        None,
        description="Column, such as a class, for a stratified split. Each of its values has the "
        "same fraction in every split, up to one item.",
    )

    @model_validator(mode="after")
    def _one_of_them(self) -> CutConfig:
        if self.group is not None and self.stratum is not None:
            raise ValueError("give group or stratum, not both")
        return self


def cut(items: Split, validation: float, test: float, config: CutConfig) -> dict[SplitName, Split]:
    """Apply :func:`split_items` with the settings of ``[data]``.

    Raises:
        ConfigError: A column of that name does not exist.
        DataError: Its values are not groups or strata, or there are too few for the shares.
    """
    groups = None if config.group is None else codes(items, "group", config.group)
    strata = None if config.stratum is None else codes(items, "stratum", config.stratum)
    return split_items(items, validation, test, config.split_seed, groups, strata)


def split_items(
    items: Split,
    validation: float,
    test: float,
    seed: int,
    groups: Array | None = None,
    strata: Array | None = None,
) -> dict[SplitName, Split]:
    """Divide ``items`` at random into splits; a share of 0 leaves that split out.

    A share above 0 is rounded to whole items, at least one; or to whole groups, if they are given.

    Args:
        items: All items.
        validation: Share of the items for validation, in [0, 1).
        test: Share of the items for test, in [0, 1).
        seed: The same seed gives the same splits.
        groups: Group of each item, (n,): none is in two splits.
        strata: Stratum of each item, (n,): each has the same shares of the splits.

    Raises:
        DataError: Too few items, or groups, for the shares.
    """
    import torch

    n = len(items)
    units, sizes = _units(groups, n)
    order = torch.randperm(len(sizes), generator=generator(seed, "split")).numpy()
    if strata is not None:
        order = _spread(order, strata)
    n_test, n_validation = (
        max(1, round(n * share)) if share else 0 for share in (test, validation)
    )
    wanted = (n - n_test - n_validation, n_validation, n_test)
    if wanted[0] < 1 or len(sizes) < sum(count > 0 for count in wanted):
        what = f"{n} items" if groups is None else f"{len(sizes)} groups of {n} items"
        raise DataError(
            f"{what} leave none for training with validation = {validation} and "
            f"test = {test}: lower the fractions (0 leaves a split out) or add items."
        )
    names: tuple[SplitName, ...] = ("train", "validation", "test")
    parts: dict[SplitName, Array] = {}
    for name, chosen in zip(names, _parts(order, sizes, wanted), strict=True):
        if len(chosen):
            parts[name] = np.flatnonzero(np.isin(units, chosen))
    return {name: items.take(rows) for name, rows in parts.items()}


def _units(groups: Array | None, n: int) -> tuple[Array, Array]:
    """The unit of each item, (n,), and the items of each unit; a unit is never divided."""
    if groups is None:
        return np.arange(n), np.ones(n, np.int64)
    _, units, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    return units, sizes


def _parts(order: Array, sizes: Array, wanted: tuple[int, ...]) -> list[Array]:
    """Units in this order, divided where their items come nearest to the requested numbers.

    Each part with a requested number above 0 gets at least one unit.
    """
    ends = np.concatenate([[0], np.cumsum(sizes[order])])
    parts, first, reached = [], 0, 0
    for i, count in enumerate(wanted):
        reached += count
        after = sum(later > 0 for later in wanted[i + 1 :])  # units that others need
        last = int(np.abs(ends - reached).argmin())
        last = min(max(last, first + 1), len(order) - after) if count else first
        parts.append(order[first:last])
        first = last
    return parts


def _spread(order: Array, strata: Array) -> Array:
    """The same items, with every stratum spread evenly over the whole order.

    Item i of the m of a stratum is placed at the fraction (i + ½)/m, so that any part of the order
    has each stratum's overall share. ``order`` determines which item that is.
    """
    place = np.empty(len(order))
    _, kinds, counts = np.unique(strata[order], return_inverse=True, return_counts=True)
    for kind, count in enumerate(counts):
        place[kinds == kind] = (np.arange(count) + 0.5) / count
    found: Array = order[np.argsort(place, kind="stable")]
    return found


def codes(items: Split, key: str, column: str) -> Array:
    """A number for each value of a column, int64 (n,).

    Args:
        items: The items.
        key: ``"group"``, where each null gets a number of its own, or ``"stratum"``, where all
            get one.
        column: The column.

    Raises:
        ConfigError: There is no such column.
        DataError: A value is neither number nor text.
    """
    if column not in items.columns:
        raise ConfigError(
            f"data.{key} = {column!r}: there is no such column; the columns are "
            f"{', '.join(items.columns)}.{nearest(column, items.columns)}"
        )
    found: dict[Hashable, int] = {}
    numbers = np.empty(len(items), np.int64)
    for row, value in enumerate(keys(items, key, column)):
        label: Hashable = (row if key == "group" else None, "null") if value is None else value
        numbers[row] = found.setdefault(label, len(found))
    return numbers


def keys(items: Split, key: str, column: str) -> list[Hashable | None]:
    """The values of a column of groups or strata, None for a missing value.

    Raises:
        DataError: A value is neither number nor text, or some are numbers and some texts.
    """
    raw = items.columns[column]
    values = raw.read().values
    listed = values.tolist() if isinstance(values, np.ndarray) else list(values)
    found: list[Hashable | None] = [None] * len(items)
    first: dict[str, tuple[type, int]] = {}
    for row in raw.rows:
        value = listed[row].item() if isinstance(listed[row], np.generic) else listed[row]
        if value is None or (isinstance(value, float) and math.isnan(value)):
            continue
        if not isinstance(value, (str, int, float)):
            raise DataError(
                f"data.{key} = {column!r}: item {items.ids[row]} has a {type(value).__name__} "
                f"there; expected a number or a text that names its {key}."
            )
        written = first.setdefault(str(value), (type(value), row))
        if written[0] is not type(value):
            raise DataError(
                f"data.{key} = {column!r}: items {items.ids[written[1]]} and {items.ids[row]} "
                f"have {value} there, once as {written[0].__name__} and once as "
                f"{type(value).__name__}; expected values of one type."
            )
        found[row] = (type(value).__name__, value) if isinstance(value, bool) else value
    return found


def doubtful_names(splits: Mapping[SplitName, Split], config: CutConfig) -> Iterator[str]:
    """A sentence for each set of groups, or strata, that look the same but are different."""
    for key, column in (("group", config.group), ("stratum", config.stratum)):
        if column is None:
            continue
        those = [split for split in splits.values() if column in split.columns]
        known = (value for split in those for value in keys(split, key, column))
        found = look_alikes(dict.fromkeys(v for v in known if isinstance(v, str)))
        for names in found[:LISTED]:
            yield (
                f"data.{key} = {column!r}: {', '.join(map(ascii, names))} look the same, but are "
                f"treated as {len(names)}; write them in the same way if they are one."
            )
        if len(found) > LISTED:
            yield f"data.{key} = {column!r}: {len(found) - LISTED} more such sets of names."


def refuse_shared_groups(splits: Mapping[SplitName, Split], column: str) -> None:
    """Check that splits of the data's own have no group in common.

    Raises:
        DataError: They have; group and splits are named.
    """
    home: dict[Hashable, SplitName] = {}
    kinds: dict[bool, SplitName] = {}
    for name, split in splits.items():
        for value in keys(split, "group", column):
            if value is None:
                continue
            kinds.setdefault(isinstance(value, str), name)
            if len(kinds) > 1:
                raise DataError(
                    f"data.group = {column!r}: texts in the split {kinds[True]}, numbers in "
                    f"{kinds[False]} of the data; expected values of one kind in all splits; "
                    f"otherwise groups cannot be matched."
                )
            if home.setdefault(value, name) == name:
                continue
            raise DataError(
                f"data.group = {column!r}: {value!r} is in the splits {home[value]} and {name} of "
                f"the data; expected each group in one split. Correct the splits, or give "
                f"fractions for them."
            )
