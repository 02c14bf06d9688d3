"""Running means of an objective's terms, kept on the device and checked for NaN in one go."""

from __future__ import annotations

import torch
from torch import Tensor

from mmvae.errors import TrainingError
from mmvae.models.protocol import Terms


class TermMeans:
    """Sums of terms per step since the last flush.

    Nothing is copied to the host before :meth:`means`, so a step never waits for the device.
    """

    def __init__(self) -> None:
        self.names: list[str] = []
        self.rows: list[Tensor] = []
        self.steps: list[int] = []

    def add(self, step: int, phase: str, terms: Terms, items: int) -> None:
        """Add one step's (or accumulation part's) terms; a further part of a step is added up."""
        prefix = "" if phase == "" else f"{phase}/"
        names = [prefix + name for name in ("loss", *terms.named)]
        if not self.names:
            self.names = names
        elif names != self.names:
            raise ValueError(f"Terms changed from {self.names} to {names} within a run.")
        sums = torch.stack([terms.loss, *terms.named.values()]).detach().double().sum(1)
        row = torch.cat([sums, sums.new_tensor([items])])
        if self.steps and self.steps[-1] == step:
            self.rows[-1] = self.rows[-1] + row
        else:
            self.steps.append(step)
            self.rows.append(row)

    def stacked(self) -> Tensor:
        """All rows since the last flush, float64, shape (steps, terms + 1)."""
        return torch.stack(self.rows)

    def means(self, stacked: Tensor) -> dict[str, float]:
        """Mean over items of each term; then start anew.

        Args:
            stacked: :meth:`stacked`, summed over processes.

        Raises:
            TrainingError: A term is not finite; the first such step and term are named.
        """
        check_finite(stacked, self.names, self.steps)
        totals = stacked.sum(0).tolist()
        names = self.names
        self.rows, self.steps = [], []
        return {name: total / totals[-1] for name, total in zip(names, totals[:-1], strict=True)}


def check_finite(stacked: Tensor, names: list[str], steps: list[int]) -> None:
    """Stop at the first step with a term that is not finite.

    Raises:
        TrainingError: Names term, value and step. The loss is named only if no term is to blame.
    """
    bad = ~torch.isfinite(stacked[:, :-1])
    if not bool(bad.any()):
        return
    row = int(bad.any(1).nonzero()[0, 0])
    columns = [int(c) for c in bad[row].nonzero().flatten()]
    blamed = next((c for c in columns if names[c] not in ("loss", "elbo")), columns[0])
    value = float(stacked[row, blamed])
    raise TrainingError(
        f"{names[blamed]} became {value} at step {steps[row] + 1}; training stopped and the last "
        f"good checkpoint is kept. Lower train.learning_rate, set train.clip_norm, or look at "
        f"the data with `mmvae data check`."
    )
