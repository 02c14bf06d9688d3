"""The conformance suite for makers."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from operator import attrgetter
from pathlib import PurePosixPath
from typing import Any, ClassVar, Self

from mmvae.data.generator import Maker
from mmvae.testing.contract import require, require_config, require_offer
from mmvae.testing.subject import global_seed
from mmvae.testing.suite import Suite


class MakerContract(Suite):
    """Checks that a maker keeps the contract of :class:`mmvae.Maker`.

    Set :attr:`maker`, and :attr:`keys` where it has more keys without defaults than ``items``.
    """

    role = "maker"

    foundations: ClassVar[tuple[str, ...]] = (
        "test_declarations",
        "test_files_have_paths_of_their_own",
    )

    maker: ClassVar[type[Maker] | None] = None
    """The class under test; unless :meth:`make_maker` makes one."""

    items: ClassVar[int] = 6
    """Number of items made in the checks, small but at least 2."""

    @classmethod
    def of(cls, offered: type[Any], keys: Mapping[str, Any]) -> Self:
        """See :meth:`Suite.of`; a number of items among the keys is what it makes here."""
        made = super().of(offered, {"items": cls.items, **keys})
        type(made).items = made.make_config().items
        return made

    def make_maker(self, items: int) -> Maker:
        """A fresh maker of this number of items, the same items at every call."""
        kind = self.under_test()
        maker: Maker = kind(kind.Config(**{**self.keys, "items": items}))
        return maker

    def test_declarations(self) -> None:
        """The maker has a kind and a config class, and other processes can import it."""
        maker = self.make_maker(self.items)
        kind = type(maker)
        require_offer("maker", type(maker))
        module = sys.modules.get(kind.__module__)
        try:
            found: Any = attrgetter(kind.__qualname__)(module)
        except AttributeError:
            found = None
        wants = f"a class that other processes import as {kind.__module__}.{kind.__qualname__}"
        require(found is kind, wants, "no such name there")

    def test_config_survives_toml_and_has_a_schema(self) -> None:
        """Keys survive TOML unchanged and have descriptions; unknown keys are refused."""
        require_config(self.make_maker(self.items).config)

    def test_files_have_paths_of_their_own(self) -> None:
        """Files have distinct paths below the folder, with ``/``, and content in bytes."""
        maker = self.make_maker(self.items)
        made = [*maker.make(range(self.items)), *maker.finish()]
        require(bool(made), "files", "none")
        seen: set[str] = set()
        for name, content in made:
            path = PurePosixPath(name)
            inside = bool(name) and not path.is_absolute() and ".." not in path.parts
            require(inside and "\\" not in name, "a path below the folder, with /", repr(name))
            require(isinstance(content, bytes), f"{name}: bytes", type(content).__name__)
            require(name not in seen, "each path once", f"{name} twice")
            seen.add(name)

    def test_an_item_depends_on_its_number_alone(self) -> None:
        """An item is the same alone, with more items, and in another process."""
        n = self.items
        with global_seed(1):
            together = _made(self.make_maker(n).make(range(n)))
        with global_seed(2):
            more = self.make_maker(n + 3)
            alone: dict[str, bytes] = {}
            for row in reversed(range(n)):
                alone |= _made(more.make(range(row, row + 1)))
        names = sorted(together)
        require(names == sorted(alone), f"the files {names} one by one too", sorted(alone))
        other = [name for name in names if together[name] != alone[name]]
        require(not other, "items that depend on seed and number alone", f"another {other[:1]}")

    def test_the_end_is_the_same_again(self) -> None:
        """The files about all items are a function of the configuration."""
        ends = []
        for seed in (1, 2):
            with global_seed(seed):
                ends.append(_made(self.make_maker(self.items).finish()))
        require(ends[0] == ends[1], "finish to make the same again", "other files")


def _made(files: Iterable[tuple[str, bytes]]) -> dict[str, bytes]:
    return dict(files)
