"""Pictures for metrics: real ones and a model's own, in the user's units, by posterior."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from mmvae import Codec, ConfigError, Metric, MetricConfig, Specimen, nearest

TOLERANCE = 1e-3
"""Pixels may lie this far outside [0, 1] by rounding, and are clamped."""


class PictureConfig(MetricConfig):
    """The keys that metrics of pictures share."""

    modality: str = Field(description="The modality whose pictures are measured.")
    given: tuple[tuple[str, ...], ...] | None = Field(
        None,
        description="Posteriors to sample z from, each named by its observed modalities; [] is "
        "the prior. Default: all modalities, all except the pictures, and the prior.",
    )


class PictureMetric(Metric):
    """A metric of a model's pictures beside real ones."""

    Config = PictureConfig
    config: PictureConfig

    def check(self, codecs: Mapping[str, Codec]) -> None:
        """See :meth:`mmvae.Metric.check`: refuse modalities that are not there, or no pictures."""
        modality, given = self.config.modality, self.config.given or ()
        require_modality(codecs, "modality", modality)
        for name in (name for subset in given for name in subset):
            require_modality(codecs, "given", name)
        codec = codecs[modality]
        try:
            _restored(codec, codec.missing(1))
        except ConfigError as error:
            raise ConfigError(f"modality = {modality!r}: {error}") from error

    def unavailable(self, specimen: Specimen) -> str | None:
        """See :meth:`mmvae.Metric.unavailable`: the reason why the model has no pictures."""
        modality, given = self.config.modality, self.config.given
        if modality not in specimen.model.codecs:
            return f"modality = {modality!r} is none of {', '.join(specimen.model.modalities)}"
        asked = posteriors(specimen, self.config)
        reasons = [specimen.lacks(modality, tuple(subset)) for subset in asked]
        if given is None and None in reasons:
            return None
        return next((reason for reason in reasons if reason), None)


def pixels(codec: Codec, x: Tensor) -> Tensor:
    """Convert model values (n, event…) to pictures, float32 (n, c, height, width).

    They are in the user's units: integers, 0 to 255, are scaled to [0, 1]; floats are in it
    already.

    Raises:
        ConfigError: The values are not pictures, or outside [0, 1].
    """
    values = _restored(codec, x)
    pictures = torch.from_numpy(values.astype(np.float32))
    if values.dtype == np.uint8:
        pictures = pictures / 255
    elif len(pictures):
        low, high = float(pictures.min()), float(pictures.max())
        if low < -TOLERANCE or high > 1 + TOLERANCE:  # statistics report NaN
            raise ConfigError(
                f"metrics: codec {codec.kind!r} gives pictures from {low:g} to {high:g}; expected "
                f"pixels in [0, 1], or 0 to 255 as 8-bit whole numbers. Scale them where its data "
                f"are read, or have the codec's restore cut off what lies outside."
            )
        pictures = pictures.clamp(0, 1)
    if pictures.ndim == 3:
        return pictures[:, None]
    return pictures.permute(0, 3, 1, 2).contiguous()


def _restored(codec: Codec, x: Tensor) -> np.ndarray[Any, Any]:
    """Convert model values to pictures as the user has them.

    Raises:
        ConfigError: The values are not pictures.
    """
    values = np.asarray(codec.restore(x).values)
    if values.ndim not in (3, 4) or values.dtype.kind not in "fu":
        raise ConfigError(
            f"codec {codec.kind!r} gives {values.dtype} values of shape {values.shape[1:]}; "
            f"expected pictures, (height, width) or (height, width, channels). Name an image "
            f"modality."
        )
    return values


def require_modality(codecs: Mapping[str, Codec], key: str, name: str) -> None:
    """Refuse a name that is no modality.

    Raises:
        ConfigError: There is none of this name.
    """
    if name not in codecs:
        hint = nearest(name, codecs)
        raise ConfigError(f"{key} = {name!r}: expected one of {', '.join(codecs)}.{hint}")


def real(specimen: Specimen, modality: str) -> Tensor:
    """The pictures of the split, (n, c, height, width)."""
    key = ("real pictures", modality, id(specimen.items))
    codec = specimen.model.codecs[modality]
    made: Tensor = specimen.shared(key, lambda: pixels(codec, specimen.real(modality)))
    return made


def generated(specimen: Specimen, config: PictureConfig) -> Iterator[tuple[str, Tensor]]:
    """Yield a model's pictures by posterior of z: name, (n, c, height, width).

    Each is the mean of p(x|z) at one sample z for each item of the split, in the view that real
    pictures have (:func:`mmvae.Codec.fixed`): for binary pixels it is a draw of p(x|z). A remark
    names posteriors that the model lacks; those named in the configuration are refused earlier.
    """
    codec = specimen.model.codecs[config.modality]
    for given in posteriors(specimen, config):
        if reason := specimen.lacks(config.modality, given):
            specimen.remarks.append(f"Not measured, {name_of(given)}: {reason}.")
            continue
        seen = specimen.decoded(config.modality, given, fixed=True)
        yield name_of(given), pixels(codec, seen)


def posteriors(specimen: Specimen, config: PictureConfig) -> list[tuple[str, ...]]:
    """The sets of given modalities from which z is sampled; the empty one is the prior."""
    if config.given is not None:
        return [tuple(given) for given in config.given]
    everything = specimen.model.modalities
    others = tuple(m for m in everything if m != config.modality)
    return list(dict.fromkeys((everything, others, ())))


def name_of(given: tuple[str, ...]) -> str:
    """The name of a statistic of pictures at z from this posterior."""
    return f"z given {'+'.join(given)}" if given else "z from the prior"
