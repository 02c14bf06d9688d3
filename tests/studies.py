"""Small studies of the toys, and results made up for them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from mmvae.experiments.study.packing import pack
from mmvae.experiments.study.record import Reading, Record
from mmvae.experiments.study.study import Study, load_study

ROW = """\
[data]
source = "toy"

[modalities.v]
codec = "toy-vector"

[modalities.c]
codec = "toy-class"

[model]
latent_dim = 2
fusion_dim = 8
alpha = {alpha}

[train]
epochs = 4
batch_size = 20
log_every = 2
device = "cpu"

[evaluate]
bounds = ["v@multiple", "v@single", "v|c@single", "v+c"]
samples = 8
coherence = false

[reference]
row = "α = {alpha}"
source = "Somebody (2016)"

[reference.bounds]
"v@multiple" = -4.0
"""

STUDY = """\
title = "Toys"
about = "Of toys."
notes = "The end."
rows = ["weak.toml", "strong.toml"]

[schedules.full]

[schedules.short]
about = "two epochs"
set = ["train.epochs=2"]
tolerance = 1.5

[[tables]]
title = "log p(v)"
cells = ["v@multiple", "v@single"]

[[tables]]
title = "log p(v | c)"
cells = ["v|c@single"]

[[claims]]
text = "Strong beats weak"
cell = "v@single"
rising = ["weak", "strong"]
at_least = 0.5

[[claims]]
text = "Weak is bad"
cell = "v|c@single"
row = "weak"
below = -3.0
"""

CONFIG = """\
[data]
source = "toy"

[modalities.v]
codec = "toy-vector"

[modalities.c]
codec = "toy-class"
"""
"""What a record says of its row's config."""


def write_study(folder: Path, text: str = STUDY) -> Path:
    """``toys.toml`` with its rows ``weak`` and ``strong`` in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, alpha in (("weak", 0.1), ("strong", 1)):
        (folder / f"{name}.toml").write_text(ROW.format(alpha=alpha), encoding="utf-8")
    path = folder / "toys.toml"
    path.write_text(text, encoding="utf-8")
    return path


def toy_study(folder: Path, text: str = STUDY) -> Study:
    """The study of :func:`write_study`."""
    return load_study(write_study(folder, text))


def record(row: str, nats: dict[str, list[float]], **fields: Any) -> Record:
    """Results as if a row had been trained and evaluated."""
    arrays = {cell: np.array(values) for cell, values in nats.items()}
    items = {len(values) for values in arrays.values()}
    given: dict[str, Any] = {
        "study": "toys",
        "schedule": "short",
        "row": row,
        "label": f"the {row} one",
        "source": "Somebody (2016)",
        "published": {},
        "config": CONFIG,
        "config_hash": "0123456789abcdef",
        "cells": {
            cell: {
                "mean": float(values.mean()),
                "error": float(values.std(ddof=1) / n**0.5) if (n := len(values)) > 1 else None,
                "bound": "|" not in cell,
                "effective samples": 2.5,
                "given from": "prior, 8 samples" if "|" in cell else None,
            }
            for cell, values in arrays.items()
        },
        "other": {},
        "nats": {cell: pack(values) for cell, values in arrays.items()},
        "split": "test",
        "items": items.pop() if items else 0,
        "k": 8,
        "seed": 0,
        "epochs": 2,
        "steps": 6,
        "weights": {"step": 6, "sha256": "ab"},
        "training_seconds": 61.5,
        "hardware": {
            "processor": "Abacus",
            "architecture": "wood",
            "cores": 2,
            "threads": 1,
            "device": "cpu",
        },
        "versions": {"mmvae": "0.1.0", "python": "3.11.7"},
        "data": {"fingerprint": "f", "items": {"train": 4}},
        "first_steps": [Reading(step=2, loss=3.5)],
    }
    return Record(**given | fields)
