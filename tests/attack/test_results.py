"""Results that changed are told, never used."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path

import pytest
import torch
from attack.mutations import damaged_bytes, loose_json, reseal
from safetensors.torch import load, save
from toys import toy_registry

import mmvae
from mmvae.cli.items import _remark_changes
from mmvae.evaluation import classifiers as classifiers
from mmvae.evaluation.partial_results import PartialResults
from mmvae.experiments.comparison.evaluated import open_evaluated
from mmvae.experiments.evaluate import evaluate
from mmvae.experiments.open_run import open_run
from mmvae.foundations.errors import MmvaeError, RunError, TrainingError
from mmvae.report.report import _evaluation, report
from mmvae.runs.checkpoint_folder import read_folder, read_state
from mmvae.runs.checkpoint_store import CheckpointStore
from mmvae.runs.metrics_log import read_training
from mmvae.runs.results_file import read_items, read_results, write_results
from mmvae.runs.run import Run
from mmvae.training.state import position_of

ANEW = r"cannot be read: .*`mmvae evaluate .*` writes it (again|anew)"


@pytest.fixture(scope="module")
def evaluated(toy_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = Path(shutil.copytree(toy_run, tmp_path_factory.mktemp("attack") / "run"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(classifiers, "LEAST_STEPS", 50)
        keys = ['evaluate.bounds=["v"]', "evaluate.samples=3", "evaluate.coherence=false"]
        evaluate(folder, overrides=keys, registry=toy_registry())
    return folder


@pytest.fixture
def copy(evaluated: Path, tmp_path: Path) -> Run:
    return Run.open(Path(shutil.copytree(evaluated, tmp_path / "run")))


@pytest.mark.parametrize("name", ["evaluation.json", "evaluation.items.safetensors"])
def test_any_damage_to_results_is_told_or_harmless(copy: Run, name: str) -> None:
    whole, items = read_results(copy), read_items(copy)
    draws, data = random.Random(name), (copy.folder / name).read_bytes()
    refused = 0
    for _ in range(150):
        (copy.folder / name).write_bytes(data)
        damaged_bytes(copy.folder / name, draws, copy.folder)
        try:
            found, (values, made_with) = read_results(copy), read_items(copy)
        except RunError:
            refused += 1
            continue
        assert found == whole
        assert made_with == items[1]  # blanks in a header of safetensors say nothing
        assert all(torch.equal(values[name], items[0][name]) for name in {*values, *items[0]})
    assert refused > 140


def test_another_figure_is_refused_wherever_it_is_read(copy: Run) -> None:
    text = copy.evaluation.read_text("utf-8")
    digits = next(iter(json.loads(text)["cells"].values()))["mean"]
    copy.evaluation.write_text(text.replace(str(digits), str(digits + 1)), "utf-8")
    with pytest.raises(RunError, match=ANEW):
        open_evaluated(copy.folder)
    with pytest.raises(RunError, match=ANEW):
        report(copy.folder, registry=toy_registry())
    evaluate(copy.folder, overrides=["evaluate.coherence=false"], registry=toy_registry())
    assert read_results(copy)["items"] == 20


@pytest.mark.parametrize(
    "path",
    [
        ("items",),
        ("latent", "variance per dimension"),
        ("latent", "variance per dimension", 0),
        ("latent", "kl per dimension", 0),
        ("bounds", "elbo", "mean"),
        ("cells", "v", "proposal"),
        ("given", "v"),
    ],
)
def test_results_that_lack_what_a_report_shows_are_refused(copy: Run, path) -> None:
    document = read_results(copy)
    holder = document
    for part in path[:-1]:
        holder = holder[part] if part in holder else next(iter(holder.values()))
    holder[path[-1]] = {"a": "b"}
    write_results(copy, document)
    with pytest.raises(RunError, match="lacks what a report shows.* writes it (again|anew)"):
        report(copy.folder, registry=toy_registry())


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (("latent",), {"dimensions": 10**5, "of": 10**5}, "latent has 100,000 dimensions"),
        (("modalities",), ["v"] * 10**5, "modalities are"),
        (("latent", "kl per dimension"), [1e308, 0.0], "too large to be drawn"),
        (("coherence matrix",), {"c": {"x" * 9: {}}}, "coherence matrix of 'c' is of another"),
        (("coherence matrix",), {"z": {}}, "coherence matrix of 'z' is of another"),
    ],
)
def test_results_of_another_model_are_not_drawn(copy: Run, path, value, said: str) -> None:
    """The size of a figure is that of the model, whatever a sealed file says."""
    document = read_results(copy)
    if path == ("latent",):
        many = [0.1] * value["of"]
        value = {
            "active units": 1,
            "dimensions": value["dimensions"],
            "kl per dimension": many,
            "variance per dimension": many,
        }
    if path == ("coherence matrix",):
        value = {k: {"cells": v, "classifier on real items": {}} for k, v in value.items()}
    holder = document
    for part in path[:-1]:
        holder = holder[part]
    holder[path[-1]] = value
    write_results(copy, document)
    with pytest.raises(RunError, match=f"lacks what a report shows.*{said}"):
        report(copy.folder, registry=toy_registry())


def test_results_of_older_versions_are_read(copy: Run) -> None:
    document = json.loads(copy.evaluation.read_bytes())
    del document["sealed"], document["sha256"]
    copy.evaluation.write_text(json.dumps(document), "utf-8")
    tensors, made_with = read_items(copy)
    copy.evaluation_items.write_bytes(save(tensors, made_with))
    assert read_results(copy) == document
    assert open_evaluated(copy.folder).evaluation.items == 20


def test_a_seal_cannot_be_lost_by_halves(copy: Run) -> None:
    document = json.loads(copy.evaluation.read_bytes())
    for key in ("sealed", "sha256"):
        copy.evaluation.write_text(json.dumps({k: v for k, v in document.items() if k != key}))
        with pytest.raises(RunError, match=ANEW):
            read_results(copy)


def test_results_of_very_many_lists_are_refused_before_they_are_parsed(copy: Run) -> None:
    parts = b"[" + b"[]," * (1 << 20) + b"[]]"
    copy.evaluation.write_bytes(b'{"results": ' + parts + b"}")
    with pytest.raises(RunError, match="1,048,579 lists and objects, expected 1,048,576"):
        read_results(copy)
    copy.metrics.write_bytes((b'{"step": 1, "nested": ' + parts + b"}\n") * 5)
    with pytest.raises(RunError, match="lists and objects, expected 4,194,304 at most. Restore"):
        read_training(copy.metrics)
    (copy.folder / "env.json").write_bytes(parts)
    with pytest.raises(RunError, match="lists and objects"):
        copy.environment()


def test_a_damaged_shard_of_an_evaluation_is_computed_again(tmp_path: Path) -> None:
    partial = PartialResults(tmp_path / "parts", {"a": 1})
    partial.keep(slice(0, 3), {"x": torch.ones(3, dtype=torch.float64)})
    assert list(partial.missing(3, 3)) == []
    (file,) = partial.folder.iterdir()
    values = load(file.read_bytes())
    file.write_bytes(file.read_bytes()[:-4] + b"\0\0\0\0")
    assert values["x"].tolist() == [1, 1, 1]
    assert list(partial.missing(3, 3)) == [slice(0, 3)]
    with pytest.raises(RunError, match="missing or damaged"):
        partial.whole(3, 3)


def test_a_checkpoint_is_saved_into_no_link(tmp_path: Path, victim: Path) -> None:
    (tmp_path / "checkpoints").symlink_to(victim)
    with pytest.raises(TrainingError, match="it is a symbolic link"):
        CheckpointStore(tmp_path / "checkpoints").save(1, {}, {})


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        ({"data": "a/b"}, "data: Input should be"),
        ({"data": {"items": {"train": "x"}}}, "data.fingerprint: Field required"),
        ({"data": None}, "data: Input should be"),
        ({"packages": [1]}, "data: Field required"),
        ({}, "data: Field required"),
        ([], "expected an object"),
    ],
)
def test_an_environment_that_is_none_is_told(copy: Run, said: object, problem: str) -> None:
    (copy.folder / "env.json").write_text(json.dumps(said))
    for use in (mmvae.resume, evaluate, lambda run, registry: _remark_changes(Run(run), "")):
        with pytest.raises(RunError, match=rf"env\.json cannot be read: {problem}.* Restore"):
            use(copy.folder, registry=toy_registry())


def test_messages_on_files_of_a_run_are_short_and_in_our_words(copy: Run) -> None:
    """pydantic's own messages have several lines and name its web site."""
    long = {"x" * 100_000: 1}
    opened = open_run(copy.folder, registry=toy_registry())
    state = json.loads((copy.model / "state.json").read_bytes())
    reseal(copy.model, "state.json", loose_json({**state, "note": "\ud800", **long}))
    document = read_results(copy)
    write_results(copy, {**document, "latent": long})
    (copy.folder / "status.json").write_text(json.dumps(long))
    for read in (
        lambda: read_folder(copy.model),
        lambda: read_state(copy.model),
        copy.status,
        lambda: _evaluation(opened, ()),
        lambda: position_of({"position": {"step": ["x" * 100_000]}}, copy.folder),
    ):
        with pytest.raises(MmvaeError) as error:
            read()
        assert len(str(error.value)) < 800
        assert "pydantic" not in str(error.value)
        assert "\n" not in str(error.value)
