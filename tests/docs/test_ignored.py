"""What the documents' commands write in a clone is ignored by git, so that nobody commits it."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCUMENTS = [
    ROOT / "README.md",
    *(ROOT / "docs").glob("*.md"),
    *(ROOT / "plugins").glob("*/README.md"),
]
WRITTEN = re.compile(r"^\$ mmvae .*--(?:out|run-dir) (\S+)", re.MULTILINE)
BY_DEFAULT = ["runs/20300101T000000Z", "edited.png", "edited-2.png", "mmvae-angles"]


def test_what_the_documents_write_is_ignored(tmp_path: Path) -> None:
    names = {n for path in DOCUMENTS for n in WRITTEN.findall(path.read_text(encoding="utf-8"))}
    assert {"sevens", "filled.parquet"} <= names
    shutil.copy(ROOT / ".gitignore", tmp_path)
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    written = [*names, *BY_DEFAULT]
    for name in written:
        file = tmp_path / name if Path(name).suffix else tmp_path / name / "file"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    status = ["git", "-C", str(tmp_path), "status", "--porcelain"]
    shown = subprocess.run(status, capture_output=True, text=True, check=True).stdout
    assert shown.split() == ["??", ".gitignore"]
