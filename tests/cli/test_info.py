"""``mmvae info`` tells what a bug report needs."""

from __future__ import annotations

import platform

import torch

import mmvae as package


def test_info_as_json(mmvae, config, install, monkeypatch) -> None:
    install("bad-plugin", "bad", "1 / 0")
    monkeypatch.setenv("MMVAE_PLUGINS", "toys,bad")
    result = mmvae("info", "--json")
    assert result.code == 0, "a broken plugin does not stop it"
    found = result.json()
    assert found["mmvae"] == package.__version__
    assert found["python"] == platform.python_version()
    assert found["packages"]["torch"] == torch.__version__
    assert found["threads"] == torch.get_num_threads()
    assert found["devices"][0] == "cpu"
    assert found["cpu_capability"] == torch.backends.cpu.get_cpu_capability()
    assert found["plugins"]["broken"] >= 1


def test_info_says_how_to_set_threads(mmvae, config) -> None:
    rows = dict(line.split(maxsplit=1) for line in mmvae("info").out.splitlines())
    assert "[train] threads" in rows["threads"]
    assert "OMP_NUM_THREADS" in rows["threads"]
    assert "ok" in rows["plugins"]
