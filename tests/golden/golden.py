"""Golden runs: small runs of format 1, kept with what they answered, to be opened for ever.

``python tests/golden/golden.py`` makes them anew, which only a new format may ask for;
``golden.py NAME`` keeps the run and answers anew. Each run is
kept twice: stopped in the middle, with its checkpoint, and finished, with its final model. Beside
them lie the answers: weights and metrics that the stopped run reaches when it is resumed, what the
finished model embeds, scores and generates, and its evaluation.
"""

from __future__ import annotations

import json
import platform
import shutil
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file

import mmvae
from mmvae.foundations.errors import UsageError

HERE = Path(__file__).parent
RUNS = HERE / "format-1"
STOP, EPOCHS, BATCH = 7, 4, 16

SMALL = {"encoder": [6], "decoder": [6]}
IMAGE = {"codec": "bernoulli-image", **SMALL}
LABEL = {"codec": "categorical", "weight": 5.0, **SMALL}
VECTOR = {"codec": "vector", "encoder": [6], "decoder": [6]}
MODEL = {"latent_dim": 2, "fusion_dim": 6, "feature_dim": 4, "head_dim": 4}
TRAIN = {
    "epochs": EPOCHS,
    "batch_size": BATCH,
    "warmup_epochs": 2,
    "learning_rate": 1e-2,
    "keep_checkpoints": 1,
    "device": "cpu",
    "log_every": 2,
}
EVALUATE = {"bounds": ["standard"], "samples": 8, "coherence": False}

EXPERIMENTS: dict[str, dict[str, Any]] = {
    "two": {
        "modalities": {"image": IMAGE, "label": LABEL},
        "model": {**MODEL, "alpha": 0.1, "variance": "softplus"},
        "train": {**TRAIN, "eps": 1e-4, "clip_norm": 5.0, "clip_value": 1.0},
    },
    "gaps": {
        "modalities": {"image": IMAGE, "label": LABEL, "vector": VECTOR},
        "model": {
            **MODEL,
            "alpha": 1.0,
            "subsets": "all",
            "heads": "masked",
            "teachers": ["label"],
            "alpha_by": "size",
            "subsets_per_step": 3,
        },
        "train": {**TRAIN, "ema": 0.9},
    },
    "flows": {
        "modalities": {"image": IMAGE, "label": LABEL},
        "model": {**MODEL, "alpha": 1.0},
        "posterior": {"family": "flow", "subsets": ["label"], "transforms": 1, "hidden": [4]},
        "prior": {"family": "mixture", "components": 3},
        "train": TRAIN,
    },
    "zero": {
        "modalities": {"image": IMAGE, "label": LABEL},
        "model": {**MODEL, "alpha": 0.0, "missing": "zero"},
        "train": {**TRAIN, "schedule": "cosine"},
    },
    "adversary": {
        "modalities": {"image": IMAGE, "label": LABEL},
        "model": {**MODEL, "alpha": 1.0},
        "adversary": {"modality": "image", "start_epoch": 2},
        "train": TRAIN,
    },
    "cvae": {
        "modalities": {"image": IMAGE, "label": LABEL},
        "model": {"kind": "cvae", "target": "image", "latent_dim": 2, "fusion_dim": 6},
        "train": TRAIN,
    },
    "cmma": {
        "modalities": {"image": IMAGE, "label": LABEL},
        "model": {"kind": "cmma", "target": "image", "latent_dim": 2, "fusion_dim": 6},
        "train": TRAIN,
    },
}
"""Name of a golden run → its config, without data."""


def items(name: str) -> dict[str, dict[str, Any]]:
    """The items of a run by split and modality; those of ``gaps`` lack some values."""
    with np.load(HERE / "items.npz") as kept:
        columns = {modality: kept[modality] for modality in EXPERIMENTS[name]["modalities"]}
        lacking = {modality: kept[f"lacking-{modality}"] for modality in columns}
    if name == "gaps":
        columns = {m: without(values, lacking[m]) for m, values in columns.items()}
    parts = {"train": slice(0, 48), "validation": slice(48, 64), "test": slice(64, 80)}
    return {s: {m: v[rows] for m, v in columns.items()} for s, rows in parts.items()}


def without(values: np.ndarray[Any, Any], lacking: np.ndarray[Any, Any]) -> list[Any]:
    """The values of a column with None where an item lacks one."""
    return [None if gone else value for value, gone in zip(values, lacking, strict=True)]


def make_items() -> None:
    """Write the items: pictures of 4×4 pixels, their class, and four numbers that tell of it."""
    rng = np.random.default_rng(0)
    label = rng.integers(0, 3, 80)
    image = (rng.random((80, 4, 4)) < (1 + label[:, None, None]) / 4).astype(np.uint8) * 255
    vector = (label[:, None] + 0.3 * rng.standard_normal((80, 4))).astype(np.float32)
    lacking = rng.random((3, 80)) < 0.3
    lacking[:, lacking.all(0)] = False
    names = ("image", "label", "vector")
    gaps = {f"lacking-{name}": row for name, row in zip(names, lacking, strict=True)}
    np.savez_compressed(HERE / "items.npz", image=image, label=label, vector=vector, **gaps)


def machine() -> dict[str, str]:
    """What bits depend on: processor and torch."""
    capability = torch.backends.cpu.get_cpu_capability()
    return {"processor": f"{platform.machine()} {capability}", "torch": torch.__version__}


def answers(name: str, run: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """What a finished run answers: tensors by name, and its evaluation and metrics.

    What a model cannot do, such as a joint posterior of modalities that it conditions on, it says
    by an error, and that is its answer.
    """
    test = items(name)["test"]
    model = mmvae.load(run)
    tensors = dict(model.model.state_dict())
    tensors = {f"weights/{key}": value for key, value in tensors.items()}
    refusals: dict[str, str] = {}

    def ask(key: str, question: Any) -> None:
        try:
            tensors[key] = torch.as_tensor(np.asarray(question()))
        except UsageError as error:
            refusals[key] = type(error).__name__

    ask("embed", lambda: model.embed(test))
    ask("embed/image", lambda: model.embed({"image": test["image"]}))
    ask("score", lambda: model.score(test, samples=4))
    ask("draw", lambda: model.draw({"label": 2}, ["image"], 5, seed=1)["image"])
    ask("draw/prior", lambda: model.draw({}, None, 5, seed=1)["image"])
    evaluation = mmvae.evaluate(run, data=items(name))
    figures = {k: v for k, v in evaluation.items() if k not in ("mmvae", "format")}
    lines = (run / "metrics.jsonl").read_text().splitlines()
    timeless = [
        {k: v for k, v in json.loads(line).items() if k not in ("seconds", "items_per_second")}
        for line in lines
    ]
    kept = {"machine": machine(), "refusals": refusals, "metrics": timeless}
    return tensors, {**kept, "evaluation": figures}


def config(name: str) -> dict[str, Any]:
    """The config of a golden run."""
    return {**EXPERIMENTS[name], "evaluate": EVALUATE}


def make(name: str) -> None:
    """Train one golden run, stopped and finished, and keep both with the answers."""
    place = RUNS / name
    shutil.rmtree(place, ignore_errors=True)
    mmvae.train(config(name), items(name), run_dir=place / "stopped", max_steps=STOP)
    shutil.copytree(place / "stopped", place / "finished")
    mmvae.resume(place / "finished", items(name))
    tensors, document = answers(name, place / "finished")
    save_file(tensors, place / "answers.safetensors")
    (place / "answers.json").write_text(json.dumps(document, indent=1, sort_keys=True) + "\n")
    for folder in (place / "stopped" / "model", place / "finished" / "checkpoints"):
        shutil.rmtree(folder, ignore_errors=True)
    for left in (*place.rglob(".*lock"), *place.rglob("log.txt")):
        left.unlink()
    for made in ("evaluation.json", "evaluation.items.safetensors", "latest"):
        (place / "finished" / made).unlink(missing_ok=True)
    shutil.rmtree(place / "finished" / "evaluation.parts", ignore_errors=True)


def kept(name: str) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """The answers that were kept."""
    document: dict[str, Any] = json.loads((RUNS / name / "answers.json").read_text())
    return load_file(RUNS / name / "answers.safetensors"), document


def differences(got: Any, wanted: Any, exact: bool, at: str = "") -> list[str]:
    """Where a JSON document differs from what is wanted: in words, or in numbers beyond rounding.

    It may say more than is wanted, since later versions measure more.
    """
    if isinstance(wanted, Mapping) and isinstance(got, Mapping):
        missing = [f"{at}/{k} is missing" for k in sorted(wanted) if k not in got]
        both = [k for k in sorted(wanted) if k in got]
        return missing + [
            d for k in both for d in differences(got[k], wanted[k], exact, f"{at}/{k}")
        ]
    if isinstance(wanted, list) and isinstance(got, list) and len(got) == len(wanted):
        pairs = enumerate(zip(got, wanted, strict=True))
        return [d for i, (g, w) in pairs for d in differences(g, w, exact, f"{at}/{i}")]
    if isinstance(wanted, float) and isinstance(got, float) and not exact:
        near = bool(np.isclose(got, wanted, rtol=1e-5, atol=1e-6))
        return [] if near else [f"{at}: {got} instead of {wanted}"]
    return [] if got == wanted else [f"{at}: {got!r} instead of {wanted!r}"]


def answer_again(name: str) -> None:
    """Keep what the present version answers for a stopped run of an earlier one.

    Only a change that is meant to change what a resumed run reaches may ask for it.
    """
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        shutil.copytree(RUNS / name / "stopped", run)
        mmvae.resume(run, items(name))
        tensors, document = answers(name, run)
        shutil.rmtree(RUNS / name / "finished" / "model")
        shutil.copytree(run / "model", RUNS / name / "finished" / "model")
        shutil.copy(run / "metrics.jsonl", RUNS / name / "finished" / "metrics.jsonl")
    save_file(tensors, RUNS / name / "answers.safetensors")
    text = json.dumps(document, indent=1, sort_keys=True) + "\n"
    (RUNS / name / "answers.json").write_text(text)


if __name__ == "__main__":
    torch.set_num_threads(1)
    for chosen in sys.argv[1:]:
        answer_again(chosen)
    if not sys.argv[1:]:
        make_items()
    for chosen in [] if sys.argv[1:] else EXPERIMENTS:
        make(chosen)
        size = sum(path.stat().st_size for path in (RUNS / chosen).rglob("*") if path.is_file())
        print(f"{chosen}: {size / 1024:.0f} KiB")
