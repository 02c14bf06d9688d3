"""Atomic writes: after any interruption a file has its old or its new content.

A file or folder is written under a hidden name beside its place, made durable (fsync), renamed,
and the folder that holds it made durable too (:mod:`mmvae.foundations.staging`).

Other people's folders are not trusted: only regular files of bounded size are read (`read`),
what grows has no other name (`open_own`), and no link is followed below a folder that the user
named (`inner_folder`, `within`).
"""

from __future__ import annotations

import errno
import json
import os
import stat
from pathlib import Path
from typing import Any

from mmvae.foundations import operations
from mmvae.foundations.errors import UsageError, short
from mmvae.foundations.operations import (
    REMEDY,
    create,
    delete,
    fsync,
    mkdir,
    rename,
    reported,
    write,
)
from mmvae.foundations.staging import hidden_name, staged_file, sweep


def named_path(value: Any, what: str) -> Path:
    """A path that the user named in Python or on the command line.

    Args:
        value: A text or path.
        what: The argument, for messages.

    Raises:
        UsageError: It is neither, or no file can have such a name.
    """
    try:
        name = os.fspath(value)
        valid = isinstance(name, str) and b"\0" not in os.fsencode(name)
    except (TypeError, UnicodeEncodeError):
        valid = False
    if not valid:
        raise UsageError(
            f"{what} = {short(value)}: expected a path, a text of valid Unicode without the null "
            f"character. Correct it."
        )
    return Path(name)


MOST = 1 << 26
"""Bytes of the largest text file that is read whole by default."""


def write_bytes(path: Path, data: bytes, *, remedy: str = REMEDY) -> None:
    """Replace the file ``path`` by ``data``, durably and at once.

    Args:
        path: The file; its folder exists.
        data: The whole content.
        remedy: What to do after the advice on the failure, the end of a sentence.

    Raises:
        TrainingError: The system refused; ``path`` is as it was.
    """
    with staged_file(path, remedy=remedy) as hidden:
        descriptor = os.open(hidden, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            write(descriptor, hidden, data)
        finally:
            os.close(descriptor)


def overwrite(path: Path, data: bytes) -> None:
    """Write ``data`` over the content of a file that exists, in place.

    A process that is killed meanwhile leaves a torn file. It is for what may be lost, where the
    system has no room for a new file.

    Raises:
        TrainingError: The system refused.
    """
    with reported(path):
        operations.fault("open", path)
        descriptor = open_own(path, os.O_WRONLY)
        try:
            write(descriptor, path, data)
            os.ftruncate(descriptor, len(data))
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def write_text(path: Path, text: str, *, remedy: str = REMEDY) -> None:
    """Replace the file ``path`` by ``text`` in UTF-8, as `write_bytes` does."""
    write_bytes(path, text.encode(), remedy=remedy)


def write_json(path: Path, document: Any, *, remedy: str = REMEDY) -> None:
    """Replace the file ``path`` by ``document`` as readable JSON, as `write_bytes` does."""
    write_bytes(path, json_bytes(document), remedy=remedy)


def json_bytes(document: Any) -> bytes:
    """Return ``document`` in the one form that mmvae writes; ValueError at NaN or infinity."""
    text = json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)
    return text.encode() + b"\n"


def put(path: Path, data: bytes) -> None:
    """Write a new file inside a `staged_folder`, which makes it durable; raises plain OSError."""
    descriptor = create(path)
    try:
        write(descriptor, path, data)
    finally:
        os.close(descriptor)


def within(folder: Path, name: str) -> Path:
    """Return the place of ``name`` directly in ``folder``.

    Raises:
        UsageError: The name is no plain file name, so that it would lie elsewhere.
    """
    plain = name not in ("", ".", "..") and not set(name) & {"/", "\\", "\0"}
    if not plain or not name.isprintable():
        raise UsageError(
            f"{name!r} cannot name a file in {folder}: expected printable characters without "
            f"slashes."
        )
    return folder / name


def read(path: Path, most: int = MOST, *, follow: bool = False) -> bytes:
    """Return the content of a regular file of at most ``most`` bytes.

    Pipes and devices are refused without waiting for them, and links unless ``follow``.

    Raises:
        OSError: It is no such file; ``strerror`` says why.
    """
    descriptor = open_regular(path, follow=follow)
    with open(descriptor, "rb") as file:
        size = os.fstat(descriptor).st_size
        data = file.read(most + 1) if size <= most else b""
        if max(size, len(data)) > most:
            raise OSError(errno.EFBIG, f"it has more than {most} bytes", str(path))
    return data


def open_regular(path: Path, flags: int = os.O_RDONLY, *, follow: bool = False) -> int:
    """Return a descriptor of a regular file, which is not waited for.

    Raises:
        OSError: It cannot be opened, or is a link (unless ``follow``), a pipe or a device.
    """
    link = 0 if follow else os.O_NOFOLLOW
    try:
        descriptor = os.open(path, flags | link | os.O_NONBLOCK | os.O_CLOEXEC, 0o666)
    except OSError as error:
        if error.errno == errno.ELOOP and not follow:
            raise OSError(errno.ELOOP, "it is a symbolic link", str(path)) from error
        if error.errno == errno.ENXIO:  # a pipe without a reader, or a socket
            raise OSError(errno.EINVAL, "it is no regular file", str(path)) from error
        raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "it is no regular file", str(path))
    return descriptor


def open_own(path: Path, flags: int) -> int:
    """Return a descriptor of a file that is changed where it is: a regular one with one name.

    Raises:
        OSError: It is something else, or has another name elsewhere, whose content would change.
    """
    descriptor = open_regular(path, flags)
    if os.fstat(descriptor).st_nlink > 1:
        os.close(descriptor)
        reason = "it has a second name (a hard link); copy the folder to break the tie"
        raise OSError(errno.EMLINK, reason, str(path))
    return descriptor


def make_folder(path: Path, *, remedy: str = REMEDY) -> None:
    """Make the folder ``path`` and its parents durably; one that exists is left alone."""
    if path.is_dir():
        return
    make_folder(path.parent, remedy=remedy)
    with reported(path, remedy):
        try:
            mkdir(path)
        except FileExistsError:
            if not path.is_dir():  # else another process was quicker
                raise
        fsync(path.parent)


def inner_folder(folder: Path, name: str, *, remedy: str = REMEDY) -> Path:
    """Make the folder ``name`` directly in ``folder``, and return it; a link is refused."""
    path = within(folder, name)
    with reported(path, remedy):
        if path.is_symlink():
            raise OSError(errno.ELOOP, "it is a symbolic link")
    make_folder(path, remedy=remedy)
    return path


def remove_folder(path: Path, *, remedy: str = REMEDY) -> None:
    """Remove a folder so that no instant shows half of it under its name."""
    sweep(path)
    hidden = hidden_name(path)
    with reported(path, remedy):
        rename(path, hidden)
        fsync(path.parent)
        delete(hidden)


def move(source: Path, target: Path, *, remedy: str = REMEDY) -> None:
    """Give a durable file or folder another name at once; an empty folder there is replaced."""
    with reported(target, remedy):
        rename(source, target)
        fsync(target.parent)


def sync(folder: Path, *, remedy: str = REMEDY) -> None:
    """Make all that was written durable, once for many small files below ``folder``."""
    with reported(folder, remedy):
        operations.fault("fsync", folder)
        os.sync()
