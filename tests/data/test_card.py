"""Cards of data sets of the Hub: which files they name, and which they may not."""

from __future__ import annotations

import os
import time
from pathlib import Path

import datasets
import pytest
import yaml

from mmvae.data.card import fits
from mmvae.data.hub import load_hub
from mmvae.data.table_files import local_tables
from mmvae.foundations.errors import DataError

CONFIG = "configs:\n- config_name: default\n  data_files: "
OF_SPLIT = CONFIG + "\n  - split: train\n    path: "
BOMB = "a0: &a0 [x]\n" + "".join(
    f"a{i}: &a{i} [{','.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 9)
)


def folder(tmp_path: Path, header: str, *files: str) -> Path:
    """A folder with these tables and a card of this header."""
    for file in ("a.csv", *files):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text("v\n1\n")
    (tmp_path / "README.md").write_text(f"---\n{header}\n---\n# Toys\n")
    return tmp_path


def names(root: Path, configuration: str | None = None) -> dict[str, list[str]]:
    tables = local_tables(str(root), configuration)
    assert tables is not None
    return {n: [str(f.relative_to(root)) for f in part] for n, part in tables.splits.items()}


REFUSED = {
    "a tab": ("configs:\n\t- x: {", "not valid YAML"),
    "numbers for configurations": ("configs:\n- 5", "configs is '5'"),
    "a number for all": ("configs: 5", "configs is '5'"),
    "no name": ("configs:\n- data_files: a.csv", "configs is a dict"),
    "an object of Python": (
        "configs:\n- config_name: !!python/name:os.system\n  data_files: b.csv",
        "'b.csv', but",
    ),
    "a packed file": (CONFIG + '"zip://x.csv::/etc/passwd"', "expected files in its folder"),
    "an address": (CONFIG + '"https://127.0.0.1:9/a.csv"', "expected files in its folder"),
    "an address of a file": (CONFIG + '"file:///etc/a.csv"', "expected files in its folder"),
    "an absolute path": (CONFIG + "/etc/*.csv", "expected files in its folder"),
    "a path of the home": (CONFIG + "~/a.csv", "expected files in its folder"),
    "a path out of the folder": (CONFIG + "x/../../*.csv", "expected files in its folder"),
    "a folder out of the folder": (CONFIG + "a.csv\n  data_dir: ..", "expected files in its"),
    "a long path": (CONFIG + "a" * 5000, "expected files in its folder"),
    "a null character": (CONFIG + '"a\\0.csv"', "expected files in its folder"),
    "half a character": (CONFIG + '"a\\uD800.csv"', "header|no such file"),
    "no file": (CONFIG + "b*.csv", "'b[*].csv', but"),
    "a file that is no table": (CONFIG + "README.md", "its card names it"),
    "a bomb": (BOMB + CONFIG + "*a8", "alias"),
    "a bomb that is not used": (BOMB + CONFIG + "a.csv", "alias"),
    "endless brackets": (CONFIG + "[" * 900_000, "levels"),
    "two splits of one name": (OF_SPLIT + "a.csv\n  - split: train\n    path: a.csv", "each once"),
    "a split called by a path": (CONFIG + "\n  - split: a/b\n    path: a.csv", "names of splits"),
    "a list for a path": (OF_SPLIT + "[[a.csv]]", "patterns of files"),
    "nothing": (CONFIG + "[]", "0 patterns"),
    "many patterns": (CONFIG + "[" + "'*'," * 10_001 + "]", "10001 patterns"),
    "no end": (CONFIG + "a.csv\n" + "#" * (1 << 20), "no end"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_card_that_is_damaged_or_leads_elsewhere_is_refused(tmp_path: Path, case: str) -> None:
    header, message = REFUSED[case]
    begun = time.process_time()
    with pytest.raises(DataError, match=message) as refused:
        local_tables(str(folder(tmp_path, header)))
    assert "README.md" in str(refused.value)
    assert len(str(refused.value)) < 1000
    assert time.process_time() - begun < 5


@pytest.mark.parametrize(
    ("pattern", "wanted"),
    [
        ("a.csv", ["a.csv"]),
        ("'*.csv'", ["a.csv", "b.csv"]),
        ("[b.csv, 'a*', a.csv]", ["b.csv", "a.csv"]),
        ("d/*", ["d/c.csv"]),
        ("d/**", ["d/c.csv", "d/e/f.csv"]),
        ("'**/*.csv'", ["a.csv", "b.csv", "d/c.csv", "d/e/f.csv"]),
        ("'[ac].csv'", ["a.csv"]),
        (".h.csv", [".h.csv"]),
        ("'[x].txt.csv'", ["[x].txt.csv"]),
    ],
)
def test_patterns_match_as_on_the_hub(tmp_path: Path, pattern: str, wanted: list[str]) -> None:
    files = ["b.csv", "d/c.csv", "d/e/f.csv", ".h.csv", ".h/i.csv", "__x__/j.csv"]
    if "txt" in pattern:
        files += ["[x].txt.csv", "x.txt.csv"]
    root = folder(tmp_path, CONFIG + pattern, *files)
    assert names(root) == {"train": wanted}


def test_a_configuration_is_chosen_as_on_the_hub(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    two = "configs:\n- {config_name: x, data_files: a.csv}\n- {config_name: 7, data_dir: d%s}"
    root = folder(tmp_path, two % "", "d/train.csv", "d/test.csv")
    assert names(root, "x") == {"train": ["a.csv"]}
    assert names(root, "7") == {"train": ["d/train.csv"], "test": ["d/test.csv"]}
    with pytest.raises(DataError, match="configurations 'x', '7'"):
        names(root)
    assert "test" in names(folder(tmp_path, two % ", default: true"))


def test_only_the_start_of_a_card_is_read(tmp_path: Path) -> None:
    root = folder(tmp_path, CONFIG + "a.csv")
    os.truncate(root / "README.md", 1 << 34)
    assert names(root) == {"train": ["a.csv"]}


@pytest.mark.parametrize(
    "text", ["", "# Toys\n", "---\nlicense: mit\n---\n", "a\n---\nconfigs: 5"]
)
def test_other_texts_are_no_cards(tmp_path: Path, text: str) -> None:
    root = folder(tmp_path, "")
    (root / "README.md").write_text(text)
    assert names(root) == {"train": ["a.csv"]}


def test_cards_with_windows_line_ends_and_a_byte_order_mark_are_read(tmp_path: Path) -> None:
    root = folder(tmp_path, CONFIG + "b.csv", "b.csv")
    text = (root / "README.md").read_text().replace("\n", "\r\n")
    (root / "README.md").write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert names(root) == {"train": ["b.csv"]}


@pytest.mark.parametrize("error", [yaml.YAMLError("a tab"), TypeError("a tab"), KeyError("a tab")])
def test_a_damaged_card_of_the_hub_is_refused(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: object) -> None:
        raise error

    monkeypatch.setattr(datasets, "load_dataset", fail)
    with pytest.raises(DataError, match="someone/toys.*a tab"):
        load_hub("someone/toys", None)


def test_many_stars_take_no_long_time() -> None:
    begun = time.process_time()
    assert not fits(["a"] * 30, [*["**", "a"] * 500, "b"])
    assert time.process_time() - begun < 2
