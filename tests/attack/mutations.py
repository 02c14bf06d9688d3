"""Mutations of what a run or a model says of itself, by seed, sealed as if nothing had happened.

A checksum keeps out accidents. Whoever gives a model away can seal what they like, so these
helpers change one place of a JSON or TOML file and put every checksum right again.
"""

from __future__ import annotations

import copy
import hashlib
import json
import random
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import tomli_w

from mmvae.runs.manifest import with_checksum

ELSEWHERE = "/elsewhere"
"""Stands for a folder that must stay as it is; `values` puts the real one in its place."""

NASTY: tuple[Any, ...] = (
    None,
    True,
    -1,
    0,
    1,
    3,
    2**31,
    10**12,
    -(10**18),
    0.5,
    1e308,
    "",
    " ",
    "x",
    "a/b",
    "../x",
    f"{ELSEWHERE}/x",
    "a\nb",
    "\x1b[31m",
    "\u202eabc",
    "\ud800",
    "$\\frac{$",
    "x" * 255,
    "x" * 100_000,
    [],
    {},
    [[[]]],
    [1, "a", None],
    {"a": 1},
)

Place = tuple[str | int, ...]


def places(value: Any, path: Place = ()) -> Iterator[Place]:
    """Every place in a JSON value but the whole, inner ones after what holds them."""
    inside: Any = ()
    if isinstance(value, dict):
        inside = value.items()
    elif isinstance(value, list):
        inside = enumerate(value[:20])  # places further on are no different
    for key, entry in inside:
        yield (*path, key)
        yield from places(entry, (*path, key))


def mutated(document: Any, draws: random.Random, elsewhere: Path) -> tuple[Any, str]:
    """A copy with one thing changed, and what it was."""
    changed = copy.deepcopy(document)
    path = draws.choice(list(places(changed)))
    holder = changed
    for part in path[:-1]:
        holder = holder[part]
    key, act = path[-1], draws.randrange(8)
    if act == 0:
        del holder[key]
        return changed, f"without {path}"
    if act == 1 and isinstance(holder, dict):
        new = values(draws, elsewhere)
        name = new if isinstance(new, str) and new else "more"
        holder[name] = holder.pop(key)
        return changed, f"{path} renamed to {name!r:.60}"
    if act == 2 and isinstance(holder, list):
        holder.append(copy.deepcopy(holder[key]))
        return changed, f"{path} twice"
    if act == 3 and isinstance(holder[key], int | float):
        holder[key] = holder[key] * draws.choice([-1, 2, 1000, 10**9])
        return changed, f"{path} = {holder[key]}"
    holder[key] = values(draws, elsewhere)
    return changed, f"{path} = {holder[key]!r:.60}"


def values(draws: random.Random, elsewhere: Path) -> Any:
    """One nasty value."""
    value = copy.deepcopy(draws.choice(NASTY))
    return value.replace(ELSEWHERE, str(elsewhere)) if isinstance(value, str) else value


def loose_json(document: Any) -> bytes:
    """JSON as mmvae writes it, also of what no text can hold."""
    text = json.dumps(document, indent=2, sort_keys=True, ensure_ascii=True)
    return text.encode() + b"\n"


def reseal(folder: Path, name: str, data: bytes) -> None:
    """Replace a file of a checkpoint or a model folder, and its line in the manifest."""
    (folder / name).write_bytes(data)
    manifest = json.loads((folder / "MANIFEST.json").read_bytes())
    manifest.pop("sha256")
    digest = hashlib.sha256(data).hexdigest()
    manifest["files"][name] = {"size": len(data), "sha256": digest}
    (folder / "MANIFEST.json").write_bytes(with_checksum(manifest))


def sealed(document: Any) -> bytes:
    """A sealed JSON file; without a seal where no text can hold it."""
    try:
        return with_checksum(document)
    except (ValueError, TypeError):
        return loose_json(document)


def state_of(folder: Path, draws: random.Random, elsewhere: Path) -> str:
    """Mutate ``state.json`` of a model folder."""
    document = json.loads((folder / "state.json").read_bytes())
    changed, what = mutated(document, draws, elsewhere)
    reseal(folder, "state.json", loose_json(changed))
    return what


def manifest_of(folder: Path, draws: random.Random, elsewhere: Path) -> str:
    """Mutate ``MANIFEST.json`` of a model folder."""
    return sealed_json(folder / "MANIFEST.json", draws, elsewhere)


def sealed_json(path: Path, draws: random.Random, elsewhere: Path) -> str:
    """Mutate a sealed JSON file."""
    document = json.loads(path.read_bytes())
    document.pop("sha256", None)
    changed, what = mutated(document, draws, elsewhere)
    path.write_bytes(sealed(changed))
    return what


def plain_json(path: Path, draws: random.Random, elsewhere: Path) -> str:
    """Mutate a JSON file that bears no checksum, or lose its checksum."""
    document = json.loads(path.read_bytes())
    for key in ("sha256", "sealed"):
        document.pop(key, None)
    changed, what = mutated(document, draws, elsewhere)
    path.write_bytes(loose_json(changed))
    return what


def json_line(path: Path, draws: random.Random, elsewhere: Path) -> str:
    """Mutate one line of ``metrics.jsonl``."""
    lines = path.read_bytes().splitlines()
    at = draws.randrange(len(lines))
    changed, what = mutated(json.loads(lines[at]), draws, elsewhere)
    lines[at] = json.dumps(changed).encode()
    path.write_bytes(b"\n".join(lines) + b"\n")
    return f"line {at + 1}: {what}"


def toml_file(path: Path, draws: random.Random, elsewhere: Path) -> str:
    """Mutate a TOML file."""
    while True:
        changed, what = mutated(tomllib.loads(path.read_text("utf-8")), draws, elsewhere)
        try:
            text = tomli_w.dumps(changed).encode()
        except (TypeError, ValueError, AttributeError):  # TOML has no null and no half characters
            continue
        path.write_bytes(text)
        return what


def damaged_bytes(path: Path, draws: random.Random, elsewhere: Path) -> str:
    """Flip, cut or fill bytes of any file."""
    data = bytearray(path.read_bytes())
    at = draws.randrange(max(1, len(data)))
    act = draws.randrange(4)
    if act == 0 and data:
        data[at] ^= 1 << draws.randrange(8)
    elif act == 1:
        del data[at:]
    elif act == 2:
        data[at : at + 512] = bytes(len(data[at : at + 512]))
    else:
        data[at:at] = draws.randbytes(7)
    path.write_bytes(data)
    return f"byte {at}, way {act}"


Mutation = Callable[[Path, random.Random, Path], str]
