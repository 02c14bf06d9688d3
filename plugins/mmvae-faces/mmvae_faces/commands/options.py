"""Options that the commands of this plugin share."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeVar

import click

from mmvae_faces.edit import OPTION, Edit

F = TypeVar("F", bound=Callable[..., Any])

PAPER_VARIANCE = 0.6
"""ζ of the paper's random faces."""


class EditType(click.ParamType[Edit]):
    """``NAME=VALUE``, or several with commas."""

    name = "edit"

    def convert(self, value: Any, param: Any, ctx: click.Context | None) -> Edit:
        """Parse it; a mistake ends the command before a model is opened."""
        return value if isinstance(value, Edit) else Edit.parse(str(value))


class Variance(click.FloatRange):
    """A finite number from 0 on."""

    def __init__(self) -> None:
        super().__init__(min=0)

    def convert(self, value: Any, param: Any, ctx: click.Context | None) -> float:
        """Parse it; refuse nan, which is in every range, and inf, which is in this one."""
        number = float(super().convert(value, param, ctx))
        if not math.isfinite(number):
            self.fail(f"{value!r} is no finite number; expected one such as 0.6.", param, ctx)
        return number


def modality_options(command: F) -> F:
    """Add ``--image M`` and ``--attributes M``."""
    image = click.option(
        "--image",
        metavar="M",
        help="Modality of the pictures. Default: the first modality that is shown as pictures.",
    )
    attributes = click.option(
        "--attributes",
        metavar="M",
        help="Modality of the ±1 attributes. Default: the first such modality.",
    )
    return image(attributes(command))


def edits_option(default: str) -> Callable[[F], F]:
    """Add ``--attribute NAME=VALUE``, passed as ``edits``."""
    return click.option(
        OPTION,
        "edits",
        multiple=True,
        type=EditType(),
        metavar="NAME=VALUE",
        help="Attribute to set; each option gives one column. Commas set several attributes in a "
        f"column: Smiling=2,Male=-2. May be repeated. Default: {default}.",
    )


def variance_option(default: float) -> Callable[[F], F]:
    """Add ``--variance``, ζ."""
    return click.option(
        "--variance",
        type=Variance(),
        default=default,
        show_default=True,
        help="ζ, the variance of the noise: z = μ + √ζ σ ε.",
    )


def items_option(default: int) -> Callable[[F], F]:
    """Add ``--items``."""
    return click.option(
        "--items",
        type=click.IntRange(1, 20),
        default=default,
        show_default=True,
        help="Number of items of the split, one per row.",
    )


def crop_options(command: F) -> F:
    """Add ``--crop`` and ``--face``, for photographs."""
    crop = click.option(
        "--crop",
        type=click.Choice(["face", "centre"]),
        help="'face': the square around the face. 'centre': the middle of the picture. Default: "
        "the crop of the run's data.",
    )
    face = click.option(
        "--face",
        "which",
        type=click.IntRange(min=1),
        metavar="N",
        help="Number of the face if there are several, counted from 1 at the left.",
    )
    return crop(face(command))
