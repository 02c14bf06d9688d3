"""Agreement of attributes and pictures in both directions; rare attributes weigh equally."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from mmvae import Codec, ConfigError, Metric, MetricConfig, Specimen, nearest
from mmvae_fidelity.classifier import classifier_of
from mmvae_fidelity.pictures import pixels, real, require_modality


class AgreementConfig(MetricConfig):
    """Keys of ``kind = "attribute-agreement"``."""

    modality: str = Field(description="The modality whose pictures show the attributes.")
    labels: str = Field(description="The modality of the attributes.")
    attributes: tuple[str, ...] | None = Field(
        None, min_length=1, description="Attributes to measure. Default: all."
    )
    threshold: Literal["zero", "mean"] = Field(
        "zero",
        description="Threshold above which a decoded attribute counts as present. 'zero': 0. "
        "'mean': the mean of the attribute over the training items, which treats rare and common "
        "attributes alike.",
    )


class AttributeAgreement(Metric):
    """Balanced accuracy of attributes from pictures, and of pictures from attributes."""

    kind = "attribute-agreement"
    Config = AgreementConfig
    config: AgreementConfig

    @property
    def about(self) -> str:
        """See :attr:`mmvae.Metric.about`."""
        c = self.config
        above = "0" if c.threshold == "zero" else "its training mean"
        return (
            f"Balanced accuracy (mean of sensitivity and specificity, 0.5 is chance) of "
            f"attributes of {c.labels!r}, and its mean over them; higher is better. From the "
            f"picture: whether the mean of p({c.labels}|z), z ~ q(z|{c.modality}), exceeds "
            f"{above}. From attributes: what a classifier trained on real training items "
            f"predicts from the mean of p({c.modality}|z), z ~ q(z|{c.labels}) at temperature 1, "
            f"binarised "
            f"where real pictures are. For comparison, that classifier on the real pictures."
        )

    def check(self, codecs: Mapping[str, Codec]) -> None:
        """See :meth:`mmvae.Metric.check`."""
        c = self.config
        require_modality(codecs, "modality", c.modality)
        require_modality(codecs, "labels", c.labels)
        names = codecs[c.labels].attributes
        if names is None:
            raise ConfigError(f"labels = {c.labels!r}: expected a modality with attributes.")
        for attribute in c.attributes or ():
            if attribute not in names:
                hint = nearest(attribute, names)
                raise ConfigError(
                    f"attributes: {c.labels!r} has no attribute {attribute!r}.{hint}"
                )

    def unavailable(self, specimen: Specimen) -> str | None:
        """See :meth:`mmvae.Metric.unavailable`."""
        modality, labels, model = self.config.modality, self.config.labels, specimen.model
        names = model.codecs[labels].attributes or ()
        ways = (specimen.lacks(labels, (modality,)), specimen.lacks(modality, (labels,)))
        if all(ways):
            return "; ".join(way for way in ways if way)
        wanted = self.config.attributes or names
        both = varies(self._truth(specimen))
        if not any(both[names.index(name)] for name in wanted):
            return f"all or none of the split's items have {', '.join(wanted)}"
        return None

    def measure(self, specimen: Specimen) -> Mapping[str, Tensor]:
        """See :meth:`mmvae.Metric.measure`."""
        modality, labels = self.config.modality, self.config.labels
        codecs = specimen.model.codecs
        names = codecs[labels].attributes
        assert names is not None
        truth = self._truth(specimen)
        counted = self._counted(specimen, names, truth)
        said: dict[str, Tensor] = {}
        from_picture, from_labels = f"{labels} from {modality}", f"{modality} from {labels}"
        if reason := specimen.lacks(labels, (modality,)):
            specimen.remarks.append(f"Not measured, {from_picture}: {reason}.")
        else:
            decoded = specimen.decoded(labels, (modality,))
            said[from_picture] = decoded > self._threshold(specimen, labels)
        classifier = classifier_of(specimen, modality, labels)
        if reason := specimen.lacks(modality, (labels,)):
            specimen.remarks.append(f"Not measured, {from_labels}: {reason}.")
        else:
            pictures = specimen.decoded(modality, (labels,), fixed=True)
            said[from_labels] = classifier.verdict(pixels(codecs[modality], pictures))
        said["classifier on real pictures"] = classifier.verdict(real(specimen, modality))
        found: dict[str, Tensor] = {}
        for name, verdicts in said.items():
            values = balanced_accuracy(verdicts[:, counted], truth[:, counted])
            found[name] = values.mean(1)
            for place, column in zip(counted, values.T, strict=True):
                found[f"{name}/{names[place]}"] = column
        return found

    def _truth(self, specimen: Specimen) -> Tensor:
        """Attributes of the split's items, bool (n, attributes)."""
        labels = self.config.labels
        key = ("truth", labels, id(specimen.items))
        truth: Tensor = specimen.shared(key, lambda: specimen.real(labels) >= 0)
        return truth

    def _counted(self, specimen: Specimen, names: Sequence[str], truth: Tensor) -> list[int]:
        """Indices of the attributes that count; a remark names those that do not vary."""
        wanted = [names.index(name) for name in self.config.attributes or names]
        both = varies(truth)
        constant = [names[a] for a in wanted if not both[a]]
        if constant:
            specimen.remarks.append(
                f"Left out, as all or none of the items have them: {', '.join(constant)}."
            )
        counted = [a for a in wanted if both[a]]
        specimen.remarks.append(f"The mean is over {len(counted)} attributes.")
        return counted

    def _threshold(self, specimen: Specimen, labels: str) -> Tensor:
        if self.config.threshold == "zero":
            return torch.zeros(())

        def mean() -> Tensor:
            return torch.cat([x[labels].cpu() for x in specimen.learned_from()]).mean(0)

        shared: Tensor = specimen.shared(("mean", labels), mean)
        return shared


def varies(truth: Tensor) -> Tensor:
    """Mask of the attributes that vary between items, bool (n, attributes) → (attributes,)."""
    return truth.any(0) & ~truth.all(0)


def balanced_accuracy(said: Tensor, truth: Tensor) -> Tensor:
    """½ (sensitivity + specificity) of each attribute, linearised, float64 (n, attributes).

    With s_c the share of correct predictions among the n_c items of a class c, an item of c adds
    n / (2 n_c) · (right − s_c); the mean over items is the balanced accuracy.

    Args:
        said: The predictions, bool (n, attributes).
        truth: The true values, likewise; both values of each attribute must occur.
    """
    right, n = (said == truth).double(), len(truth)
    whole = torch.zeros_like(right)
    for group in (truth, ~truth):
        members = group.double()
        count = members.sum(0)
        share = (right * members).sum(0) / count
        whole = whole + share / 2 + members * (n / (2 * count)) * (right - share)
    return whole
