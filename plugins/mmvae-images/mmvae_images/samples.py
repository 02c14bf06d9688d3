"""The observer ``samples``: sheets of generated pictures that show how a model learns."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence

import torch
from PIL import Image
from pydantic import Field

from mmvae import ConfigError, Observer, ObserverConfig, Watched, finite_values
from mmvae.foundations import storage

GAP = 2
"""Pixels between the pictures of a sheet."""


class SamplesConfig(ObserverConfig):
    """``[observers.NAME]`` of ``kind = "samples"``."""

    modality: str = Field(description="The modality to generate; it must be shown as pictures.")
    count: int = Field(25, ge=1, le=400, description="Number of pictures on a sheet.")


class Samples(Observer):
    """Writes ``RUN/NAME/epoch-0001.png`` and so on: the best values at the same z every time.

    z ~ p(z) is a function of the run's seed, so that a place on the sheets shows the same latent
    point in every epoch.
    """

    kind = "samples"
    Config = SamplesConfig

    def begin(self, watched: Watched) -> None:
        """Refuse a modality that cannot be drawn.

        Raises:
            ConfigError: The model does not generate the modality on its own, or it shows as text.
        """
        name, model = self.config.modality, watched.model
        where = f"observers.{self.name}.modality = {name!r}"
        if name not in model.decoded or model.conditional:
            known = () if model.conditional else model.decoded
            raise ConfigError(
                f"{where}: expected a modality that the model generates on its own: "
                f"{', '.join(known) or 'it has none'}."
            )
        if not isinstance(self._pictures(watched)[0], Image.Image):
            raise ConfigError(
                f"{where}: its values are shown as text; expected one shown as pictures."
            )

    def look(self, watched: Watched) -> Mapping[str, tuple[float, float | None]]:
        """Write the sheet of this epoch.

        Raises:
            TrainingError: A value is not finite; nothing is written.
        """
        if watched.folder is not None:
            folder = storage.inner_folder(watched.folder, self.name)
            file = io.BytesIO()
            sheet(self._pictures(watched)).save(file, "PNG")
            name = f"epoch-{watched.epoch:04}.png"
            storage.write_bytes(folder / name, file.getvalue())
        return {}

    @torch.no_grad()
    def _pictures(self, watched: Watched) -> list[Image.Image]:
        model, modality, count = watched.model, self.config.modality, self.config.count
        source = torch.Generator().manual_seed(watched.seed)
        noise = torch.randn(count, model.latent_dim, generator=source)
        z = model.sampling_prior(count).rsample(noise.to(next(model.parameters()).device))
        return model.codecs[modality].show(finite_values(model, modality, z))


def sheet(pictures: Sequence[Image.Image]) -> Image.Image:
    """Arrange pictures of one size in about as many rows as columns."""
    columns = math.ceil(math.sqrt(len(pictures)))
    rows = math.ceil(len(pictures) / columns)
    width, height = pictures[0].width + GAP, pictures[0].height + GAP
    whole = Image.new("RGB", (columns * width - GAP, rows * height - GAP), "white")
    for i, picture in enumerate(pictures):
        whole.paste(picture, (i % columns * width, i // columns * height))
    return whole
