"""Families of subsets, their names, and their partitions against brute force."""

from __future__ import annotations

import time
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmvae.errors import ConfigError, UsageError
from mmvae.subsets import Subset, canonical, family, partition, subset_name

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


def test_a_hopeless_partition_is_found_out_quickly() -> None:
    names = tuple("abcdefghi")
    pairs = family(["+".join(pair) for pair in combinations(names, 2)], names)
    began = time.monotonic()
    with pytest.raises(UsageError, match="No posterior"):
        partition(names, pairs)  # nine modalities are no union of pairs
    assert time.monotonic() - began < 2
