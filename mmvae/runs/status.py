"""The status of a run and its environment, as its files state them."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict

WrittenState = Literal["running", "finished", "stopped", "failed", "preempted"]


class Status(BaseModel):
    """The content of ``status.json``.

    Args:
        state: ``running``, ``finished``, ``stopped`` (Ctrl-C), ``preempted`` (SIGTERM) or
            ``failed``; on reading, a ``running`` without a live process becomes ``killed``.
        exit_code: The exit code, or None while the process runs.
        step: Optimizer steps done.
        epoch: Epochs begun.
        pid: The process that wrote it.
        host: Its machine.
        updated: Time of writing, in UTC.
        message: One line for people.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    state: WrittenState | Literal["killed"]
    exit_code: int | None
    step: int
    epoch: int
    pid: int
    host: str
    updated: datetime
    message: str


class _Data(BaseModel):
    """The description of the data in ``env.json``."""

    fingerprint: str
    items: dict[str, int]


class Environment(BaseModel):
    """The keys of ``env.json`` that are read."""

    data: _Data
    packages: dict[str, str] = {}
    init_from: str | None = None
