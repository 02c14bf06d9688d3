"""Dense layers by oneDNN, an alternative in torch to its default for matrices on the CPU.

On the AMD processor of the measurement it is about twice as fast (``benchmarks/bounds.py``).
Both compute in float32 and differ by rounding.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

LEAST_ROWS = 64
"""With fewer rows, converting the layout of the input costs more than it saves."""


class OneDnnDense(TorchFunctionMode):
    """Context in which ``linear`` of many float32 rows on the CPU runs by oneDNN.

    It is for inference: calls that need a gradient, and other inputs, use torch's default.
    Parameters are converted once and must not change within the block. Weights that are computed
    again for each call, e.g. by parametrisations, use torch's default too.
    """

    def __init__(self) -> None:
        super().__init__()
        # Keeping the weight alive keeps its address, the key, from being reused.
        self._kept: dict[int, tuple[Tensor, Tensor]] = {}

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Run ``func``, by oneDNN if it is a ``linear`` that oneDNN supports."""
        if func is F.linear and not kwargs and len(args) in (2, 3) and suits(*args):
            x, weight, *bias = args
            biases = [b if b is None else self._converted(b) for b in bias]
            return F.linear(x.to_mkldnn(), self._converted(weight), *biases).to_dense()
        return func(*args, **(kwargs or {}))

    def _converted(self, weight: Tensor) -> Tensor:
        if id(weight) not in self._kept:
            self._kept[id(weight)] = (weight, weight.detach().to_mkldnn())
        return self._kept[id(weight)][1]


def suits(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> bool:
    """True if oneDNN applies: float32 matrices on the CPU, parameters, no gradient needed."""
    return (
        torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
        and not torch.is_grad_enabled()
        and not torch.is_autocast_enabled("cpu")
        and x.dim() == 2
        and len(x) >= LEAST_ROWS
        and all(isinstance(w, nn.Parameter) for w in (weight, bias) if w is not None)
        and all(
            t.device.type == "cpu" and t.dtype == torch.float32 and t.layout == torch.strided
            for t in (x, weight, *([] if bias is None else [bias]))
        )
    )
