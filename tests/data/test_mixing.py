"""Codecs that mix items are refused where that would change results."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from toys import VectorCodec, VectorConfig

from mmvae.data.batches import Batches
from mmvae.data.mixing import check_batches
from mmvae.data.source import Split
from mmvae.foundations.errors import ConfigError
from mmvae.modalities.column import Column


def codec(mixes: bool) -> VectorCodec:
    made = VectorCodec(VectorConfig(gaps=True))
    made.mixes_items = mixes
    return made


@pytest.mark.parametrize("resident", [True, False])
@pytest.mark.parametrize(("mixes", "gaps"), [(True, True), (True, False), (False, True)])
def test_gaps_are_refused(mixes: bool, gaps: bool, resident: bool) -> None:
    values = np.zeros((4, 3))
    values[2, 1] = np.nan if gaps else 0.0
    items = Split({"v": Column(values, origin="t.csv")}, np.arange(4))

    def read() -> None:
        Batches(items, {"v": codec(mixes)}, {"v": "v"}, resident=resident).fixed(slice(0, 4))

    if not (mixes and gaps):
        read()
        return
    with pytest.raises(
        ConfigError, match=r"'v'.*some of its values are missing \(t.csv\).*norm = 'group'"
    ):
        read()


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"items": 21}, r"21 training items with train.batch_size = 10.*drop_last = true"),
        ({"items": 1}, r"1 training items with train.batch_size = 10"),
        ({"items": 20, "batch_size": 1}, r"train.batch_size = 1 leave a rest of one"),
        ({"items": 20, "accumulation": 2}, r"train.accumulation = 2.*Set train.accumulation = 1"),
        ({"items": 20, "processes": 2}, r"2 processes.*one process"),
    ],
)
def test_batches_that_are_cut_otherwise_are_refused(keys: dict[str, Any], message: str) -> None:
    keys = {"batch_size": 10} | keys
    with pytest.raises(ConfigError, match=f"'v'.*{message}.*norm = 'group'"):
        check_batches({"v": codec(True)}, **keys)
    check_batches({"v": codec(False)}, **keys)


@pytest.mark.parametrize("keys", [{"items": 20}, {"items": 7}, {"items": 21, "drop_last": True}])
def test_whole_batches_pass(keys: dict[str, Any]) -> None:
    check_batches({"v": codec(True)}, batch_size=10, **keys)
