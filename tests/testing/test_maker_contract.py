"""The maker's contract: sound ones keep it, and each mistake breaks the check meant for it."""

from __future__ import annotations

import random
import re

import pytest

from mmvae import Maker, MakerConfig
from mmvae.testing import MakerContract, violations


class Numbers(Maker):
    """A file for each number, and one with their count."""

    kind = "numbers"

    def make(self, rows):
        for row in rows:
            yield f"numbers/{row}.txt", f"{self.config.seed} {row}".encode()

    def finish(self):
        yield "count.txt", str(self.config.items).encode()


class TestNumbers(MakerContract):
    maker = Numbers


class LooseConfig(MakerConfig, extra="allow"):
    pass


class TakesAnyKey(Numbers):
    Config = LooseConfig


class LeavesTheFolder(Numbers):
    def finish(self):
        yield "../count.txt", b""


class MakesText(Numbers):
    def finish(self):
        yield "count.txt", "6"


class SharesAFile(Numbers):
    def finish(self):
        yield "numbers/0.txt", b""


class CountsItems(Numbers):
    def make(self, rows):
        for row in rows:
            yield f"{row}.txt", f"{row} of {self.config.items}".encode()


class DrawsOnAndOn(Numbers):
    def make(self, rows):
        draw = random.Random(self.config.seed)
        for row in rows:
            yield f"{row}.txt", str(draw.random()).encode()


class NumbersFilesAnew(Numbers):
    def make(self, rows):
        for place, row in enumerate(rows):
            yield f"{place}.txt", str(row).encode()


class EndsByChance(Numbers):
    def finish(self):
        yield "count.txt", str(random.random()).encode()


def local():
    class Local(Numbers):
        pass

    return Local


Local = local()

BROKEN = [
    (Local, "test_declarations", "other processes import as .*got no such name there"),
    (TakesAnyKey, "test_config_survives_toml_and_has_a_schema", "unknown keys refused"),
    (LeavesTheFolder, "test_files_have_paths_of_their_own", r"with /; got '\.\./count.txt'"),
    (MakesText, "test_files_have_paths_of_their_own", "count.txt: bytes; got str"),
    (SharesAFile, "test_files_have_paths_of_their_own", "each path once; got numbers/0.txt twice"),
    (CountsItems, "test_an_item_depends_on_its_number_alone", r"got another \['0.txt'\]"),
    (DrawsOnAndOn, "test_an_item_depends_on_its_number_alone", r"got another \['1.txt'\]"),
    (NumbersFilesAnew, "test_an_item_depends_on_its_number_alone", r"one by one too; got \['0.tx"),
    (EndsByChance, "test_the_end_is_the_same_again", "the same again; got other files"),
]


@pytest.mark.parametrize(
    ("kind", "check", "said"), BROKEN, ids=[kind.__name__ for kind, _, _ in BROKEN]
)
def test_a_broken_maker_is_caught_by_the_check_meant_for_it(kind, check, said):
    class Contract(MakerContract):
        maker = kind

    assert re.search(said, violations(Contract())[check])


def test_as_many_items_are_made_as_the_keys_say():
    assert MakerContract.of(Numbers, {}).items == 6
    assert MakerContract.of(Numbers, {"items": 9}).items == 9


def test_every_check_has_a_maker_that_breaks_it():
    checks = {name for name in dir(MakerContract) if name.startswith("test_")}
    assert checks == {check for _, check, _ in BROKEN}
