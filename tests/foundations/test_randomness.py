"""Draws are functions of (seed, purpose, step), whatever the split into processes."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from mmvae.data.sampler import share
from mmvae.foundations.randomness import (
    ItemDraws,
    StepDraws,
    derived_seed,
    generator,
    permutation,
    sample,
    seeded_global,
)

keys = st.tuples(st.integers(0, 2**63), st.text(max_size=6), st.integers(0, 10**9))


def draws(rows: slice, total: int, step: int = 3, seed: int = 7, purpose: str = "train"):
    return StepDraws(seed, purpose, step, rows, total)


def flipped(x: Tensor, source: torch.Generator) -> Tensor:
    """A view that draws as much as it is given."""
    return x + torch.rand(x.shape, generator=source)


@settings(deadline=None)
@given(st.lists(keys, unique=True, min_size=2, max_size=20))
def test_seeds_differ_by_every_part_of_their_key(many: list[tuple[int, str, int]]) -> None:
    seeds = {derived_seed(seed, name, step) for seed, name, step in many}
    assert len(seeds) == len(many)
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_seeds_differ_by_where_a_part_stands() -> None:
    alike = [(0, "a", "b"), (0, "ab"), (0, "b", "a"), (0, "a", 1), (0, "a", "1"), (0, 1, "a")]
    assert len({derived_seed(*key) for key in alike}) == len(alike)


def test_seeds_are_the_same_in_every_process() -> None:
    """No part of it depends on the interpreter's own hash seed."""
    code = (
        "from mmvae.foundations.randomness import derived_seed; print(derived_seed(5, 'noise', 9))"
    )
    out = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    assert int(out.stdout) == derived_seed(5, "noise", 9)


def test_a_generator_depends_on_nothing_drawn_before() -> None:
    one = torch.randn(5, generator=generator(1, "noise", 2))
    torch.randn(100)
    assert torch.equal(one, torch.randn(5, generator=generator(1, "noise", 2)))
    assert not torch.equal(one, torch.randn(5, generator=generator(1, "noise", 3)))


@settings(deadline=None)
@given(st.integers(0, 200), st.integers(0, 100), st.integers(0, 5))
def test_permutation_holds_each_item_once(n: int, seed: int, epoch: int) -> None:
    order = permutation(n, seed, epoch)
    assert order.sort().values.tolist() == list(range(n))
    assert torch.equal(order, permutation(n, seed, epoch))


def test_permutation_differs_by_epoch_and_seed() -> None:
    orders = {tuple(permutation(50, s, e).tolist()) for s in range(3) for e in range(3)}
    assert len(orders) == 9


@settings(deadline=None)
@given(st.integers(1, 40), st.integers(1, 6))
def test_shares_of_a_draw_are_slices_of_the_whole(total: int, parts: int) -> None:
    whole = draws(slice(0, total), total).normal("z", 2, 3)
    pieces = [draws(share(total, p, parts), total).normal("z", 2, 3) for p in range(parts)]
    assert torch.equal(torch.cat(pieces), whole)


@settings(deadline=None)
@given(st.integers(1, 40), st.integers(1, 6))
def test_a_view_of_a_share_is_the_share_of_the_view(total: int, parts: int) -> None:
    x = torch.randn(total, 2)
    whole = draws(slice(0, total), total).resample("m", flipped, x)
    assert not torch.equal(whole, x)
    slices = [share(total, p, parts) for p in range(parts)]
    pieces = [draws(rows, total).resample("m", flipped, x[rows]) for rows in slices]
    assert torch.equal(torch.cat(pieces), whole)


@settings(deadline=None)
@given(st.integers(1, 12), st.integers(1, 12), st.integers(0, 50))
def test_choice_is_ascending_distinct_and_equal_on_every_process(n: int, count: int, step: int):
    chosen = draws(slice(0, 4), 8, step).choice("subsets", n, count)
    assert chosen == sorted(set(chosen))
    assert len(chosen) == min(n, count)
    assert set(chosen) <= set(range(n))
    assert chosen == draws(slice(4, 8), 8, step).choice("subsets", n, count)


def test_choice_reaches_every_index_equally() -> None:
    counts = torch.zeros(5)
    for step in range(2000):
        counts[draws(slice(0, 1), 1, step).choice("subsets", 5, 2)] += 1
    assert ((counts - 800).abs() < 5 * (2000 * 0.4 * 0.6) ** 0.5).all()


@pytest.mark.parametrize(
    "other", [{"step": 4}, {"seed": 8}, {"purpose": "validation"}], ids=["step", "seed", "purpose"]
)
def test_draws_differ_by_step_seed_and_purpose(other: dict) -> None:
    rows = slice(0, 6)
    assert not torch.equal(draws(rows, 6).normal("z", 2), draws(rows, 6, **other).normal("z", 2))
    x = torch.zeros(6, 2)
    one = draws(rows, 6).resample("m", flipped, x)
    assert not torch.equal(one, draws(rows, 6, **other).resample("m", flipped, x))


def test_draws_differ_by_name() -> None:
    d, x = draws(slice(0, 6), 6), torch.zeros(6, 2)
    assert not torch.equal(d.normal("z", 2), d.normal("y", 2))
    assert torch.equal(d.normal("z", 2), d.normal("z", 2))
    assert not torch.equal(d.resample("m", flipped, x), d.resample("n", flipped, x))


@settings(deadline=None)
@given(st.integers(0, 60), st.integers(0, 70), st.integers(0, 50))
def test_a_sample_is_ascending_distinct_and_the_same_again(n: int, most: int, seed: int) -> None:
    rows = sample(n, most, seed, "matrix").tolist()
    assert rows == sorted(set(rows))
    assert len(rows) == min(n, most)
    assert set(rows) <= set(range(n))
    assert rows == sample(n, most, seed, "matrix").tolist()


def test_a_sample_reaches_every_item_equally() -> None:
    counts = torch.zeros(40)
    for seed in range(1000):
        counts[sample(40, 10, seed, "matrix")] += 1
    assert ((counts - 250).abs() < 5 * (1000 * 0.25 * 0.75) ** 0.5).all()
    assert sample(40, 10, 0, "matrix").tolist() != sample(40, 10, 0, "judge").tolist()


def test_chosen_items_get_what_they_get_among_all() -> None:
    some, x = torch.tensor([0, 3, 63, 64, 130, 199]), torch.zeros(200, 2)
    whole, few = (ItemDraws(7, "matrix", items) for items in (slice(0, 200), some))
    assert torch.equal(few.normal("z", 2), whole.normal("z", 2)[some])
    theirs = few.resample("m", flipped, x[some])
    assert torch.equal(theirs, whole.resample("m", flipped, x)[some])


def test_no_draw_touches_the_global_generator() -> None:
    state = torch.get_rng_state()
    d = draws(slice(0, 6), 6)
    d.normal("z", 2)
    d.choice("subsets", 4, 2)
    permutation(9, 0, 0)
    assert torch.equal(state, torch.get_rng_state())


def test_a_device_in_use_is_seeded_within_the_block_and_then_as_it_was(monkeypatch) -> None:
    """A stand-in for an accelerator that this machine may lack."""
    states, seeds = {0: "before", 1: "before"}, []
    module = SimpleNamespace(
        is_initialized=lambda: True,
        manual_seed=None,
        manual_seed_all=seeds.append,
        get_rng_state=states.__getitem__,
        set_rng_state=lambda state, device: states.update({device: state}),
    )
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda: torch.device("xpu"))
    monkeypatch.setattr(torch.accelerator, "device_count", lambda: 2)
    monkeypatch.setattr(torch, "get_device_module", lambda device: module)
    with seeded_global(5):
        states.update({0: "drawn", 1: "drawn"})
        inside = torch.rand(3)
    assert seeds == [5]
    assert states == {0: "before", 1: "before"}
    assert torch.equal(inside, torch.rand(3, generator=torch.Generator().manual_seed(5)))
    module.is_initialized = lambda: False
    with seeded_global(6):
        pass
    assert seeds == [5], "a device not in use is left alone"
