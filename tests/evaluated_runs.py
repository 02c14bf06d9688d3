"""Folders of evaluated runs, made up: all that a comparison reads, and no model or data."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file

from mmvae.foundations import toml
from mmvae.runs.checkpoint_folder import write_folder

Items = Mapping[str, np.ndarray]

CREATED = ("config.toml", "env.json", "plugins.lock.json", "status.json")

CONFIG: dict[str, Any] = {
    "name": "made-up",
    "data": {"source": "toy"},
    "modalities": {
        "image": {"codec": "pixels", "binarise_seed": 0, "encoder": [8]},
        "label": {"codec": "words"},
    },
    "model": {"kind": "jmvae", "alpha": 0.1},
    "train": {"epochs": 2, "seed": 0},
    "evaluate": {"split": "test"},
}

KEYS = {"split": "test", "samples": 1000, "seed": 0, "batch_size": 500, "memory": 512}


def figure(values: np.ndarray) -> dict[str, float]:
    """Mean and standard error of values."""
    return {
        "mean": float(values.mean()),
        "error": float(values.std(ddof=1) / np.sqrt(len(values))),
    }


def nats(shift: float = 0.0, n: int = 50, seed: int = 0, own: float = 0.1) -> np.ndarray:
    """Nats of n items: what an item is worth to every model, and a model's own part of it."""
    common = np.random.default_rng(99).normal(-90, 10, n)
    return common + shift + np.random.default_rng(seed).normal(0, own, n)


def evaluated_run(
    folder: Path,
    items: Items,
    *,
    config: Mapping[str, Mapping[str, Any]] | None = None,
    keys: Mapping[str, Any] = MappingProxyType({}),
    **result: Any,
) -> Path:
    """Make a run's folder.

    Args:
        folder: Where.
        items: Name of a cell → the nats of its items.
        config: Sections whose keys replace or join those of ``CONFIG``.
        keys: Keys of ``[evaluate]`` that differ from the usual ones.
        result: Keys of ``evaluation.json`` that replace or join the usual ones; ``cell`` is merged
            into the figures of every cell.
    """
    values = copy.deepcopy(CONFIG)
    for section, table in (config or {}).items():
        values[section] = {**values.get(section, {}), **table}
    folder.mkdir(parents=True)
    for name in CREATED:
        (folder / name).write_text("{}", encoding="utf-8")
    (folder / "config.resolved.toml").write_text(toml.dumps(values), encoding="utf-8")
    (folder / "model").mkdir()
    weights = torch.tensor([float(abs(hash(str(folder))) % 2**20)])
    write_folder(folder / "model", 7, {"model": {"w": weights}}, {})
    manifest = json.loads((folder / "model" / "MANIFEST.json").read_bytes())
    cell = result.pop("cell", {})
    evaluation = {
        "name": values["name"],
        "split": "test",
        "items": len(next(iter(items.values()))) if items else 50,
        "weights": manifest["files"]["model.safetensors"]["sha256"],
        "data": "f00d",
        "modalities": list(values["modalities"]),
        "config": {**KEYS, **keys},
        "cells": {name: {**figure(v), **usual(name), **cell} for name, v in items.items()},
        **result,
    }
    write_evaluation(folder, evaluation)
    write_items(folder, items, {key: evaluation[key] for key in ("weights", "data", "split")})
    return folder


def usual(name: str) -> dict[str, Any]:
    """How a cell is computed: a bound, or for a conditional an estimate."""
    given = name.partition("@")[0].partition("|")[2]
    source = f"q(z | {given}), 1000 samples" if given else None
    return {"samples": 1000, "bound": not given, "given from": source, "effective samples": 9.0}


def read_evaluation(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "evaluation.json").read_bytes())


def write_evaluation(folder: Path, evaluation: Mapping[str, Any]) -> None:
    text = json.dumps(evaluation, sort_keys=True)
    (folder / "evaluation.json").write_text(text, encoding="utf-8")


def write_items(folder: Path, items: Items, made_with: Mapping[str, str]) -> None:
    tensors = {name: torch.from_numpy(np.array(values)) for name, values in items.items()}
    save_file(tensors, folder / "evaluation.items.safetensors", dict(made_with))
