"""A command that is called in a process gives the same bits, whatever that has set in torch."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from toys import NAMES, toy_items

from mmvae.inference.model_folder import load_model
from mmvae.inference.table_imputation import impute_table
from mmvae.plugins.loader import load_registry


@pytest.fixture
def run(toy_plugin: None, toy_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    x = toy_items(12, seed=3)
    rows = [
        {"c": NAMES[x["c"][i]] if i % 3 else None, "v": x["v"][i].tolist() if i % 4 else None}
        for i in range(1, 12)
    ]
    Path("t.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return toy_run


@contextmanager
def double() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


COMMANDS = {
    "impute": ("impute", "RUN", "t.jsonl", "--by", "sample", "--out", "OUT.jsonl"),
    "embed": ("embed", "RUN", "test", "--out", "OUT.npz"),
    "score": ("score", "RUN", "test", "--samples", "5", "--out", "OUT.csv"),
    "retrieve": ("retrieve", "RUN", "test", "--query", "v", "--candidate", "c"),
    "generate": ("generate", "RUN", "--given", "c=red", "--to", "v", "--count", "3", "--json"),
    "describe": ("data", "describe", "RUN/config.resolved.toml"),
}


@pytest.mark.parametrize("around", [double, lambda: torch.device("meta"), torch.inference_mode])
@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_gives_the_same_bits(mmvae, run: Path, name: str, around) -> None:
    found = []
    for out, within in (("a", None), ("b", around)):
        told = [part.replace("RUN", str(run)).replace("OUT", out) for part in COMMANDS[name]]
        if within is None:
            result = mmvae(*told)
        else:
            with within():
                result = mmvae(*told)
        kept = [path.read_bytes() for path in Path().glob(f"{out}.*")]
        found.append((result.code, result.out.replace(f"{out}.", "."), kept))
    assert found[0] == found[1]


@pytest.mark.parametrize("around", [double, lambda: torch.device("meta")])
def test_so_does_the_imputation_of_a_table(run: Path, around) -> None:
    trained = load_model(run, load_registry())
    impute_table(trained, Path("t.jsonl"), Path("a.jsonl"))
    with around():
        impute_table(trained, Path("t.jsonl"), Path("b.jsonl"))
    assert Path("a.jsonl").read_bytes() == Path("b.jsonl").read_bytes()
