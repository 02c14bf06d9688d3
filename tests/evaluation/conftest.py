"""What tests of figures share: the toys' items."""

from __future__ import annotations

import pytest
from toys import toy_config, toy_registry

from mmvae.data.dataset import Data, open_data
from mmvae.evaluation import classifiers
from mmvae.experiments.config import load_experiment


@pytest.fixture(scope="package")
def data() -> Data:
    """Vectors ``v`` and classes ``c``: 300 items for training, 200 for test."""
    registry = toy_registry()
    config = toy_config(data={"source": "toy", "items": 300, "test": 200})
    experiment = load_experiment(config, registry=registry).experiment
    recipes = {m: (registry.find("codec", c.codec), c) for m, c in experiment.modalities.items()}
    return open_data(registry.find("source", "toy")(experiment.data), recipes)


@pytest.fixture(autouse=True)
def quick_judges(monkeypatch: pytest.MonkeyPatch) -> None:
    """Judges that learn the toys in 60 steps."""
    monkeypatch.setattr(classifiers, "LEAST_STEPS", 60)
    monkeypatch.setattr(classifiers, "RATE", 3e-2)
