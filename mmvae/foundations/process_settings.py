"""Settings of the whole process that change results: the caller's are set aside for a while."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from PIL import GifImagePlugin, Image, ImageFile


class Setting(Protocol):
    """One setting, which can be read and changed."""

    def get(self) -> Any:
        """The current value."""

    def set(self, value: Any) -> None:
        """Change it."""

    fresh: Any
    """Its value in a fresh process."""


class DefaultDtype:
    """The dtype of new tensors."""

    fresh = torch.float32

    def get(self) -> torch.dtype:
        """See :meth:`Setting.get`."""
        return torch.get_default_dtype()

    def set(self, value: torch.dtype) -> None:
        """See :meth:`Setting.set`."""
        torch.set_default_dtype(value)


class MatmulPrecision:
    """The precision of products by torch's older interface; None if the newer one overrides it."""

    fresh = "highest"

    def get(self) -> str | None:
        """See :meth:`Setting.get`."""
        try:
            return torch.get_float32_matmul_precision()
        except RuntimeError:  # the newer interface was used, whose settings are kept as well
            return None

    def set(self, value: str | None) -> None:
        """See :meth:`Setting.set`."""
        if value is not None:
            torch.set_float32_matmul_precision(value)


@dataclass
class Precision:
    """The precision of one operation by torch's newer interface.

    Attributes:
        operation: Its object in ``torch.backends``.
        fresh: Its value in a fresh process.
    """

    operation: Any
    fresh: str

    def get(self) -> str:
        """See :meth:`Setting.get`; the value of a fresh process for all that mean the same."""
        found: str = self.operation.fp32_precision
        return self.fresh if {found, self.fresh} == {"none", "ieee"} else found

    def set(self, value: str) -> None:
        """See :meth:`Setting.set`."""
        self.operation.fp32_precision = "none"  # as the settings of more operations say
        if self.get() != value:
            self.operation.fp32_precision = value


@dataclass
class Attribute:
    """An attribute of a module.

    Attributes:
        module: The module.
        name: The attribute.
        fresh: Its value in a fresh process.
    """

    module: Any
    name: str
    fresh: Any

    def get(self) -> Any:
        """See :meth:`Setting.get`."""
        return getattr(self.module, self.name)

    def set(self, value: Any) -> None:
        """See :meth:`Setting.set`."""
        setattr(self.module, self.name, value)


MKLDNN: Any = torch.backends.mkldnn
CUDNN: Any = torch.backends.cudnn

SETTINGS: Sequence[Setting] = (
    DefaultDtype(),
    MatmulPrecision(),
    Precision(MKLDNN.matmul, "ieee"),
    Precision(MKLDNN.conv, "ieee"),
    Precision(MKLDNN.rnn, "ieee"),
    Precision(torch.backends.cuda.matmul, "ieee"),
    Precision(CUDNN.conv, "tf32"),
    Precision(CUDNN.rnn, "tf32"),
    Attribute(MKLDNN, "enabled", True),
    Attribute(CUDNN, "enabled", True),
    Attribute(ImageFile, "LOAD_TRUNCATED_IMAGES", False),
    Attribute(Image, "MAX_IMAGE_PIXELS", 1024**3 // 4 // 3),
    Attribute(GifImagePlugin, "LOADING_STRATEGY", GifImagePlugin.LoadingStrategy.RGB_AFTER_FIRST),
)
"""The settings, in the order in which they are changed; a later one may be part of an earlier."""


class ProcessSettings:
    """Values of a fresh process: the first thread in sets them, the last restores the caller's."""

    def __init__(self, settings: Sequence[Setting] = SETTINGS) -> None:
        self.settings = settings
        self.lock = threading.Lock()
        self.inside = 0
        self.before: list[Any] = []

    def __enter__(self) -> None:
        with self.lock:
            if self.inside == 0:
                self.before = [setting.get() for setting in self.settings]
                self._set([setting.fresh for setting in self.settings])
            self.inside += 1

    def __exit__(self, *error: object) -> None:
        with self.lock:
            self.inside -= 1
            if self.inside == 0:
                self._set(self.before)

    def _set(self, values: Sequence[Any]) -> None:
        for setting, value in zip(self.settings, values, strict=True):
            if setting.get() != value:
                setting.set(value)
