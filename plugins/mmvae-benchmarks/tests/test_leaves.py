"""Made leaves: a Parquet file with gaps, each leaf a function of seed and number."""

from __future__ import annotations

import io
import math

import numpy as np
import pyarrow.parquet as pq
from mmvae_benchmarks import Leaves
from mmvae_benchmarks.leaves import HAS_MISSING, KINDS, PER_PLANT, png
from PIL import Image

from mmvae.testing import MakerContract


class TestContract(MakerContract):
    maker = Leaves


def table(items=400, seed=0):
    ((name, content),) = Leaves(Leaves.Config(items=items, seed=seed)).finish()
    assert name == "leaves.parquet"
    return pq.read_table(io.BytesIO(content)).to_pylist()


def test_a_leaf_is_the_same_however_many_are_made():
    few, many = table(20), table(40)
    assert repr(few) == repr(many[:20])
    assert repr(table(20, seed=1)) != repr(few)
    assert not list(Leaves(Leaves.Config(items=5)).make(range(5)))


def test_gaps_have_their_shares_and_each_leaf_has_something():
    rows = table()
    for name, share in HAS_MISSING.items():
        assert abs(np.mean([row[name] is None for row in rows]) - share) < 0.08
        assert all(any(row[m] is not None for m in HAS_MISSING) for row in rows)
    cells = np.array([row["size"] for row in rows if row["size"]])
    assert 0.05 < np.isnan(cells).mean() < 0.15


def test_what_a_leaf_has_goes_together():
    for row in table():
        if row["size"] and row["kind"] and not any(map(math.isnan, row["size"])):
            length, width, area = row["size"]
            kind = next(kind for kind in KINDS if kind.name == row["kind"])
            assert abs(math.log(width / length / kind.shape)) < 0.5
            assert abs(area / (math.pi / 4 * length * width) - 1) < 0.01
            if row["note"]:
                assert row["note"].startswith("long") == (length > 13)


def test_leaves_of_a_plant_are_of_one_kind():
    kinds = {}
    for row in table():
        if row["kind"]:
            assert kinds.setdefault(row["plant"], row["kind"]) == row["kind"]
    assert len(kinds) > 60
    assert 400 // PER_PLANT == 80


def test_a_larger_leaf_covers_more_of_its_picture():
    dark = [
        (255 - np.asarray(Image.open(io.BytesIO(png(length, 4.0, 0.3))), float)).sum()
        for length in (6.0, 12.0)
    ]
    assert 1.7 < dark[1] / dark[0] < 2.3
