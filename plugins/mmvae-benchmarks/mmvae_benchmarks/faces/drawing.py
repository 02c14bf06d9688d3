"""Drawing: a face before its backdrop, in its light, as a picture of 178×218 pixels."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageFilter

from mmvae_benchmarks.faces.beard import draw_beard, draw_mustache
from mmvae_benchmarks.faces.canvas import HEIGHT, OVERSAMPLING, SIZE, WIDTH, Array, Canvas
from mmvae_benchmarks.faces.eyes import draw_brows, draw_eyes
from mmvae_benchmarks.faces.face import Face
from mmvae_benchmarks.faces.hair import draw_back_hair, draw_front_hair
from mmvae_benchmarks.faces.head import draw_head, draw_neck
from mmvae_benchmarks.faces.look import Look, hue, shade
from mmvae_benchmarks.faces.mouth import draw_mouth
from mmvae_benchmarks.faces.nose import draw_nose
from mmvae_benchmarks.faces.wear import (
    draw_clothes,
    draw_earrings,
    draw_glasses,
    draw_hat,
    draw_necklace,
)

_Y, _X = np.mgrid[-1 : 1 : HEIGHT * 1j, -1 : 1 : WIDTH * 1j].astype(np.float32)


def draw(face: Face, noise: np.random.Generator) -> Image.Image:
    """Draw a face.

    Args:
        face: The face.
        noise: The generator of the picture's grain.

    Returns:
        RGB picture of 178×218 pixels.
    """
    canvas = Canvas(face.look.pose(), _backdrop(face.look))
    draw_back_hair(canvas, face)
    draw_neck(canvas, face)
    draw_clothes(canvas, face)
    head = draw_head(canvas, face)
    draw_beard(canvas, face, head)
    draw_eyes(canvas, face, head)
    draw_nose(canvas, face, head)
    draw_mouth(canvas, face, head)
    draw_mustache(canvas, face)
    draw_necklace(canvas, face)
    draw_front_hair(canvas, face)
    draw_brows(canvas, face)
    draw_hat(canvas, face)
    draw_glasses(canvas, face)
    draw_earrings(canvas, face)
    picture = canvas.image.reduce(OVERSAMPLING)
    if face["Blurry"]:
        picture = picture.filter(ImageFilter.GaussianBlur(2.3))
    return _lit(picture, face.look, noise)


def _backdrop(look: Look) -> Image.Image:
    """A gradient between two colours with a soft spot in it."""
    first = hue(look("backdrop"), look("back_red", 0.1, 0.6), look("back_green", 60, 235))
    second = hue(look("back_blue"), look("back_red", 0.6, 0.1), look("back_green", 235, 60))
    angle = look("back_angle", 0, 2 * np.pi)
    along = 0.5 + 0.35 * (np.cos(angle) * _X + np.sin(angle) * _Y)
    away = (_X - look("back_spot_x", -1, 1)) ** 2 + (_Y - look("back_spot_y", -1, 0.3)) ** 2
    spot = 0.5 * np.exp(-away / look("back_spot_size", 0.05, 0.5))
    share = np.clip(along + spot, 0, 1)[::2, ::2, None]
    values = np.array(first) * (1 - share) + np.array(shade(second, 0.9)) * share
    return Image.fromarray(values.astype(np.uint8)).resize(SIZE, Image.Resampling.BILINEAR)


def _lit(picture: Image.Image, look: Look, noise: np.random.Generator) -> Image.Image:
    """Light from one side, brightness, and the grain of a film."""
    strength, angle = look("light_strength", 0.0, 0.26), look("light_angle", 0, 2 * np.pi)
    slope = strength * (np.cos(angle) * _X + 0.5 * np.sin(angle) * _Y)
    light = look("ambient", 0.86, 1.08) * (1 + slope)
    grain = look("grain", 1.0, 4.0) * (noise.random((HEIGHT, WIDTH), np.float32) - 0.5)
    values: Array = np.asarray(picture, np.float32) * light[..., None] + 2 * grain[..., None]
    return Image.fromarray(np.clip(values, 0, 255).astype(np.uint8))
