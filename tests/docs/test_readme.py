"""The codec that the README writes fulfils the contract that the README tells it to inherit."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

from mmvae.testing import violations

README = Path(__file__).parents[2] / "README.md"


def test_the_readme_codec_fulfils_the_contract(monkeypatch: pytest.MonkeyPatch) -> None:
    text = README.read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    module = ModuleType("mmvae_angles")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    names = vars(module)
    for block in blocks:
        if "class " in block:
            exec(block, names)  # the README's own words
    assert violations(names["TestAngle"]()) == {}
