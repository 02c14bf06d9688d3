"""The statistics, besides likelihood queries, by which runs are compared; each with its label."""

from __future__ import annotations

from mmvae.evaluation.coherence import OF_THE_JUDGE
from mmvae.experiments.comparison.evaluated import metric_labels
from mmvae.experiments.comparison.evaluation_file import Evaluation, Figure


def elbo(evaluation: Evaluation) -> dict[str, Figure]:
    """The ELBO, with the quantity that it bounds."""
    of = evaluation.bounds_of or f"log p({', '.join(evaluation.modalities)})"
    return {f"ELBO of {of}": evaluation.bounds["elbo"]} if "elbo" in evaluation.bounds else {}


def variation(evaluation: Evaluation) -> dict[str, Figure]:
    """The variation of information between two modalities."""
    return {f"variation of information, {by}": f for by, f in evaluation.variation.items()}


def kl(evaluation: Evaluation) -> dict[str, Figure]:
    """The KL divergence to the prior."""
    return {"KL to the prior": evaluation.terms["kl"]} if "kl" in evaluation.terms else {}


def active(evaluation: Evaluation) -> dict[str, Figure]:
    """Number of dimensions of z in use."""
    count = evaluation.latent.get("active units")
    return {"active units": Figure(mean=count)} if isinstance(count, (int, float)) else {}


def accuracy(evaluation: Evaluation) -> dict[str, Figure]:
    """Shares of items whose class is predicted correctly."""
    return {f"accuracy, {way}": statistic for way, statistic in evaluation.accuracy.items()}


def coherence(evaluation: Evaluation) -> dict[str, Figure]:
    """Shares of generated values that show their class."""
    return {
        f"coherence, {way}, {how}": statistic
        for way, statistics in evaluation.coherence.items()
        for how, statistic in statistics.items()
        if how not in OF_THE_JUDGE
    }


def metrics(evaluation: Evaluation) -> dict[str, Figure]:
    """The statistics of the configured metrics, without details."""
    labels = metric_labels(evaluation).items()
    return {
        label: evaluation.metrics[name].figures[statistic] for label, (name, statistic) in labels
    }
