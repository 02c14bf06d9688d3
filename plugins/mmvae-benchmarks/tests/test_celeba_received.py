"""A run from someone else: its config says where to read, and never where to write."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest

import mmvae
from mmvae.experiments.open_run import open_run

pytest.importorskip("mmvae_attributes")


@pytest.fixture
def own_cache(tmp_path, monkeypatch):
    """The user's cache folder."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "own"))
    return tmp_path / "own" / "mmvae" / "celeba"


@pytest.fixture
def config(small_celeba):
    root = small_celeba.write().root
    return {
        "data": {"source": "celeba", "root": str(root), "crop": "centre", "size": 4, "test": 0.25},
        "modalities": {
            "attributes": {"codec": "signed-attributes", "encoder": [4], "decoder": [4]}
        },
        "train": {"epochs": 1, "batch_size": 4},
        "evaluate": {"split": "test", "samples": 1},
    }


def trained(config, tmp_path, **data):
    config["data"] |= data
    mmvae.train(config, run_dir=tmp_path / "run")
    return tmp_path / "run"


def places(root):
    return sorted(p.relative_to(root) for p in Path(root).rglob("*"))


def test_a_received_run_does_not_choose_where_its_pictures_are_kept(config, own_cache, tmp_path):
    run = trained(config, tmp_path, cache=str(tmp_path / "first"))
    shutil.rmtree(tmp_path / "first")
    mmvae.evaluate(run)
    assert not (tmp_path / "first").exists()
    assert places(own_cache)


def test_nor_does_the_folder_of_its_data(config, own_cache, tmp_path, small_celeba):
    run = trained(config, tmp_path)
    shutil.rmtree(small_celeba.root / ".mmvae-cache")
    before = places(small_celeba.root)
    mmvae.evaluate(run)
    assert places(small_celeba.root) == before
    assert places(own_cache)


def test_nor_do_the_data_of_its_judge(config, own_cache, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    run = trained(config, tmp_path)
    file = run / "config.resolved.toml"
    line = "[evaluate.judge_data]\n"
    text = file.read_text()
    assert line in text
    file.write_text(text.replace(line, f'{line}size = 5\ncache = "{elsewhere}"\n'))
    opened = open_run(run)
    opened.classifier_items()
    assert not elsewhere.exists()


def test_pictures_that_are_there_are_read(config, own_cache, tmp_path):
    run = trained(config, tmp_path, cache=str(tmp_path / "first"))
    mmvae.evaluate(run)
    assert not own_cache.exists()


def test_the_user_may_choose(config, own_cache, tmp_path):
    run = trained(config, tmp_path, cache=str(tmp_path / "first"))
    shutil.rmtree(tmp_path / "first")
    mmvae.evaluate(run, overrides=[f"data.cache={tmp_path / 'first'}"])
    assert places(tmp_path / "first")
    assert not own_cache.exists()


def test_a_split_of_a_received_run_is_read_alike(config, own_cache, tmp_path):
    from mmvae.cli.items import run_split
    from mmvae.runs.run import Run

    run = trained(config, tmp_path, cache=str(tmp_path / "first"))
    shutil.rmtree(tmp_path / "first")
    assert len(run_split(Run.open(run), "test")) > 0
    assert not (tmp_path / "first").exists()


def test_a_resumed_one_too(config, own_cache, tmp_path):
    run = trained(config, tmp_path, cache=str(tmp_path / "first"))
    shutil.rmtree(tmp_path / "first")
    mmvae.resume(run, overrides=["train.epochs=2"])
    assert not (tmp_path / "first").exists()


@pytest.mark.parametrize(
    "how",
    [
        "no object",
        "other types",
        "nested",
        "fewer outcomes",
        "other pixels",
        "other size",
        "huge",
        "cut",
        "pipe",
    ],
)
def test_pictures_that_were_planted_are_checked(how, config, own_cache, tmp_path):
    run = trained(config, tmp_path, cache=str(tmp_path / "first"))
    (store,) = (p for p in (tmp_path / "first").iterdir() if p.is_dir())
    reports = {"no object": "[]", "other types": '{"kept": "many"}', "nested": "[" * 10**5}
    if how in reports:
        (store / "report.json").write_text(reports[how])
    elif how == "fewer outcomes":
        np.save(store / "outcomes.npy", np.zeros(3, np.uint8))
    elif how in ("huge", "cut"):
        shape = f"({10**30},)" if how == "huge" else "(1,"
        text = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
        (store / "images.npy").write_bytes(b"\x93NUMPY\x01\x00\x76\x00" + text.encode())
    elif how == "pipe":
        (store / "images.npy").unlink()
        os.mkfifo(store / "images.npy")
    elif how == "other size":
        np.save(store / "images.npy", np.zeros((12, 5, 5, 3), np.uint8))
    else:
        np.save(store / "images.npy", np.zeros((12, 4, 4, 3)))
    with pytest.raises(mmvae.DataError, match="cropped pictures are damaged"):
        mmvae.evaluate(run)
