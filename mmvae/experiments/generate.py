"""Creation of a data set: in several processes, resumable, and in place only when complete."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Generator, Iterable
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path, PurePosixPath

from mmvae.data.generator import Maker
from mmvae.foundations import staging, storage
from mmvae.foundations.errors import Interrupted, RunError, TrainingError, UsageError
from mmvae.foundations.journal import Journal
from mmvae.foundations.lock import FolderLock
from mmvae.foundations.operations import reported
from mmvae.foundations.progress import NOBODY, Progress
from mmvae.foundations.signals import EXIT_CODES, StopRequests

PART = 64
"""Number of items per part: at most this many per process are lost when it is killed."""

Files = list[tuple[str, bytes]]


def make_data(
    maker: Maker,
    out: Path,
    processes: int = 1,
    progress: Progress | None = None,
) -> None:
    """Create a data set in the folder ``out``, which exists only once it is complete.

    Until then it grows in a hidden folder beside ``out``. A later call with the same maker and
    configuration resumes there; with another one, it restarts.

    Args:
        maker: The maker of the data set.
        out: The folder; it must be empty, or not exist. Its parent folders are created.
        processes: Number of processes; the data do not depend on it.
        progress: Shows how many items are done; default: nowhere.

    Raises:
        UsageError: ``out`` is not empty, or not a folder.
        RunError: Another process is creating it.
        Interrupted: SIGINT or SIGTERM; completed parts are kept.
        TrainingError: The system refused to write, or a process died.
    """
    out = out.absolute()
    _tidy(out.parent / f".{out.name}.making")
    check_empty(out)
    storage.make_folder(out.parent)
    stage = storage.inner_folder(out.parent, f".{out.name}.making")
    if stage.stat().st_uid != os.geteuid():
        raise UsageError(
            f"{stage}, where --out {out} would grow, is another user's folder. Choose another "
            f"--out."
        )
    lock = FolderLock(stage)
    with lock.held():
        if lock.is_lost():
            raise RunError(f"{stage}: another process has just ended there. Repeat the command.")
        growing = stage / "data"
        done = _begin(maker, stage)
        _grow(maker, growing, done, processes, progress or NOBODY)
        _write(growing, maker.finish())
        storage.sync(growing)
        check_empty(out)
        storage.move(growing, out)
        storage.remove_folder(stage)


def check_empty(out: Path) -> None:
    """Refuse an output path that is already in use.

    Raises:
        UsageError: ``out`` is a file, or a folder that is not empty.
    """
    if out.exists() and not out.is_dir():
        raise UsageError(f"--out {out} is a file; expected a new or an empty folder.")
    if out.is_dir() and any(out.iterdir()):
        raise UsageError(
            f"--out {out} is not empty; expected a new or an empty folder. Choose another one, or "
            f"remove its content."
        )


def _tidy(stage: Path) -> None:
    """Remove the leftovers of a process that was killed after its files were complete."""
    staging.sweep(stage)
    if not _is_left(stage) or stage.stat().st_uid != os.geteuid():
        return
    with contextlib.suppress(RunError), FolderLock(stage).held():  # else a process works there
        if _is_left(stage):
            storage.remove_folder(stage)


def _is_left(stage: Path) -> bool:
    """True if all that was made in this folder has been moved to its place."""
    begun = not stage.is_symlink() and (stage / "parts").is_file()
    return begun and not (stage / "data").exists()


def _begin(maker: Maker, stage: Path) -> Journal:
    """The list of completed parts; empty if they belong to another data set."""
    recipe, parts = stage / "recipe.json", stage / "parts"
    wanted = storage.json_bytes(
        {"kind": maker.kind, "part": PART, "config": maker.config.model_dump(mode="json")}
    )
    if not (recipe.is_file() and storage.read(recipe) == wanted):
        recipe.unlink(missing_ok=True)
        parts.unlink(missing_ok=True)
        if (stage / "data").exists():
            storage.remove_folder(stage / "data")
        storage.write_bytes(recipe, wanted)
    storage.inner_folder(stage, "data")
    return Journal(parts)


def _grow(
    maker: Maker,
    folder: Path,
    journal: Journal,
    processes: int,
    progress: Progress,
) -> None:
    """Create the parts that the journal lacks, and add them to it."""
    total = maker.config.items
    finished = {int(line) for line in storage.read(journal.path).split()}
    missing = [
        range(start, min(start + PART, total))
        for start in range(0, total, PART)
        if start not in finished
    ]
    done = total - sum(map(len, missing))
    try:
        with StopRequests() as stop, contextlib.closing(_made(maker, missing, processes)) as made:
            progress.part(maker.kind, done, total)
            for rows, files in made:
                _write(folder, files)
                storage.sync(folder)
                journal.append(f"{rows.start}\n".encode())
                journal.flush()
                done += len(rows)
                progress.part(maker.kind, done, total)
                if stop.received is not None and done < total:
                    raise Interrupted(
                        f"stopped with {done} of {total} items made; the same command resumes.",
                        EXIT_CODES[stop.received],
                    )
    finally:
        journal.close()


def _made(
    maker: Maker, parts: list[range], processes: int
) -> Generator[tuple[range, Files], None, None]:
    """Yield the files of each part, in order, while a few more parts are computed ahead."""
    if processes == 1 or len(parts) < 2:
        yield from ((rows, list(maker.make(rows))) for rows in parts)
        return
    context = multiprocessing.get_context("spawn")  # a fork would copy locks held by threads
    pool = ProcessPoolExecutor(min(processes, len(parts)), context, initializer=_attend)
    try:
        ahead: deque[tuple[range, Future[Files]]] = deque()
        for rows in parts:
            ahead.append((rows, pool.submit(_files, type(maker), maker.config, rows)))
            if len(ahead) > 2 * processes:
                first, future = ahead.popleft()
                yield first, future.result()
        for first, future in ahead:
            yield first, future.result()
    except BrokenProcessPool as error:
        raise TrainingError(
            "a process that made items died, perhaps because memory ran out; the same command "
            "resumes. Fewer processes (--processes) need less."
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _attend() -> None:
    """Make a worker ignore signals, which its parent handles, and end with its parent."""
    for number in EXIT_CODES:
        signal.signal(number, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    assert parent is not None  # runs in workers only

    def follow() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()


def _files(maker_class: type[Maker], config: object, rows: range) -> Files:
    """The work of one worker: create the files of these rows."""
    return list(maker_class(config).make(rows))


def _write(folder: Path, files: Iterable[tuple[str, bytes]]) -> None:
    """Write files below ``folder``."""
    for name, content in files:
        place = PurePosixPath(name)
        if place.is_absolute() or ".." in place.parts:
            raise ValueError(f"a maker wants to write {name!r}, outside its folder")
        path = folder / place
        storage.make_folder(path.parent)
        with reported(path):
            path.unlink(missing_ok=True)  # left by a killed process
            storage.put(path, content)
