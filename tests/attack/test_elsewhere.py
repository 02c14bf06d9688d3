"""Nothing is written, removed or waited for outside the places that the user named."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
import torch
from attack.mutations import loose_json, reseal
from toys import toy_registry

import mmvae
from mmvae.cli.generate import refuse_one_name_for_two, write_folder
from mmvae.data.output_tables import write_table
from mmvae.evaluation.partial_results import PartialResults
from mmvae.experiments.config import load_experiment
from mmvae.experiments.evaluate import evaluate
from mmvae.experiments.generate import make_data
from mmvae.experiments.study.record import record_path
from mmvae.foundations import operations, staging, storage
from mmvae.foundations.errors import (
    CheckpointError,
    ConfigError,
    RunError,
    TrainingError,
    UsageError,
)
from mmvae.foundations.journal import Journal
from mmvae.foundations.lock import FolderLock
from mmvae.inference.model_folder import load_model, saved_model
from mmvae.report.canvas import sheet
from mmvae.report.report import files_in, report
from mmvae.runs.checkpoint_store import CheckpointStore
from mmvae.runs.run import Run

NAMES = ("/elsewhere/x", "a/b", "..", "a\nb", "\x1b[2J", "a\u202eb", " ", "", "x" * 101)

FILES = (
    ".lock",
    ".results.lock",
    "log.txt",
    "metrics.jsonl",
    "latest",
    "status.json",
    "config.resolved.toml",
    "env.json",
    "plugins.lock.json",
    "report.html",
    "evaluation.json",
    "evaluation.items.safetensors",
    "samples",
)
FOLDERS = ("checkpoints", "model", "figures", "evaluation.parts", "tensorboard")


@pytest.mark.parametrize("name", NAMES)
def test_a_models_modalities_have_names_as_in_a_config(run: Path, name: str) -> None:
    document = json.loads((run / "model" / "state.json").read_bytes())
    document["order"] = [name if m == "v" else m for m in document["order"]]
    for key in ("modalities", "codecs"):
        document[key][name] = document[key].pop("v")
    reseal(run / "model", "state.json", loose_json(document))
    with pytest.raises(CheckpointError, match="its description is not what mmvae writes") as error:
        load_model(run, toy_registry())
    assert error.value.exit_code == 5


@pytest.mark.parametrize("name", [*FILES, *FOLDERS])
def test_a_link_in_a_run_folder_is_refused(run: Path, victim: Path, name: str) -> None:
    place = run / name
    if place.is_dir():
        shutil.rmtree(place)
    place.unlink(missing_ok=True)
    place.symlink_to(victim if name in FOLDERS else victim / "precious")
    for use in (mmvae.resume, evaluate, report):
        with pytest.raises(RunError, match=f"{name} is a symbolic link; a run folder holds"):
            use(run, registry=toy_registry())
    if name == "model":
        with pytest.raises(CheckpointError, match="model is a symbolic link"):
            saved_model(run)


@pytest.mark.parametrize("name", ["", "MANIFEST.json", "state.json", "model.safetensors"])
@pytest.mark.parametrize("place", ["checkpoints/step-00000090", "model"])
def test_a_link_in_a_checkpoint_or_model_is_refused(
    run: Path, tmp_path: Path, place: str, name: str
) -> None:
    if place != "model":
        shutil.rmtree(run / "model")  # so that the checkpoint counts
    elsewhere = (run / place / name).rename(tmp_path / "elsewhere")
    (run / place / name).symlink_to(elsewhere)  # with what belongs there
    with pytest.raises(CheckpointError, match="is a symbolic link"):
        load_model(run, toy_registry())
    if place != "model":
        with pytest.raises(CheckpointError, match="is a symbolic link"):
            mmvae.resume(run, registry=toy_registry())


def test_figures_of_an_evaluation_are_kept_in_its_run(tmp_path: Path, victim: Path) -> None:
    partial = PartialResults(tmp_path / "evaluation.parts")
    span, shard = slice(0, 2), {"nats": torch.ones(2)}
    partial.keep(span, shard)
    (place,) = partial.folder.iterdir()
    place.rename(tmp_path / "shard")
    place.symlink_to(tmp_path / "shard")
    assert list(partial.missing(2, 2)) == [span]  # what a link points to is computed again
    place.unlink()
    place.symlink_to(victim / "precious")
    partial.keep(span, shard)
    assert not place.is_symlink()
    shutil.rmtree(partial.folder)
    partial.folder.symlink_to(victim)
    with pytest.raises(TrainingError, match="it is a symbolic link"):
        PartialResults(tmp_path / "evaluation.parts")


@pytest.mark.parametrize("name", ["evaluation.json", "metrics.jsonl", ".lock", "latest"])
def test_a_pipe_in_a_run_folder_is_not_waited_for(run: Path, name: str) -> None:
    (run / name).unlink(missing_ok=True)
    os.mkfifo(run / name)
    for use in (mmvae.resume, evaluate, report):
        with pytest.raises(RunError, match=f"{name} is no regular file"):
            use(run, registry=toy_registry())


def test_what_is_opened_to_be_changed_is_a_file_of_its_own(tmp_path: Path, victim: Path) -> None:
    # A link that appears after the folder was looked through meets these.
    precious, pipe = victim / "precious", tmp_path / "pipe"
    os.mkfifo(pipe)
    for make in (Path.symlink_to, Path.hardlink_to):
        for name in ("log.txt", ".lock"):
            make(tmp_path / name, precious)
        with pytest.raises(TrainingError, match=r"log\.txt: it (is a symbolic|has a second name)"):
            Journal(tmp_path / "log.txt")
        with (
            pytest.raises(TrainingError, match=r"lock: it (is a symbolic|has a second name)"),
            FolderLock(tmp_path).held(),
        ):
            pass
        for name in ("log.txt", ".lock"):
            (tmp_path / name).unlink()
    with pytest.raises(TrainingError, match="it is no regular file"):
        Journal(pipe)
    pipe.rename(tmp_path / ".lock")
    assert not FolderLock(tmp_path).is_held()


def test_only_regular_files_of_bounded_size_are_read(tmp_path: Path) -> None:
    file, link = tmp_path / "file", tmp_path / "link"
    file.write_bytes(b"12345")
    link.symlink_to(file)
    assert storage.read(file, 5) == storage.read(link, 5, follow=True) == b"12345"
    with pytest.raises(OSError, match="more than 4 bytes"):
        storage.read(file, 4)
    with pytest.raises(OSError, match="it is a symbolic link"):
        storage.read(link)
    link.unlink()
    link.symlink_to("/dev/zero")
    with pytest.raises(OSError, match="it is no regular file"):
        storage.read(link, follow=True)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="it is no regular file"):
        storage.read(tmp_path / "pipe")


def test_a_config_without_end_is_not_read_to_its_end() -> None:
    with pytest.raises(ConfigError, match="zero: it has more than 67108864 bytes"):
        load_experiment("/dev/zero")


def test_hidden_names_cannot_be_guessed(tmp_path: Path, victim: Path, monkeypatch) -> None:
    (tmp_path / f".z.csv.{os.getpid()}.partial").symlink_to(victim / "precious")
    seen = []
    monkeypatch.setattr(operations, "fault", lambda op, *paths: seen.append((op, paths[0].name)))
    for _ in range(2):
        write_table(tmp_path / "z.csv", {"id": [1, 2]})
    opened = [name for op, name in seen if op == "open"]
    assert len(set(opened)) == 2
    assert (tmp_path / "z.csv").read_text() == "id\n1\n2\n"


def test_a_link_at_a_hidden_name_is_not_written_through(
    tmp_path: Path, victim: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hidden = tmp_path / ".hidden"  # as if someone had guessed it
    monkeypatch.setattr(staging, "hidden_name", lambda path: hidden)
    hidden.symlink_to(victim / "precious")
    with pytest.raises(TrainingError, match="File exists"):
        storage.write_bytes(tmp_path / "f", b"x")
    hidden.symlink_to(victim / "precious")  # the failed attempt removed it
    with pytest.raises(TrainingError, match="File exists"), staging.staged_file(tmp_path / "f"):
        pass
    hidden.symlink_to(victim)
    with pytest.raises(TrainingError, match="File exists"), staging.staged_folder(tmp_path / "d"):
        pass


@pytest.mark.parametrize("length", [200, 251, 255])
def test_names_as_long_as_they_may_be_are_written(tmp_path: Path, length: int) -> None:
    storage.write_bytes(tmp_path / ("x" * length), b"1")
    with staging.staged_folder(tmp_path / ("é" * (length // 2))) as folder:
        storage.put(folder / "f", b"1")
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "/a", "a\0", "a\nb", "\x1b", "\u202ea"])
def test_a_name_that_leads_elsewhere_names_no_file(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="cannot name a file in"):
        storage.within(tmp_path, name)
    with pytest.raises(UsageError, match="cannot name a file in"):
        record_path(tmp_path, "study", name, "row")


def test_pictures_lie_in_their_folder(tmp_path: Path, victim: Path) -> None:
    from PIL import Image

    picture = Image.new("L", (2, 2))
    with pytest.raises(UsageError, match="cannot name a file in"):
        write_folder(tmp_path / "out", {f"{victim}/precious": [picture]})
    assert not (tmp_path / "out").exists()
    with pytest.raises(UsageError, match=r"a-000\.png would be the sheet of 'a-000' and a pict"):
        refuse_one_name_for_two({"a": [picture], "a-000": [picture]})
    refuse_one_name_for_two({"a": [picture], "b-000": [picture]})


def test_an_inner_folder_is_no_link(tmp_path: Path, victim: Path) -> None:
    (tmp_path / "checkpoints").symlink_to(victim)
    with pytest.raises(TrainingError, match="it is a symbolic link"):
        storage.inner_folder(tmp_path, "checkpoints")
    store = CheckpointStore(tmp_path / "checkpoints")
    assert store.paths() == []
    with pytest.raises(TrainingError, match="it is a symbolic link"):
        store.save(1, {}, {})


def test_figures_that_are_links_are_not_copied(tmp_path: Path, victim: Path) -> None:
    (tmp_path / "f.png").write_bytes(sheet([["x"]], ["row"]))
    assert set(files_in(tmp_path)) == {"f.png"}
    (tmp_path / "g.png").symlink_to(victim / "precious")
    with pytest.raises(TrainingError, match="it is a symbolic link"):
        files_in(tmp_path)


def test_data_do_not_grow_in_a_planted_folder(tmp_path: Path, victim: Path) -> None:
    (tmp_path / ".out.making").symlink_to(victim)
    with pytest.raises(TrainingError, match="it is a symbolic link"):
        make_data(None, tmp_path / "out")  # type: ignore[arg-type]  # refused before it is asked


def test_a_run_that_was_moved_whole_is_used_as_before(run: Path, tmp_path: Path) -> None:
    moved = run.rename(tmp_path / "moved")
    (tmp_path / "link").symlink_to(moved)  # the user's own link to a run is theirs to follow
    assert Run.open(tmp_path / "link").status().state == "finished"
    assert load_model(tmp_path / "link", toy_registry()).modalities
