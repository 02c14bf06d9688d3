"""Cells that a configuration names are checked when it is read, before any training."""

from __future__ import annotations

from pathlib import Path

import pytest
from toys import toy_config, toy_registry

from mmvae.evaluation.query import check_cells, parse_cell
from mmvae.experiments.config import load_experiment
from mmvae.foundations import toml
from mmvae.foundations.errors import ConfigError, UsageError


def test_the_word_standard_and_cells_pass() -> None:
    check_cells(["standard", "v", "v|c@single", " c @ v+c "], ("v", "c"))
    with pytest.raises(UsageError, match=r"^'v\|w': there is no modality 'w'"):
        check_cells(["v", "v|w"], ("v", "c"))


@pytest.mark.parametrize("section", ["evaluate", "reference"])
def test_a_config_s_cells_are_of_its_modalities(section: str, tmp_path: Path) -> None:
    tables = {
        "evaluate": {"bounds": ["v@singel"]},
        "reference": {"row": "R", "source": "S", "bounds": {"v@singel": -1.0}},
    }
    path = tmp_path / "c.toml"
    text = toml.dumps(toy_config() | {section: tables[section]})
    path.write_text(text, encoding="utf-8")
    line = next(
        i for i, row in enumerate(text.splitlines(), 1) if "singel" in row or "bounds = [" in row
    )
    with pytest.raises(ConfigError) as caught:
        load_experiment(path, registry=toy_registry())
    assert str(caught.value).startswith(f"{path}:{line}: {section}.bounds: 'v@singel'")
    assert "Did you mean 'single'?" in str(caught.value)


@pytest.mark.parametrize(
    "text", ["x" * 10**6, "a@" + "x" * 10**6, "x" * 10**6 + "+", "a|a" + "+a" * 10**5]
)
def test_a_very_long_query_is_told_in_short(text):
    with pytest.raises(UsageError) as refused:
        parse_cell(text, ("a", "b"))
    assert len(str(refused.value)) < 500
