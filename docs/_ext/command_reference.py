"""``{command-reference}``: every command's own help, one section each."""

from __future__ import annotations

from collections.abc import Iterator

import click
from generated import Generated
from sphinx.application import Sphinx

from mmvae.cli.main import cli

WIDTH = 92


def sections(command: click.Command, parent: click.Context | None, name: str) -> Iterator[str]:
    """Yield the Markdown of ``command`` and then of each of its sub-commands."""
    context = click.Context(
        command, parent=parent, info_name=name, terminal_width=WIDTH, max_content_width=WIDTH
    )
    if parent is not None or not isinstance(command, click.Group):
        yield f"## {context.command_path}"
    yield f"```text\n{command.get_help(context)}\n```"
    if isinstance(command, click.Group):
        for child_name in command.list_commands(context):
            child = command.get_command(context, child_name)
            if child is not None and not child.hidden:
                yield from sections(child, context, child_name)


class CommandReference(Generated):
    """The help of ``mmvae`` and of each command below it."""

    def markdown(self) -> str:
        """See :meth:`Generated.markdown`."""
        return "\n\n".join(sections(cli, None, "mmvae"))


def setup(app: Sphinx) -> dict[str, bool]:
    """Offer the directive."""
    app.add_directive("command-reference", CommandReference)
    return {"parallel_read_safe": True}
