"""The stored results of an evaluation, with checksums: statistics, and the values of each item.

``evaluation.json`` and ``evaluation.items.safetensors`` carry a checksum of their content. Files
of versions without checksums are accepted as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn

from safetensors import SafetensorError
from torch import Tensor

from mmvae.foundations import storage
from mmvae.foundations.errors import RunError
from mmvae.foundations.json_document import problem_of, strict_json
from mmvae.runs.manifest import (
    read_checked_tensors,
    tensors_with_checksum,
    with_checksum,
)
from mmvae.runs.run import Run

MOST = 1 << 27
"""Maximum size in bytes of the statistics."""

MOST_OF_ITEMS = 1 << 30
"""Maximum size in bytes of the values of items."""

_HAS_CHECKSUM = "sealed"  # next to the checksum: a damaged file is not mistaken for an older one


def write_results(run: Run, result: Mapping[str, Any]) -> None:
    """Replace ``evaluation.json``.

    Raises:
        RunError: The run's folder was removed, moved or replaced since it was opened.
        TrainingError: The system refused; the old file is unchanged.
    """
    run.check_in_place()
    storage.write_bytes(run.evaluation, with_checksum({**result, _HAS_CHECKSUM: True}))


def read_results(run: Run) -> dict[str, Any]:
    """Return the content of ``evaluation.json``.

    Raises:
        RunError: It cannot be read, or is not as it was written.
    """
    path = run.evaluation
    try:
        data = storage.read(path, MOST)
        document = strict_json(data)
        if not isinstance(document, dict):
            raise ValueError("it is no JSON object")
        if document.keys() & {"sha256", _HAS_CHECKSUM}:
            document.pop("sha256", None)
            if with_checksum(document) != data:
                raise ValueError("its checksum differs")
            del document[_HAS_CHECKSUM]
    except (OSError, ValueError, KeyError, RecursionError) as error:
        refuse_results(run, path.name, problem_of(error), error)
    return document


def write_items(run: Run, items: Mapping[str, Tensor], made_with: Mapping[str, str]) -> None:
    """Replace ``evaluation.items.safetensors``: the values of each item, by name.

    Args:
        run: The run.
        items: Name → values, (n,).
        made_with: The weights, data and settings that the values belong to.

    Raises:
        RunError: The run's folder was removed, moved or replaced since it was opened.
        TrainingError: The system refused; the old file is unchanged.
    """
    run.check_in_place()
    storage.write_bytes(run.evaluation_items, tensors_with_checksum(items, made_with))


def read_items(run: Run) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Return the values of each item by name, and the settings that they belong to.

    Raises:
        RunError: The file cannot be read, or is not as it was written.
    """
    path = run.evaluation_items
    try:
        return read_checked_tensors(storage.read(path, MOST_OF_ITEMS))
    except (OSError, ValueError, SafetensorError) as error:
        refuse_results(run, path.name, problem_of(error), error)


def refuse_results(
    run: Run, name: str, problem: str, cause: BaseException | None = None
) -> NoReturn:
    """Refuse a file of results.

    Raises:
        RunError: Always; the message says that another evaluation replaces the file.
    """
    raise RunError(
        f"{run.folder / name} cannot be read: {problem}. `mmvae evaluate {run.folder}` writes it "
        f"again."
    ) from cause
