"""Files that are either as they were or as they should be, whatever stops the process.

A file or folder is written under a hidden name beside its place, made durable (fsync), renamed,
and the folder that holds it made durable too. Every primitive operation first calls ``fault``, the
one point where a test can watch, fail or end the process; what the operating system refuses
becomes a `TrainingError` that says what to do. The module imports no torch.

Other people's folders are not trusted: hidden names are random and made exclusively, what is read
is a regular file of bounded size (`read`), what grows is one that is nowhere else (`open_own`),
and no link is followed below a folder that the user named (`inner_folder`, `within`).

What is hidden is locked while it is written. So what a killed process left is known by its lock,
which is free, and whoever writes to the same place next removes it (`sweep`).
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import functools
import hashlib
import json
import os
import re
import secrets
import shutil
import socket
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from mmvae.foundations.errors import TrainingError, UsageError

PARTIAL, PREVIOUS = ".partial", ".previous"
REMEDY = "then repeat the command; what was there before is intact."
MOST = 1 << 26
"""Bytes of the largest text file that is read whole unless told otherwise."""

_CHUNK = 1 << 22
_LONGEST = 255  # bytes of a file's name
_ATTEMPTS = 9  # to lock what was just made
_BOOT = Path("/proc/sys/kernel/random/boot_id")
_AT_FDCWD, _EXCHANGE = -100, 2  # of renameat2

_ADVICE = {
    errno.ENOSPC: "Free space on that disk",
    errno.EDQUOT: "Free space in your quota",
    errno.EROFS: "Make that file system writable",
    errno.EACCES: "Allow writing there",
    errno.EPERM: "Allow writing there",
    errno.EIO: "Check that disk",
    errno.ENAMETOOLONG: "Choose a shorter name",
    errno.ELOOP: "Remove that link",
}


def _no_fault(operation: str, *paths: Path) -> None:
    """Let every operation happen."""


# Called with the operation and its paths just before each open, write, fsync, truncate, mkdir,
# rename (source, target), exchange (of two) and remove. Tests replace it; nothing else does.
fault: Callable[..., None] = _no_fault


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
            _write(descriptor, hidden, data)
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
        fault("open", path)
        descriptor = open_own(path, os.O_WRONLY)
        try:
            _write(descriptor, path, data)
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
        with _claimed(final, _make_inside) as hidden:
            yield hidden
            _fsync_tree(hidden)
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
        with _claimed(final, _create) as hidden:
            yield hidden
            _fsync(hidden)
            _rename(hidden, final)
        _fsync(final.parent)


@contextlib.contextmanager
def passing_file(near: Path, *, remedy: str = REMEDY) -> Iterator[Path]:
    """Yield a new hidden file beside ``near``, named after it; it is removed when the block ends.

    Raises:
        TrainingError: The system refused.
    """
    with reported(near, remedy), _claimed(near, _create) as hidden:
        yield hidden
        _delete(hidden)


def put(path: Path, data: bytes) -> None:
    """Write a new file inside a `staged_folder`, which makes it durable; raises plain OSError."""
    descriptor = _create(path)
    try:
        _write(descriptor, path, data)
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
            _mkdir(path)
        except FileExistsError:
            if not path.is_dir():  # else another process was quicker
                raise
        _fsync(path.parent)


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
    hidden = _hidden(path)
    with reported(path, remedy):
        _rename(path, hidden)
        _fsync(path.parent)
        _delete(hidden)


def move(source: Path, target: Path, *, remedy: str = REMEDY) -> None:
    """Give a durable file or folder another name at once; an empty folder there is replaced."""
    with reported(target, remedy):
        _rename(source, target)
        _fsync(target.parent)


def sync(folder: Path, *, remedy: str = REMEDY) -> None:
    """Make all that was written durable, once for many small files below ``folder``."""
    with reported(folder, remedy):
        fault("fsync", folder)
        os.sync()


def clean(folder: Path, name: str = "*", *, remedy: str = REMEDY) -> None:
    """Remove what killed processes left of ``name`` (a pattern) in ``folder``.

    Only for the process that alone writes there: another's unfinished file would be lost to it.
    """
    with reported(folder, remedy):
        for leftover in folder.glob(f".{name}.*{PARTIAL}"):
            _delete(leftover)
        for previous in folder.glob(f".{name}{PREVIOUS}"):
            final = folder / previous.name[1 : -len(PREVIOUS)]
            if final.exists():
                _delete(previous)
            else:
                _rename(previous, final)
                _fsync(folder)


def sweep(path: Path) -> None:
    """Remove what killed processes left beside ``path`` of what they wrote or removed there.

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


class Journal:
    """A file that grows by whole lines.

    Opening cuts a torn last line off, the rest of a killed process. An append that fails leaves
    the file as it was.

    Args:
        path: The file; made if it does not exist.

    Raises:
        TrainingError: The system refused, here and in every method.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with reported(path):
            new = not os.path.lexists(path)
            fault("open", path)
            self._descriptor = open_own(path, os.O_RDWR | os.O_CREAT | os.O_APPEND)
            if new:
                _fsync(path.parent)
            size, self.offset = os.fstat(self._descriptor).st_size, self._whole_lines()
            if self.offset < size:
                self._cut(self.offset)

    def append(self, line: bytes) -> None:
        """Add one line, newline included."""
        with reported(self.path):
            try:
                _write(self._descriptor, self.path, line)
            except BaseException:
                with contextlib.suppress(OSError):  # the next opening cuts the torn line off
                    self._cut(self.offset)
                raise
            self.offset += len(line)

    def is_lost(self) -> bool:
        """True if the file was removed, moved or replaced meanwhile."""
        try:
            there = os.stat(self.path, follow_symlinks=False)
        except OSError:
            return True
        return not os.path.samestat(there, os.fstat(self._descriptor))

    def put_back(self) -> None:
        """Write what the file held to its place, durably, and go on there."""
        with staged_file(self.path) as hidden, hidden.open("wb") as file:
            for part in self.chunks(self.offset):
                file.write(part)
        with reported(self.path):
            descriptor = open_own(self.path, os.O_RDWR | os.O_APPEND)
        os.close(self._descriptor)
        self._descriptor = descriptor

    def go_on(self) -> None:
        """Go on behind the lines that the file holds, if others changed it."""
        with reported(self.path):
            self._cut(self._whole_lines())

    def flush(self) -> None:
        """Make everything appended so far durable."""
        with reported(self.path):
            fault("fsync", self.path)
            os.fsync(self._descriptor)

    def truncate(self, offset: int) -> None:
        """Forget everything after the first ``offset`` bytes; ValueError if no line ends there."""
        inside = 0 <= offset <= self.offset
        if not inside or (offset > 0 and os.pread(self._descriptor, 1, offset - 1) != b"\n"):
            raise ValueError(f"no line of {self.path} ends at byte {offset}")
        with reported(self.path):
            self._cut(offset)

    def chunks(self, size: int) -> Iterator[bytes]:
        """The first ``size`` bytes, in parts."""
        for start in range(0, size, _CHUNK):
            yield os.pread(self._descriptor, min(_CHUNK, size - start), start)

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)

    def _cut(self, offset: int) -> None:
        fault("truncate", self.path)
        os.ftruncate(self._descriptor, offset)
        self.offset = offset

    def _whole_lines(self) -> int:
        end = os.fstat(self._descriptor).st_size
        while end > 0:
            start = max(0, end - _CHUNK)
            newline = os.pread(self._descriptor, end - start, start).rfind(b"\n")
            if newline >= 0:
                return start + newline + 1
            end = start
        return 0


@contextlib.contextmanager
def reported(path: Path, remedy: str = REMEDY) -> Iterator[None]:
    """Turn an OSError in the block into a `TrainingError` that names ``path`` and the remedy."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        advice = _ADVICE.get(error.errno or 0, "Repair that")
        raise TrainingError(f"Cannot write {path}: {reason}. {advice}, {remedy}") from error


@contextlib.contextmanager
def _claimed(final: Path, make: Callable[[Path], int]) -> Iterator[Path]:
    """Make a hidden file or folder beside ``final``, locked in the block; a failure removes it.

    Args:
        final: What it is to become.
        make: Makes it, and returns a descriptor of it.
    """
    sweep(final)
    hidden = _hidden(final)
    with contextlib.ExitStack() as opened:
        try:
            for _ in range(_ATTEMPTS):
                descriptor = make(hidden)
                opened.callback(os.close, descriptor)
                if _locked(descriptor, hidden):
                    break
                _delete(hidden)
                hidden = _hidden(final)  # another name, since a sweeper removes by name
            else:
                raise OSError(errno.EBUSY, "another process locks what is made there")
            yield hidden
        except BaseException:  # also an interrupt must leave nothing half-written
            with contextlib.suppress(OSError):  # what stays is hidden, and swept later
                _delete(hidden)
            raise


def _locked(descriptor: int, path: Path) -> bool:
    """Lock what is hidden until it is closed; False if someone, as a sweeper, was quicker."""
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
            fault("remove", hidden)
            if folder:
                shutil.rmtree(hidden)
            else:
                os.unlink(hidden)
    finally:
        os.close(descriptor)


def _hidden(path: Path) -> Path:
    """A place beside ``path`` that nobody can guess."""
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
    """Let ``final`` be what is hidden, and remove what it was; an OSError leaves it as it was."""
    if not final.exists():
        _rename(hidden, final)
        _fsync(final.parent)
        return
    with _unswept(final):
        _swap(hidden, final)
        try:
            _fsync(final.parent)
        except OSError:
            _swap(hidden, final)
            raise
    with contextlib.suppress(OSError):  # what stays is hidden
        _delete(hidden)


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
    """Exchange what is hidden and ``final``: at once where the system can, else by three names."""
    if _exchanged(hidden, final):
        return
    previous = final.parent / f".{final.name}{PREVIOUS}"
    _delete(previous)
    _rename(final, previous)
    try:
        _rename(hidden, final)
    except OSError:
        _rename(previous, final)
        raise
    with contextlib.suppress(OSError):  # then it stays as `clean` knows it
        _rename(previous, hidden)


def _exchanged(one: Path, other: Path) -> bool:
    """Exchange two names at once, where the system can; whether it did."""
    fault("exchange", one, other)
    names = _AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other)
    exchange = getattr(ctypes.CDLL(None), "renameat2", None)
    return exchange is not None and bool(exchange(*names, _EXCHANGE) == 0)


def _fsync_tree(folder: Path) -> None:
    for parent, _, names in os.walk(folder, topdown=False):
        for name in names:
            _fsync(Path(parent, name))
        _fsync(Path(parent))


def _delete(path: Path) -> None:
    """Remove a file, a link or a whole folder; nothing there is fine."""
    with contextlib.suppress(FileNotFoundError):  # a sweeper was quicker
        if path.is_dir() and not path.is_symlink():
            for entry in sorted(path.iterdir()):
                _delete(entry)
            fault("remove", path)
            os.rmdir(path)
        elif os.path.lexists(path):
            _remove(path)


def _create(path: Path) -> int:
    """Open a file that does not exist; no link and no file of another's is written to."""
    fault("open", path)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    return os.open(path, flags, 0o666)


def _write(descriptor: int, path: Path, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        fault("write", path)
        rest = rest[os.write(descriptor, rest[:_CHUNK]) :]


def _fsync(path: Path) -> None:
    fault("fsync", path)
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some network file systems cannot sync a folder; there is nothing better to ask of them.
        if error.errno not in (errno.EINVAL, errno.ENOTSUP) or not path.is_dir():
            raise
    finally:
        os.close(descriptor)


def _mkdir(path: Path) -> None:
    fault("mkdir", path)
    os.mkdir(path)


def _make_inside(path: Path) -> int:
    """Make a folder, and return a descriptor of it."""
    _mkdir(path)
    return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)


def _rename(source: Path, target: Path) -> None:
    fault("rename", source, target)
    os.replace(source, target)


def _remove(path: Path) -> None:
    fault("remove", path)
    os.unlink(path)
