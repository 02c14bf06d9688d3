"""Extensions: objects that change how a model is trained but leave the model itself as it is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict
from torch import nn

from mmvae.data.batches import Batch
from mmvae.foundations.randomness import StepDraws
from mmvae.models.base import Model
from mmvae.models.phase import Phase, Terms
from mmvae.models.trainable import Trainable


class ExtensionConfig(BaseModel):
    """The table ``[KIND]`` that switches an extension on; each extension adds its keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    bands: ClassVar[Mapping[str, tuple[float, float]]] = {}
    """Terms, named as in ``metrics.jsonl`` → their range in a sound training.

    Reports draw these ranges, and count the points of the last half that lie inside.
    """


class Extension(Trainable):
    """A wrapper around a model, or around another extension, that trains it differently.

    It may add phases with networks of its own, change the phases within, and add to their losses.
    The inner model is unchanged: it alone is validated, evaluated, saved as the final model and
    loaded again, and none of these needs the extension. Checkpoints hold the extension's own
    weights in addition to the model's. ``--init-from`` initialises them afresh.

    An extension is built once per training, after the model, with torch's global random state
    seeded for it alone, and is moved to the model's device. This base class changes nothing;
    override the methods that your extension changes.

    Args:
        config: The validated ``Config``.
        inner: The model, or an extension around it.

    Raises:
        ConfigError: Table and model do not fit together.
    """

    kind: ClassVar[str]
    """Name of its table in TOML: ``adversary`` for ``[adversary]``."""

    Config: ClassVar[type[ExtensionConfig]] = ExtensionConfig

    def __init__(self, config: Any, inner: Trainable) -> None:
        super().__init__()
        self.config, self.inner = config, inner

    @property
    def bare(self) -> Model:
        """The innermost model."""
        return self.inner.bare

    def phases(self) -> list[Phase]:
        """See :meth:`Trainable.phases`; default: those of the inner object."""
        return self.inner.phases()

    def objective(self, phase: str, batch: Batch, draws: StepDraws, weight: float) -> Terms:
        """See :meth:`Trainable.objective`; default: that of the inner object."""
        return self.inner.objective(phase, batch, draws, weight)

    def begin_step(self, epoch: int) -> None:
        """See :meth:`Trainable.begin_step`; default: call the inner object."""
        self.inner.begin_step(epoch)

    def begin_phase(self, phase: str, items: Iterable[tuple[Batch, StepDraws]]) -> None:
        """See :meth:`Trainable.begin_phase`; default: call the inner object."""
        self.inner.begin_phase(phase, items)

    @property
    def together(self) -> bool:
        """See :attr:`Trainable.together`; default: that of the inner object."""
        return self.inner.together

    @property
    def skips_weights(self) -> bool:
        """See :attr:`Trainable.skips_weights`."""
        return self.inner.skips_weights

    def compilable(self) -> Iterable[nn.Module]:
        """See :meth:`Trainable.compilable`."""
        return self.inner.compilable()
