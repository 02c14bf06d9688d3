"""The vector codec keeps the contract; its densities are those of the data in their units."""

from __future__ import annotations

import re
import tomllib
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from mmvae_vectors import Vector
from mmvae_vectors.moments import moments
from pydantic import ValidationError
from torch.distributions import Laplace, Normal, StudentT

import mmvae
from mmvae import Column, LazyValues, UnsupportedValue
from mmvae.testing import CodecContract, NumberReading, violations

NAMES = ("height", "weight")
NAN = float("nan")
SMALL = {"encoder": (16,), "decoder": (16,)}


def bodies(n, seed=0):
    return np.random.default_rng(seed).normal(size=(n, 2)) * [10, 300] + [170, -5000]


def fitted(raw=None, **keys):
    config = Vector.Config(**SMALL | keys)
    raw = Column(bodies(50), names=NAMES) if raw is None else raw
    return Vector(config, Vector(config).fit(raw))


class TestExamples(NumberReading, CodecContract):
    codec = Vector
    numbers = ((0, 1), (2, 3), (4, 5))


class TestExamplesAsTheyAre(TestExamples):
    keys = {"standardise": False}


def test_examples_try_the_codec_with_its_defaults():
    suite = TestExamples()
    assert suite.make_config().standardise
    assert float(suite.fitted()[0].log_scale.abs().min()) > 0.05


class VectorContract(NumberReading, CodecContract):
    keys: dict[str, object] = {}
    numbers = ((0, 1), (2, 3), (4, 5))
    large = ((0, 2**31), (2**31 + 1, -(2**40)))

    def make_codec(self):
        return Vector(Vector.Config(**SMALL | self.keys))

    def make_column(self, n, seed):
        return Column(bodies(n, seed), names=NAMES)

    def edge_columns(self):
        return [("far out", Column(np.array([[1e9, -1e9], [0.0, 0.0]])))]

    def invalid_columns(self):
        def with_value(value):
            return Column([[1.0, 2.0], [3.0, value]])

        bad = {"infinite": np.inf, "too large": 1e39, "text": "3", "boolean": True, "list": [1.0]}
        return [
            *((name, with_value(value)) for name, value in bad.items()),
            ("-infinite", Column(np.array([[1.0, 2.0], [-np.inf, 2.0]]))),
            ("short row", Column([[1.0, 2.0], [3.0]])),
            ("empty row", Column([[1.0, 2.0], []])),
            ("bare number", Column([[1.0, 2.0], 3.0])),
        ]

    def grid(self, codec, reach, step):
        """Model values, and the volume of a cell of theirs."""
        axis = torch.arange(-reach, reach, step)
        values = torch.cartesian_prod(*[axis] * len(codec.names)).reshape(-1, len(codec.names))
        return values, step ** len(codec.names)


class TestGaussianVector(VectorContract):
    def integration_grid(self, codec):
        return self.grid(codec, 8, 0.05)


class TestPredictedScale(VectorContract):
    keys = {"scale": "predicted", "layer_norm": True}

    def integration_grid(self, codec):
        return self.grid(codec, 8, 0.05)


class TestAsTheyAre(VectorContract):
    keys = {"standardise": False, "scale": 2.5}

    def make_column(self, n, seed):
        return Column(np.random.default_rng(seed).normal(size=(n, 2)))

    def integration_grid(self, codec):
        return self.grid(codec, 25, 0.25)


class TestLaplaceNumber(VectorContract):
    """One bare number for each item."""

    keys = {"likelihood": "laplace"}
    numbers = (0, 1, 2)
    large = (2**31 + 1, -(2**40))

    def make_column(self, n, seed):
        return Column(bodies(n, seed)[:, 1])

    def edge_columns(self):
        return [("far out", Column(np.array([1e9, -1e9])))]

    def invalid_columns(self):
        return [("infinite", Column([1.0, np.inf])), ("text", Column([1.0, "x"]))]

    def integration_grid(self, codec):
        return self.grid(codec, 30, 1e-3)


class TestStudentNumber(TestLaplaceNumber):
    keys = {"likelihood": "student-t", "scale": "predicted"}


class TestGapsAndEmptyNetworks(VectorContract):
    keys = {"encoder": (), "decoder": ()}

    def make_column(self, n, seed):
        cells = bodies(n, seed)
        cells[0, 0] = cells[2] = NAN
        return Column(cells, names=NAMES)


@pytest.mark.parametrize(
    ("likelihood", "density"),
    [
        ("gaussian", Normal),
        ("laplace", Laplace),
        ("student-t", lambda loc, scale: StudentT(3.0, loc, scale)),
    ],
)
def test_log_prob_is_the_density_of_the_raw_values(likelihood, density):
    """Closed form: location m + s μ and scale s σ in the user's units, summed over cells."""
    raw = bodies(50)
    keys = {"degrees_of_freedom": 3.0} if likelihood == "student-t" else {}
    codec = fitted(Column(raw), likelihood=likelihood, scale=0.7, **keys)
    mu, x = torch.randn(50, 2), codec.prepare(Column(raw))[0]
    mean, deviation = raw.mean(0), raw.std(0)
    cells = density(
        torch.tensor(mean) + mu * torch.tensor(deviation), 0.7 * torch.tensor(deviation)
    )
    wanted = cells.log_prob(torch.tensor(raw))
    got = codec.log_prob(codec.likelihood(mu), x, None)
    torch.testing.assert_close(got.double(), wanted.sum(1), rtol=1e-5, atol=1e-5)
    observed = torch.rand(50, 2) < 0.5
    got = codec.log_prob(codec.likelihood(mu), x, observed)
    torch.testing.assert_close(
        got.double(), (wanted * observed).sum(1), rtol=1e-5, atol=1e-5, msg="cells left out"
    )


def test_a_change_of_units_costs_its_logarithm():
    metres, kilometres = fitted(Column(bodies(50))), fitted(Column(bodies(50) / 1000))
    x, mu = torch.randn(5, 2), {"location": torch.randn(5, 2), "raw_scale": torch.zeros(5, 2)}
    gain = kilometres.log_prob(kilometres.likelihood(mu), x, None) - metres.log_prob(
        metres.likelihood(mu), x, None
    )
    torch.testing.assert_close(gain, torch.full((5,), 2 * float(np.log(1000))))


def test_model_values_are_standardised_and_restored_in_the_users_units():
    raw = bodies(50)
    codec = fitted(Column(raw, names=NAMES))
    x, observed = codec.prepare(Column(raw))
    torch.testing.assert_close(x.mean(0), torch.zeros(2), atol=1e-6, rtol=0)
    torch.testing.assert_close(x.std(0, correction=0), torch.ones(2))
    assert observed is None
    restored = codec.restore(x)
    assert restored.names == NAMES
    np.testing.assert_allclose(restored.values, raw, rtol=1e-5)


def test_a_large_offset_loses_no_precision():
    raw = 1.7e9 + np.arange(100.0)
    codec = fitted(Column(raw))
    np.testing.assert_allclose(codec.restore(codec.prepare(Column(raw))[0]).values, raw, atol=1e-4)


HAS_MISSING = [
    np.array([[1.0, NAN], [NAN, NAN], [3.0, 4.0], [5.0, 8.0]]),
    [[1.0, None], None, [3, 4], [5, np.float32(8)]],
    np.array([[1.0, None], [None, NAN], [3, 4], [5, 8]], object),
    [[1.0, NAN], NAN, np.array([3, 4]), (5, 8)],
    np.ma.array([[1, 9], [9, 9], [3, 4], [5, 8]], mask=[[0, 1], [1, 1], [0, 0], [0, 0]]),
]


@pytest.mark.parametrize("values", HAS_MISSING)
def test_nan_null_and_masked_are_gaps(values):
    codec = fitted(Column(values, names=NAMES))
    x, observed = codec.prepare(Column(values))
    assert observed.tolist() == [[True, False], [False, False], [True, True], [True, True]]
    assert not x[~observed].any(), "the mean stands in"
    np.testing.assert_allclose(codec.state["mean"], [3, 6])
    np.testing.assert_allclose(codec.state["deviation"], [np.sqrt(8 / 3), 2])
    torch.testing.assert_close(codec.condition(Column(values)), x)


def test_a_column_of_bare_numbers_comes_back_as_one():
    values = [1.0, None, 4.0]
    codec = fitted(Column(values))
    assert codec.names == ("0",)
    assert codec.prepare(Column(values))[1].tolist() == [[True], [False], [True]]
    np.testing.assert_allclose(codec.restore(torch.tensor([[-1.0], [1.0]])).values, [1, 4])
    assert codec.show(torch.tensor([[1.0]])) == ["4"]
    assert codec.compare(torch.zeros(1, 1), torch.ones(1, 1)).keys() == {"rmse"}


def test_no_rows_are_no_values():
    codec = fitted()
    for empty in (Column([]), Column(np.zeros((0, 2))), Column(np.zeros(0))):
        assert codec.prepare(empty)[0].shape == (0, 2)


def test_a_constant_cell_keeps_its_values():
    raw = np.stack([np.full(20, 0.1), np.arange(20.0)], 1)
    codec = fitted(Column(raw), scale=1.0)
    x, _ = codec.prepare(Column(raw))
    assert codec.state["deviation"][0] == 1
    np.testing.assert_allclose(codec.restore(x).values, raw, atol=1e-5)
    assert codec.log_prob(codec.likelihood(torch.zeros(20, 2)), x, None).isfinite().all()


class Unread(LazyValues):
    """Values that say how many of them were in memory at once."""

    most = 0

    def __init__(self, values):
        self.values = values

    def __len__(self):
        return len(self.values)

    def take(self, rows):
        return Unread(self.values[np.asarray(rows)])

    def read(self):
        Unread.most = max(Unread.most, len(self.values))
        return self.values


def test_moments_of_parts_are_those_of_the_whole():
    raw = bodies(10_000) + np.linspace(0, 1000, 10_000)[:, None]
    raw[:5000, 0] = raw[8000:, 1] = NAN
    found = moments(Column(Unread(raw)), None)
    np.testing.assert_allclose(found.mean, np.nanmean(raw, 0))
    np.testing.assert_allclose(found.deviation, np.nanstd(raw, 0))
    assert Unread.most < 5000, "larger than memory"
    raw[9000, 1] = np.inf
    with pytest.raises(UnsupportedValue, match="row 9000: got inf for 'weight'"):
        moments(Column(Unread(raw)), NAMES)


@given(st.lists(st.one_of(st.just(NAN), st.floats(-1e6, 1e6)), min_size=1, max_size=12))
def test_what_is_not_observed_changes_nothing_that_is_learned(values):
    cells = np.array(values)
    seen = cells[~np.isnan(cells)]
    if not len(seen):
        with pytest.raises(UnsupportedValue, match="no value of 0 in the training split"):
            fitted(Column(cells))
        return
    with_gaps, without = fitted(Column(cells)), fitted(Column(seen))
    for key in ("mean", "deviation"):
        torch.testing.assert_close(with_gaps.state[key], without.state[key])


@pytest.mark.parametrize(
    ("raw", "keys", "message"),
    [
        (Column([]), {}, "no vector in the training split"),
        (Column([None, None]), {}, "no vector in the training split"),
        (Column(np.array([[1.0, NAN]]), names=NAMES), {}, "no value of weight in the training"),
        (Column(bodies(2)), {"names": ("a",)}, "vectors of 2 cells, expected 1: a"),
        (Column(np.zeros((2, 2, 2))), {}, r"float64 values of shape \(2, 2, 2\)"),
        (Column(np.zeros(2, "datetime64[s]")), {}, "numbers of shape"),
        (Column(np.array([[True, False]])), {}, "bool values"),
    ],
)
def test_what_cannot_be_learned_is_refused(raw, keys, message):
    with pytest.raises(UnsupportedValue, match=message):
        fitted(raw, **keys)


def test_a_refusal_names_row_and_cell():
    codec = fitted()
    with pytest.raises(UnsupportedValue, match="row 1: got inf for 'weight', expected a finite"):
        codec.prepare(Column(np.array([[1.0, 2.0], [1.0, np.inf]])))
    with pytest.raises(UnsupportedValue, match="row 1: got inf for 'height'"):
        codec.condition(Column(np.array([[1.0, 2.0], [np.inf, 1.0]])))
    with pytest.raises(UnsupportedValue, match="row 1: got a vector of 3 cells, expected 2"):
        codec.prepare(Column([[1.0, 2.0], [1.0, 2.0, 3.0]]))
    with pytest.raises(UnsupportedValue, match="vectors of 3 cells, expected 2: height, weight"):
        codec.prepare(Column(np.zeros((1, 3))))


def test_names_come_from_the_config_the_source_or_positions():
    assert fitted(Column(bodies(2), names=NAMES)).names == NAMES
    assert fitted(Column(bodies(2), names=NAMES), names=("a", "b")).names == ("a", "b")
    assert fitted(Column(bodies(2))).names == ("0", "1")


def test_cells_with_other_names_or_in_another_order_are_refused():
    codec = fitted(Column(bodies(9), names=NAMES))
    for names in (NAMES[::-1], (NAMES[0], "x")):
        with pytest.raises(UnsupportedValue, match="that the source names, of which number"):
            codec.prepare(Column(bodies(2), names=names))
    single = fitted(Column(np.arange(9)))
    with pytest.raises(UnsupportedValue, match="number 0 is 'a', expected '0' there"):
        single.prepare(Column([0, 1], names=("a", "b")))  # codes of classes
    renamed = fitted(Column(bodies(9), names=NAMES), names=("a", "b"))
    assert renamed.prepare(Column(bodies(2), names=NAMES))[0].shape == (2, 2)


def test_parse_takes_names_or_all_numbers():
    codec = fitted()
    cells = {
        "weight=-4700": [NAN, -4700],
        " height = 1e2 , weight=3": [100, 3],
        "1.5,nan": [1.5, NAN],
        "1,2": [1, 2],
    }
    for text, wanted in cells.items():
        parsed = codec.parse(text)
        np.testing.assert_array_equal(parsed.values, [wanted])
        assert codec.condition(parsed).isfinite().all()
    for text, message in {
        "heigth=1": r"'heigth' is no cell; there are height, weight. Did you mean 'height'\?",
        "1": "has 1 numbers, expected 2, or pairs such as height=1",
        "1,inf": "'inf' is not a finite number",
        "height=tall": "'tall' is not a finite number",
        "height=1_0": "'1_0' is not a finite number",
        "\u0661,70": "'\u0661' is not a finite number",
    }.items():
        with pytest.raises(ValueError, match=message):
            codec.parse(text)


def test_values_are_shown_by_name():
    codec = fitted(Column(np.array([[100.0, -2.0], [200.0, 2.0]]), names=NAMES))
    assert codec.show(torch.tensor([[0.0, 1.0], [1.0, 0.0]])) == [
        "height=150, weight=2",
        "height=200, weight=0",
    ]


def test_errors_are_in_the_users_units():
    codec = fitted(Column(np.array([[100.0, -2.0], [200.0, 2.0]]), names=NAMES))
    figures = codec.compare(torch.zeros(1, 2), torch.tensor([[1.0, -2.0]]))
    assert figures["rmse"].item() == pytest.approx(np.sqrt((50**2 + 4**2) / 2))
    assert figures["absolute error of height"].item() == pytest.approx(50)
    assert figures["absolute error of weight"].item() == pytest.approx(4)


@pytest.mark.parametrize("unit", [1e-37, 1e-30, 1e-20, 1.0, 1e20, 1e30, 1e37])
def test_errors_in_any_unit_are_in_the_range_of_floats(unit):
    """Squares of numbers below 1e-23 and above 1e19 leave the range of float32."""
    codec = fitted(Column(np.array([[0.0, 0.0], [2.0, 8.0]]) * unit, names=NAMES))
    figures = codec.compare(torch.zeros(2, 2), torch.tensor([[1.0, 1.0], [0.0, 0.0]]))
    expected = {"rmse": unit * np.sqrt(17 / 2), "absolute error of weight": 4 * unit}
    for name, error in expected.items():
        assert figures[name].tolist() == pytest.approx([error, 0.0], rel=1e-6, abs=0)


def test_samples_have_the_spread_of_the_likelihood():
    codec = fitted(likelihood="laplace", scale=0.5)
    likelihood = codec.likelihood(torch.tensor([[1.0, -1.0]]).expand(20_000, 2))
    drawn = codec.sample(likelihood, torch.Generator().manual_seed(0))
    torch.testing.assert_close(drawn.mean(0), torch.tensor([1.0, -1.0]), atol=0.02, rtol=0)
    torch.testing.assert_close(
        (drawn - codec.point(likelihood)).abs().mean(0), torch.full((2,), 0.5), atol=0.02, rtol=0
    )


@pytest.mark.parametrize(
    "keys",
    [
        {"names": ()},
        {"names": ("a", "a")},
        {"scale": 0.0},
        {"scale": "fixed"},
        {"degrees_of_freedom": 3.0},
        {"scale": 1.0, "scale_floor": 0.1},
    ],
)
def test_wrong_or_idle_keys_are_refused(keys):
    with pytest.raises(ValidationError):
        Vector.Config(**keys)


def test_the_readme_trains_and_answers_in_the_users_units(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    readme = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    blocks = dict(re.findall(r"^```(\w+)\n(.*?)^```", readme, re.DOTALL | re.MULTILINE))
    exec(blocks["python"], {})  # the README's own words
    config = tomllib.loads(blocks["toml"])
    config["train"] |= {"epochs": 15, "learning_rate": 1e-2}
    mmvae.train(config, run_dir="run")
    model = mmvae.load("run")
    options = {"to": "body", "temperature": 0.0}
    heights = [model.generate({"group": g}, **options)["body"][0, 0] for g in ("child", "adult")]
    np.testing.assert_allclose(heights, [120, 172], atol=12)
    given = {"body": np.array([[120.0, NAN], [175.0, NAN], [NAN, 70.0]])}
    assert model.generate(given, temperature=0.0)["group"].tolist() == ["child", "adult", "adult"]
    assert model.score({"body": [[170.0, None], [130.0, 35.0]]}, samples=5).isfinite().all()


def test_of_a_column_of_text_the_cell_that_made_it_text_is_named():
    column = Column(["0.1", "abc", "0.2"])
    with pytest.raises(UnsupportedValue) as error:
        Vector(Vector.Config()).fit(column)
    assert error.value.row == 1
    assert "'abc'" in str(error.value)


def test_standardised_values_have_the_scale_more():
    raw = bodies(50)
    codec = fitted(Column(raw), scale=0.7)
    x, likelihood = codec.prepare(Column(raw))[0], codec.likelihood(torch.randn(50, 2))
    nats = codec.log_prob(likelihood, x, None) + codec.log_scale.sum()
    torch.testing.assert_close(nats.float(), likelihood.log_prob(x), rtol=1e-5, atol=1e-5)
    assert fitted(Column(raw), standardise=False).log_scale is None


@pytest.mark.parametrize("density", ["gaussian", "laplace", "student-t"])
@pytest.mark.parametrize("raw", [-3e38, -1e3, 90.0, 1e30, 3e38])
def test_extreme_scales_keep_densities_samples_and_gradients_finite(density, raw):
    codec = fitted(likelihood=density)
    given = torch.full((4, 2), raw, requires_grad=True)
    likelihood = codec.likelihood({"location": torch.zeros(4, 2), "raw_scale": given})
    nats = codec.log_prob(likelihood, torch.ones(4, 2), None)
    (slope,) = torch.autograd.grad(nats.sum(), given)
    assert nats.isfinite().all()
    assert slope.isfinite().all()
    assert codec.sample(likelihood, torch.Generator().manual_seed(0)).isfinite().all()


def test_whole_numbers_too_large_for_floats_are_doubted_or_refused():
    small, large = 2**53, 2**53 + 1
    for values in (np.array([[small], [large]]), [[small], [large]], [small, large]):
        assert [row for row, _ in fitted(Column([1.0, 2.0])).doubts(Column(values))] == [1]
    assert list(fitted(Column([1.0, 2.0])).doubts(Column(np.array([1e300])))) == []
    with pytest.raises(UnsupportedValue, match="row 1: got a whole number of more than 300"):
        fitted(Column([[1, 2], [10**400, 2]]))


@pytest.mark.parametrize("sign", [1, -1])
def test_large_numbers_that_float32_rounds_are_doubted_unless_they_are_standardised(sign):
    for values in ([2**24, 2**24 + 1, 2**24 + 2], [0.1, 1.7e9 + 0.5, 1e8]):
        column = Column(sign * np.array(values))
        plain, scaled = (fitted(column, standardise=s) for s in (False, True))
        ((row, doubt),) = plain.doubts(column)
        assert row == 1
        assert "numbers beyond 2^24" in doubt
        assert list(scaled.doubts(column)) == []


CLOSE = {
    "nanoseconds 1 µs apart": np.int64(17 * 10**17) + np.arange(60, dtype=np.int64) * 1000,
    "seconds 1 µs apart": 1.7e9 + np.arange(60) * 1e-6,
    "two neighbours of float64": np.array([0.3, np.nextafter(0.3, 1)] * 30),
    "a mean that float64 rounds": np.array([1e15, 1e15 + 1] * 30),
}


@pytest.mark.parametrize("case", CLOSE)
@pytest.mark.parametrize("rows", [60, 60 * 200])
def test_numbers_that_float64_tells_apart_have_a_deviation(case, rows):
    raw = np.tile(CLOSE[case], rows // 60)
    codec = fitted(Column(raw))
    exact = [Fraction(float(v)) for v in CLOSE[case]]
    mean = sum(exact) / len(exact)
    variance = sum((v - mean) ** 2 for v in exact) / len(exact)
    assert float(codec.state["deviation"][0]) == pytest.approx(float(variance) ** 0.5, rel=0.02)
    x, _ = codec.prepare(Column(raw))
    assert float(x.abs().max()) < 3
    assert len(x.unique()) == len(np.unique(raw.astype(np.float64)))
    values = codec.restore(x).values
    spacing = np.spacing(np.abs(raw.astype(np.float64)).max())
    np.testing.assert_allclose(values, raw.astype(np.float64), rtol=0, atol=2 * spacing)


@pytest.mark.parametrize("value", [0.1, 1 / 3, 1e30, 1.7e18, -0.0])
@pytest.mark.parametrize("rows", [7, 9000])
def test_numbers_that_are_all_equal_have_none(value, rows):
    codec = fitted(Column(np.full(rows, value)))
    assert codec.state["deviation"].tolist() == [1.0]
    assert codec.state["mean"].tolist() == [value]


@pytest.mark.parametrize(
    ("key", "value"),
    [("deviation", v) for v in (0.0, -1.0, 1e-310, np.inf, np.nan)]
    + [("mean", v) for v in (np.inf, np.nan)],
)
def test_a_saved_state_without_sound_moments_is_refused(key, value):
    state = fitted(Column(bodies(50))).state
    Vector(Vector.Config(), state).check_state()
    for moments_ in (torch.full((2,), value, dtype=torch.float64), torch.ones(2), torch.ones(1)):
        with pytest.raises(ValueError, match=f"{key} is "):
            Vector(Vector.Config(), {**state, key: moments_}).check_state()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"names": [1, 2]}, "names are"),
        ({"names": [["x"], "y"]}, "names are"),
        ({"names": [None, "y"]}, "names are"),
        ({"names": ["y", "y"]}, "names are"),
        ({"single": "no"}, "single is 'no'"),
    ],
)
def test_a_saved_state_of_other_names_is_refused(change, said):
    state = fitted(Column(bodies(50))).state
    with pytest.raises(ValueError, match=f"{said}.*expected"):
        Vector(Vector.Config(), {**state, **change}).check_state()


def test_a_very_long_name_is_shown_in_short():
    codec = fitted(Column(bodies(50), names=("x" * 10**6, "y")))
    (text,) = codec.show(torch.zeros(1, 2))
    assert text.startswith("x" * 80 + "…=")
    assert ", y=" in text
    assert len(text) < 200


@pytest.mark.parametrize("scale", [1e-300, 1e-200, 1e-162, 1e-155, 1.0, 1e30])
def test_a_spread_of_any_size_is_one(scale: float) -> None:
    """Squares of such distances leave the range of float64."""
    values = np.random.default_rng(0).normal(3, 1, (5000, 2))
    codec = Vector(Vector.Config())
    plain, found = (
        codec.fit(Column(numbers))["deviation"] for numbers in (values, values * scale)
    )
    assert torch.allclose(found / scale, plain, rtol=1e-12)
    fitted = Vector(Vector.Config(), codec.fit(Column(values * scale)))
    x, _ = fitted.prepare(Column(values * scale))
    assert float(x.std()) == pytest.approx(1, abs=0.01)


def test_the_spread_of_ordinary_numbers_is_to_the_bit_what_it_was() -> None:
    values = np.random.default_rng(0).normal(3, 1, (4096, 2))
    away = values - values[0]
    squares = ((away - away.mean(0)) ** 2).sum(0)
    found = Vector(Vector.Config()).fit(Column(values))["deviation"]
    assert (found.numpy() == np.sqrt(squares / 4096)).all()


@pytest.mark.parametrize("scale", [1e-45, 1e-130])
def test_a_deviation_of_any_scale_is_that_of_data_of_this_scale(scale):
    raw = Column(np.random.default_rng(0).normal(size=(50, 2)) * scale, names=NAMES)
    codec = fitted(raw)
    codec.check_state()
    assert (1 / codec.state["deviation"]).isfinite().all()
    x, _ = codec.prepare(raw)
    assert 0.5 < float(x.std()) < 2
    np.testing.assert_allclose(codec.restore(x).values, raw.values, rtol=1e-5, atol=scale * 1e-5)
    with pytest.raises(UnsupportedValue, match="height"):  # of another scale
        codec.prepare(Column([[1.0, 1.0]], names=NAMES))


def test_a_deviation_without_a_reciprocal_is_refused():
    codec = fitted()
    codec.state["deviation"][0] = 1e-310
    with pytest.raises(ValueError, match="expected positive numbers"):
        codec.check_state()


class Clamped(Vector):
    """Draws that pile up at 1.75 deviations."""

    kind = "clamped"

    def sample(self, likelihood, generator):
        mean = likelihood.mean
        noise = torch.randn(mean.shape, generator=generator).clamp(-1.75, 1.75)
        return mean + likelihood.stddev * noise


class Wide(Vector):
    """Draws that are 10 % too wide."""

    kind = "wide"

    def sample(self, likelihood, generator):
        mean = likelihood.mean
        return mean + 1.1 * likelihood.stddev * torch.randn(mean.shape, generator=generator)


class Wrapped(Vector):
    """Integers of 16 bits."""

    kind = "wrapped"

    def prepare(self, column):
        values = np.asarray(column.values)
        if values.dtype.kind == "i":
            values = values.astype(np.int16)
        return super().prepare(Column(values, names=column.names))


class Typed(Vector):
    """Typed values within two deviations alone."""

    kind = "typed"

    def condition(self, raw):
        return super().condition(raw).clamp(-2, 2)


@pytest.mark.parametrize(
    ("codec", "check"),
    [
        (Clamped, "test_samples_follow_the_density"),
        (Wide, "test_samples_follow_the_density"),
        (Wrapped, "test_integers_keep_all_their_bits"),
        (Typed, "test_conditions_are_prepared_alike"),
    ],
)
def test_the_kit_finds_small_faults(codec, check):
    suite = type("Suite", (NumberReading, CodecContract), {"codec": codec})
    suite.numbers = [[0, 1], [1, 2], [2, 0]]
    assert check in violations(suite())
