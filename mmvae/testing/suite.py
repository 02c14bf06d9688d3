"""A suite: the checks of a class in one role, made from the class and keys of its Config."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

from mmvae.testing.contract import Contract
from mmvae.testing.stage import MODALITIES


class Suite(Contract):
    """Base of the suites; the attribute of the role's name holds the class under test."""

    role: ClassVar[str]
    """The role of the classes that it tries."""

    on_stage: ClassVar[bool] = False
    """Whether they are tried on the suites' own two modalities, which their keys may name."""

    keys: ClassVar[Mapping[str, Any]] = {}
    """Keys of its Config, where they have no defaults or small ones are wanted."""

    @classmethod
    def of(cls, offered: type[Any], keys: Mapping[str, Any]) -> Self:
        """The suite of this class with these keys.

        Raises:
            pydantic.ValidationError: The class does not take the keys.
        """
        suite: type[Self] = type(cls.__name__, (cls,), {cls.role: offered, "keys": keys})
        made = suite()
        made.make_config()
        return made

    def under_test(self) -> type[Any]:
        """The class under test."""
        offered: type[Any] | None = getattr(self, self.role)
        if offered is None:
            raise NotImplementedError(
                f"Set {self.role}, the class under test, or override what makes one."
            )
        return offered

    def make_config(self) -> Any:
        """The Config of the class under test."""
        known = {"modalities": list(MODALITIES)} if self.on_stage else None
        return self.under_test().Config.model_validate(dict(self.keys), context=known)
