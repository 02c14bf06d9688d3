"""The page says what the records say, schedule by schedule."""

from __future__ import annotations

from pathlib import Path

import pytest
from studies import CONFIG, STUDY, record, toy_study

from mmvae.experiments.study.record import Record
from mmvae.experiments.study.study import Study
from mmvae.report.claims import claim_tables, nats
from mmvae.report.reproduction import cell_tables, markdown, page, pictures
from mmvae.report.tables import Table


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return toy_study(tmp_path)


@pytest.fixture
def weak() -> Record:
    cells = {"v@multiple": [-5.0, -6.0], "v@single": [-5.5, -6.5], "v|c@single": [-4.0, -4.0]}
    return record("weak", cells, published={"v@multiple": -4.0, "v@single": -5.0})


@pytest.fixture
def strong() -> Record:
    cells = {"v@multiple": [-4.0, -5.0], "v@single": [-4.5, -5.5], "v|c@single": [-3.0, -3.0]}
    return record("strong", cells, published={"v@multiple": -4.0})


def test_the_page_has_all_parts_in_order(study: Study, weak: Record, strong: Record) -> None:
    text = page(study, {"short": [weak, strong]})
    order = [
        "# Toys\n\nOf toys.",
        "## Schedule `short`: two epochs",
        "Seed 0, one training of each row. The standard errors do not include the variation "
        "between seeds. Training items: 4. The tuning, and the items used for it, are not "
        "recorded.",
        "Every row has the keys of its file and `train.epochs=2`.",
        "Values are means over 2 items of the test split, in nats per item, with k = 8 samples",
        'Items: `source = "toy"`',
        'Modality v: `codec = "toy-vector"`',
        'Modality c: `codec = "toy-class"`',
        "Trained on: Abacus (wood), 2 cores, 1 thread.",
        "Versions: mmvae 0.1.0, python 3.11.7.",
        "| the weak one | `weak` | `0123456789abcdef` | 0 | 4 | 2 | 6 | 1m01s |",
        "### log p(v) (short schedule)\n",
        "| model | samples | published | ours | standard error | difference | within 1.5 or",
        "| the weak one | multiple | −4.00 | −5.50 | 0.50 | −1.50 | yes | 2.5 | bound |",
        "| the weak one | single | −5.00 | −6.00 | 0.50 | −1.00 | yes | 2.5 | bound |",
        "| the strong one | single | – | −5.00 | 0.50 | – | – | 2.5 | bound |",
        "Within 1.5 or better: 3 of 3 values.",
        "### log p(v | c) (short schedule)\n",
        "| model | samples | ours | standard error | effective samples | kind |",
        "Samples for the subtracted log-likelihood of the given modalities: prior, 8 samples.",
        "### The order of the published values (short schedule)",
        "| v | the weak one (single) < the weak one (multiple) | +1.00 | +0.50 | 0.00 | 2.5, 2.5 "
        "| yes, unsettled |",
        "Of 1 pairs: yes 1, no 0, not clear 0; 1 unsettled.",
        "### Claims of the paper (short schedule)",
        "| Strong beats weak | the weak one → the strong one | +1.00 | 0.00 | 2.5, 2.5 | ≥ 0.5 | "
        "yes, unsettled |",
        "| Weak is bad | the weak one | −4.00 | 0.00 | 2.5 | < −3 | yes, unsettled |",
        "\n\nThe end.\n",
    ]
    places = [text.find(part) for part in order]
    assert -1 not in places, order[places.index(-1)]
    assert places == sorted(places)


def test_each_schedule_has_its_own_question(study: Study, weak: Record) -> None:
    text = page(study, {"full": [weak.model_copy(update={"schedule": "full"})], "short": [weak]})
    full, short = text.split("## Schedule `short`")
    assert "Every row is trained with the keys of its file." in full
    assert "| as published or better |" in full
    assert "As published or better: 0 of 2 values." in full
    assert "Within 1.5 or better: 2 of 2 values." in short


JUDGED = """
title = "Toys"
rows = ["weak.toml", "strong.toml"]

[[tables]]
title = "Coherence"
coherence = "c"
"""


def test_a_page_of_coherence_has_its_table_and_its_picture(tmp_path: Path) -> None:
    study = toy_study(tmp_path, JUDGED)
    by_size = {"1": {"mean": 0.5, "error": 0.01}}
    matrix = {"c": {"cells": {}, "by size": by_size, "classifier on real items": {}}}
    config = CONFIG + "[evaluate]\ncoherence_samples = 3\n"
    other = {"coherence matrix": matrix}
    kept = record("weak", {}, config=config, other=other, items=2, schedule="full")
    text = page(study, {"full": [kept]})
    assert "![Coherence: full](figures/toys-c.png)" in text
    assert "Coherence is measured on 2 items of the test split, with one sample of z" in text
    assert "| the weak one | 50.0 ± 1.0 | – |" in text
    assert "nats" not in text
    assert set(pictures(study, {"full": [kept]})) == {"toys-c.png"}


def test_a_page_without_coherence_has_no_picture(study: Study, weak: Record) -> None:
    assert pictures(study, {"short": [weak]}) == {}
    assert "![" not in page(study, {"short": [weak]})


def test_rows_without_results_are_named(study: Study, weak: Record) -> None:
    assert "Rows without results so far: strong." in page(study, {"short": [weak]})


def test_what_differs_between_rows_is_said_with_the_rows(
    study: Study, weak: Record, strong: Record
) -> None:
    other = strong.model_copy(update={"hardware": strong.hardware | {"device": "GPU"}})
    text = page(study, {"short": [weak, other]})
    assert "Trained on: Abacus (wood), 2 cores, 1 thread (the weak one)." in text
    assert "Trained on: GPU, Abacus (wood), 2 cores, 1 thread (the strong one)." in text


def test_tables_are_those_with_figures(study: Study, weak: Record) -> None:
    bare = record("weak", {"v@single": [-1.0, -2.0]})
    assert [table.title for table in cell_tables(study, "short", [bare])] == [
        "log p(v) (short schedule)"
    ]
    assert claim_tables(study, [bare]) == []


def test_no_error_is_no_number(study: Study) -> None:
    cells = {"v@single": [-5.5], "v|c@single": [-4.0]}
    text = page(study, {"short": [record("weak", cells)]})
    assert "| the weak one | single | −5.50 | – | 2.5 | bound |" in text
    assert "| Weak is bad | the weak one | −4.00 | – | 2.5 | < −3 | not clear, unsettled |" in text


def test_what_was_tuned_is_said(tmp_path: Path, weak: Record) -> None:
    text = STUDY.replace("tolerance = 1.5", 'tolerance = 1.5\ntuned = "α, on validation items."')
    assert "4. Tuned: α, on validation items.\n" in page(
        toy_study(tmp_path, text), {"short": [weak]}
    )


def test_seeds_and_training_items_are_listed_where_they_differ(
    study: Study, weak: Record, strong: Record
) -> None:
    data = strong.data | {"items": {"train": 2000}}
    other = strong.model_copy(update={"seed": 3, "data": data})
    text = page(study, {"short": [weak, other]})
    assert "Seeds 0, 3, one training of each row and seed. The standard errors" in text
    assert "Training items: 4 or 2,000." in text


def test_a_table_in_markdown_keeps_its_bars() -> None:
    table = Table("t", ("a", "b"), (("p(x | y)", "1"),))
    assert markdown(table) == "| a | b |\n| --- | --- |\n| p(x \\| y) | 1 |"


@pytest.mark.parametrize(
    ("value", "text"), [(None, "–"), (-4838.0, "−4,838.00"), (0.004, "0.00"), (1.5, "1.50")]
)
def test_figures_are_printed_with_two_digits(value: float | None, text: str) -> None:
    assert nats(value) == text


def test_a_modality_of_some_rows_is_told_with_its_codecs(study: Study, weak: Record) -> None:
    alone = weak.model_copy(
        update={
            "row": "strong",
            "label": "alone",
            "config": weak.config.replace(
                'codec = "toy-class"', 'codec = "toy-class"\nclasses = 9'
            ),
        }
    )
    text = page(study, {"short": [weak, alone]})
    assert "`classes = 9` (alone)." in text
    assert text.count("Modality v: ") == 1
