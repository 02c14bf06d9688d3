"""A stand-in for MultiVae, which is no dependency: its names and signatures, and no training."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace

import torch
from torch import nn


class ModelOutput(dict):
    def __getattr__(self, name):
        return self[name]


class MultimodalBaseDataset:
    def __init__(self, data, labels=None):
        self.data, self.labels = data, labels


class JMVAE(nn.Module):
    def __init__(self, config, encoders, decoders, joint_encoder):
        super().__init__()
        self.model_config, self.latent_dim = config, config.latent_dim
        self.encoders, self.decoders = nn.ModuleDict(encoders), nn.ModuleDict(decoders)
        self.joint_encoder = joint_encoder


class BaseTrainer:
    """Looks at what it was given as MultiVae's would, once, and trains nothing."""

    def __init__(self, model, train_dataset, eval_dataset, training_config):
        self._best_model, self.config = model, training_config
        self.train_dataset, self.eval_dataset = train_dataset, eval_dataset

    def train(self):
        first, last = (self.train_dataset[i]["data"] for i in (0, len(self.train_dataset) - 1))
        assert first.keys() == last.keys() == self._best_model.encoders.keys()
        x = {m: torch.stack([first[m], last[m]]) for m in first}
        joint = self._best_model.joint_encoder(x)
        assert joint.embedding.shape == joint.log_covariance.shape == (2, self.config_dim)
        for m, decoder in self._best_model.decoders.items():
            assert self._best_model.encoders[m](x[m]).embedding.shape == (2, self.config_dim)
            assert decoder(joint.embedding).reconstruction.shape == x[m].shape
        print(f"{len(self.train_dataset)} items, {self.config.num_epochs} epochs")

    @property
    def config_dim(self):
        return self._best_model.latent_dim


def product(means, log_variances):
    weights = torch.softmax(-log_variances, 0)
    return (weights * means).sum(0), -torch.logsumexp(-log_variances, 0)


MODULES = {
    "multivae.data.datasets.base": {
        "DatasetOutput": ModelOutput,
        "MultimodalBaseDataset": MultimodalBaseDataset,
    },
    "multivae.models": {"JMVAE": JMVAE, "JMVAEConfig": SimpleNamespace},
    "multivae.models.base.base_utils": {"stable_poe": product},
    "multivae.models.nn.base_architectures": dict.fromkeys(
        ("BaseDecoder", "BaseEncoder", "BaseJointEncoder"), nn.Module
    ),
    "multivae.trainers": {"BaseTrainer": BaseTrainer, "BaseTrainerConfig": SimpleNamespace},
    "pythae.models.base.base_utils": {"ModelOutput": ModelOutput},
}


def install():
    """Put the stand-ins where ``import`` finds them."""
    import importlib.metadata

    for path, names in MODULES.items():
        parts = path.split(".")
        for k in range(1, len(parts) + 1):
            sys.modules.setdefault(".".join(parts[:k]), ModuleType(".".join(parts[:k])))
        vars(sys.modules[path]).update(names)
    real = importlib.metadata.version
    importlib.metadata.version = lambda name: "0" if name == "multivae" else real(name)
