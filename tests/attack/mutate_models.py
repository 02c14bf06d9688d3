"""Try every command on runs and models that say what they should not: run by hand, not by pytest.

    python tests/attack/mutate_models.py --count 1000 --seed 0 [--only state] [--run RUN]

It trains and evaluates a small run of the handwritten digits (or copies RUN), and then, for each
number of ``--count``, copies it, changes one thing by a seed of its own, puts the checksums right
again, and runs a command on it in a child process. It counts how the commands ended, and fails if
one ended in a traceback or by a signal, took 10 seconds more than it takes on a sound run, needed
1.5 GiB of memory, or changed a file outside the run and the place that it was told to write to.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
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
from collections.abc import Mapping
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import torch
from attack import mutations

from mmvae.cli.main import run as mmvae
from mmvae.plugins import load_registry

SECONDS, BYTES = 10, 1536 << 20
MODEL, RESULTS = ("generate", "embed", "score"), ("compare", "report")

TARGETS: dict[str, tuple[mutations.Mutation, str, tuple[str, ...]]] = {
    "state": (mutations.state_of, "model", MODEL),
    "manifest": (mutations.manifest_of, "model", MODEL),
    "checkpoint": (mutations.state_of, "CHECKPOINT", ("resume", "generate unfinished")),
    "latest": (mutations.sealed_json, "latest", ("resume", "generate unfinished")),
    "config": (mutations.toml_file, "config.resolved.toml", ("evaluate", "resume", "compare")),
    "env": (mutations.plain_json, "env.json", ("evaluate", "report", "resume")),
    "plugins": (mutations.plain_json, "plugins.lock.json", ("evaluate", "resume")),
    "status": (mutations.plain_json, "status.json", ("evaluate", "resume", "report")),
    "evaluation": (mutations.plain_json, "evaluation.json", RESULTS),
    "sealed evaluation": (mutations.sealed_json, "evaluation.json", RESULTS),
    "items": (mutations.damaged_bytes, "evaluation.items.safetensors", RESULTS),
    "metrics": (mutations.json_line, "metrics.jsonl", ("resume", "report")),
    "weights": (mutations.damaged_bytes, "model/model.safetensors", MODEL),
}
"""What is changed → how, the file or folder of the run, and the commands that read it."""

WEIGHTS = {"state": 5}
"""Targets that come up more often than once."""


def main() -> None:
    """Run the attack and print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=TARGETS)
    parser.add_argument("--run", type=Path)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    load_registry()
    ends: Counter[str] = Counter()
    faults: list[str] = []
    slowest = largest = 0.0
    with tempfile.TemporaryDirectory(prefix="mmvae-attack-") as name:
        place = Path(name)
        original = asked.run or trained(place)
        limits = sound(place, original)
        for number in range(asked.first, asked.first + asked.count):
            draws = random.Random(f"{asked.seed}/{number}")
            targets = [t for t in TARGETS for _ in range(WEIGHTS.get(t, 1))]
            target = asked.only or draws.choice(targets)
            end, seconds, size, what = attacked(place, original, target, draws, limits)
            ends[f"{target}: {end}"] += 1
            slowest, largest = max(slowest, seconds), max(largest, size)
            if not re.fullmatch(r"code [01235]", end):
                faults.append(f"{number}: {target}: {what}: {end}")
                print(faults[-1], flush=True)
            if (number + 1) % 100 == 0:
                print(f"{number + 1} tried, {len(faults)} faults", file=sys.stderr, flush=True)
    for end, count in sorted(ends.items()):
        print(f"{count:6}  {end}")
    print(f"slowest {slowest:.1f} s, largest {largest / 2**20:.0f} MiB, {len(faults)} faults")
    sys.exit(bool(faults))


def trained(place: Path) -> Path:
    """A small run, trained and evaluated."""
    config = place / "digits.toml"
    config.write_text(
        "data = {source = 'digits'}\n"
        "[modalities]\n"
        "image = {codec = 'bernoulli-image', encoder = [16], decoder = [16]}\n"
        "label = {codec = 'categorical', encoder = [16], decoder = [16]}\n"
        "[model]\nlatent_dim = 4\n"
        "[train]\nepochs = 1\ndevice = 'cpu'\nlog_every = 1\n"
        "[evaluate]\nsamples = 3\nbounds = ['standard']\n"
    )
    run = place / "original"
    for command in (["train", str(config), "--run-dir", str(run)], ["evaluate", str(run)]):
        if mmvae(["-q", *command]) != 0:
            sys.exit("the run to attack could not be made")
    return run


def sound(place: Path, original: Path) -> dict[str, float]:
    """Seconds that each command may take: those on the run as it is, thrice for chance, and 10."""
    limits = {}
    for command in sorted({c for _, _, commands in TARGETS.values() for c in commands}):
        folder, out = place / "run", place / "out"
        for old in (folder, out):
            shutil.rmtree(old, ignore_errors=True)
        shutil.copytree(original, folder)
        out.mkdir()
        end, seconds, _ = child(argv(command, folder, original, out), out, 300)
        if end != "code 0":
            sys.exit(f"{command} fails on a sound run: {end}\n{(place / 'log').read_text()}")
        limits[command] = 3 * seconds + SECONDS
    return limits


def attacked(
    place: Path,
    original: Path,
    target: str,
    draws: random.Random,
    limits: Mapping[str, float],
) -> tuple[str, float, float, str]:
    """Change one thing in a copy and run a command on it: how that ended, seconds, bytes."""
    folder, out, victim = place / "run", place / "out", place / "victim"
    for old in (folder, out, victim):
        shutil.rmtree(old, ignore_errors=True)
    shutil.copytree(original, folder)
    out.mkdir()
    victim.mkdir()
    (victim / "precious").write_text("precious")
    mutate, name, commands = TARGETS[target]
    command = draws.choice(commands)
    checkpoint = next((folder / "checkpoints").iterdir())
    if command == "generate unfinished":
        shutil.rmtree(folder / "model")
    what = mutate(checkpoint if name == "CHECKPOINT" else folder / name, draws, victim)
    before = shown(place, folder, out)
    words = argv(command, folder, original, out)
    end, seconds, size = child(words, out, limits[command])
    if shown(place, folder, out) != before:
        end = f"wrote elsewhere ({end})"
    return end, seconds, size, f"{what}: {command}"


def argv(command: str, folder: Path, original: Path, out: Path) -> list[str]:
    """The words of a command."""
    run = str(folder)
    words = {
        "embed": ["embed", run, "test", "--out", str(out / "z.csv")],
        "score": ["score", run, "test", "--samples", "2", "--out", str(out / "s.csv")],
        "compare": ["compare", run, str(original), "--no-group"],
        "resume": ["resume", run, "--max-steps", "20"],
    }
    if command.startswith("generate"):
        return ["generate", run, "--count", "2", "--out", str(out / "pictures")]
    return words.get(command, [command, run])


def child(words: list[str], cwd: Path, limit: float) -> tuple[str, float, float]:
    """Run a command in a child: how it ended, after how many seconds, with how many bytes."""
    began = time.monotonic()
    log = cwd.parent / "log"
    pid = os.fork()
    if pid == 0:
        code = 70
        try:
            signal.setitimer(signal.ITIMER_REAL, limit)
            os.chdir(cwd)
            with log.open("w") as stream:
                os.dup2(stream.fileno(), 1)
                os.dup2(stream.fileno(), 2)
            sys.stdout = open(1, "w", encoding="utf-8", closefd=False)
            sys.stderr = open(2, "w", encoding="utf-8", closefd=False)
            code = mmvae(words)
        except BaseException:
            traceback.print_exc()
        finally:
            with contextlib.suppress(OSError):
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(code)
    _, status, used = os.wait4(pid, 0)
    code, seconds = os.waitstatus_to_exitcode(status), time.monotonic() - began
    unit = 1 if sys.platform == "darwin" else 1024
    size = float(used.ru_maxrss * unit)
    text = log.read_text("utf-8", "replace")
    if code == 70:
        return f"traceback ({text.strip().splitlines()[-1][:200]})", seconds, size
    if code == -signal.SIGALRM:
        return f"no end within {limit:.0f} s", seconds, size
    return (f"{size / 2**20:.0f} MiB" if size > BYTES else f"code {code}"), seconds, size


def shown(place: Path, *but: Path) -> dict[str, str]:
    """A hash of each file below ``place``, but for folders that may change and the log."""
    found = {}
    for path in sorted(place.rglob("*")):
        if path.name != "log" and not any(path.is_relative_to(own) for own in but):
            data = path.read_bytes() if path.is_file() else b""
            found[str(path)] = hashlib.sha256(data).hexdigest()
    return found


if __name__ == "__main__":
    main()
