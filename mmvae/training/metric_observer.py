"""The observer that measures metrics while a model trains."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

from mmvae.evaluation.measurement import measure, unavailable
from mmvae.evaluation.metric import Metric, Specimen
from mmvae.foundations.errors import ConfigError
from mmvae.training.observer import Observer, Watched


def refusal(name: str, every: int, reason: str) -> ConfigError:
    """The error for a metric that cannot be measured during training."""
    return ConfigError(
        f"metrics.{name}.every = {every}: it cannot be measured while the model trains: {reason}. "
        f"Leave every out, or the whole table."
    )


class Measuring(Observer):
    """Measures one metric on the validation split, at the interval ``[metrics.NAME] every``.

    As in an evaluation, it uses the items that have every modality.

    Args:
        metric: The metric; its config gives the interval in epochs.
        name: Its name in the configuration.
        shared: The objects that metrics share, such as classifiers; the same for the whole
            training.
    """

    kind = "metric"

    def __init__(self, metric: Metric, name: str, shared: dict[Hashable, Any]) -> None:
        super().__init__(metric.config, name)
        self.metric, self.shared = metric, shared

    def begin(self, watched: Watched) -> None:
        """Refuse a metric that cannot be measured on this model or data.

        Raises:
            ConfigError: It cannot be measured.
        """
        reason = "the data have no validation split"
        if watched.validation is not None:
            reason = unavailable(self.name, self.metric, self._specimen(watched)) or ""
        if reason:
            raise refusal(self.name, self.config.every, reason)

    def look(self, watched: Watched) -> Mapping[str, tuple[float, float | None]]:
        """See :meth:`Observer.look`."""
        measured = measure({self.name: self.metric}, self._specimen(watched))
        statistics = measured.figures[self.name]["figures"]
        return {
            f"{self.name}/{statistic}": (value["mean"], value["error"])
            for statistic, value in statistics.items()
            if "/" not in statistic
        }

    def _specimen(self, watched: Watched) -> Specimen:
        assert watched.validation is not None
        return Specimen(
            watched.model,
            watched.validation,
            lambda: watched.train,
            watched.seed,
            watched.batch_size,
            kept=self.shared,
        )
