"""Each broken codec of the gallery is caught by the check meant for it, and by no other."""

from __future__ import annotations

import re

import pytest
from testing.gallery import GALLERY, Sound

from mmvae.testing import CodecContract, violations


def contract_of(kind):
    class Contract(CodecContract):
        codec = kind

    return Contract()


class TestSound(CodecContract):
    codec = Sound


@pytest.mark.parametrize("kind", GALLERY, ids=lambda kind: kind.__name__)
def test_a_broken_codec_is_caught_by_its_check_alone(kind):
    check, said = GALLERY[kind]
    found = violations(contract_of(kind))
    assert list(found) == [check], found
    assert re.search(said, found[check], re.DOTALL)
    assert re.match("Wanted .*; got ", found[check], re.DOTALL)


def test_there_are_twelve():
    assert len(GALLERY) == 12
    assert len({check for check, _ in GALLERY.values()}) == 12
