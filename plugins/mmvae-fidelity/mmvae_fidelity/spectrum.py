"""The distance between mean log power spectra of real and of generated pictures: sharpness."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from mmvae import Specimen
from mmvae_fidelity.pictures import PictureMetric, generated, real

FLOOR = 1e-8
"""Added to powers, for pixels in [0, 1], so that a uniform picture has a finite logarithm."""


class PowerSpectrum(PictureMetric):
    """Root mean square over frequencies of the difference of mean log power, in decibels."""

    kind = "power-spectrum"

    @property
    def about(self) -> str:
        """See :attr:`mmvae.Metric.about`."""
        return (
            f"Distance of the mean log radial power spectrum of generated pictures of "
            f"{self.config.modality!r} (means of p(x|z), one z for each item, binarised where "
            f"real ones are) from that of real ones: root mean square over frequencies, in "
            f"decibels; lower is better. 'High' is the mean difference over the upper half of the "
            f"frequencies: below 0 the pictures are blurred."
        )

    def measure(self, specimen: Specimen) -> Mapping[str, Tensor]:
        """See :meth:`mmvae.Metric.measure`."""
        truth = spectra(real(specimen, self.config.modality))
        found: dict[str, Tensor] = {}
        for name, pictures in generated(specimen, self.config):
            theirs = spectra(pictures)
            found[name] = distance(truth, theirs)
            found[f"high, {name}"] = high(truth, theirs)
        return found


def spectra(pictures: Tensor) -> Tensor:
    """Radial power spectra of pictures (n, c, height, width), decibels, float64 (n, rings).

    Each picture, minus its mean and under a Hann window, is Fourier transformed in two dimensions.
    The power is averaged over channels and over rings of equal frequency, from one cycle per
    picture to the Nyquist frequency of its smaller side.
    """
    height, width = pictures.shape[-2:]
    window = torch.hann_window(height, periodic=False)[:, None] * torch.hann_window(
        width, periodic=False
    )
    ring = _rings(height, width)
    rings = int(ring.max())
    member = torch.nn.functional.one_hot(ring.flatten(), rings + 1).float()[:, 1:]
    member = member * _times(height, width).reshape(-1, 1)
    member = member / member.sum(0)
    parts = []
    for part in torch.split(pictures.float(), 500):
        centred = part - part.mean((-2, -1), keepdim=True)
        power = torch.fft.rfft2(centred * window, norm="ortho").abs().square().mean(1)
        parts.append(power.flatten(1) @ member)
    return 10 * (torch.cat(parts).double() + FLOOR).log10()


def _times(height: int, width: int) -> Tensor:
    """Multiplicity of each frequency of a real transform in the full one, (height, width//2 + 1).

    All but those across 0 and Nyquist stand for their opposites too.
    """
    times = torch.full((width // 2 + 1,), 2.0)
    times[0] = 1.0
    if width % 2 == 0:
        times[-1] = 1.0
    return times.expand(height, -1)


def _rings(height: int, width: int) -> Tensor:
    """The ring of each frequency of a real transform: 1, 2, …; 0 for none."""
    down, across = torch.fft.fftfreq(height)[:, None], torch.fft.rfftfreq(width)
    radius = (down.square() + across.square()).sqrt()
    side = min(height, width)
    ring = (radius * side).round().long()
    return torch.where(ring <= side // 2, ring, 0)


def distance(real: Tensor, other: Tensor) -> Tensor:
    """Root mean square of the mean difference over rings, linearised, float64 (n,).

    Its mean over items is the distance; see :meth:`mmvae.Metric.measure`.

    Args:
        real: Spectra of the items, (n, rings).
        other: Spectra of the picture generated for each, (n, rings).
    """
    apart = other - real
    mean = apart.mean(0)
    size = mean.square().mean().sqrt()
    if size == 0:
        return torch.zeros(len(real), dtype=real.dtype)
    return size + (apart - mean) @ mean / (len(mean) * size)


def high(real: Tensor, other: Tensor) -> Tensor:
    """Mean difference over the upper half of the rings, (n,): below 0 for blurred pictures."""
    upper = real.shape[1] // 2
    return (other - real)[:, upper:].mean(1)
