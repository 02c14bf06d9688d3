"""The codec on the page about plugins is as small as it says, and keeps the contract."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

from mmvae.testing import verdicts

PAGE = Path(__file__).parents[2] / "docs" / "plugins.md"
BLOCKS = re.findall(r"^```python\n(.*?)^```", PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE)


def test_the_smallest_codec_has_at_most_30_lines_and_public_names() -> None:
    tree = ast.parse(BLOCKS[0])
    [codec] = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    assert codec.end_lineno is not None
    assert codec.end_lineno - codec.lineno < 30
    modules = {node.module for node in tree.body if isinstance(node, ast.ImportFrom)}
    assert {module for module in modules if module and module.startswith("mmvae")} == {"mmvae"}


def test_it_keeps_the_contract() -> None:
    names: dict[str, Any] = {"__name__": "page"}
    for block in BLOCKS:
        exec(block, names)  # the page's own words
    found = {v.check: v.reason for v in verdicts(names["TestNumber"]()) if v.state != "kept"}
    assert list(found) == ["test_values_outside_the_support_are_refused"]
    assert "no invalid values" in found["test_values_outside_the_support_are_refused"]
