"""The conformance suite for sources."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from mmvae.data.source import Source, Split
from mmvae.data.split_names import SPLITS
from mmvae.modalities.column import Column
from mmvae.testing.contract import require, require_config, require_offer
from mmvae.testing.subject import global_seed, same
from mmvae.testing.suite import Suite

_ROWS = 3  # rows that are read apart from the others


class SourceContract(Suite):
    """Checks that a source keeps the contract of :class:`mmvae.Source`.

    Set :attr:`source`, and :attr:`keys` where its keys have no defaults; or define
    :meth:`make_source`.
    """

    role = "source"

    foundations: ClassVar[tuple[str, ...]] = (
        "test_declarations",
        "test_splits_have_names_and_training_items",
        "test_columns_are_alike_in_every_split",
        "test_ids_are_unique",
    )

    source: ClassVar[type[Source] | None] = None
    """The class under test; unless :meth:`make_source` makes one."""

    def make_source(self) -> Source:
        """A fresh source of a few items, the same items at every call."""
        source: Source = self.under_test()(self.make_config())
        return source

    def test_declarations(self) -> None:
        """The source has a kind and a config class."""
        source = self.make_source()
        require_offer("source", type(source))
        require(isinstance(source.config, source.Config), "its Config", type(source.config))

    def test_config_survives_toml_and_has_a_schema(self) -> None:
        """Keys survive TOML unchanged and have descriptions; unknown keys are refused."""
        require_config(self.make_source().config)

    def test_splits_have_names_and_training_items(self) -> None:
        """Splits are train, validation or test; train has items."""
        splits = self.make_source().splits()
        unknown = sorted(set(splits) - set(SPLITS))
        require(not unknown, f"splits among {', '.join(SPLITS)}", unknown)
        require(len(splits.get("train", ())) > 0, "a split train with items", "none")

    def test_columns_are_alike_in_every_split(self) -> None:
        """All splits have the same columns and class names; each column has a value per id."""
        splits = self.make_source().splits()
        first = splits["train"].columns
        require(bool(first), "one column at least", "none")
        for name, split in splits.items():
            wants = f"the columns {sorted(first)} in {name}"
            require(split.columns.keys() == first.keys(), wants, sorted(split.columns))
            for key, column in split.columns.items():
                where = f"column {key!r} of {name}"
                require(isinstance(column, Column), f"{where}, a mmvae.Column", type(column))
                wants = f"{where} with {len(split)} values, one for each id"
                require(len(column) == len(split), wants, len(column))
                names = first[key].names
                require(column.names == names, f"{where} with the names {names}", column.names)

    def test_ids_are_unique(self) -> None:
        """Each item has a unique id and is in one split."""
        seen: dict[str, str] = {}
        for name, split in self.make_source().splits().items():
            for item in map(str, split.ids):
                require(item not in seen, "each id once", f"{item} in {seen.get(item)} and {name}")
                seen[item] = name

    def test_columns_can_be_read_again(self) -> None:
        """A second reading gives the same values: whole, by row, and from a new source."""
        with global_seed(1):
            splits = self.make_source().splits()
        with global_seed(2):
            others = self.make_source().splits()
        for name, split in splits.items():
            rows = np.arange(len(split))[::-1][:_ROWS]
            require(same(list(split.ids), list(others[name].ids)), "the same ids again", "others")
            few, few_others = split.take(rows), others[name].take(rows)
            for key, column in few.columns.items():
                where = f"column {key!r} of {name}"
                values = column.read().values
                require(same(values, column.read().values), f"{where} the same twice", "others")
                again = few_others.columns[key].read().values
                require(same(values, again), f"{where} the same from a new source", "others")
                alone = [self._one(split, key, int(row)) for row in rows]
                wants = f"{where}, rows {rows.tolist()}, the same one by one"
                require(same(list(values), alone), wants, "others")

    @staticmethod
    def _one(split: Split, key: str, row: int) -> object:
        return split.columns[key].take([row]).read().values[0]

    def test_fingerprint_is_stable(self) -> None:
        """The fingerprint is a short text, unchanged by reading and equal for a new source."""
        source = self.make_source()
        before = source.fingerprint()
        source.splits()
        require(isinstance(before, str) and bool(before), "a text", repr(before))
        for again in (source.fingerprint(), self.make_source().fingerprint()):
            require(again == before, f"the fingerprint {before!r} again", repr(again))
