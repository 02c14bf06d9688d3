"""Networks by the name of a modality."""

from __future__ import annotations

from typing import Any

from torch import nn


class ByModality(nn.ModuleDict):
    """Networks by the name of a modality, even of one that is an attribute of dict: ``values``.

    Access them as ``networks[name]``; they are never attributes.
    """

    def __setitem__(self, key: str, module: nn.Module) -> None:
        self._modules[key] = module  # as add_module, which refuses the names of attributes

    def __setattr__(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)  # allows a modality called `training`
