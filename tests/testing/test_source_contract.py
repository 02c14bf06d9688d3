"""The source's contract: sound ones keep it, and each mistake breaks the check meant for it."""

from __future__ import annotations

import re
from itertools import count

import numpy as np
import pytest
from toys import ToySource

from mmvae import Column, Split
from mmvae.testing import SourceContract, violations


class TestToySource(SourceContract):
    source = ToySource


def changed(splits, split, **columns):
    part = splits[split]
    return {**splits, split: Split({**part.columns, **columns}, part.ids)}


class HasAnotherSplit(ToySource):
    def splits(self):
        found = super().splits()
        return {**found, "dev": found["test"].take([])}


class HasNoTrainingItems(ToySource):
    def splits(self):
        found = super().splits()
        return {**found, "train": found["train"].take([])}


class LacksAColumn(ToySource):
    def splits(self):
        found = super().splits()
        part = found["test"]
        return {**found, "test": Split({"v": part.columns["v"]}, part.ids)}


class HasAShortColumn(ToySource):
    def splits(self):
        return changed(super().splits(), "test", v=Column(np.zeros((3, 3))))


class RenamesClasses(ToySource):
    def splits(self):
        found = super().splits()
        return changed(found, "test", c=Column(found["test"].columns["c"].values, ("x", "y", "z")))


class RepeatsIds(ToySource):
    def splits(self):
        found = super().splits()
        return {n: Split(s.columns, np.arange(len(s))) for n, s in found.items()}


class DrawsGlobally(ToySource):
    def splits(self):
        noise = np.random.standard_normal((20, 3))
        return changed(super().splits(), "test", v=Column(noise))


class CountsItsFingerprints(ToySource):
    counter = count()

    def fingerprint(self):
        return str(next(self.counter))


BROKEN = {
    HasAnotherSplit: ("test_splits_have_names_and_training_items", r"splits among .*\['dev'\]"),
    HasNoTrainingItems: (
        "test_splits_have_names_and_training_items",
        "train with items; got none",
    ),
    LacksAColumn: ("test_columns_are_alike_in_every_split", "in test; got"),
    HasAShortColumn: (
        "test_columns_are_alike_in_every_split",
        "20 values, one for each id; got 3",
    ),
    RenamesClasses: ("test_columns_are_alike_in_every_split", "names .*red.*got .*x"),
    RepeatsIds: ("test_ids_are_unique", "each id once; got 0 in train and validation"),
    DrawsGlobally: ("test_columns_can_be_read_again", "'v' of test the same from a new source"),
    CountsItsFingerprints: ("test_fingerprint_is_stable", "the fingerprint '.' again"),
}


@pytest.mark.parametrize("kind", BROKEN, ids=lambda kind: kind.__name__)
def test_a_broken_source_is_caught_by_the_check_meant_for_it(kind):
    class Contract(SourceContract):
        source = kind

    check, said = BROKEN[kind]
    assert re.search(said, violations(Contract())[check])
