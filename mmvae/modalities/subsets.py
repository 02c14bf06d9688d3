"""Subsets of modalities: the family with encoders of their own, names and partitions.

A subset is a tuple of modality names in the order of the configuration; its canonical name joins
them with ``+``, so ``("image", "label")`` is written ``image+label``.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import combinations

from mmvae.foundations.errors import ConfigError, SearchLimit, UsageError, listed, nearest, short

Subset = tuple[str, ...]

MOST_OF_ALL = 16
"""Maximum number of modalities for training ``"all"`` subsets: 2^16 − 2 are 65,534."""

MOST_STEPS = 1_000_000
"""Number of trained subsets after which the search for one partition stops."""

MOST_SEARCHED = 500
"""Maximum size of a subset for which a partition is searched."""


def canonical(names: str | Iterable[str], modalities: Sequence[str]) -> Subset:
    """Return ``names``, or one name, as a subset: each once, in the order of ``modalities``.

    Raises:
        UsageError: A name is not a modality.
    """
    single = isinstance(names, str) or not isinstance(names, Iterable)
    wanted = [names] if single else list(names)
    for name in wanted:
        if not isinstance(name, str):
            raise UsageError(
                f"got {short(name)} for a modality, expected its name; this model has "
                f"{', '.join(modalities)}."
            )
        if name not in modalities:
            raise UsageError(
                f"Unknown modality {short(name)}; this model has {', '.join(modalities)}."
                + nearest(name, modalities)
            )
    return tuple(m for m in modalities if m in wanted)


def subset_name(subset: Subset) -> str:
    """Return the name that configs, metrics and tables use: ``a+b``."""
    return "+".join(subset)


def family(spec: str | Sequence[str | Sequence[str]], modalities: Sequence[str]) -> list[Subset]:
    """Return the family of proper non-empty subsets that get a posterior of their own (T6).

    Args:
        spec: ``"singletons"`` (the paper), ``"all"``, ``"leave-one-out"``, or a list whose
            entries are names such as ``"image+label"`` or lists of modality names.
        modalities: All modality names in the order of the configuration.

    Returns:
        Subsets ordered by size, then by the order of the configuration; empty for one modality.

    Raises:
        ConfigError: An unknown family or modality, the full set, an empty or a repeated subset,
            or all subsets of more than :data:`MOST_OF_ALL` modalities.
    """
    n = len(modalities)
    if n == 1 and isinstance(spec, str):
        return []  # a plain VAE: the only subset is the full set
    if spec == "singletons":
        return [(m,) for m in modalities]
    if spec == "all":
        if n > MOST_OF_ALL:
            raise ConfigError(
                f"model.subsets = 'all': {n} modalities have 2^{n} − 2 = {2**n - 2:,} proper "
                f"non-empty subsets; expected at most {MOST_OF_ALL} modalities, which have "
                f"{2**MOST_OF_ALL - 2:,}. Use 'singletons', whose posteriors are combined for "
                f"all other subsets, 'leave-one-out', or a list of the subsets that are needed. "
                f"With model.missing = 'zero' the joint posterior serves all subsets."
            )
        return [s for size in range(1, n) for s in combinations(modalities, size)]
    if spec == "leave-one-out":
        return [tuple(m for m in modalities if m != left) for left in reversed(modalities)]
    if isinstance(spec, str):
        words = ("singletons", "all", "leave-one-out")
        raise ConfigError(
            f"model.subsets = {spec!r}: expected one of {', '.join(words)} or a list of subsets "
            f"such as ['{modalities[0]}'].{nearest(spec, words)}"
        )
    found: list[Subset] = []
    seen: set[Subset] = set()
    for entry in spec:
        names = entry.split("+") if isinstance(entry, str) else list(entry)
        try:
            subset = canonical(names, modalities)
        except UsageError as error:
            raise ConfigError(f"model.subsets entry {entry!r}: {error}") from None
        if not subset or len(subset) == n or subset in seen or len(names) != len(subset):
            raise ConfigError(
                f"model.subsets entry {entry!r}: expected a proper non-empty subset of "
                f"{', '.join(modalities)}, each modality and each subset named once."
            )
        found.append(subset)
        seen.add(subset)
    order = {m: i for i, m in enumerate(modalities)}
    return sorted(found, key=lambda s: (len(s), [order[m] for m in s]))


def partition(subset: Subset, trained: Sequence[Subset]) -> list[Subset]:
    """Partition ``subset`` into the fewest disjoint trained subsets (T8).

    Ties are broken by the order of ``trained``: of all partitions into the fewest, the one that
    has the earliest first member, then the earliest second one, and so on. If the trained subsets
    inside ``subset`` are disjoint, as singletons are, there is only one partition, and no search.

    Raises:
        UsageError: No partition exists; the message names the trained subsets.
        SearchLimit: The search exceeded :data:`MOST_STEPS` subsets before the fewest were found.
    """
    wanted = frozenset(subset)
    inside = [part for part in trained if part and wanted.issuperset(part)]
    if itself := [part for part in inside if len(part) == len(wanted)]:
        return itself
    parts: list[Subset] | None = None
    if wanted == frozenset().union(*inside):
        disjoint = sum(map(len, inside)) == len(wanted)
        parts = inside if disjoint else _fewest(subset, inside)
    if parts is None:
        raise UsageError(
            f"No posterior for {subset_name(subset)!r}: it has no encoder of its own and cannot "
            f"be combined from the trained subsets "
            f"({listed(map(subset_name, trained)) or 'none'}). Train with model.subsets = "
            f"'singletons' or 'all', or list this subset."
        )
    return parts


def _fewest(subset: Subset, trained: Sequence[Subset]) -> list[Subset] | None:
    """The first of the partitions of ``subset`` into the fewest; None if there is none.

    Raises:
        SearchLimit: See :func:`partition`.
    """
    bit = {m: 1 << i for i, m in enumerate(subset)}
    cover = Cover([sum(bit[m] for m in part) for part in trained])
    try:
        if len(subset) > MOST_SEARCHED:
            raise StepsExceeded
        places = cover.first((1 << len(subset)) - 1)
    except StepsExceeded:
        raise SearchLimit(
            f"No posterior for {subset_name(subset)!r}: it has no encoder of its own, and "
            f"{len(trained):,} trained subsets are contained in it: too many to find the fewest "
            f"that cover it, in at most {MOST_STEPS:,} steps of a search over at most "
            f"{MOST_SEARCHED} modalities. Train with model.subsets = 'singletons', or list "
            f"this subset."
        ) from None
    return None if places is None else [trained[i] for i in places]


class StepsExceeded(Exception):
    """A search took more than :data:`MOST_STEPS`."""


class Cover:
    """The search for the fewest disjoint parts whose union is a set; sets are bit masks.

    It branches over the parts that contain one element, the one in the fewest parts, largest parts
    first, and memoises which sets are unions of how many parts.

    Args:
        parts: Sets that are not empty.

    Attributes:
        steps: Number of parts examined so far.
    """

    def __init__(self, parts: Sequence[int]) -> None:
        self.parts = parts
        self.steps = 0
        self._enough = dict.fromkeys(parts, 1)
        self._too_few: dict[int, int] = {}
        elements = range(max(parts).bit_length())
        having = {e: [p for p in parts if p >> e & 1] for e in elements}
        for those in having.values():
            those.sort(key=int.bit_count, reverse=True)
        self._having = sorted(having.items(), key=lambda pair: len(pair[1]))
        self._least = _fewest_summands({p.bit_count() for p in parts}, len(elements))

    def first(self, whole: int) -> list[int] | None:
        """Indices of the parts of the first partition into the fewest; None without one.

        Raises:
            StepsExceeded: The search takes too long.
        """
        size = whole.bit_count()
        if not self.possible(whole, size):
            return None
        count = next(c for c in range(1, size + 1) if self.possible(whole, c))
        places: list[int] = []
        for i, part in enumerate(self.parts):  # a skipped part is in no smallest partition
            if part & ~whole == 0 and self.possible(whole ^ part, count - 1):
                places.append(i)
                whole, count = whole ^ part, count - 1
        return places

    def possible(self, rest: int, count: int) -> bool:
        """True if ``rest`` is the union of at most ``count`` disjoint parts."""
        count = min(count, rest.bit_count())
        if rest == 0 or self._enough.get(rest, count + 1) <= count:
            return True
        if (
            count < 2
            or self._least[rest.bit_count()] > count
            or self._too_few.get(rest, -1) >= count
        ):
            return False
        for part in next(parts for element, parts in self._having if rest >> element & 1):
            self.steps += 1
            if self.steps > MOST_STEPS:
                raise StepsExceeded
            if part & ~rest == 0 and self.possible(rest ^ part, count - 1):
                self._enough[rest] = count
                return True
        self._too_few[rest] = count
        return False


def _fewest_summands(sizes: Iterable[int], most: int) -> list[float]:
    """The fewest of some sizes that sum to 0, 1, …, ``most``; infinity where none do."""
    least: list[float] = [0.0]
    for total in range(1, most + 1):
        least.append(1 + min((least[total - s] for s in sizes if s <= total), default=math.inf))
    return least
