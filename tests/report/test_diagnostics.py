"""The picture of the KL per latent dimension."""

from __future__ import annotations

import io
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mmvae.report.canvas import OKABE_ITO
from mmvae.report.diagnostics import dimension_kl, draw

LATENT = {
    "kl per dimension": [0.0, 2.0, 0.5, 1.5],
    "variance per dimension": [0.0, 0.9, 0.02, 0.001],
    "active units": 2,
    "dimensions": 4,
}


def drawn(latent: dict[str, Any] | None) -> list[Any]:
    evaluation = {"items": 2000} | ({} if latent is None else {"latent": latent})
    return dimension_kl(SimpleNamespace(evaluation=evaluation, origin="Experiment toy."))


def heights(png: bytes, colour: str) -> list[int]:
    """Tallest first: rows of pixels of each bar of a colour, left to right."""
    pixels = np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int)
    wanted = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
    counts = (np.abs(pixels - wanted).sum(2) < 12).sum(0)[: int(0.8 * pixels.shape[1])]
    edges = np.flatnonzero(np.diff(np.concatenate([[0], counts > 5, [0]])))
    return [int(counts[a:b].max()) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def test_the_caption_says_what_is_seen() -> None:
    (picture,) = drawn(LATENT)
    assert picture.name == "latent-kl"
    for words in ("4 dimensions", "2,000 items", "together 4 nats", "2 of the dimensions are"):
        assert words in picture.caption
    assert picture.caption.endswith("Experiment toy.")


def test_bars_are_sorted_and_active_dimensions_told_apart() -> None:
    kl = [0.5, 2.0, 1.0]
    active = heights(draw(kl, [1.0, 1.0, 1.0]), OKABE_ITO[0])
    assert active == sorted(active, reverse=True)
    assert active == pytest.approx([active[0], active[0] / 2, active[0] / 4], abs=3)
    assert len(heights(draw(kl, [0.0, 1.0, 1.0]), OKABE_ITO[0])) == 2


@pytest.mark.parametrize("latent", [None, {"active units": 1, "dimensions": 2}])
def test_without_a_kl_there_is_no_picture(latent: dict[str, Any] | None) -> None:
    assert drawn(latent) == []


@pytest.mark.parametrize("n", [1, 2, 300])
def test_any_number_of_dimensions_can_be_drawn(n: int) -> None:
    assert draw([0.0] * n, [0.0] * n)
