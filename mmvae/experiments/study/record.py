"""The stored results of a row: one JSON file, complete and the same on every machine.

``RESULTS/STUDY/SCHEDULE/ROW.json`` holds the config and its hash, every statistic with its error,
the nats of each item (:mod:`mmvae.experiments.study.packing`), the training, the hardware, the
versions, and the losses of the first steps, by which a training can be checked without repeating
all of it. If a codec standardises, nats refer to standardised values, as published results do.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mmvae.evaluation.query import cell_name
from mmvae.evaluation.standardised import KEY
from mmvae.experiments.comparison.evaluated import by_cell
from mmvae.experiments.environment import processor
from mmvae.experiments.study.cells import cells_of
from mmvae.experiments.study.packing import Array, pack, unpack
from mmvae.experiments.study.row import Row
from mmvae.experiments.study.study import Study
from mmvae.foundations import storage
from mmvae.foundations.errors import DataError
from mmvae.foundations.json_document import problem_of
from mmvae.foundations.toml import parse
from mmvae.runs.metrics_log import read_training
from mmvae.runs.run import Run

FORMAT = 1

REMEDY = "Remove it; `mmvae reproduce` writes it again."

FIRST_STEPS = 200
"""Number of training steps whose losses are stored."""

OTHER = ("bounds", "variation of information", "accuracy", "coherence", "coherence matrix")
"""Further parts of ``evaluation.json`` that are stored."""

IN_NATS = ("bounds", "variation of information")
"""The parts that are log-likelihoods."""


class Reading(BaseModel):
    """A training loss, the mean over the steps since the previous reading."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    step: int
    loss: float


class Record(BaseModel):
    """The stored results of a row; its fields are the keys of the file.

    Args:
        format: Version of the file's format.
        study: Name of the study.
        schedule: Name of the schedule.
        row: Name of the row.
        label: Its name in tables.
        source: The publication of the published values; empty without any.
        published: Query → published nats per item.
        config: The whole configuration as TOML, defaults included.
        config_hash: Changes with any value that determines the training.
        cells: Query → mean, standard error and estimator, as in ``evaluation.json``.
        other: Further statistics of the evaluation.
        nats: Query → nats of each item, packed.
        split: Items that were evaluated.
        items: Their number.
        k: Samples per item.
        seed: Of the training.
        epochs: Passes over the training items.
        steps: Total number of optimizer steps.
        weights: Step at which the weights were reached, and their SHA-256.
        training_seconds: Time that the training took.
        hardware: Processor, cores, threads, device.
        versions: Of Python and packages.
        data: Fingerprint, and items by split.
        first_steps: Training losses of the first steps.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int = FORMAT
    study: str
    schedule: str
    row: str
    label: str
    source: str
    published: dict[str, float]
    config: str
    config_hash: str
    cells: dict[str, dict[str, Any]]
    other: dict[str, Any]
    nats: dict[str, str]
    split: str
    items: int = Field(ge=1)
    k: int
    seed: int
    epochs: int
    steps: int
    weights: dict[str, Any]
    training_seconds: float
    hardware: dict[str, Any]
    versions: dict[str, str]
    data: dict[str, Any]
    first_steps: list[Reading]

    def per_item(self, cell: str) -> Array:
        """Nats of each item, float64 (n,), in the order of the split."""
        return unpack(self.nats[cell])

    @property
    def modalities(self) -> list[str]:
        """Modalities of the row, in the order of its config."""
        return list(parse(self.config, f"{self.row}.json")["modalities"])

    @property
    def judged(self) -> dict[str, dict[str, Any]]:
        """Modality with classes → its coherence matrix; empty if there is none."""
        return dict(self.other.get("coherence matrix", {}))

    def named(self, text: str) -> list[str]:
        """The row's own names of the queries in a text, as far as it has their values."""
        return [name for name in cells_of(text, self.modalities) if name in self.cells]


def record_path(results: Path, study: str, schedule: str, row: str) -> Path:
    """The path of a row's results."""
    folder = storage.within(storage.within(results, study), schedule)
    return storage.within(folder, f"{row}.json")


def write_record(results: Path, record: Record) -> Path:
    """Store a row's results.

    Raises:
        TrainingError: The system refused to write.
    """
    path = record_path(results, record.study, record.schedule, record.row)
    storage.inner_folder(storage.inner_folder(results, record.study), record.schedule)
    storage.write_json(path, record.model_dump(mode="json"))
    return path


def read_record(path: Path) -> Record:
    """Read a row's results.

    Raises:
        DataError: The file cannot be read, is damaged or of another version.
    """
    try:
        record = Record.model_validate_json(storage.read(path, follow=True))
        if record.format != FORMAT:
            raise ValueError(f"format {record.format}, expected {FORMAT}")
        if wrong := [c for c in record.nats if len(record.per_item(c)) != record.items]:
            raise ValueError(f"{wrong[0]} has not {record.items} items")
    except ValidationError as error:
        raise DataError(f"{path} cannot be read: {problem_of(error)}. {REMEDY}") from error
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read: {error}. {REMEDY}") from error
    return record


def read_records(results: Path, study: Study) -> dict[str, list[Record]]:
    """Schedule → records of its existing rows, in the study's order.

    Raises:
        DataError: A file is damaged.
    """
    found = {
        schedule: [
            read_record(path)
            for row in study.shown(schedule)
            if (path := record_path(results, study.name, schedule, row)).is_file()
        ]
        for schedule in study.config.schedules
    }
    return {schedule: records for schedule, records in found.items() if records}


def make_record(
    study: Study,
    schedule: str,
    row: Row,
    run: Run,
    evaluation: Mapping[str, Any],
    nats: Mapping[str, Array],
) -> Record:
    """Build the record of a row whose run is finished and evaluated.

    Args:
        study: The study.
        schedule: Name of the schedule.
        row: The row.
        run: Its run.
        evaluation: The content of ``evaluation.json``.
        nats: Query → nats of each item, (n,).

    Raises:
        RunError: A file of the run cannot be read.
    """
    experiment, env = row.recorded.experiment, run.environment()
    readings = [r for r in read_training(run.metrics) if r["split"] == "train"]
    reference = experiment.reference
    published = reference.bounds if reference else {}
    modalities = list(experiment.modalities)
    return Record(
        study=study.name,
        schedule=schedule,
        row=row.name,
        label=reference.row if reference else experiment.name,
        source=reference.source if reference and published else "",
        published={cell_name(c, modalities): v for c, v in by_cell(published, modalities).items()},
        config=row.recorded.resolved_toml(),
        config_hash=row.recorded.hash,
        cells=standardised(evaluation.get("cells", {})),
        other={key: evaluation[key] for key in OTHER if key in evaluation}
        | {key: standardised(evaluation[key]) for key in IN_NATS if key in evaluation},
        nats={cell: pack(np.asarray(values)) for cell, values in nats.items()},
        split=evaluation["split"],
        items=evaluation["items"],
        k=experiment.evaluate.samples,
        seed=experiment.train.seed,
        epochs=experiment.train.epochs,
        steps=evaluation["steps"],
        weights={"step": evaluation["step"], "sha256": evaluation["weights"]},
        training_seconds=round(training_seconds(readings), 1),
        hardware=hardware(env),
        versions={"mmvae": env["mmvae"], "python": env["python"], **env["packages"]},
        data=env["data"],
        first_steps=first_steps(readings),
    )


def standardised(statistics: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Replace mean and error by those for standardised values, if a codec standardises."""
    return {
        name: {key: value for key, value in statistic.items() if key != KEY}
        | statistic.get(KEY, {})
        for name, statistic in statistics.items()
    }


def first_steps(readings: Sequence[Mapping[str, Any]]) -> list[Reading]:
    """The training losses of the first steps, from the records of a run.

    Empty if the model's first phase, whose loss it is, is frozen.
    """
    first = [r for r in readings if r["step"] <= FIRST_STEPS and "loss" in r]
    return [Reading(step=r["step"], loss=r["loss"]) for r in first]


def training_seconds(readings: Sequence[Mapping[str, Any]]) -> float:
    """Duration of a training over all its sessions, each of which counts from 0."""
    total = before = 0.0
    for seconds in (r["seconds"] for r in readings):
        total += seconds - before if seconds >= before else seconds
        before = seconds
    return total


def hardware(env: Mapping[str, Any]) -> dict[str, Any]:
    """The hardware of a run's training, from its ``env.json``.

    For runs older than the key for the processor, this machine's processor is used.
    """
    return {
        "processor": env.get("processor") or processor(),
        "architecture": platform.machine(),
        "cores": env["cpu_count"],
        "threads": env["threads"],
        "device": env.get("device_name", env["device"]),
    }
