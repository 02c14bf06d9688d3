"""Exit codes, and messages that know what they speak of."""

from __future__ import annotations

import pytest

from mmvae.foundations import errors
from mmvae.foundations.errors import Interrupted, MmvaeError, UnsupportedValue, nearest


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("TrainingError", 1),
        ("UsageError", 2),
        ("ConfigError", 2),
        ("DataError", 2),
        ("RunError", 2),
        ("PluginError", 3),
        ("DataCheckError", 4),
        ("CheckpointError", 5),
    ],
)
def test_exit_codes_are_the_documented_ones(name: str, code: int) -> None:
    error = getattr(errors, name)
    assert issubclass(error, MmvaeError)
    assert error.exit_code == error("x").exit_code == code


def test_an_interruption_knows_its_signal() -> None:
    assert [Interrupted("saved", code).exit_code for code in (75, 130)] == [75, 130]
    assert MmvaeError.exit_code == 1


def test_unsupported_value_names_row_value_and_what_was_expected() -> None:
    error = UnsupportedValue(3, 0, "-1 or +1", "Map 0 to -1.")
    assert str(error) == "row 3: got 0, expected -1 or +1. Map 0 to -1."
    assert str(UnsupportedValue(None, "text", "a number")) == "got text, expected a number."


def test_nearest_is_offered_only_where_it_is_near() -> None:
    assert nearest("imag", ["label", "image"]) == " Did you mean 'image'?"
    assert nearest("zebra", ["label", "image"]) == ""
    assert nearest("image", []) == ""


def test_a_word_of_another_unicode_form_is_told_by_its_escapes() -> None:
    said = r" Did you mean 'ä'? It is written '\xe4', not 'a\u0308'."
    assert nearest("a\u0308", ["a", "\xe4"]) == said
    assert nearest("alpa", ["alpha"]) == " Did you mean 'alpha'?"
    assert nearest("xyz", ["alpha"]) == ""
