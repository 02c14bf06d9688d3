"""The losses of the adversary against closed forms: linear codecs, a linear critic."""

from __future__ import annotations

import math

import pytest
import torch
from linear_gaussian import batch, jmvae, linear_codecs, step_draws
from mmvae_adversary import Adversary, AdversaryConfig, Critic
from mmvae_adversary.critic import accuracy, critic_loss, decoder_loss
from torch import nn

from mmvae import Batch, ConfigError
from mmvae.training.step import alone

DIMS = {"x": 4, "w": 3}
SD = 0.8


def made(inner=None, **keys):
    """An adversary of x around a small JMVAE, with weights by a fixed seed."""
    codecs = linear_codecs(x={"dim": DIMS["x"], "sd": SD}, w={"dim": DIMS["w"]})
    config = AdversaryConfig(**{"modality": "x"} | keys)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        return Adversary(config, inner or jmvae(codecs))


def items(b, seed=1):
    source = torch.Generator().manual_seed(seed)
    return {m: torch.randn(b, n, generator=source) for m, n in DIMS.items()}


def by_hand(adversary, x, draws):
    """x̂, x_p, the linear critic, and log p(x|z), each by its formula."""
    model = adversary.bare
    q = model.posterior(x)
    z = q.mean + (0.5 * q.log_variance).exp() * draws.normal("z", 2)
    decoder, logit = model.decoders["x"], adversary.critic.logit
    prediction = z @ decoder.weight.T + decoder.bias
    normal = torch.distributions.Normal(0.0, 1.0)
    u = 2 * normal.cdf(draws.normal("x_p", 2)) - 1
    prior_sample = u @ decoder.weight.T + decoder.bias

    def d(values):
        return torch.sigmoid((values @ logit.weight.T + logit.bias).squeeze(1))

    nats = -0.5 * ((x["x"] - prediction) / SD).square().sum(1)
    nats = nats - DIMS["x"] * (math.log(SD) + 0.5 * math.log(2 * math.pi))
    return prediction, prior_sample, d, nats


def test_the_critics_loss_is_its_closed_form():
    adversary, x, draws = made(), items(7), step_draws(7)
    prediction, prior_sample, d, _ = by_hand(adversary, x, draws)
    terms = adversary.objective("critic", batch(x), draws, 0.3)
    expected = -d(x["x"]).log() - (1 - d(prediction)).log() - (1 - d(prior_sample)).log()
    torch.testing.assert_close(terms.loss, expected)
    right = 0.5 * (d(x["x"]) > 0.5) + 0.25 * (d(prediction) < 0.5) + 0.25 * (d(prior_sample) < 0.5)
    torch.testing.assert_close(terms.named["accuracy"], right)


@pytest.mark.parametrize(("error_weight", "weight"), [(1.0, 1.0), (0.25, 3.0)])
def test_the_decoders_loss_is_its_closed_form(error_weight, weight):
    adversary = made(error_weight=error_weight, weight=weight)
    x, draws = items(7), step_draws(7)
    prediction, prior_sample, d, nats = by_hand(adversary, x, draws)
    terms = adversary.objective("decoder", batch(x), draws, 0.3)
    adversarial = -d(prediction).log() - d(prior_sample).log()
    torch.testing.assert_close(terms.loss, -error_weight * nats + weight * adversarial)
    torch.testing.assert_close(terms.named["adversarial"], adversarial)
    torch.testing.assert_close(terms.named["error"], -nats)
    assert not any(value.requires_grad for value in terms.named.values())


def test_the_error_of_features_is_half_their_squared_distance():
    """The critic's trunk is the identity here, so its features are x itself."""
    adversary, x, draws = made(error="features", error_weight=2.0), items(7), step_draws(7)
    prediction, _, _, nats = by_hand(adversary, x, draws)
    terms = adversary.objective("decoder", batch(x), draws, 0.3)
    error = 0.5 * (x["x"] - prediction).square().sum(1)
    torch.testing.assert_close(terms.named["error"], error)
    torch.testing.assert_close(terms.loss, 2 * error + terms.named["adversarial"])
    waiting = made(error="features", start_epoch=2)
    terms = waiting.objective("decoder", batch(x), draws, 0.3)
    torch.testing.assert_close(terms.loss, -nats)


def test_until_it_starts_the_decoder_has_its_error_alone():
    adversary, x, draws = made(start_epoch=3, error_weight=0.5), items(5), step_draws(5)
    _, _, _, nats = by_hand(adversary, x, draws)
    for epoch, adversarial in ((0, False), (1, False), (2, True), (3, True)):
        adversary.begin_step(epoch)
        terms = adversary.objective("decoder", batch(x), draws, 1.0)
        assert ("adversarial" in terms.named) is adversarial
        torch.testing.assert_close(
            terms.loss + 0.5 * nats, terms.named.get("adversarial", 0 * nats)
        )
    critic, decoder, rest = adversary.phases()
    assert [p.first_epoch for p in (critic, decoder, rest)] == [2, 0, 0]


def test_everything_else_is_the_models_own():
    adversary, x, draws = made(), items(5), step_draws(5)
    ours = adversary.objective("jmvae", batch(x), draws, 0.3)
    theirs = adversary.bare.objective("jmvae", batch(x), draws, 0.3)
    assert torch.equal(ours.loss, theirs.loss)
    assert ours.named.keys() == theirs.named.keys()


def test_extreme_logits_lose_finitely():
    logits = torch.tensor([1e4, -1e4])
    assert torch.isfinite(critic_loss(logits, -logits, logits)).all()
    assert torch.isfinite(decoder_loss(logits, -logits)).all()
    even = torch.zeros(2)
    torch.testing.assert_close(critic_loss(even, even, even), torch.full((2,), 3 * math.log(2)))
    certain = torch.tensor([9.0])
    assert accuracy(certain, -certain, -certain) == 1
    assert accuracy(certain, certain, certain) == 0.5  # it calls everything real


def test_free_latents_are_uniform_or_the_priors():
    x, draws = items(4000), step_draws(4000)
    uniform = made()._free_sample(batch(x), draws)
    assert uniform.abs().max() < 1
    assert (uniform.mean(0).abs() < 0.03).all()
    assert ((uniform.square().mean(0) - 1 / 3).abs() < 0.02).all()
    share = (uniform < 0.5).float().mean(0)
    assert ((share - 0.75).abs() < 0.03).all()
    prior = made(latents="prior")._free_sample(batch(x), draws)
    torch.testing.assert_close(prior, draws.normal("x_p", 2))


def test_noise_is_added_to_all_that_the_critic_sees():
    quiet, noisy = made(), made(noise=0.7)
    x, draws = items(6), step_draws(6)
    seen = []
    noisy.critic.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    noisy.objective("critic", batch(x), draws, 1.0)
    noisy.objective("decoder", batch(x), draws, 1.0)
    prediction, prior_sample, _, _ = by_hand(quiet, x, draws)
    added = [
        s - t
        for s, t in zip(
            seen, (x["x"], prediction, prior_sample, prediction, prior_sample), strict=True
        )
    ]
    for k, one in enumerate(added):
        assert 0.3 < one.std() < 1.2
        assert not any(torch.allclose(one, other) for other in added[:k])


def test_cells_that_an_item_lacks_tell_the_critic_nothing():
    adversary, x, draws = made(), items(6), step_draws(6)
    observed = torch.arange(24).reshape(6, 4) % 3 > 0
    seen = []
    adversary.critic.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    adversary.objective("critic", Batch(x, {"x": observed, "w": None}), draws, 1.0)
    for values in seen[1:]:
        assert torch.equal(values[~observed], x["x"][~observed])
        assert not torch.isclose(values[observed], x["x"][observed]).all()


# --- parameters


def test_phases_share_no_parameter_and_leave_none_out():
    adversary = made()
    critic, decoder, rest = adversary.phases()
    assert [p.name for p in (critic, decoder, rest)] == ["critic", "decoder", "jmvae"]
    ids = [id(p) for phase in (critic, decoder, rest) for p in phase.parameters]
    assert len(ids) == len(set(ids))
    assert set(ids) == {id(p) for p in adversary.parameters()}
    assert {id(p) for p in critic.parameters} == {id(p) for p in adversary.critic.parameters()}
    own = adversary.bare.decoders["x"].parameters()
    assert {id(p) for p in decoder.parameters} == {id(p) for p in own}


def test_a_plain_vae_has_an_adversary_too():
    adversary = made(jmvae(linear_codecs(x={"dim": 4})))
    x = {"x": items(5)["x"]}
    for phase in adversary.phases():
        terms = adversary.objective(phase.name, batch(x), step_draws(5), 1.0)
        gradients = torch.autograd.grad(terms.loss.sum(), list(phase.parameters))
        assert all(torch.isfinite(g).all() for g in gradients)
    assert not set(map(id, adversary.decoder_weights)) & set(
        map(id, adversary.bare.encoders.parameters())
    )


@pytest.mark.parametrize("kind", ["CVAE", "CMMA"])
def test_conditional_models_have_an_adversary_for_their_target(kind):
    baselines = pytest.importorskip("mmvae_baselines")
    model = getattr(baselines, kind)
    codecs = linear_codecs(x={"dim": 4}, w={"dim": 3})
    inner = model(model.Config(target="x", latent_dim=2, fusion_dim=5), codecs)
    adversary = made(inner, latents="prior")
    owned = {id(p) for p in adversary.decoder_weights}
    assert owned == {id(p) for p in inner.decoder["x"].parameters()}
    for phase in adversary.phases():
        terms = adversary.objective(phase.name, batch(items(5)), step_draws(5), 1.0)
        gradients = torch.autograd.grad(
            terms.loss.sum(), list(phase.parameters), allow_unused=True
        )
        assert all(g is not None and torch.isfinite(g).all() for g in gradients)
    with pytest.raises(
        ConfigError, match="the cv?m?m?ae? has no decoder for it; expected one of x"
    ):
        made(inner, modality="w")


@pytest.mark.parametrize("updates", ["in-turn", "together"])
def test_what_trains_together_within_does_so_under_an_adversary(updates):
    within = made(updates=updates)
    assert within.together == (updates == "together")
    assert made(within).together == within.together
    assert made(within, updates="together").together


def test_optimizers_are_the_papers_unless_told_otherwise():
    critic, decoder, rest = made(critic_learning_rate=3e-4, clip_norm=2.0).phases()
    assert rest.settings == {}
    for phase, rate in ((critic, 3e-4), (decoder, 1e-4)):
        assert (phase.settings["optimizer"], phase.settings["betas"]) == ("adam", (0.5, 0.999))
        assert (phase.settings["learning_rate"], phase.settings["clip_norm"]) == (rate, 2.0)
    for phase in made().phases()[:2]:
        assert (phase.settings["learning_rate"], phase.settings["clip_norm"]) == (1e-4, None)
        assert phase.settings["clip_value"] is None


def test_a_critic_has_the_trunk_that_its_codec_means_for_it():
    class WithCritic(type(linear_codecs(x={"dim": 4})["x"])):
        def critic(self):
            return nn.Sequential(nn.Linear(4, 4), nn.LeakyReLU())

    plain = linear_codecs(x={"dim": 4})["x"]
    assert isinstance(Critic(plain).trunk, nn.Identity)
    assert isinstance(Critic(WithCritic(plain.config)).trunk, nn.Sequential)


def test_what_the_critic_saw_decoded_serves_the_decoder_unchanged():
    """One batch in both phases gives the gradients of a batch of its own, and decodes once."""
    adversary, x, draws = made(), items(6), step_draws(6)
    decoded = []
    adversary.bare.decoders["x"].register_forward_hook(lambda *args: decoded.append(args[2]))

    def gradients(shared):
        one = batch(x)
        with alone(critic, phases):
            adversary.objective("critic", one, draws, 1.0)
        with alone(decoder, phases):
            terms = adversary.objective("decoder", one if shared else batch(x), draws, 1.0)
            return torch.autograd.grad(terms.loss.sum(), list(decoder.parameters))

    phases = adversary.phases()
    critic, decoder, _ = phases
    apart, count = gradients(False), len(decoded)
    together = gradients(True)
    assert (count, len(decoded) - count) == (4, 2)
    assert all(torch.equal(a, b) for a, b in zip(apart, together, strict=True))


def test_a_frozen_decoder_leaves_a_critic_nothing_to_teach():
    inner = made().inner
    inner.freeze(["decoders"])
    with pytest.raises(ConfigError, match=r"train\.freeze contains all weights"):
        made(inner)
