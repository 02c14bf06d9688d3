"""The common part of this plugin's figure commands: open a run, draw, and write a file."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmvae.cli.drawing import common_options, opened, run_argument, write
from mmvae_faces.commands.options import modality_options

if TYPE_CHECKING:
    from mmvae import Picture


def face_figure(draw: Callable[..., Picture]) -> Callable[..., None]:
    """Add ``RUN``, ``--image``, ``--attributes`` and the options that all figures have.

    Args:
        draw: Receives the run as ``subject``, its model as ``model``, and the other options.

    Returns:
        A function for a click command; ``--split``, if any, chooses the items of ``subject``.
    """

    @run_argument
    @modality_options
    @common_options
    @wraps(draw)
    def command(
        run: Path,
        image: str | None,
        attributes: str | None,
        seed: int | None,
        overrides: tuple[str, ...],
        out: Path | None,
        as_json: bool,
        split: str | None = None,
        **own: Any,
    ) -> None:
        from mmvae_faces.face_model import FaceModel

        (subject,) = opened([run], split, seed, overrides)
        with subject.named():
            model = FaceModel.of(subject.trained, image, attributes)
        write(draw(subject, model, **own), [run], out, as_json)

    return command
