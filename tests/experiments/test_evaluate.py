"""A run opened again gives the figures of the model that was trained."""

from __future__ import annotations

import importlib
import json
import shutil
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from heard import Heard
from safetensors import safe_open
from safetensors.torch import load_file
from toys import toy_config, toy_items, toy_registry

import mmvae
from mmvae.data.batches import Batches
from mmvae.evaluation import classifiers as classifiers
from mmvae.evaluation import likelihood_queries as likelihoods
from mmvae.evaluation.classifiers import Classifiers
from mmvae.experiments.evaluate import evaluate
from mmvae.experiments.open_run import FORMAT, open_run
from mmvae.experiments.train import dry_run
from mmvae.foundations.errors import ConfigError, DataError, MmvaeError, RunError, UsageError
from mmvae.foundations.progress import Progress
from mmvae.foundations.toml import literal
from mmvae.report.report import report
from mmvae.runs.results_file import read_results
from mmvae.runs.run import Run


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(classifiers, "LEAST_STEPS", 50)


@pytest.fixture
def run(toy_run: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(toy_run, tmp_path / "run"))


def test_the_result_is_kept_with_what_it_was_made_with(run: Path) -> None:
    overrides = ["evaluate.samples=4", "evaluate.seed=3", 'evaluate.split="validation"']
    result = evaluate(run, overrides=overrides, registry=toy_registry())
    written = json.loads((run / "evaluation.json").read_text(encoding="utf-8"))
    assert written.pop("sealed")
    assert len(written.pop("sha256")) == 64
    assert written == result == read_results(Run.open(run))
    assert result["config"]["samples"] == result["samples"] == 4
    assert (result["name"], result["split"], result["seed"]) == ("toy", "validation", 3)
    assert result["step"] == open_run(run, registry=toy_registry()).step > 0
    assert result["steps"] == Run.open(run).status().step >= result["step"]
    assert result["items"] == 20


def test_the_validation_elbo_is_that_of_training(run: Path) -> None:
    overrides = ['evaluate.split="validation"', "evaluate.coherence=false"]
    result = evaluate(run, overrides=overrides, registry=toy_registry())
    lines = (run / "metrics.jsonl").read_text().splitlines()
    records = [json.loads(line) for line in lines]
    (best,) = [r for r in records if r["split"] == "validation" and r["step"] == result["step"]]
    figure = result["bounds"]["elbo"]
    assert abs(figure["mean"] - best["elbo"]) < 4 * figure["error"]
    # These are in closed form, so that the samples of z do not matter.
    assert result["terms"]["kl"]["mean"] == pytest.approx(best["kl"], rel=1e-5)
    for subset in ("v", "c", "p"):
        kl = result["subset posteriors"][subset]["mean"]
        assert kl == pytest.approx(best[f"subset_kl/{subset}"], rel=1e-5)


def test_only_keys_that_leave_the_model_alone_may_change(run: Path) -> None:
    with pytest.raises(UsageError, match="-s model.alpha=3: the model is trained already"):
        evaluate(run, overrides=["model.alpha=3"], registry=toy_registry())


def test_data_in_memory_are_given_again(tmp_path: Path) -> None:
    config = toy_config()
    del config["data"]
    items = {"train": toy_items(40), "test": toy_items(10, seed=1)}
    mmvae.train(config, items, run_dir=tmp_path / "r", registry=toy_registry())
    with pytest.raises(DataError, match="Pass them again as data="):
        evaluate(tmp_path / "r", registry=toy_registry())
    assert evaluate(tmp_path / "r", items, registry=toy_registry())["items"] == 10


def test_the_judges_may_learn_from_other_data_than_the_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that models of different data have the same judges."""
    learned: list[int] = []

    class Noted(Classifiers):
        def __init__(self, training: Batches, seed: int, progress: Progress) -> None:
            learned.append(len(training))
            super().__init__(training, seed, progress)

    monkeypatch.setattr("mmvae.evaluation.evaluate.Classifiers", Noted)
    for name, data in (("few", {"items": 20}), ("many", {"items": 60})):
        config = toy_config(data={"source": "toy", **data})
        mmvae.train(config, run_dir=tmp_path / name, registry=toy_registry())
    registry, few = toy_registry(), tmp_path / "few"
    keys = ["evaluate.judge_data={ items = 60 }"]
    evaluate(few, registry=registry)
    evaluate(few, overrides=keys, registry=registry)
    assert learned == [20, 60]
    opened, whole = (
        open_run(few, None, keys, registry),
        open_run(tmp_path / "many", None, (), registry),
    )
    theirs, real = opened.classifier_items(), whole.data.batches("train")
    assert len(opened.data.batches("train")) == 20
    assert theirs.fixed(slice(0, 60)).x["v"].equal(real.fixed(slice(0, 60)).x["v"])
    with pytest.raises(
        ConfigError, match=r"judge_data = .*itms.*unknown key. Did you mean 'items"
    ):
        evaluate(few, overrides=["evaluate.judge_data={ itms = 60 }"], registry=registry)


def test_a_training_refuses_data_that_its_judges_could_not_learn_from(
    tmp_path: Path,
) -> None:
    """With the words of the evaluation after it."""
    items = {name: values.tolist() for name, values in toy_items(60).items()}
    other = {**items, "c": [7] * 60}
    for name, columns in (("own", items), ("other", other)):
        rows = [{m: values[i] for m, values in columns.items()} for i in range(60)]
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (tmp_path / f"{name}.jsonl").write_text(text, encoding="utf-8")
    own, away = str(tmp_path / "own.jsonl"), str(tmp_path / "other.jsonl")
    table = {"source": "table", "path": own, "validation": 0.2, "test": 0.2}
    config = toy_config(data=table)
    registry, run = toy_registry(), tmp_path / "r"
    for keys, said in (
        ({"path": away}, "class 7"),
        ({"path": str(tmp_path / "no.jsonl")}, "no.jsonl"),
        ({"pth": away}, "Did you mean 'path'"),
    ):
        wrong = config | {"evaluate": {"judge_data": keys}}
        told = []
        for trial in (partial(mmvae.train, run_dir=run), dry_run):
            with pytest.raises(MmvaeError, match=r"evaluate.judge_data = \{") as error:
                trial(wrong, registry=registry)
            told.append(str(error.value))
        assert not run.exists()
        mmvae.train(config, run_dir=run, registry=registry)
        with pytest.raises(MmvaeError) as error:
            evaluate(
                run, overrides=[f"evaluate.judge_data={literal(keys, 1000)}"], registry=registry
            )
        shutil.rmtree(run)
        assert said in told[0]
        assert told == [str(error.value)] * 2


def test_a_split_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    config = toy_config(data={"source": "toy", "test": 0})
    mmvae.train(config, run_dir=tmp_path / "r", registry=toy_registry())
    with pytest.raises(DataError, match="no split 'test'; it has train, validation"):
        evaluate(tmp_path / "r", registry=toy_registry())
    assert not (tmp_path / "r" / "evaluation.json").exists()


def test_no_run_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="There is no run folder"):
        evaluate(tmp_path / "nothing", registry=toy_registry())


def test_a_damaged_evaluation_is_an_error_and_an_old_one_is_made_anew(run: Path) -> None:
    kept = run / "evaluation.json"
    kept.write_text("{", encoding="utf-8")
    with pytest.raises(RunError, match=r"evaluation.json cannot be read: .* writes it a"):
        report(run, registry=toy_registry())
    kept.write_text('{"step": 0, "mmvae": "0"}', encoding="utf-8")
    report(run, registry=toy_registry())
    assert json.loads(kept.read_text(encoding="utf-8"))["step"] > 0


def test_one_modality_without_classes_or_validation_has_its_report(tmp_path: Path) -> None:
    config = toy_config(
        data={"source": "toy", "validation": 0},
        modalities={"v": {"codec": "toy-vector"}},
        model={"latent_dim": 1},
    )
    mmvae.train(config, run_dir=tmp_path / "r", registry=toy_registry())
    report(tmp_path / "r", registry=toy_registry())
    drawn = {path.name for path in (tmp_path / "r" / "figures").iterdir()}
    assert drawn == {
        *("given-v.png", "prior.png", "latent-map.png", "latent-kl.png", "training.png")
    }
    result = json.loads((tmp_path / "r" / "evaluation.json").read_text(encoding="utf-8"))
    assert set(result["given"]) == {"v"}
    assert "coherence" not in result


def test_a_run_stopped_before_its_end_is_evaluated(tmp_path: Path) -> None:
    mmvae.train(toy_config(), run_dir=tmp_path / "r", max_steps=2, registry=toy_registry())
    shutil.rmtree(tmp_path / "r" / "model")
    result = evaluate(tmp_path / "r", registry=toy_registry())
    assert result["step"] == 2


def test_it_is_said_once_that_a_run_is_unfinished(tmp_path: Path) -> None:
    folder = tmp_path / "r"
    mmvae.train(toy_config(), run_dir=folder, max_steps=2, registry=toy_registry())
    for opens in (open_run, evaluate, report):
        heard = Heard()
        opens(folder, registry=toy_registry(), progress=heard)
        assert heard.lines == [], "a final model"
    shutil.rmtree(folder / "model")
    wanted = (
        f"The training of {folder} is unfinished: its checkpoint of step 2 is evaluated. "
        f"Unless it is being trained now, `mmvae resume {folder}` resumes it."
    )
    for opens in (open_run, evaluate, report):
        heard = Heard()
        opens(folder, registry=toy_registry(), progress=heard)
        assert heard.lines == [wanted]


def test_other_data_are_remarked_on(tmp_path: Path) -> None:
    heard = Heard()
    items = {"train": toy_items(40), "test": toy_items(10, seed=1)}
    config = toy_config(data={"source": "memory"}, train={"epochs": 1})
    mmvae.train(config, items, run_dir=tmp_path / "r", registry=toy_registry())
    evaluate(tmp_path / "r", items, registry=toy_registry(), progress=heard)
    assert heard.lines == []
    assert ("items", 10, 10) in heard.parts
    items["test"] = toy_items(10, seed=2)
    evaluate(tmp_path / "r", items, registry=toy_registry(), progress=heard)
    (remark,) = heard.lines
    assert "was trained on data with fingerprint" in remark


def test_an_evaluation_is_kept_for_its_weights_data_and_keys_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mmvae.report import report as reports

    made: list[dict] = []
    evaluated = reports.evaluate_opened

    def counted(*arguments):
        made.append(evaluated(*arguments))
        return made[-1]

    def reported(*overrides: str) -> int:
        before = len(made)
        report(tmp_path / "a", overrides=overrides, registry=toy_registry(), progress=Progress())
        return len(made) - before

    monkeypatch.setattr(reports, "evaluate_opened", counted)
    monkeypatch.setattr(reports, "write_report", lambda *arguments: tmp_path)
    for name, seed in (("a", 0), ("b", 1)):
        settings = toy_config(train={"seed": seed, "epochs": 1})
        mmvae.train(settings, run_dir=tmp_path / name, registry=toy_registry())
    assert [reported(), reported()] == [1, 0]
    assert [reported("evaluate.samples=2"), reported("evaluate.samples=2")] == [1, 0]
    assert [reported("data.test=10"), reported("data.test=10")] == [1, 0]
    assert [reported(), reported()] == [1, 0]
    shutil.rmtree(tmp_path / "a" / "model")  # another model of the same step
    shutil.copytree(tmp_path / "b" / "model", tmp_path / "a" / "model")
    assert [reported(), reported()] == [1, 0]
    assert made[0]["step"] == made[-1]["step"]


def test_precision_and_trackers_of_training_do_not_matter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = toy_config(train={"precision": "bfloat16", "trackers": ["tensorboard"]})
    mmvae.train(settings, run_dir=tmp_path / "r", registry=toy_registry())
    monkeypatch.setattr("mmvae.experiments.build.is_tensorboard_available", lambda: False)
    assert evaluate(tmp_path / "r", registry=toy_registry())["items"] > 0


def test_the_best_weights_of_an_unfinished_run_have_their_own_step(tmp_path: Path) -> None:
    settings = toy_config(train={"epochs": 2})
    mmvae.train(settings, max_steps=4, run_dir=tmp_path / "r", registry=toy_registry())
    finished = evaluate(tmp_path / "r", registry=toy_registry())
    shutil.rmtree(tmp_path / "r" / "model")
    heard = Heard()
    unfinished = evaluate(tmp_path / "r", registry=toy_registry(), progress=heard)
    assert (
        "its checkpoint of step 4 is evaluated, with the best weights so far, of step 3."
        in heard.lines[0]
    )
    assert finished == unfinished
    assert unfinished["steps"] == 4
    assert unfinished["step"] == 3  # the validation after the first epoch


def test_one_evaluation_at_a_time_also_of_a_run_in_training(run: Path) -> None:
    with Run.open(run).locked():
        evaluate(run, registry=toy_registry())
    with Run.open(run).results_locked():
        for work in (evaluate, report):
            with pytest.raises(RunError, match="in use by pid"):
                work(run, registry=toy_registry())


@pytest.mark.parametrize(
    ("work", "module", "function"),
    [
        (evaluate, "mmvae.experiments.evaluate", "evaluate_model"),
        (evaluate, "mmvae.experiments.evaluate", "open_partial_results"),
        (evaluate, "mmvae.experiments.evaluate", "write_results"),
        (report, "mmvae.report.report", "own_names"),
        (report, "mmvae.report.report", "page"),
    ],
)
def test_nothing_is_written_to_a_run_that_took_the_place_of_another(
    run: Path,
    tmp_path: Path,
    work: Any,
    module: str,
    function: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    other, old = tmp_path / "other", tmp_path / "old"
    shutil.copytree(run, other)
    before = sorted(path.relative_to(other) for path in other.rglob("*"))

    do = getattr(importlib.import_module(module), function)

    def replacing(*given: Any, **keys: Any) -> Any:
        if other.exists():
            run.rename(old)
            other.rename(run)
        return do(*given, **keys)

    monkeypatch.setattr(importlib.import_module(module), function, replacing)
    overrides = ["evaluate.bounds=['v']", "evaluate.samples=2"]
    with pytest.raises(RunError, match="was removed, moved or replaced while this process worked"):
        work(run, overrides=overrides, registry=toy_registry())
    assert sorted(path.relative_to(run) for path in run.rglob("*")) == before


def test_a_plain_report_shows_the_evaluation_that_was_asked_for(run: Path) -> None:
    evaluate(run, overrides=["evaluate.samples=3"], registry=toy_registry())
    report(run, registry=toy_registry())
    kept = json.loads((run / "evaluation.json").read_text(encoding="utf-8"))
    assert kept["samples"] == 3
    report(run, overrides=["evaluate.samples=2"], registry=toy_registry())
    kept = json.loads((run / "evaluation.json").read_text(encoding="utf-8"))
    assert kept["samples"] == 2


BOUNDS = ['evaluate.bounds=["standard"]', "evaluate.samples=6", "evaluate.coherence=false"]


def test_cells_are_kept_with_the_nats_of_each_item(run: Path) -> None:
    result = evaluate(run, overrides=BOUNDS, registry=toy_registry())
    path = run / "evaluation.items.safetensors"
    items = load_file(path)
    for name, figure in result["cells"].items():
        assert items[name].dtype == torch.float64
        assert items[name].shape == (result["items"],)
        assert float(items[name].mean()) == pytest.approx(figure["mean"])
    with safe_open(path, "pt") as file:
        made_with = {"weights": result["weights"], "data": result["data"], "split": "test"}
        assert made_with.items() <= file.metadata().items()
    assert not (run / "evaluation.parts").exists(), "nothing is left over"


def test_a_stopped_evaluation_goes_on_and_comes_to_the_same(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = [*BOUNDS, "evaluate.batch_size=5"]  # 20 items: four shards
    whole = evaluate(run, overrides=keys, registry=toy_registry())
    (run / "evaluation.json").unlink()
    computed: list[int] = []
    estimates = likelihoods.estimates

    def stopping(model: Any, batch: Any, *more: Any, **keys: Any) -> Any:
        if len(batch) == 5:  # not the probe of memory
            computed.append(len(batch))
            if len(computed) == 3:
                raise KeyboardInterrupt
        return estimates(model, batch, *more, **keys)

    monkeypatch.setattr(likelihoods, "estimates", stopping)
    with pytest.raises(KeyboardInterrupt):
        evaluate(run, overrides=keys, registry=toy_registry())
    assert not (run / "evaluation.json").exists()
    assert evaluate(run, overrides=keys, registry=toy_registry()) == whole
    assert computed == [5] * 5, "two before the stop, the one that was cut short, and two after"


def test_an_evaluation_without_cells_keeps_those_of_the_same_model_and_items(run: Path) -> None:
    first = evaluate(run, overrides=BOUNDS, registry=toy_registry())
    again = evaluate(run, overrides=BOUNDS[2:], registry=toy_registry())
    assert again["cells"] == first["cells"]
    one = ['evaluate.bounds=["v@single"]', "evaluate.samples=2", BOUNDS[2]]
    more = evaluate(run, overrides=one, registry=toy_registry())
    assert more["cells"].keys() == first["cells"].keys()
    assert [c["samples"] for n, c in more["cells"].items() if n == "v@single"] == [2]
    assert more["cells"]["v@multiple"] == first["cells"]["v@multiple"]
    items = load_file(run / "evaluation.items.safetensors")
    for name, figure in more["cells"].items():
        assert float(items[name].mean()) == pytest.approx(figure["mean"])
    other = ['evaluate.split="validation"', *BOUNDS[2:]]
    assert "cells" not in evaluate(run, overrides=other, registry=toy_registry())


@pytest.mark.parametrize(("earlier", "kept"), [(FORMAT, True), (2, False), (1, False), (0, False)])
def test_an_older_evaluation_is_made_anew_but_for_cells_that_mean_the_same(
    run: Path, earlier: int, kept: bool
) -> None:
    """Format 2 had another rule for products of experts, and looked at the first items."""
    first = evaluate(run, overrides=BOUNDS, registry=toy_registry())
    old = first | {"format": earlier, "units": "old"}
    (run / "evaluation.json").write_text(json.dumps(old), encoding="utf-8")
    report(run, registry=toy_registry())
    found = json.loads((run / "evaluation.json").read_text(encoding="utf-8"))
    assert found["format"] == FORMAT
    assert (found["units"] == "old") is (earlier == FORMAT)
    assert ("cells" in found) is kept


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ('evaluate.bounds=["w"]', "there is no modality 'w'"),
        ('evaluate.bounds=["v|v"]', "both a target and given"),
        ("evaluate.samples=0", "evaluate.samples"),
    ],
)
def test_a_wrong_figure_leaves_earlier_results_alone(run: Path, key: str, said: str) -> None:
    evaluate(run, overrides=BOUNDS, registry=toy_registry())
    before = (run / "evaluation.json").read_bytes()
    with pytest.raises((UsageError, ConfigError), match=said):
        evaluate(run, overrides=[*BOUNDS, key], registry=toy_registry())
    assert (run / "evaluation.json").read_bytes() == before
    assert (run / "evaluation.items.safetensors").exists()
