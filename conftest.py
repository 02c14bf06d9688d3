"""What every test shares, the core's and the plugins'."""

from __future__ import annotations

import pytest
import torch


@pytest.fixture(autouse=True)
def _draws() -> None:
    """Seed torch before each test, so that no test depends on which ran before it."""
    torch.manual_seed(0)
