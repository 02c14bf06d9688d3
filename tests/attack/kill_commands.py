"""Kill every command that writes, at any instant: run by hand, or by test_kills.py in part.

    python tests/attack/kill_commands.py --count 20 --seed 0 [--only embed --only report]

It makes a small run of the handwritten digits, and does each command twice undisturbed, on copies.
Then it does each ``--count`` times in a child process that ends by SIGKILL: every other one at a
random instant, the rest at a random operation on files. After each it looks whether what was there
before is whole, old or new, and whether no run is said to be running; does the same command again,
which must end as the undisturbed one did; and looks for what was left behind.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import io
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
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from PIL import Image

from mmvae.cli.main import run as mmvae
from mmvae.foundations import operations
from mmvae.foundations.errors import MmvaeError
from mmvae.inference.filled_pictures import UNFINISHED
from mmvae.inference.model_folder import load_model
from mmvae.plugins.loader import load_registry
from mmvae.runs.manifest import read_checked_tensors
from mmvae.runs.run import Run

REST = re.compile(r"\..*\.(partial|previous|making)|evaluation\.parts")
"""Names of what must not be left behind."""

TIMES = re.compile(rb'"(seconds|training_seconds|items_per_second|seconds_left)": [^,}]*')
PATIENCE = 30.0

CONFIG = """\
data = {source = 'digits'}
[modalities]
image = {codec = 'bernoulli-image', encoder = [16], decoder = [16]}
label = {codec = 'categorical', encoder = [16], decoder = [16]}
[model]
latent_dim = 4
[train]
epochs = 1
device = 'cpu'
log_every = 1
checkpoint_every = 3
[evaluate]
samples = 3
batch_size = 90
bounds = ['label@multiple']
coherence = false
"""

STUDY = """\
title = "Digits"
about = "Of digits."
notes = "The end."
rows = ["weak.toml", "strong.toml"]
[schedules.full]
[[tables]]
title = "log p(label)"
cells = ["label@multiple"]
"""


@dataclass(frozen=True)
class Attacked:
    """A command that writes.

    Attributes:
        words: Its arguments; the working folder is a copy of the one that :func:`template` makes.
        places: Files and folders that each are old or new at every instant.
        ends: More that is as after an undisturbed one in the end.
        runs: Runs that it changes.
        refused: What it says where an earlier one has done all.
        then: What goes on instead, if it is refused with a part done.
    """

    words: Sequence[str]
    places: Sequence[str]
    ends: Sequence[str] = ()
    runs: Sequence[str] = ()
    refused: str = ""
    then: Sequence[str] = ()


COMMANDS = {
    "train": Attacked(
        ["train", "digits.toml", "--run-dir", "new"],
        ["new/model"],
        ["new/metrics.jsonl", "new/config.toml", "new/config.resolved.toml"],
        ["new"],
        "already holds a run",
        ["resume", "new"],
    ),
    # Until it ends a training has no model, and the latest checkpoint counts.
    "resume": Attacked(["resume", "begun"], [], ["begun/model", "begun/metrics.jsonl"], ["begun"]),
    "resume longer": Attacked(
        ["resume", "run", "-s", "train.epochs=2"],
        [],
        ["run/model", "run/metrics.jsonl"],
        ["run"],
    ),
    "evaluate": Attacked(
        ["evaluate", "run", "-s", "evaluate.samples=4"],
        ["run/evaluation.json", "run/evaluation.items.safetensors"],
        runs=["run"],
    ),
    "report": Attacked(["report", "run"], ["run/figures", "run/report.html"], runs=["run"]),
    "figures": Attacked(
        ["figures", "latent", "run", "--label", "label", "--out", "map.png"], ["map.png"]
    ),
    "embed": Attacked(["embed", "run", "test", "--out", "z.csv"], ["z.csv"]),
    "embed npz": Attacked(["embed", "run", "test", "--out", "z.npz"], ["z.npz"]),
    "score": Attacked(
        ["score", "run", "test", "--samples", "2", "--seed", "1", "--out", "s.parquet"],
        ["s.parquet"],
    ),
    "retrieve": Attacked(
        ["retrieve", "run", "test", "--query", "image", "--from", "label", "--out", "r.jsonl"],
        ["r.jsonl"],
    ),
    "impute": Attacked(
        ["impute", "run", "gaps.csv", "--out", "filled.csv"],
        ["filled.csv", "filled_pictures"],
        refused="exists already",
    ),
    "generate": Attacked(
        ["generate", "run", "--count", "3", "--seed", "1", "--to", "image", "--out", "pictures"],
        ["pictures"],
        refused="exists; name a new",
    ),
    "generate png": Attacked(
        ["generate", "run", "--count", "3", "--seed", "1", "--to", "image", "--out", "p.png"],
        ["p.png"],
    ),
    "generate table": Attacked(
        ["generate", "run", "--count", "3", "--seed", "1", "--to", "label", "--out", "l.csv"],
        ["l.csv"],
    ),
    "data make": Attacked(
        ["data", "make", "leaves", "--items", "150", "--processes", "1", "--out", "leaves"],
        ["leaves"],
        refused="is not empty",
    ),
    "data make in two processes": Attacked(
        ["data", "make", "leaves", "--items", "150", "--processes", "2", "--out", "leaves"],
        ["leaves"],
        refused="is not empty",
    ),
    "plugins new": Attacked(
        ["plugins", "new", "mmvae-angles", "--codec", "angle"],
        ["mmvae-angles"],
        refused="exists already",
    ),
    "config schema": Attacked(["config", "schema", "--out", "schema.json"], ["schema.json"]),
    "reproduce": Attacked(
        ["reproduce", "study.toml", "--runs", "rows", "--results", "results"],
        [
            f"{place}/{row}{end}"
            for place, end in (("rows", "/model"), ("results/study/full", ".json"))
            for row in ("weak", "strong")
        ],
        runs=["rows/weak", "rows/strong"],
    ),
    "reproduce --page": Attacked(
        ["reproduce", "study.toml", "--results", "done", "--page", "page.md"], ["page.md"]
    ),
}


@dataclass
class Undisturbed:
    """What a command does that nobody kills.

    Attributes:
        seconds: How long it takes.
        operations: How many operations on files it does.
        old: Place → what is there before, see :func:`shown`.
        new: Place → what is there afterwards.
        varying: Files that differ from one time to the next.
    """

    seconds: float
    operations: int
    old: dict[str, object]
    new: dict[str, object]
    varying: set[str] = field(default_factory=set)


def main() -> None:
    """Run the attack and print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=COMMANDS, action="append")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    load_registry()
    faults = 0
    with tempfile.TemporaryDirectory(prefix="mmvae-kills-") as name:
        place = Path(name)
        os.environ["HF_HOME"] = os.environ["HF_DATASETS_CACHE"] = str(place / "cache")
        template(place / "template")
        for command in asked.only or COMMANDS:
            faults += attack(place, command, asked.count, asked.seed)
    print(f"{faults} faults")
    sys.exit(bool(faults))


def attack(place: Path, name: str, count: int, seed: int) -> int:
    """Kill one command ``count`` times; the number of faults, which are printed."""
    command = COMMANDS[name]
    found = undisturbed(place, command)
    ends: Counter[str] = Counter()
    faults = 0
    for number in range(count):
        draws = random.Random(f"{seed}/{name}/{number}")
        at = draws.randint(1, found.operations) if number % 2 else None
        after = draws.uniform(0, 1.1 * found.seconds)
        what = f"at operation {at} of {found.operations}" if at else f"after {after:.2f} s"
        work = fresh(place)
        ended = child(command.words, work, place / "log", after=None if at else after, at=at)
        ends["killed" if ended == -signal.SIGKILL else f"code {ended}"] += 1
        for fault in (*half_done(command, work, found), *not_mended(command, work, found)):
            faults += 1
            print(f"{name}, number {number}, {what}: {fault}", flush=True)
    told = ", ".join(f"{count} {end}" for end, count in sorted(ends.items()))
    varying = f"; not compared: {', '.join(sorted(found.varying))}" if found.varying else ""
    print(
        f"{name}: {told}; {found.operations} operations in {found.seconds:.1f} s, {faults} faults"
        f"{varying}",
        flush=True,
    )
    return faults


def undisturbed(place: Path, command: Attacked) -> Undisturbed:
    """Do a command to its end, twice."""
    news, files = [], (*command.places, *command.ends)
    for _ in range(2):
        work = fresh(place)
        old, began = {p: shown(work / p) for p in files}, time.monotonic()
        code = child(command.words, work, place / "log", count=place / "operations")
        seconds, text = time.monotonic() - began, (place / "log").read_text()
        if code:
            sys.exit(f"{' '.join(command.words)} ends with {code}: {text}")
        if rest := left(work):
            sys.exit(f"{' '.join(command.words)} leaves {rest}")
        news.append({p: shown(work / p) for p in files})
    one, other = news
    varying = {p for p in files if one[p] != other[p]}
    operations = int((place / "operations").read_text())
    return Undisturbed(seconds, operations, old, other, varying)


def half_done(command: Attacked, work: Path, found: Undisturbed) -> list[str]:
    """What is wrong after a command was killed."""
    faults = []
    for place in command.places:
        there = shown(work / place)
        if place not in found.varying and there not in (found.old[place], found.new[place]):
            faults.append(f"{place} is neither old nor new, but {difference(there, found, place)}")
    for name in command.runs:
        if not (work / name / "status.json").exists():
            continue
        try:
            if (state := Run.open(work / name).status().state) == "running":
                faults.append(f"{name} is said to be {state}")
            if (work / name / "model").exists() or (work / name / "latest").exists():
                load_model(work / name)
        except MmvaeError as error:
            faults.append(f"{name}: {error}")
    return faults


def not_mended(command: Attacked, work: Path, found: Undisturbed) -> list[str]:
    """What is wrong after a command that was killed is done again."""
    log = work.parent / "log"
    words = command.words
    code = child(words, work, log)
    if code and command.refused and command.refused in log.read_text():
        if command.then:
            code = child(words := command.then, work, log)
        elif all((work / p).exists() for p in command.places):
            code = 0
    if code:
        return [f"{' '.join(words)} then ends with {code}: {log.read_text().strip()}"]
    faults = []
    for place, wanted in found.new.items():
        if place not in found.varying and (there := shown(work / place)) != wanted:
            faults.append(f"{place} is then {difference(there, found, place)}")
    if rest := left(work):
        faults.append(f"then {', '.join(rest)} are left")
    return faults


def difference(there: object, found: Undisturbed, place: str) -> str:
    """How something differs from what it should be."""
    new = found.new[place]
    if not isinstance(there, dict) or not isinstance(new, dict):
        return "missing" if there is None else "other bytes"
    names = {n for n in there.keys() | new.keys() if there.get(n) != new.get(n)}
    return f"different in {', '.join(sorted(names))}"


def left(work: Path) -> list[str]:
    """What should not be there any more."""
    return [str(p.relative_to(work)) for p in work.rglob("*") if REST.fullmatch(p.name)]


def shown(path: Path) -> object:
    """What a file or folder holds, as far as it does not tell the time; None if there is none."""
    if path.is_dir():
        files = [p for p in path.rglob("*") if p.is_file() and p.name != UNFINISHED]
        return {str(p.relative_to(path)): shown(p) for p in files}
    if not path.exists():
        return None
    data = path.read_bytes()
    if path.suffix == ".safetensors":  # whose header has no order
        tensors, said = read_checked_tensors(data)
        data = repr([sorted(said.items()), sorted((k, v.tolist()) for k, v in tensors.items())])
        data = data.encode()
    return hashlib.sha256(TIMES.sub(b"", data)).hexdigest()


def fresh(place: Path) -> Path:
    """The working folder as it is before a command."""
    work = place / "work"
    shutil.rmtree(work, ignore_errors=True)
    shutil.copytree(place / "template", work)
    return work


def template(folder: Path) -> None:
    """Make the folder that commands work in: runs, tables, and what earlier commands wrote."""
    folder.mkdir()
    (folder / "digits.toml").write_text(CONFIG)
    (folder / "study.toml").write_text(STUDY)
    for row in ("weak", "strong"):
        alpha = {"weak": 0.1, "strong": 1.0}[row]
        text = CONFIG.replace("latent_dim = 4", f"latent_dim = 4\nalpha = {alpha}")
        text += f"[reference]\nrow = '{row}'\nsource = 'Nobody'\n"
        (folder / f"{row}.toml").write_text(text)
    for number in range(4):
        Image.new("L", (8, 8), 60 * number).save(folder / f"{number}.png")
    rows = ["0.png,3", ",5", "1.png,", ",", "2.png,7", ",1"]
    (folder / "gaps.csv").write_text("\n".join(["image,label", *rows]) + "\n")
    for words in (
        ["train", "digits.toml", "--run-dir", "run"],
        ["train", "digits.toml", "--run-dir", "begun", "--max-steps", "5"],
        ["evaluate", "run"],
        ["report", "run"],
        ["evaluate", "run", "-s", "evaluate.samples=2"],  # so that the next report is another
        ["figures", "latent", "run", "--split", "validation", "--label", "label"]
        + ["--out", "map.png"],
        ["embed", "run", "validation", "--out", "z.csv"],
        ["embed", "run", "validation", "--out", "z.npz"],
        ["score", "run", "validation", "--samples", "2", "--out", "s.parquet"],
        ["retrieve", "run", "validation", "--query", "image", "--from", "label"]
        + ["--out", "r.jsonl"],
        ["generate", "run", "--count", "2", "--seed", "2", "--to", "image", "--out", "p.png"],
        ["generate", "run", "--count", "2", "--seed", "2", "--to", "label", "--out", "l.csv"],
        ["reproduce", "study.toml", "--runs", "of-done", "--results", "done"],
    ):
        # In this process, so that its children have all modules and start at once.
        with contextlib.chdir(folder), contextlib.redirect_stdout(io.StringIO()):
            if (code := mmvae(["-q", *words])) != 0:
                sys.exit(f"{' '.join(words)} ends with {code}")
    (folder / "schema.json").write_text("{}")
    (folder / "page.md").write_text("old")


def child(
    words: Sequence[str],
    cwd: Path,
    log: Path,
    after: float | None = None,
    at: int | None = None,
    count: Path | None = None,
) -> int:
    """Do a command in a child of its own session.

    Args:
        words: The command.
        cwd: Where.
        log: Where its output goes.
        after: Kill it after so many seconds, if it lives so long.
        at: Kill it at this operation on files, counted from 1.
        count: Where the number of operations goes.

    Returns:
        Its exit code; negative, the signal that ended it.
    """
    pid = os.fork()
    if pid == 0:
        code = 70
        try:
            os.setsid()
            os.chdir(cwd)
            with log.open("w") as stream:
                os.dup2(stream.fileno(), 1)
                os.dup2(stream.fileno(), 2)
            sys.stdout = open(1, "w", encoding="utf-8", closefd=False)
            sys.stderr = open(2, "w", encoding="utf-8", closefd=False)
            operations.fault = counted = Operations(at)
            code = mmvae(list(words))
            if count is not None:
                count.write_text(str(counted.done))
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
    if after is not None:
        time.sleep(after)
        os.kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    alone(pid)
    return os.waitstatus_to_exitcode(status)


class Operations:
    """Counts operations on files, and ends the process at one of them."""

    def __init__(self, at: int | None) -> None:
        self.at, self.done = at, 0

    def __call__(self, operation: str, *paths: Path) -> None:
        """See :data:`mmvae.foundations.operations.fault`."""
        self.done += 1
        if self.done == self.at:
            os.kill(os.getpid(), signal.SIGKILL)


def alone(session: int) -> None:
    """Wait until no process of a session lives: workers end when their parent does."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        try:
            os.killpg(session, 0)
        except ProcessLookupError:
            return
        time.sleep(0.02)
    os.killpg(session, signal.SIGKILL)
    raise SystemExit("processes of a command that was killed live on")


if __name__ == "__main__":
    main()
