"""What posteriors of all subsets cost, against singletons, as the number of modalities grows.

    python benchmarks/subsets.py

A training step of ``subsets = "all"`` with its defaults, of the same with a head for each subset
or one masked head, and of ``subsets = "singletons"`` (the paper), turn by turn in one process: the
time of a step and the memory that it holds, as multiples of those of the singletons, then the
growth of the step from N to 2N modalities. Pictures of 28×28 pixels and weights are random:
neither changes the work.
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
    before: dict[str, tuple[int, float]] = {}
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
        for name, took in times.items():
            if name in before:
                fewer, earlier = before[name]
                print(
                    f"    {name}: from {fewer} to {n} modalities {took / earlier:.2f}x the time, "
                    f"{n / fewer:.2f}x would be linear"
                )
        before = {name: (n, took) for name, took in times.items()}


if __name__ == "__main__":
    main()
