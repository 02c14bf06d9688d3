"""Small trainings of the toys: how tests start one, stop it, and compare two of them."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from toys import ClassCodec, VectorCodec, VectorConfig, toy_config, toy_registry

import mmvae
from mmvae.experiments.session import Result
from mmvae.plugins.registry import Registry
from mmvae.runs.checkpoint_folder import Checkpoint, read_folder
from mmvae.runs.checkpoint_store import CheckpointStore
from mmvae.runs.metrics_log import read_metrics

STEPS_PER_EPOCH, TOTAL_STEPS = 5, 15
TIMES = {"seconds", "items_per_second"}


class NoisyCodec(VectorCodec):
    """Vectors seen through noise and dropout: a view of its own at every step."""

    kind = "toy-noisy"

    def resample(self, x: Tensor, generator: torch.Generator) -> Tensor:
        return x + 0.1 * torch.randn(x.shape, generator=generator)

    def encoder(self) -> nn.Module:
        return nn.Sequential(super().encoder(), nn.Dropout(0.2))


class Moment:
    """Something that happens once, at one training view counted from 1 over the whole process.

    The view that codecs are rehearsed with, before a training has a step, counts as 0, which is
    never; what is resumed is not rehearsed.
    """

    def __init__(self, at: int, act: Callable[[Tensor], Tensor], resumed: bool = False) -> None:
        self.at, self.act, self.seen = at, act, 0 if resumed else -1

    def __call__(self, x: Tensor) -> Tensor:
        self.seen += 1
        return self.act(x) if self.seen == self.at > 0 else x


def codec_with(moment: Moment) -> type[VectorCodec]:
    """A codec of vectors to which ``moment`` happens."""

    class Momentous(VectorCodec):
        kind = "toy-momentous"
        Config = VectorConfig

        def resample(self, x: Tensor, generator: torch.Generator) -> Tensor:
            return moment(x)

    return Momentous


def registry(*codecs: type[mmvae.Codec]) -> Registry:
    """The toys with noise, and what a test adds."""
    known = toy_registry()
    return Registry.of(
        codecs=[VectorCodec, ClassCodec, NoisyCodec, *codecs],
        sources=[known.find("source", kind) for kind in ("toy", "memory", "table")],
        models=[known.find("model", "jmvae")],
        families=known.kinds("family").values(),
    )


def config(**sections: Mapping[str, Any]) -> dict[str, Any]:
    """Three epochs of five steps, the last of each smaller; several records within an epoch."""
    train: dict[str, Any] = {"epochs": 3, "batch_size": 14, "log_every": 2, "device": "cpu"}
    modalities = {"v": {"codec": "toy-noisy"}, "c": {"codec": "toy-class"}}
    merged = {
        "modalities": modalities,
        **sections,
        "train": train | dict(sections.get("train", {})),
    }
    return toy_config(**merged)


def moments(moment: Moment, **sections: Mapping[str, Any]) -> tuple[dict[str, Any], Registry]:
    """A config and registry in which ``moment`` happens to modality ``v``."""
    modalities = {"v": {"codec": "toy-momentous"}, "c": {"codec": "toy-class"}}
    return config(modalities=modalities, **sections), registry(codec_with(moment))


def train(folder: Path, settings: Mapping[str, Any], **options: Any) -> Result:
    """Train in ``folder`` with the plugins of :func:`registry`."""
    return mmvae.train(settings, run_dir=folder, **{"registry": registry()} | options)


def resume(folder: Path, **options: Any) -> Result:
    """Resume ``folder`` with the plugins of :func:`registry`."""
    return mmvae.resume(folder, **{"registry": registry()} | options)


def latest(folder: Path) -> Checkpoint:
    """The latest checkpoint of a run."""
    return CheckpointStore(folder / "checkpoints").load("latest")


def metrics(folder: Path) -> list[dict[str, Any]]:
    """The records of a run, without what depends on the clock."""
    records = read_metrics(folder / "metrics.jsonl")
    return [{k: v for k, v in record.items() if k not in TIMES} for record in records]


def losses(folder: Path) -> list[float]:
    """The training losses of a run's records."""
    return [record["loss"] for record in metrics(folder) if record["split"] == "train"]


def assert_same_tensors(ours: Checkpoint, theirs: Checkpoint) -> None:
    """Every tensor of two checkpoints is bit-equal."""
    assert ours.tensors.keys() == theirs.tensors.keys()
    for stem, group in ours.tensors.items():
        assert group.keys() == theirs.tensors[stem].keys(), stem
        for name, value in group.items():
            assert torch.equal(value, theirs.tensors[stem][name]), f"{stem}/{name}"


def assert_same_run(one: Path, other: Path) -> None:
    """Two runs ended alike: state, metrics and model, but for what depends on the clock."""
    ours, theirs = latest(one), latest(other)
    assert ours.step == theirs.step
    assert_same_tensors(ours, theirs)
    for state in (ours.state, theirs.state):
        for key in ("metrics_offset", "metrics_sha256"):  # of lines that tell seconds
            state["position"].pop(key)
    assert ours.state == theirs.state
    assert metrics(one) == metrics(other)
    assert_same_tensors(read_folder(one / "model"), read_folder(other / "model"))


def forked(action: Callable[[], object]) -> int:
    """Start ``action`` in a child; it exits with 0, or the code of the error that ended it."""
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        torch.set_num_threads(1)  # the parent's other threads are not here
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        action()
        code = 0
    except mmvae.MmvaeError as error:
        code = error.exit_code
    finally:
        os._exit(code)


def exit_code(child: int) -> int:
    """Wait for a child; the negative number of the signal that killed it, or its exit code."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
