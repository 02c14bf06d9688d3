"""Staging: files and folders are written under a hidden name, and renamed when they are whole.

Hidden names are random and made exclusively. What is hidden is locked while it is written. So what
a killed process left is known by its lock, which is free, and the next process that writes to the
same place removes it (`sweep`).
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import functools
import hashlib
import os
import re
import secrets
import shutil
import socket
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

from mmvae.foundations import operations
from mmvae.foundations.operations import (
    REMEDY,
    create,
    delete,
    exchanged,
    fsync,
    fsync_tree,
    make_inside,
    rename,
    reported,
)

PARTIAL, PREVIOUS = ".partial", ".previous"
_LONGEST = 255  # bytes of a file's name
_ATTEMPTS = 9  # to lock what was just made
_BOOT = Path("/proc/sys/kernel/random/boot_id")


@contextlib.contextmanager
def staged_folder(final: Path, *, replace: bool = False, remedy: str = REMEDY) -> Iterator[Path]:
    """Yield a hidden folder beside ``final`` that becomes ``final``, whole, when the block ends.

    An exception in the block removes the hidden folder and leaves ``final`` as it was.

    Args:
        final: The folder to make; its parent exists.
        replace: Whether a ``final`` that exists is replaced; otherwise it is an error. Where the
            system cannot exchange two folders at once, a process killed between two renames
            leaves the old one hidden, and `clean` restores it.
        remedy: As for `write_bytes`.

    Raises:
        TrainingError: The system refused.
    """
    with reported(final, remedy):
        if final.exists() and not replace:
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
        with _claimed(final, make_inside) as hidden:
            yield hidden
            fsync_tree(hidden)
            _put_in_place(hidden, final)


@contextlib.contextmanager
def staged_file(final: Path, *, remedy: str = REMEDY) -> Iterator[Path]:
    """Yield a hidden place beside ``final`` for a file too large to be written at once.

    When the block ends the file there becomes ``final``, durably; an exception in the block
    removes it and leaves ``final`` as it was.

    Raises:
        TrainingError: The system refused.
    """
    with reported(final, remedy):
        _refuse_device(final)
        with _claimed(final, create) as hidden:
            yield hidden
            fsync(hidden)
            rename(hidden, final)
        fsync(final.parent)


@contextlib.contextmanager
def passing_file(near: Path, *, remedy: str = REMEDY) -> Iterator[Path]:
    """Yield a new hidden file beside ``near``, named after it; it is removed when the block ends.

    Raises:
        TrainingError: The system refused.
    """
    with reported(near, remedy), _claimed(near, create) as hidden:
        yield hidden
        delete(hidden)


def clean(folder: Path, name: str = "*", *, remedy: str = REMEDY) -> None:
    """Remove what killed processes left of ``name`` (a pattern) in ``folder``.

    Only for the process that alone writes there: another's unfinished file would be lost to it.
    """
    with reported(folder, remedy):
        for leftover in folder.glob(f".{name}.*{PARTIAL}"):
            delete(leftover)
        for previous in folder.glob(f".{name}{PREVIOUS}"):
            final = folder / previous.name[1 : -len(PREVIOUS)]
            if final.exists():
                delete(previous)
            else:
                rename(previous, final)
                fsync(folder)


def sweep(path: Path) -> None:
    """Remove hidden files that killed processes left beside ``path``.

    That is each file or folder with a hidden name of ``path`` which this user owns, which was made
    since this machine was started, and whose lock is free. Where another machine's locks cannot be
    seen, as on some shared disks, its files stay, since they bear another name. Nothing is swept
    where the system refuses: that costs room, and no command fails for it.
    """
    start, end = _affixes(path)
    ours = re.compile(f"{re.escape(start)}[0-9a-f]{{16}}{re.escape(end)}")
    with contextlib.suppress(OSError):
        for name in os.listdir(path.parent):
            if ours.fullmatch(name):
                with contextlib.suppress(OSError):
                    _sweep(path.parent / name)


@contextlib.contextmanager
def _claimed(final: Path, make: Callable[[Path], int]) -> Iterator[Path]:
    """Make a hidden file or folder beside ``final``, locked in the block; a failure removes it.

    Args:
        final: What it is to become.
        make: Makes it, and returns a descriptor of it.
    """
    sweep(final)
    hidden = hidden_name(final)
    with contextlib.ExitStack() as opened:
        try:
            for _ in range(_ATTEMPTS):
                descriptor = make(hidden)
                opened.callback(os.close, descriptor)
                if _locked(descriptor, hidden):
                    break
                delete(hidden)
                hidden = hidden_name(final)  # another name, since a sweeper removes by name
            else:
                raise OSError(errno.EBUSY, "another process locks the file or folder made there")
            yield hidden
        except BaseException:  # also an interrupt must leave nothing half-written
            with contextlib.suppress(OSError):  # what stays is hidden, and swept later
                delete(hidden)
            raise


def _locked(descriptor: int, path: Path) -> bool:
    """Lock a hidden file or folder until it is closed; False if another process was first."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return os.path.samestat(os.fstat(descriptor), os.lstat(path))
    except (BlockingIOError, FileNotFoundError):
        return False
    except OSError:  # some network file systems lock nothing, or no folders: nobody sweeps there
        return True


def _sweep(hidden: Path) -> None:
    """Remove a hidden file or folder, unless it is another user's or a process writes it."""
    kind = os.lstat(hidden)
    folder = stat.S_ISDIR(kind.st_mode)
    if kind.st_uid != os.geteuid() or not (folder or stat.S_ISREG(kind.st_mode)):
        return
    flags = os.O_RDONLY | os.O_DIRECTORY if folder else os.O_RDWR | os.O_NONBLOCK
    descriptor = os.open(hidden, flags | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(kind, os.fstat(descriptor)):
            operations.fault("remove", hidden)
            if folder:
                shutil.rmtree(hidden)
            else:
                os.unlink(hidden)
    finally:
        os.close(descriptor)


def hidden_name(path: Path) -> Path:
    """An unpredictable path next to ``path``."""
    start, end = _affixes(path)
    return path.parent / f"{start}{secrets.token_hex(8)}{end}"


def _affixes(path: Path) -> tuple[str, str]:
    """Beginning and end of the hidden names of ``path``, around 16 random characters."""
    end = f".{_machine()}{PARTIAL}"
    name = os.fsencode(path.name)[: _LONGEST - 18 - len(end)]
    return f".{os.fsdecode(name)}.", end


@functools.cache
def _machine() -> str:
    """A word for this machine since it was started: the same in all its containers."""
    try:
        started = _BOOT.read_text()
    except OSError:  # no Linux
        started = socket.gethostname()
    return hashlib.sha256(started.encode()).hexdigest()[:12]


def _refuse_device(path: Path) -> None:
    """Refuse to replace a pipe or a device, as ``/dev/stdout``, by a file."""
    special = path.exists() and not path.is_file() and not path.is_dir()
    if special or path.parent == Path("/dev"):
        raise OSError(errno.EINVAL, "it is no regular file")


def _put_in_place(hidden: Path, final: Path) -> None:
    """Replace ``final`` by the hidden folder, and remove the old one; an OSError keeps it."""
    if not final.exists():
        rename(hidden, final)
        fsync(final.parent)
        return
    with _unswept(final):
        _swap(hidden, final)
        try:
            fsync(final.parent)
        except OSError:
            _swap(hidden, final)
            raise
    with contextlib.suppress(OSError):  # what stays is hidden
        delete(hidden)


@contextlib.contextmanager
def _unswept(path: Path) -> Iterator[None]:
    """Keep sweepers from a file or folder in the block, although it gets a hidden name there."""
    with contextlib.ExitStack() as opened:
        with contextlib.suppress(OSError):  # a link, or where nothing can be locked: none sweeps
            descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
            opened.callback(os.close, descriptor)
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        yield


def _swap(hidden: Path, final: Path) -> None:
    """Exchange the hidden folder and ``final``: atomically if possible, else by three names."""
    if exchanged(hidden, final):
        return
    previous = final.parent / f".{final.name}{PREVIOUS}"
    delete(previous)
    rename(final, previous)
    try:
        rename(hidden, final)
    except OSError:
        rename(previous, final)
        raise
    with contextlib.suppress(OSError):  # then it stays as `clean` knows it
        rename(previous, hidden)
