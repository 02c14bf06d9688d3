"""A trained model in use: the same figures whatever the form, order and chunk of the data."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from conditional import Conditional
from linear_gaussian import jmvae
from toys import (
    CENTRES,
    NAMES,
    ToySource,
    VectorCodec,
    VectorConfig,
    toy_items,
    toy_registry,
)

from mmvae.data.batches import Batches
from mmvae.data.in_memory import as_split
from mmvae.evaluation.bounds import iw_bound
from mmvae.foundations.errors import DataError, UsageError
from mmvae.foundations.randomness import ItemDraws
from mmvae.inference import model_input, sampling
from mmvae.inference.model_folder import load_model
from mmvae.inference.trained_model import TrainedModel


@pytest.fixture(scope="module")
def model(toy_run) -> TrainedModel:
    return load_model(toy_run, toy_registry())


@pytest.fixture(scope="module")
def items() -> dict[str, np.ndarray]:
    return toy_items(30, seed=5)


def test_embedding_is_the_mean_of_the_posterior(model, items) -> None:
    ((batch, _),) = model.batches(items)
    with torch.no_grad():
        joint = model.model.posterior(batch.x)
        alone = model.model.posterior({"c": batch.x["c"]})
    assert torch.equal(model.embed(items), joint.point())
    assert torch.equal(model.embed(items, ["c"]), alone.point())
    assert torch.equal(model.embed({"c": items["c"]}), alone.point()), "what there is, is given"
    assert model.embed(items).shape == (30, 2)


def in_chunks_of(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (model_input, sampling):
        monkeypatch.setattr(module, "CHUNK", size)


def test_the_form_of_the_data_changes_nothing(model, items) -> None:
    import datasets

    expected = model.embed(items)
    lists = {name: values.tolist() for name, values in items.items()}
    tensors = {name: torch.from_numpy(values) for name, values in items.items()}
    named = items | {"c": [NAMES[c] for c in items["c"]]}
    by_modality = {"v": items["v"], "c": items["c"], "p": items["w"]}
    for data in (lists, tensors, datasets.Dataset.from_dict(lists), named, by_modality):
        assert torch.equal(model.embed(data), expected)


def test_chunks_change_nothing(model, items, monkeypatch) -> None:
    z, c = model.embed(items), model.generate(items_of(items), to=["c"], temperature=0)
    in_chunks_of(7, monkeypatch)
    assert torch.allclose(model.embed(items), z, atol=1e-6)
    assert (model.generate(items_of(items), to=["c"], temperature=0)["c"] == c["c"]).all()


def items_of(items):
    return {"v": items["v"]}


def test_rows_do_not_mix(model, items) -> None:
    some = {name: values[[4, 9]] for name, values in items.items()}
    assert torch.allclose(model.embed(some), model.embed(items)[[4, 9]], atol=1e-6)


def test_it_has_learned(model) -> None:
    """Labels from vectors, vectors from labels: the class decides."""
    data = ToySource(ToySource.Config()).splits()["test"]
    truth = np.array(NAMES)[data.columns["c"].values]
    prediction = model.reconstruct(data, given=["v"], to=["c"])["c"]
    assert (prediction == truth).mean() >= 0.9
    v = model.generate({"c": list(NAMES)}, to=["v"], temperature=0)["v"]
    assert np.square(v[:, None] - CENTRES["v"]).sum(2).argmin(1).tolist() == [0, 1, 2]


def test_generation_is_governed_by_its_seed_and_temperature(model) -> None:
    def v(**options) -> np.ndarray:
        return model.generate({"c": ["red", "blue"]}, to=["v"], count=3, **options)["v"]

    assert np.array_equal(v(), v())
    assert not np.array_equal(v(), v(seed=1))
    assert v().shape == (6, 3), "an item's samples one after another"
    still = v(temperature=0)
    assert np.array_equal(still[:3], np.repeat(still[:1], 3, 0))
    assert np.array_equal(still[3:], np.repeat(still[3:4], 3, 0))
    near, far = (np.abs(v(temperature=t) - still).mean() for t in (0.01, 1.0))
    assert near < 0.1 * far


def test_more_items_leave_an_items_samples_alone(model) -> None:
    one = model.generate({"c": ["red"]}, to=["v"], count=3)["v"]
    two = model.generate({"c": ["red", "blue"]}, to=["v"], count=3)["v"]
    assert np.allclose(one, two[:3], atol=1e-6)


def test_generation_without_conditions_draws_from_the_prior(model) -> None:
    drawn = model.generate(count=500)
    assert set(drawn) == {"v", "c", "p"}
    assert set(drawn["c"].tolist()) == set(NAMES), "all classes come up"
    assert set(model.generate({"v": [[0, 0, 0]]})) == {"c", "p"}, "what is given is not generated"
    assert set(model.generate({"v": [[0, 0, 0]]}, to=["v"])) == {"v"}, "unless asked for"


def test_sampling_adds_the_likelihoods_noise(model) -> None:
    options = {"to": ["v"], "count": 2000, "temperature": 0}
    mean = model.generate({"c": "red"}, **options)["v"]
    drawn = model.generate({"c": "red"}, **options, sample=True)["v"]
    assert np.allclose((drawn - mean).std(0), 1, atol=0.1), "unit variance"
    assert np.allclose((drawn - mean).mean(0), 0, atol=0.1)


def test_a_single_value_may_be_text_number_or_list(model) -> None:
    expected = model.generate({"c": "blue"}, to=["v"], temperature=0)["v"]
    for value in (2, ["blue"], np.array([2]), np.int64(2)):
        assert np.array_equal(model.generate({"c": value}, to=["v"], temperature=0)["v"], expected)


def test_the_elbo_and_its_terms_add_up(model, items) -> None:
    terms = model.elbo(items)
    likelihoods = [terms[f"log_likelihood/{m}"] for m in model.modalities]
    assert torch.allclose(terms["elbo"], sum(likelihoods) - terms["kl"], atol=1e-5)
    assert (terms["kl"] > 0).all()
    assert all(value.shape == (30,) for value in terms.values())
    assert torch.equal(model.elbo(items)["elbo"], terms["elbo"])


def test_bounds_rise_with_samples_and_the_elbo_is_the_lowest(model) -> None:
    data = ToySource(ToySource.Config()).splits()["test"]
    elbo = torch.stack([model.elbo(data, seed)["elbo"] for seed in range(30)]).mean()
    few = torch.stack([model.score(data, 2, seed=seed) for seed in range(30)]).mean()
    many = model.score(data, 500).mean()
    assert elbo < few < many
    label = model.score(data, 500, ["c"])
    assert (label < 0).all(), "log of a probability"
    assert label.mean() > many, "fewer modalities are more likely"


def test_scores_are_governed_by_their_seed(model, items) -> None:
    assert torch.equal(model.score(items, 5), model.score(items, 5))
    assert not torch.equal(model.score(items, 5), model.score(items, 5, seed=1))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda m: m.generate({"x": 1}), UsageError, "Unknown modality 'x'"),
        (lambda m: m.generate(to=["x"]), UsageError, "Unknown modality 'x'"),
        (lambda m: m.generate(count=0), UsageError, "count = 0"),
        (lambda m: m.generate(temperature=-1), UsageError, "temperature = -1"),
        (
            lambda m: m.generate({"c": ["red"], "v": [[0, 0, 0]] * 2}),
            UsageError,
            "equally many values",
        ),
        (lambda m: m.generate({"c": "mauve"}), DataError, "class mauve"),
        (lambda m: m.generate({"v": "1,2"}), DataError, "modality 'v'"),
        (lambda m: m.generate({"v": "a"}), DataError, "expected three numbers"),
        (lambda m: m.embed({"x": [1]}), DataError, "expected some of v, c, w"),
        (lambda m: m.embed({"v": np.zeros((2, 4))}), DataError, r"shape \(2, 4\)"),
        (lambda m: m.embed({"v": [[0, 0, 0]]}, ["c"]), DataError, "no column 'c'"),
        (lambda m: m.embed({"v": [[0, 0, 0]], "c": [0, 1]}), DataError, "one length"),
        (lambda m: m.embed(3), DataError, "got int, expected a dict of arrays"),
        (lambda m: m.elbo({"v": [[0, 0, 0]]}), DataError, "no column 'c'"),
        (lambda m: m.score({"c": [0]}, 0), UsageError, "samples = 0"),
        (lambda m: m.embed({"v": [], "c": []}), DataError, "data: it holds no items"),
        (lambda m: m.score({"c": []}), DataError, "data: it holds no items"),
        (lambda m: m.elbo({"v": [], "c": [], "w": []}), DataError, "data: it holds no items"),
        (lambda m: m.reconstruct({"c": []}), DataError, "data: it holds no items"),
        (lambda m: m.generate({"c": []}), DataError, "given c: no value"),
    ],
)
def test_mistakes(model, call, error, message: str) -> None:
    with pytest.raises(error, match=message):
        call(model)


def test_a_bad_value_is_named_by_item_beyond_the_first_chunk(model, monkeypatch) -> None:
    in_chunks_of(2, monkeypatch)
    with pytest.raises(DataError, match=r"item 3, modality 'c': got class 9"):
        model.embed({"c": [0, 1, 2, 9]})


def test_a_long_value_is_cut_in_messages(model) -> None:
    ragged = [[float(i)] * (i % 3 + 1) for i in range(1000)]
    with pytest.raises(DataError, match="given v = ") as caught:
        model.generate({"v": ragged})
    assert len(str(caught.value)) < 400
    assert "\n" not in str(caught.value)


def test_one_name_is_as_good_as_a_list_of_it(model, items) -> None:
    assert torch.equal(model.embed(items, "c"), model.embed(items, ["c"]))
    assert set(model.generate(to="c")) == {"c"}
    scores = [model.score(items, samples=2, targets=targets) for targets in ("v", ["v"])]
    assert torch.equal(*scores)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_condition_that_is_not_finite_is_refused(monkeypatch, model, bad) -> None:
    monkeypatch.setattr(VectorCodec, "condition", lambda codec, raw: torch.tensor(raw.values))
    with pytest.raises(DataError, match=r"given v = .*not finite"):
        model.generate({"v": np.array([[0, bad, 1]], np.float32)})


def test_what_a_codec_raises_on_a_condition_is_a_data_error(monkeypatch, model) -> None:
    careless = torch.FloatTensor
    monkeypatch.setattr(VectorCodec, "condition", lambda codec, raw: careless(raw.values))
    with pytest.raises(
        DataError, match=r"given: item 0, modality 'v': got \[1.0, None\], which"
    ) as caught:
        model.generate({"v": [[1.0, None]]})
    assert isinstance(caught.value.__cause__, TypeError)


def test_a_vector_that_is_not_wrapped_is_told_apart_from_many_values(model) -> None:
    with pytest.raises(DataError, match="one value per item: wrap a single vector in a list"):
        model.generate({"v": [1, 0, -1]})


class Binarised(VectorCodec):
    """Its fixed view is noisy, as binary pixels drawn from grey ones are."""

    def fixed(self, x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        return x + torch.randn(x.shape, generator=generator)


@pytest.fixture(scope="module")
def noisy() -> TrainedModel:
    return TrainedModel(jmvae({m: Binarised(VectorConfig()) for m in "vw"}), {"v": "v", "w": "w"})


def test_what_an_encoder_sees_of_an_item_does_not_depend_on_its_row(noisy, items) -> None:
    alone = {"v": items["v"][[7]]}
    z = noisy.embed({"v": items["v"]})[[7]]
    assert torch.allclose(noisy.embed(alone), z, atol=1e-6)
    w = noisy.generate(alone, to=["w"], temperature=0)["w"]
    assert np.allclose(noisy.reconstruct({"v": items["v"]}, to=["w"])["w"][[7]], w, atol=1e-6)
    batched = noisy.generate({"v": items["v"]}, to=["w"], temperature=0)["w"]
    assert np.allclose(batched[[7]], w, atol=1e-6)


def test_likelihoods_take_the_fixed_view_that_figures_take(noisy, items, monkeypatch) -> None:
    split = as_split({m: items[m] for m in "vw"}, "data")
    view = Batches(split, noisy.codecs, noisy.columns).fixed(slice(0, 30))
    draws = ItemDraws(3, "score", slice(0, 30))
    expected = iw_bound(noisy.model, view, ("v", "w"), ("v", "w"), 4, draws)
    assert torch.allclose(noisy.score(split, 4, seed=3), expected, atol=1e-5)
    elbo = noisy.elbo(split, seed=3)["elbo"]
    in_chunks_of(7, monkeypatch)
    assert torch.allclose(noisy.score(split, 4, seed=3), expected, atol=1e-5), "chunks"
    assert torch.allclose(noisy.elbo(split, seed=3)["elbo"], elbo, atol=1e-5)


def test_a_conditional_models_decoder_sees_the_condition(monkeypatch) -> None:
    model = Conditional()
    trained = TrainedModel(model, {"x": "x", "w": "w"})
    w = torch.tensor([[1.0, 0.0, 2.0], [0.0, -1.0, 1.0]])
    expected = (w @ (model.a @ model.d + model.c).T).detach()
    in_chunks_of(2, monkeypatch)
    x = trained.generate({"w": w}, to=["x"], count=3, temperature=0)["x"]
    assert np.allclose(x, expected.repeat_interleave(3, 0), atol=1e-5)
    found = trained.reconstruct({"w": w}, to=["x"])["x"]
    assert np.allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"count": 2.0}, "count = 2.0: expected a whole number"),
        ({"count": "2"}, "count = '2'"),
        ({"temperature": float("nan")}, "temperature = nan: expected a finite number"),
        ({"temperature": float("inf")}, "temperature = inf"),
        ({"temperature": None}, "temperature = None"),
        ({"seed": 1.5}, "seed = 1.5: expected a whole number"),
    ],
)
def test_numbers_of_another_kind_are_refused(model, keys, said) -> None:
    with pytest.raises(UsageError, match=said):
        model.generate(to=["v"], **keys)


def test_a_sparse_tensor_is_refused(model) -> None:
    with pytest.raises(DataError, match=r"'v'\]: a tensor of layout torch.sparse_coo.*to_dense"):
        model.embed({"v": torch.eye(3).to_sparse()})


def test_unknown_columns_in_place_of_modalities_are_warned_of(model, items) -> None:
    misnamed = {"v": items["v"], "C": items["c"]}
    said = "data: no column for c, .*so this is of v; not used: C"
    for use in (model.score, model.embed, model.reconstruct):
        with pytest.warns(UserWarning, match=said) as told:
            use(misnamed)
        assert len(told) == 1
    model.score({"v": items["v"]})  # filters make an error of each warning
    model.embed(misnamed, given=["v"])
    model.embed(items | {"id": np.arange(30)})
