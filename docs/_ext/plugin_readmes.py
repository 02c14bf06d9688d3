"""``{plugin-readmes}``: the READMEs of the first-party plugins, one section each."""

from __future__ import annotations

from pathlib import Path

from generated import Generated
from sphinx.application import Sphinx

PLUGINS = Path(__file__).parents[2] / "plugins"
HOME = {"(../../README.md)": "(index.md)", "(README.md)": "(index.md)"}
"""Links to the repository's README; on the site its place is taken by the first page."""


class PluginReadmes(Generated):
    """Include ``plugins/*/README.md``, headings one level lower."""

    def markdown(self) -> str:
        """See :meth:`Generated.markdown`."""
        readmes = sorted(PLUGINS.glob("*/README.md"))
        return "\n\n".join(
            f"```{{include}} ../plugins/{readme.parent.name}/README.md\n:heading-offset: 1\n```"
            for readme in readmes
        )


def link_home(app: Sphinx, path: Path, document: str, content: list[str]) -> None:
    """Let links of an included file to the README lead to the site's first page."""
    for link, page in HOME.items():
        content[0] = content[0].replace(link, page)


def setup(app: Sphinx) -> dict[str, bool]:
    """Offer the directive."""
    app.add_directive("plugin-readmes", PluginReadmes)
    app.connect("include-read", link_home)
    return {"parallel_read_safe": True}
