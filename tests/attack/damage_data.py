"""Try commands on damaged data files: run by hand, not by pytest.

    python tests/attack/damage_data.py --count 300 --seed 0 [--format parquet]

For each format it writes small sound data. For each number of ``--count`` it damages one file by a
seed of its own, and reads it by ``data check``, ``impute`` or ``train``, 25 of them in one child
process. It counts how the commands ended, and fails if one ended in a traceback or by a signal,
used the processor for 10 seconds or waited for 120, needed 1.5 GiB of memory, or changed a file
outside the place where it writes.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import datasets
import pyarrow.dataset
import pyarrow.parquet
import torch
from attack import sound_data
from attack.damage import damaged
from attack.mutate_models import BYTES, SECONDS, child, shown

import mmvae.cli.data
import mmvae.cli.impute
import mmvae.cli.train
import mmvae.experiments.train
from mmvae.cli.main import run as mmvae_main
from mmvae.plugins.loader import load_registry

BATCH = 25
"""Files that one child tries, unless it dies of one."""

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
    registry = load_registry()
    for module in list(sys.modules.values()):
        if getattr(module, "load_registry", None) is load_registry:
            module.load_registry = lambda **_: registry  # made once: half of a command's time
    faults = 0
    for name in asked.format or sound_data.FORMATS:
        with tempfile.TemporaryDirectory(prefix="mmvae-attack-") as place:
            datasets.config.HF_DATASETS_CACHE = Path(place) / "out" / "cache"
            numbers = range(asked.first, asked.first + asked.count)
            faults += attack(Path(place), name, asked.seed, numbers, asked.show)
    sys.exit(bool(faults))


def attack(place: Path, name: str, seed: int, numbers: range, show: bool) -> int:
    """Damage data of one format so many times: how many commands ended as none may."""
    original = place / "original"
    original.mkdir()
    run = sound(place, name, original)
    ends: Counter[str] = Counter()
    faults, slowest, largest, waiting = 0, 0.0, 0.0, list(numbers)
    while waiting:
        batch, tried = waiting[:BATCH], 0
        log = place / "tried"
        log.unlink(missing_ok=True)
        status, size = worker(place, name, seed, batch, run, log)
        lines = log.read_text().splitlines() if log.exists() else []
        if len(lines) % 2:  # it was begun, and not ended
            lines.append(f"{lines[-1]}\t{status}\t{SECONDS}\t")
        if not lines:
            sys.exit(f"{name}: no attack could be begun: {status}")
        for line in lines[1::2]:
            number, what, command, end, seconds, said = line.split("\t")
            ends[end] += 1
            slowest = max(slowest, float(seconds))
            fault = not re.fullmatch(r"code [012345]", end)
            faults, tried = faults + fault, tried + 1
            if fault or show:
                print(f"{name} {number}: {what}: {command}: {end}: {said}", flush=True)
        if size > BYTES:
            faults += 1
            print(f"{name} {batch[0]} to {batch[tried - 1]}: {size / 2**20:.0f} MiB", flush=True)
        largest, waiting = max(largest, size), waiting[tried:]
    told = ", ".join(f"{count} {end}" for end, count in sorted(ends.items()) if "code" in end)
    print(
        f"{name}: {len(numbers)} files, {faults} faults ({told}); slowest {slowest:.1f} s, "
        f"largest {largest / 2**20:.0f} MiB",
        flush=True,
    )
    return faults


def worker(
    place: Path, name: str, seed: int, numbers: list[int], run: Path | None, log: Path
) -> tuple[str, float]:
    """Try some files in a child that notes how each went: how it ended, and its bytes."""
    pid = os.fork()
    if pid == 0:
        try:
            for number in numbers:
                attempt(place, name, random.Random(f"{seed}/{name}/{number}"), number, run, log)
        finally:
            os._exit(0)
    _, status, used = os.wait4(pid, 0)
    code = os.waitstatus_to_exitcode(status)
    ended = f"signal {-code}"
    if -code in (signal.SIGALRM, signal.SIGPROF):
        ended = f"no end within {WAITED if -code == signal.SIGALRM else SECONDS} s"
    return ended, float(used.ru_maxrss * (1 if sys.platform == "darwin" else 1024))


def attempt(
    place: Path, name: str, draws: random.Random, number: int, run: Path | None, log: Path
) -> None:
    """Damage one file and run a command on it."""
    folder, out = place / "data", place / "out"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.rmtree(out, ignore_errors=True)
    folder.mkdir()
    out.mkdir()
    config, files = sound_data.write(name, folder)
    file = draws.choice(files)
    what, data = damaged(file.read_bytes(), draws)
    file.write_bytes(data)
    command = draws.choices(("check", "impute" if run else "check", "train"), (79, 20, 1))[0]
    before = shown(place, out, log)
    begun = f"{number}\t{what}\t{command}"
    with log.open("a") as lines:
        lines.write(f"{begun}\n")
    signal.setitimer(signal.ITIMER_REAL, WAITED)
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    busy = time.process_time()
    with (place / "log").open("w") as stream:
        os.dup2(stream.fileno(), 1)
        os.dup2(stream.fileno(), 2)
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False)
    sys.stderr = open(2, "w", encoding="utf-8", closefd=False)
    try:
        end = f"code {mmvae_main(argv(command, config, file, run, out))}"
    except BaseException as error:
        end = f"traceback ({type(error).__name__}: {str(error)[:200]!r})"
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    busy = time.process_time() - busy
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.setitimer(signal.ITIMER_PROF, 0)
    if shown(place, out, log) != before:
        end = f"wrote elsewhere ({end})"
    said = (place / "log").read_text("utf-8", "replace").strip().splitlines()[-1:]
    with log.open("a") as lines:
        lines.write(f"{begun}\t{end}\t{busy}\t{said}\n")


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
