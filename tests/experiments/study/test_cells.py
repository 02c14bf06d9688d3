"""One text of a table names each row's own cells."""

from __future__ import annotations

import pytest

from mmvae.experiments.study.cells import cells_of, check_cell, modalities_of
from mmvae.foundations.errors import UsageError

BOTH = ["image", "label"]


@pytest.mark.parametrize(
    ("text", "modalities", "names"),
    [
        ("image@single", BOTH, ["image@single"]),
        ("image@multiple", BOTH, ["image@multiple"]),
        ("image", BOTH, ["image@multiple", "image@single"]),
        ("label+image", BOTH, ["image+label"]),
        ("image|label@image+label", BOTH, ["image|label@multiple"]),
        ("image@single", ["image"], ["image"]),
        ("image@multiple", ["image"], ["image"]),
        ("image|label@single", ["image"], []),
        ("image@label", ["image"], []),
    ],
)
def test_a_row_has_its_own_names(text: str, modalities: list[str], names: list[str]) -> None:
    assert cells_of(text, modalities) == names


def test_modalities_are_those_written() -> None:
    assert modalities_of("a+b|c@d+a") == ["a", "b", "c", "d"]
    assert modalities_of("a|b@single") == ["a", "b"]


@pytest.mark.parametrize("text", ["", "a|", "a+", "a|a", "a@b+"])
def test_a_malformed_cell_is_refused_whatever_the_row(text: str) -> None:
    with pytest.raises(UsageError):
        check_cell(text)
