"""A comparison as people read it: what is a bound, and what must not be compared, is said."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from evaluated_runs import evaluated_run

from mmvae.experiments.comparison.compare import compare
from mmvae.report.comparison import cells, comparison_tables, differences, heading, others

REFERENCE = {
    "row": "JMVAE",
    "source": "Someone (2016), Table 1",
    "bounds": {"image|label@single": -126.0, "image@single": -86.73},
}


def values(mean: float, n: int = 101) -> np.ndarray:
    return mean + np.linspace(-1.0, 1.0, n)  # its standard error is 0.058


@pytest.fixture
def a(tmp_path: Path) -> Path:
    items = {"image@single": values(-87.0), "image|label@single": values(-130.0)}
    return evaluated_run(tmp_path / "a", items, config={"reference": REFERENCE})


@pytest.fixture
def b(tmp_path: Path) -> Path:
    return evaluated_run(tmp_path / "b", {"image@single": values(-86.5)}, name="other")


def test_published_figures_stand_beside_their_run_and_bounds_are_marked(a: Path, b: Path) -> None:
    table = cells(compare([a, b]))
    assert table.header == ("quantity", "JMVAE", "published", "other")
    assert table.rows == (
        ("log p(image), single", "≥ -87.000 ± 0.058", "-86.73", "≥ -86.500 ± 0.058"),
        ("log p(image | label), single", "≈ -130.000 ± 0.058", "-126", "–"),
    )
    assert "published: Someone (2016), Table 1." in table.note
    assert "≥: a lower bound" in table.note
    assert "≈: an estimate" in table.note
    assert "k: 1,000." in table.note
    assert "by samples of q(z | label), 1000 samples." in table.note
    assert "DIFFERENT" not in table.note


def test_what_does_not_occur_is_not_explained(b: Path) -> None:
    note = cells(compare([b])).note
    for absent in ("≈", "published", "what is given is by"):
        assert absent not in note


def test_different_samples_are_said_by_column(a: Path, tmp_path: Path) -> None:
    how = {"samples": 10, "given from": "prior, 5000 samples"}
    c = evaluated_run(tmp_path / "c", {"image|label@single": values(-9.0)}, cell=how, name="other")
    note = cells(compare([a, c])).note
    assert "k: DIFFERENT: JMVAE: 1,000; other: 10." in note
    assert "DIFFERENT: JMVAE: q(z | label), 1000 samples; other: prior, 5000 samples." in note


def test_a_difference_has_its_sign(a: Path, b: Path) -> None:
    table = differences(compare([a, b]))
    assert table.title == "Differences from JMVAE, item by item"
    assert table.header == ("statistic", "other")
    ((title, figure),) = table.rows
    assert title == "log p(image), single"
    assert figure.startswith("+0.5")
    assert "higher than JMVAE" in table.note
    assert differences(compare([b, a])).rows[0][1].startswith("-0.5")


def test_shares_are_percent_and_counts_have_no_error(tmp_path: Path) -> None:
    run = evaluated_run(
        tmp_path / "r",
        {},
        terms={"kl": {"mean": 20.0, "error": 0.12}},
        latent={"active units": 17},
        accuracy={"image → label": {"mean": 0.975, "error": 0.002}},
    )
    assert others(compare([run])).rows == (
        ("KL to the prior", "20.00 ± 0.12"),
        ("active units", "17"),
        ("accuracy, image → label", "97.5 % ± 0.2"),
    )


def test_the_spread_over_seeds_is_said(tmp_path: Path) -> None:
    runs = [
        evaluated_run(
            tmp_path / str(seed), {"image@single": values(mean)}, config={"train": {"seed": seed}}
        )
        for seed, mean in enumerate((-87.0, -86.0))
    ]
    found = compare(runs)
    table = cells(found)
    assert table.header == ("quantity", "made-up, 2 seeds")
    assert table.rows == (("log p(image), single", "≥ -86.50 ± 0.71"),)
    assert "the standard deviation over them" in table.note
    assert not differences(found).rows


def test_the_heading_says_on_which_items(a: Path, b: Path, tmp_path: Path) -> None:
    assert heading(compare([a, b])) == "Compared on 101 items of the test split; nats per item"
    c = evaluated_run(tmp_path / "c", {"image@single": values(-9.0)}, data="beef", name="third")
    assert heading(compare([a, c], unpaired=True)).splitlines() == [
        "Computed on DIFFERENT items, so no fair comparison; nats per item",
        "  JMVAE: 101 items of the test split of the data f00d",
        "  third: 101 items of the test split of the data beef",
    ]


def test_only_tables_with_rows_are_shown_and_every_row_is_as_wide_as_its_header(
    a: Path, b: Path
) -> None:
    made = comparison_tables(compare([a, b]))
    assert [table.title for table in made] == [
        "Log-likelihoods",
        "Differences from JMVAE, item by item",
    ]
    assert all(len(row) == len(table.header) for table in made for row in table.rows)
