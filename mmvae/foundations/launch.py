"""A launch: processes that a launcher started together, described by environment variables.

Clusters leave such variables behind without a launch, and Accelerate has many of its own, which
would change a training that ``[train]`` describes completely. So only this module reads them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from mmvae.foundations.errors import UsageError

TORCHRUN = ("WORLD_SIZE", "RANK", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
"""Names of the variables: number of processes, rank, and both within this machine."""

MPI = (
    ("PMI_SIZE", "PMI_RANK", "MPI_LOCALRANKID", "MPI_LOCALNRANKS"),
    (
        "OMPI_COMM_WORLD_SIZE",
        "OMPI_COMM_WORLD_RANK",
        "OMPI_COMM_WORLD_LOCAL_RANK",
        "OMPI_COMM_WORLD_LOCAL_SIZE",
    ),
    (
        "MV2_COMM_WORLD_SIZE",
        "MV2_COMM_WORLD_RANK",
        "MV2_COMM_WORLD_LOCAL_RANK",
        "MV2_COMM_WORLD_LOCAL_SIZE",
    ),
)
"""The same for the implementations of MPI."""

ADDRESS, PORT = "MASTER_ADDR", "MASTER_PORT"
DEFAULT_PORT = "29500"

ACCELERATE = "ACCELERATE_"
"""Prefix of the variables from which Accelerate reads its own settings."""


@dataclass(frozen=True)
class Launch:
    """A group of cooperating processes.

    Attributes:
        size: Number of processes.
        rank: Number of this one, from 0.
        variables: The environment for torch and Accelerate.
    """

    size: int = 1
    rank: int = 0
    variables: Mapping[str, str] | None = None


def launch(environ: Mapping[str, str] | None = None) -> Launch:
    """The launch that this process belongs to; a single process if there was none.

    Args:
        environ: Environment variables; default: those of this process.

    Raises:
        UsageError: Variables indicate several processes, but not how they connect.
    """
    variables = os.environ if environ is None else environ
    for names in (TORCHRUN, *MPI):
        size = number(variables, names[0], least=1)
        meets = bool(variables.get(ADDRESS))
        by_torchrun = names is TORCHRUN and meets and variables.get(names[1])
        if size is None or (size == 1 and not by_torchrun):
            continue
        rank = number(variables, names[1])
        if rank is None or rank >= size or not meets:
            raise UsageError(_incomplete(variables, names, size))
        local = number(variables, names[2]) or 0
        beside = number(variables, names[3], least=1) or 1
        found = dict(zip(TORCHRUN, map(str, (size, rank, local, beside)), strict=True))
        found |= {ADDRESS: variables[ADDRESS], PORT: variables.get(PORT) or DEFAULT_PORT}
        return Launch(size, rank, found)
    return Launch()


def joined() -> Launch:
    """Like :func:`launch`, for messages and exit codes: alone if others are unreachable."""
    try:
        return launch()
    except UsageError:  # whatever would need the others says so itself
        return Launch()


@contextmanager
def launched() -> Iterator[Launch]:
    """Let libraries find this launch in the environment, without left-over variables.

    Variables of MPI become those of torchrun; Accelerate's own are hidden, since ``[train]`` has
    their settings.

    Raises:
        UsageError: As :func:`launch`.
    """
    found = launch()
    known = {name for names in (TORCHRUN, *MPI) for name in names}
    before = {k: v for k, v in os.environ.items() if k in known or k.startswith(ACCELERATE)}
    ours = dict(found.variables or {})
    before |= {k: os.environ[k] for k in ours if k in os.environ}
    for name in before:
        del os.environ[name]
    os.environ.update(ours)
    try:
        yield found
    finally:
        for name in [k for k in os.environ if k in known | set(ours) or k.startswith(ACCELERATE)]:
            del os.environ[name]
        os.environ.update(before)


def number(environ: Mapping[str, str], name: str, least: int = 0) -> int | None:
    """The integer in a variable; None if it is not set.

    Raises:
        UsageError: It holds something else.
    """
    text = environ.get(name, "").strip()
    if not text:
        return None
    if not text.isdecimal() or int(text) < least:
        raise UsageError(
            f"The environment variable {name} = {text!r}: expected a whole number of at least "
            f"{least}, as a launcher such as torchrun sets it. Unset it: unset {name}"
        )
    return int(text)


def _incomplete(environ: Mapping[str, str], names: tuple[str, ...], size: int) -> str:
    """The message for variables that indicate several processes which could not connect."""
    size_name, rank_name = names[:2]
    rank = environ.get(rank_name, "")
    missing = [name for name in (rank_name, ADDRESS) if not environ.get(name)]
    what = f"{' and '.join(missing)} not set" if missing else f"{rank_name} = {rank}"
    expected = "both" if len(missing) == 2 else "it"
    remedy = f"expected {expected}" if missing else f"expected a number below {size}"
    return (
        f"The environment variable {size_name} = {size} says that this is one of {size} processes "
        f"of one training, but {what}; {remedy}. To train on several processes, start them by "
        f"torchrun (mmvae train CONFIG --launcher torchrun -- --nproc-per-node {size}); for one "
        f"process alone: unset {size_name}"
    )
