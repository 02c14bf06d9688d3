"""The base of the image codecs: shape, reading, and conversion back to pictures."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, Literal

import numpy as np
import torch
from einops import rearrange
from pydantic import Field
from torch import Tensor

from mmvae import Codec, CodecConfig, Column, State, UnsupportedValue
from mmvae_images.doubts import doubts
from mmvae_images.picture import MOST, converted, opened
from mmvae_images.pixels import describe, read, to_pictures


class ImageConfig(CodecConfig):
    """Keys of every image codec."""

    size: int | None = Field(
        None,
        gt=0,
        description="Side of the square pictures, for a check only: pictures are never resized.",
    )
    channels: Literal[1, 3] | None = Field(
        None, description="1 is grey, 3 is RGB. Default: the channels of the data."
    )
    max_pixels: int = Field(
        MOST,
        gt=0,
        le=178_956_970,
        description="Maximum number of pixels of a picture to decode. Pillow's own limit is "
        "178,956,970.",
    )


class ImageCodec(Codec):
    """One picture per item: event shape (channels, height, width), pixels in [0, 1]."""

    Config = ImageConfig

    def fit(self, column: Column) -> State:
        """Learn shape and dtype from the first picture; :meth:`prepare` requires them of all."""
        if len(column) == 0:
            raise UnsupportedValue(None, "an empty column", "at least one picture")
        first = read(column.take([0]).read(), self.config.channels, self.config.max_pixels)
        shape = first.shape[1:]
        size = self.config.size
        if size is not None and shape[1:] != (size, size):
            self._refuse_size(shape, f"{size}×{size}", "Correct size, or scale the pictures.")
        self.check_shape(shape)
        return {"shape": list(shape), "dtype": str(first.dtype)}

    def check_state(self) -> None:
        """Require a type of pixels that :meth:`fit` learns."""
        if self.state["dtype"] not in ("uint8", "float32"):
            raise ValueError(f"dtype is {self.state['dtype']!r:.80}, expected uint8 or float32")

    def check_shape(self, shape: tuple[int, ...]) -> None:
        """Refuse a shape (channels, height, width) that the networks cannot take."""

    @property
    def event_shape(self) -> tuple[int, ...]:
        """(channels, height, width)."""
        return tuple(self.state["shape"])

    @property
    def event_size(self) -> int:
        """Number of pixels times channels."""
        return math.prod(self.event_shape)

    def prepare(self, column: Column) -> tuple[Tensor, Tensor | None]:
        """Pictures → uint8 0..255 or float32 [0, 1], shape (b, channels, height, width)."""
        pixels = read(column, self.config.channels, self.config.max_pixels)
        if len(pixels) and pixels.shape[1:] != self.event_shape:
            self._refuse_size(pixels.shape[1:], describe(self.event_shape), "")
        return torch.tensor(pixels).reshape(-1, *self.event_shape), None

    def doubts(self, column: Column) -> Iterator[tuple[int, str]]:
        """Levels that look like another scale, transparency, depth, frames that are not read."""
        return doubts(column, self.config.max_pixels)

    def to_input(self, x: Tensor) -> Tensor:
        """Grey levels 0..255 → float32 in [0, 1]; floats are unchanged."""
        return x.to(torch.float32) / 255 if x.dtype == torch.uint8 else x.to(torch.float32)

    def to_pixels(self, x: Tensor) -> Tensor:
        """Model values (b, event…) → pixels in [0, 1]; inverts :meth:`to_input`."""
        return x.detach().float().cpu().clamp(0, 1)

    def restore(self, x: Tensor) -> Column:
        """Model values → array (b, height, width[, 3]): uint8, or float32 if the source's was."""
        if self.state["dtype"] == "uint8":
            return Column(self._levels(x))
        return Column(_channels_last(self.to_pixels(x)))

    def parse(self, text: str) -> Column:
        """Path of a picture file → one picture, converted to grey or RGB as the model needs it."""
        channels, height, width = self.event_shape
        try:
            picture = converted(opened(text, most=self.config.max_pixels), channels)
        except UnsupportedValue as error:
            raise ValueError(f"{text!r} is not the path of a readable picture: {error}") from None
        if picture.size != (width, height):
            raise ValueError(
                f"{text!r} is {picture.height}×{picture.width} pixels, expected {height}×{width} "
                f"(height×width): scale it first."
            )
        return Column([picture], origin=text)

    def show(self, x: Tensor) -> list[Any]:
        """One PIL image per item, grey or RGB."""
        return to_pictures(self._levels(x))

    def compare(self, prediction: Tensor, x: Tensor) -> dict[str, Tensor]:
        """Mean over pixels of the squared difference, in model units."""
        return {"squared error": (prediction - x).square().flatten(1).mean(1)}

    def _levels(self, x: Tensor) -> np.ndarray[Any, Any]:
        return _channels_last((self.to_pixels(x) * 255).round().to(torch.uint8))

    def _refuse_size(self, shape: tuple[int, ...], expected: str, fix: str) -> None:
        raise UnsupportedValue(None, f"pictures of {describe(shape)}", expected, fix)


def _channels_last(x: Tensor) -> np.ndarray[Any, Any]:
    pixels = rearrange(x, "b c h w -> b h w c").contiguous().numpy()
    return pixels[..., 0] if pixels.shape[-1] == 1 else pixels
