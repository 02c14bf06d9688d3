"""Values in memory as columns: arrays, lists, series and tensors, with missing values."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from mmvae.data.columns import as_array, cell_types, from_tensor, table_split
from mmvae.data.source import Split
from mmvae.data.stream_cache import passing
from mmvae.foundations.errors import DataError
from mmvae.foundations.printable import is_unicode
from mmvae.modalities.column import Column, LazyValues


def is_mapping_like(data: Any) -> bool:
    """True if ``data`` maps names to values: a dict, a DatasetDict."""
    return isinstance(data, Mapping)


def as_split(data: Any, origin: str) -> Split:
    """Columns of equal length, from a mapping, a DataFrame, or data sets of ``datasets``.

    Raises:
        DataError: Not one of those, no column, columns of different length, Series with other
            indices, or a stream that breaks off.
    """
    if is_mapping_like(data):
        refuse_other_rows(data, origin)
        found = [(name, values, None) for name, values in data.items()]
    elif hasattr(data, "features") and not hasattr(data, "__len__"):  # datasets.IterableDataset
        return table_split(passing(data, origin), origin)
    elif hasattr(data, "features"):  # datasets.Dataset
        features = data.features
        found = [(n, data[n][:], getattr(features[n], "names", None)) for n in data.column_names]
    elif hasattr(data, "columns") and not hasattr(data, "column_names"):  # pandas.DataFrame, kin
        refuse_repeated(list(data.columns), origin)
        found = [(name, data[name], None) for name in data.columns]
    else:
        raise DataError(
            f"{origin}: got {type(data).__name__}, expected a dict of arrays, a DataFrame, a "
            f"datasets.Dataset or IterableDataset, or a dict with the key 'train' of those."
        )
    refuse_repeated([name for name, _, _ in found], origin)
    refuse_halves([name for name, _, _ in found], origin)
    columns = {
        str(name): as_column(values, f"{origin}[{name!r}]", tuple(names) if names else None)
        for name, values, names in found
    }
    lengths = {name: len(column) for name, column in columns.items()}
    if len(set(lengths.values())) != 1:
        listed = ", ".join(f"{name}: {n}" for name, n in lengths.items()) or "none"
        raise DataError(f"{origin}: expected columns of one length, got {listed}.")
    return Split(columns, np.arange(next(iter(lengths.values()))))


def refuse_repeated(names: Sequence[Any], origin: str) -> None:
    """Check that column names are distinct when written as text.

    Raises:
        DataError: Two have the same name, such as the number 1 and the text "1".
    """
    for name, count in Counter(map(str, names)).items():
        if count > 1:
            written = " and ".join(repr(other) for other in names if str(other) == name)
            raise DataError(
                f"{origin}: {count} columns are called {name!r} ({written}); expected each name "
                f"once. Rename them."
            )


def refuse_halves(names: Sequence[Any], origin: str) -> None:
    """Check that names of columns are valid Unicode.

    Raises:
        DataError: One has half a surrogate pair in it.
    """
    for name in map(str, names):
        if not is_unicode(name):
            raise DataError(
                f"{origin}: a column is called {name!r}, which has half a character in it; "
                f"expected valid Unicode. Rename it."
            )


def refuse_other_rows(data: Mapping[Any, Any], origin: str) -> None:
    """Refuse a dict of pandas Series, or similar objects, whose indices name other rows.

    Raises:
        DataError: Two have different indices, or the same in another order.
    """
    indices = {
        name: values.index
        for name, values in data.items()
        if hasattr(getattr(values, "index", None), "equals")
    }
    first = next(iter(indices), None)
    for name, index in indices.items():
        if not index.equals(indices[first]):
            raise DataError(
                f"{origin}: the Series {first!r} and {name!r} have different indices, so that "
                f"their rows belong to different items; expected the same rows in one order. "
                f"Make one DataFrame of them, or pass arrays (to_numpy())."
            )


def as_column(values: Any, origin: str, names: tuple[str, ...] | None = None) -> Column:
    """One column from a Column, a tensor, an array, a Series or a sequence.

    Items lack the modality if a Column says so, or if a value is None, all NaN or all masked.
    Codecs see no masks: a masked cell among unmasked ones is NaN.

    Raises:
        DataError: Not one of those.
    """
    if isinstance(values, Column):
        return checked_presence(values)
    if isinstance(values, LazyValues):
        return Column(values, names, origin)
    if hasattr(values, "detach"):
        try:
            values = from_tensor(values)
        except ValueError as error:
            raise DataError(f"{origin}: {error}.") from error
    elif hasattr(values, "to_numpy"):
        values = from_series(values)
    if isinstance(values, np.ndarray) and values.ndim and values.dtype != object:
        return Column(unmasked(values), names, origin, array_presence(values))
    single = isinstance(values, (str, bytes)) or getattr(values, "ndim", 1) == 0
    if single or not isinstance(values, (Sequence, np.ndarray)):
        raise DataError(
            f"{origin}: got {type(values).__name__}, expected an array, a tensor or a list with "
            f"one value per item."
        )
    try:
        has = np.array([not is_missing(value) for value in values], bool)
        plain = as_array([known(value) for value in values])
    except RecursionError:
        raise too_deep(origin) from None
    return Column(plain, names, origin, None if has.all() else has)


def too_deep(origin: str) -> DataError:
    """The error for values of which lists are nested too deeply."""
    return DataError(
        f"{origin}: a value is nested too deeply, or contains itself; expected numbers, texts, "
        f"arrays, pictures, or lists of those. Convert it."
    )


def from_series(values: Any) -> Any:
    """A pandas Series, or a similar object, as a (masked) array or as a list.

    Integers that missing values made floats, as in pandas, become integers again.
    """
    categories = getattr(getattr(values, "cat", None), "categories", None)
    if categories is not None:  # an array would be of floats if values are missing
        codes, kinds = values.cat.codes.to_numpy(), categories.to_numpy()
        if kinds.dtype == object or not len(kinds):
            return [None if code < 0 else kinds[code] for code in codes]
        return np.ma.MaskedArray(kinds[codes], codes < 0)
    missing = np.asarray(values.isna()) if hasattr(values, "isna") else np.zeros(0, bool)
    if not missing.any():
        return values.to_numpy()
    if getattr(getattr(values, "dtype", None), "kind", "") in tuple(
        "iu"
    ):  # else it would be floats
        return np.ma.MaskedArray(values.fillna(0).to_numpy(), missing)
    array = values.to_numpy()
    if array.dtype == object:
        return [without(lacks, cell) for lacks, cell in zip(missing, array, strict=True)]
    if array.dtype.kind == "f" and array.ndim == 1 and is_whole(array[~missing]):
        return np.ma.MaskedArray(np.where(missing, 0, array).astype(np.int64), missing)
    return array


def is_whole(numbers: np.ndarray[Any, Any]) -> bool:
    """True if all numbers are integers that floats represent exactly."""
    return bool(((numbers % 1 == 0) & (np.abs(numbers) < 2**53)).all())


def without(missing: Any, value: Any) -> Any:
    """A cell, or a row of cells, with None for missing values."""
    if np.ndim(missing):
        return [None if one else cell for one, cell in zip(missing, value, strict=True)]
    return None if missing else value


def unmasked(values: np.ndarray[Any, Any]) -> Any:
    """An array without its mask: NaN for masked cells of items with unmasked ones.

    Integers (n, a, b…), such as pictures, become a list. So items without a masked cell stay
    integers: a codec of pictures reads floats on another scale.
    """
    if not isinstance(values, np.ma.MaskedArray):
        return values
    mask = np.ma.getmaskarray(values)
    partly = mask.any(tuple(range(1, values.ndim))) & ~mask.all(tuple(range(1, values.ndim)))
    if not partly.any():
        return values.data
    if values.dtype.kind == "f":
        return values.filled(np.nan)
    if values.dtype.kind in "iub" and values.ndim > 2 and len(values) > 1:
        return [unmasked(values[i : i + 1])[0] for i in range(len(values))]
    if values.dtype.kind in "iub":
        return np.ma.filled(values.astype(np.float64), np.nan)
    return values.tolist()


def known(value: Any) -> Any:
    """A value of a list without its mask; None for the missing values of pandas and NumPy."""
    if value is np.ma.masked or type(value).__name__ in ("NAType", "NaTType"):
        return None
    return unmasked(value[None])[0] if isinstance(value, np.ma.MaskedArray) else value


def is_missing(value: Any) -> bool:
    """True if a value of a list is None, NaN, or has only None, NaN and masked cells."""
    if known(value) is None:
        return True
    if isinstance(value, float):  # NumPy's float64 among them
        return math.isnan(value)
    if isinstance(value, (list, tuple)):
        return bool(value) and all(is_missing(cell) for cell in value)
    if hasattr(value, "detach"):
        value = from_tensor(value)
    arrays = isinstance(value, (np.ndarray, np.floating))
    return arrays and array_presence(np.asanyarray(value)[None]) is not None


def checked_presence(column: Column) -> Column:
    """A column whose ``present`` is one truth value per item, or None; without masks.

    Raises:
        DataError: ``present`` is something else, or a value is nested too deeply.
    """
    if isinstance(column.values, (list, tuple)):
        try:
            cell_types(column.values)
        except RecursionError:
            raise too_deep(column.origin or "data") from None
    if isinstance(column.values, np.ma.MaskedArray):
        plain = as_column(column.values, column.origin)
        both = [has for has in (column.present, plain.present) if has is not None]
        present = np.logical_and.reduce([np.asarray(has) for has in both]) if both else None
        column = replace(column, values=plain.values, present=present)
    if column.present is None:
        return column
    present = np.asarray(column.present)
    if present.dtype != bool or present.shape != (len(column),):
        raise DataError(
            f"{column.origin or 'data'}: present is {present.dtype} of shape {present.shape}, "
            f"expected bool of shape ({len(column)},): whether each item has the modality."
        )
    return replace(column, present=None if present.all() else present)


def array_presence(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any] | None:
    """Mask of the rows of an array with some observed cell, bool (n,); None if all have one."""
    lacking = np.zeros(len(values), bool)
    cells = tuple(range(1, values.ndim))
    if values.dtype.kind == "f" and values.size:
        lacking |= np.isnan(np.asarray(values)).all(cells)
    if isinstance(values, np.ma.MaskedArray) and values.size:
        lacking |= np.ma.getmaskarray(values).all(cells)
    return ~lacking if lacking.any() else None
