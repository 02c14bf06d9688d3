"""The signed-attribute codec keeps the contract; its likelihoods, conditions and mistakes."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from mmvae_attributes import SignedAttributes
from mmvae_attributes.signs import SignLikelihood, Signs
from torch.distributions import Bernoulli, Normal

from mmvae import Column, UnsupportedValue
from mmvae.testing import CodecContract, LikelihoodContract, NumberReading, violations

NAMES = ("Smiling", "Male")


def signs(n, seed=0):
    return np.random.default_rng(seed).choice(np.array([-1, 1]), (n, 2))


def fitted(raw=None, **keys):
    config = SignedAttributes.Config(**keys)
    raw = Column(signs(4), names=NAMES) if raw is None else raw
    return SignedAttributes(config, SignedAttributes(config).fit(raw))


class AttributesContract(NumberReading, CodecContract):
    keys: dict[str, object] = {}
    numbers = ((1, -1), (-1, 1), (1, 1))

    def make_codec(self):
        keys = {"encoder": (16,), "decoder": (16,)} | self.keys
        return SignedAttributes(SignedAttributes.Config(**keys))

    def make_column(self, n, seed):
        return Column(signs(n, seed), names=NAMES)

    def edge_columns(self):
        return [("all and none", Column(np.array([[1, 1], [-1, -1]])))]

    def invalid_columns(self):
        def with_value(value):
            return Column(np.array([[1.0, -1.0], [1.0, value]]))

        bad = {"zero": 0, "two": 2, "fraction": 0.5, "NaN": np.nan, "infinite": np.inf}
        booleans = Column(np.array([[True, True], [True, False]]))
        return [("booleans", booleans), *((name, with_value(v)) for name, v in bad.items())]


class TestGaussianAttributes(AttributesContract):
    def integration_grid(self, codec):
        axis = torch.linspace(-7, 7, 141)
        return torch.cartesian_prod(axis, axis), 0.1**2


class TestBernoulliAttributes(AttributesContract):
    keys = {"likelihood": "bernoulli"}

    def enumerate_support(self, codec):
        return torch.tensor(list(itertools.product((-1.0, 1.0), repeat=2)))


def test_gaussian_likelihood_has_mean_tanh_and_variance_1():
    codec = fitted()
    f, x = torch.randn(3, 2), torch.tensor(signs(3)).float()
    wanted = Normal(f.tanh(), 1.0).log_prob(x).sum(1)
    torch.testing.assert_close(codec.log_prob(codec.likelihood(f), x, None), wanted)


def test_signs_are_a_bernoulli_of_plus_and_minus_one():
    logits = torch.linspace(-30, 30, 13)
    ours, theirs = Signs(logits), Bernoulli(logits=logits)
    for sign in (-1.0, 1.0):
        bit = torch.full_like(logits, (sign + 1) / 2)
        torch.testing.assert_close(
            ours.log_prob(torch.full_like(logits, sign)), theirs.log_prob(bit)
        )
    torch.testing.assert_close(ours.mean, 2 * theirs.mean - 1)
    torch.testing.assert_close(ours.variance, 4 * theirs.variance)
    assert set(ours.sample((3,)).unique().tolist()) == {-1.0, 1.0}


@pytest.mark.parametrize("likelihood", ["gaussian", "bernoulli"])
def test_samples_have_the_likelihood_s_mean(likelihood):
    codec = fitted(likelihood=likelihood)
    made = codec.likelihood(torch.tensor([[0.5, -1.0]]).expand(20_000, 2))
    drawn = codec.sample(made, torch.Generator().manual_seed(0))
    torch.testing.assert_close(drawn.mean(0), made.mean[0], atol=0.03, rtol=0)
    assert (set(drawn.unique().tolist()) == {-1.0, 1.0}) == (likelihood == "bernoulli")


@pytest.mark.parametrize(("value", "shown"), [(0, "0"), (2, "2"), (np.nan, "nan")])
def test_a_wrong_value_is_named_with_row_and_attribute(value, shown):
    values = np.array([[1, 1], [1, -1], [-1, value]])
    with pytest.raises(UnsupportedValue, match=rf"row 2: got {shown}.* for 'Male', expected -1"):
        fitted().prepare(Column(values))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([[1, -1, 1]], "3 attributes, expected 2: Smiling, Male"),
        ([["yes", "no"]], "numbers of shape"),
        ([[1, -1], [1]], "rows of unequal length"),
        (np.ones((1, 2, 2)), "numbers of shape"),
    ],
)
def test_what_is_no_attribute_vector_is_refused(values, message):
    with pytest.raises(UnsupportedValue, match=message):
        fitted().prepare(Column(values))


def test_names_come_from_the_key_the_source_or_the_positions():
    assert fitted().names == NAMES
    assert fitted(Column(signs(2))).names == ("0", "1")
    assert fitted(names=["a", "b"]).names == ("a", "b")
    assert fitted(Column([1, -1])).event_shape == (1,)
    with pytest.raises(UnsupportedValue, match="2 attributes, expected 1"):
        fitted(names=["a"])
    with pytest.raises(UnsupportedValue, match="at least one row"):
        fitted(Column([]))


def test_condition_takes_any_finite_real():
    condition = fitted().condition(Column([[2, -0.5]]))
    torch.testing.assert_close(condition, torch.tensor([[2, -0.5]]))
    with pytest.raises(UnsupportedValue, match="row 0: got inf for 'Smiling'"):
        fitted().condition(Column([[np.inf, 0]]))
    with pytest.raises(UnsupportedValue, match=r"row 0: got 1e\+39 for 'Smiling'"):
        fitted().condition(Column([[1e39, 0]]))


def test_attributes_with_other_names_or_in_another_order_are_refused():
    codec = fitted()
    for names, told in ((NAMES[::-1], "number 0 is"), (("x", *NAMES[1:]), "number 0 is 'x'")):
        for read in (codec.prepare, codec.condition):
            with pytest.raises(UnsupportedValue, match=told):
                read(Column(signs(2), names=names))
    renamed = fitted(names=[f"new {name}" for name in NAMES])
    assert renamed.prepare(Column(signs(2), names=NAMES))[0].shape == (2, len(NAMES))


def test_parse_names_some_or_lists_all():
    codec = fitted()
    for text, wanted in {
        "Male=2": [0, 2],
        "Smiling = 1.5 , Male=-1": [1.5, -1],
        "1,-2": [1, -2],
    }.items():
        assert codec.condition(codec.parse(text)).tolist() == [wanted]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Male=1_0", "'1_0' is not a finite number"),
        ("Smilin=1", r"'Smilin' is no attribute.*Did you mean 'Smiling'\?"),
        ("Male=big", "'big' is not a finite number"),
        ("Male=nan", "not a finite number"),
        ("Male=1,2", "'2' is no attribute"),
        ("1", "1 numbers, expected 2"),
        ("", "0 numbers, expected 2"),
        ("1,x", "not a finite number"),
    ],
)
def test_parse_says_what_is_accepted(text, message):
    with pytest.raises(ValueError, match=message):
        fitted().parse(text)


def test_restore_gives_signs_and_show_the_names_that_are_on():
    codec = fitted()
    x = torch.tensor([[0.3, -0.2], [-1.0, -1.0], [0.0, 1.0]])
    restored = codec.restore(x)
    assert restored.values.dtype == np.int8
    assert restored.values.tolist() == [[1, -1], [-1, -1], [1, 1]]
    assert codec.show(x) == ["Smiling", "none", "Smiling, Male"]


def test_accuracy_is_the_share_of_right_signs():
    figures = fitted().compare(torch.tensor([[0.1, 0.9]]), torch.tensor([[-1.0, 1.0]]))
    assert figures["accuracy"].tolist() == [0.5]


def test_truth_values_beside_numbers_are_refused():
    with pytest.raises(UnsupportedValue, match="row 1: got True, expected -1 or .1"):
        fitted().prepare(Column([[1, -1], [True, -1]]))


class TestSignLikelihood(LikelihoodContract):
    event_shape = (3,)

    def make_likelihood(self):
        return SignLikelihood()

    def enumerate_support(self):
        return torch.tensor(list(itertools.product((-1.0, 1.0), repeat=3)))


class ShowsWhatIsMissing(SignedAttributes):
    """The names of the attributes that an item lacks."""

    kind = "lacking"

    def show(self, x):
        return super().show(-x)


def test_the_kit_finds_a_text_of_other_attributes():
    suite = type("Suite", (CodecContract,), {"codec": ShowsWhatIsMissing})
    found = violations(suite())
    assert list(found) == ["test_show_agrees_with_restore"]


@pytest.mark.parametrize("names", [[1], [["x"]], [None], "ab", [""], ["a", "a"], []])
def test_a_saved_state_without_names_is_refused(names):
    with pytest.raises(ValueError, match="names is .* expected a list of names"):
        SignedAttributes(SignedAttributes.Config(), {"names": names}).check_state()
