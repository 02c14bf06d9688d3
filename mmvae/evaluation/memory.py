"""Memory that a computation takes per row, measured by running it on a few rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from mmvae.foundations.errors import UsageError

MIB = 2**20


class _Made(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Mode that adds up the bytes of every tensor that an operation creates, ignoring frees."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.bytes = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        given = {storage(x) for x in tree_leaves((args, kwargs)) if isinstance(x, torch.Tensor)}
        for x in tree_leaves(result):
            if isinstance(x, torch.Tensor) and storage(x) not in given:
                self.bytes += x.untyped_storage().nbytes()
        return result


def storage(x: torch.Tensor) -> int:
    """Address of the memory of a tensor."""
    return x.untyped_storage().data_ptr()


def bytes_per_row(run: Callable[[int], object]) -> int:
    """An upper bound of the bytes that ``run(n)`` allocates per further row, ignoring frees.

    Args:
        run: The computation for n rows.
    """
    made: list[int] = []
    for rows in (2, 6):
        with _Made() as mode:
            run(rows)
        made.append(mode.bytes)
    return max(1, (made[1] - made[0]) // 4)


def rows_within(budget_mib: int, per_row: int, most: int) -> int:
    """Number of rows that fit into a budget, at most ``most``.

    Raises:
        UsageError: Not one row fits.
    """
    rows = budget_mib * MIB // per_row
    if rows < 1:
        raise UsageError(
            f"evaluate.memory = {budget_mib} MiB: one sample of one item takes up to "
            f"{-(-per_row // MIB)} MiB. Set evaluate.memory to that or more."
        )
    return min(rows, most)
