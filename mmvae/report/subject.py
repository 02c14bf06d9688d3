"""The subject of a figure: a run with its model and the items to show."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from mmvae.data.batches import Batch, Batches, fixed_draws, fixed_view
from mmvae.data.dataset import Data
from mmvae.data.split_names import SplitName
from mmvae.experiments.experiment import Experiment
from mmvae.experiments.open_run import OpenRun
from mmvae.foundations.errors import UsageError
from mmvae.foundations.randomness import ItemDraws, permutation, sample
from mmvae.inference.trained_model import TrainedModel
from mmvae.modalities.subsets import Subset
from mmvae.models.finite import LATENT, require_finite
from mmvae.report.item_counts import MAPPED_ITEMS, SHOWN_ITEMS
from mmvae.runs.run import Run


@dataclass
class Subject:
    """A run as figures show it.

    Attributes:
        opened: The run with its model and its data.
        split: The split whose items are shown; only those that have every modality.
        seed: Governs every draw for figures.
    """

    opened: OpenRun
    split: SplitName
    seed: int

    def __post_init__(self) -> None:
        self._left_out = self.opened.data.lacking(self.split)

    @cached_property
    def data(self) -> Data:
        """The training and shown items that have every modality, so that their truth is known.

        Raises:
            NoCompleteItems: There are none.
        """
        return self.opened.data.complete(("train", self.split))

    @property
    def run(self) -> Run:
        """The run's folder."""
        return self.opened.run

    @property
    def experiment(self) -> Experiment:
        """Its configuration."""
        return self.opened.experiment

    @property
    def trained(self) -> TrainedModel:
        """Its model."""
        return self.opened.trained

    @property
    def step(self) -> int:
        """The step of the model's weights."""
        return self.opened.step

    @property
    def title(self) -> str:
        """The published row that it reproduces, or else its name."""
        reference = self.experiment.reference
        return self.experiment.name if reference is None else reference.row

    @property
    def origin(self) -> str:
        """A description of the run, for captions."""
        only = f" (its complete items; {self._left_out:,} are not)" if self._left_out else ""
        return (
            f"Experiment {self.experiment.name}, step {self.step}, {self.split} split{only}, "
            f"training seed {self.experiment.train.seed}, evaluation seed {self.seed}."
        )

    @property
    def batches(self) -> Batches:
        """The items of its split."""
        return self.data.batches(self.split)

    @property
    def label(self) -> str | None:
        """The first modality with classes, if there is one."""
        codecs = self.trained.codecs.items()
        return next((m for m, codec in codecs if codec.classes is not None), None)

    @cached_property
    def mapped(self) -> Batch:
        """Items of the split, drawn by the seed, in its order, which may be sorted."""
        return self.batches.fixed(self.chosen(self.split, MAPPED_ITEMS))

    @cached_property
    def shown(self) -> Batch:
        """A few items: one of each class, or any."""
        return self.few(SHOWN_ITEMS)

    def few(self, count: int) -> Batch:
        """A few items, as different as possible: one of each class, then a second of each."""
        rows = range(len(self.mapped))
        if self.label is None:
            return self.mapped.take(sample(len(rows), count, self.seed, "shown").tolist())
        classes = self.classes_of(self.mapped).tolist()
        seen: dict[int, int] = {}
        turns = []
        for row in rows:
            turns.append((seen.get(classes[row], 0), classes[row], row))
            seen[classes[row]] = turns[-1][0] + 1
        chosen = sorted(turns)[:count]
        return self.mapped.take([row for _, _, row in sorted(chosen, key=lambda t: (t[1], t[0]))])

    def classes_of(self, batch: Batch) -> Tensor:
        """Class of each item by :attr:`label`, int64 (b,)."""
        assert self.label is not None
        return self.trained.codecs[self.label].class_index(batch.x[self.label]).cpu()

    def show(self, modality: str, values: Tensor) -> list[Any]:
        """Convert model values to their display form."""
        return self.trained.codecs[modality].show(values.cpu())

    def chosen(self, split: SplitName, most: int, after: int = 0) -> Tensor:
        """Rows of a split, ascending: all of them, or ``most`` drawn without replacement.

        The first ``after`` drawn are left out, since they were chosen before.
        """
        order = permutation(len(self.data.batches(split)), self.seed, 0)
        return order[after : after + most].sort().values

    @torch.no_grad()
    def latents(self, split: SplitName, items: Tensor, given: Subset) -> Tensor:
        """One sample of q(z|x_S) for each of these items of a split, (n, d), on the CPU."""
        batches, size = self.data.batches(split), self.experiment.evaluate.batch_size
        purpose, parts = f"figures {split}", []
        for start in range(0, len(items), size):
            rows = slice(start, min(start + size, len(items)))
            views = fixed_draws(rows, batches.device)
            batch = batches.batch(items[rows], views, fixed_view)
            draws = ItemDraws(self.seed, purpose, rows, batches.device)
            q = self.trained.model.posterior({m: batch.x[m] for m in given})
            z = q.rsample(draws.normal("z", self.trained.model.latent_dim))
            require_finite(self.trained.model, "+".join(given), LATENT, z, start)
            parts.append(z.cpu())
        return torch.cat(parts)

    @contextmanager
    def named(self) -> Iterator[None]:
        """Prefix errors of the model with the run's folder."""
        try:
            yield
        except UsageError as error:
            raise UsageError(f"{self.run.folder}: {error}") from error


def given_name(given: Subset, modalities: Subset) -> str:
    """``"given all"`` or ``"given image"``."""
    return "given all" if given == modalities else f"given {' + '.join(given)}"


def titles(subjects: Sequence[Subject]) -> list[str]:
    """Each run's title; runs with equal titles get the name of their folder too."""
    found = [subject.title for subject in subjects]
    return [
        title if found.count(title) == 1 else f"{title} ({subject.run.folder.name})"
        for title, subject in zip(found, subjects, strict=True)
    ]


def origins(subjects: Sequence[Subject]) -> str:
    """A description of several runs, for captions."""
    if len(subjects) == 1:
        return subjects[0].origin
    parts = [
        f"{title}: experiment {s.experiment.name}, step {s.step}, training seed "
        f"{s.experiment.train.seed}"
        for title, s in zip(titles(subjects), subjects, strict=True)
    ]
    first = subjects[0]
    return f"{'; '.join(parts)}. The {first.split} split, evaluation seed {first.seed}."
