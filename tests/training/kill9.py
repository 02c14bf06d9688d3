"""Kill trainings at random instants and check that nothing is lost.

    python tests/training/kill9.py --times 200

A warm parent forks children that train a toy model with a checkpoint every one to three steps, and
kills each with SIGKILL: half of them at a random time, half between two operations on files, which
is where saves are. After every kill it checks that the run does not say it is running, that every
checkpoint in place verifies, and that at most one checkpoint interval is lost; the next child then
resumes. A run that reaches its end must equal, bit for bit, the one that was never killed.
"""

from __future__ import annotations

import argparse
import mmap
import os
import random
import shutil
import signal
import struct
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import torch
from trainings import assert_same_run, config, exit_code, forked, resume, train

from mmvae.foundations import operations
from mmvae.runs.checkpoint_store import CheckpointStore
from mmvae.runs.run import Run
from mmvae.training.trainer import Trainer

SETTINGS = {"epochs": 3, "ema": 0.9, "warmup_epochs": 3, "patience": 100}
SECONDS, OPERATIONS = 0.3, 250
"""A child is killed at the latest after so much time, or so many operations on files."""

done = mmap.mmap(-1, 8)
"""Steps that the present child has done; shared with it."""


def work(folder: Path, every: int) -> None:
    """Begin the run or go on with it."""
    if (folder / "status.json").exists():
        resume(folder)
    else:
        train(folder, config(train={**SETTINGS, "checkpoint_every": every}))


def watched(folder: Path, every: int, count: int | None) -> None:
    """Work, telling the parent each step; end after so many operations on files."""
    after_step = Trainer.after_step

    def told(self: Trainer, step: int) -> None:
        done[:] = struct.pack("q", step)
        after_step(self, step)

    left = count

    def fault(operation: str, *paths: Path) -> None:
        nonlocal left
        if left is not None:
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    Trainer.after_step = told  # type: ignore[method-assign]  # this process ends soon
    operations.fault = fault
    work(folder, every)


def checked(folder: Path, every: int) -> str:
    """Check a run that was killed; return where it stands."""
    if not (folder / "status.json").exists():
        return "not yet made"
    state = Run.open(folder).status().state
    # "finished": the kill came between the last file and the end of the process.
    assert state in ("killed", "finished"), f"{folder} says {state!r}"
    store = CheckpointStore(folder / "checkpoints")
    assert store.intact() == store.paths(), f"{folder} has a checkpoint that does not verify"
    steps = struct.unpack("q", done[:])[0]
    saved = 0 if store.empty else store.load("latest").step
    assert steps - saved <= every, f"{folder}: {steps} steps done, {saved} saved, every {every}"
    return f"step {steps}, saved {saved}"


def kill(folder: Path, every: int, chance: random.Random) -> bool:
    """Let a child work on a run and kill it; return whether it was killed in time."""
    by_operation = chance.random() < 0.5
    count = chance.randint(1, OPERATIONS) if by_operation else None
    child = forked(lambda: watched(folder, every, count))
    if not by_operation:
        time.sleep(chance.uniform(0.0, SECONDS))
        os.kill(child, signal.SIGKILL)
    code = exit_code(child)
    assert code in (0, -signal.SIGKILL), f"{folder}: a child ended with {code}"
    return code == -signal.SIGKILL


def loop(folder: Path, times: int, seed: int) -> tuple[int, int]:
    """Kill ``times`` times; return how many runs came to their end and how many kills landed."""
    chance = random.Random(seed)
    whole = folder / "whole"
    work(whole, 3)  # in this process, which warms it: the first step of torch imports much
    runs = kills = 0
    while kills < times:
        run, every = folder / f"run-{runs}", chance.randint(1, 3)
        done[:] = struct.pack("q", 0)
        while kills < times and kill(run, every, chance):
            kills += 1
            print(f"kill {kills}: {run.name}, every {every}: {checked(run, every)}", flush=True)
        assert exit_code(forked(lambda run=run, every=every: work(run, every))) == 0  # type: ignore[misc]
        assert_same_run(run, whole)
        shutil.rmtree(run)
        runs += 1
    return runs, kills


def main() -> None:
    """Read the command line and kill."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--times", type=int, default=200, help="kills (200)")
    parser.add_argument("--seed", type=int, default=0, help="of the instants (0)")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    folder = Path(tempfile.mkdtemp(prefix="mmvae-kill9-"))
    try:
        runs, kills = loop(folder, arguments.times, arguments.seed)
    except AssertionError:
        print(f"what is wrong lies in {folder}; --seed {arguments.seed}", file=sys.stderr)
        raise
    shutil.rmtree(folder)
    print(f"{kills} kills in {runs} runs: nothing lost, every run ended as if never killed")


if __name__ == "__main__":
    main()
