"""The order of items: every item once an epoch, position one integer, shares a partition."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mmvae.data.sampler import Order, share

sizes = st.integers(1, 60)


@settings(deadline=None)
@given(sizes, sizes, st.integers(0, 9))
def test_every_item_comes_once_per_epoch(n: int, batch_size: int, seed: int) -> None:
    order = Order(n, batch_size, seed)
    steps = order.steps_per_epoch
    for epoch in range(2):
        batches = [order.items(step) for step in range(epoch * steps, (epoch + 1) * steps)]
        assert sorted(torch.cat(batches).tolist()) == list(range(n))
        assert {order.epoch(step) for step in range(epoch * steps, (epoch + 1) * steps)} == {epoch}
        assert all(len(b) == min(batch_size, n) for b in batches[:-1])


@settings(deadline=None)
@given(sizes, sizes)
def test_drop_last_leaves_out_the_small_batch_alone(n: int, batch_size: int) -> None:
    order = Order(n, batch_size, 0, drop_last=True)
    batches = [order.items(step) for step in range(order.steps_per_epoch)]
    assert {len(b) for b in batches} == {min(batch_size, n)}
    assert n - len(torch.cat(batches)) < min(batch_size, n)
    assert len(torch.cat(batches).unique()) == len(torch.cat(batches))


@settings(deadline=None)
@given(sizes, sizes, st.lists(st.integers(0, 200), min_size=1, max_size=8))
def test_position_is_the_step_and_nothing_else(n: int, batch_size: int, steps: list[int]) -> None:
    """Asked in any order, also by an order made afresh, a step sees the same items."""
    order = Order(n, batch_size, 5)
    seen = {step: order.items(step) for step in steps}
    for step, items in seen.items():
        assert torch.equal(Order(n, batch_size, 5).items(step), items)


def test_epochs_and_seeds_differ() -> None:
    order = Order(50, 50, 0)
    orders = [order.items(0), order.items(1), Order(50, 50, 1).items(0)]
    assert len({tuple(o.tolist()) for o in orders}) == 3


@settings(deadline=None)
@given(sizes, sizes)
def test_the_last_step_of_an_epoch_ends_it(n: int, batch_size: int) -> None:
    order = Order(n, batch_size, 0)
    ends = [step for step in range(3 * order.steps_per_epoch) if order.ends_epoch(step)]
    assert ends == [order.steps_per_epoch * e - 1 for e in (1, 2, 3)]


def test_a_batch_larger_than_the_data_is_the_data() -> None:
    for drop_last in (False, True):
        order = Order(7, 100, 0, drop_last)
        assert order.steps_per_epoch == 1
        assert sorted(order.items(3).tolist()) == list(range(7))


@settings(deadline=None)
@given(st.integers(0, 100), st.integers(1, 12))
def test_shares_partition_exactly_and_evenly(total: int, parts: int) -> None:
    slices = [share(total, part, parts) for part in range(parts)]
    rows = [list(range(total))[s] for s in slices]
    assert sum(rows, []) == list(range(total))
    assert max(map(len, rows)) - min(map(len, rows)) <= 1


@settings(deadline=None)
@given(st.integers(0, 60), st.integers(1, 4), st.integers(1, 4))
def test_accumulation_within_processes_is_a_finer_partition(total: int, a: int, b: int) -> None:
    fine = [share(total, p * b + part, a * b) for p in range(a) for part in range(b)]
    rows = [list(range(total))[s] for s in fine]
    assert sum(rows, []) == list(range(total))
    for p in range(a):
        assert sum(rows[p * b : (p + 1) * b], []) == list(range(total))[share(total, p, a)]
