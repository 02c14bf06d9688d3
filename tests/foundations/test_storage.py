"""Files and folders are as they were or as they should be."""

import contextlib
import errno
import fcntl
import itertools
import os
import subprocess
import sys
import threading

import pytest

from mmvae.foundations import journal as journals
from mmvae.foundations import operations, staging, storage
from mmvae.foundations.errors import TrainingError
from mmvae.foundations.journal import Journal


class Stop(BaseException):
    """Stands for the end of the process."""


def at(count, error, calls=None):
    calls = [] if calls is None else calls

    def fault(operation, *paths):
        calls.append((operation, *paths))
        if len(calls) >= count:
            raise error

    return fault


def names(folder):
    return sorted(p.name for p in folder.iterdir())


def test_importing_it_imports_no_torch():
    code = "import sys, mmvae.foundations.storage; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_order_of_operations_makes_a_file_durable(tmp_path, monkeypatch):
    calls = []
    monkeypatch.setattr(operations, "fault", lambda op, *paths: calls.append((op, *paths)))
    storage.write_bytes(tmp_path / "f", b"x")
    hidden = calls[0][1]
    assert hidden.parent == tmp_path
    assert calls == [
        ("open", hidden),
        ("write", hidden),
        ("fsync", hidden),
        ("rename", hidden, tmp_path / "f"),
        ("fsync", tmp_path),
    ]


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), Stop()])
def test_a_file_is_old_or_new_at_every_failure(tmp_path, monkeypatch, error):
    for count in range(1, 6):
        path = tmp_path / "f"
        path.write_bytes(b"old")
        monkeypatch.setattr(operations, "fault", at(count, error))
        with pytest.raises(Stop if isinstance(error, Stop) else TrainingError):
            storage.write_bytes(path, b"new")
        monkeypatch.undo()
        assert path.read_bytes() == (b"new" if count == 5 else b"old")
        staging.clean(tmp_path)
        assert names(tmp_path) == ["f"]


def test_short_writes_are_finished(tmp_path, monkeypatch):
    write = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: write(fd, data[:7]))
    storage.write_bytes(tmp_path / "f", bytes(range(256)))
    assert (tmp_path / "f").read_bytes() == bytes(range(256))


@pytest.mark.parametrize(
    ("number", "advice"),
    [(errno.ENOSPC, "Free space"), (errno.EROFS, "writable"), (errno.EACCES, "Allow writing")],
)
def test_errors_say_path_reason_and_remedy(tmp_path, monkeypatch, number, advice):
    monkeypatch.setattr(operations, "fault", at(1, OSError(number, os.strerror(number))))
    with pytest.raises(TrainingError) as error:
        storage.write_text(tmp_path / "f", "x", remedy="then go on.")
    message = str(error.value)
    assert str(tmp_path / "f") in message
    assert os.strerror(number) in message
    assert advice in message
    assert message.endswith("then go on.")


def test_json_is_readable_strict_and_the_same_for_equal_documents(tmp_path):
    storage.write_json(tmp_path / "f", {"b": 1, "a": "β"})
    assert (tmp_path / "f").read_text("utf-8") == '{\n  "a": "β",\n  "b": 1\n}\n'
    assert storage.json_bytes({"a": 1, "b": 2}) == storage.json_bytes({"b": 2, "a": 1})
    with pytest.raises(ValueError, match="not JSON compliant"):
        storage.json_bytes({"a": float("nan")})


def fill(folder, text):
    (folder / "sub").mkdir()
    (folder / "sub" / "f").write_text(text)


def test_a_staged_folder_appears_whole_and_synced(tmp_path, monkeypatch):
    final, calls = tmp_path / "final", []
    monkeypatch.setattr(operations, "fault", lambda op, *paths: calls.append((op, *paths)))
    with staging.staged_folder(final) as staged:
        fill(staged, "x")
        assert not final.exists()
        assert staged.name.startswith(".")
    assert (final / "sub" / "f").read_text() == "x"
    assert names(tmp_path) == ["final"]
    assert calls == [
        ("mkdir", staged),
        ("fsync", staged / "sub" / "f"),
        ("fsync", staged / "sub"),
        ("fsync", staged),
        ("rename", staged, final),
        ("fsync", tmp_path),
    ]


@pytest.mark.parametrize("error", [ValueError("bad"), OSError(errno.ENOSPC, "full"), Stop()])
def test_a_failing_block_leaves_nothing(tmp_path, error):
    expected = TrainingError if isinstance(error, OSError) else type(error)

    def stage():
        with staging.staged_folder(tmp_path / "final") as staged:
            fill(staged, "x")
            raise error

    with pytest.raises(expected):
        stage()
    assert names(tmp_path) == []


def test_an_existing_folder_is_replaced_only_when_asked(tmp_path):
    final = tmp_path / "final"
    with staging.staged_folder(final) as staged:
        fill(staged, "old")
    with pytest.raises(TrainingError, match="File exists"), staging.staged_folder(final):
        pass
    with staging.staged_folder(final, replace=True) as staged:
        fill(staged, "new")
    assert (final / "sub" / "f").read_text() == "new"
    assert names(tmp_path) == ["final"]


@pytest.mark.parametrize("exchanged", [True, False])
@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "full"), Stop()])
def test_a_replaced_folder_is_old_or_new_at_every_failure(tmp_path, monkeypatch, error, exchanged):
    if not exchanged:  # as on file systems that cannot
        monkeypatch.setattr(staging, "exchanged", lambda one, other: False)
    seen, calls = set(), []
    for count in itertools.count(1):
        parent = tmp_path / str(count)
        parent.mkdir()
        final = parent / "final"
        with staging.staged_folder(final) as staged:
            fill(staged, "old")
        calls.clear()
        with monkeypatch.context() as failing:
            failing.setattr(operations, "fault", at(count, error, calls))
            with contextlib.suppress(TrainingError, Stop):
                with staging.staged_folder(final, replace=True) as staged:
                    fill(staged, "new")
                assert (final / "sub" / "f").read_text() == "new"
        if exchanged:
            assert final.exists()
        staging.clean(parent)
        seen.add((final / "sub" / "f").read_text())
        assert names(parent) == ["final"]
        if len(calls) < count:
            break
    assert seen == {"old", "new"}
    assert count > 9
    assert ("exchange" in [operation for operation, *_ in calls]) == exchanged


@pytest.mark.parametrize("exchanged", [True, False])
def test_a_folder_whose_new_name_cannot_be_synced_is_the_old_one(tmp_path, monkeypatch, exchanged):
    if not exchanged:
        monkeypatch.setattr(staging, "exchanged", lambda one, other: False)
    final, swept = tmp_path / "final", []
    final.mkdir()
    fill(final, "old")

    def fault(operation, *paths):
        if (operation, *paths) == ("fsync", tmp_path):
            swept.append((final / "sub" / "f").read_text())
            staging.sweep(final)  # as another process
            raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(operations, "fault", fault)
    with (
        pytest.raises(TrainingError, match="what was there before is intact"),
        staging.staged_folder(final, replace=True) as staged,
    ):
        fill(staged, "new")
    assert swept == ["new"]
    assert (final / "sub" / "f").read_text() == "old"
    assert names(tmp_path) == ["final"]


# -- what killed processes left -------------------------------------------------------------------

KILLED = """
import os, signal, sys
from pathlib import Path
from mmvae.foundations import journal as journals
from mmvae.foundations import operations, staging, storage
from mmvae.foundations.journal import Journal

def work(place):
    if sys.argv[2] == "bytes":
        operations.fault = lambda op, *paths: op == "rename" and end()
        storage.write_bytes(place, b"half")
    if sys.argv[2] == "file":
        with staging.staged_file(place) as hidden:
            hidden.write_text("half")
            end()
    if sys.argv[2] == "folder":
        with staging.staged_folder(place, replace=place.exists()) as hidden:
            (hidden / "sub").mkdir()
            (hidden / "sub" / "f").write_text("half")
            end()
    if sys.argv[2] == "removal":
        place.mkdir()
        (place / "f").write_text("half")
        operations.fault = lambda op, *paths: op == "remove" and end()
        storage.remove_folder(place)

def end():
    print("written", flush=True)
    sys.stdin.read()
    os.kill(os.getpid(), signal.SIGKILL)

work(Path(sys.argv[1]))
"""

WRITES = ("bytes", "file", "folder", "removal")


@contextlib.contextmanager
def writing(place, what):
    """A process in the middle of writing to a place; it is killed when the block ends."""
    words = [sys.executable, "-c", KILLED, str(place), what]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"written\n"
        yield
        process.kill()


@pytest.mark.parametrize("what", WRITES)
def test_the_next_writer_removes_what_a_killed_one_left(tmp_path, what):
    place = tmp_path / "z"
    with writing(place, what):
        assert [n for n in names(tmp_path) if n.endswith(".partial")]
    assert [n for n in names(tmp_path) if n.endswith(".partial")]
    storage.write_bytes(tmp_path / "y", b"of another name")
    assert [n for n in names(tmp_path) if n.endswith(".partial")]
    storage.write_bytes(place, b"new")
    assert names(tmp_path) == ["y", "z"]
    assert place.read_bytes() == b"new"


def test_the_next_removal_ends_the_one_before(tmp_path):
    with writing(tmp_path / "z", "removal"):
        pass
    assert names(tmp_path) != []
    (tmp_path / "z").mkdir()
    storage.remove_folder(tmp_path / "z")
    assert names(tmp_path) == []


@pytest.mark.parametrize("what", ["bytes", "file", "folder"])
def test_what_a_process_writes_stays_while_it_lives(tmp_path, what):
    place = tmp_path / "z"
    with writing(place, what):
        before = names(tmp_path)
        staging.sweep(place)
        assert names(tmp_path) == before
    with staging.staged_file(place) as hidden:
        hidden.write_text("mine")
        staging.sweep(place)  # as another thread of this process
        assert hidden.exists()
    with staging.staged_folder(tmp_path / "folder") as hidden:
        staging.sweep(tmp_path / "folder")
        assert hidden.exists()


def test_nothing_is_swept_that_is_not_surely_ours_and_left(tmp_path, monkeypatch):
    place, outside = tmp_path / "z.csv", tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").touch()
    machine = staging._machine()
    hidden = f".z.csv.{'0' * 16}.{machine}.partial"
    others = [
        f".z.csv.{'0' * 16}.{'0' * 12}.partial",  # of another machine, or before a restart
        f".z.csv.123.{'0' * 16}.partial",  # of an older version
        f".z.csv.{'0' * 15}.{machine}.partial",
        f".z.csv.{'0' * 16}.{machine}.partial.csv",
        f".z.csv.b.{'0' * 16}.{machine}.partial",  # of z.csv.b
        f".z_csv.{'0' * 16}.{machine}.partial",
        f"z.csv.{'0' * 16}.{machine}.partial",
    ]
    for name in others:
        (tmp_path / name).touch()
    staging.sweep(place)
    assert names(tmp_path) == sorted([*others, "outside"])
    (tmp_path / hidden).symlink_to(outside)
    staging.sweep(place)
    assert (tmp_path / hidden).is_symlink()
    (tmp_path / hidden).unlink()
    os.mkfifo(tmp_path / hidden)
    staging.sweep(place)
    assert (tmp_path / hidden).exists()
    (tmp_path / hidden).unlink()
    (tmp_path / hidden).mkdir()
    (tmp_path / hidden / "link").symlink_to(outside)
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    staging.sweep(place)
    assert (tmp_path / hidden).exists()
    monkeypatch.undo()
    staging.sweep(place)
    assert names(tmp_path) == sorted([*others, "outside"])
    assert (outside / "precious").exists()


def test_a_sweeper_that_comes_before_the_lock_harms_no_writer(tmp_path, monkeypatch):
    flock, swept = fcntl.flock, []

    def late(descriptor, operation):
        if not swept:
            swept.append(True)
            staging.sweep(tmp_path / "z")
            assert names(tmp_path) == []
        flock(descriptor, operation)

    monkeypatch.setattr(staging.fcntl, "flock", late)
    for write in (staging.staged_file, staging.staged_folder):
        swept.clear()
        with write(tmp_path / "z") as hidden:
            assert hidden.exists()
            staging.sweep(tmp_path / "z")
        assert names(tmp_path) == ["z"]
        operations.delete(tmp_path / "z")


@pytest.mark.parametrize("write", [staging.staged_file, staging.staged_folder])
def test_a_sweeper_that_goes_on_later_harms_no_writer(tmp_path, monkeypatch, write):
    flock, sweepers = fcntl.flock, []
    locked, go_on = threading.Event(), threading.Event()

    def stopped(operation, *paths):
        if threading.current_thread() in sweepers and operation == "remove":
            locked.set()
            assert go_on.wait(60)

    def late(descriptor, operation):
        if not sweepers:
            sweepers.append(threading.Thread(target=staging.sweep, args=[tmp_path / "z"]))
            sweepers[0].start()
            assert locked.wait(60)
        flock(descriptor, operation)

    monkeypatch.setattr(operations, "fault", stopped)
    monkeypatch.setattr(staging.fcntl, "flock", late)
    with write(tmp_path / "z") as hidden:
        written = hidden / "f" if hidden.is_dir() else hidden
        written.write_text("x")
        go_on.set()
        sweepers[0].join()
        assert written.read_text() == "x"
    assert names(tmp_path) == ["z"]


def test_a_file_that_others_keep_locked_is_not_waited_for(tmp_path, monkeypatch):
    def locked(descriptor, operation):
        raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")

    monkeypatch.setattr(staging.fcntl, "flock", locked)
    with pytest.raises(
        TrainingError, match="z: another process locks the file or folder made there"
    ):
        storage.write_bytes(tmp_path / "z", b"x")
    assert names(tmp_path) == []


@pytest.mark.parametrize("write", [staging.staged_file, staging.staged_folder])
def test_a_disk_without_locks_is_written_to_and_not_swept(tmp_path, monkeypatch, write):
    def refused(descriptor, operation):
        raise OSError(errno.EBADF, "Bad file descriptor")

    monkeypatch.setattr(staging.fcntl, "flock", refused)
    with write(tmp_path / "z") as hidden:
        staging.sweep(tmp_path / "z")
        assert hidden.exists()
    assert names(tmp_path) == ["z"]


def test_make_folder_syncs_every_new_parent(tmp_path, monkeypatch):
    calls = []
    monkeypatch.setattr(operations, "fault", lambda op, *paths: calls.append((op, *paths)))
    storage.make_folder(tmp_path / "a" / "b")
    storage.make_folder(tmp_path / "a" / "b")
    assert calls == [
        ("mkdir", tmp_path / "a"),
        ("fsync", tmp_path),
        ("mkdir", tmp_path / "a" / "b"),
        ("fsync", tmp_path / "a"),
    ]
    (tmp_path / "file").touch()
    with pytest.raises(TrainingError, match="File exists"):
        storage.make_folder(tmp_path / "file" / "x")
    with pytest.raises(TrainingError, match="File exists"):
        storage.make_folder(tmp_path / "file")


def test_removal_never_shows_half_a_folder_nor_follows_links(tmp_path, monkeypatch):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").touch()
    count = 0
    while True:
        count += 1
        folder = tmp_path / f"folder{count}"
        folder.mkdir()
        fill(folder, "x")
        (folder / "link").symlink_to(outside)
        monkeypatch.setattr(operations, "fault", at(count, Stop()))
        try:
            storage.remove_folder(folder)
        except Stop:
            monkeypatch.undo()
        else:
            break
        if folder.exists():
            assert (folder / "sub" / "f").exists()
            assert (folder / "link").is_symlink()
    monkeypatch.undo()
    staging.clean(tmp_path)
    assert (outside / "precious").exists()
    assert not [n for n in names(tmp_path) if n.startswith(".")]
    assert count > 5


def test_a_journal_cuts_a_torn_line_and_grows_by_lines(tmp_path, monkeypatch):
    monkeypatch.setattr(journals, "CHUNK", 4)  # the search for the last line end takes steps
    path = tmp_path / "j"
    path.write_bytes(b"first\nsecond\ntorn line of a killed process")
    journal = Journal(path)
    assert journal.offset == len(b"first\nsecond\n")
    journal.append(b"third\n")
    assert path.read_bytes() == b"first\nsecond\nthird\n"
    journal.truncate(6)
    journal.append(b"again\n")
    assert path.read_bytes() == b"first\nagain\n"
    assert journal.offset == 12
    for wrong in (3, 13, -1):
        with pytest.raises(ValueError, match="no line"):
            journal.truncate(wrong)
    journal.truncate(0)
    assert path.read_bytes() == b""
    journal.close()


def test_a_journal_whose_only_line_is_torn_is_empty(tmp_path):
    (tmp_path / "j").write_bytes(b"torn")
    journal = Journal(tmp_path / "j")
    assert journal.offset == 0
    journal.close()
    assert (tmp_path / "j").read_bytes() == b""


def test_a_failed_append_leaves_whole_lines(tmp_path, monkeypatch):
    monkeypatch.setattr(operations, "CHUNK", 4)
    journal = Journal(tmp_path / "j")
    journal.append(b"first\n")
    writes = []

    def fault(operation, *paths):
        writes.append(operation)
        if operation == "write" and len(writes) == 2:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(operations, "fault", fault)
    with pytest.raises(TrainingError, match="No space left"):
        journal.append(b"a long second line\n")
    assert writes == ["write", "write", "truncate"]
    journal.append(b"third\n")
    journal.close()
    assert (tmp_path / "j").read_bytes() == b"first\nthird\n"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_may_not_be_written(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(TrainingError, match="Allow writing there"):
        storage.write_bytes(tmp_path / "f", b"")


# -- files too large to be written at once --------------------------------------------------------


def test_a_staged_file_appears_whole_and_synced(tmp_path, monkeypatch):
    calls, final = [], tmp_path / "f.bin"
    monkeypatch.setattr(operations, "fault", lambda op, *paths: calls.append((op, *paths)))
    with staging.staged_file(final) as staged:
        staged.write_bytes(b"part")
        assert not final.exists()
        assert staged.name.startswith(".")
        assert staged.parent == tmp_path
    assert final.read_bytes() == b"part"
    assert calls[-3:] == [("fsync", staged), ("rename", staged, final), ("fsync", tmp_path)]
    assert list(tmp_path.iterdir()) == [final]


def test_a_staged_file_that_fails_leaves_what_was_there(tmp_path):
    final = tmp_path / "f.bin"
    final.write_bytes(b"old")

    def write(error):
        with staging.staged_file(final) as staged:
            staged.write_bytes(b"half")
            raise error

    with pytest.raises(KeyboardInterrupt):
        write(KeyboardInterrupt())
    with pytest.raises(TrainingError, match="Cannot write .*f.bin: No space left"):
        write(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
    assert final.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [final]


@pytest.mark.parametrize("name", ["pipe", "/dev/stdout", "/dev/null"])
def test_no_file_takes_the_place_of_a_pipe_or_a_device(tmp_path, monkeypatch, name):
    os.mkfifo(tmp_path / "pipe")
    made = []
    monkeypatch.setattr(operations, "fault", lambda *call: made.append(call))
    monkeypatch.setattr(os, "replace", lambda source, target: made.append(target))
    with pytest.raises(TrainingError, match="it is no regular file"):
        storage.write_bytes(tmp_path / name, b"x")
    assert made == []
