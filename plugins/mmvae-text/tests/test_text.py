"""The text codec keeps the contract; its probabilities are those of whole strings."""

from __future__ import annotations

import itertools
import re
import tomllib
from pathlib import Path

import numpy as np
import pytest
import torch
from mmvae_text import Strings, Text
from mmvae_text.strings import END, StringLikelihood, ended, lengths
from pydantic import ValidationError

import mmvae
from mmvae import Column, LazyValues, UnsupportedValue
from mmvae.testing import CodecContract, LikelihoodContract, TextReading, violations

SMALL = {"encoder": (8,), "kernel": 3, "decoder": (8,)}
WORDS = ["cab", "", "abba", "ça", "b\n", " "]


def fitted(texts=WORDS, **keys):
    config = Text.Config(**SMALL | keys)
    return Text(config, Text(config).fit(Column(texts)))


def strings(symbols, length):
    """Every string of at most ``length`` of the codes 1..symbols, as codes with ends."""
    codes = range(1, symbols + 1)
    every = (s for n in range(length + 1) for s in itertools.product(codes, repeat=n))
    return torch.tensor([list(s) + [0] * (length - len(s)) for s in every])


class TestExamples(TextReading, CodecContract):
    codec = Text


class TestCharacters(TextReading, CodecContract):
    """With an unknown one among them; what it was is lost."""

    restores = False

    def make_codec(self):
        return Text(Text.Config(**SMALL | {"encoder": (8, 4)}, unknown="replace", max_length=5))

    def make_column(self, n, seed):
        order = np.random.default_rng(seed).permutation(n) % len(WORDS)
        return Column([WORDS[k] for k in order])

    def edge_columns(self):
        return [("unknown, empty and full", Column(["x", "", "abcab"]))]

    def invalid_columns(self):
        return [
            ("too long", Column(["a", "abcabc"])),
            ("half a character", Column(["a", "\ud800"])),
        ]


class TestBytes(TextReading, CodecContract):
    def make_codec(self):
        return Text(Text.Config(**SMALL, unit="byte", max_length=6))

    def make_column(self, n, seed):
        return Column([chr(0x1F400 + k) + "é" for k in np.random.default_rng(seed).permutation(n)])

    def edge_columns(self):
        return [("empty, zero and full", Column(["", "\0", "abcdef"]))]

    def invalid_columns(self):
        return [("seven bytes", Column(["a", "🐁🐁"])), ("bytes", Column(["a", b"a"]))]


@pytest.mark.parametrize(("symbols", "length"), [(1, 1), (1, 5), (2, 3), (3, 4), (6, 2)])
def test_the_probabilities_of_all_strings_add_up_to_1(symbols, length):
    every = strings(symbols, length)
    logits = 3 * torch.randn(1, length, symbols + 1).expand(len(every), -1, -1)
    assert Strings(logits).log_prob(every).exp().sum().item() == pytest.approx(1, abs=1e-5)


def test_log_prob_is_the_product_up_to_the_end():
    logits = torch.randn(1, 3, 3)
    p = logits.softmax(-1)[0]
    for codes, wanted in {
        (0, 0, 0): p[0, 0],
        (2, 0, 0): p[0, 2] * p[1, 0],
        (2, 1, 0): p[0, 2] * p[1, 1] * p[2, 0],
        (2, 1, 2): p[0, 2] * p[1, 1] * p[2, 2],
        (2, 0, 1): p[0, 2] * p[1, 0],  # what follows an end has no part
    }.items():
        got = Strings(logits).log_prob(torch.tensor([codes]))
        torch.testing.assert_close(got, wanted.log().reshape(1))


def test_positions_after_the_end_get_no_gradient():
    logits = torch.randn(1, 4, 3, requires_grad=True)
    Strings(logits).log_prob(torch.tensor([[1, 0, 0, 0]])).sum().backward()
    assert logits.grad[0].abs().sum(-1).bool().tolist() == [True, True, False, False]


@pytest.mark.parametrize("seed", range(20))
def test_the_mode_is_the_most_likely_of_all_strings(seed):
    torch.manual_seed(seed)
    every, logits = strings(2, 4), 2 * torch.randn(1, 4, 3)
    nats = Strings(logits.expand(len(every), -1, -1)).log_prob(every)
    assert Strings(logits).mode.tolist() == every[nats.argmax()][None].tolist()


def test_draws_follow_the_probabilities():
    every, logits = strings(2, 2), torch.randn(1, 2, 3)
    wanted = Strings(logits.expand(len(every), -1, -1)).log_prob(every).exp()
    drawn = Strings(logits.expand(20_000, -1, -1)).draw(torch.Generator().manual_seed(0))
    share = (drawn[:, None] == every).all(-1).float().mean(0)
    torch.testing.assert_close(share, wanted, atol=0.015, rtol=0)
    assert share.sum().item() == pytest.approx(1), "nothing stands after an end"
    torch.manual_seed(0)
    assert Strings(logits).sample(torch.Size([3, 2])).shape == (3, 2, 1, 2)


def test_where_a_string_ends():
    codes = torch.tensor([[1, 0, 2], [0, 0, 0], [1, 2, 3]])
    assert ended(codes).tolist() == [[False, False, True], [False, True, True], [False] * 3]
    assert lengths(codes).tolist() == [1, 0, 3]


def test_vocabulary_and_length_come_from_the_training_split():
    codec = fitted()
    assert codec.state == {"characters": "\n abcç", "length": 4}
    x, observed = codec.prepare(Column(["ab", "", "çç"]))
    assert x.tolist() == [[3, 4, 0, 0], [0, 0, 0, 0], [6, 6, 0, 0]]
    assert observed is None
    assert codec.restore(x).values == ["ab", "", "çç"]
    assert fitted(max_length=9).event_shape == (9,)
    assert fitted(unit="byte").event_shape == (4,)
    assert fitted(["çç"], unit="byte").event_shape == (4,)


class Unread(LazyValues):
    def __init__(self, values):
        self.values = values

    def __len__(self):
        return len(self.values)

    def take(self, rows):
        return Unread([self.values[i] for i in rows])

    def read(self):
        assert len(self.values) < 5000, "larger than memory"
        return self.values


def test_a_column_larger_than_memory_is_read_in_parts():
    texts = ["a"] * 6000 + ["bbb"] + ["c"] * 3000
    assert fitted(Unread(texts)).state == {"characters": "abc", "length": 3}
    texts[7000] = 1
    with pytest.raises(UnsupportedValue, match="row 7000: got 1, expected a text"):
        fitted(Unread(texts))


def test_an_empty_text_is_no_gap():
    codec = fitted()
    for gap in (None, float("nan")):
        column = Column(["", gap, "a"])
        x, observed = codec.prepare(column)
        assert observed.tolist() == [[True] * 4, [False] * 4, [True] * 4]
        given = codec.condition(column)
        assert codec.restore(given).values == ["", None, "a"]
        assert codec.show(given) == ["''", "(none)", "a"]
        assert torch.equal(given[1:2], codec.missing(1))
        features = codec.encoder()(given)
        assert not torch.allclose(features[0], features[1])
        nats = codec.log_prob(codec.likelihood(torch.randn(3, 4, 7)), given, observed)
        assert (nats != 0).tolist() == [True, False, True]


def test_gaps_teach_nothing():
    assert fitted(["ab", None, "a"]).state == fitted(["ab", "a"]).state
    for texts in ([None, None], ["", None], []):
        with pytest.raises(UnsupportedValue, match="no text but empty ones"):
            fitted(texts)


def test_unknown_characters_are_refused_or_replaced():
    with pytest.raises(
        UnsupportedValue, match="row 1: got 'x' at position 1 of 'axe', expected one of the 6"
    ) as error:
        fitted().prepare(Column(["a", "axe"]))
    assert f"They are {fitted().state['characters']!r}." in str(error.value)
    codec = fitted(unknown="replace", min_count=2)
    assert codec.state["characters"] == "ab�"
    x, _ = codec.prepare(Column(["cab", "axb"]))
    assert codec.restore(x).values == ["�ab", "a�b"]


def test_marks_that_nobody_sees_are_kept_and_doubted():
    texts = ["ab", "a\rb", None, "\ufeffab", "a\0", "\ufffd", "a\nb"]
    codec = fitted(texts)
    x, _ = codec.prepare(Column(texts))
    assert list(codec.restore(codec.to_input(x)).values) == texts
    found = dict(codec.doubts(Column(texts)))
    assert sorted(found) == [1, 3, 4, 5]
    assert (
        found[1]
        == r"the text has a carriage return in it ('\r'), which is modelled like any other"
    )


def test_long_texts_are_refused():
    with pytest.raises(UnsupportedValue, match="row 0: got 'abcab' of 5 characters, .* at most 4"):
        fitted().prepare(Column(["abcab"]))
    with pytest.raises(UnsupportedValue, match="'ççç' of 6 bytes, expected at most 4"):
        fitted(unit="byte").prepare(Column(["ççç"]))


def test_bytes_that_are_no_utf8_are_shown_as_such():
    codec = fitted(unit="byte")
    codes = torch.tensor([[b + 1 for b in b"a\xffb\0"]])
    assert codec.restore(codes).values == ["a�b\0"]


def test_texts_are_shown_so_that_one_sees_them():
    codec = fitted()
    x, _ = codec.prepare(Column(["ab", "", "b\n", " a", "a b"]))
    assert codec.show(x) == ["ab", "''", r"'b\n'", "' a'", "a b"]


def test_parse_takes_a_text_as_it_is():
    codec = fitted()
    assert codec.restore(codec.condition(codec.parse(" a "))).values == [" a "]


def test_accuracy_counts_positions_up_to_the_longer_end():
    codec = fitted()
    prediction, truth = (
        codec.prepare(Column(texts))[0].float()
        for texts in (["abba", "ab", "", "", "cab"], ["abba", "aabb", "a", "", "bab"])
    )
    figures = codec.compare(prediction, truth)
    torch.testing.assert_close(figures["accuracy"], torch.tensor([1, 1 / 4, 0, 1, 2 / 3]))
    assert figures["whole text"].tolist() == [1, 0, 0, 1, 0]


def test_features_do_not_depend_on_what_follows_the_text():
    """A kernel of one position sees the text and its end alone, so padding has no part."""
    codec = fitted(kernel=1)
    encoder = codec.encoder()
    x = torch.tensor([[3.0, 0.0, 0.0, 0.0]])
    other = torch.tensor([[3.0, 0.0, 5.0, 2.0]])
    torch.testing.assert_close(encoder(x), encoder(other))


@pytest.mark.parametrize(
    "keys",
    [
        {"kernel": 4},
        {"max_length": 0},
        {"encoder": ()},
        {"decoder": ()},
        {"min_count": 2},
        {"unit": "byte", "unknown": "replace"},
    ],
)
def test_wrong_or_idle_keys_are_refused(keys):
    with pytest.raises(ValidationError):
        Text.Config(**keys)


def test_the_readme_trains_and_writes_words(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    readme = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    blocks = dict(re.findall(r"^```(\w+)\n(.*?)^```", readme, re.DOTALL | re.MULTILINE))
    exec(blocks["python"], {})  # the README's own words
    config = tomllib.loads(blocks["toml"])
    config["train"] |= {"epochs": 40, "learning_rate": 1e-2}
    mmvae.train(config, run_dir="run")
    model = mmvae.load("run")
    names = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
    words = model.generate({"number": np.arange(10)}, temperature=0.0)["word"]
    assert sum(w.lower() == name for w, name in zip(words, names, strict=True)) >= 7
    numbers = model.generate({"word": [n.title() for n in names]}, temperature=0.0)["number"]
    assert (np.asarray(numbers) == np.arange(10)).sum() >= 7
    assert model.score({"word": ["seven", ""]}, samples=5).isfinite().all()


@pytest.mark.parametrize(
    "change",
    [
        {"characters": "aab"},
        {"characters": "a\ud800"},
        {"characters": "ba"},
        {"length": 0},
        {"length": 2.5},
    ],
)
def test_a_saved_state_that_was_not_learned_is_refused(change):
    config, state = Text.Config(), {"characters": "ab", "length": 3}
    Text(config, state).check_state()
    with pytest.raises(ValueError, match=f"{next(iter(change))}.*expected"):
        Text(config, state | change).check_state()


class TestStringLikelihood(LikelihoodContract):
    event_shape, output_shape = (3,), (3, 3)

    def make_likelihood(self):
        return StringLikelihood()

    def enumerate_support(self):
        strings = itertools.chain(*(itertools.product((1, 2), repeat=n) for n in range(4)))
        return torch.tensor([[*s, *(END,) * (3 - len(s))] for s in strings]).float()


CHANGES = {
    "lower case": str.lower,
    "cut": lambda text: text[:40],
    "tab": lambda text: text.replace("\t", " "),
    "spaces": lambda text: text.replace("  ", " "),
    "no-break space": lambda text: text.replace("\xa0", " "),
    "emoji": lambda text: "".join(c for c in text if ord(c) < 0x10000),
    "zero width": lambda text: text.replace("\u200b", ""),
    "quotes": lambda text: text.replace("\u2019", "'"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_the_kit_finds_a_codec_that_changes_texts(change):
    changed = CHANGES[change]

    class Changing(Text):
        kind = "changing"

        def _column(self, column):
            values = column.read().values
            return Column([changed(v) if isinstance(v, str) else v for v in values])

        def fit(self, column):
            return super().fit(self._column(column))

        def prepare(self, column):
            return super().prepare(self._column(column))

    suite = type("Suite", (TextReading, CodecContract), {"codec": Changing})
    assert "test_texts_come_back_as_they_are" in violations(suite())
