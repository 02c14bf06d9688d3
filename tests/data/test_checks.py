"""The check finds each kind of fault, names it, and is silent on sound data."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from toys import ClassCodec, ClassConfig, VectorCodec, VectorConfig, toy_items

from mmvae.data.checks import LISTED, check
from mmvae.data.dataset import CHUNK
from mmvae.data.findings import Finding
from mmvae.data.memory import MemoryConfig, MemorySource
from mmvae.data.source import Source, Split
from mmvae.foundations.errors import DataError
from mmvae.modalities.column import Column

RECIPES = {"v": (VectorCodec, VectorConfig()), "c": (ClassCodec, ClassConfig())}


def sound() -> dict[str, dict[str, np.ndarray]]:
    return {"train": toy_items(30, 1), "validation": toy_items(12, 2), "test": toy_items(12, 3)}


def found(splits, recipes=RECIPES) -> list[Finding]:
    return check(MemorySource(MemoryConfig(), splits), recipes)[1]


def test_sound_data() -> None:
    sizes, findings = check(MemorySource(MemoryConfig(), sound()), RECIPES)
    assert findings == []
    assert sizes == {"train": 30, "validation": 12, "test": 12}


def test_every_refused_value_of_every_split_is_found() -> None:
    splits = sound()
    splits["train"]["v"][4, 1] = np.nan
    splits["train"]["v"][9, 2] = np.inf
    splits["test"]["v"][0, 0] = np.nan
    splits["validation"]["c"][3] = 7
    findings = found(splits)
    assert [(f.kind, f.split, f.modality, f.item) for f in findings] == [
        ("value", "train", "v", 4),
        ("value", "train", "v", 9),
        ("value", "validation", "c", 3),
        ("value", "test", "v", 0),
    ]
    assert "nan in cell 1" in findings[0].message
    assert "class 7, expected one of red, green, blue" in findings[2].message


def test_faults_beyond_the_first_chunk_have_their_own_items() -> None:
    items = toy_items(2 * CHUNK)
    items["v"][[3, CHUNK + 5], 0] = np.nan
    assert [f.item for f in found({"train": items})] == [3, CHUNK + 5]


def test_a_long_list_is_cut_and_counted() -> None:
    splits = sound()
    splits["train"]["v"][:, 0] = np.nan
    values = [f for f in found(splits) if f.kind == "value"]
    assert len(values) == LISTED + 1
    assert values[-1].message == f"{30 - LISTED} more values are refused"


def test_duplicates_and_leaks() -> None:
    splits = sound()
    for name in splits["train"]:
        splits["train"][name][7] = splits["train"][name][2]
        splits["test"][name][5] = splits["train"][name][11]
        splits["test"][name][6] = splits["validation"][name][0]
    findings = found(splits)
    assert [(f.kind, f.split, f.modality, f.item) for f in findings] == [
        ("duplicate", "train", None, 7),
        ("leak", "test", None, 5),
        ("leak", "test", None, 6),
    ]
    assert findings[0].message == "the same as item 2; repeated items in this split: 1"
    assert findings[1].message == "the same as item 11 of train; items in both: 1"
    assert "item 0 of validation" in findings[2].message


def test_equal_values_of_one_modality_alone_are_no_duplicate() -> None:
    splits = sound()
    splits["train"]["v"][7] = splits["train"]["v"][2]
    splits["train"]["c"][[2, 7]] = [0, 1]
    assert found(splits) == []


@pytest.mark.parametrize(("values", "wrong"), [(30, True), (7, False)])
def test_incomplete_items_with_one_of_few_values_are_no_leak(values: int, wrong: bool) -> None:
    """Many short notes are the same; equal measurements are the same item."""
    splits = sound()
    for split in splits.values():
        rows = len(split["c"])
        split["v"] = np.repeat(np.arange(rows, dtype=np.float32)[:, None] % values, 3, axis=1)
        split["v"] += 0.5 * (split is splits["validation"]) + 0.25 * (split is splits["test"])
        split["c"] = np.ma.masked_array(split["c"], mask=np.zeros(rows, bool))
        split["c"].mask[rows // 2 :] = True
    for name in splits["test"]:
        splits["test"][name][-1] = splits["train"][name][-1]
    leaks = [f for f in found(splits) if f.kind == "leak"]
    assert bool(leaks) == wrong


def test_only_the_modalities_count_for_duplicates() -> None:
    splits = sound()
    for name in ("v", "c"):
        splits["train"][name][7] = splits["train"][name][2]
    assert [f.kind for f in found(splits)] == ["duplicate"], "w differs, but no modality is w"


def test_pictures_are_compared_by_content_not_by_name() -> None:
    from mmvae.data.repeated_items import _content

    a, b = ({"bytes": b"png", "path": path} for path in ("a.png", "b.png"))
    assert _content(a) == _content(b) != _content({"bytes": b"jpg", "path": "a.png"})


def test_constant_columns_and_absent_classes() -> None:
    splits = sound()
    splits["train"]["v"][:] = 0.5
    splits["train"]["c"][:] = np.arange(30) % 2
    findings = [f for f in found(splits) if f.kind != "duplicate"]
    assert [(f.kind, f.split, f.modality, f.message) for f in findings] == [
        ("constant", "train", "v", "every item has the same value"),
        ("class", "train", "c", "no item of class blue"),
    ]


def test_values_that_coincide_by_rounding_are_not_called_the_same() -> None:
    splits = sound()
    splits["train"]["v"] = 1_700_000_000.0 + np.arange(90.0).reshape(30, 3) / 10
    (constant,) = (f for f in found(splits) if f.kind == "constant")
    assert constant.message.startswith("the values differ ([1700000000.0, ")
    assert "by rounding to float32" in constant.message


def test_absent_classes_point_at_the_largest_number() -> None:
    class Counted(ClassCodec):
        """Classes as many as the numbers say."""

        names = tuple(map(str, range(40)))

        @property
        def classes(self) -> tuple[str, ...]:
            return self.names

        @property
        def event_shape(self) -> tuple[int, ...]:
            return (40,)

        def prepare(self, column: Column):
            return torch.eye(40)[torch.as_tensor(column.values)], None

    splits = sound()
    splits["train"]["c"][17] = 39
    (finding,) = found(splits, RECIPES | {"c": (Counted, ClassConfig())})
    listed = ", ".join(map(str, range(3, 23)))
    assert finding.message == (
        f"no item of class {listed} and 16 more; the largest one is 39, of item 17"
    )


def test_tiny_splits() -> None:
    splits = sound() | {"test": toy_items(9, 9)}
    assert found(splits) == [Finding("tiny", "test", None, None, "9 items; expected at least 10")]


def test_missing_columns_are_found_in_each_split() -> None:
    splits = sound()
    del splits["test"]["v"]
    (finding,) = found(splits)
    assert (finding.kind, finding.split) == ("column", "test")
    assert "modality 'v' needs column 'v'" in finding.message


def test_a_codec_that_cannot_be_fitted_is_a_finding_and_the_rest_is_checked() -> None:
    class Fussy(VectorCodec):
        def fit(self, column: Column) -> dict:
            from mmvae import UnsupportedValue

            raise UnsupportedValue(3, "x", "y")

    splits = sound()
    splits["test"]["c"][0] = 9
    findings = found(splits, RECIPES | {"v": (Fussy, VectorConfig())})
    assert [(f.kind, f.split, f.modality) for f in findings] == [
        ("column", "train", "v"),
        ("value", "test", "c"),
    ]


def test_a_codec_that_lets_nan_through_is_found_out() -> None:
    class Careless(VectorCodec):
        def prepare(self, column: Column):
            import torch

            return torch.tensor(np.asarray(column.values)), None

    splits = sound()
    splits["test"]["v"][2, 1] = np.nan
    (finding,) = found(splits, RECIPES | {"v": (Careless, VectorConfig())})
    assert (finding.split, finding.modality, finding.item) == ("test", "v", 2)
    assert "not finite" in finding.message


def test_a_source_without_training_items() -> None:
    class Testless(Source):
        kind = "testless"

        def splits(self):
            return {"test": Split({}, [])}

        def fingerprint(self) -> str:
            return ""

    with pytest.raises(DataError, match="no training split"):
        check(Testless(MemoryConfig()), RECIPES)


class Wary(VectorCodec):
    """Doubts negative first cells."""

    kind = "wary"

    def doubts(self, column: Column) -> Iterator[tuple[int, str]]:
        yield from ((row, "below zero") for row, v in enumerate(column.values) if v[0] < 0)


def test_doubts_of_codecs_and_sources_are_remarks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MemorySource, "doubts", lambda self: ("a file has no row",))
    splits = sound()
    for name in splits:
        splits[name]["v"] = np.abs(splits[name]["v"])
    splits["test"]["v"][[2, 5, 7], 0] = -1
    splits["test"]["v"][2] = np.nan  # a gap, which nobody doubts
    findings = found(splits, {**RECIPES, "v": (Wary, VectorConfig(gaps=True))})
    told = [(f.kind, f.split, f.modality, f.item, f.message) for f in findings if not f.wrong]
    assert told == [
        ("source", "all", None, None, "a file has no row"),
        ("doubt", "test", "v", 5, "below zero; so in 2 of 12 items"),
    ]
