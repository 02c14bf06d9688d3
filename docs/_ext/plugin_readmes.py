"""``{plugin-readmes}``: the READMEs of the first-party plugins, one section each."""

from __future__ import annotations

from pathlib import Path

from generated import Generated
from sphinx.application import Sphinx

PLUGINS = Path(__file__).parents[2] / "plugins"


class PluginReadmes(Generated):
    """Include ``plugins/*/README.md``, headings one level lower."""

    def markdown(self) -> str:
        """See :meth:`Generated.markdown`."""
        readmes = sorted(PLUGINS.glob("*/README.md"))
        return "\n\n".join(
            f"```{{include}} ../plugins/{readme.parent.name}/README.md\n:heading-offset: 1\n```"
            for readme in readmes
        )


def setup(app: Sphinx) -> dict[str, bool]:
    """Offer the directive."""
    app.add_directive("plugin-readmes", PluginReadmes)
    return {"parallel_read_safe": True}
