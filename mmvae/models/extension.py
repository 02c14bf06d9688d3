"""Extensions: what changes how a model is trained, and leaves the model itself as it is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict
from torch import nn

from mmvae.data.batches import Batch
from mmvae.foundations.randomness import StepDraws
from mmvae.models.base import Model, Phase, Terms, Trainable


class ExtensionConfig(BaseModel):
    """The table ``[KIND]`` that switches an extension on; each extension adds its keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    bands: ClassVar[Mapping[str, tuple[float, float]]] = {}
    """Terms, as ``metrics.jsonl`` names them → where they lie in a sound training.

    Reports draw them, and count the points of the last half that lie inside.
    """


class Extension(Trainable):
    """Something around a model, or around another extension, that trains it differently.

    It may add phases with networks of its own, change the phases within, and add to their losses.
    The model inside stays what it was: it alone is validated, evaluated, saved as the final model
    and loaded again, so none of these needs the extension. Checkpoints hold the extension's own
    weights beside the model's. With ``--init-from`` they start anew.

    It is made once for each training, after the model, with torch's global random state seeded for
    it alone, and moved to the model's device. This base changes nothing; override what your
    extension changes.

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
        """The model in the middle."""
        return self.inner.bare

    def phases(self) -> list[Phase]:
        """See :meth:`Trainable.phases`; default: those within."""
        return self.inner.phases()

    def objective(self, phase: str, batch: Batch, draws: StepDraws, weight: float) -> Terms:
        """See :meth:`Trainable.objective`; default: that within."""
        return self.inner.objective(phase, batch, draws, weight)

    def begin_step(self, epoch: int) -> None:
        """See :meth:`Trainable.begin_step`; default: passed on."""
        self.inner.begin_step(epoch)

    def begin_phase(self, phase: str, items: Iterable[tuple[Batch, StepDraws]]) -> None:
        """See :meth:`Trainable.begin_phase`; default: passed on."""
        self.inner.begin_phase(phase, items)

    @property
    def together(self) -> bool:
        """See :attr:`Trainable.together`; default: as within."""
        return self.inner.together

    @property
    def skips_weights(self) -> bool:
        """See :attr:`Trainable.skips_weights`."""
        return self.inner.skips_weights

    def compilable(self) -> Iterable[nn.Module]:
        """See :meth:`Trainable.compilable`."""
        return self.inner.compilable()
