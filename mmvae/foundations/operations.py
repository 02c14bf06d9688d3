"""Operations on disk: the primitives of durable files, each of which a test can watch or fail.

Every operation first calls ``fault``, the one point where a test can watch, fail or end the
process. What the operating system refuses becomes a `TrainingError` that says what to do
(`reported`). The module imports no torch.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from mmvae.foundations.errors import TrainingError

REMEDY = "then repeat the command; what was there before is intact."
CHUNK = 1 << 22
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
_AT_FDCWD, _EXCHANGE = -100, 2  # of renameat2


def _no_fault(operation: str, *paths: Path) -> None:
    """Let every operation happen."""


# Called with the operation and its paths just before each open, write, fsync, truncate, mkdir,
# rename (source, target), exchange (of two) and remove. Tests replace it; nothing else does.
fault: Callable[..., None] = _no_fault


@contextlib.contextmanager
def reported(path: Path, remedy: str = REMEDY) -> Iterator[None]:
    """Turn an OSError in the block into a `TrainingError` that names ``path`` and the remedy."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        advice = _ADVICE.get(error.errno or 0, "Repair that")
        raise TrainingError(f"Cannot write {path}: {reason}. {advice}, {remedy}") from error


def exchanged(one: Path, other: Path) -> bool:
    """Exchange two names at once, where the system can; whether it did."""
    fault("exchange", one, other)
    names = _AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other)
    exchange = getattr(ctypes.CDLL(None), "renameat2", None)
    return exchange is not None and bool(exchange(*names, _EXCHANGE) == 0)


def fsync_tree(folder: Path) -> None:
    """Make a folder and all below it durable."""
    for parent, _, names in os.walk(folder, topdown=False):
        for name in names:
            fsync(Path(parent, name))
        fsync(Path(parent))


def delete(path: Path) -> None:
    """Remove a file, a link or a whole folder; nothing there is fine."""
    with contextlib.suppress(FileNotFoundError):  # a sweeper was quicker
        if path.is_dir() and not path.is_symlink():
            for entry in sorted(path.iterdir()):
                delete(entry)
            fault("remove", path)
            os.rmdir(path)
        elif os.path.lexists(path):
            remove(path)


def create(path: Path) -> int:
    """Open a file that does not exist; no link and no file of another's is written to."""
    fault("open", path)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    return os.open(path, flags, 0o666)


def write(descriptor: int, path: Path, data: bytes) -> None:
    """Write all bytes."""
    rest = memoryview(data)
    while rest:
        fault("write", path)
        rest = rest[os.write(descriptor, rest[:CHUNK]) :]


def fsync(path: Path) -> None:
    """Make a file or folder durable."""
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


def mkdir(path: Path) -> None:
    """Make a folder."""
    fault("mkdir", path)
    os.mkdir(path)


def make_inside(path: Path) -> int:
    """Make a folder, and return a descriptor of it."""
    mkdir(path)
    return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)


def rename(source: Path, target: Path) -> None:
    """Give a file or folder another name, and replace a file there."""
    fault("rename", source, target)
    os.replace(source, target)


def remove(path: Path) -> None:
    """Remove a file or link."""
    fault("remove", path)
    os.unlink(path)
