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
        "--image", metavar="M", help="The pictures; the first modality shown as such by default."
    )
    attributes = click.option(
        "--attributes", metavar="M", help="The ±1 attributes; the first such modality by default."
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
        help="Set an attribute, a column for each; several at once with commas: "
        f"Smiling=2,Male=-2. May be repeated; {default} by default.",
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
        help="How many items of the split, a row for each.",
    )


def crop_options(command: F) -> F:
    """Add ``--crop`` and ``--face``, for photographs."""
    crop = click.option(
        "--crop",
        type=click.Choice(["face", "centre"]),
        help="The square around the face, or the middle of the picture; as the run's data were "
        "cropped unless given.",
    )
    face = click.option(
        "--face",
        "which",
        type=click.IntRange(min=1),
        metavar="N",
        help="Which face where there are several, 1 the first from the left.",
    )
    return crop(face(command))
