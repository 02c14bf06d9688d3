"""Names of classes and cells."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from mmvae.modalities.codec_config import CodecConfig
from mmvae.modalities.names import Names, listed


class Config(CodecConfig):
    names: Names | None = None


def test_names_are_kept_in_their_order() -> None:
    assert Config(names=("b", "a")).names == ("b", "a")
    assert Config().names is None


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ((), "at least one name, each name once"),
        (("a", "a"), "at least one name, each name once"),
        (("a", ""), "names of one character at least, got ''"),
    ],
)
def test_names_that_cannot_be_told_apart_are_refused(names: tuple[str, ...], message: str) -> None:
    with pytest.raises(ValidationError, match=message) as refused:
        Config(names=names)
    assert refused.value.errors()[0]["loc"] == ("names",)


def test_a_list_is_cut() -> None:
    assert listed(["a", "b"], 2) == "a, b"
    assert listed(["a", "b", "c"], 2) == "a, b, …"
