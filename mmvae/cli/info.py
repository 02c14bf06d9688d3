"""``mmvae info``: versions, devices and threads, for bug reports and for tuning."""

from __future__ import annotations

import os
import platform
from collections import Counter
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import click

from mmvae import __version__
from mmvae.cli.options import columns, echo, example, json_option, print_json

PACKAGES = ("torch", "accelerate", "datasets", "pydantic", "pluggy", "safetensors", "numpy")


@click.command(epilog=example("mmvae info"))
@json_option
def command(as_json: bool) -> None:
    """Show versions, devices and threads."""
    found = information()
    if as_json:
        print_json(found)
        return
    rows = [("mmvae", found["mmvae"]), ("python", found["python"])]
    rows += list(found["packages"].items())
    rows += [
        ("platform", found["platform"]),
        ("cpu", f"{found['cpu_cores']} cores, {found['cpu_capability']}"),
        ("threads", f"{found['threads']}; set [train] threads or OMP_NUM_THREADS to change it"),
        ("devices", ", ".join(found["devices"])),
        ("plugins", ", ".join(f"{n} {state}" for state, n in found["plugins"].items()) or "none"),
    ]
    echo(columns(rows))


def information() -> dict[str, Any]:
    """The output of ``mmvae info``, as plain values."""
    import torch

    from mmvae.plugins.loader import load_registry

    states = Counter(plugin.state for plugin in load_registry().plugins)
    return {
        "mmvae": __version__,
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in PACKAGES},
        "platform": platform.platform(),
        "cpu_cores": cores(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
        "devices": _devices(),
        "plugins": {state: states[state] for state in sorted(states)},
    }


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def cores() -> int:
    """Number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _devices() -> list[str]:
    import torch

    cuda = [
        f"cuda:{i} ({torch.cuda.get_device_name(i)})" for i in range(torch.cuda.device_count())
    ]
    mps = ["mps"] if torch.backends.mps.is_available() else []
    return ["cpu", *cuda, *mps]
