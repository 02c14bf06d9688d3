"""The categorical codec keeps the contract; names, codes and their mistakes."""

from __future__ import annotations

import datetime

import numpy as np
import pytest
import torch
from mmvae_labels import Categorical
from pydantic import ValidationError

from mmvae import Column, UnsupportedValue
from mmvae.testing import CodecContract, NumberReading, TextReading

PETS = ("cat", "dog", "newt")


def fitted(raw, **keys):
    config = Categorical.Config(**keys)
    return Categorical(config, Categorical(config).fit(raw))


class CategoricalContract(NumberReading, CodecContract):
    def make_codec(self):
        return Categorical(Categorical.Config(encoder=(8,), decoder=(8,)))

    def make_column(self, n, seed):
        codes = np.random.default_rng(seed).permutation(np.arange(n) % 3)
        return Column(codes, names=PETS)

    def edge_columns(self):
        return [("last class", Column(np.array([2])))]

    def invalid_columns(self):
        return [
            ("negative", Column(np.array([0, -1]))),
            ("too large", Column(np.array([0, 3]))),
            ("NaN", Column(np.array([0.0, np.nan]))),
            ("fraction", Column(np.array([0.0, 1.5]))),
            ("unknown name", Column(["cat", "cow"])),
            ("gap", Column(["cat", None])),
            ("gap among codes", Column([1, None])),
            ("gap among objects", Column(np.array([1, None], object))),
            ("code among names", Column(["cat", 1])),
        ]

    def enumerate_support(self, codec):
        return torch.eye(3)


class TestCategoricalWithNames(CategoricalContract):
    pass


class TestCategoricalOfStrings(TextReading, CategoricalContract):
    def make_column(self, n, seed):
        return Column([PETS[code] for code in super().make_column(n, seed).values])


class TestCategoricalOfCodes(CategoricalContract):
    def make_codec(self):
        return Categorical(Categorical.Config(classes=3, encoder=(), decoder=()))

    def make_column(self, n, seed):
        return Column(super().make_column(n, seed).values)


@pytest.mark.parametrize(
    ("values", "names", "keys", "classes"),
    [
        ([0, 2, 1], None, {}, ("0", "1", "2")),
        ([0, 1], None, {"classes": 4}, ("0", "1", "2", "3")),
        (["b", "a", "b"], None, {}, ("a", "b")),
        (np.array(["b", "a"], object), None, {}, ("a", "b")),
        (np.array([1, 0], object), None, {}, ("0", "1")),
        ([0, 1], ("x", "y", "z"), {}, ("x", "y", "z")),
        ([0, 1], ("x", "y"), {"classes": ["r", "y", "x"]}, ("r", "y", "x")),
        (np.array([1.0, 0.0]), None, {}, ("0", "1")),
        (np.array([True, False]), None, {}, ("False", "True")),
        ([True, True], None, {}, ("True",)),
        ([3, 1, 2, 10**9], None, {}, ("1", "2", "3", "1000000000")),
        (["10", "9", "010", "1_0", "None", " a", "a\0"], None, {}, None),
    ],
)
def test_where_the_classes_come_from(values, names, keys, classes):
    wanted = tuple(sorted(values)) if classes is None else classes
    assert fitted(Column(values, names=names), **keys).classes == wanted


def test_names_and_codes_prepare_the_same():
    codec = fitted(Column(np.array([0, 1, 2]), names=PETS))
    wanted = torch.eye(3)[[2, 0]]
    for values in (["newt", "cat"], np.array(["newt", "cat"]), [2, 0], np.array([2, 0], np.uint8)):
        torch.testing.assert_close(codec.to_input(codec.prepare(Column(values))[0]), wanted)


def test_restore_gives_names_if_there_are_any_else_codes():
    x = torch.eye(3)[[2, 0]]
    assert fitted(Column([0], names=PETS)).restore(x).values.tolist() == ["newt", "cat"]
    assert fitted(Column([0]), classes=3).restore(x).values.tolist() == [2, 0]


@pytest.mark.parametrize(
    ("raw", "keys", "message"),
    [
        (Column([0, 1], names=PETS), {"classes": 2}, "3 class names from the source"),
        (Column([0], names=("x",)), {"classes": ["p"]}, "got the class names x .* some of .* p"),
        (Column([]), {}, "at least one label"),
        (Column([0, -2]), {}, "row 1: got label -2"),
        (Column(np.arange(100_001)), {}, "labels or ids"),
        (Column([True, 2]), {}, "row 1: got label 2, expected a boolean, as in other rows"),
        (Column([1.1, 1.2]), {}, r"row 0: got label 1.1.*data.types"),
        (Column([1.0, 2.0**53]), {}, r"row 1: .*992.0 \(a float, .* below 2\^52. .*data.types"),
        (Column(np.zeros((2, 2), int)), {}, r"shape \(n,\)"),
        (Column(np.zeros(2, "datetime64[s]")), {}, "integers or names"),
    ],
)
def test_what_cannot_be_learned_is_refused(raw, keys, message):
    with pytest.raises(UnsupportedValue, match=message):
        fitted(raw, **keys)


def test_an_unknown_label_is_named_with_what_is_accepted():
    codec = fitted(Column([0], names=PETS))
    with pytest.raises(UnsupportedValue, match="row 1: got label 'cow', expected one of cat, dog"):
        codec.prepare(Column(["dog", "cow"]))
    with pytest.raises(UnsupportedValue, match="row 2: got label 3, .* or the codes 0..2"):
        codec.prepare(Column([0, 1, 3]))


def test_parse_takes_a_name_or_a_code():
    codec = fitted(Column([0], names=PETS))
    for text in ("newt", " newt ", "2"):
        assert torch.equal(codec.condition(codec.parse(text)), torch.eye(3)[[2]])
    with pytest.raises(ValueError, match=r"'nwet' is no class.*Did you mean 'newt'\?"):
        codec.parse("nwet")
    for text in ("3", "-1", "1.5", ""):
        with pytest.raises(ValueError, match="codes 0..2"):
            codec.parse(text)


def test_a_class_named_like_a_code_wins_over_the_code():
    codec = fitted(Column(["1", "0"]), classes=["1", "0"])
    assert codec.condition(codec.parse("1")).argmax() == 0


@pytest.mark.parametrize(
    "labels",
    [
        [1, 3, 2],
        ["1", "2", "3", "?"],
        ["07", "7", "7.0", "1_0", "10"],
        ["None", "NA", "null", "nan"],
        [" a", "a ", "a", "a\0", "é"],
        [True, False],
        ["True", "False", "maybe"],
    ],
)
def test_labels_come_back_as_they_were(labels):
    codec = fitted(Column(labels))
    found = codec.restore(codec.to_input(codec.prepare(Column(labels))[0])).values
    assert found.tolist() == labels
    assert type(found.tolist()[0]) is type(labels[0])
    for label in labels:
        typed = codec.condition(codec.parse(str(label)))
        assert torch.equal(typed, codec.condition(Column([label])))


def test_a_number_is_the_class_of_that_name_not_a_code():
    named = fitted(Column(["1", "2", "3", "?"]))
    assert named.classes == ("1", "2", "3", "?")
    for values in ([1, 3], np.array([1.0, 3.0]), ["1", "3"]):
        assert named.prepare(Column(values))[0].argmax(1).tolist() == [0, 2]
    with pytest.raises(UnsupportedValue, match="got label 0, expected one of 1, 2, 3, ?"):
        named.prepare(Column([0]))
    with pytest.raises(ValueError, match="'0' is no class"):
        named.parse("0")
    truths = fitted(Column(["False", "True", "?"]))
    assert truths.prepare(Column([True]))[0].argmax() == truths.classes.index("True")


def test_codes_go_by_the_names_that_come_with_them():
    """Another file may list the same classes in another order."""
    codec = fitted(Column([0, 1, 2], names=PETS))
    other = Column([0, 1, 2], names=("newt", "cat", "dog"))
    assert codec.prepare(other)[0].argmax(1).tolist() == [2, 0, 1]
    digits = fitted(Column([0, 1], names=("1", "2")))
    assert digits.prepare(Column([0, 1], names=("1", "2")))[0].argmax(1).tolist() == [0, 1]
    assert digits.prepare(Column([1, 2]))[0].argmax(1).tolist() == [0, 1]


@pytest.mark.parametrize("names", [("Dog", "Cat"), ("newt", "Cat")])
@pytest.mark.parametrize(
    "learned",
    [Column([0, 1, 2], names=PETS), Column(list(PETS)), Column([0, 1]), Column([False, True])],
)
def test_a_code_whose_name_is_no_class_is_refused_by_that_name(learned, names):
    codec = fitted(learned)
    with pytest.raises(UnsupportedValue, match=r"row 0: got label 'Cat', expected one of") as told:
        codec.prepare(Column(np.array([1]), names=names))
    assert "codes" not in str(told.value)


def test_a_run_of_before_takes_its_integers_and_booleans():
    codec = Categorical(Categorical.Config(), {"classes": ["0", "1"], "named": False})
    assert codec.prepare(Column([True, False]))[0].argmax(1).tolist() == [1, 0]
    assert codec.restore(torch.eye(2)).values.tolist() == [0, 1]


def test_condition_takes_any_finite_weights():
    codec = fitted(Column([0], names=PETS))
    weights = np.array([[0.5, 0.5, 0.0], [0.0, 2.0, -1.0]])
    torch.testing.assert_close(codec.condition(Column(weights)), torch.tensor(weights).float())
    with pytest.raises(UnsupportedValue, match="row 1: .*finite weights"):
        codec.condition(Column(np.array([[0, 0, 1], [0, np.inf, 0]])))
    with pytest.raises(UnsupportedValue, match="2 weights, expected 3"):
        codec.condition(Column(np.zeros((1, 2))))


def test_log_prob_is_the_log_softmax_of_the_label():
    codec = fitted(Column([0], names=PETS))
    logits = torch.randn(4, 3)
    codes = torch.tensor([0, 1, 2, 2])
    got = codec.log_prob(codec.likelihood(logits), torch.eye(3)[codes], None)
    torch.testing.assert_close(
        got, -torch.nn.functional.cross_entropy(logits, codes, reduction="none")
    )


def test_samples_follow_the_probabilities():
    codec = fitted(Column([0], names=PETS))
    probabilities = torch.tensor([0.2, 0.5, 0.3])
    likelihood = codec.likelihood(probabilities.log().expand(20_000, 3))
    drawn = codec.sample(likelihood, torch.Generator().manual_seed(0))
    assert torch.equal(drawn.sum(1), torch.ones(20_000))
    torch.testing.assert_close(drawn.mean(0), probabilities, atol=0.02, rtol=0)


def test_accuracy_is_1_where_the_guess_is_right():
    codec = fitted(Column([0], names=PETS))
    prediction, truth = torch.eye(3)[[0, 1, 2]], torch.eye(3)[[0, 2, 2]]
    assert codec.compare(prediction, truth)["accuracy"].tolist() == [1, 0, 1]
    assert codec.class_index(truth).tolist() == [0, 2, 2]


def test_the_row_without_a_label_is_named():
    with pytest.raises(UnsupportedValue, match="row 2: got label None, expected a whole number"):
        fitted(Column([0, 1, None]))
    with pytest.raises(UnsupportedValue, match="row 1: got label None, expected a class name"):
        fitted(Column(["a", None]))


@pytest.mark.parametrize("classes", [0, [], ["a", "a"], 1.5])
def test_wrong_classes_are_refused(classes):
    with pytest.raises(ValidationError):
        Categorical.Config(classes=classes)


@pytest.mark.parametrize(
    "values",
    [np.array([1, 2**63], np.uint64), np.array([1, 2**63], object), [1, 2**63], [-1, 2**63]],
)
def test_numbers_of_more_than_64_bits_are_refused_as_they_are(values):
    with pytest.raises(UnsupportedValue, match="row 1: got label 9223372036854775808, expected"):
        fitted(Column(values))


def test_unsigned_numbers_of_64_bits_are_labels():
    assert fitted(Column(np.array([3, 2**63 - 1], np.uint64))).classes == ("3", str(2**63 - 1))


@pytest.mark.parametrize("value", [["c"], b"c", datetime.time(2), datetime.timedelta(seconds=2)])
def test_labels_of_other_types_are_told_what_to_become(value):
    with pytest.raises(UnsupportedValue, match="Convert the labels to texts or whole numbers"):
        fitted(Column([value, value]))


@pytest.mark.parametrize("gap", [None, float("nan")])
def test_gaps_among_labels_are_told_as_such(gap):
    with pytest.raises(UnsupportedValue, match="row 1: .*Label every item"):
        fitted(Column(["a", gap]))


def test_codes_are_offered_only_where_they_are_taken():
    codec = Categorical(Categorical.Config(), {"classes": ["cat", "dog"], "named": True})
    with pytest.raises(UnsupportedValue) as refused:
        codec.prepare(Column(["cat", "0"]))
    assert "codes" not in refused.value.expected
    with pytest.raises(UnsupportedValue) as refused:
        codec.prepare(Column(np.array([0, 2])))
    assert "or the codes 0..1" in refused.value.expected


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize(
    "change",
    [{"classes": [1, 2]}, {"classes": [["x"]]}, {"classes": ["7", "7"]}, {"named": "no"}],
)
def test_a_saved_state_that_was_not_learned_is_refused(change, named):
    state = {"classes": ["1", "2"], "named": named}
    Categorical(Categorical.Config(), state).check_state()
    with pytest.raises(ValueError, match="expected"):
        Categorical(Categorical.Config(), state | change).check_state()


def test_classes_without_names_are_numbers_or_truth_values():
    for classes in (["-1", "20"], ["False", "True"], ["True"]):
        Categorical(Categorical.Config(), {"classes": classes, "named": False}).check_state()
    for classes in (["a", "b"], ["01"], ["1.5"], ["1", "True"], [str(2**64)], ["9" * 5000]):
        with pytest.raises(ValueError, match="expected whole numbers"):
            Categorical(Categorical.Config(), {"classes": classes, "named": False}).check_state()
