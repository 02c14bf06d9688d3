"""Edits are read as they are written, and mistakes are named with what was meant."""

from __future__ import annotations

import click
import pytest
import torch
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from mmvae_benchmarks.faces.attributes import NAMES
from mmvae_faces import Edit
from mmvae_faces.commands.options import variance_option
from mmvae_faces.edit import PAPER_EDITS, PAPER_SETTINGS, default_edits

from mmvae import UsageError

FINITE = st.floats(-1e6, 1e6)
VALUES = st.dictionaries(st.sampled_from(sorted(NAMES)), FINITE, min_size=1, max_size=4)


@given(VALUES)
def test_an_edit_sets_what_it_names_and_nothing_else(values):
    edit = Edit.parse(",".join(f" {name} = {value!r}" for name, value in values.items()))
    assert edit.values == values
    names, w = tuple(NAMES), torch.zeros(2, 40, dtype=torch.float64)
    changed = edit.applied(w, names)
    assert torch.equal(w, torch.zeros_like(w)), "what is given stays as it is"
    for column, name in enumerate(names):
        assert changed[:, column].tolist() == [values.get(name, 0.0)] * 2


def test_its_label_is_for_people():
    assert Edit.parse("Wearing_Hat=2,Male=-0.5").label == "Wearing Hat +2, Male −0.5"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Smiling", "got 'Smiling', expected NAME=VALUE"),
        ("Smiling=", "expected NAME=VALUE"),
        ("=2", "expected NAME=VALUE"),
        ("Smiling=2,,Male=1", "got '', expected NAME=VALUE"),
        ("Smiling=1_0", "'1_0' is no finite number"),
        ("Smiling=high", "'high' is no finite number"),
        ("Smiling=nan", "'nan' is no finite number"),
        ("Smiling=-inf", "'-inf' is no finite number"),
        ("Smiling=1e39", "'1e39' is no finite number up to ±1,000,000"),
        ("Smiling=-1000001", "'-1000001' is no finite number up to"),
        ("Smiling=2,Smiling=1", "Smiling comes twice"),
    ],
)
def test_what_cannot_be_read_is_refused(text, message):
    with pytest.raises(UsageError, match=f"--attribute {text}: .*{message}"):
        Edit.parse(text)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("smiling", "Nearest: Smiling"),
        ("Eyeglases", r"Nearest: Eyeglasses\b"),
        ("Wearing_Hut", r"Nearest: Wearing_Hat, Wearing_\w+, Wearing_\w+\.$"),
        ("Zzz", "there are 5_o_Clock_Shadow, Arched_Eyebrows"),
    ],
)
def test_an_unknown_attribute_is_answered_with_the_nearest(name, message):
    with pytest.raises(UsageError, match=f"--attribute {name}: no such attribute.*{message}"):
        Edit.parse(f"{name}=2").applied(torch.zeros(1, 40), tuple(NAMES))


def test_the_paper_s_edits_are_of_celeba_s_attributes():
    assert len(default_edits(PAPER_EDITS, tuple(NAMES))) == 5
    assert len(default_edits(PAPER_SETTINGS, tuple(NAMES))) == len(PAPER_SETTINGS)


def test_of_other_attributes_the_first_five_are_set():
    assert [e.values for e in default_edits(PAPER_EDITS, "abcdefg")] == [{n: 2.0} for n in "abcde"]
    assert [e.values for e in default_edits(PAPER_EDITS, ("Hue", "Male"))] == [{"Male": -2.0}]


@pytest.mark.parametrize("text", ["nan", "inf", "-1", "much"])
def test_a_variance_is_a_finite_number(text):
    @click.command()
    @variance_option(0.6)
    def command(variance):
        click.echo(variance)

    refused = CliRunner().invoke(command, ["--variance", text])
    assert refused.exit_code == 2
    assert "--variance" in refused.output
    assert CliRunner().invoke(command, ["--variance", "0"]).output == "0.0\n"
