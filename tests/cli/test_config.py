"""``mmvae config`` shows, checks and documents what the Python interface reads."""

from __future__ import annotations

import io
import json
from pathlib import Path
from types import SimpleNamespace

from mmvae.experiments.config import load_experiment
from mmvae.foundations import operations


def test_show_lists_every_value_with_its_origin(mmvae, config) -> None:
    result = mmvae("config", "show", config, "-s", "train.epochs=5", "--set", "name=x")
    assert result.code == 0
    rows = dict(line.split(maxsplit=1) for line in result.out.splitlines())
    assert rows["train.epochs"].split(maxsplit=1) == ["5", "-s train.epochs=5"]
    assert rows["data.root"].split() == ['"here"', f"{config}:3"]
    assert rows["train.clip_norm"].split() == ["(unset)", "default"]
    assert list(rows) == list(load_experiment(config).origins)
    columns = {line.index("default") for line in result.out.splitlines() if "default" in line}
    assert len(columns) == 1, "aligned"


def test_show_as_json(mmvae, config) -> None:
    shown = mmvae("config", "show", config, "--json").json()
    assert shown["hash"] == load_experiment(config).hash
    assert shown["values"]["modalities.a.codec"] == {"value": "toy", "origin": f"{config}:6"}
    assert shown["values"]["train.ema"] == {"value": None, "origin": "default"}


def test_check_says_ok(mmvae, config) -> None:
    result = mmvae("config", "check", config)
    assert result.code == 0
    assert result.out == f"OK {config}: model jmvae of a (toy); data from toybox\n"
    assert mmvae("config", "check", config, "--json").json()["ok"]


def test_check_reads_standard_input(mmvae, config, monkeypatch) -> None:
    stdin = SimpleNamespace(buffer=io.BytesIO(config.read_bytes()))
    monkeypatch.setattr("sys.stdin", stdin)
    assert mmvae("config", "check", "-").out.startswith("OK <stdin>: ")


def test_check_tells_every_mistake_and_ends_with_2(mmvae, config) -> None:
    result = mmvae("config", "check", config, "-s", "train.epoch=5", "-s", "data.resident=3")
    assert (result.code, result.out) == (2, "")
    assert result.err.startswith(f"error: {config} has 2 mistakes:\n")
    assert "-s train.epoch=5: " in result.err
    assert "-s data.resident=3: " in result.err


def test_check_of_no_file_ends_with_2(mmvae, config) -> None:
    result = mmvae("config", "check", config.with_name("tpy.toml"))
    assert result.code == 2
    assert "no such file. Did you mean" in result.err


def test_check_ends_with_3_if_a_plugin_is_to_blame(mmvae, config, install, monkeypatch) -> None:
    install("bad-plugin", "bad", "import surely_not_installed")
    monkeypatch.setenv("MMVAE_PLUGINS", "toys,bad")
    assert mmvae("config", "check", config).code == 0, "it is not needed"
    result = mmvae("config", "check", config, "-s", "modalities.a.codec=image")
    assert result.code == 3
    assert "bad (bad-plugin 1.0)" in result.err
    assert "surely_not_installed" in result.err


def test_schema_goes_to_standard_output_or_a_file(mmvae, config, tmp_path) -> None:
    printed = mmvae("config", "schema").json()
    assert "ToyCodec" in printed["$defs"]
    out = tmp_path / "schema.json"
    result = mmvae("config", "schema", "--out", out)
    assert (result.out, result.err) == ("", f"Wrote {out}\n")
    assert json.loads(out.read_text(encoding="utf-8")) == printed
    assert mmvae("--quiet", "config", "schema", "--out", out).err == ""


def test_schema_into_no_folder_ends_with_2(mmvae, config, tmp_path) -> None:
    result = mmvae("config", "schema", "--out", tmp_path / "no" / "schema.json")
    assert result.code == 2
    assert f"there is no folder {tmp_path / 'no'}; make it first" in result.err


def test_a_schema_that_cannot_be_written_leaves_the_old_one(
    mmvae, config, tmp_path, monkeypatch
) -> None:
    def full(operation: str, *paths: Path) -> None:
        if operation == "write":
            raise OSError(28, "No space left on device")

    out = tmp_path / "schema.json"
    out.write_text("old")
    monkeypatch.setattr(operations, "fault", full)
    result = mmvae("config", "schema", "--out", out)
    assert result.code == 1
    assert "No space left on device" in result.err
    assert out.read_text() == "old"
