"""Claims are judged by paired differences, against their errors."""

from __future__ import annotations

import math

import pytest
from studies import record

from mmvae.study.claims import figures, findings, verdict
from mmvae.study.study import Claim

RISING = Claim(text="It rises", cell="v@single", rising=["a", "b"], at_least=1.0)


def test_differences_are_paired() -> None:
    # The rows vary by 10 nats, their difference by 0.1: only pairs can tell.
    worse = record("a", {"v@single": [-30.0, -20.0, -10.0, 0.0]})
    better = record("b", {"v@single": [-28.1, -17.9, -8.1, 2.1]})
    [found] = findings(RISING, {"a": worse, "b": better})
    assert found.value == pytest.approx(2.0, abs=1e-5)
    assert found.error == pytest.approx(math.sqrt(0.04 / 3) / 2, abs=1e-5)
    assert found.rows == ("the a one", "the b one")
    assert (found.expected, found.verdict) == ("≥ 1", "yes")
    [back] = findings(RISING, {"a": better, "b": worse})
    assert back.value == pytest.approx(-2.0, abs=1e-5)
    assert back.verdict == "no"


def test_a_chain_is_judged_step_by_step() -> None:
    claim = Claim(text="It rises", cell="v@single", rising=["a", "b", "c"])
    records = {
        "a": record("a", {"v@single": [-3.0, -3.0]}),
        "b": record("b", {"v@single": [-2.0, -2.0]}),
        "c": record("c", {"v@single": [-2.5, -2.5]}),
    }
    assert [f.verdict for f in findings(claim, records)] == ["yes", "no"]
    assert [f.value for f in findings(claim, records)] == [1.0, -0.5]
    del records["b"]
    assert findings(claim, records) == []


def test_a_figure_lies_below() -> None:
    claim = Claim(text="It fails", cell="v@single", row="a", below=-500.0)
    bad = {"a": record("a", {"v@single": [-600.0, -602.0]})}
    [found] = findings(claim, bad)
    assert (found.value, found.expected, found.verdict) == (-601.0, "< −500", "yes")
    [found] = findings(claim, {"a": record("a", {"v@single": [-400.0, -402.0]})})
    assert found.verdict == "no"


def test_other_items_or_cells_give_no_finding() -> None:
    here = record("a", {"v@single": [-1.0, -1.0]})
    elsewhere = record("b", {"v@single": [1.0, 1.0]}, data={"fingerprint": "g"})
    assert findings(RISING, {"a": here, "b": elsewhere}) == []
    assert findings(RISING, {"a": here, "b": record("b", {"v@multiple": [1.0, 1.0]})}) == []


@pytest.mark.parametrize(
    ("margin", "error", "so"),
    [(1.0, 0.4, "yes"), (1.0, 0.6, "not clear"), (-1.0, 0.4, "no"), (-1.0, 0.6, "not clear")],
)
def test_two_standard_errors_make_it_clear(margin: float, error: float, so: str) -> None:
    assert verdict(margin, error) == so


def test_a_single_item_has_no_error_and_makes_nothing_clear() -> None:
    [found] = findings(
        RISING, {"a": record("a", {"v@single": [-9.0]}), "b": record("b", {"v@single": [-1.0]})}
    )
    assert (found.value, found.error, found.verdict) == (8.0, None, "not clear")
    [figure] = figures(["v@single"], [record("a", {"v@single": [-9.0]})])
    assert (figure.mean, figure.error) == (-9.0, None)


def test_a_margin_of_nothing_without_error_is_enough() -> None:
    assert verdict(0.0, 0.0) == "yes"


def test_figures_stand_beside_the_published_ones() -> None:
    both = {"v@multiple": [-5.0, -5.0], "v@single": [-5.5, -6.5]}
    ours = record("a", both, published={"v@single": -5.0})
    multiple, single = figures(["v@multiple", "v@single"], [ours])
    assert (multiple.proposal, multiple.published, multiple.difference) == ("multiple", None, None)
    assert multiple.reached(0.0) is None
    assert (single.proposal, single.difference) == ("single", -1.0)
    assert [single.reached(t) for t in (0.0, 0.9, 1.0)] == [False, False, True]


def test_a_row_of_one_modality_is_shown_once() -> None:
    alone = record("a", {"v": [-5.0, -5.0]}, config='[modalities.v]\ncodec = "toy-vector"\n')
    [figure] = figures(["v@multiple", "v@single", "v|c@single"], [alone])
    assert figure.proposal == ""
