"""A comparison's numbers are those of hand arithmetic, and runs that differ are never mixed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from evaluated_runs import evaluated_run, nats, usual

import mmvae
from mmvae.experiments.comparison.compare import compare
from mmvae.foundations.errors import RunError, UsageError
from mmvae.report.comparison import comparison_tables

CELL = "image|label@single"
REFERENCE = {
    "row": "JMVAE",
    "source": "The paper",
    "bounds": {CELL: -126.0, "image@single": -86.7},
}
BOTH = {"image": {"codec": "pixels", "binarise_seed": 0}, "label": {"codec": "words"}}


def named(name: str, **sections: dict) -> dict:
    return {"model": {"note": name}, **sections}


def test_a_paired_difference_is_the_mean_over_items_of_theirs_less_ours(tmp_path: Path) -> None:
    ours, theirs = nats(seed=1), nats(0.3, seed=2)
    a = evaluated_run(tmp_path / "a", {CELL: ours})
    b = evaluated_run(tmp_path / "b", {CELL: theirs}, config=named("b"), name="other")
    found = mmvae.compare([a, b])
    assert found.baseline == "made-up"
    difference = found.differences[CELL]["other"]
    wanted = theirs - ours
    assert difference["mean"] == pytest.approx(wanted.mean())
    assert difference["error"] == pytest.approx(wanted.std(ddof=1) / np.sqrt(50))
    assert difference["items"] == 50
    errors = [found.cells[CELL][heading]["error"] for heading in ("made-up", "other")]
    assert difference["error"] < np.hypot(*errors) / 20


def test_the_baseline_turns_the_sign(tmp_path: Path) -> None:
    a = evaluated_run(tmp_path / "a", {CELL: nats(seed=1)})
    b = evaluated_run(tmp_path / "b", {CELL: nats(0.3, seed=2)}, config=named("b"), name="other")
    forth = compare([a, b]).differences[CELL]["other"]["mean"]
    found = compare([a, b], baseline=b)
    assert found.baseline == "other"
    assert list(found.cells[CELL]) == ["made-up", "other"]
    assert found.differences[CELL]["made-up"]["mean"] == pytest.approx(-forth)


def test_seeds_become_one_column_with_their_standard_deviation(tmp_path: Path) -> None:
    values = [nats(shift, seed=i) for i, shift in enumerate((0.0, 0.5, 0.7))]
    elbos = [-95.0, -96.0, -94.5]
    runs = [
        evaluated_run(
            tmp_path / f"s{i}",
            {CELL: v},
            config={"train": {"seed": i}},
            name=f"seed-{i}",
            bounds={"elbo": {"mean": elbo, "error": 1.0}},
        )
        for i, (v, elbo) in enumerate(zip(values, elbos, strict=True))
    ]
    other = evaluated_run(tmp_path / "o", {CELL: nats(1.0)}, config=named("o"), name="other")
    found = compare([*runs, other])
    assert [c.heading for c in found.columns] == ["seed-0, 3 seeds", "other"]
    assert found.columns[0].seeds == [0, 1, 2]
    means = [v.mean() for v in values]
    seeds = found.cells[CELL]["seed-0, 3 seeds"]
    assert seeds["mean"] == pytest.approx(np.mean(means))
    assert seeds["sd"] == pytest.approx(np.std(means, ddof=1))
    assert seeds["seeds"] == 3
    assert "error" not in seeds
    elbo = found.figures["ELBO of log p(image, label)"]["seed-0, 3 seeds"]
    assert elbo["mean"] == pytest.approx(np.mean(elbos))
    assert elbo["sd"] == pytest.approx(np.std(elbos, ddof=1))
    difference = found.differences[CELL]["other"]
    assert difference["mean"] == pytest.approx((nats(1.0) - np.mean(values, 0)).mean())
    apart = compare([*runs, other], group=False)
    assert [c.heading for c in apart.columns] == ["seed-0", "seed-1", "seed-2", "other"]
    assert set(apart.cells[CELL]["seed-1"]) >= {"mean", "error"}


@pytest.mark.parametrize(
    ("config", "keys"),
    [
        ({"model": {"alpha": 1.0}}, {}),
        ({"train": {"epochs": 3}}, {}),
        ({"data": {"source": "toy", "root": "b"}}, {}),
        ({"adversary": {"modality": "image"}}, {}),
        ({}, {"samples": 10}),
    ],
)
def test_runs_that_differ_in_more_than_their_seed_stay_apart(
    tmp_path: Path, config: dict, keys: dict
) -> None:
    a = evaluated_run(tmp_path / "a", {CELL: nats()})
    train = {"seed": 1, **config.get("train", {})}
    b = evaluated_run(tmp_path / "b", {CELL: nats()}, config={**config, "train": train}, keys=keys)
    assert [c.heading for c in compare([a, b]).columns] == ["made-up (a)", "made-up (b)"]


@pytest.mark.parametrize(
    "how", [{"samples": 10}, {"bound": True}, {"given from": "prior, 1000 samples"}]
)
def test_cells_that_were_computed_otherwise_part_seeds(tmp_path: Path, how: dict) -> None:
    """A plain evaluation keeps older cells, whatever its own keys are."""
    a = evaluated_run(tmp_path / "a", {CELL: nats()})
    b = evaluated_run(tmp_path / "b", {CELL: nats()}, config={"train": {"seed": 1}}, cell=how)
    assert [c.heading for c in compare([a, b]).columns] == ["made-up (a)", "made-up (b)"]


def test_how_an_evaluation_was_cut_or_seeded_does_not_part_seeds(tmp_path: Path) -> None:
    a = evaluated_run(tmp_path / "a", {CELL: nats()})
    keys = {"memory": 64, "batch_size": 10, "seed": 5}
    b = evaluated_run(tmp_path / "b", {CELL: nats()}, config={"train": {"seed": 1}}, keys=keys)
    assert len(compare([a, b]).columns) == 1


def test_names_and_keys_of_evaluation_in_the_configuration_do_not_part_seeds(
    tmp_path: Path,
) -> None:
    a = evaluated_run(tmp_path / "a", {CELL: nats()})
    config = {"train": {"seed": 1}, "evaluate": {"split": "train", "memory": 64}}
    b = evaluated_run(tmp_path / "b", {CELL: nats()}, config=config)
    resolved = b / "config.resolved.toml"
    resolved.write_text(resolved.read_text().replace('"made-up"', '"again"'), encoding="utf-8")
    assert len(compare([a, b]).columns) == 1


def test_a_figure_that_one_seed_lacks_is_not_a_mean_of_the_others(tmp_path: Path) -> None:
    a = evaluated_run(tmp_path / "a", {CELL: nats(), "image@single": nats(1.0)})
    b = evaluated_run(tmp_path / "b", {CELL: nats()}, config={"train": {"seed": 1}})
    assert list(compare([a, b]).cells) == [CELL]


def test_joint_comes_first_then_marginals_then_conditionals(tmp_path: Path) -> None:
    wanted = [
        "image+label",
        "image@multiple",
        "image@single",
        "label@multiple",
        "label@single",
        "image|label@multiple",
        "image|label@single",
        "label|image@multiple",
        "label|image@single",
    ]
    run = evaluated_run(tmp_path / "a", {name: nats() for name in sorted(wanted)})
    assert list(compare([run]).cells) == wanted


def test_the_joint_of_one_modality_is_a_single_marginal_beside_two(tmp_path: Path) -> None:
    items = {"image@single": nats(), "image+label": nats()}
    joint = evaluated_run(tmp_path / "a", items, config={"reference": REFERENCE})
    alone = evaluated_run(
        tmp_path / "b",
        {"image": nats(0.2)},
        modalities=["image"],
        config={"reference": {**REFERENCE, "row": "VAE", "bounds": {"image@single": -86.9}}},
    )
    found = compare([joint, alone])
    assert list(found.cells["image@single"]) == ["JMVAE", "VAE"]
    assert list(found.differences) == ["image@single"]
    assert found.published["image@single"] == {"JMVAE": -86.7, "VAE": -86.9}


def test_a_published_figure_without_a_proposal_is_of_multiple_and_single(tmp_path: Path) -> None:
    reference = {**REFERENCE, "bounds": {"image": -86.7}}
    items = {"image@multiple": nats(), "image@single": nats(0.1)}
    run = evaluated_run(tmp_path / "a", items, config={"reference": reference})
    assert compare([run]).published == {
        "image@multiple": {"JMVAE": -86.7},
        "image@single": {"JMVAE": -86.7},
    }


def test_cells_meet_whatever_the_order_of_the_modalities(tmp_path: Path) -> None:
    a = evaluated_run(tmp_path / "a", {"image+label": nats()})
    turned = ["label", "image"]
    b = evaluated_run(
        tmp_path / "b", {"label+image": nats(0.5)}, modalities=turned, config=named("b"), name="b"
    )
    found = compare([a, b])
    assert list(found.cells) == ["image+label"]
    assert found.differences["image+label"]["b"]["mean"] == pytest.approx(0.5)


def test_other_figures_are_in_a_fixed_order(tmp_path: Path) -> None:
    share = {"mean": 0.9, "error": 0.01}
    run = evaluated_run(
        tmp_path / "a",
        {},
        bounds={"elbo": {"mean": -90.0, "error": 1.0}},
        terms={"kl": {"mean": 20.0, "error": 0.1}},
        latent={"active units": 17, "dimensions": 64},
        accuracy={"image → label": share},
        coherence={"label → image": {"mean": share, "classifier on real items": share}},
        **{"variation of information": {"single": {"mean": 210.0, "error": 2.0}}},
    )
    found = compare([run])
    assert list(found.figures) == [
        "ELBO of log p(image, label)",
        "variation of information, single",
        "KL to the prior",
        "active units",
    ]
    assert found.figures["active units"]["made-up"]["mean"] == 17
    assert list(found.shares) == ["accuracy, image → label", "coherence, label → image, mean"]


@pytest.mark.parametrize(
    ("result", "said"),
    [
        ({"data": "beef"}, "data f00d and beef"),
        ({"split": "validation"}, "split test and validation"),
    ],
)
def test_runs_on_other_items_are_refused_unless_asked_for(
    tmp_path: Path, result: dict, said: str
) -> None:
    a = evaluated_run(tmp_path / "a", {CELL: nats()})
    b = evaluated_run(tmp_path / "b", {CELL: nats(0.1)}, name="other", **result)
    c = evaluated_run(tmp_path / "c", {CELL: nats(0.2)}, config=named("c"), name="third")
    with pytest.raises(UsageError, match=f"different items: {said}.*--unpaired"):
        compare([a, b, c])
    found = compare([a, b, c], unpaired=True)
    assert list(found.cells[CELL]) == ["made-up", "other", "third"]
    assert list(found.differences[CELL]) == ["third"]
    assert said in found.remarks[0]


def test_other_numbers_of_items_are_refused(tmp_path: Path) -> None:
    a = evaluated_run(tmp_path / "a", {CELL: nats()})
    b = evaluated_run(tmp_path / "b", {CELL: nats(n=40)})
    with pytest.raises(UsageError, match=r"made-up \(a\).*made-up \(b\).*items 50 and 40"):
        compare([a, b])


def test_a_codec_that_may_give_other_values_is_remarked_on(tmp_path: Path) -> None:
    a = evaluated_run(tmp_path / "a", {CELL: nats()})
    other = {**BOTH, "image": {"codec": "pixels", "binarise_seed": 3, "encoder": [99]}}
    b = evaluated_run(tmp_path / "b", {CELL: nats()}, config={"modalities": other}, name="other")
    (remark,) = compare([a, b]).remarks
    assert "modalities.image.binarise_seed (0, 3)" in remark


def test_the_same_run_is_named_once(tmp_path: Path) -> None:
    a = evaluated_run(tmp_path / "a", {CELL: nats()})
    with pytest.raises(UsageError, match="are the same run: name it once"):
        compare([a, a / ".." / "a"])


def test_the_same_seed_twice_is_no_second_seed(tmp_path: Path) -> None:
    a = evaluated_run(tmp_path / "a", {CELL: nats()})
    b = evaluated_run(tmp_path / "b", {CELL: nats()}, name="again")
    with pytest.raises(UsageError, match="same seed, 0: expected different seeds"):
        compare([a, b])
    assert len(compare([a, b], group=False).columns) == 2


def test_headings_are_unique_also_where_folders_have_one_name(tmp_path: Path) -> None:
    folders = [tmp_path / "x" / "run", tmp_path / "y" / "run", tmp_path / "z"]
    runs = [
        evaluated_run(folder, {CELL: nats()}, config=named(str(i)))
        for i, folder in enumerate(folders)
    ]
    headings = [c.heading for c in compare(runs).columns]
    assert headings == [f"made-up ({runs[0]})", f"made-up ({runs[1]})", "made-up (z)"]


def test_seeds_and_another_experiment_of_their_name_are_told_apart(tmp_path: Path) -> None:
    seeds = [
        evaluated_run(tmp_path / str(i), {CELL: nats()}, config={"train": {"seed": i}})
        for i in range(2)
    ]
    other = evaluated_run(tmp_path / "other", {CELL: nats()}, config=named("other"))
    headings = [c.heading for c in compare([*seeds, other]).columns]
    assert headings == ["made-up (0), 2 seeds", "made-up (other)"]


def test_runs_without_a_common_figure_are_refused(tmp_path: Path) -> None:
    a = evaluated_run(tmp_path / "a", {"label@single": nats()})
    b = evaluated_run(tmp_path / "b", {"image@single": nats()}, config=named("b"), name="other")
    with pytest.raises(
        UsageError, match="no statistic in common: made-up has label@single; other"
    ):
        compare([a, b])


def test_a_baseline_is_one_of_the_runs_and_there_is_a_run(tmp_path: Path) -> None:
    a = evaluated_run(tmp_path / "a", {CELL: nats()})
    with pytest.raises(UsageError, match="expected one of the runs that are compared"):
        compare([a], baseline=tmp_path / "b")
    with pytest.raises(UsageError, match="expected at least one run"):
        compare([])
    with pytest.raises(RunError, match="There is no run folder"):
        compare([tmp_path / "none"])


def test_as_dict_is_all_of_it_and_json(tmp_path: Path) -> None:
    a = evaluated_run(tmp_path / "a", {CELL: nats()}, config={"reference": REFERENCE})
    b = evaluated_run(tmp_path / "b", {CELL: nats(1.0)}, config=named("b"))
    found = compare([a, b])
    again = json.loads(json.dumps(found.as_dict(), allow_nan=False))
    assert again["columns"][0]["reference"]["row"] == again["baseline"] == "JMVAE"
    assert again["columns"][1] == {
        "heading": "made-up",
        "runs": [str(b)],
        "seeds": [0],
        "reference": None,
        "split": "test",
        "items": 50,
        "data": "f00d",
    }
    assert again["cells"][CELL]["JMVAE"]["samples"] == usual(CELL)["samples"]
    assert again["differences"] == found.differences
    assert again["published"] == {CELL: {"JMVAE": -126.0}}


def test_published_figures_stand_beside_those_of_standardised_values(tmp_path: Path) -> None:
    values = nats(seed=1)
    beside = {"mean": float(values.mean()) - 40.0, "error": 0.5}
    cell = {"standardised": beside}
    config = {"reference": REFERENCE}
    run = evaluated_run(tmp_path / "a", {CELL: values}, config=config, cell=cell)
    found = compare([run])
    assert found.cells[CELL]["JMVAE"]["standardised"] == beside
    [table] = comparison_tables(found)
    assert table.rows[0][1].endswith(f"({beside['mean']:.2f} ± 0.50)")
    assert "published" in table.note
    assert "standardised" in table.note


def test_different_densities_are_remarked_and_are_no_seeds_of_one_column(tmp_path: Path) -> None:
    seeds = ({"train": {"epochs": 2, "seed": seed}} for seed in (0, 1))
    a, b = (
        evaluated_run(tmp_path / f"s{i}", {CELL: nats(seed=i)}, config=config, **told)
        for i, (config, told) in enumerate(
            zip(seeds, ({}, {"densities": {"image": "pixels in [0, 1]"}}), strict=True)
        )
    )
    found = compare([a, b])
    assert len(found.columns) == 2
    assert any("(not recorded; pixels in [0, 1])" in remark for remark in found.remarks)


def test_evaluations_that_measure_in_different_ways_are_told_apart(tmp_path: Path) -> None:
    """They are no seeds of one column, and a remark says that some values are not comparable."""
    runs = [
        evaluated_run(
            tmp_path / f"s{i}", {CELL: nats(seed=i)}, config={"train": {"seed": i}}, format=f
        )
        for i, f in enumerate((3, 3, 2))
    ]
    found = compare(runs)
    assert [len(column.runs) for column in found.columns] == [2, 1]
    assert any(
        "format 3 and 2" in remark and "not comparable" in remark for remark in found.remarks
    )
    assert not any("format" in remark for remark in compare(runs[:2]).remarks)
