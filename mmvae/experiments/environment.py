"""The environment of a run: versions, machine, data, plugins, as its folder records them."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from mmvae import __version__
from mmvae.data.dataset import Data
from mmvae.experiments.config import choices
from mmvae.experiments.experiment import Experiment
from mmvae.plugins.registry import Registry


def environment(data: Data) -> dict[str, Any]:
    """Versions, machine and data of a run, for ``env.json``."""
    packages = ("torch", "accelerate", "datasets", "pydantic", "safetensors", "numpy")
    return {
        "mmvae": __version__,
        "python": platform.python_version(),
        "packages": {name: version(name) for name in packages},
        "platform": platform.platform(),
        "cpu_count": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "processor": processor(),
        "device": str(data.device),
        "device_name": device_name(str(data.device)),
        "data": described(data),
    }


def processor() -> str:
    """The name of this machine's processor, as the system reports it."""
    listed = Path("/proc/cpuinfo")  # Linux; on other systems Python knows it
    if listed.is_file():
        for line in listed.read_text(encoding="utf-8", errors="replace").splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()


def device_name(device: str) -> str:
    """The name of a device: ``cpu``, or that of an accelerator."""
    return torch.cuda.get_device_name(device) if device.startswith("cuda") else device


def described(data: Data) -> dict[str, Any]:
    """A description of the data, for ``env.json``."""
    return {
        "fingerprint": data.source.fingerprint(),
        "items": {name: len(split) for name, split in data.splits.items()},
    }


def plugins_used(experiment: Experiment, registry: Registry) -> dict[str, Any]:
    """The plugins that an experiment uses, with distribution and version."""
    used = {f"{role} {kind}": registry.provider(role, kind) for role, kind in choices(experiment)}
    return {
        offer: {"distribution": p.distribution, "version": p.version, "plugin": p.name}
        for offer, p in used.items()
    }
