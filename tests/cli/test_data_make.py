"""``mmvae data make``: a plugin's maker by its name, in one process or several."""

from __future__ import annotations

import pytest

MAKER = """
import mmvae
from pydantic import Field

class PebblesConfig(mmvae.MakerConfig):
    items: int = Field(ge=1, le=999, description="Pebbles.")

class Pebbles(mmvae.Maker):
    kind = "pebbles"
    Config = PebblesConfig

    def make(self, rows):
        for i in rows:
            yield f"{i}.txt", f"{self.config.seed} {i}".encode()

    def finish(self):
        yield "all.txt", str(self.config.items).encode()

@mmvae.hookimpl
def register_makers(register):
    register(Pebbles)
"""


@pytest.fixture
def pebbles(install, site, monkeypatch, tmp_path):
    install("pebble-plugin", "pebbles", MAKER)
    monkeypatch.setenv("PYTHONPATH", str(site))  # worker processes look there
    monkeypatch.setenv("MMVAE_PLUGINS", "pebbles")
    monkeypatch.chdir(tmp_path)


def test_a_plugins_data_set_is_made(mmvae, pebbles, tmp_path) -> None:
    made = mmvae("data", "make", "pebbles", "--items", 3, "--out", "few", "--processes", 1)
    assert (made.code, made.out) == (0, "")
    assert "few: 3 pebbles, seed 0" in made.err
    assert sorted(path.name for path in (tmp_path / "few").iterdir()) == [
        "0.txt",
        "1.txt",
        "2.txt",
        "all.txt",
    ]


def test_processes_change_nothing(mmvae, pebbles, tmp_path) -> None:
    for folder, processes in (("one", 1), ("two", 2)):
        made = mmvae(
            *("-q", "data", "make", "pebbles", "--items", 300, "--seed", 5),
            *("--out", folder, "--processes", processes),
        )
        assert (made.code, made.err) == (0, "")
    files = {
        folder: {path.name: path.read_bytes() for path in (tmp_path / folder).iterdir()}
        for folder in ("one", "two")
    }
    assert len(files["one"]) == 301
    assert files["one"] == files["two"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["pebble", "--items", 3, "--out", "a"], "unknown maker 'pebble'"),
        (["pebbles", "--items", 0, "--out", "a"], "--items"),
        (["pebbles", "--items", 1000, "--out", "a"], "--items 1000: "),
        (["pebbles", "--items", "many", "--out", "a"], "'many' is not a valid integer"),
        (["pebbles", "--items", 3, "--out", "a", "--seed", -1], "--seed"),
        (["pebbles", "--items", 3], "Missing option '--out'"),
        (["pebbles", "--items", 3, "--out", "."], "is not empty"),
    ],
)
def test_bad_requests_are_refused(mmvae, pebbles, tmp_path, arguments, words) -> None:
    refused = mmvae("data", "make", *arguments)
    assert refused.code == 2
    assert words in refused.err
    assert not (tmp_path / "a").exists()


def test_the_nearest_maker_is_named(mmvae, pebbles) -> None:
    assert (
        "Did you mean 'pebbles'?"
        in mmvae("data", "make", "pebble", "--items", 3, "--out", "a").err
    )


def test_what_the_plugin_offers_is_listed(mmvae, pebbles) -> None:
    assert "maker pebbles" in mmvae("plugins", "list").out
