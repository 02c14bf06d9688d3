"""The order of items: the items of each global step, as a pure function of (seed, step)."""

from __future__ import annotations

from torch import Tensor

from mmvae.foundations.randomness import permutation


class Order:
    """Shuffled epochs over ``n`` items, divided into global batches.

    The order depends neither on the number of processes nor on where a run stopped; the position
    in it is one integer, the global step.

    Args:
        n: Number of items, at least 1.
        batch_size: Items per global step.
        seed: The run's seed.
        drop_last: Leave out an epoch's last batch if it is smaller than the others.
    """

    def __init__(self, n: int, batch_size: int, seed: int, drop_last: bool = False) -> None:
        self.n, self.seed = n, seed
        self.batch_size = min(batch_size, n)
        self.steps_per_epoch = n // self.batch_size if drop_last else -(-n // self.batch_size)
        self._epoch, self._items = -1, permutation(0, seed, 0)

    def epoch(self, step: int) -> int:
        """Epoch (from 0) that global step ``step`` (from 0) belongs to."""
        return step // self.steps_per_epoch

    def ends_epoch(self, step: int) -> bool:
        """True if ``step`` is the last of its epoch."""
        return (step + 1) % self.steps_per_epoch == 0

    def items(self, step: int) -> Tensor:
        """Item indices of the global batch of ``step``, int64, shape (≤ batch_size,)."""
        epoch, place = divmod(step, self.steps_per_epoch)
        if epoch != self._epoch:
            self._epoch, self._items = epoch, permutation(self.n, self.seed, epoch)
        return self._items[place * self.batch_size : (place + 1) * self.batch_size]


def share(total: int, part: int, parts: int) -> slice:
    """Rows of a global batch of ``total`` items for part ``part`` of ``parts``.

    Parts are contiguous and differ by at most one item; a part may be empty.
    """
    return slice(total * part // parts, total * (part + 1) // parts)


def never_empty(rows: slice) -> tuple[slice, int]:
    """Rows to process and the number that count: an empty part processes the first row, for 0.

    Torch's distributions refuse an empty batch, and a process without rows must still take part in
    collective operations.
    """
    count = rows.stop - rows.start
    return (rows if count else slice(0, 1)), count
