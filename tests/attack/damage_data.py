"""Try commands on damaged data files: run by hand, not by pytest.

    python tests/attack/damage_data.py --count 300 --seed 0 [--format parquet]

For each format it writes small sound data. For each number of ``--count`` it damages one file by a
seed of its own, and reads it by ``data check``, ``train`` or ``impute`` in a child process. It
counts how the commands ended, and fails if one ended in a traceback or by a signal, used
the processor for 10 seconds or waited for 120, needed 1.5 GiB of memory, or changed a file outside
the place where it writes.
"""

from __future__ import annotations

import argparse
import random
import re
import shutil
import sys
import tempfile
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import datasets
import pyarrow.dataset
import pyarrow.parquet
import torch
from attack import sound_data
from attack.damage import damaged
from attack.mutate_models import SECONDS, child, shown

import mmvae.api
import mmvae.cli.data
import mmvae.cli.impute
import mmvae.cli.train
from mmvae.plugins import load_registry

WAITED = 120
"""Seconds after which a command that uses no processor hangs; that long for busy machines."""

IMPORTED = (datasets, pyarrow, mmvae)
"""What children need, imported once for all."""

TABLES = ("csv", "tsv", "jsonl", "json", "parquet", "arrow", "arrow-stream")


def main() -> None:
    """Run the attack and print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--format", choices=sound_data.FORMATS, action="append")
    parser.add_argument("--show", action="store_true", help="print what each command said last")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    load_registry()
    faults = 0
    for name in asked.format or sound_data.FORMATS:
        with tempfile.TemporaryDirectory(prefix="mmvae-attack-") as place:
            datasets.config.HF_DATASETS_CACHE = Path(place) / "out" / "cache"
            numbers = range(asked.first, asked.first + asked.count)
            faults += attack(Path(place), name, asked.seed, numbers, asked.show)
    sys.exit(bool(faults))


def attack(place: Path, name: str, seed: int, numbers: range, show: bool) -> int:
    """Damage data of one format so many times: how many commands ended as none may."""
    original, folder, out = place / "original", place / "data", place / "out"
    original.mkdir()
    run = sound(place, name, original)
    ends: Counter[str] = Counter()
    faults, slowest, largest = 0, 0.0, 0.0
    for number in numbers:
        draws = random.Random(f"{seed}/{name}/{number}")
        for old in (folder, out):
            shutil.rmtree(old, ignore_errors=True)
        folder.mkdir()
        out.mkdir()
        config, files = sound_data.write(name, folder)
        file = draws.choice(files)
        what, data = damaged(file.read_bytes(), draws)
        file.write_bytes(data)
        command = draws.choices(("check", "impute" if run else "check", "train"), (15, 4, 1))[0]
        words = argv(command, config, file, run, out)
        before = shown(place, out)
        end, seconds, size = child(words, out, WAITED, SECONDS)
        if shown(place, out) != before:
            end = f"wrote elsewhere ({end})"
        ends[end] += 1
        if show:
            said = (place / "log").read_text("utf-8", "replace").strip().splitlines()[-1:]
            print(f"{name} {number}: {what}: {command}: {end}: {said}", flush=True)
        slowest, largest = max(slowest, seconds), max(largest, size)
        if not re.fullmatch(r"code [012345]", end):
            faults += 1
            print(f"{name} {number}: {what}: {command}: {end}", flush=True)
    told = ", ".join(f"{count} {end}" for end, count in sorted(ends.items()) if "code" in end)
    print(
        f"{name}: {len(numbers)} files, {faults} faults ({told}); slowest {slowest:.1f} s, "
        f"largest {largest / 2**20:.0f} MiB",
        flush=True,
    )
    return faults


def sound(place: Path, name: str, original: Path) -> Path | None:
    """See that sound data are read; of a table a run, which can fill gaps."""
    config, files = sound_data.write(name, original)
    out = place / "out"
    out.mkdir()
    run = original / "run"
    commands = [["train", str(config), "--run-dir", str(run)], ["data", "check", str(config)]]
    if name in TABLES:
        commands.append(argv("impute", config, files[0], run, out))
    for words in commands:
        end, _, _ = child(words, out, 120)
        if end not in ("code 0", "code 1"):
            sys.exit(f"{name}: {words} fails on sound data: {end}\n{(place / 'log').read_text()}")
    return run if name in TABLES else None


def argv(command: str, config: Path, file: Path, run: Path | None, out: Path) -> list[str]:
    """The words of a command."""
    if command == "impute":
        return ["-q", "impute", str(run), str(file), "--out", str(out / f"filled{file.suffix}")]
    if command == "train":
        steps = ["--run-dir", str(out / "run"), "--max-steps", "1"]
        return ["-q", "train", str(config), *steps]
    return ["-q", "data", "check", str(config)]


if __name__ == "__main__":
    main()
