"""A directive that stands for Markdown which is made while the site is built."""

from __future__ import annotations

from abc import abstractmethod

from docutils import nodes
from sphinx.util.docutils import SphinxDirective


class Generated(SphinxDirective):
    """Parse the Markdown of :meth:`markdown` in place of the directive."""

    @abstractmethod
    def markdown(self) -> str:
        """Return the Markdown; its headings are of level two and below."""

    def run(self) -> list[nodes.Node]:
        """See :class:`docutils.parsers.rst.Directive`."""
        return self.parse_text_to_nodes(self.markdown(), allow_section_headings=True)
