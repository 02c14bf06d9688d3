"""Running means of an objective's terms, kept on the device and checked for NaN together."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from mmvae.foundations.errors import NonFinite
from mmvae.models.phase import Terms


class TermMeans:
    """Sums of terms per step since the last flush.

    Nothing is copied to the host before :meth:`means`, so a step never waits for the device.

    Attributes:
        names: Phase → its terms; the phase's name is empty if there is only one.
        steps: The steps since the last flush, counted from 0.
        rows: For each of them, phase → sums over items of its terms, then the number of items.
        seen: For each part of a step, the step, its items and, per item, True if all terms are
            finite.
    """

    def __init__(self) -> None:
        self.names: dict[str, list[str]] = {}
        self.steps: list[int] = []
        self.rows: list[dict[str, Tensor]] = []
        self.seen: list[tuple[int, Tensor, Tensor]] = []

    def add(
        self, step: int, phase: str, terms: Terms, items: int, which: Tensor | None = None
    ) -> None:
        """Add the terms of one step or accumulation part; parts of the same step are summed.

        Args:
            step: The step, counted from 0.
            phase: The phase, or an empty name if there is only one.
            terms: Its terms.
            items: Number of rows that count; the others only kept the batch from being empty.
            which: Their indices in the training split, to name an item whose terms are not finite.
        """
        names = ["loss", *terms.named]
        if self.names.setdefault(phase, names) != names:
            raise ValueError(f"Terms changed from {self.names[phase]} to {names} within a run.")
        rows = torch.stack([terms.loss, *terms.named.values()]).detach()[:, :items]
        if which is not None:
            self.seen.append((step, which[:items], rows.isfinite().all(0)))
        sums = rows.to(wide(rows.device)).sum(1)
        part = torch.cat([sums, sums.new_full((1,), items)])
        if not self.steps or self.steps[-1] != step:
            self.steps.append(step)
            self.rows.append({})
        row = self.rows[-1]
        row[phase] = row[phase] + part if phase in row else part

    def stacked(self) -> Tensor:
        """All rows since the last flush, shape (steps, columns)."""
        return torch.stack([torch.cat([row[p] for p in self.names]) for row in self.rows])

    def restore(self, names: dict[str, list[str]], steps: list[int], stacked: Tensor) -> None:
        """Restore what :meth:`stacked` returned; ValueError if its shape differs."""
        widths = [len(terms) + 1 for terms in names.values()]
        if stacked.shape != (len(steps), sum(widths)):
            raise ValueError(f"terms {names} of steps {steps} in {tuple(stacked.shape)} numbers")
        self.names, self.steps = names, steps
        self.rows = [dict(zip(names, row.split(widths), strict=True)) for row in stacked]

    def blank(self) -> None:
        """Set the sums so far to zero, on a process whose share another one holds."""
        self.rows = [{p: torch.zeros_like(sums) for p, sums in row.items()} for row in self.rows]

    def check(self, stacked: Tensor) -> None:
        """Raise at the first step with a term that is not finite.

        Args:
            stacked: :meth:`stacked`, summed over processes.

        Raises:
            NonFinite: Names term, value and step.
        """
        when = [f"at step {step + 1}" for step in self.steps]
        check_finite(stacked, self._columns(), when, "train", self._bad_items)

    def _bad_items(self, row: int) -> list[int]:
        """The items of a step with a term that is not finite, unless all of them have one."""
        parts = [(items, sound) for step, items, sound in self.seen if step == self.steps[row]]
        if not parts:
            return []
        sound = torch.cat([finite for _, finite in parts]).cpu()
        items = torch.cat([which for which, _ in parts])
        return sorted(set(items[~sound].tolist())) if sound.any() else []

    def means(self, stacked: Tensor) -> dict[str, float]:
        """Mean over items of each term; then reset.

        Args:
            stacked: :meth:`stacked`, summed over processes.

        Raises:
            NonFinite: As :meth:`check`.
        """
        self.check(stacked)
        totals = iter(stacked.sum(0).tolist())
        means: dict[str, float] = {}
        for phase, names in self.names.items():
            sums = {_column(phase, name): next(totals) for name in names}
            items = next(totals)
            means |= {column: total / items for column, total in sums.items()}
        self.names, self.steps, self.rows = {}, [], []  # a later epoch may have other phases
        self.seen = []
        return means

    def _columns(self) -> list[str]:
        return [_column(p, name) for p, names in self.names.items() for name in (*names, "items")]


def wide(device: torch.device) -> torch.dtype:
    """The type of sums: float64, except on Apple's devices, which have none."""
    return torch.float32 if device.type == "mps" else torch.float64


def _column(phase: str, name: str) -> str:
    return f"{phase}/{name}" if phase else name


REMEDY = (
    "Lower train.learning_rate, set train.clip_norm, or look at the data with `mmvae data check`."
)


def check_finite(
    stacked: Tensor,
    names: Sequence[str],
    when: Sequence[str],
    split: str = "",
    bad_items: Callable[[int], Sequence[int]] = lambda row: (),
) -> None:
    """Raise at the first row with a value that is not finite.

    Args:
        stacked: Shape (rows, columns).
        names: Names of the columns.
        when: Descriptions of the rows: ``"at step 3"``.
        split: The split of the items.
        bad_items: Row → its items with a term that is not finite.

    Raises:
        NonFinite: Names term, value and step. The loss is named only if every term is finite.
    """
    bad = ~torch.isfinite(stacked)
    if not bool(bad.any()):
        return
    row = int(bad.any(1).nonzero()[0, 0])
    columns = [int(c) for c in bad[row].nonzero().flatten()]
    sums = ("loss", "elbo")
    blamed = next((c for c in columns if names[c].rpartition("/")[2] not in sums), columns[0])
    value = float(stacked[row, blamed])
    raise NonFinite(
        f"{names[blamed]} became {value} {when[row]}; training stopped.",
        split,
        bad_items(row),
        REMEDY,
    )
