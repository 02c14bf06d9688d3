"""``{hook-reference}``: every hook with its documentation, one for each role."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from generated import Generated
from sphinx.application import Sphinx

from mmvae.plugins.roles import ROLES, Role


def sections(roles: Iterable[Role]) -> Iterator[str]:
    """Yield the reStructuredText of each hook, in a block that Markdown can hold."""
    for role in roles:
        text = (role.specification().__doc__ or "").replace("\n\n", "\n\n   ")
        signature = f"{role.hook}(register: Callable[[type[Any]], None]) -> None"
        yield f"```{{eval-rst}}\n.. py:function:: {signature}\n\n   {text}\n```"


class HookReference(Generated):
    """The hooks that the core calls."""

    def markdown(self) -> str:
        """See :meth:`Generated.markdown`."""
        return "\n\n".join(sections(ROLES.values()))


def setup(app: Sphinx) -> dict[str, bool]:
    """Offer the directive."""
    app.add_directive("hook-reference", HookReference)
    return {"parallel_read_safe": True}
