"""Figures as people read them."""

from __future__ import annotations

import pytest

from mmvae.report.formats import percent, spread
from mmvae.report.hints import hints, left_out
from mmvae.report.tables import Table, densities, heading, in_order, tables


def figure(mean: float, error: float | None) -> dict:
    return {"mean": mean, "error": error}


RESULT = {
    "name": "toy",
    "step": 30,
    "steps": 30,
    "modalities": ["v", "c"],
    "split": "test",
    "items": 20,
    "samples": 5,
    "coherence samples": 1000,
    "seed": 0,
    "left out": {},
    "bounds": {"elbo": figure(-7.123, 0.21)},
    "terms": {"log_likelihood/v": figure(-5.0, 0.1), "kl": figure(2.123, 0.05)},
    "subset posteriors": {"c": figure(0.5, 0.01)},
    "given": {"v": {"c": {"accuracy": figure(0.95, 0.05)}}},
    "accuracy": {"v → c": figure(0.95, 0.05)},
    "coherence": {
        "c → v": {
            "temperature 1": figure(0.9, 0.01),
            "mean": figure(1.0, 0.0),
            "classifier on real items": figure(0.98, 0.03),
        },
        "prior → v, c": {
            "temperature 1": figure(0.8, 0.01),
            "classifier on real items": figure(0.98, 0.03),
        },
    },
    "latent": {
        "kl per dimension": [0.0, 2.0, 0.12345, 0.001],
        "variance per dimension": [0.0, 0.9, 0.02, 0.0],
        "active units": 2,
        "dimensions": 4,
    },
    "gradient shares": {"v": figure(0.75, 0.01), "c": figure(0.25, 0.01)},
}


@pytest.mark.parametrize(
    ("mean", "error", "text"),
    [
        (-86.8912, 0.0312, "-86.891 ± 0.031"),
        (1234.5, 12.3, "1234 ± 12"),
        (0.5, 9.0, "0.5 ± 9.0"),
        (0.5, 0.0, "0.5 ± 0"),
        (3.0, None, "3"),
        (1.0, 1e-12, "1.000000 ± 0.000000"),
    ],
)
def test_the_error_has_two_digits_and_the_mean_as_many(mean, error, text) -> None:
    assert spread(figure(mean, error)) == text


def test_shares_are_percent() -> None:
    assert percent(figure(0.9861, 0.0062)) == "98.6 % ± 0.6"
    assert percent(figure(1.0, None)) == "100.0 %"


def test_every_figure_of_a_result_is_in_a_table() -> None:
    made = {table.title: table for table in tables(RESULT)}
    assert made["Evidence lower bound of the log-likelihood"].rows == (
        ("ELBO", "-7.12 ± 0.21"),
        ("log-likelihood of v", "-5.00 ± 0.10"),
        ("KL to the prior", "2.123 ± 0.050"),
    )
    assert made["Subset posteriors"].rows == (("c", "0.500 ± 0.010"),)
    assert made["Coherence"].rows == (
        ("c → v", "90.0 % ± 1.0", "100.0 % ± 0.0", "98.0 % ± 3.0"),
        ("prior → v, c", "80.0 % ± 1.0", "–", "98.0 % ± 3.0"),
    )
    assert made["Accuracy"].rows == (("v → c", "95.0 % ± 5.0"),)
    assert made["Cross-generation"].rows == (("v", "c", "accuracy", "0.950 ± 0.050"),)
    assert made["Latent"].rows == (
        ("active units", "2 of 4"),
        ("KL of a dimension, largest", "2"),
        ("KL of a dimension, median", "0.0622"),
        ("KL of a dimension, smallest", "0"),
    )
    assert made["Share of the gradient"].rows == (("v", "75.0 ± 1.0"), ("c", "25.0 ± 1.0"))
    assert all(len(row) == len(t.header) for t in made.values() for row in t.rows)


def test_rows_follow_the_configuration_whatever_the_order_of_the_file() -> None:
    names = ["b+a", "a", "b"]
    assert in_order(sorted(names), {"modalities": ["b", "a"]}) == ["b", "a", "b+a"]
    alphabet = {**RESULT}
    for name in ("terms", "gradient shares"):
        alphabet[name] = dict(sorted(RESULT[name].items()))
    assert tables(alphabet) == tables(RESULT)


def test_a_table_without_rows_is_not_shown() -> None:
    gone = ("coherence", "accuracy", "given", "latent")
    bare = {k: v for k, v in RESULT.items() if k not in gone}
    bare["gradient shares"] = {"v": figure(1.0, 0.0)}  # a modality alone has it all
    titles = [table.title for table in tables(bare)]
    assert titles == ["Evidence lower bound of the log-likelihood", "Subset posteriors"]
    assert isinstance(tables(bare)[0], Table)


def test_units_are_counted_where_dimensions_have_no_kl_of_their_own() -> None:
    latent = {k: v for k, v in RESULT["latent"].items() if k != "kl per dimension"}
    made = {table.title: table for table in tables({**RESULT, "latent": latent})}
    assert made["Latent"].rows == (("active units", "2 of 4"),)


def test_the_heading_says_what_was_evaluated() -> None:
    assert heading(RESULT).startswith("toy, step 30: 20 items of the test split, seed 0")


def test_weights_that_are_the_best_and_not_the_last_are_told_apart() -> None:
    best = {**RESULT, "steps": 45}
    assert heading(best).startswith("toy, step 30 (best by validation of 45 steps): 20 items")


def test_what_is_left_out_is_told() -> None:
    lines = list(left_out({**RESULT, "left out": {"coherence": "no classes"}}))
    assert lines == ["left out: coherence (no classes)"]


def test_cells_stand_in_order_with_how_they_were_sampled() -> None:
    cell = figure(-6.9, 0.2) | {
        "of": "log p(v, c)",
        "proposal": "q(z | v, c)",
        "samples": 5,
        "effective samples": 2.25,
        "bound": True,
        "given from": None,
    }
    estimate = cell | {
        "of": "log p(v | c)",
        "bound": False,
        "given from": "prior, 9 samples",
        "effective samples of what is given": 4.0,
    }
    found = {"v|c@single": estimate, "v@single": cell | {"of": "log p(v)"}, "v+c": cell}
    table = {t.title: t for t in tables(RESULT | {"cells": found})}["Log-likelihoods"]
    assert [row[0] for row in table.rows] == ["v+c", "v@single", "v|c@single"]
    assert table.rows[0] == (
        *("v+c", "log p(v, c)", "-6.90 ± 0.20", "q(z | v, c)", "5", "2.2", "bound"),
    )
    assert table.rows[2][-1] == "estimate; given: prior, 9 samples, 4.0 effective"


def test_the_variation_of_information_has_a_table_of_its_own() -> None:
    found = {"multiple": figure(3.0, 0.5), "single": figure(4.0, 0.5)}
    table = {t.title: t for t in tables(RESULT | {"variation of information": found})}
    assert table["Variation of information"].rows == (
        ("samples: multiple", "3.00 ± 0.50"),
        ("samples: single", "4.00 ± 0.50"),
    )


def test_a_hint_where_one_modality_has_nearly_all_of_the_gradient() -> None:
    def shares(image: float) -> dict[str, object]:
        figures = {
            "image": {"mean": image, "error": 0.01},
            "label": {"mean": 1 - image, "error": 0},
        }
        return {"modalities": ["image", "label"], "gradient shares": figures}

    (hint,) = hints(shares(0.97))
    assert hint.startswith("hint: image has 97 % of the gradient at z and may suppress label.")
    assert "modalities.label.weight" in hint
    assert "model.rescale = 'dimensions'" in hint
    assert list(hints(shares(0.6))) == []
    alone = {"modalities": ["image"], "gradient shares": {"image": {"mean": 1.0, "error": 0.0}}}
    assert list(hints(alone)) == []


def test_no_hint_on_a_modality_that_no_item_has() -> None:
    found = {
        "modalities": ["x", "y"],
        "gradient shares": {"x": figure(1.0, 0.0), "y": figure(0.0, 0.0)},
        "terms": {"log_likelihood/x": figure(-1.0, 0.1)},
    }
    assert list(hints(found)) == []
    both = found["terms"] | {"log_likelihood/y": figure(-1.0, 0.1)}
    assert len(list(hints(found | {"terms": both}))) == 1


def test_the_hint_knows_the_weights_of_the_training() -> None:
    found = {
        "modalities": ["image", "label"],
        "gradient shares": {"image": figure(0.97, 0.01), "label": figure(0.03, 0.01)},
    }
    assert list(hints(found | {"likelihood weights": {"image": 1.0, "label": 50.0}})) == []
    (still,) = hints(found | {"likelihood weights": {"image": 1.0, "label": 2.0}})
    assert still.startswith(
        "hint: image has 94 % of the gradient at z even with the weights of this training "
        "(image 1, label 2) and may suppress label."
    )
    assert "rescale" not in still
    (turned,) = hints(found | {"likelihood weights": {"image": 1.0, "label": 1000.0}})
    assert turned.startswith("hint: label has 97 %")
    assert "modalities.image.weight" in turned


def test_a_hint_where_the_judge_is_no_better_than_chance() -> None:
    def judged(real: float) -> dict[str, object]:
        figures = {
            "temperature 1": figure(0.4, 0.01),
            "classifier on real items": figure(real, 0.02),
            "most frequent class": figure(0.34, 0.02),
        }
        return {"coherence": {"label → image": figures}}

    (hint,) = hints(judged(0.37))
    assert hint.startswith("hint: coherence label → image is not informative")
    assert "37.0 %" in hint
    assert "34.0 %" in hint
    assert list(hints(judged(0.39))) == []


def test_a_hint_where_a_decoder_makes_the_same_whatever_is_given() -> None:
    def made(share: float) -> dict[str, object]:
        figures = {
            "mean": figure(share, 0.01),
            "classifier on real items": figure(0.98, 0.01),
            "most frequent class": figure(0.12, 0.01),
        }
        return {"coherence": {"label → m0": figures}}

    (hint,) = hints(made(0.13))
    assert hint.startswith(
        "hint: m0 generated from label shows its class no more often (13.0 % ± 1.0)"
    )
    assert "model.start_variance" in hint
    assert "Unless label has no information on it" in hint
    assert list(hints(made(0.15))) == []


def test_densities_are_told_and_what_stands_in_parentheses() -> None:
    told = RESULT | {"densities": {"v": "pixels in [0, 1]"}}
    assert list(densities(told)) == ["Log-likelihoods of v: density of pixels in [0, 1]."]
    assert list(densities(RESULT)) == []
    beside = figure(-5.0, 0.1) | {"standardised": figure(-9.0, 0.1)}
    both = told | {"terms": {**RESULT["terms"], "log_likelihood/v": beside}}
    assert list(densities(both))[1].startswith(
        "In parentheses: the value for the standardised data"
    )
    made = {table.title: table for table in tables(both)}
    rows = dict(made["Evidence lower bound of the log-likelihood"].rows)
    assert rows["log-likelihood of v"] == "-5.00 ± 0.10 (-9.00 ± 0.10)"
