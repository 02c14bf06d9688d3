"""Subset posteriors of a family (T14) and a learned prior (T15), in JMVAE and in its trainings."""

from __future__ import annotations

import json

import pytest
import torch
from linear_gaussian import batch, linear_codecs, step_draws
from torch import Tensor
from torch.testing import assert_close
from toys import Plain, PlainFamily, PlainHead, toy_config, toy_items, toy_registry
from trainings import assert_same_tensors, latest

import mmvae
from mmvae.experiments.config import load_experiment
from mmvae.foundations.errors import CheckpointError, ConfigError, UsageError
from mmvae.modalities.subsets import family, subset_name
from mmvae.models.families import PosteriorKeys, PriorKeys, Shapes
from mmvae.models.jmvae import JMVAE
from mmvae.models.jmvae_config import JMVAEConfig
from mmvae.models.posteriors import DiagonalGaussian
from mmvae.testing import FamilyContract, ModelContract

NAMES = ("a", "b", "c")
CODECS = linear_codecs(a={"dim": 3}, b={"dim": 2}, c={"dim": 4})
B, D = 6, 2
SMALL = {"latent_dim": D, "fusion_dim": 7, "feature_dim": 4, "head_dim": 5}


def shapes(subsets: list[str] | None = None, prior: bool = False, **keys: float) -> Shapes:
    plain = PlainFamily(PlainFamily.Config())
    return Shapes(
        plain, PosteriorKeys(subsets=subsets), plain if prior else None, PriorKeys(**keys)
    )


def model(shapes: Shapes | None, **keys) -> JMVAE:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return JMVAE(JMVAEConfig(**SMALL, **keys), CODECS, shapes)


def inputs(b: int = B) -> dict[str, Tensor]:
    return {m: torch.randn(b, *c.event_shape) for m, c in CODECS.items()}


class TestToyFamily(FamilyContract):
    family = PlainFamily


class TestModelOfAFamily(ModelContract):
    def make_model(self) -> JMVAE:
        from mmvae.testing import standin
        from mmvae.testing.stage import MODALITIES

        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return JMVAE(
                JMVAEConfig(latent_dim=3), standin.codecs(*MODALITIES), shapes(prior=True)
            )


# -- posteriors of a family -----------------------------------------------------------------------


@pytest.mark.parametrize("keys", [{}, {"subsets": "all"}, {"subsets": "all", "heads": "masked"}])
@pytest.mark.parametrize("own", [None, ["b"], ["a", "c"]])
def test_only_the_named_posteriors_are_of_the_family(keys, own):
    jmvae, x = model(shapes(own), **keys), inputs()
    for subset in family(keys.get("subsets", "singletons"), NAMES):
        q = jmvae.posterior({m: x[m] for m in subset})
        theirs = own is None or subset_name(subset) in own
        assert type(q) is (Plain if theirs else DiagonalGaussian)
        assert q.point().shape == (B, D)
    assert type(jmvae.posterior(x)) is DiagonalGaussian  # the joint one


@pytest.mark.parametrize("own", [["b"], ["a", "c"], None])
@pytest.mark.parametrize("subsets", ["singletons", "all"])
def test_the_sampled_penalty_is_the_divergence_on_average(own, subsets):
    """Of Gaussians without a known closed form, against the closed form (T14)."""
    jmvae, x = model(shapes(own), subsets=subsets), inputs(b=2)
    trained = family(subsets, NAMES)
    joint, drawn = jmvae.encoders(x, list(range(len(trained))))
    n = 4000
    noise = torch.randn(n, 2, D)
    with torch.no_grad():
        sampled = torch.stack([drawn.divergences(joint, joint.rsample(e)) for e in noise])
    for k, subset in enumerate(trained):
        q = jmvae.posterior({m: x[m] for m in subset})
        exact = mmvae.kl_divergence(joint, getattr(q, "gaussian", q))
        error = sampled[:, k].std(0) / n**0.5
        assert bool(((sampled[:, k].mean(0) - exact).abs() <= 5 * error + 1e-5).all()), subset


@pytest.mark.parametrize(("gradient", "moves"), [("both", True), ("subsets", False)])
def test_the_penalty_moves_the_joint_posterior_only_where_it_should(gradient, moves):
    jmvae, x = model(shapes(), penalty_gradient=gradient), inputs()
    penalty = jmvae.objective("jmvae", batch(x), step_draws(B), 1.0).named["penalty"]
    penalty.sum().backward()
    joint = [p.grad for p in jmvae.encoders.joint_posterior.parameters()]
    assert any(g is not None and bool(g.any()) for g in joint) == moves
    for posterior in jmvae.encoders.subset_posteriors:
        assert all(bool(p.grad.any()) for p in posterior.parameters())


def test_a_posterior_of_a_family_is_no_factor_of_a_product():
    jmvae, x = model(shapes(["c"])), inputs()
    assert isinstance(jmvae.posterior({"a": x["a"], "b": x["b"]}), DiagonalGaussian)
    assert "cannot be multiplied" in jmvae.supports(("a",), ("b", "c"), ("b", "c"))
    with pytest.raises(UsageError, match=r"\(c\) cannot be multiplied"):
        jmvae.posterior({"b": x["b"], "c": x["c"]})


@pytest.mark.parametrize(
    ("own", "keys", "told"),
    [
        (["a+b"], {}, r"posterior\.subsets entry 'a\+b': expected one of .* trains: a, b, c"),
        (None, {"alpha": 0.0}, r"\[posterior\] has no effect: this model trains no subset"),
        (None, {"missing": "zero"}, r"\[posterior\] has no effect"),
    ],
)
def test_families_that_fit_no_subset_are_refused(own, keys, told):
    with pytest.raises(ConfigError, match=told):
        model(shapes(own), **keys)


# -- a learned prior ------------------------------------------------------------------------------


def test_a_learned_prior_is_fitted_by_its_cross_entropy_and_moves_nothing_else():
    jmvae, x = model(shapes(prior=True, learning_rate=0.5, first_epoch=3)), inputs()
    main, fit = jmvae.phases()
    assert (fit.first_epoch, dict(fit.settings)) == (3, {"learning_rate": 0.5})
    assert {id(p) for p in fit.parameters} == {id(p) for p in jmvae.learned_prior.parameters()}
    assert not {id(p) for p in fit.parameters} & {id(p) for p in main.parameters}
    terms = jmvae.objective(fit.name, batch(x), step_draws(B), 1.0)
    z = jmvae.posterior(x).rsample(step_draws(B).normal("z of prior", D))
    assert jmvae.fitted_prior(B) is None  # before its first epoch
    jmvae.learned_prior.begun.fill_(True)
    assert_close(terms.loss, -jmvae.fitted_prior(B).log_prob(z))
    terms.loss.sum().backward()
    assert all(p.grad is None for p in main.parameters)
    assert all(bool(p.grad.any()) for p in fit.parameters)


def test_bounds_keep_the_standard_prior_and_samples_take_the_learned_one():
    jmvae = model(shapes(prior=True))
    assert type(jmvae.prior({}, B)) is DiagonalGaussian
    assert type(jmvae.sampling_prior(B)) is DiagonalGaussian  # before its first epoch
    jmvae.learned_prior.begun.fill_(True)
    assert type(jmvae.sampling_prior(B)) is Plain
    assert type(model(None).sampling_prior(B)) is DiagonalGaussian
    assert model(None).fitted_prior(B) is None


# -- trainings ------------------------------------------------------------------------------------

TABLES = {
    "posterior": {"family": "toy-plain", "subsets": ["c"]},
    "prior": {"family": "toy-plain", "first_epoch": 1},
}


def trained(folder, config, **keys):
    return mmvae.train(config, run_dir=folder, registry=toy_registry(), **keys)


def test_a_stopped_training_goes_on_exactly_and_the_model_loads_with_its_families(tmp_path):
    config = toy_config(**TABLES, train={"monitor": "objective"})
    trained(tmp_path / "whole", config)
    trained(tmp_path / "run", config, max_steps=4)
    mmvae.resume(tmp_path / "run", registry=toy_registry())
    assert_same_tensors(latest(tmp_path / "run"), latest(tmp_path / "whole"))
    from mmvae.inference.model_folder import load_model

    loaded = load_model(tmp_path / "run", toy_registry())
    state = json.loads((tmp_path / "run" / "model" / "state.json").read_text())
    assert state["posterior"] == {"family": "toy-plain", "scale": 1.0, "subsets": ["c"]}
    assert type(loaded.model.fitted_prior(1)) is Plain
    whole = load_model(tmp_path / "whole", toy_registry())
    for prior in (None, "fitted", "standard"):
        first, second = (t.generate(count=3, prior=prior)["v"] for t in (loaded, whole))
        assert (first == second).all()
    fitted, standard = (loaded.generate(count=3, prior=p)["v"] for p in ("fitted", "standard"))
    assert (fitted != standard).any()


def test_the_fit_of_the_prior_is_seen_in_metrics_and_validation(tmp_path):
    trained(tmp_path / "run", toy_config(**TABLES))
    lines = [
        json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    ]
    training = [line for line in lines if "prior/log_density" in line]
    assert any("elbo" in line for line in training)
    validation = [line for line in training if "objective" in line]
    assert validation
    for line in validation:  # what is monitored covers all that is trained
        whole = line["elbo"] - line["penalty"] + line["prior/log_density"]
        assert line["objective"] == pytest.approx(whole, rel=1e-5)


def test_a_prior_begins_once_at_the_aggregate_posterior_when_its_phase_does(tmp_path, monkeypatch):
    seen = []
    begin = PlainHead.begin
    monkeypatch.setattr(
        PlainHead, "begin", lambda self, *z: (seen.append(torch.stack(z)), begin(self, *z))[1]
    )
    config = toy_config(**TABLES, train={"monitor": "objective"})  # 60 items, first_epoch 1 of 2
    trained(tmp_path / "run", config, max_steps=3)
    assert not seen  # in the epoch before
    mmvae.resume(tmp_path / "run", registry=toy_registry(), max_steps=4)
    assert [z.shape for z in seen] == [(2, 60, 2)]
    samples, points = seen[0]
    assert not torch.equal(samples, points)
    mmvae.resume(tmp_path / "run", registry=toy_registry())
    assert len(seen) == 1
    again = toy_config(**TABLES, train={"freeze": ["decoders", "encoders"]})
    with pytest.raises(ConfigError, match="only prior has weights .* begins later"):
        trained(tmp_path / "further", again, init_from=tmp_path / "run")
    again["prior"] = again["prior"] | {"first_epoch": 0}
    trained(tmp_path / "further", again, init_from=tmp_path / "run")
    assert len(seen) == 1  # its weights were fitted before


def test_families_are_fitted_after_the_training_with_all_else_frozen(tmp_path):
    """A run goes on as another one of which only what is new is trained."""
    trained(tmp_path / "first", toy_config())
    held = ["decoders", "encoders.joint_posterior", "encoders.subset_posteriors.0"]
    config = toy_config(**TABLES, train={"freeze": held})
    trained(tmp_path / "second", config, init_from=tmp_path / "first")
    first, second = (latest(tmp_path / name).tensors["model"] for name in ("first", "second"))
    for name, value in first.items():
        if name.startswith(tuple(held)):
            assert torch.equal(value, second[name]), name
    assert any(name.startswith("learned_prior.") for name in second)
    items = toy_items(30)
    before, after = (
        mmvae.inference.model_folder.load_model(tmp_path / name, toy_registry()).score(items, 5)
        for name in ("first", "second")
    )
    assert torch.equal(before, after)  # the joint bound did not change


def test_a_prior_that_would_never_be_fitted_is_refused(tmp_path):
    late = toy_config(prior={"family": "toy-plain", "first_epoch": 2})
    with pytest.raises(
        ConfigError, match="prior.first_epoch = 2: expected less than train.epochs = 2"
    ):
        trained(tmp_path / "run", late)
    early = toy_config(prior={"family": "toy-plain", "first_epoch": 1})
    stopped = trained(tmp_path / "run", early, max_steps=2).model
    with pytest.raises(UsageError, match="no fitted prior"):
        stopped.generate(prior="fitted")


def test_the_best_weights_are_of_after_the_prior_began(tmp_path, monkeypatch):
    falling = iter((3.0, 2.0, 1.0))
    monkeypatch.setattr(
        "mmvae.training.trainer.validate", lambda *_, **__: {"objective": next(falling)}
    )
    train = {"epochs": 3, "monitor": "objective", "patience": 1}
    stopped = trained(tmp_path / "run", toy_config(**TABLES, train=train))  # first_epoch 1
    position = latest(tmp_path / "run").state["position"]
    per_epoch = position["step"] // 3
    assert (position["best"], position["best_step"]) == (2.0, 2 * per_epoch)
    assert type(stopped.model.model.fitted_prior(1)) is Plain


@pytest.mark.parametrize("subsets", [["x"], ["v+c"], ["c", "c"]])
def test_subsets_of_a_family_are_checked_with_the_config(tmp_path, subsets):
    keys = {"family": "toy-plain", "subsets": subsets}
    with pytest.raises(ConfigError, match=r"posterior\.subsets entry .* each once: v, c\."):
        load_experiment(toy_config(posterior=keys), (), toy_registry())


def test_a_mean_of_weights_begins_anew_where_the_prior_begins(tmp_path, monkeypatch):
    at = torch.tensor([3.0, -2.0, 0.5, 0.25])
    monkeypatch.setattr(PlainHead, "begin", lambda self, samples, points: self.bias.copy_(at))
    config = toy_config(**TABLES, train={"ema": 0.9999, "learning_rate": 1e-6})
    trained(tmp_path / "run", config)
    mean = latest(tmp_path / "run").tensors["average"]["learned_prior.density.bias"]
    assert_close(mean, at, atol=1e-3, rtol=0)


def test_what_is_frozen_stays_so_when_a_run_goes_on(tmp_path):
    trained(tmp_path / "run", toy_config(train={"freeze": ["decoders"]}), max_steps=2)
    with pytest.raises(ConfigError, match=r"train\.freeze=\[\].*run keeps its frozen weights"):
        mmvae.resume(tmp_path / "run", overrides=["train.freeze=[]"], registry=toy_registry())


def test_frozen_parts_are_in_eval_mode_and_their_running_statistics_stay():
    jmvae = model(shapes(prior=True))
    jmvae.encoders.joint_posterior.fusion.append(torch.nn.BatchNorm1d(7))
    jmvae.freeze(["encoders.joint_posterior"])
    jmvae.train()
    assert not jmvae.encoders.joint_posterior.training
    assert jmvae.training
    assert jmvae.decoders.training


def test_the_fit_of_a_prior_moves_no_running_statistics():
    jmvae, x = model(shapes(prior=True)), inputs()
    norm = torch.nn.BatchNorm1d(7)
    jmvae.encoders.joint_posterior.fusion.append(norm)
    jmvae.train()
    before = norm.running_mean.clone()
    jmvae.objective("prior", batch(x), step_draws(B), 1.0)
    assert torch.equal(norm.running_mean, before)
    assert norm.training
    jmvae.objective("jmvae", batch(x), step_draws(B), 1.0)
    assert not torch.equal(norm.running_mean, before)


def test_a_family_with_other_keys_begins_anew(tmp_path):
    """Weights of the same shapes may mean something else under other keys."""
    trained(tmp_path / "first", toy_config(**TABLES))
    for scale, same in ((1.0, True), (2.0, False)):
        tables = {name: {**table, "scale": scale} for name, table in TABLES.items()}
        tables["prior"]["first_epoch"] = 0
        config = toy_config(**tables, train={"freeze": ["decoders", "encoders"]})
        folder = tmp_path / f"scale {scale}"
        trained(folder, config, init_from=tmp_path / "first", max_steps=1)
        first, then = (latest(f).tensors["model"] for f in (tmp_path / "first", folder))
        name = "encoders.subset_posteriors.1.heads.linear.weight"
        assert torch.equal(first[name], then[name]) == same
        name = "encoders.joint_posterior.heads.weight"
        assert torch.equal(first[name], then[name])


def test_frozen_names_must_be_there_and_leave_something(tmp_path):
    for names, told in (
        (["decoder"], r"train\.freeze entry 'decoder': no weight has .*'decoders'"),
        (["decoders", "encoders"], r"no weight is left to train"),
    ):
        with pytest.raises(ConfigError, match=told):
            trained(tmp_path / "run", toy_config(train={"freeze": names}))
    assert not (tmp_path / "run").exists()


def test_other_weights_than_those_of_families_must_be_found(tmp_path):
    trained(tmp_path / "first", toy_config())
    wider = toy_config(**TABLES, model={"fusion_dim": 9})
    with pytest.raises(CheckpointError, match="fusion"):
        trained(tmp_path / "second", wider, init_from=tmp_path / "first")


def test_a_model_without_a_fitted_prior_says_so(tmp_path):
    model = trained(tmp_path / "run", toy_config()).model
    with pytest.raises(UsageError, match="no fitted prior"):
        model.generate(prior="fitted")
    with pytest.raises(UsageError, match="prior = 'Standard': .*Did you mean 'standard'"):
        model.generate(prior="Standard")
    with pytest.raises(UsageError, match="has no effect where c is given"):
        model.generate({"c": "red"}, prior="standard")


def test_coherence_has_a_row_for_each_prior(tmp_path):
    config = toy_config(**TABLES, evaluate={"coherence_samples": 30})
    trained(tmp_path / "run", config)
    result = mmvae.evaluate(tmp_path / "run", registry=toy_registry())
    assert {"prior → v, c", "fitted prior → v, c"} <= result["coherence"].keys()


def test_a_model_that_takes_no_family_refuses_the_table(tmp_path):
    class Plainer(JMVAE):
        kind = "plainer"
        takes_shapes = False

    registry = toy_registry()
    more = mmvae.plugins.registry.Registry.of(
        codecs=registry.kinds("codec").values(),
        sources=registry.kinds("source").values(),
        models=[Plainer],
        families=registry.kinds("family").values(),
    )
    config = toy_config(prior={"family": "toy-plain"}, model={"kind": "plainer"})
    with pytest.raises(ConfigError, match=r"prior: a 'plainer' model takes no family"):
        mmvae.train(config, run_dir=tmp_path / "run", registry=more)


def test_gaps_and_families_go_together(tmp_path):
    items = toy_items(60)
    items["c"] = [None if i % 3 == 0 else int(c) for i, c in enumerate(items["c"])]
    items["v"] = [None if i % 3 == 1 else row for i, row in enumerate(items["v"].tolist())]
    config = toy_config(**TABLES, data={"source": "memory"})
    result = trained(tmp_path / "run", config, data=items)
    assert result.outcome == "finished"
