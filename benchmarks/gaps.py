"""What items with gaps cost, against complete ones.

    python benchmarks/gaps.py

A training step on a batch of which half of all modalities are missing, patterns mixed freely, and
one on as many complete items: the same networks, turn by turn in one process. What is absent is
computed as a stand-in and masked, so the cost does not depend on how many patterns there are.
"""

from __future__ import annotations

import argparse

import torch
from steps import Steps, in_turn, pictures

FAMILIES = ("singletons", "all")


def main() -> None:
    """Time, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--items", type=int, default=100, help="Items of a batch.")
    parser.add_argument("--modalities", type=int, default=5)
    parser.add_argument("--share", type=float, default=0.5, help="Of all values that are there.")
    parser.add_argument("--rounds", type=int, default=9)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    whole, some = (
        pictures(arguments.items, arguments.modalities, share) for share in (1.0, arguments.share)
    )
    present = sum(len(column) - column.num_missing for column in some.values())
    patterns = len(
        {tuple(column.present[i] for column in some.values()) for i in range(arguments.items)}
    )
    print(
        f"{arguments.items} items of {arguments.modalities} modalities; with gaps "
        f"{present / arguments.items / arguments.modalities:.0%} of the values, "
        f"{patterns} patterns in a batch"
    )
    for family in FAMILIES:
        steps = {
            "complete": Steps(whole, {"subsets": family}),
            "with gaps": Steps(some, {"subsets": family}),
        }
        times = in_turn(steps, arguments.rounds)
        print(
            f"{family:<11} complete {times['complete']:.3f} s/step, with gaps "
            f"{times['with gaps']:.3f} s/step, ratio {times['with gaps'] / times['complete']:.2f}"
        )


if __name__ == "__main__":
    main()
