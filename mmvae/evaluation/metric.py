"""The metric contract: a further statistic of a trained model, measured on items of a split."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from mmvae.data.batches import Batches
from mmvae.evaluation.items import chunks, sampled
from mmvae.foundations.progress import NOBODY
from mmvae.modalities.codec import Codec
from mmvae.modalities.subsets import Subset
from mmvae.models.base import Model
from mmvae.models.finite import finite_values


class MetricConfig(BaseModel):
    """The keys of ``[metrics.NAME]`` that every metric has; each metric adds its own."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    every: int | None = Field(
        None,
        ge=1,
        description="Epochs between measurements on the validation split during training, which "
        "are drawn as curves; no measurements unless given.",
    )


@dataclass(frozen=True, eq=False)
class Specimen:
    """A model as metrics see it, with the items of a split and real training items.

    Attributes:
        model: The model, in eval mode.
        items: The split.
        training: Gives the training split; call it only to learn something from it.
        seed: Governs every draw.
        batch_size: Items at once.
        step: Reports progress: description, parts done, total.
        remarks: Remarks on the results, one sentence each; a metric adds its own.
        kept: The objects that :meth:`shared` stores.
    """

    model: Model
    items: Batches
    training: Callable[[], Batches]
    seed: int = 0
    batch_size: int = 500
    step: Callable[[str, int, int], None] = NOBODY.part
    remarks: list[str] = field(default_factory=list)
    kept: dict[Hashable, Any] = field(default_factory=dict)

    def shared(self, key: Hashable, make: Callable[[], Any]) -> Any:
        """The result of ``make``, computed once for all metrics that use this key.

        The object, such as a classifier, must be a function of the training items, the seed and
        the key only: during a training it serves all measurements.
        """
        if key not in self.kept:
            self.kept[key] = make()
        return self.kept[key]

    def real(self, modality: str) -> Tensor:
        """The fixed views of the split's items, (n, event…), on the CPU."""
        return torch.cat([batch.x[modality].cpu() for batch, _ in self._chunks()])

    def learned_from(self, most: int | None = None) -> Iterator[Mapping[str, Tensor]]:
        """Yield the fixed views of training items in chunks: modality → (b, event…).

        Args:
            most: Maximum number of items, drawn by the seed and kept in order; default: all.
        """
        training = self.training()
        count = len(training) if most is None else most
        for batch, _ in sampled(training, count, self.batch_size, self.seed, "learned from"):
            yield batch.x

    @torch.no_grad()
    def decoded(
        self, modality: str, given: Subset = (), draw: bool = True, fixed: bool = False
    ) -> Tensor:
        """Each item's best value of p(x_m|z) at one z of q(z|x_S), (n, event…), on the CPU.

        Args:
            modality: m.
            given: S, the modalities of the item that z is sampled from; the empty set is the
                prior.
            draw: Sample z; otherwise z is the point estimate of q(z|x_S).
            fixed: Return the codec's fixed view of the value, comparable with :meth:`real`. A grey
                mean becomes binary where real pixels are.

        Raises:
            UsageError: The model has no posterior for S; call :meth:`lacks` first.
        """
        model, parts = self.model, []
        for batch, draws in self._chunks():
            known = {m: batch.x[m] for m in given}
            q = model.posterior(known) if known else model.sampling_prior(len(batch))
            z = q.rsample(draws.normal("z", model.latent_dim)) if draw else q.point()
            best = finite_values(model, modality, z, known)
            if fixed:
                best = draws.resample(f"generated {modality}", model.codecs[modality].fixed, best)
            parts.append(best.cpu())
        return torch.cat(parts)

    def lacks(self, modality: str, given: Subset = ()) -> str | None:
        """The reason why the model can't generate a modality from these others, or None."""
        model = self.model
        unknown = [m for m in (modality, *given) if m not in model.modalities]
        if unknown:
            return f"the model has no modality {unknown[0]!r}"
        if modality not in model.decoded:
            return f"the model does not generate {modality!r}"
        if not given:
            rest = tuple(m for m in model.modalities if m not in model.decoded)
            return f"the model is always given {', '.join(rest)}" if rest else None
        targets = (modality,) if modality not in given else model.decoded
        rest = tuple(m for m in given if m not in targets)
        return model.supports(targets, rest, given)

    def _chunks(self) -> Any:
        return chunks(self.items, self.batch_size, self.seed, "metrics")


class Metric(ABC):
    """A statistic of a trained model, enabled by a table ``[metrics.NAME]`` of its kind.

    Args:
        config: The validated ``Config``.
    """

    kind: ClassVar[str]
    """The word used in TOML: ``kind = "frechet"``."""

    Config: ClassVar[type[MetricConfig]] = MetricConfig

    def __init__(self, config: Any) -> None:
        self.config = config

    @property
    @abstractmethod
    def about(self) -> str:
        """A sentence or two on the meaning of the statistics and on which direction is better.

        Read after each measurement, for evaluations and reports.
        """

    def check(self, codecs: Mapping[str, Codec]) -> None:  # noqa: B027  # most take any codec
        """Refuse modalities that the metric cannot measure; default: nothing.

        Called before a training and before an evaluation, for every model.

        Args:
            codecs: Modality → fitted codec.

        Raises:
            ConfigError: The configuration names a modality of a kind that it cannot measure.
        """

    def unavailable(self, specimen: Specimen) -> str | None:
        """The reason why such a model cannot be measured, a phrase; None, the default, if it can.

        Called before :meth:`measure`, and before a training that measures it at intervals.
        """
        return None

    @abstractmethod
    def measure(self, specimen: Specimen) -> Mapping[str, Tensor]:
        """Measure a model.

        Called by ``evaluate``, and at intervals of epochs in a training, with the model in eval
        mode; gradients may be on (``torch.no_grad``). It takes its randomness from
        ``specimen.seed``, and leaves weights and modes as they are.

        Returns:
            Statistic → finite values (n,), of any float type and on any device, one for each item
            of ``specimen.items`` in their order. The statistic is their mean, its standard error
            that of the mean. Two models are compared by the differences on the same items. A
            statistic that is not a mean over items, such as a distance between distributions, is
            given by its
            linearisation: its value plus its influence function at each item (von Mises 1947),
            whose mean is 0. ``"A/B"`` is a detail B of the statistic A: shown in its evaluation,
            left out of comparisons and curves.
        """
