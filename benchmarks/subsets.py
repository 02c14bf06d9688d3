"""What posteriors of all subsets cost, against singletons, as the number of modalities grows.

    python benchmarks/subsets.py

A training step of ``subsets = "all"`` with its defaults, of the same with a head for each subset,
one masked head, or a joint posterior with trunks of its own, and of ``subsets = "singletons"``
(the paper), turn by turn in one process: the time of a step and the memory that it holds, as
multiples of those of the singletons, then how the time has grown since the fewest modalities.
Pictures of 28×28 pixels and weights are random: neither changes the work.
"""

from __future__ import annotations

import argparse
from typing import Any

import torch
from steps import Steps, in_turn, pictures

SINGLETONS: dict[str, Any] = {"subsets": "singletons"}
ALL: dict[str, dict[str, Any]] = {
    "all": {"subsets": "all"},
    "all, own heads": {"subsets": "all", "heads": "own"},
    "all, masked head": {"subsets": "all", "heads": "masked"},
    "all, joint apart": {"subsets": "all", "trunks": "joint-apart"},
}
MOST_OWN = 8
"""More modalities have too many subsets for a head each."""


def main() -> None:
    """Time, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--items", type=int, default=100, help="Items of a batch.")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--modalities", type=int, nargs="+", default=[2, 4, 8, 16])
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{'N':>3} {'subsets':>8} {'family':<18} {'s/step':>8} {'time':>7} {'memory':>7}")
    first: tuple[int, dict[str, float]] | None = None
    for n in arguments.modalities:
        data = pictures(arguments.items, n)
        families = {
            name: keys for name, keys in ALL.items() if n <= MOST_OWN or keys.get("heads") != "own"
        }
        steps = {
            name: Steps(data, keys)
            for name, keys in {"singletons": SINGLETONS, **families}.items()
        }
        memory = {name: one.memory() for name, one in steps.items()}
        times = in_turn(steps, arguments.rounds)
        for name in steps:
            print(
                f"{n:>3} {2**n - 2:>8,} {name:<18} {times[name]:>8.3f} "
                f"{times[name] / times['singletons']:>6.2f}x "
                f"{memory[name] / memory['singletons']:>6.2f}x"
            )
        first = first or (n, times)
        fewest, earlier = first
        if n > fewest:
            grown = ", ".join(
                f"{name} {times[name] / earlier[name]:.1f}x" for name in times if name in earlier
            )
            print(f"    from {fewest} to {n} modalities, {n / fewest:.0f}x as many: {grown}")


if __name__ == "__main__":
    main()
