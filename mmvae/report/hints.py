"""Hints about an evaluation: doubtful decoders, queries left out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from mmvae.report.formats import Figure, percent
from mmvae.report.tables import in_order

DROWNS = 0.9
"""Threshold of the gradient share above which a modality may suppress the others."""


def left_out(result: Mapping[str, Any]) -> Iterator[str]:
    """One line for each statistic that is left out, with the reason."""
    for name, reason in result["left out"].items():
        yield f"left out: {name} ({reason})"


def hints(result: Mapping[str, Any]) -> Iterator[str]:
    """Advice for conspicuous results, one sentence each."""
    if remark := result.get("diverged"):
        yield f"warning: {remark}"
    yield from drowning(result)
    for direction, statistics in result.get("coherence", {}).items():
        real, chance = (
            statistics.get("classifier on real items"),
            statistics.get("most frequent class"),
        )
        if not real or not chance:
            continue
        made = statistics.get("mean")
        if not _above(real, chance):
            yield (
                f"hint: coherence {direction} is not informative: the accuracy of its classifier "
                f"on real items is {percent(real)}, no better than always predicting the most "
                f"frequent class ({percent(chance)})."
            )
        elif made and not _above(made, chance):
            given, _, target = direction.partition(" → ")
            yield (
                f"hint: {target} generated from {given} shows its class no more often ("
                f"{percent(made)}) than the share of the most frequent class ({percent(chance)}). "
                f"Unless {given} has no information on it, its decoder has learned nothing. Try a "
                f"longer warm-up, for a JMVAE model.start_variance = 0.02, or another activation "
                f"of its networks."
            )


def _above(statistic: Figure, chance: Figure) -> bool:
    """True if a share is above another by more than two standard errors."""
    mean, error, least = (
        x or 0.0 for x in (statistic["mean"], statistic["error"], chance["mean"])
    )
    return mean - 2 * error > least


def drowning(result: Mapping[str, Any]) -> Iterator[str]:
    """A hint if one modality has nearly all of the gradient, with the weights of the training."""
    weights = result.get("likelihood weights", {})
    terms = result.get("terms", {})
    pulls = {
        m: f["mean"] * weights.get(m, 1.0)
        for m, f in result.get("gradient shares", {}).items()
        if not terms or f"log_likelihood/{m}" in terms  # else no item has it
    }
    for m, pull in pulls.items():
        if len(pulls) == 1 or pull <= DROWNS * sum(pulls.values()):
            continue
        others = [name for name in in_order(pulls, result) if name != m]
        share, even = 100 * pull / sum(pulls.values()), len(set(weights.values())) < 2
        now = ", ".join(f"{name} {weights[name]:.3g}" for name in weights)
        yield (
            f"hint: {m} has {share:.0f} % of the gradient at z"
            f"{'' if even else f' even with the weights of this training ({now})'} and may "
            f"suppress {', '.join(others)}. If those are predicted poorly, weight them more: "
            f"modalities.{others[0]}.weight"
            f"{', or model.rescale = ' + repr('dimensions') + ' for all' if even else ''}."
        )
