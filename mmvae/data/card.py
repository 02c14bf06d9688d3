"""Cards of data sets of the Hub: the ``README.md`` of a folder, which assigns files to splits.

A card comes with the data, so it is read within bounds. It can only name files below its folder.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from mmvae.data.paths import KINDS, Tables, is_table, refuse_folder, refuse_unreadable, table_files
from mmvae.data.size_bounds import Bounds
from mmvae.foundations.errors import DataError, listed, short, shortened

HEADER = 1 << 20
"""Maximum number of bytes of a card's header."""

DEEPEST = 50
"""Maximum depth of a header's lists and tables."""

MOST = 10_000
"""Maximum number of patterns of files in one configuration."""

LONGEST = 4096
"""Maximum number of characters of a pattern."""

IGNORED = ("README.md", "config.json", "dataset_info.json", "dataset_infos.json")
"""Names of files that ``datasets`` takes for no data, unless a card names them exactly."""

SPLIT = re.compile(r"\w+(\.\w+)*")


def card_header(folder: Path) -> str | None:
    """The header of a folder's card, if it assigns files to splits.

    Raises:
        DataError: The card cannot be read, or its header is too long.
    """
    card = folder / "README.md"
    if not card.is_file():
        return None
    with Bounds().open(card) as file:
        text = file.read(HEADER).decode("utf-8-sig", "replace")
    begun = re.match(r"\s*---[ \t]*\r?\n", text)
    if begun is None:
        return None
    header, end, _ = re.sub(r"\r\n?", "\n", text[begun.end() :]).partition("\n---")
    if re.search(r"^configs[ \t]*:", header, re.MULTILINE) is None:
        return None
    if not end:
        raise DataError(
            f"{card}: its header has no end in the first {HEADER:,} bytes; expected a line '---' "
            f"after it. Add that line, or remove the card to read all tables of the folder."
        )
    return header


def carded(folder: Path, header: str, configuration: str | None) -> Tables:
    """The files of a folder as its card assigns them.

    Args:
        folder: The folder.
        header: The header of its card.
        configuration: Name of the configuration, if the card has several.

    Raises:
        DataError: The card is damaged, there is no such configuration, or a file cannot be read.
    """
    card = folder / "README.md"
    known = configurations(card, header)
    wanted = known[chosen(card, known, configuration)]
    inside = wanted.get("data_dir", "")
    if not isinstance(inside, str):
        raise damaged(card, "data_dir", inside, "a text")
    base = folder / relative(card, inside) if inside else folder
    if "data_files" not in wanted:
        return table_files(base)
    found = {}
    for split, patterns in assigned(card, wanted["data_files"]).items():
        files = [file for pattern in patterns for file in matching(card, base, pattern)]
        for file in files:
            if not is_table(file):
                refuse_unreadable(file)
                raise DataError(
                    f"{file}: its card names it, but expected are files that end in "
                    f"{', '.join(KINDS)}."
                )
        found[split] = list(dict.fromkeys(files))
    return Tables(found)


def configurations(card: Path, header: str) -> dict[str, Mapping[str, Any]]:
    """Name of a configuration → its keys; all single values are texts.

    Raises:
        DataError: The header is not YAML, or has other values.
    """
    entries = parsed(card, header).get("configs")
    if not isinstance(entries, list) or not entries:
        raise damaged(card, "configs", entries, "a list of configurations")
    found: dict[str, Mapping[str, Any]] = {}
    for entry in entries:
        if not isinstance(entry, dict) or not isinstance(entry.get("config_name"), str):
            raise damaged(card, "configs", entry, "tables with a config_name")
        if entry["config_name"] in found:
            raise damaged(card, "configs", entry["config_name"], "each config_name once")
        found[entry["config_name"]] = entry
    return found


def parsed(card: Path, header: str) -> Mapping[str, Any]:
    """The header's table, without types: no value of it makes an object.

    Raises:
        DataError: It is not YAML, no table, too deep, or refers to parts of itself.
    """
    import yaml

    loader = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
    try:
        depth = 0
        for event in yaml.parse(header, Loader=loader):
            starts, ends = yaml.CollectionStartEvent, yaml.CollectionEndEvent
            depth += isinstance(event, starts) - isinstance(event, ends)
            if depth > DEEPEST or isinstance(event, yaml.AliasEvent):
                what = "an alias (*)" if depth <= DEEPEST else f"more than {DEEPEST} levels"
                raise DataError(
                    f"{card}: line {event.start_mark.line + 2} of its header has {what}, which is "
                    f"not read. Write the values out."
                )
        table = yaml.load(header, Loader=loader)
    except (yaml.YAMLError, ValueError) as error:
        raise DataError(
            f"{card}: its header is not valid YAML: {shortened(str(error), 200)}. Correct it, or "
            f"remove the card to read all tables of the folder."
        ) from error
    if not isinstance(table, dict):
        raise damaged(card, "the header", table, "a table with the key configs")
    return table


def chosen(card: Path, known: Mapping[str, Mapping[str, Any]], wanted: str | None) -> str:
    """The name of the configuration to read.

    Raises:
        DataError: There is none of that name, or several and none is the default.
    """
    if wanted in known:
        return str(wanted)
    default = [
        name
        for name, keys in known.items()
        if len(known) == 1 or name == "default" or keys.get("default") in ("true", "True", "TRUE")
    ]
    if wanted is None and len(default) == 1:
        return default[0]
    names = listed(map(short, known))
    if wanted is None:
        raise DataError(f"{card} has the configurations {names}: name one, data.configuration.")
    raise DataError(
        f"data.configuration = {short(wanted)}: {card} has no such configuration; it has {names}."
    )


def assigned(card: Path, value: Any) -> dict[str, list[str]]:
    """Split → patterns of its files, of the forms that ``datasets`` knows.

    Raises:
        DataError: It has none of these forms.
    """
    entries = value if isinstance(value, list) else [value]
    found: dict[str, list[str]] = {}
    if all(isinstance(entry, str) for entry in entries):
        found["train"] = list(entries)
        entries = []
    for entry in entries:
        if not isinstance(entry, dict) or set(entry) != {"split", "path"}:
            raise damaged(
                card, "data_files", entry, "patterns of files, or split and path of each"
            )
        split, paths = entry["split"], entry["path"]
        paths = paths if isinstance(paths, list) else [paths]
        if not isinstance(split, str) or not SPLIT.fullmatch(split) or split in found:
            raise damaged(card, "data_files.split", split, "names of splits, each once")
        if not all(isinstance(path, str) for path in paths):
            raise damaged(card, "data_files.path", paths, "patterns of files")
        found[split] = paths
    count = sum(map(len, found.values()))
    if not 0 < count <= MOST or not all(found.values()):
        raise damaged(
            card, "data_files", f"{count} patterns", f"1 to {MOST:,}, for each split one"
        )
    return found


def damaged(card: Path, key: str, value: Any, wanted: str) -> DataError:
    """The error for a value of a card's header."""
    got = short(value) if isinstance(value, str) else f"a {type(value).__name__}"
    return DataError(
        f"{card}: {key} is {got}, expected {wanted}. Correct it, or remove the card to read all "
        f"tables of the folder."
    )


def relative(card: Path, pattern: str) -> Path:
    """A path below the card's folder.

    Raises:
        DataError: It is an address, an absolute path, or leads out of the folder.
    """
    path = Path(pattern)
    outside = path.is_absolute() or ".." in path.parts or pattern.startswith("~")
    if outside or not path.parts or len(pattern) > LONGEST or re.search("://|::|\0", pattern):
        raise DataError(
            f"{card}: it names {short(pattern)}, expected files in its folder. Download or unpack "
            f"such files, and name them in data.path, or correct the card."
        )
    return path


def matching(card: Path, base: Path, pattern: str) -> Sequence[Path]:
    """The files that a pattern matches, by their paths.

    ``*``, ``?`` and ``[…]`` match within a name, and ``**`` matches any folders. Hidden files are
    only matched by their whole path.

    Raises:
        DataError: There is none.
    """
    path = relative(card, pattern)
    if os.path.isfile(base / path):  # unlike the method it takes any text
        return [base / path]
    found = [base / file for file in below(base) if fits(file.parts, path.parts)]
    if not found:
        raise DataError(f"{card}: it names {short(pattern)}, but {base} has no such file.")
    return sorted(found, key=str)


def below(base: Path) -> Iterator[Path]:
    """The relative paths of the files below a folder that may be data; links are not followed."""
    for folder, folders, names in os.walk(base, onerror=refuse_folder):
        folders[:] = [name for name in folders if not name.startswith((".", "__"))]
        for name in names:
            if not name.startswith(".") and name not in IGNORED:
                yield Path(folder, name).relative_to(base)


def fits(names: Sequence[str], pattern: Sequence[str]) -> bool:
    """True if a pattern matches a path; the time is bounded by the product of their parts."""

    def skipped(places: set[int]) -> set[int]:
        """Places in the pattern, and those after ``**`` that match no folder."""
        for place in range(len(pattern)):
            if place in places and pattern[place] == "**":
                places.add(place + 1)
        return places

    reached = skipped({0})
    for name in names:
        following = {at for at in reached if at < len(pattern) and pattern[at] == "**"}
        following |= {
            at + 1 for at in reached if at < len(pattern) and fnmatchcase(name, pattern[at])
        }
        reached = skipped(following)
    return len(pattern) in reached
