"""An output of a command replaces neither its input nor a file of a run."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
from toys import toy_items

from mmvae.cli.outputs import refuse_inputs
from mmvae.foundations.errors import UsageError

COMMANDS = {
    "embed": (),
    "score": ("--samples", "2"),
    "retrieve": ("--query", "v", "--from", "c"),
}


@pytest.fixture
def run(toy_plugin, toy_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of a run, and a table ``d.jsonl`` in the working folder."""
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    items = {name: values.tolist() for name, values in toy_items(5, seed=3).items()}
    rows = [dict(zip(items, row, strict=True)) for row in zip(*items.values(), strict=True)]
    Path("d.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return Path(shutil.copytree(toy_run, "run"))


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("name", ["d.jsonl", "./d.jsonl", "link.jsonl", "hard.jsonl", "f/d.jsonl"])
@pytest.mark.parametrize("command", COMMANDS)
def test_the_input_is_not_replaced(mmvae, run: Path, command: str, name: str) -> None:
    os.symlink("d.jsonl", "link.jsonl")
    os.link("d.jsonl", "hard.jsonl")
    os.symlink(".", "f")
    before = contents(Path())
    result = mmvae(command, run, "d.jsonl", "--out", name, *COMMANDS[command])
    assert result.code == 2
    assert f"--out {Path(name)} would replace the data that this command reads" in result.err
    assert contents(Path()) == before
    assert mmvae(command, run, "d.jsonl", "--out", "new.jsonl", *COMMANDS[command]).code == 0


def test_the_candidates_are_not_replaced(mmvae, run: Path) -> None:
    words = ("retrieve", run, "test", "--among", "d.jsonl", *COMMANDS["retrieve"])
    assert mmvae(*words, "--out", "d.jsonl").code == 2


@pytest.mark.parametrize(
    "name",
    ["metrics.jsonl", "model/z.csv", "checkpoints/z.csv", "figures/z.jsonl", "link/metrics.jsonl"],
)
@pytest.mark.parametrize("command", [*COMMANDS, "impute", "generate"])
def test_a_file_of_a_run_is_not_replaced(mmvae, run: Path, command: str, name: str) -> None:
    (run / "figures").mkdir(exist_ok=True)
    os.symlink(".", run / "link")
    other = Path(shutil.copytree(run, "other", symlinks=True))
    os.unlink(run / "link")
    before = contents(Path())
    data = () if command == "generate" else ("d.jsonl",)
    for folder in (run, other) if "link" not in name else (other,):
        result = mmvae(command, run, *data, "--out", folder / name, *COMMANDS.get(command, ()))
        assert result.code == 2
        assert "--out" in result.err
    assert contents(Path()) == before


def test_other_files_beside_those_of_a_run_are_written(mmvae, run: Path) -> None:
    assert mmvae("embed", run, "d.jsonl", "--out", run / "z.csv").code == 0
    assert mmvae("embed", run, "d.jsonl", "--out", run / "z.csv").code == 0
    assert mmvae("embed", run, "d.jsonl", "--out", "metrics.jsonl").code == 0


def test_nothing_is_written_into_a_saved_model(mmvae, run: Path) -> None:
    shutil.copytree(run / "model", "alone")
    result = mmvae("embed", "alone", "d.jsonl", "--out", "alone/z.csv")
    assert result.code == 2
    assert "is among the files of the saved model" in result.err


def test_a_given_picture_is_not_replaced(mmvae, run: Path) -> None:
    Path("7.png").write_bytes(b"a picture")
    result = mmvae("generate", run, "--given", "c=7.png", "--out", "7.png")
    assert result.code == 2
    assert "would replace the data" in result.err


@pytest.mark.parametrize("path", ["data.csv", "folder"])
def test_the_data_of_a_split_are_not_replaced(tmp_path: Path, path: str) -> None:
    run, folder = tmp_path / "run", tmp_path / "folder"
    run.mkdir()
    folder.mkdir()
    for file in (tmp_path / "data.csv", folder / "data.csv"):
        file.write_text("v\n1\n")
    (run / "config.resolved.toml").write_text(
        f"[data]\nsource = 'table'\npath = '{tmp_path / path}'\n"
    )
    out = tmp_path / path
    with pytest.raises(UsageError, match="would replace the data"):
        refuse_inputs(out / "data.csv" if out.is_dir() else out, run, ["test"])
    refuse_inputs(folder / "new.csv", run, ["test"])
    refuse_inputs(tmp_path / "other.csv", run, ["test", None])
