"""What a report is made of: a run, its model, items to look at, and their evaluation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mmvae.report.subject import Subject


@dataclass
class Material(Subject):
    """A run as a report shows it.

    Attributes:
        evaluation: What :func:`mmvae.results.evaluate` returned.
    """

    evaluation: Mapping[str, Any]
