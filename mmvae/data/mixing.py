"""Codecs whose networks mix the items of a batch, as batch norm does: cases in which they fail."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from mmvae.foundations.errors import ConfigError
from mmvae.modalities.codec import Codec
from mmvae.modalities.column import Column


def check_missing(modality: str, codec: Codec, column: Column, observed: Tensor | None) -> None:
    """Refuse missing values: those of one item would change the network's output for others.

    Raises:
        ConfigError: The codec mixes items, and some lack the modality or cells of it.
    """
    cells = observed is not None and not observed.all()
    if codec.mixes_items and (column.num_missing or cells):
        where = f" ({column.origin})" if column.origin else ""
        raise _refusal(modality, codec, f"some of its values are missing{where}", "")


def check_batches(
    codecs: Mapping[str, Codec],
    items: int,
    batch_size: int,
    drop_last: bool = False,
    accumulation: int = 1,
    processes: int = 1,
) -> None:
    """Refuse a training whose result would depend on how batches are divided.

    Args:
        codecs: Modality → codec.
        items: Number of training items.
        batch_size: Items per global step.
        drop_last: True if an epoch's last, smaller batch is left out.
        accumulation: Number of parts into which a process divides its rows of a batch.
        processes: Number of processes that share a batch.

    Raises:
        ConfigError: A codec mixes items, and some batch has one item or is divided.
    """
    full = min(batch_size, items)
    for modality, codec in codecs.items():
        if not codec.mixes_items:
            continue
        if accumulation > 1:
            why = f"train.accumulation = {accumulation} takes each batch in parts"
            raise _refusal(modality, codec, why, "Set train.accumulation = 1. ")
        if processes > 1:
            why = f"{processes} processes take each batch in parts"
            raise _refusal(modality, codec, why, "Train in one process. ")
        if full == 1 or (items % full == 1 and not drop_last):
            why = (
                f"{items} training items with train.batch_size = {batch_size} leave a rest of one"
            )
            fix = "" if full == 1 else "Set train.drop_last = true. "
            raise _refusal(modality, codec, why, f"{fix}Choose another train.batch_size. ")


def _refusal(modality: str, codec: Codec, why: str, fix: str) -> ConfigError:
    return ConfigError(
        f"Modality {modality!r}: the networks of codec {codec.kind!r} mix the items of a batch as "
        f"batch norm does, but {why}, which would change results. {fix}Or choose a normalisation "
        f"that treats each item independently, such as modalities.{modality}.norm = 'group'."
    )
