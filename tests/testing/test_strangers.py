"""A stranger's codec with one fault fails one check, which names the cause; sound ones pass."""

from __future__ import annotations

import re

import pytest
from testing.strangers import (
    STRANGERS,
    ChecksNames,
    ComparesInManyWays,
    Correlated,
    Count,
    CutsOffAndSaysSo,
    LeavesRefusalsToCondition,
    Letter,
    NamedCells,
    ParsesOneForAll,
    RoundsAndSaysSo,
    ShowsFewDigits,
    ShowsOtherUnits,
    SpreadOfADecoder,
    Standardised,
    StandardisedWave,
    Wave,
    Word,
)

from mmvae.testing import CodecContract, verdicts


class TestLetter(CodecContract):
    codec = Letter


class TestWave(CodecContract):
    codec = Wave


class TestStandardised(CodecContract):
    codec = Standardised


class TestStandardisedWave(CodecContract):
    codec = StandardisedWave


class TestCutsOffAndSaysSo(CodecContract):
    codec = CutsOffAndSaysSo


class TestRoundsAndSaysSo(CodecContract):
    codec = RoundsAndSaysSo


class TestLeavesRefusalsToCondition(CodecContract):
    codec = LeavesRefusalsToCondition


class TestParsesOneForAll(CodecContract):
    codec = ParsesOneForAll


class TestComparesInManyWays(CodecContract):
    codec = ComparesInManyWays


class TestShowsFewDigits(CodecContract):
    codec = ShowsFewDigits


class TestShowsOtherUnits(CodecContract):
    codec = ShowsOtherUnits


class TestSpreadOfADecoder(CodecContract):
    codec = SpreadOfADecoder


class TestCorrelated(CodecContract):
    codec = Correlated


class TestCount(CodecContract):
    codec = Count


class TestWord(CodecContract):
    codec = Word


class TestNamedCells(CodecContract):
    codec = NamedCells


class TestChecksNames(CodecContract):
    codec = ChecksNames


@pytest.mark.parametrize("kind", STRANGERS, ids=lambda kind: kind.__name__)
def test_one_fault_fails_one_check_with_its_cause(kind):
    class Contract(CodecContract):
        codec = kind

    check, said = STRANGERS[kind]
    found = {v.check: v.reason for v in verdicts(Contract()) if v.state == "broken"}
    assert list(found) == [check], found
    assert re.search(said, found[check], re.DOTALL), found[check]
