"""The run folder: everything needed to repeat, resume, evaluate and use one training.

``RUN/{config.toml, config.resolved.toml, env.json, plugins.lock.json, status.json, log.txt,
metrics.jsonl, evaluation.json, report.html, figures/, model/, checkpoints/, latest}``. One process
at a time may train a run, and one may evaluate it meanwhile. Their locks are the system's, so they
end with the process, in whatever way it ends.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pydantic

from mmvae.foundations import staging, storage
from mmvae.foundations.errors import RunError, TrainingError
from mmvae.foundations.json_document import parse_json, problem_of
from mmvae.foundations.lock import FolderLock
from mmvae.runs.run_files import CREATED, LOCK_OF_PLUGINS, RESULTS, TRAINED, RunFiles
from mmvae.runs.run_place import check_free, clear_places, identity, is_folder, refuse_links
from mmvae.runs.status import Environment, Status, WrittenState


class Run(RunFiles):
    """An existing run folder; constructed by `Run.create` or `Run.open`."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._lock = FolderLock(folder)
        self._results_lock = FolderLock(folder, ".results.lock")
        self._kept: dict[str, bytes] = {}
        self._identity = identity(folder)

    @classmethod
    def create(
        cls,
        folder: Path,
        config_text: str,
        resolved_text: str,
        env: Mapping[str, Any],
        plugins: Mapping[str, Any],
    ) -> Run:
        """Create a run folder, durably; ``status.json`` is written last and makes it a run.

        Args:
            folder: Its path; it must not exist, or be empty, or be the rest of a killed
                ``create``.
            config_text: The TOML as the user wrote it.
            resolved_text: The TOML with every value filled in.
            env: Versions, machine and seed.
            plugins: The plugins in use, with their versions.

        Raises:
            RunError: The folder holds a run or anything else, or another process is creating it.
            TrainingError: The system refused to write.
        """
        check_free(folder)
        storage.make_folder(folder)
        run = cls(folder)
        with run.locked():
            check_free(folder)  # again, now that no other process can create it
            storage.write_text(run.config, config_text)
            storage.write_text(run.resolved, resolved_text)
            storage.write_json(folder / "env.json", env)
            storage.write_json(folder / LOCK_OF_PLUGINS, plugins)
            run.write_status("running", message="created")
        return run

    @classmethod
    def open(cls, folder: Path) -> Run:
        """Return the run in ``folder``.

        Raises:
            RunError: There is none, or something in it is neither a file nor a folder of its own.
        """
        if not is_folder(folder):
            raise RunError(f"There is no run folder {folder}. `mmvae train CONFIG` makes one.")
        refuse_links(folder)
        missing = [name for name in CREATED if not (folder / name).is_file()]
        if missing:
            raise RunError(
                f"{folder} is no run folder: it has no {', '.join(missing)}. "
                "Name the folder that `mmvae train` printed."
            )
        return cls(folder)

    def discard(self) -> None:
        """Remove the folder and all in it.

        Raises:
            RunError: Another process trains the run.
            TrainingError: The system refused.
        """
        with self.locked():
            storage.remove_folder(self.folder)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the run's lock for this process's training; the same object may enter again.

        The first entry also removes unfinished files of killed trainings.

        Raises:
            RunError: Another process, named by pid and host, trains it.
        """
        with _entered(self._lock, TRAINED, self.checkpoints):
            yield

    @contextlib.contextmanager
    def results_locked(self) -> Iterator[None]:
        """Like `locked`, for evaluation and report; a training of the run is not affected."""
        with _entered(self._results_lock, RESULTS):
            yield

    def check_in_place(self) -> None:
        """Check that the folder is still the one that was opened, before something is written.

        Raises:
            RunError: It was removed, moved or replaced meanwhile.
        """
        if self._lock.is_lost():
            raise RunError(
                f"The run folder {self.folder} was removed, moved or replaced while this process "
                f"trained in it, so nothing more can be saved there. If it was moved, continue "
                f"from its last checkpoint: mmvae resume NEW-PLACE"
            )
        if self._identity not in (None, identity(self.folder)):
            raise RunError(
                f"The run folder {self.folder} was removed, moved or replaced while this process "
                f"worked with it, so its results were not written there. Repeat the command with "
                f"the present place of the run."
            )

    def repair(self) -> str | None:
        """Free the places of the run's files; write those that open it again if they are gone.

        Returns:
            A remark that names what was replaced or removed since the first call; None if nothing
            was.

        Raises:
            TrainingError: The system refused.
        """
        said, lost = clear_places(self.folder), []
        for name in CREATED[:-1]:  # the status is written at each save
            path = self.folder / name
            if name not in self._kept:
                self._kept[name] = storage.read(path)
            elif not path.is_file():
                storage.write_bytes(path, self._kept[name])
                lost.append(name)
        if lost:
            said.append(f"{', '.join(lost)} was removed; written again")
        if not said:
            return None
        return f"while this process trained, in {self.folder}: {'; '.join(said)}"

    def environment(self) -> dict[str, Any]:
        """Return the content of ``env.json``: versions, machine, data.

        Raises:
            RunError: It cannot be read.
        """
        record = self._record("env.json")
        try:
            Environment.model_validate(record)
        except pydantic.ValidationError as error:
            raise RunError(
                f"{self.folder / 'env.json'} cannot be read: {problem_of(error)}. Restore that "
                f"file."
            ) from error
        return record

    def _record(self, name: str) -> dict[str, Any]:
        path = self.folder / name
        try:
            record = parse_json(storage.read(path))
            if not isinstance(record, dict):
                raise ValueError("expected an object")
            return record
        except (OSError, ValueError, RecursionError) as error:
            raise RunError(
                f"{path} cannot be read: {problem_of(error)}. Restore that file."
            ) from error

    def plugins(self) -> dict[str, Any]:
        """Return ``plugins.lock.json``: the plugins in use when it was last trained.

        Raises:
            RunError: It cannot be read.
        """
        return self._record(LOCK_OF_PLUGINS)

    def keep_plugins(self, plugins: Mapping[str, Any]) -> None:
        """Replace the stored :meth:`plugins` if they differ."""
        if plugins != self.plugins():
            storage.write_json(self.folder / LOCK_OF_PLUGINS, plugins)

    def status(self) -> Status:
        """Read ``status.json``; a ``running`` whose process no longer exists becomes ``killed``.

        Raises:
            RunError: The file is missing or damaged.
        """
        path = self.folder / "status.json"
        try:
            status = Status.model_validate_json(storage.read(path))
        except (OSError, pydantic.ValidationError) as error:
            raise RunError(
                f"{path} cannot be read: {problem_of(error)}. `mmvae resume {self.folder}` "
                f"writes it again."
            ) from error
        if status.state == "running" and not self._lock.is_held():
            return status.model_copy(update={"state": "killed"})
        return status

    def write_status(
        self,
        state: WrittenState,
        *,
        step: int = 0,
        epoch: int = 0,
        exit_code: int | None = None,
        message: str = "",
    ) -> None:
        """Replace ``status.json`` atomically; see `Status`.

        If the system has no room for a new file, a final state is written in place, so that a
        training that is over is never reported as "running".
        """
        status = Status(
            state=state,
            exit_code=exit_code,
            step=step,
            epoch=epoch,
            pid=os.getpid(),
            host=socket.gethostname(),
            updated=datetime.now(UTC),
            message=message,
        )
        path, said = self.folder / "status.json", status.model_dump(mode="json")
        try:
            storage.write_json(path, said)
        except TrainingError:
            if exit_code is None or not path.is_file():
                raise
            storage.overwrite(path, storage.json_bytes(said))


@contextlib.contextmanager
def _entered(lock: FolderLock, names: Sequence[str], *folders: Path) -> Iterator[None]:
    """Hold a lock; the first entry removes unfinished files that killed holders left.

    Args:
        lock: The lock.
        names: Files and folders beside it that its holders write.
        folders: Folders in which they alone write.
    """
    with lock.held() as outermost:
        if outermost:
            for name in names:
                staging.clean(lock.path.parent, name)
            for folder in folders:
                staging.clean(folder)
        yield
