"""The codec that the README writes fulfils the contract that the README tells it to inherit."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mmvae.testing import violations

README = Path(__file__).parents[2] / "README.md"


def test_the_readme_codec_fulfils_the_contract() -> None:
    text = README.read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    names: dict[str, Any] = {"__name__": "readme"}
    for block in blocks:
        if "class " in block:
            exec(block, names)  # the README's own words
    assert violations(names["TestAngle"]()) == {}
