"""Items in memory, in every form that people hold them in."""

from __future__ import annotations

import copy
from typing import Any

import datasets
import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from toys import NAMES, toy_items

from mmvae.data.columns import table_split
from mmvae.data.in_memory import as_column, as_split
from mmvae.data.memory import MemoryConfig, MemorySource
from mmvae.foundations.errors import DataError
from mmvae.modalities.column import Column

N = 12
ITEMS = toy_items(N)


def source(data: Any, **keys: Any) -> MemorySource:
    return MemorySource(MemoryConfig(**keys), data)


FEATURES = datasets.Features(
    {
        "v": datasets.List(datasets.Value("float32")),
        "w": datasets.List(datasets.Value("float32")),
        "c": datasets.ClassLabel(names=list(NAMES)),
    }
)
FORMS: dict[str, Any] = {
    "arrays": ITEMS,
    "tensors": {name: torch.from_numpy(values) for name, values in ITEMS.items()},
    "lists": {name: values.tolist() for name, values in ITEMS.items()},
    "lists of arrays": {name: list(values) for name, values in ITEMS.items()},
    "lists of tensors": {
        name: list(torch.from_numpy(values).requires_grad_(name != "c"))
        for name, values in ITEMS.items()
    },
    "columns": {name: Column(values) for name, values in ITEMS.items()},
    "Dataset": datasets.Dataset.from_dict(ITEMS, features=FEATURES),
    "torch Dataset": datasets.Dataset.from_dict(ITEMS, features=FEATURES).with_format("torch"),
    "DataFrame": pd.DataFrame(
        {"v": list(ITEMS["v"]), "w": ITEMS["w"].tolist(), "c": ITEMS["c"]},
        index=np.arange(N)[::-1],  # rows go by position, whatever the index says
    ),
    "Series": {
        "v": pd.Series(list(ITEMS["v"]), index=range(N, 0, -1)),
        "c": pd.Series(ITEMS["c"], index=range(N, 0, -1)),
    },
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_items(form: str) -> None:
    split = source(FORMS[form], validation=0, test=0).splits()["train"]
    assert len(split) == N
    some = split.take([7, 0, 3])
    assert some.ids.tolist() == [7, 0, 3]
    for name, column in some.columns.items():
        np.testing.assert_allclose(np.asarray(column.values), ITEMS[name][[7, 0, 3]], rtol=1e-6)


def test_class_names_of_a_dataset_reach_the_codec() -> None:
    split = source(FORMS["Dataset"], validation=0, test=0).splits()["train"]
    assert split.columns["c"].names == NAMES
    assert split.take([1]).columns["c"].names == NAMES
    assert split.columns["v"].names is None


@pytest.mark.parametrize("form", ["arrays", "Dataset", "DataFrame"])
def test_data_may_come_by_splits(form: str) -> None:
    whole = FORMS[form]
    splits = source({"train": whole, "test": whole}).splits()
    assert {name: len(split) for name, split in splits.items()} == {"train": N, "test": N}


def test_a_dataset_dict_is_taken_by_its_splits() -> None:
    whole = FORMS["Dataset"]
    splits = source(datasets.DatasetDict(train=whole, validation=whole)).splits()
    assert list(splits) == ["train", "validation"]
    assert splits["train"].columns["c"].names == NAMES


def test_data_in_one_piece_are_split_by_share_and_seed() -> None:
    def ids(seed: int) -> dict[str, list[int]]:
        splits = source(ITEMS, validation=0.25, test=0.25, split_seed=seed).splits()
        return {name: split.ids.tolist() for name, split in splits.items()}

    assert {name: len(rows) for name, rows in ids(0).items()} == {
        "train": 6,
        "validation": 3,
        "test": 3,
    }
    assert sorted(sum(ids(0).values(), [])) == list(range(N))
    assert ids(0) == ids(0) != ids(1)


def test_pictures_texts_and_ragged_values_stay_lists() -> None:
    pictures = [Image.new("L", (2, 2), shade) for shade in range(3)]
    data = {
        "pictures": pictures,
        "words": ["one", "two", "three"],
        "arrays": [np.zeros((2, 2)), np.zeros((3, 2)), np.zeros((2, 2))],
        "tokens": [[1, 2], [3], []],
        "tags": [["a", "b"], ["c", "d"], ["e", "f"]],
        "gaps": [1.0, None, 2.0],
        "bytes": [b"a", b"b", b"c"],
    }
    split = as_split(data, "data").take([2, 1])
    for name, values in data.items():
        assert isinstance(split.columns[name].values, list)
        assert split.columns[name].values[0] is values[2]


def test_texts_of_a_dataframe_are_plain_strings() -> None:
    column = as_split(pd.DataFrame({"t": ["x", "y"]}), "data").columns["t"]
    assert column.values == ["x", "y"]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"a": [1, 2], "b": [1]}, r"data: expected columns of one length, got a: 2, b: 1"),
        ({}, "got none"),
        ([1, 2], r"data: got list, expected a dict of arrays, a DataFrame, a datasets"),
        ({"a": 3}, r"data\['a'\]: got int, expected an array"),
        ({"a": "text"}, r"data\['a'\]: got str"),
        ({"a": np.array(1.0)}, r"data\['a'\]: got ndarray"),
        ({"a": iter([1])}, r"data\['a'\]: got list_iterator"),
        ({"train": {"a": [1]}, "tset": {"a": [1]}}, "unknown split 'tset'"),
        ({"train": [1, 2]}, "train: got list"),
    ],
)
def test_what_is_no_data_is_named(data: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        source(data)


def test_without_data_the_error_says_to_pass_them() -> None:
    with pytest.raises(DataError, match="Pass them again as data="):
        source(None)


def test_origins_name_the_column() -> None:
    assert as_split(ITEMS, "data").columns["v"].origin == "data['v']"
    assert as_column([1], "here").origin == "here"


def test_the_fingerprint_is_of_the_values_and_their_order() -> None:
    def mark(**columns: Any) -> str:
        return source({"train": columns}).fingerprint()

    x, flipped = np.arange(6.0).reshape(3, 2), np.arange(6.0).reshape(3, 2)[::-1]
    assert mark(x=x) == mark(x=x.copy())
    big = torch.zeros(2, 5000)
    changed = big.clone()
    changed[1, 2500] = 1  # in the middle, which no repr shows
    marks = [
        mark(x=x),
        mark(x=flipped),
        mark(y=x),
        mark(x=x, y=x),
        mark(x=x.astype(np.float32)),
        mark(x=[b"ab", b"c"]),
        mark(x=[b"a", b"bc"]),
        mark(x=["ab", "c"]),
        mark(x=list(big)),
        mark(x=list(changed)),
        mark(x=[Image.new("L", (2, 8))]),
        mark(x=[Image.new("L", (4, 4))]),
        source({"train": {"x": x}, "test": {"x": x}}).fingerprint(),
    ]
    assert len(set(marks)) == len(marks)


def test_an_arrow_table_is_refused_by_name() -> None:
    import pyarrow

    with pytest.raises(DataError, match=r"^data: got Table, expected a dict of arrays"):
        as_split(pyarrow.table({"v": [1, 2]}), "data")


# -- values are never changed ---------------------------------------------------------------------

MASK = [[0, 1], [0, 0], [1, 1]]
HAS_MISSING = [True, True, False]


def test_a_masked_cell_leaves_the_pictures_of_other_items_integers() -> None:
    masked = np.ma.array(np.full((4, 2, 2), 217, np.uint8), mask=False)
    masked[1, 0, 1] = np.ma.masked
    masked[2] = np.ma.masked
    column = as_column(masked, "p")
    assert column.present is not None
    assert column.present.tolist() == [True, True, False, True]
    assert [value.dtype.kind for value in column.values] == ["u", "f", "u", "u"]
    assert np.isnan(column.values[1]).tolist() == [[False, True], [False, False]]


@pytest.mark.parametrize("kind", [float, "float32", int, "uint8", bool])
def test_masked_cells_are_nan_and_masked_rows_gaps(kind: Any) -> None:
    values = np.ma.array(np.array([[1, 0], [1, 0], [1, 1]]).astype(kind), mask=MASK)
    for given in (values, list(values), Column(values)):
        column = as_column(given, "v")
        assert not isinstance(column.values, np.ma.MaskedArray)
        np.testing.assert_array_equal(
            np.asarray(column.without_missing().values, float), [[1, np.nan], [1, 0]]
        )
        assert column.present is not None
        assert column.present.tolist() == HAS_MISSING


def test_a_mask_of_whole_rows_leaves_the_type() -> None:
    column = as_column(np.ma.array([1, 2, 3], mask=[0, 0, 1], dtype="int16"), "v")
    assert (column.values.dtype, column.without_missing().values.tolist()) == ("int16", [1, 2])
    texts = as_column(np.ma.array(["a", "b", "c"], mask=[0, 0, 1]), "t")
    assert texts.without_missing().values.tolist() == ["a", "b"]


@pytest.mark.parametrize(
    "series",
    [
        pd.Series([1, 2, None], dtype="Int64"),
        pd.Series([1, 2, None], dtype="UInt8"),
        pd.Series([1, 2, None], dtype="int64[pyarrow]"),
        pd.Series([1, 2, None], dtype="category"),
        pd.Series([1, 2, None]),  # floats, for the gap alone
        pd.Series([1, 2, None], dtype=object),
    ],
    ids=["Int64", "UInt8", "pyarrow", "category", "float64", "object"],
)
def test_whole_numbers_of_a_series_stay_whole_beside_gaps(series: Any) -> None:
    column = as_column(series, "s")
    assert column.present is not None
    assert column.present.tolist() == HAS_MISSING
    known = np.asarray(column.without_missing().values)
    assert known.dtype.kind in "iu"
    assert known.tolist() == [1, 2]


@pytest.mark.parametrize(
    "values",
    [
        [2**63, -1],
        [2**70, 1],
        pd.Series([2**60 + 1, None, 5], dtype="Int64"),
        [True, None],
        pd.Series([True, None], dtype="boolean"),
        pd.Series(["1", None], dtype="string"),
        pd.Series(["1", "x"], dtype="category"),
    ],
)
def test_what_an_array_of_floats_would_change_is_kept(values: Any) -> None:
    plain = values.tolist() if isinstance(values, pd.Series) else values
    wanted = [v for v in plain if v is not None and v is not pd.NA]
    known = as_column(values, "v").without_missing().values
    known = known.tolist() if isinstance(known, np.ndarray) else known
    assert known == wanted
    assert [type(v) for v in known] == [type(v) for v in wanted]


def test_tensors_of_16_bits_are_read() -> None:
    values = torch.tensor([[1.5, 2.0]], dtype=torch.bfloat16)
    for given in (values, list(values)):
        np.testing.assert_array_equal(as_column(given, "v").values, [[1.5, 2.0]])


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), r"2 columns are called 'a' \('a' and 'a'\)"),
        ({1: [1], "1": [2]}, r"2 columns are called '1' \(1 and '1'\)"),
    ],
)
def test_two_columns_of_one_name_are_refused(data: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        as_split(data, "data")


def test_columns_may_be_called_by_numbers() -> None:
    split = as_split(pd.DataFrame({0: [1], 1: ["x"]}), "data")
    assert split.columns["1"].values == ["x"]


def test_a_column_called_by_half_a_character_is_refused() -> None:
    with pytest.raises(DataError, match=r"data: a column is called '.ud800', .* Rename it"):
        source({"\ud800": np.zeros(3)})


def told_apart(*items: list[Any]) -> list[str]:
    """A fingerprint of each list of values, as raw values of a column."""
    return [source({"v": Column(values)}, validation=0, test=0).fingerprint() for values in items]


def picture(colour: tuple[int, int, int]) -> Image.Image:
    image = Image.new("P", (2, 2))
    image.putpalette([*colour, *[0] * 765])
    return image


def transparent(colour: tuple[int, int, int], place: int) -> Image.Image:
    image = picture(colour)
    image.info["transparency"] = place
    return image


CELL = {"L": 1, "LA": 2, "I;16": 2, "RGB": 3, "HSV": 3, "YCbCr": 3, "I": 4, "F": 4}
"""Mode of a picture → bytes of a pixel."""


def seen(mode: str) -> Image.Image:
    """A picture whose bytes are 0, 1, 2… in any mode."""
    return Image.frombytes(mode, (4, 4), bytes(range(16 * CELL[mode])))


def turned(orientation: int) -> Image.Image:
    exif, image = Image.Exif(), seen("RGB")
    exif[0x0112] = orientation
    image.info["exif"] = exif.tobytes()
    return image


LARGE = [np.arange(2000), np.arange(2000)]
LARGE[1][1000] = 0
DIFFERENT: dict[str, tuple[Any, Any]] = {
    "rows with None": (np.array([1.5, None], object), np.array([2.5, None], object)),
    "lists with None": ([1.5, None], [None, 1.5]),
    "lists of large arrays": ([LARGE[0], None], [LARGE[1], None]),
    "dicts of large arrays": ({"a": LARGE[0]}, {"a": LARGE[1]}),
    "tuples of large tensors": tuple((torch.from_numpy(a), "") for a in LARGE),
    "arrays of arrays": tuple(np.array([a, None], object) for a in LARGE),
    "palettes": (picture((255, 0, 0)), picture((0, 255, 0))),
    "colours of other spaces": (seen("RGB"), seen("HSV")),
    "colours of two other spaces": (seen("HSV"), seen("YCbCr")),
    "depths": (seen("LA"), seen("I;16")),
    "numbers and floats": (seen("I"), seen("F")),
    "transparent colours": (picture((9, 9, 9)), transparent((9, 9, 9), 3)),
    "orientations": (turned(6), turned(8)),
    "upright and turned": (seen("RGB"), turned(6)),
    "texts": ("a", "\ud800"),
    "texts about places": ("<x at 0x1>", "<x at 0x2>"),
}


@pytest.mark.parametrize("case", DIFFERENT)
def test_a_fingerprint_is_of_values_not_of_places_in_memory(case: str) -> None:
    a, b = DIFFERENT[case]
    one, again, other = told_apart([a] * 3, [copy.deepcopy(a)] * 3, [a, b, a])
    assert one == again != other


OLDER = ["0b24d05d1fa74901", "430a6282e4b9f93c"]
"""Fingerprints of data without names, as versions before the hash of names computed them."""


def test_the_names_of_classes_count() -> None:
    def mark(*names: str) -> str:
        features = datasets.Features({"c": datasets.ClassLabel(names=list(names))})
        return source(
            datasets.Dataset.from_dict({"c": [0, 1] * 6}, features=features)
        ).fingerprint()

    assert mark("a", "b") == mark("a", "b")
    assert len({mark("a", "b"), mark("b", "a"), mark("x", "y"), mark("a', 'b", "c")}) == 4


def test_data_without_names_keep_the_fingerprint_of_older_versions() -> None:
    numbers = {"v": np.arange(12.0).reshape(6, 2), "c": np.arange(6) % 2}
    usual = [Image.new(mode, (3, 5), 1) for mode in ("1", "L", "LA", "RGB", "RGBA")]
    pictures = {"p": [*usual, picture((1, 2, 3))]}
    assert [source({"train": data}).fingerprint() for data in (numbers, pictures)] == OLDER


def test_rows_of_objects_are_the_same_data_again() -> None:
    def made() -> dict[str, Any]:
        return {"x": np.array([[i + 0.5, None if i % 3 else i * 2.25] for i in range(30)], object)}

    assert source(made()).fingerprint() == source(made()).fingerprint()


@pytest.mark.parametrize("inside", [list, tuple, lambda value: {"a": value[0]}])
def test_values_that_only_their_place_tells_apart_are_refused(inside: Any) -> None:
    with pytest.raises(DataError, match=r"<object object at 0x.* Convert it"):
        told_apart([inside([object()])])


@pytest.mark.parametrize(
    "values",
    [
        [True, 1, 7, False],
        [0, np.True_],
        np.array([True, 2], object),
        pd.Series([True, 2, 0.5], dtype=object),
        [[True, 2], [0, 1]],
        [[1.0], [np.False_]],
        [np.array([True]), np.array([2])],
    ],
)
def test_truth_values_beside_numbers_stay_what_they_are(values: Any) -> None:
    found = as_column(values, "data['y']").values
    assert isinstance(found, list)
    assert repr(found) == repr(list(values))


@pytest.mark.parametrize("values", [[True, False], [np.True_, False], [[True], [False]]])
def test_truth_values_alone_are_an_array(values: Any) -> None:
    assert as_column(values, "data['y']").values.dtype == bool


def test_columns_of_arrow_are_not_looked_at_cell_by_cell(monkeypatch: pytest.MonkeyPatch) -> None:
    data = datasets.Dataset.from_dict({"v": [[1.0, 2.0], [3.0, 4.0]], "b": [True, False]})
    columns = table_split(data, "data").columns
    monkeypatch.setattr("mmvae.data.columns.cell_types", lambda values: pytest.fail("looked at"))
    np.testing.assert_array_equal(columns["v"].read().values, [[1, 2], [3, 4]])
    assert columns["b"].read().values.dtype == bool


def test_what_a_function_of_datasets_gives_is_looked_at() -> None:
    data = datasets.Dataset.from_dict({"b": [0, 1]})
    data.set_transform(lambda rows: {"b": [True, 2]})
    assert table_split(data, "data").columns["b"].read().values == [True, 2]
    assert isinstance(table_split(data, "data").columns["b"].read().values, list)


def test_series_of_other_rows_are_refused() -> None:
    a, b = pd.Series([1.0, 2.0], index=[5, 6]), pd.Series([3.0, 4.0], index=[6, 5])
    with pytest.raises(DataError, match="'a' and 'b' have different indices.*Make one DataFrame"):
        as_split({"a": a, "b": b}, "data")
    assert len(as_split({"a": a, "b": b.reindex([5, 6]), "c": [1, 2]}, "data")) == 2
    assert len(as_split({"a": a, "b": b.to_numpy()}, "data")) == 2
