"""Odd data through the whole path, with the real codecs: small tables, small models."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

VECTOR = {"codec": "vector", "encoder": [8], "decoder": [8]}
LABEL = {"codec": "categorical", "encoder": [8], "decoder": [8], "weight": 5}

Train = Callable[..., Path]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a cache of ``datasets`` of its own."""
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    return work


@pytest.fixture
def train(folder: Path) -> Train:
    """``train(path, x=VECTOR, …)``: a run of a table with some modalities."""
    import mmvae

    def train(path: Path | str, data: dict[str, Any] | None = None, **modalities: Any) -> Path:
        config = {
            "data": {"source": "table", "path": str(path), **(data or {})},
            "modalities": modalities,
            "model": {"latent_dim": 2},
            "train": {"epochs": 2, "batch_size": 32},
        }
        run = folder / f"run-{len(list(folder.glob('run-*')))}"
        mmvae.train(config, run_dir=run)
        return run

    return train
