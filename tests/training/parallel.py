"""What each process of a parallel training does; started by torchrun in ``test_processes.py``.

``python -m torch.distributed.run … parallel.py ACTION FOLDER``. It prints nothing; what it finds
goes to files in FOLDER, and its exit code is that of the command line.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
import torch
from toys import PlainFamily, PlainHead, toy_items
from trainings import Moment, config, moments, registry, resume, train

from mmvae.cli.launched import end_launched
from mmvae.data.batches import Batches
from mmvae.experiments.build import build_model, make_accelerator, open_experiment_data
from mmvae.experiments.config import load_experiment
from mmvae.experiments.evaluate import evaluate
from mmvae.foundations.errors import MmvaeError
from mmvae.modalities.column import Column
from mmvae.training.step import Stepper
from mmvae.training.validation import validate

RANK = int(os.environ.get("RANK", "0"))

PLAIN = {"v": {"codec": "toy-vector"}, "w": {"codec": "toy-vector"}, "c": {"codec": "toy-class"}}
"""No dropout, whose draws belong to a process."""

EVALUATED = ['evaluate.bounds=["standard"]', "evaluate.samples=40", "evaluate.batch_size=7"]
"""An evaluation in three shards of 7, 7 and 6 items."""

FAMILIES: dict[str, dict[str, Any]] = {
    "singletons": {},
    "drawn trunks": {"subsets_per_step": 1},
    "drawn heads": {"subsets": "all", "subsets_per_step": 2, "feature_dim": 4},
}


def settings(family: str, **train_keys: Any) -> dict[str, Any]:
    """Two epochs: batches of 29, 29 and 2 items of 60 make uneven and nearly empty shares."""
    keys = {"epochs": 2, "batch_size": 29, "learning_rate": 0.01} | train_keys
    return config(modalities=PLAIN, model=FAMILIES[family], train=keys)


def opened(family: str, folder: Path, **train_keys: Any) -> tuple[Stepper, Batches]:
    """The steps of a training without a run, and its validation split."""
    experiment = load_experiment(settings(family, **train_keys), (), registry()).experiment
    accelerator = make_accelerator(experiment.train, folder)
    data = open_experiment_data(experiment, registry(), None, accelerator)
    model = build_model(experiment, registry(), data.codecs)
    ours = Stepper(model, data.batches("train"), experiment.train, accelerator)
    return ours, data.batches("validation")


def measured(family: str, folder: Path, **train_keys: Any) -> dict[str, torch.Tensor]:
    """Gradient of a full, a small and a one-item batch, the items seen, and the validation."""
    ours, validation = opened(family, folder, **train_keys)
    found: dict[str, torch.Tensor] = {}
    phase, process, processes = ours.phases[0], ours._process, ours._processes
    batch = ours.train.batch
    for name, step, count in (("full", 0, 29), ("small", 2, 2), ("one", 1, 1)):
        seen: list[torch.Tensor] = []

        def spied(items: torch.Tensor, *rest: Any, seen: list[torch.Tensor] = seen) -> Any:
            seen.append(items)
            return batch(items, *rest)

        ours.train.batch = spied  # type: ignore[method-assign]
        ours.optimizers[phase.name].zero_grad()
        items = ours.order.items(step)[:count]
        ours.gradients(step, phase, items, 1.0)
        ours.train.batch = batch  # type: ignore[method-assign]
        grads = [torch.zeros_like(p) if p.grad is None else p.grad for p in phase.parameters]
        unused = torch.tensor([p.grad is None for p in phase.parameters])
        found[f"{name}/gradient"] = torch.cat([g.flatten() for g in grads])
        found[f"{name}/unused"] = unused
        found[f"{name}/items"] = torch.cat(seen)
        found[f"{name}/share"] = torch.tensor([process, processes])
    for size in (20, 7, 1):
        means = validate(ours.model, validation, size, 0, ours.accelerator)
        found[f"validation/{size}"] = torch.tensor(list(means.values()), dtype=torch.float64)
    return found


def measure(folder: Path) -> None:
    """Write what :func:`measured` finds with and without accumulation; train runs.

    ``one`` is a run that one process began, ``taken`` a folder that holds something else.
    """
    from safetensors.torch import save_file

    for family in FAMILIES:
        for parts in (1, 4):
            found = measured(family, folder, accumulation=parts)
            name = f"{family}-{parts}-{RANK}.safetensors"
            save_file({k: v.clone() for k, v in found.items()}, folder / name)
        train(folder / family, settings(family, checkpoint_every=2, ema=0.9))
    train(folder / "resumed", settings("singletons", ema=0.9), max_steps=4)
    resume(folder / "one")
    result = evaluate(folder / "one", overrides=EVALUATED, registry=registry())
    (folder / f"evaluated-{RANK}").write_text(json.dumps(sorted(result.get("cells", {}))))
    try:
        train(folder / "taken", settings("singletons"))
    except MmvaeError as error:
        (folder / f"refused-{RANK}").write_text(f"{error.exit_code}: {error}")


SHARED = {"subsets": "all", "subsets_per_step": 2, "feature_dim": 4}
HAS_MISSING: dict[str, dict[str, Any]] = {
    "separate": {},
    "shared": SHARED,
    "apart": SHARED | {"trunks": "joint-apart", "heads": "masked", "teachers": ["v"]},
}
"""Models for items that lack modalities: trunks of their own, and shared ones."""

LACKING = {"one process": [0, 1, 2, 3, 8, 9, 10, 11], "both": [8, 9, 10, 11, 12, 13, 14, 15]}
"""Items of a batch: the second process's half, or all of them, lack w."""


def gappy() -> dict[str, Any]:
    """Sixty items, of which 8 to 29 and some more lack w."""
    items, rows = toy_items(60), np.arange(60)
    has = {"w": (rows < 8) | (rows >= 30), "c": rows % 5 != 1}
    items["w"][~has["w"]] = np.nan
    return {"train": {m: Column(items[m], present=has.get(m)) for m in ("v", "w", "c")}}


def gap_stepper(kind: str, folder: Path) -> Stepper:
    """The steps of a training on :func:`gappy` without a run."""
    table = {**settings("singletons"), "model": HAS_MISSING[kind] | {"latent_dim": 2}}
    table["data"] = {"source": "memory"}
    experiment = load_experiment(table, (), registry()).experiment
    accelerator = make_accelerator(experiment.train, folder)
    data = open_experiment_data(experiment, registry(), gappy(), accelerator)
    model = build_model(experiment, registry(), data.codecs)
    model.learn_patterns(data.patterns)
    return Stepper(model, data.batches("train"), experiment.train, accelerator)


def gap_gradients(kind: str, folder: Path) -> dict[str, torch.Tensor]:
    """Gradient of batches of which a part or all lack a modality; then a few whole steps."""
    ours, found = gap_stepper(kind, folder), {}
    phase = ours.phases[0]
    for name, items in LACKING.items():
        ours.optimizers[phase.name].zero_grad()
        ours.gradients(0, phase, torch.tensor(items), 1.0)
        grads = [torch.zeros_like(p) if p.grad is None else p.grad for p in phase.parameters]
        found[name] = torch.cat([g.flatten() for g in grads])
    for step in range(ours.order.steps_per_epoch):
        ours.step(step)
    found["weights"] = torch.cat([p.detach().flatten() for p in phase.parameters])
    return found


def gaps(folder: Path) -> None:
    """Write what :func:`gap_gradients` finds."""
    from safetensors.torch import save_file

    for kind in HAS_MISSING:
        save_file(gap_gradients(kind, folder), folder / f"{kind}-{RANK}.safetensors")


class Rolled(PlainHead):
    """A head that begins by chance, which each process has of its own."""

    def begin(self, samples: torch.Tensor, points: torch.Tensor) -> None:
        self.bias.copy_(torch.rand_like(self.bias))


def begun(folder: Path) -> torch.Tensor:
    """Weights of a prior that begins by chance in the second epoch, and is fitted in it."""
    table = settings("singletons") | {"prior": {"family": "toy-plain", "first_epoch": 1}}
    table["data"] = {"source": "toy", "validation": 0}  # else the best weights may be earlier ones
    table["train"] |= {"freeze": ["decoders", "encoders.subset_posteriors"]}
    PlainFamily.head = lambda self, seen, d: Rolled(seen, d)  # type: ignore[method-assign]
    prior: Any = train(folder, table).model.model.learned_prior
    return prior.density.bias.detach().clone()


def begin(folder: Path) -> None:
    """Write what :func:`begun` finds."""
    from safetensors.torch import save_file

    save_file({"bias": begun(folder / "run")}, folder / f"{RANK}.safetensors")


UNEQUAL: dict[str, dict[str, Any]] = {
    "fewer items": {"v": toy_items(59)["v"], "c": toy_items(59)["c"]},
    "another value": {**toy_items(60), "v": toy_items(60)["v"] + np.float32(RANK)},
    "another gap": {**toy_items(60), "c": Column(toy_items(60)["c"], present=np.arange(60) > 30)},
}


def unequal(folder: Path) -> None:
    """Train on other data than the other process; write what was said to it."""
    described = config(data={"source": "memory"})
    for name, data in UNEQUAL.items():
        try:
            ours = data if RANK else toy_items(60)
            train(folder / name, described, data={"train": ours}, max_steps=1)
        except MmvaeError as error:
            (folder / f"{name}-{RANK}").write_text(f"{error.exit_code}: {error}")


def fail(folder: Path) -> None:
    """Fail on the second process only, in the middle of a step, while the other waits for it."""

    def act(x: torch.Tensor) -> torch.Tensor:
        if RANK == 1:
            (folder / "failed").write_text(json.dumps(time.time()))
            raise RuntimeError("a bug on one process")
        return x

    described, plugins = moments(Moment(12, act), train={"checkpoint_every": 5, "epochs": 99})
    train(folder / "run", described, registry=plugins)


def forever(folder: Path) -> None:
    """Train until a signal comes."""
    train(folder / "run", settings("singletons", epochs=10**6))


if __name__ == "__main__":
    torch.set_num_threads(1)
    code = 0
    try:
        globals()[sys.argv[1]](Path(sys.argv[2]))
    except MmvaeError as error:
        print(f"error: {error}", file=sys.stderr)
        code = error.exit_code
    end_launched(code)
    sys.exit(code)
