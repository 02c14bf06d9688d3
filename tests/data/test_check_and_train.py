"""What ``mmvae data check`` finds wrong with values and gaps is what a training refuses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from toys import toy_config, toy_items, toy_registry

from mmvae.data.checks import check
from mmvae.experiments.build import open_source, recipes
from mmvae.experiments.config import load_experiment
from mmvae.experiments.train import dry_run
from mmvae.foundations.errors import DataError

SPLITS = ("train", "validation", "test")
REGISTRY = toy_registry()
JUDGED_APART = {"leak", "class"}
"""Sound values of a doubtful experiment, which a training takes."""

Items = dict[str, Any]


def put(modality: str, value: Any) -> Callable[[Items], None]:
    def change(items: Items) -> None:
        items[modality] = items[modality].astype(object) if value is None else items[modality]
        items[modality][3] = value

    return change


def as_list(modality: str, row: int, value: Any) -> Callable[[Items], None]:
    def change(items: Items) -> None:
        items[modality] = list(items[modality])
        items[modality][row] = value

    return change


def both_missing(items: Items) -> None:
    for modality in ("v", "c"):
        as_list(modality, 3, None)(items)


def dropped(modality: str) -> Callable[[Items], None]:
    return lambda items: items.pop(modality)


def replaced(modality: str, make: Callable[[Any], Any]) -> Callable[[Items], None]:
    def change(items: Items) -> None:
        items[modality] = make(items[modality])

    return change


def emptied(items: Items) -> None:
    for modality in items:
        items[modality] = items[modality][:0]


ODD: dict[str, Callable[[Items], Any]] = {
    "nothing": lambda items: None,
    "nan": put("v", np.nan),
    "one nan": lambda items: items["v"].__setitem__((3, 1), np.nan),
    "infinite": put("v", np.inf),
    "far": put("v", 1e6),
    "a gap": as_list("v", 3, None),
    "a class more": put("c", 3),
    "a class of many": put("c", 300),
    "a class below": put("c", -1),
    "a class between": replaced("c", lambda c: c + 0.5),
    "classes as floats": replaced("c", lambda c: c.astype(float)),
    "classes as texts": replaced("c", lambda c: [str(i) for i in c]),
    "a text": as_list("v", 3, "text"),
    "texts": replaced("v", lambda v: ["text"] * len(v)),
    "another shape": replaced("v", lambda v: v[:, :2]),
    "no shape": replaced("v", lambda v: v[:, 0]),
    "ragged": as_list("v", 3, [1.0]),
    "whole numbers": replaced("v", lambda v: v.astype(np.int64)),
    "booleans": replaced("v", lambda v: v > 0),
    "complex": replaced("v", lambda v: v.astype(np.complex64)),
    "no class": replaced("c", lambda c: [None] * len(c)),
    "no vector": replaced("v", lambda v: [None] * len(v)),
    "nothing observed": both_missing,
    "no column": dropped("v"),
    "fewer values": replaced("v", lambda v: v[:-1]),
    "no items": emptied,
}


def refused(config: dict[str, Any], data: Any) -> bool:
    try:
        dry_run(config, data, registry=REGISTRY)
    except DataError:
        return True
    return False


def found_wrong(config: dict[str, Any], data: Any) -> bool:
    experiment = load_experiment(config, (), REGISTRY).experiment
    try:
        source = open_source(experiment, REGISTRY, data)
        _, findings = check(source, recipes(experiment, REGISTRY))
    except DataError:
        return True
    return any(f.wrong and f.kind not in JUDGED_APART for f in findings)


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("name", ODD)
def test_the_check_and_a_training_refuse_the_same(name: str, split: str) -> None:
    data = {s: toy_items(20, i) for i, s in enumerate(SPLITS)}
    ODD[name](data[split])
    for incomplete in ("keep", "discard", "discard-empty"):
        sections = {"source": "memory", "incomplete": incomplete}
        config = toy_config(data=sections, train={"epochs": 1, "batch_size": 20})
        assert found_wrong(config, data) == refused(config, data), incomplete
