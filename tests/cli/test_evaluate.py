"""``mmvae evaluate`` prints its figures, keeps them, and ends with the documented codes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import click
import pytest

from mmvae.cli.evaluate import print_table
from mmvae.evaluation import classifiers as classifiers
from mmvae.report.tables import Table


@pytest.fixture
def run(toy_run: Path, toy_plugin: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(classifiers, "LEAST_STEPS", 50)
    return Path(shutil.copytree(toy_run, tmp_path / "run"))


def test_tables_without_a_terminal_are_plain(mmvae, run: Path) -> None:
    result = mmvae("evaluate", run, "--samples", 3)
    assert result.code == 0
    assert result.err == ""
    lines = result.out.splitlines()
    assert lines[0].startswith("toy, step ")
    assert "log p(v, c, p)" in result.out
    assert any(line.startswith("c → p") for line in lines)
    assert lines[-1] == f"Kept in {run / 'evaluation.json'}"
    assert "\x1b" not in result.out


def test_ctrl_c_says_how_to_go_on(mmvae, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(*args: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("mmvae.experiments.evaluate.evaluate", stopped)
    result = mmvae("evaluate", run)
    assert result.code == 130
    assert "Repeat the command to resume." in result.err


def test_json_is_what_is_kept(mmvae, run: Path) -> None:
    result = mmvae("evaluate", run, "--split", "train", "-s", "evaluate.coherence=false", "--json")
    assert result.code == 0
    kept = json.loads((run / "evaluation.json").read_text(encoding="utf-8"))
    assert kept.keys() - result.json().keys() == {"sealed", "sha256"}
    assert result.json().items() <= kept.items()
    assert result.json()["split"] == "train"
    assert result.json()["items"] == 60


def test_a_damaged_model_is_code_5(mmvae, run: Path) -> None:
    weights = next((run / "model").glob("model*.safetensors"))
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    result = mmvae("evaluate", run)
    assert result.code == 5
    assert result.out == ""
    assert not (run / "evaluation.json").exists()


@pytest.mark.parametrize(
    "options",
    [
        ("--split", "tests"),
        ("--samples", 0),
        ("-s", "evaluate.sample=3"),
        ("-s", "model.latent_dim=3"),
    ],
)
def test_mistakes_are_code_2(mmvae, run: Path, options: tuple[object, ...]) -> None:
    result = mmvae("evaluate", run, *options)
    assert result.code == 2
    assert result.err.startswith("error: ")
    assert not (run / "evaluation.json").exists()


def test_no_run_is_code_2(mmvae, tmp_path: Path) -> None:
    result = mmvae("evaluate", tmp_path / "none")
    assert result.code == 2
    assert "There is no run folder" in result.err


def test_a_narrow_terminal_cuts_no_digits_off(monkeypatch, capsys) -> None:
    monkeypatch.setenv("COLUMNS", "24")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    print_table(Table("Bounds", ("figure", "nats"), (("elbo", "-1234.5678 ± 0.12345678"),)))
    shown = "".join(click.unstyle(capsys.readouterr().out).split())
    assert "…" not in shown
    assert sum(c.isdigit() for c in shown) == 17
