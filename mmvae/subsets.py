"""Subsets of modalities: which get an encoder of their own, how they are named and combined.

A subset is a tuple of modality names in the order of the configuration; its canonical name joins
them with ``+``, so ``("image", "label")`` is written ``image+label``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import combinations

from mmvae.errors import ConfigError, UsageError, nearest

Subset = tuple[str, ...]


def canonical(names: str | Iterable[str], modalities: Sequence[str]) -> Subset:
    """Return ``names``, or one name, as a subset: each once, in the order of ``modalities``.

    Raises:
        UsageError: A name is no modality.
    """
    wanted = [names] if isinstance(names, str) else list(names)
    for name in wanted:
        if name not in modalities:
            raise UsageError(
                f"Unknown modality {name!r}; this model has {', '.join(modalities)}."
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
        ConfigError: An unknown family or modality, the full set, an empty or a repeated subset.
    """
    n = len(modalities)
    if n == 1 and isinstance(spec, str):
        return []  # a plain VAE: its only subset is the full set
    if spec == "singletons":
        return [(m,) for m in modalities]
    if spec == "all":
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
    for entry in spec:
        names = entry.split("+") if isinstance(entry, str) else list(entry)
        try:
            subset = canonical(names, modalities)
        except UsageError as error:
            raise ConfigError(f"model.subsets entry {entry!r}: {error}") from None
        if not subset or len(subset) == n or subset in found or len(names) != len(subset):
            raise ConfigError(
                f"model.subsets entry {entry!r}: expected a proper non-empty subset of "
                f"{', '.join(modalities)}, each modality and each subset named once."
            )
        found.append(subset)
    order = {m: i for i, m in enumerate(modalities)}
    return sorted(found, key=lambda s: (len(s), [order[m] for m in s]))


def partition(subset: Subset, trained: Sequence[Subset]) -> list[Subset]:
    """Partition ``subset`` into the fewest disjoint trained subsets (T8).

    Ties are broken by the order of ``trained``.

    Raises:
        UsageError: No partition exists; the message names the trained subsets.
    """
    for size in range(1, len(subset) + 1):
        parts = _cover(frozenset(subset), trained, size)
        if parts is not None:
            return parts
    names = ", ".join(map(subset_name, trained)) or "none"
    raise UsageError(
        f"No posterior for {subset_name(subset)!r}: it has no encoder of its own and cannot be "
        f"put together from the trained subsets ({names}). Train with model.subsets = "
        f"'singletons' or 'all', or list this subset."
    )


def _cover(rest: frozenset[str], trained: Sequence[Subset], size: int) -> list[Subset] | None:
    """The first ``size`` disjoint ones of ``trained``, in their order, whose union is ``rest``."""
    if size == 0:
        return None if rest else []
    for i, part in enumerate(trained):
        if part and rest.issuperset(part):
            others = _cover(rest.difference(part), trained[i + 1 :], size - 1)
            if others is not None:
                return [part, *others]
    return None
