"""The folder beside an imputed table for the images that fill its cells."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mmvae.foundations import staging, storage
from mmvae.foundations.errors import UsageError
from mmvae.foundations.operations import reported

UNFINISHED = ".mmvae-unfinished"
"""Name of the file in a folder of pictures that names its table until the table is written."""


class FilledPictures:
    """The images that are imputed, as files or as the content of cells.

    Args:
        out: The path of the imputed table.
        in_files: True if a column holds paths of images.

    Raises:
        UsageError: Images are to be written into a folder that already exists.
    """

    def __init__(self, out: Path, in_files: bool) -> None:
        self.out, self.in_files = out, in_files
        self.folder = out.with_name(f"{out.stem}_pictures")
        if in_files and self.folder.exists() and not self._unfinished():
            raise UsageError(
                f"--out {out}: the pictures that are filled go to the folder {self.folder}, which "
                f"exists already. Remove it, or choose another name."
            )

    @contextmanager
    def staged(self) -> Iterator[Path | None]:
        """The folder for pictures while it is written, None if none is needed."""
        if not self.in_files:
            yield None
            return
        with staging.staged_folder(self.folder, replace=self.folder.exists()) as staged:
            storage.put(staged / UNFINISHED, os.fsencode(self.out.name))
            yield staged

    def _unfinished(self) -> bool:
        """True if a killed imputation of this table left the folder for pictures."""
        try:
            return storage.read(self.folder / UNFINISHED) == os.fsencode(self.out.name)
        except OSError:  # there is no such file
            return False

    def finish(self) -> None:
        """Note that the table is in its place."""
        if self.in_files:
            with reported(self.folder):
                (self.folder / UNFINISHED).unlink()

    def put(self, picture: Any, name: str, staged: Path | None) -> bytes | str:
        """Convert an image to what its column holds: its content as PNG, or the path of its file.

        Args:
            picture: A PIL image.
            name: The name of its file.
            staged: The folder from :meth:`staged`.
        """
        encoded = io.BytesIO()
        picture.save(encoded, "PNG")
        if staged is None:
            return encoded.getvalue()
        name = re.sub(r"[^\w.-]", "_", name)
        storage.put(staged / name, encoded.getvalue())
        return str(self.folder / name)
