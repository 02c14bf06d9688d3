"""A checkpoint is whole and verified or not there at all, whatever stops the process."""

import errno
import hashlib
import json
import os
import random
import shutil

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mmvae.foundations import operations, storage
from mmvae.foundations.errors import CheckpointError, TrainingError
from mmvae.runs.checkpoint_folder import first_non_finite
from mmvae.runs.checkpoint_store import CheckpointStore
from mmvae.runs.manifest import with_checksum


def tensors(step):
    weight = torch.arange(6, dtype=torch.float32).reshape(2, 3) + step
    return {"main": {"weight": weight, "bias": torch.ones(3)}, "adam": {"0/step": weight[0, 0]}}


def save(store, step):
    return store.save(step, tensors(step), {"step": step, "name": "β"})


def check(store, which, step):
    checkpoint = store.load(which)
    assert checkpoint.step == step
    assert checkpoint.state == {"step": step, "name": "β"}
    assert {k: set(v) for k, v in checkpoint.tensors.items()} == {
        "main": {"weight", "bias"},
        "adam": {"0/step"},
    }
    for stem, group in tensors(step).items():
        for name, tensor in group.items():
            assert torch.equal(checkpoint.tensors[stem][name], tensor)


@pytest.fixture
def store(tmp_path):
    return CheckpointStore(tmp_path / "checkpoints")


class Fault:
    """Calls ``act`` at the ``at``-th operation (and later ones if ``lasting``), counting all."""

    def __init__(self, at, act, lasting=False):
        self.at, self.act, self.lasting, self.count = at, act, lasting, 0

    def __call__(self, operation, *paths):
        self.count += 1
        if self.count == self.at or (self.lasting and self.count > self.at):
            self.act()


def disk_full():
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


# --- what is saved is what is read


def test_round_trip_keeps_types_values_and_layout(store):
    weight = torch.randn(4, 4)
    given = {
        "transposed": weight.T,
        "shared": weight[1:3],
        "whole": weight,
        "bf16": weight.bfloat16(),
        "half": weight.half(),
        "f8": weight.to(torch.float8_e4m3fn),
        "double": weight.double(),
        "flags": weight > 0,
        "count": torch.tensor(7),
        "bytes": torch.arange(5, dtype=torch.uint8),
        "empty": torch.empty(0, 3),
        "complex": torch.randn(3, dtype=torch.complex64).conj(),
        "parameter": torch.nn.Parameter(weight),
    }
    store.save(1, {"main": given, "none": {}}, {"a": [1, None, 0.1, True]})
    back = store.load("latest")
    assert back.state == {"a": [1, None, 0.1, True]}
    assert back.tensors["none"] == {}
    assert set(back.tensors["main"]) == set(given)
    for name, tensor in given.items():
        read = back.tensors["main"][name]
        assert read.dtype == tensor.dtype
        assert read.shape == tensor.shape
        same = (read.float(), tensor.float()) if name == "f8" else (read, tensor)
        assert torch.equal(*same), name
    back.tensors["main"]["whole"].add_(1)  # writable, and no other tensor sees it
    assert torch.equal(back.tensors["main"]["parameter"], weight)


def test_every_way_to_name_a_checkpoint(store):
    assert store.empty
    first, second = save(store, 1), save(store, 1200)
    assert second.name == "step-00001200"
    assert sorted(p.name for p in second.iterdir()) == [
        "MANIFEST.json",
        "adam.safetensors",
        "main.safetensors",
        "state.json",
    ]
    assert not store.empty
    for which, step in [
        ("latest", 1200),
        (1, 1),
        (1200, 1200),
        (first, 1),
        ("step-00001200", 1200),
    ]:
        check(store, which, step)


def test_retention_keeps_the_newest(store):
    for step in (10, 20, 30, 40, 50):
        save(store, step)
    assert [p.name for p in store.paths()] == ["step-00000040", "step-00000050"]


def test_a_step_saved_again_leaves_the_first_until_it_is_superseded(store):
    first = save(store, 10)
    again = store.save(10, {"main": {}}, {"again": True})
    assert again != first
    assert store.load("latest").state == store.load(10).state == {"again": True}
    assert store.paths() == [again]


def test_going_on_from_an_earlier_checkpoint_retires_the_abandoned_ones(store):
    store.keep = 5
    for step in (10, 20, 30, 40):
        save(store, step)
    store.go_on_from(store.find(20))
    check(store, "latest", 20)
    assert [int(p.name[5:]) for p in store.paths()] == [10, 20, 30, 40]
    save(store, 25)
    assert [int(p.name[5:]) for p in store.paths()] == [10, 20, 25]
    check(store, "latest", 25)


def test_non_finite_tensors_are_named():
    good = {
        "main": {
            "w": torch.ones(2),
            "n": torch.tensor(3),
            "f8": torch.ones(1).to(torch.float8_e5m2),
        }
    }
    assert first_non_finite(good) is None
    for bad in (float("nan"), float("inf")):
        broken = {**good, "ema": {"v": torch.tensor([1.0, bad])}}
        assert first_non_finite(broken) == "ema/v"


# --- what stops the process


def operations_of_a_save(monkeypatch, store):
    recorder = Fault(0, disk_full)
    monkeypatch.setattr(operations, "fault", recorder)
    save(store, 30)
    monkeypatch.undo()
    return recorder.count


@pytest.fixture
def history(tmp_path):
    """A run with checkpoints 10 and 20, copied afresh for each trial."""
    original = tmp_path / "original"
    original.mkdir()
    store = CheckpointStore(original / "checkpoints", keep=2)
    save(store, 10)
    save(store, 20)

    def fresh():
        shutil.rmtree(tmp_path / "trial", ignore_errors=True)
        shutil.copytree(original, tmp_path / "trial")
        return CheckpointStore(tmp_path / "trial" / "checkpoints", keep=1)

    return fresh


def hidden(store):
    return [p for p in store.run.rglob(".*")]


@pytest.mark.parametrize("lasting", [False, True])
def test_disk_full_at_any_operation_leaves_the_previous_checkpoint(monkeypatch, history, lasting):
    total = operations_of_a_save(monkeypatch, history())
    assert total > 25
    for at in range(1, total + 1):
        store = history()
        monkeypatch.setattr(operations, "fault", Fault(at, disk_full, lasting))
        with pytest.raises(TrainingError, match="No space left on device. Free space") as error:
            save(store, 30)
        monkeypatch.undo()
        assert f"`mmvae resume {store.run}`; the previous checkpoint is intact" in str(error.value)
        latest = store.load("latest").step
        assert latest in (20, 30)
        check(store, "latest", latest)
        save(store, 40)  # and when there is space again, all goes on without a clean-up
        check(store, "latest", 40)
        assert hidden(store) == []
        assert store.intact() == store.paths()


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_death_at_any_operation_leaves_a_loadable_checkpoint(monkeypatch, history):
    total = operations_of_a_save(monkeypatch, history())
    for at in range(1, total + 1):
        store = history()
        child = os.fork()
        if child == 0:
            operations.fault = Fault(at, lambda: os._exit(9))
            save(store, 30)
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
        latest = store.load("latest").step
        assert latest in (20, 30)
        check(store, "latest", latest)
        assert store.intact() == store.paths()  # nothing half-made or half-removed is visible
        save(store, 40)
        assert hidden(store) == []


def test_death_at_the_first_save(monkeypatch, tmp_path):
    class Died(BaseException):
        pass

    def die():
        raise Died

    at = 0
    while True:
        at += 1
        store = CheckpointStore(tmp_path / str(at) / "checkpoints")
        storage.make_folder(store.run)
        monkeypatch.setattr(operations, "fault", Fault(at, die, lasting=True))
        try:
            save(store, 10)
        except Died:
            monkeypatch.undo()
        else:
            break
        if not store.empty:
            check(store, "latest", 10)
    assert at > 20


class Disk:
    """What a disk may hold after a power cut: only what was synced is sure.

    A file's content is lost unless it was synced; of a folder's changes since its last sync any
    selection may have arrived (each rename whole).
    """

    def __init__(self, root):
        self.root, self.events = root, []

    def __call__(self, operation, *paths):
        data = None
        if operation == "fsync" and paths[0].is_file():
            data = paths[0].read_bytes()
        self.events.append((operation, [p.relative_to(self.root).parts for p in paths], data))

    def after(self, count, arrives, target):
        """Write to ``target`` what is left when the power goes after ``count`` operations."""
        root = {"names": {}, "sure": {}, "pending": []}

        def folder(parts):
            node = root
            for part in parts:
                node = node["names"][part]
            return node

        def change(parent, *changes):
            for name, node in changes:
                parent["names"].pop(name, None)
                if node is not None:
                    parent["names"][name] = node
            parent["pending"].append(changes)

        for operation, (path, *rest), data in self.events[:count]:
            if operation == "saved":
                continue
            node, name = folder(path[:-1]), path[-1] if path else None
            if operation == "open":
                change(node, (name, {"data": b""}))
            elif operation == "mkdir":
                change(node, (name, {"names": {}, "sure": {}, "pending": []}))
            elif operation == "remove":
                change(node, (name, None))
            elif operation == "rename":
                assert rest[0][:-1] == path[:-1]
                change(node, (name, None), (rest[0][-1], node["names"][name]))
            elif operation == "fsync" and data is not None:
                node["names"][name]["data"] = data
            elif operation == "fsync":
                node = folder(path)
                node["sure"], node["pending"] = dict(node["names"]), []
            else:
                assert operation == "write"
        self._restore(root, arrives, target)

    def _restore(self, node, arrives, target):
        if "data" in node:
            target.write_bytes(node["data"])
            return
        target.mkdir()
        names = dict(node["sure"])
        for changes in node["pending"]:
            if arrives():
                for name, child in changes:
                    names.pop(name, None)
                    if child is not None:
                        names[name] = child
        for name, child in names.items():
            self._restore(child, arrives, target / name)


@pytest.mark.parametrize("arrives", ["nothing", "everything", "some", "others"])
def test_a_power_cut_after_any_operation_leaves_a_loadable_checkpoint(
    monkeypatch, tmp_path, arrives
):
    run = tmp_path / "run"
    run.mkdir()
    disk = Disk(run)
    monkeypatch.setattr(operations, "fault", disk)
    store = CheckpointStore(run / "checkpoints", keep=1)
    for step in (10, 20, 30, 30, 25):
        save(store, step)
        disk.events.append(("saved", [(str(step),)], None))
    monkeypatch.undo()
    coin = random.Random(arrives)
    choose = {"nothing": lambda: False, "everything": lambda: True}.get(
        arrives, lambda: coin.random() < 0.5
    )
    assert len(disk.events) > 120
    for count in range(len(disk.events) + 1):
        target = tmp_path / f"after-{count}"
        disk.after(count, choose, target)
        saved = [int(p[0][0]) for operation, p, _ in disk.events[:count] if operation == "saved"]
        rest = CheckpointStore(target / "checkpoints", keep=1)
        if not saved and rest.empty:
            continue
        allowed = [10, 20, 30, 30, 25][max(len(saved) - 1, 0) : len(saved) + 1]
        step = rest.load("latest").step
        assert step in allowed, (count, saved, step)
        check(rest, "latest", step)
        if count % 10 == 0:
            save(rest, 99)
            check(rest, "latest", 99)
        shutil.rmtree(target)


# --- damage


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    store = CheckpointStore(tmp_path_factory.mktemp("run") / "checkpoints")
    save(store, 10)
    save(store, 20)
    return store


FILES = [
    "checkpoints/step-00000020/MANIFEST.json",
    "checkpoints/step-00000020/state.json",
    "checkpoints/step-00000020/main.safetensors",
    "checkpoints/step-00000020/adam.safetensors",
    "latest",
]


def refuses(store, file, data):
    """Whether loading names ``file`` and the other intact checkpoint once it holds ``data``."""
    path = store.run / file
    before = path.read_bytes()
    assert data != before
    path.write_bytes(data)
    try:
        with pytest.raises(CheckpointError) as error:
            store.load("latest")
    finally:
        path.write_bytes(before)
    message = str(error.value)
    return str(path) in message and f"mmvae resume {store.run} --from step-000000" in message


@pytest.mark.parametrize("file", FILES)
@settings(max_examples=300, deadline=None, database=None)
@given(data=st.data())
def test_any_changed_removed_or_added_byte_is_found(whole, file, data):
    good = (whole.run / file).read_bytes()
    position = data.draw(st.integers(0, len(good) - 1))
    byte = bytes([data.draw(st.integers(1, 255)) ^ good[position]])
    change = data.draw(st.sampled_from(["changed", "changed", "removed", "added"]))
    rest = good[position + (change != "added") :]
    bad = good[:position] + (b"" if change == "removed" else byte) + rest
    if bad != good:  # removing one of two equal neighbours is still a shorter file
        assert refuses(whole, file, bad)


@pytest.mark.parametrize("file", FILES)
def test_any_flipped_bit_of_a_sample_truncation_and_tail_is_found(whole, file):
    good = (whole.run / file).read_bytes()
    for position in range(0, len(good), max(1, len(good) // 40)):
        flipped = bytearray(good)
        flipped[position] ^= 1 << position % 8
        assert refuses(whole, file, bytes(flipped))
        assert refuses(whole, file, good[:position])
    for tail in (b"\n", b" ", b"\0", b"{}", good):
        assert refuses(whole, file, good + tail)


def test_a_missing_file_is_named(store):
    save(store, 10)
    path = save(store, 20)
    (path / "main.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"main\.safetensors.*Intact: step-00000010"):
        store.load("latest")
    shutil.rmtree(path)
    with pytest.raises(
        CheckpointError, match=r"step-00000020 does not exist.*--from step-00000010"
    ):
        store.load("latest")
    check(store, "step-00000010", 10)


def test_what_was_never_saved_is_a_clear_error(store):
    for which in ("latest", 7, "step-00000007", "../outside"):
        with pytest.raises(CheckpointError, match="no checkpoint|does not exist"):
            store.load(which)


def rewrite(path, **change):
    document = json.loads(path.read_bytes())
    document.pop("sha256")
    path.write_bytes(with_checksum({**document, **change}))


@pytest.mark.parametrize("name", ["../../secret", "/etc/passwd", ".hidden", "a/b", "a\n", ""])
def test_a_forged_manifest_cannot_name_a_file_elsewhere(store, name):
    path = save(store, 10)
    rewrite(path / "MANIFEST.json", files={name: {"size": 1, "sha256": "0" * 64}})
    with pytest.raises(CheckpointError, match=r"MANIFEST\.json is not what mmvae writes"):
        store.load("latest")


@pytest.mark.parametrize("name", ["../checkpoints/step-00000010", "step-00000010\n", "x"])
def test_a_forged_pointer_cannot_name_a_folder_elsewhere(store, name):
    save(store, 10)
    rewrite(store.run / "latest", checkpoint=name)
    with pytest.raises(CheckpointError, match="latest is not what mmvae writes"):
        store.load("latest")


def test_links_and_pipes_are_refused(store, tmp_path):
    path = save(store, 10)
    tensor_file = path / "main.safetensors"
    tensor_file.rename(tmp_path / "elsewhere")
    tensor_file.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(CheckpointError, match=r"main\.safetensors cannot be read"):
        store.load("latest")
    tensor_file.unlink()
    os.mkfifo(tensor_file)
    with pytest.raises(CheckpointError, match=r"main\.safetensors cannot be read: it is no "):
        store.load("latest")


def test_a_newer_format_asks_for_an_upgrade(store):
    path = save(store, 10)
    rewrite(path / "MANIFEST.json", format=2)
    with pytest.raises(CheckpointError, match="format 2, this mmvae reads up to 1: upgrade"):
        store.load("latest")


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("main.safetensors", b"\xff" * 64),
        ("main.safetensors", b""),
        ("state.json", b"[" * 100_000),
        ("state.json", b"[]"),
        ("state.json", b"\xff"),
    ],
)
def test_forged_content_with_right_checksums_is_refused(store, name, data):
    path = save(store, 10)
    files = json.loads((path / "MANIFEST.json").read_bytes())["files"]
    files[name] = {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    (path / name).write_bytes(data)
    rewrite(path / "MANIFEST.json", files=files)
    with pytest.raises(CheckpointError):
        store.load("latest")


def test_a_folder_under_another_steps_name_is_refused(store):
    path = save(store, 10)
    shutil.copytree(path, store.folder / "step-00000099")
    with pytest.raises(CheckpointError, match="holds step 10"):
        store.load(99)


def test_what_cannot_be_saved_leaves_nothing(store):
    save(store, 10)
    for bad in ({"x": float("nan")}, {"x": object()}):
        with pytest.raises((ValueError, TypeError)):
            store.save(20, {}, bad)
    with pytest.raises(ValueError, match="no name"):
        store.save(20, {"../x": {}}, {})
    assert len(store.paths()) == 1
    assert hidden(store) == []
    check(store, "latest", 10)
