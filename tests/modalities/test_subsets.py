"""Families of subsets, their names, and their partitions against brute force."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mmvae.modalities.subsets
from mmvae.foundations.errors import ConfigError, SearchLimit, UsageError
from mmvae.modalities.subsets import Subset, canonical, family, partition, subset_name

NAMES = ("a", "b", "c", "d", "e")


def proper_subsets(n: int) -> list[Subset]:
    return [s for size in range(1, n) for s in combinations(NAMES[:n], size)]


# -- names ----------------------------------------------------------------------------------------


@settings(deadline=None)
@given(st.lists(st.sampled_from(NAMES)))
def test_canonical_is_each_once_in_the_order_of_the_configuration(names: list[str]) -> None:
    subset = canonical(names, NAMES)
    assert set(subset) == set(names)
    assert list(subset) == sorted(set(names), key=NAMES.index)
    assert canonical(reversed(names), NAMES) == subset


def test_names_follow_the_configuration_not_the_alphabet() -> None:
    assert subset_name(canonical(["x", "b"], ("x", "b", "a"))) == "x+b"


def test_unknown_modality_is_named_with_the_known_ones() -> None:
    with pytest.raises(UsageError, match=r"'imag'.*image, label.*Did you mean 'image'\?"):
        canonical(["imag"], ("image", "label"))


# -- families -------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", range(2, 6))
def test_families(n: int) -> None:
    names = NAMES[:n]
    assert family("singletons", names) == [(m,) for m in names]
    everything = family("all", names)
    assert len(set(everything)) == len(everything) == 2**n - 2
    assert set(everything) == set(proper_subsets(n))
    left_out = family("leave-one-out", names)
    assert {frozenset(names) - frozenset(s) for s in left_out} == {frozenset([m]) for m in names}
    for subsets in (everything, left_out):
        assert all(canonical(s, names) == s for s in subsets)
        assert sorted(subsets, key=lambda s: (len(s), [names.index(m) for m in s])) == subsets


@pytest.mark.parametrize(
    ("n", "count"), [(17, "131,070"), (24, "16,777,214"), (40, "1,099,511,627,774")]
)
def test_all_subsets_of_very_many_are_refused_with_their_number(n: int, count: str) -> None:
    names = [f"m{i}" for i in range(n)]
    with pytest.raises(ConfigError) as error:
        family("all", names)
    assert f"2^{n} − 2 = {count} proper" in str(error.value)
    assert "'singletons'" in str(error.value)
    assert "'leave-one-out'" in str(error.value)


def test_all_subsets_of_sixteen_are_taken() -> None:
    assert len(family("all", [f"m{i}" for i in range(16)])) == 65_534


@pytest.mark.parametrize("spec", ["singletons", "all", "leave-one-out"])
def test_one_modality_has_no_proper_subset(spec: str) -> None:
    assert family(spec, ("a",)) == []


@settings(deadline=None)
@given(st.sets(st.sampled_from(proper_subsets(4))), st.randoms())
def test_a_list_is_sorted_and_made_canonical(chosen: set[Subset], random) -> None:
    spec: list = []
    for subset in sorted(chosen):
        mixed = random.sample(subset, len(subset))
        spec.append(random.choice(["+".join(mixed), mixed]))
    random.shuffle(spec)
    found = family(spec, NAMES[:4])
    assert set(found) == chosen
    assert found == [s for s in proper_subsets(4) if s in chosen]


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (["a+b+c"], "proper non-empty subset"),
        (["a", []], "proper non-empty subset"),
        (["a+b", "b+a"], r"'b\+a'.*each modality and each subset named once"),
        (["a+a"], "each modality"),
        ([""], "Unknown modality ''"),
        (["a", "z"], "'z'.*a, b, c"),
        ("singleton", "Did you mean 'singletons'"),
    ],
)
def test_a_bad_family_is_named(spec: object, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        family(spec, ("a", "b", "c"))  # type: ignore[arg-type]
    assert "model.subsets" in str(caught.value)


def test_the_full_set_of_one_modality_is_refused() -> None:
    with pytest.raises(ConfigError, match="proper"):
        family(["a"], ("a",))


# -- partitions -----------------------------------------------------------------------------------


def brute_force(subset: Subset, trained: list[Subset]) -> list[Subset] | None:
    """The first of the smallest exact covers, by trying all of them."""
    for size in range(1, len(trained) + 1):
        for parts in combinations(trained, size):
            if sorted(m for part in parts for m in part) == sorted(subset):
                return list(parts)
    return None


@settings(deadline=None)
@given(
    st.sets(st.sampled_from(NAMES), min_size=1),
    st.lists(st.sampled_from(proper_subsets(5)), unique=True, max_size=9),
)
def test_partition_is_the_first_of_the_fewest(wanted: set[str], trained: list[Subset]) -> None:
    subset = canonical(wanted, NAMES)
    expected = brute_force(subset, trained)
    if expected is not None:
        assert partition(subset, trained) == expected
        return
    with pytest.raises(UsageError) as caught:
        partition(subset, trained)
    assert all(subset_name(s) in str(caught.value) for s in trained)


def test_a_trained_subset_is_its_own_partition() -> None:
    trained = family("all", NAMES)
    assert all(partition(s, trained) == [s] for s in trained)


def test_ties_are_broken_by_the_order_of_the_configuration() -> None:
    trained = family(["a", "b+c", "a+b", "c"], NAMES)
    assert partition(("a", "b", "c"), trained) == [("a",), ("b", "c")]
    assert partition(("a", "b", "c"), [("c",), ("a", "b"), ("a",), ("b", "c")]) == [
        ("c",),
        ("a", "b"),
    ]


def test_no_partition_says_what_is_trained() -> None:
    with pytest.raises(UsageError, match=r"'a'.*\(b, a\+b\)"):
        partition(("a",), [("b",), ("a", "b")])
    with pytest.raises(UsageError, match=r"\(none\)"):
        partition(("a",), [])


def test_a_hopeless_partition_needs_no_search() -> None:
    names = tuple(f"m{i}" for i in range(23))
    pairs = family([list(pair) for pair in combinations(names, 2)], (*names, "more"))
    with steps(0), pytest.raises(UsageError, match="No posterior"):
        partition(names, pairs)  # an odd number of modalities is no union of pairs


@contextmanager
def steps(most: int) -> Iterator[None]:
    """Let a search look at so many subsets and no more."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mmvae.modalities.subsets, "MOST_STEPS", most)
        yield


def of(n: int) -> Subset:
    return tuple(f"m{i}" for i in range(n))


@pytest.mark.parametrize("n", [16, 24, 40])
def test_singletons_and_leave_one_out_are_partitioned_without_a_search(n: int) -> None:
    names = of(n)
    with steps(0):
        for size in range(1, n + 1):
            singletons = [(m,) for m in names[:size]]
            assert partition(names[:size], family("singletons", names)) == singletons
        left_out = family("leave-one-out", names)
        assert all(partition(s, left_out) == [s] for s in left_out)
        for size in range(1, n - 1):
            with pytest.raises(UsageError, match="No posterior"):
                partition(names[:size], left_out)


def test_all_subsets_are_partitioned_without_a_search() -> None:
    names = of(16)
    trained = family("all", names)
    with steps(0):
        for size in range(1, 16):
            assert partition(names[:size], trained) == [names[:size]]


@pytest.mark.parametrize("n", [16, 24, 40])
@pytest.mark.parametrize("sizes", [(1, 2), (1, 2, 3), (2, 3), (1, "groups"), (1, "left out")])
def test_lists_are_partitioned_in_a_number_of_steps_that_does_not_explode(n: int, sizes) -> None:
    names, source = of(n), random.Random(0)
    lists = {
        "groups": [source.sample(names, source.randint(3, 8)) for _ in range(n)],
        "left out": list(family("leave-one-out", names)),
    }
    spec: list[Sequence[str]] = []
    for size in sizes:
        spec += lists[size] if isinstance(size, str) else list(combinations(names, size))
    trained = family(list({canonical(s, names): list(s) for s in spec}.values()), names)
    with steps(100_000):
        for size in (n - 2, n - 1):
            parts = partition(names[:size], trained)
            assert sorted(m for part in parts for m in part) == sorted(names[:size])
            assert len(parts) <= size
    if sizes == (1, 2, 3):
        assert len(parts) == -(-(n - 1) // 3)


def test_a_search_that_takes_too_long_is_given_up_with_its_number() -> None:
    names = of(60)
    triples = family([list(t) for t in combinations(names[:22], 3)][::7], names)
    with steps(1000), pytest.raises(SearchLimit, match=r"contained in it.* 1,000 steps") as error:
        partition(names[:22], [*triples, *family(["+".join(names[10:15])], names)])
    assert f"{len(triples) + 1} trained subsets" in str(error.value)
    many = [(m,) for m in of(501)]
    with pytest.raises(SearchLimit, match="at most 500 modalities"):
        partition(of(501), [*many, ("m0", "m1")])
    assert partition(of(501), many) == many


def test_a_message_names_a_few_of_very_many() -> None:
    names = of(12)
    with pytest.raises(UsageError, match="m0, m1, .* and 4,063 more") as error:
        partition(("m11",), [s for s in family("all", names) if s != ("m11",)][:4083])
    assert len(str(error.value)) < 600
