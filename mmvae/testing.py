"""The conformance suite for codecs: inherit it, say how to make one, and pytest does the rest.

.. code-block:: python

    class TestMyCodec(CodecContract):
        def make_codec(self):
            return MyCodec(MyCodec.Config())

        def make_column(self, n, seed):
            return Column(np.random.default_rng(seed).normal(size=(n, 3)))

Each check states what the contract wants and what it got. :func:`violations` runs the same suite
without pytest.
"""

from __future__ import annotations

import copy
import json
import random
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import safetensors.torch
import tomli_w
import torch
from PIL import Image
from torch import Tensor, nn
from torch.distributions import Distribution

from mmvae.codec import Codec, CodecConfig, Column, Parameters, State
from mmvae.errors import UnsupportedValue

_N = 6  # items per check
_INPUT = 5  # width of a decoder's input


class ContractBroken(AssertionError):
    """A codec does not keep the contract; the message says what was wanted and what was got."""


class CodecContract:
    """Checks that a codec keeps the contract of :class:`mmvae.Codec`.

    Define :meth:`make_codec` and :meth:`make_column`; the other hooks add checks.
    """

    restores = True
    """Whether ``restore`` undoes ``prepare`` exactly; False where preparing loses something."""

    def make_codec(self) -> Codec:
        """A fresh, unfitted codec with small networks."""
        raise NotImplementedError("Define make_codec(self) -> Codec.")

    def make_column(self, n: int, seed: int) -> Column:
        """``n`` valid raw values; another seed gives others, of the same shape and classes."""
        raise NotImplementedError("Define make_column(self, n, seed) -> Column.")

    def edge_columns(self) -> list[tuple[str, Column]]:
        """Named columns at the edges of the support: black and white, the last class."""
        return []

    def invalid_columns(self) -> list[tuple[str, Column]]:
        """Named columns with one row outside the support, which must be refused by row."""
        return []

    def enumerate_support(self, codec: Codec) -> Tensor | None:
        """All values (k, event…) that a countable x can take, if they are few."""
        return None

    def integration_grid(self, codec: Codec) -> tuple[Tensor, float] | None:
        """Values (k, event…) that cover a real x of one or two dimensions, and a cell's volume."""
        return None

    def fitted(self) -> tuple[Codec, Column]:
        """A codec fitted as the core does it, and the column that it was fitted to."""
        column = self.make_column(_N, 0)
        recipe = self.make_codec()
        return type(recipe)(recipe.config, recipe.fit(column)), column

    def test_declarations(self) -> None:
        """Kind, config class and the dimensions known once fitted."""
        codec, _ = self.fitted()
        _require(isinstance(codec, Codec), "a subclass of mmvae.Codec", type(codec).__mro__)
        _require(bool(getattr(codec, "kind", "")), "a kind, the word used in TOML", "none")
        _require(issubclass(codec.Config, CodecConfig), "a Config of CodecConfig", codec.Config)
        _require(isinstance(codec.config, codec.Config), "a config of Config", type(codec.config))
        _require(all(size > 0 for size in codec.event_shape), "sizes > 0", codec.event_shape)
        _require(codec.feature_dim > 0, "feature_dim > 0", codec.feature_dim)

    def test_prepared_values_have_the_event_shape(self) -> None:
        """Prepared values, model input, conditions, stand-ins and observed cells."""
        codec, column = self.fitted()
        x, observed = codec.prepare(column)
        shape = (_N, *codec.event_shape)
        for name, value in {
            "prepare": x,
            "to_input": codec.to_input(x),
            "condition": codec.condition(column),
            "resample": codec.resample(codec.to_input(x), _generator()),
            "fixed": codec.fixed(codec.to_input(x), _generator()),
            "missing": codec.missing(_N),
        }.items():
            _require(value.shape == shape, f"{name} to give {shape}", tuple(value.shape))
            if name != "prepare":
                _require(value.dtype == torch.float32, f"{name} to give float32", value.dtype)
                _require(bool(value.isfinite().all()), f"{name} to be finite", "NaN or infinity")
        if observed is not None:
            _require(observed.dtype == torch.bool, "observed cells as bool", observed.dtype)
            _require(observed.shape == shape, f"observed cells {shape}", tuple(observed.shape))

    def test_networks_and_likelihood_have_the_event_shape(self) -> None:
        """Features, parameters, log-likelihood, point and sample."""
        codec, column = self.fitted()
        x = _input(codec, column)
        features = codec.encoder()(x)
        wanted = (_N, codec.feature_dim)
        _require(features.shape == wanted, f"features {wanted}", tuple(features.shape))
        likelihood = _likelihood(codec, _N)
        _require(likelihood.batch_shape == (_N,), f"batch ({_N},)", likelihood.batch_shape)
        _require(
            likelihood.event_shape == codec.event_shape,
            f"a likelihood with event shape {codec.event_shape}",
            f"{tuple(likelihood.event_shape)}: reinterpret its dimensions with Independent",
        )
        log_prob = codec.log_prob(likelihood, x, None)
        _require(log_prob.shape == (_N,), f"log_prob ({_N},)", tuple(log_prob.shape))
        drawn = codec.sample(likelihood, _generator())
        for name, value in {"point": codec.point(likelihood), "sample": drawn}.items():
            _require(value.shape == x.shape, f"{name} {tuple(x.shape)}", tuple(value.shape))

    def test_log_prob_is_finite_on_the_support(self) -> None:
        """Valid values, the edges of the support included."""
        codec, column = self.fitted()
        for name, edge in [("make_column", column), *self.edge_columns()]:
            x = _input(codec, edge)
            log_prob = codec.log_prob(_likelihood(codec, len(x)), x, None)
            _require(bool(log_prob.isfinite().all()), f"{name}: finite log_prob", log_prob)

    def test_values_outside_the_support_are_refused(self) -> None:
        """UnsupportedValue names the row, the value and what was expected."""
        codec, _ = self.fitted()
        for name, column in self.invalid_columns():
            wants = f"{name}: prepare to raise UnsupportedValue with a row"
            try:
                x, _ = codec.prepare(column)
            except UnsupportedValue as error:
                row = error.row
                _require(row is not None and 0 <= row < len(column), wants, f"row {row}: {error}")
                _require(bool(error.expected), f"{name}: what was expected", "an empty phrase")
            except Exception as error:  # any other kind is the violation to report
                raise ContractBroken(f"Wanted {wants}; got {error!r}.") from error
            else:
                raise ContractBroken(f"Wanted {wants}; got {x}.")

    def test_gradients_reach_every_parameter(self) -> None:
        """Encoder and decoder are trained as a whole."""
        codec, column = self.fitted()
        x = _input(codec, column)
        encoder, decoder = codec.encoder(), codec.decoder(codec.feature_dim)
        likelihood = codec.likelihood(_float32(decoder(encoder(x))))
        codec.log_prob(likelihood, x, None).sum().backward()  # type: ignore[no-untyped-call]
        for part, network in {"encoder": encoder, "decoder": decoder}.items():
            for name, parameter in network.named_parameters():
                reached = parameter.grad is not None and bool(parameter.grad.any())
                trained = reached or not parameter.requires_grad
                _require(trained, f"a gradient in {part} parameter {name}", "none, or all zero")

    def test_items_do_not_mix(self) -> None:
        """In train mode an item's features and parameters do not depend on the others."""
        codec, column = self.fitted()
        if codec.mixes_items:
            return
        x, others = _input(codec, column), _input(codec, self.make_column(_N, 1))
        z = torch.randn(_N, _INPUT, generator=_generator())
        pairs = {
            "encoder": (codec.encoder(), x, torch.cat([x[:1], others[1:]])),
            "decoder": (codec.decoder(_INPUT), z, torch.cat([z[:1], 1 - z[1:]])),
        }
        for part, (network, batch, changed) in pairs.items():
            first, second = (_flat(_seeded(network, values))[0] for values in (batch, changed))
            _require(
                torch.allclose(first, second, atol=1e-5),
                f"the {part} to treat each item alone (or mixes_items = True)",
                f"a first item that changes by {(first - second).abs().max():.3g} with the others",
            )

    def test_unobserved_cells_have_no_effect(self) -> None:
        """Neither value nor NaN counts; no cell observed gives 0, all observed the whole."""
        codec, column = self.fitted()
        x = _input(codec, column)
        observed = torch.rand(x.shape, generator=_generator()) < 0.5
        parameters = _parameters(codec, _N)
        leaves = list(parameters.values()) if isinstance(parameters, dict) else [parameters]
        likelihood = codec.likelihood(parameters)
        try:
            log_prob = codec.log_prob(likelihood, x, observed)
        except TypeError:
            return  # it does not factorise over cells and says so
        hidden = codec.log_prob(likelihood, torch.where(observed, x, torch.nan), observed)
        _require(torch.equal(log_prob, hidden), f"log_prob {log_prob} with NaN hidden", hidden)
        for grad in torch.autograd.grad(hidden.sum(), leaves, allow_unused=True):
            finite = grad is None or bool(grad.isfinite().all())
            _require(finite, "finite gradients with NaN hidden", grad)
        none = codec.log_prob(likelihood, x, torch.zeros_like(observed))
        _require(not none.any(), "log_prob 0 if no cell is observed", none)
        whole, full = (codec.log_prob(likelihood, x, o) for o in (None, torch.ones_like(observed)))
        _require(torch.allclose(whole, full), f"log_prob {whole} if all are observed", full)

    def test_prepare_is_a_function_of_each_row(self) -> None:
        """The same values whatever else is prepared and drawn, and the raw values left alone."""
        codec, column = self.fitted()
        before = copy.deepcopy(column.values)
        with _global_seed(1):
            x, _ = codec.prepare(column)
        with _global_seed(2):
            again, _ = codec.prepare(column)
        _require(_same(column.values, before), "raw values left as they are", column.values)
        _require(torch.equal(x, again), "prepare to be deterministic", f"{x}, then {again}")
        rows = np.array([3, 1])
        alone, _ = codec.prepare(column.take(rows))
        _require(torch.equal(alone, x[rows]), f"rows 3, 1 alone to give {x[rows]}", alone)

    def test_model_values_are_not_edited(self) -> None:
        """No method changes the tensor that it is given."""
        codec, column = self.fitted()
        x = _input(codec, column)
        likelihood = _likelihood(codec, _N)
        before = x.clone()
        calls: dict[str, Callable[[], object]] = {
            "to_input": lambda: codec.to_input(x),
            "resample": lambda: codec.resample(x, _generator()),
            "fixed": lambda: codec.fixed(x, _generator()),
            "encoder": lambda: codec.encoder()(x),
            "log_prob": lambda: codec.log_prob(likelihood, x, None),
            "restore": lambda: codec.restore(x),
            "show": lambda: codec.show(x),
            "compare": lambda: codec.compare(x, x),
        }
        for name, call in calls.items():
            call()
            _require(
                torch.equal(x, before), f"{name} to leave its input alone", "an edit in place"
            )

    def test_restore_undoes_prepare(self) -> None:
        """Restored values, prepared again, are the same model input."""
        codec, column = self.fitted()
        x = _input(codec, column)
        restored = codec.restore(x)
        _require(isinstance(restored, Column), "restore to give a Column", type(restored))
        _require(len(restored) == _N, f"restore to give {_N} values", len(restored))
        if self.restores:
            again = _input(codec, restored)
            _require(torch.allclose(again, x, atol=1e-5), f"the values {x} back", again)

    def test_randomness_comes_from_the_generator(self) -> None:
        """Draws follow the generator; the global random states have no part in them."""
        codec, column = self.fitted()
        x = _input(codec, column)
        likelihood = _likelihood(codec, _N)
        draws: dict[str, Callable[[torch.Generator], Tensor]] = {
            "resample": lambda g: codec.resample(x, g),
            "fixed": lambda g: codec.fixed(x, g),
            "sample": lambda g: codec.sample(likelihood, g),
        }
        for name, draw in draws.items():
            with _global_seed(1) as untouched:
                first = draw(_generator())
                _require(untouched(), f"{name} to leave global random states alone", "a draw")
            with _global_seed(2):
                second = draw(_generator())
            same = torch.equal(first, second)
            _require(same, f"{name} to depend on its generator alone", "global randomness")
        states = []
        for values in (x, torch.zeros_like(x)):
            generator = _generator()
            codec.resample(values, generator)
            states.append(generator.get_state())
        wants = "resample to draw the same amount whatever the values"
        _require(torch.equal(*states), wants, "generators that have moved unequally far")

    def test_likelihood_is_float32_under_autocast(self) -> None:
        """The core hands on float32 parameters under bfloat16 autocast; they stay float32."""
        codec, column = self.fitted()
        x = _input(codec, column)
        with torch.autocast("cpu", torch.bfloat16):
            codec.encoder()(x)
            parameters = _parameters(codec, _N)
            inside = codec.log_prob(codec.likelihood(parameters), x, None)
        likelihood = codec.likelihood(parameters)
        outside = codec.log_prob(likelihood, x, None)
        drawn = codec.sample(likelihood, _generator())
        for name, value in {
            "log_prob": inside,
            "point": codec.point(likelihood),
            "sample": drawn,
        }.items():
            _require(value.dtype == torch.float32, f"{name} in float32", value.dtype)
        exact = torch.allclose(inside, outside, rtol=1e-5)
        _require(exact, f"log_prob {outside} under autocast too", inside)

    def test_state_survives_saving(self) -> None:
        """What was learned goes through JSON and safetensors and gives the same numbers."""
        codec, column = self.fitted()
        loaded = type(codec)(codec.config, _saved(codec.state))
        _require(
            loaded.event_shape == codec.event_shape, f"{codec.event_shape}", loaded.event_shape
        )
        _require(loaded.classes == codec.classes, f"classes {codec.classes}", loaded.classes)
        x, again = _input(codec, column), _input(loaded, column)
        _require(torch.equal(x, again), f"the same input {x} after loading", again)
        for name in ("encoder", "decoder"):
            made = [_built(c, name) for c in (codec, loaded)]
            shapes = [[(n, p.shape) for n, p in network.named_parameters()] for network in made]
            _require(shapes[0] == shapes[1], f"the same {name} after loading", shapes[1])
        shown = [_same(a, b) for a, b in zip(codec.show(x), loaded.show(x), strict=True)]
        _require(all(shown), "the same things to look at after loading", "others")

    def test_show_gives_one_thing_per_item(self) -> None:
        """A PIL image or a string for each item."""
        codec, column = self.fitted()
        things = codec.show(codec.point(_likelihood(codec, _N)))
        _require(len(things) == _N, f"{_N} things to look at", len(things))
        for thing in [*things, *codec.show(_input(codec, column))]:
            _require(isinstance(thing, (Image.Image, str)), "a PIL image or a string", type(thing))

    def test_config_survives_toml_and_has_a_schema(self) -> None:
        """Keys go through TOML unchanged, are described, and unknown ones are refused."""
        config = self.make_codec().config
        text = tomli_w.dumps(config.model_dump(mode="json", exclude_none=True))
        again = type(config).model_validate(tomllib.loads(text))
        _require(again == config, f"{config!r} back from TOML", repr(again))
        schema = json.loads(json.dumps(type(config).model_json_schema()))
        for key, entry in schema["properties"].items():
            _require("description" in entry, f"a description of key {key!r}", "none")
        closed = schema.get("additionalProperties") is False
        _require(closed, "unknown keys refused (extra='forbid')", "a Config that takes any key")

    def test_codecs_share_no_state(self) -> None:
        """Each call makes networks of its own, and fitting one codec leaves others alone."""
        codec, column = self.fitted()
        other = type(codec)(codec.config, codec.fit(column))
        for name in ("encoder", "decoder"):
            networks = [_built(c, name) for c in (codec, codec, other)]
            seen = [id(p) for network in networks for p in network.parameters()]
            _require(len(seen) == len(set(seen)), f"fresh parameters from each {name}()", "shared")
        before = copy.deepcopy(dict(codec.state))
        type(codec)(codec.config).fit(self.make_column(_N, 7))
        codec.prepare(self.make_column(_N, 7))
        same = before.keys() == codec.state.keys() and all(
            _same(codec.state[key], value) for key, value in before.items()
        )
        _require(same, f"a state that stays {before}", codec.state)

    def test_total_probability_is_one(self) -> None:
        """Summed over a small support, or integrated over a grid."""
        codec, _ = self.fitted()
        cases = [self.integration_grid(codec)]
        support = self.enumerate_support(codec)
        cases.append(None if support is None else (support, 1.0))
        for values, volume in filter(None, cases):
            z = torch.randn(1, _INPUT, generator=_generator()).expand(len(values), -1)
            decoder = _built(codec, "decoder").eval()
            likelihood = codec.likelihood(_float32(decoder(z)))
            log_prob = codec.log_prob(likelihood, values.to(torch.float32), None)
            total = float(log_prob.detach().double().exp().sum()) * volume
            _require(abs(total - 1) < 1e-3, "a total probability of 1", total)


def violations(contract: CodecContract) -> dict[str, str]:
    """Run every check without pytest: name of each failed check → what was wrong."""
    found = {}
    for name in sorted(n for n in dir(contract) if n.startswith("test_")):
        try:
            getattr(contract, name)()
        except Exception as error:  # whatever a stranger's codec raises is a finding
            found[name] = f"{type(error).__name__}: {error}"
    return found


def _require(kept: bool, wanted: object, got: object) -> None:
    if not kept:
        raise ContractBroken(f"Wanted {wanted}; got {got}.")


def _generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def _input(codec: Codec, column: Column) -> Tensor:
    return codec.to_input(codec.prepare(column)[0])


def _built(codec: Codec, part: str) -> nn.Module:
    """An encoder or decoder whose weights are the same at every call."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return codec.encoder() if part == "encoder" else codec.decoder(_INPUT)


def _seeded(network: nn.Module, values: Tensor) -> Parameters:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)  # dropout draws the same cells at every call
        output: Parameters = network(values)
        return output


def _parameters(codec: Codec, n: int) -> Parameters:
    z = torch.randn(n, _INPUT, generator=_generator())
    return _float32(_built(codec, "decoder")(z))


def _likelihood(codec: Codec, n: int) -> Distribution:
    return codec.likelihood(_parameters(codec, n))


def _float32(parameters: Parameters) -> Parameters:
    """Parameters as the core hands them on."""
    if isinstance(parameters, Tensor):
        return parameters.float()
    return {name: value.float() for name, value in parameters.items()}


def _flat(output: Parameters) -> Tensor:
    """Everything that a network put out, one row per item."""
    parts = output.values() if isinstance(output, dict) else [output]
    return torch.cat([part.flatten(1) for part in parts], 1)


def _saved(state: State) -> State:
    """A state as it comes back from a run folder."""
    tensors = {key: v.contiguous() for key, v in state.items() if isinstance(v, Tensor)}
    plain = {key: v for key, v in state.items() if not isinstance(v, Tensor)}
    try:
        text = json.dumps(plain, allow_nan=False)
    except (TypeError, ValueError) as error:
        wanted = "a state of numbers, strings, lists of those, or tensors"
        raise ContractBroken(f"Wanted {wanted}; got {plain} ({error}).") from error
    restored: dict[str, Any] = json.loads(text)
    return restored | safetensors.torch.load(safetensors.torch.save(tensors))


def _same(a: Any, b: Any) -> bool:
    """Equality through arrays, tensors, pictures and lists of them, NaN equal to itself."""
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(_same(x, y) for x, y in zip(a, b, strict=True))
    if isinstance(a, (np.ndarray, Tensor)):
        return np.array_equal(
            np.asarray(a), np.asarray(b), equal_nan=np.asarray(a).dtype.kind == "f"
        )
    return bool(a == b) or (a != a and b != b)


@contextmanager
def _global_seed(seed: int) -> Iterator[Callable[[], bool]]:
    """Seed every global random state; yields a function that says whether they are untouched."""
    saved = _global_states()
    torch.manual_seed(seed)
    np.random.seed(seed)
    random.seed(seed)
    start = _global_states()
    try:
        yield lambda: _same(_global_states(), start)
    finally:
        torch.set_rng_state(saved[0])
        np.random.set_state(saved[1])
        random.setstate(saved[2])


def _global_states() -> tuple[Any, ...]:
    return torch.get_rng_state(), np.random.get_state(legacy=True), random.getstate()
