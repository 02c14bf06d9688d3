"""The place of the encoded pictures: a folder or a zip file, read one picture at a time."""

from __future__ import annotations

import hashlib
import os
import zipfile
import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath

from mmvae import DataError
from mmvae.data.fingerprints import contents
from mmvae.data.size_bounds import MIB, Bounds
from mmvae_benchmarks.celeba.listing import some

PICTURE = Bounds(file=64 * MIB)
"""How much the file of one picture may hold."""

ENDINGS = (".jpg", ".jpeg", ".png")


class Unreadable(Exception):
    """A picture's bytes are missing or are not a picture; the message gives the reason."""


class Pictures(ABC):
    """Encoded pictures in a fixed order; reading is safe from several threads.

    Attributes:
        names: Their names, for ids and messages.
        origin: Their place, for messages.
        unlisted: Names of further pictures there that the listing does not have.
    """

    names: Sequence[str]
    origin: str
    unlisted: Sequence[str] = ()

    def __len__(self) -> int:
        return len(self.names)

    @abstractmethod
    def read(self, row: int) -> bytes:
        """One encoded picture.

        Raises:
            Unreadable: It cannot be read.
        """

    @abstractmethod
    def fingerprint(self) -> str:
        """A hash that changes whenever a picture or their order does."""


class FolderPictures(Pictures):
    """Pictures in a folder, known by their contents.

    Args:
        folder: The folder.
        names: The pictures that are wanted, in order.
        listing: The file that lists them, for messages.

    Raises:
        DataError: A wanted picture is missing.
    """

    def __init__(self, folder: Path, names: Sequence[str], listing: Path) -> None:
        self.folder, self.names, self.origin = folder, names, str(folder)
        try:
            with os.scandir(folder) as entries:
                files = [entry for entry in entries if is_picture(entry.name) and entry.is_file()]
            self._found = {file.name: None for file in files}
        except OSError as error:
            raise DataError(f"{folder}: cannot be read ({error.strerror}).") from None
        self.unlisted = _compared(self.origin, self._found, names, listing)

    def read(self, row: int) -> bytes:
        """See :meth:`Pictures.read`."""
        try:
            with PICTURE.open(self.folder / self.names[row]) as file:
                return file.read()
        except DataError as error:
            raise Unreadable(str(error)) from None
        except OSError as error:
            raise Unreadable(error.strerror or str(error)) from None

    def fingerprint(self) -> str:
        """See :meth:`Pictures.fingerprint`."""
        known = contents([self.folder / name for name in self.names])
        return _hash(f"{name}/{content}" for name, content in zip(self.names, known, strict=True))


class ZipPictures(Pictures):
    """Pictures in a zip file; a picture has changed if its checksum has.

    Args:
        path: The zip file.
        names: The pictures that are wanted, in order, without the folders they are in.
        listing: What names them, for messages.

    Raises:
        DataError: Not a whole zip file, without pictures, or a wanted picture is missing.
    """

    def __init__(self, path: Path, names: Sequence[str], listing: Path) -> None:
        self.names, self.origin = names, str(path)
        try:
            self._zip = zipfile.ZipFile(path)
        except (OSError, zipfile.BadZipFile) as error:
            raise DataError(
                f"{path}: cannot be read as a zip file ({error}). It may be cut: fetch it again."
            ) from None
        self._members: dict[str, zipfile.ZipInfo] = {}
        for member in self._zip.infolist():
            inside = PurePosixPath(member.filename)
            if is_picture(inside.name) and "__MACOSX" not in inside.parts:
                if inside.name in self._members:
                    raise DataError(
                        f"{path}: two pictures are called {inside.name!r}, expected one of each "
                        f"name. Fetch the file again."
                    )
                self._members[inside.name] = member
        self.unlisted = _compared(self.origin, self._members, names, listing)

    def read(self, row: int) -> bytes:
        """See :meth:`Pictures.read`."""
        member = self._members[self.names[row]]
        if member.file_size > PICTURE.file:
            raise Unreadable(f"{member.file_size:,} bytes, expected {PICTURE.file:,} at most")
        try:
            return self._zip.read(member)
        except (OSError, RuntimeError, zipfile.BadZipFile, zlib.error, EOFError) as error:
            raise Unreadable(str(error)) from None

    def fingerprint(self) -> str:
        """See :meth:`Pictures.fingerprint`."""
        members = ((name, self._members[name]) for name in self.names)
        return _hash(f"{name}/{m.file_size}/{m.CRC}" for name, m in members)


def is_picture(name: str) -> bool:
    """True if a file's name is that of a picture."""
    return name.lower().endswith(ENDINGS) and not name.startswith(".")


def _compared(
    origin: str, found: Mapping[str, object], wanted: Sequence[str], listing: Path
) -> list[str]:
    """The pictures that are found but not wanted; an error if one is wanted but not found."""
    if not found:
        raise DataError(
            f"{origin}: there are no pictures in it, expected {some(list(wanted))} as "
            f"{listing} lists them. Fetch it again."
        )
    missing = [name for name in wanted if name not in found]
    unlisted = sorted(set(found).difference(wanted))
    if missing:
        others = f" {some(unlisted)} there are not listed: renamed?" if unlisted else ""
        raise DataError(
            f"{origin}: {some(missing)} of {len(wanted):,} that {listing} lists are missing."
            f"{others} Fetch the pictures again, or take their lines out of the listing."
        )
    return unlisted


def _hash(lines: Iterable[str]) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for line in lines:
        digest.update(line.encode() + b"\n")
    return digest.hexdigest()
