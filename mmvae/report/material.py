"""What a report is made of: a run, its model, items to look at, and their evaluation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from torch import Tensor

from mmvae.config import Experiment
from mmvae.data.batches import Batch, Batches
from mmvae.subsets import Subset
from mmvae.trained import TrainedModel
from mmvae.training.run import Run

SHOWN_ITEMS = 10
MAPPED_ITEMS = 2000


@dataclass
class Material:
    """A run as a report shows it.

    Attributes:
        run: Its folder.
        experiment: Its configuration.
        trained: Its model.
        batches: The items of the evaluated split.
        evaluation: What :func:`mmvae.results.evaluate` returned.
    """

    run: Run
    experiment: Experiment
    trained: TrainedModel
    batches: Batches
    evaluation: Mapping[str, Any]

    @property
    def seed(self) -> int:
        """Seed of every draw for the figures: that of the evaluation."""
        return int(self.evaluation["seed"])

    @property
    def origin(self) -> str:
        """What was run, for captions."""
        return (
            f"Experiment {self.evaluation['name']}, step {self.evaluation['step']}, "
            f"{self.evaluation['split']} split, training seed {self.experiment.train.seed}, "
            f"evaluation seed {self.seed}."
        )

    @property
    def label(self) -> str | None:
        """The first modality with classes, if there is one."""
        codecs = self.trained.codecs.items()
        return next((m for m, codec in codecs if codec.classes is not None), None)

    @cached_property
    def mapped(self) -> Batch:
        """The first items of the split, for maps."""
        return self.batches.fixed(slice(0, min(len(self.batches), MAPPED_ITEMS)))

    @cached_property
    def shown(self) -> Batch:
        """A few items: the first of each class, or the first of all."""
        if self.label is None:
            return self.mapped.take(range(min(len(self.mapped), SHOWN_ITEMS)))
        classes = self.classes_of(self.mapped).tolist()
        first = sorted({k: classes.index(k) for k in classes}.items())
        return self.mapped.take([row for _, row in first[:SHOWN_ITEMS]])

    def classes_of(self, batch: Batch) -> Tensor:
        """Class of each item by :attr:`label`, int64 (b,)."""
        assert self.label is not None
        return self.trained.codecs[self.label].class_index(batch.x[self.label]).cpu()

    def show(self, modality: str, values: Tensor) -> list[Any]:
        """Model values as things to look at."""
        return self.trained.codecs[modality].show(values.cpu())


def given_name(given: Subset, modalities: Subset) -> str:
    """``"given all"`` or ``"given image"``."""
    return "given all" if given == modalities else f"given {' + '.join(given)}"
