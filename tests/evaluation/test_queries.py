"""Cells: how they are written, and which ones a model can give."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from linear_gaussian import jmvae, linear_codecs

from mmvae.evaluation.queries import parse_cells, standard_cells
from mmvae.evaluation.query import Cell, cell_name, cell_title, parse_cell
from mmvae.foundations.errors import UsageError

NAMES = ("a", "b", "c")


@st.composite
def cells(draw: st.DrawFn) -> Cell:
    roles = draw(
        st.lists(st.sampled_from("tg-"), min_size=3, max_size=3).filter(lambda r: "t" in r)
    )
    targets = tuple(m for m, role in zip(NAMES, roles, strict=True) if role == "t")
    given_ = tuple(m for m, role in zip(NAMES, roles, strict=True) if role == "g")
    proposal = draw(st.lists(st.sampled_from(NAMES), min_size=1, unique=True))
    return Cell(targets, given_, tuple(m for m in NAMES if m in proposal))


@given(cells())
def test_a_name_leads_back_to_its_cell_alone(cell: Cell) -> None:
    found = parse_cell(cell_name(cell, NAMES), NAMES)
    assert found == [cell]


@given(cells(), cells())
def test_two_cells_have_two_names(one: Cell, other: Cell) -> None:
    assert (cell_name(one, NAMES) == cell_name(other, NAMES)) == (one == other)


def test_names_and_titles() -> None:
    pair = ("image", "label")

    def names(text: str) -> list[str]:
        return [cell_name(cell, pair) for cell in parse_cell(text, pair)]

    assert names("label+image") == ["image+label"], "the joint figure has one proposal"
    assert names("image") == ["image@multiple", "image@single"]
    assert names(" image | label @ single ") == ["image|label@single"]
    assert names("image@label") == ["image@label"]
    assert names("image|label@image+label") == ["image|label@multiple"]
    assert [cell_name(cell, ("image",)) for cell in parse_cell("image@single", ("image",))] == [
        "image"
    ]
    titles = [cell_title(cell, pair) for cell in parse_cell("image|label", pair)]
    assert titles == ["log p(image | label), multiple", "log p(image | label), single"]
    assert cell_title(parse_cell("image@label", pair)[0], pair) == "log p(image), q(z | label)"
    assert cell_title(parse_cell("image+label", pair)[0], pair) == "log p(image, label)"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("imag", "there is no modality 'imag'"),
        ("image|", "a name is missing"),
        ("", "a name is missing"),
        ("image+", "a name is missing"),
        ("image|image", "image is both a target and given"),
        ("image@", "a name is missing"),
        ("image@singel", "Did you mean 'single'"),
        ("image@sound", "there is no modality 'sound', only image, label"),
    ],
)
def test_what_is_no_cell_is_refused(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=r"^'") as caught:
        parse_cell(text, ("image", "label"))
    assert said in str(caught.value)


def test_the_standard_cells_of_two_modalities_are_the_paper_s() -> None:
    model = jmvae(linear_codecs(a={}, b={}))
    found, left_out = standard_cells(model)
    assert [cell_name(cell, model.modalities) for cell in found] == [
        "a+b",
        *("a@multiple", "a@single", "b@multiple", "b@single"),
        *("a|b@multiple", "a|b@single", "b|a@multiple", "b|a@single"),
    ]
    assert left_out == {}


def test_one_modality_has_one_cell() -> None:
    model = jmvae(linear_codecs(a={}))
    assert [cell_name(cell, ("a",)) for cell in standard_cells(model)[0]] == ["a"]


def test_what_a_model_cannot_give_is_left_out_of_the_standard_and_refused_by_name() -> None:
    model = jmvae(linear_codecs(a={}, b={}), alpha=0.0)  # no encoders for subsets are trained
    found, left_out = standard_cells(model)
    assert [cell_name(cell, model.modalities) for cell in found] == [
        "a+b",
        "a@multiple",
        "b@multiple",
    ]
    assert set(left_out) == {
        *("a@single", "b@single", "a|b@single", "b|a@single"),
        *("a|b@multiple", "b|a@multiple"),  # log p(x_G) has no q(z|x_G)
    }
    by_prior, _ = standard_cells(model, "prior")
    assert "a|b@multiple" in [cell_name(cell, model.modalities) for cell in by_prior]
    with pytest.raises(UsageError, match=r"^'a@single'"):
        parse_cells(["a@single"], model)


def test_each_cell_comes_once() -> None:
    model = jmvae(linear_codecs(a={}, b={}))
    found, _ = parse_cells(["a", "standard", "a@single"], model)
    assert len(found) == len(set(found)) == 9
    assert [cell_name(cell, model.modalities) for cell in found][:2] == ["a@multiple", "a@single"]
