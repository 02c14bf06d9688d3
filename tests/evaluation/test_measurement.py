"""Metrics of a run: figures with errors, values of items, paired comparisons, clear refusals."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from toys import toy_config, toy_items, toy_registry

import mmvae
from mmvae.data.batches import Batches
from mmvae.evaluation.latent import LatentKL
from mmvae.evaluation.metric import Specimen
from mmvae.experiments.open_run import open_run
from mmvae.foundations.errors import PluginError, TrainingError
from mmvae.foundations.progress import Progress
from mmvae.modalities.column import Column
from mmvae.plugins.registry import Registry
from mmvae.report.comparison import comparison_tables
from mmvae.report.tables import metrics as metric_tables


class Missed(mmvae.Metric):
    """Squared error of v at a sample of q(z|c), and its cells as details."""

    kind = "missed"
    about = "Squared error."

    def unavailable(self, specimen):
        return specimen.lacks("v", ("c",))

    def measure(self, specimen):
        missed = (specimen.decoded("v", ("c",)) - specimen.real("v")).square()
        return {"v": missed.sum(1), "v/first": missed[:, 0]}


class Wrong(Missed):
    kind = "wrong"

    def measure(self, specimen):
        return {"v": torch.zeros(3)}


class Infinite(Missed):
    kind = "infinite"

    def measure(self, specimen):
        return {"v": torch.full((len(specimen.items),), torch.inf)}


class Raising(Missed):
    kind = "raising"

    def measure(self, specimen):
        return {"v": specimen.nothing}


class Unsure(Missed):
    kind = "unsure"

    def unavailable(self, specimen):
        return specimen.nothing


class Elsewhere(Missed):
    kind = "elsewhere"

    def unavailable(self, specimen):
        return specimen.lacks("sound")


def registry(*metrics: type[mmvae.Metric]) -> Registry:
    known = toy_registry()
    return Registry.of(
        codecs=known.kinds("codec").values(),
        sources=known.kinds("source").values(),
        models=known.kinds("model").values(),
        metrics=metrics or (Missed, Wrong, Infinite, Raising, Unsure, Elsewhere, LatentKL),
    )


REGISTRY = registry()


def config(seed=0, **tables):
    tables = tables or {"far": {"kind": "missed"}, "kl": {"kind": "latent"}}
    return toy_config(train={"seed": seed}) | {"metrics": tables, "name": f"toy-{seed}"}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("metrics")
    for seed in (0, 1):
        mmvae.train(config(seed), run_dir=folder / str(seed), registry=REGISTRY)
    return folder / "0", folder / "1"


def evaluated(run, *overrides):
    return mmvae.evaluate(run, overrides=overrides, registry=REGISTRY)


def test_an_evaluation_has_each_figure_with_its_error(runs):
    result = evaluated(runs[0])["metrics"]
    assert result["far"]["figures"]["v"]["error"] > 0
    kl = result["kl"]["figures"]
    assert list(kl) == [f"{name} KL of a dimension" for name in ("largest", "median", "smallest")]
    assert kl["largest KL of a dimension"]["mean"] >= kl["smallest KL of a dimension"]["mean"] >= 0
    tables = {t.title: t for t in metric_tables(evaluated(runs[0]))}
    assert tables["far (missed)"].header == ("of", "v")
    assert [row[0] for row in tables["far (missed)"].rows] == ["mean", "first"]
    assert tables["kl (latent)"].header == ("statistic", "value")


def test_the_size_of_chunks_changes_nothing(runs):
    figures = [
        evaluated(runs[0], f"evaluate.batch_size={size}")["metrics"]["far"]["figures"]["v"]["mean"]
        for size in (7, 500)
    ]
    assert figures[0] == pytest.approx(figures[1], rel=1e-5)


def test_runs_are_compared_by_differences_on_the_same_items(runs):
    means = [evaluated(run)["metrics"]["far"]["figures"]["v"]["mean"] for run in runs]
    found = mmvae.compare(runs, group=False)
    [(heading, difference)] = found.metric_differences["far: v"].items()
    assert heading == "toy-1"
    assert difference["mean"] == pytest.approx(means[1] - means[0])
    assert 0 < difference["error"]
    assert "far: v/first" not in found.figures
    rows = {row[0] for table in comparison_tables(found) for row in table.rows}
    assert "far: v" in rows


def test_metrics_of_one_name_and_other_keys_are_remarked_on(runs):
    evaluated(runs[0])
    evaluated(runs[1], "metrics={far = {kind = 'latent'}}")
    remarks = mmvae.compare(runs, group=False).remarks
    assert any("metrics.far in different ways" in remark for remark in remarks)
    evaluated(runs[1])


def test_cells_of_an_earlier_evaluation_stay_beside_metrics(runs):
    evaluated(runs[0], "evaluate.bounds=['v']", "evaluate.samples=2")
    result = evaluated(runs[0])
    assert set(result["cells"]) == {"v@single", "v@multiple"}
    assert mmvae.compare(runs[:1]).figures["far: v"]


def test_what_a_model_cannot_give_is_left_out_with_the_reason(runs):
    result = evaluated(runs[0], "metrics={odd = {kind = 'elsewhere'}}")
    assert result["left out"]["metrics.odd"] == "the model has no modality 'sound'"
    assert result["metrics"] == {}


@pytest.mark.parametrize(
    ("kind", "error", "says"),
    [
        ("wrong", PluginError, "shape \\(20,\\)"),
        ("infinite", TrainingError, "item 0"),
        ("raising", PluginError, "metric 'raising' failed in measure: AttributeError: .*nothing"),
        ("unsure", PluginError, "metric 'unsure' failed in unavailable: AttributeError"),
    ],
)
def test_a_broken_metric_is_named(runs, kind, error, says):
    with pytest.raises(error, match=says):
        evaluated(runs[0], f"metrics={{odd = {{kind = '{kind}'}}}}")


def test_metrics_leave_what_is_trained_alone():
    bare = mmvae.experiments.config.load_experiment(toy_config(), (), REGISTRY)
    assert mmvae.experiments.config.load_experiment(config(), (), REGISTRY).hash == bare.hash


# -- items with gaps ------------------------------------------------------------------------------


class Learning(Missed):
    """Missed, and how many training items without a stand-in there are to learn from."""

    kind = "learning"

    def measure(self, specimen):
        learned = torch.cat([x["c"] for x in specimen.learned_from()])
        count = torch.full((len(specimen.items),), float(len(learned)))
        return super().measure(specimen) | {"learned": count}


def test_metrics_learn_from_a_fair_sample_of_a_sorted_split(runs):
    """And from the same items for each model, in their order."""
    opened = open_run(runs[0], registry=REGISTRY)
    training, kinds = opened.data.batches("train"), []
    order = np.argsort(training.split.columns["c"].read().values, kind="stable")
    batches = Batches(training.split.take(order), training.codecs, training.columns)
    for model in (opened.trained.model, None):
        specimen = Specimen(model, batches, lambda: batches, seed=3, batch_size=7)
        kinds.append(torch.cat([x["c"] for x in specimen.learned_from(20)]).argmax(1))
    assert kinds[0].tolist() == kinds[1].tolist() == sorted(kinds[0].tolist())
    assert len(kinds[0]) == 20
    assert set(kinds[0].tolist()) == {0, 1, 2}
    assert sum(len(x["c"]) for x in specimen.learned_from()) == len(batches)


PLUGINS = registry(Learning)
LACKS = {"v": np.arange(40) % 5 == 0, "c": np.arange(40) % 5 == 1}


def gappy(rows=slice(None), lacks=LACKS):
    """Forty items, some of which lack v or c, to train and to test on; those of ``rows``."""
    splits = {}
    for name, seed in (("train", 0), ("test", 1)):
        items = toy_items(40, seed)
        splits[name] = {
            m: Column(items[m][rows], present=~lacks[m][rows] if lacks else None) for m in LACKS
        }
    return splits


@pytest.fixture(scope="module")
def incomplete(tmp_path_factory):
    """Two runs on items with gaps."""
    folder = tmp_path_factory.mktemp("gaps")
    for seed in (0, 1):
        keys = config(seed, far={"kind": "learning"}) | {"data": {"source": "memory"}}
        mmvae.train(keys, gappy(), run_dir=folder / str(seed), registry=PLUGINS)
    return folder / "0", folder / "1"


def test_of_items_with_gaps_the_complete_ones_are_measured(incomplete):
    whole = np.flatnonzero(~(LACKS["v"] | LACKS["c"]))
    figures = mmvae.evaluate(incomplete[0], gappy(), registry=PLUGINS)["metrics"]["far"]
    assert figures["remarks"] == [f"Of the {len(whole)} of 40 items that have every modality."]
    assert figures["figures"]["learned"]["mean"] == len(whole)
    values = load_file(incomplete[0] / "evaluation.items.safetensors")["metrics/far/v"]
    assert values.isfinite().nonzero().flatten().tolist() == whole.tolist()
    assert figures["figures"]["v"]["mean"] == pytest.approx(float(values.nanmean()))
    alone = mmvae.evaluate(
        incomplete[0], gappy(whole, None), registry=PLUGINS, progress=Progress()
    )["metrics"]["far"]
    assert alone["remarks"] == []
    for figure, value in alone["figures"].items():
        assert figures["figures"][figure] == pytest.approx(value | {"items": len(whole)})


def test_they_are_compared_on_the_complete_ones(incomplete):
    for run in incomplete:
        mmvae.evaluate(run, gappy(), registry=PLUGINS)
    found = mmvae.compare(incomplete, group=False)
    [difference] = found.metric_differences["far: v"].values()
    assert difference["items"] == 24
    assert difference["error"] > 0


def test_without_any_complete_item_the_reason_is_told(incomplete):
    lone = {"v": np.arange(40) % 2 == 0, "c": np.arange(40) % 2 == 1}
    for split in ("test", "train"):
        data = gappy() | {split: gappy(lacks=lone)[split]}
        result = mmvae.evaluate(incomplete[0], data, registry=PLUGINS, progress=Progress())
        assert result["metrics"] == {}
        what = {"test": "items of the split", "train": "training items"}[split]
        assert f"none of the {what} has every" in result["left out"]["metrics.far"]
