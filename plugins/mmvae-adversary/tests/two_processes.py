"""What each of two processes trains; started by torchrun in ``test_adversary_runs.py``."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[3] / "tests"))

import torch
from adversarial import REGISTRY, config

import mmvae
from mmvae.cli.launched import end_launched

if __name__ == "__main__":
    torch.set_num_threads(1)
    folder, accumulation, updates = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    train = {"accumulation": accumulation, "batch_size": 29}
    settings = config(epochs=2, train=train, updates=updates)
    mmvae.train(settings, run_dir=folder, registry=REGISTRY)
    end_launched(0)
