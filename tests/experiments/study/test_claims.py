"""Claims are judged by paired differences, against their errors."""

from __future__ import annotations

import math

import numpy as np
import pytest
from studies import record

from mmvae.experiments.study.claims import figures, findings, orders, verdict
from mmvae.experiments.study.record import Record
from mmvae.experiments.study.study import Claim

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


def test_a_finding_of_few_effective_samples_is_unsettled() -> None:
    records = {row: record(row, {"v@single": [0.0, 1.0]}) for row in ("a", "b")}
    [found] = findings(RISING, records)
    assert (found.effective, found.settled) == ((2.5, 2.5), False)
    for kept in records.values():
        kept.cells["v@single"]["effective samples"] = 900.0
    [found] = findings(RISING, records)
    assert (found.effective, found.settled) == ((900.0, 900.0), True)


def published(row: str, multiple: float, single: float, ours: tuple[float, float]) -> Record:
    """A row whose items vary by 10 nats, as do those of all others."""
    items = np.array([-30.0, -20.0, -10.0, 0.0]), np.array([0.1, -0.1, 0.0, 0.0])
    nats = {
        name: list(items[0] + shift + k * items[1])
        for k, (name, shift) in enumerate(zip(("v@multiple", "v@single"), ours, strict=True))
    }
    told = {"v@multiple": multiple, "v@single": single}
    return record(row, nats, published=told)


def test_published_orders_are_held_against_our_pairs() -> None:
    """Neighbours of a cell, then the figures of a row; what is published as equal has no order."""
    rows = [
        published("a", -3.0, -2.0, (-1.0, -2.0)),
        published("b", -1.0, -1.0, (-2.0, -2.0)),
        published("c", -2.0, -1.0, (-1.5, -1.0)),
    ]
    found = {o.found.rows: o for o in orders(["v@multiple", "v@single"], rows)}
    label = {row: f"the {row} one" for row in "abc"}
    assert [(a, b) for a, b in found] == [
        (f"{label['a']} (multiple)", f"{label['c']} (multiple)"),
        (f"{label['c']} (multiple)", f"{label['b']} (multiple)"),
        (f"{label['a']} (single)", f"{label['b']} (single)"),
        (f"{label['a']} (single)", f"{label['c']} (single)"),
        (f"{label['a']} (multiple)", f"{label['a']} (single)"),
        (f"{label['c']} (multiple)", f"{label['c']} (single)"),
    ]
    assert [o.published for o in found.values()] == [1, 1, 1, 1, 1, 1]
    assert {o.cell for o in found.values()} == {"v"}
    assert [o.found.value for o in found.values()] == pytest.approx(
        [-0.5, -0.5, 0.0, 1.0, -1.0, 0.5]
    )
    verdicts = [o.found.verdict for o in found.values()]
    assert verdicts == ["no", "no", "yes", "yes", "no", "yes"]


def test_an_order_within_two_standard_errors_is_not_clear() -> None:
    near = record("a", {"v+c": [-1.0, -2.0, -3.0]}, published={"v+c": -2.0})
    far = record("b", {"v+c": [-2.0, -1.0, -2.9]}, published={"v+c": -1.0})
    [order] = orders(["v+c"], [near, far])
    assert order.found.verdict == "not clear"
    assert abs(order.found.value) < 2 * order.found.error


def test_rows_of_other_items_and_unpublished_figures_have_no_order() -> None:
    here = record("a", {"v+c": [-1.0, -2.0]}, published={"v+c": -2.0})
    there = record("b", {"v+c": [0.0, 0.0]}, published={"v+c": -1.0}, data={"fingerprint": "g"})
    unpublished = record("c", {"v+c": [0.0, 0.0]})
    assert orders(["v+c"], [here, there, unpublished]) == []
    [told] = orders(["v+c"], [here, there.model_copy(update={"data": here.data})])
    assert told.found.verdict == "yes"
