"""A launch is known by what a launcher sets; what a cluster left behind is none."""

from __future__ import annotations

import os

import pytest

from mmvae.foundations.errors import UsageError
from mmvae.foundations.launch import Launch, joined, launch, launched

TORCHRUN = {
    "WORLD_SIZE": "4",
    "RANK": "3",
    "LOCAL_RANK": "1",
    "LOCAL_WORLD_SIZE": "2",
    "MASTER_ADDR": "node1",
    "MASTER_PORT": "1234",
}
MPI = {
    "OMPI_COMM_WORLD_SIZE": "4",
    "OMPI_COMM_WORLD_RANK": "3",
    "OMPI_COMM_WORLD_LOCAL_RANK": "1",
    "OMPI_COMM_WORLD_LOCAL_SIZE": "2",
    "MASTER_ADDR": "node1",
    "MASTER_PORT": "1234",
}


@pytest.mark.parametrize("environ", [TORCHRUN, MPI, {"PMI_SIZE": "1", **TORCHRUN}])
def test_launchers_set_the_same_in_words_of_their_own(environ) -> None:
    assert launch(environ) == Launch(4, 3, TORCHRUN)


def test_torchrun_may_start_one_process() -> None:
    environ = TORCHRUN | {"WORLD_SIZE": "1", "RANK": "0"}
    assert launch(environ).size == 1
    assert launch(environ).variables is not None


@pytest.mark.parametrize(
    "left",
    [
        {},
        {"WORLD_SIZE": "1", "RANK": "0", "LOCAL_RANK": "0"},
        {"WORLD_SIZE": "", "RANK": "2"},
        {"RANK": "3", "LOCAL_RANK": "3", "MASTER_ADDR": "node1"},
        {"PMI_SIZE": "1", "PMI_RANK": "0", "MASTER_ADDR": "node1"},
        {"SLURM_NTASKS": "4", "SLURM_PROCID": "2"},
    ],
)
def test_what_is_left_behind_is_no_launch(left) -> None:
    assert launch(left) == Launch()


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        ({"WORLD_SIZE": "2"}, "RANK and MASTER_ADDR not set"),
        ({"WORLD_SIZE": "2", "RANK": "0"}, "MASTER_ADDR not set"),
        (
            {"WORLD_SIZE": "2", "RANK": "2", "MASTER_ADDR": "a"},
            "RANK = 2; expected a number below",
        ),
        ({"PMI_SIZE": "2", "PMI_RANK": "0"}, "PMI_SIZE = 2 .* MASTER_ADDR not set"),
        ({"MV2_COMM_WORLD_SIZE": "3"}, "unset MV2_COMM_WORLD_SIZE"),
        ({"WORLD_SIZE": "two"}, "WORLD_SIZE = 'two': expected a whole number of at least 1"),
        ({"WORLD_SIZE": "0"}, "WORLD_SIZE = '0': expected a whole number of at least 1"),
    ],
)
def test_processes_that_cannot_meet_are_refused(environ, message, monkeypatch) -> None:
    with pytest.raises(UsageError, match=message):
        launch(environ)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    assert joined() == Launch(), "its own command says why"


def test_libraries_find_the_launch_and_nothing_else(monkeypatch) -> None:
    for name, value in (MPI | {"ACCELERATE_MIXED_PRECISION": "bf16", "RANK": "7"}).items():
        monkeypatch.setenv(name, value)
    before = dict(os.environ)
    with launched() as found, launched() as again:
        assert found.size == again.size == 4
        assert {name: os.environ[name] for name in TORCHRUN} == TORCHRUN
        assert "OMPI_COMM_WORLD_SIZE" not in os.environ
        assert "ACCELERATE_MIXED_PRECISION" not in os.environ
        os.environ["LOCAL_WORLD_SIZE"] = "9"  # as Accelerate does
    assert dict(os.environ) == before
