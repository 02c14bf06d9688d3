"""The trainable protocol: the methods that the training loop calls."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import TYPE_CHECKING, ClassVar

from torch import nn

from mmvae.data.batches import Batch
from mmvae.foundations.randomness import StepDraws
from mmvae.models.phase import Phase, Terms

if TYPE_CHECKING:
    from mmvae.models.base import Model


class Trainable(nn.Module, ABC):
    """The object that the training loop trains: a model, or a model with extensions around it."""

    takes_missing: ClassVar[bool] = False
    """True if it can be trained on items with missing modalities."""

    @property
    @abstractmethod
    def bare(self) -> Model:
        """The model itself, as validation, evaluation and the final model use it."""

    @abstractmethod
    def phases(self) -> list[Phase]:
        """The updates of one training step, in order; the same at every call.

        Called when training begins, after the weights are on their device. Each trained parameter
        belongs to one of the phases.
        """

    @abstractmethod
    def objective(self, phase: str, batch: Batch, draws: StepDraws, weight: float) -> Terms:
        """The loss of one phase and its named terms, nats per item.

        Called once per step and phase (for each part of a batch under gradient accumulation),
        under autocast, in train mode. For validation, called on the model alone, in eval mode. All
        randomness comes from ``draws``, except in layers such as dropout. A term that is not part
        of the loss must not have a gradient of its own (``detach`` it).

        Args:
            phase: Name of the phase.
            batch: Model input of b items.
            draws: The step's randomness, of the same b items.
            weight: Warm-up weight β in [0, 1] (T11).
        """

    def begin_step(self, epoch: int) -> None:
        """Called before each training step with its epoch, from 0; default: nothing."""

    def begin_phase(self, phase: str, items: Iterable[tuple[Batch, StepDraws]]) -> None:
        """Called once, without gradients, before the first step of a phase; default: nothing.

        Use it to initialise weights from the data rather than at random. Every process calls it;
        the main process's values of the phase's parameters and buffers are then used by all.

        Args:
            phase: Name of the phase.
            items: Training items in an order fixed by the seed, in batches that are read lazily,
                each with its randomness.
        """

    @property
    def together(self) -> bool:
        """True if all phases of a step compute their gradients before any of them updates."""
        return False

    @property
    def skips_weights(self) -> bool:
        """True if a step may leave some weights without gradient; distributed training asks."""
        return False

    def compilable(self) -> Iterable[nn.Module]:
        """Networks that ``train.compile`` compiles in place; default: none."""
        return ()
