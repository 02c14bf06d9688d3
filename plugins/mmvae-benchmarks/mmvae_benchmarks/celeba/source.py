"""The source ``celeba``: cropped faces and their forty attributes, from files or from the Hub."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field, model_validator

from mmvae import Column, ConfigError, DataError, Source, SourceConfig, Split, SplitName
from mmvae.data.paths import found_folder, place
from mmvae.data.splits import split_items
from mmvae_benchmarks.celeba.crop import FaceSettings
from mmvae_benchmarks.celeba.listing import ATTRIBUTES, read_listing, read_partition
from mmvae_benchmarks.celeba.parquet import read_tables
from mmvae_benchmarks.celeba.pictures import FolderPictures, Pictures, ZipPictures
from mmvae_benchmarks.celeba.recipe import Recipe
from mmvae_benchmarks.celeba.store import Store, open_store

Array = np.ndarray[Any, Any]

LISTING, PARTITION, IMAGES = "list_attr_celeba.txt", "list_eval_partition.txt", "img_align_celeba"
FOLDERS = (".", "Anno", "Eval", "Img")
"""Places of the files below ``root``, the last three as on the data set's page."""

HOW_TO_GET = (
    f"Get {IMAGES}.zip, {LISTING} and {PARTITION} from the CelebA page of the Multimedia "
    f"Laboratory, The Chinese University of Hong Kong, put them in one folder and name it with "
    f"-s data.root=FOLDER; or draw faces in the same form: mmvae data make faces --items 10000 "
    f"--out DIR."
)

CACHE = ".mmvae-cache"


class CelebaConfig(SourceConfig):
    """Keys of ``[data] source = "celeba"``."""

    root: str | None = Field(
        None,
        description=f"Folder with {LISTING} and {IMAGES} (a folder or a zip file). Or a Parquet "
        "file, or a folder of Parquet files, with the columns of the Hub's flwrlabs/celeba.",
    )
    hub: str | None = Field(
        None, description="Id of a data set on the Hub, 'flwrlabs/celeba', in place of root."
    )
    crop: Literal["face", "centre"] = Field(
        "face",
        description="'face': the square around the face that OpenCV detects; pictures without a "
        "detected face are dropped. 'centre': the largest square in the middle of each picture.",
    )
    size: int = Field(64, ge=1, description="Side of the cropped pictures in pixels.")
    faces: FaceSettings = Field(FaceSettings(), description="Settings of the face detection.")
    cache: str | None = Field(
        None,
        description=f"Folder for the cropped pictures. Default: {CACHE} in root, or mmvae/celeba "
        "in the user's cache folder if root is a file or the data come from the Hub. If a run is "
        "opened again and the pictures do not exist, they are made in the user's cache folder.",
    )
    workers: int | None = Field(
        None,
        ge=1,
        description="Number of threads that crop pictures. Default: the number of cores.",
    )
    split: Literal["random", "official"] = Field(
        "random",
        description="'random': split by split_seed. 'official': the partition of the data set.",
    )
    validation: float = Field(
        0.02,
        ge=0,
        lt=1,
        description="Fraction of the items for validation, with split = 'random'.",
    )
    test: float = Field(
        0.1, ge=0, lt=1, description="Fraction of the items for test, with split = 'random'."
    )
    split_seed: int = Field(0, ge=0, description="Seed of the random split.")
    resident_gib: float = Field(
        0.25, gt=0, description="Maximum memory in GiB for resident values."
    )

    @model_validator(mode="after")
    def _keys_go_together(self) -> CelebaConfig:
        if self.root is not None and self.hub is not None:
            raise ValueError("give root or hub, not both")
        shares = self.model_fields_set & {"validation", "test", "split_seed"}
        if self.split == "official" and shares:
            raise ValueError(f"{sorted(shares)[0]} has no effect with split = 'official'")
        return self


@dataclass(frozen=True)
class Items:
    """All items, before any is left out.

    Attributes:
        pictures: Their encoded pictures.
        attributes: ±1, int8 (n, 40).
        partition: Function that gives the official split of each: 0, 1 or 2, int8 (n,).
    """

    pictures: Pictures
    attributes: Array
    partition: Callable[[], Array]


class Celeba(Source):
    """Columns ``image`` (uint8, size×size×3) and ``attributes`` (±1, forty names)."""

    kind = "celeba"
    Config = CelebaConfig

    def splits(self) -> Mapping[SplitName, Split]:
        """Train, validation and test of the pictures that were kept; ids are file names."""
        return self._splits

    def fingerprint(self) -> str:
        """Hash of pixels, attributes and the way items are split."""
        digest = hashlib.blake2b(digest_size=16)
        digest.update(self._store.report["content"].encode())
        for name, split in self.splits().items():
            digest.update(f"{name}/{len(split)}/".encode())
            digest.update(split.columns["image"].values.rows.tobytes())
            digest.update(split.columns["attributes"].values.tobytes())
        return digest.hexdigest()

    def remarks(self) -> tuple[str, ...]:
        """The number of kept pictures, and the reasons why others were left out."""
        return (self._store.summary(),)

    @cached_property
    def _items(self) -> Items:
        return open_items(self.config)

    @cached_property
    def _store(self) -> Store:
        config: CelebaConfig = self.config
        recipe = Recipe(config.crop, config.size, config.faces)
        folder, key = cache_folder(config)
        elsewhere = own_cache() if key in self.received else None
        pictures = self._items.pictures
        return open_store(folder, pictures, recipe, workers(config), elsewhere)

    @cached_property
    def _splits(self) -> Mapping[SplitName, Split]:
        config: CelebaConfig = self.config
        official = self._items.partition() if config.split == "official" else None
        kept = self._store.rows
        origin = self._items.pictures.origin
        columns = {
            "image": Column(self._store.images(), origin=origin),
            "attributes": Column(self._items.attributes[kept], names=ATTRIBUTES, origin=origin),
        }
        items = Split(columns, np.array(self._items.pictures.names)[kept])
        if official is None:
            return split_items(items, config.validation, config.test, config.split_seed)
        return official_splits(items, official[kept], origin)


def official_splits(items: Split, codes: Array, origin: str) -> dict[SplitName, Split]:
    """The splits of the data set's own partition; one that has no items is left out.

    Raises:
        DataError: No training items are left.
    """
    names: tuple[SplitName, ...] = ("train", "validation", "test")
    parts = {name: np.flatnonzero(codes == code) for code, name in enumerate(names)}
    if not len(parts["train"]):
        raise DataError(
            f"{origin}: the official partition has no training items among those kept. Choose "
            f"data.split = 'random'."
        )
    return {name: items.take(rows) for name, rows in parts.items() if len(rows)}


def open_items(config: CelebaConfig) -> Items:
    """Find the data set in any of its forms.

    Raises:
        ConfigError: The config names no data.
        DataError: The data do not exist or are malformed.
    """
    if config.hub is not None:
        try:
            return table_items(config.hub)
        except DataError as error:
            raise DataError(f"data.hub = {config.hub!r}: {error}") from error
    if config.root is None:
        raise ConfigError(f"data.root is missing: source 'celeba' reads files. {HOW_TO_GET}")
    root = place(config.root)
    if root.is_file() and root.suffix.lower() == ".parquet":
        return table_items(str(root))
    root = found_folder(config.root, "data.root", HOW_TO_GET)
    listing = found(root, LISTING)
    images = found(root, IMAGES) or found(root, f"{IMAGES}.zip")
    if listing is not None and images is not None:
        return file_items(root, listing, images)
    if listing is None and images is None and next(root.rglob("*.parquet"), None):
        return table_items(str(root))
    lacking = LISTING if listing is None else f"{IMAGES} or {IMAGES}.zip"
    raise DataError(f"data.root = {config.root!r}: there is no {lacking} in it. {HOW_TO_GET}")


def file_items(root: Path, listing_path: Path, images: Path) -> Items:
    """Items of the official files."""
    listing = read_listing(listing_path)
    pictures: Pictures
    if images.is_dir():
        inner = images / IMAGES  # some archives have the folder twice
        pictures = FolderPictures(inner if inner.is_dir() else images, listing.names, listing.path)
    else:
        pictures = ZipPictures(images, listing.names, listing.path)

    def partition() -> Array:
        path = found(root, PARTITION)
        if path is None:
            raise DataError(
                f"data.split = 'official': there is no {PARTITION} in {root}. Put it there, or "
                f"choose data.split = 'random'."
            )
        return read_partition(path, listing.names)

    return Items(pictures, listing.attributes, partition)


def table_items(path: str) -> Items:
    """Items of Parquet files."""
    pictures, attributes, codes = read_tables(path)
    return Items(pictures, attributes, lambda: codes)


def found(root: Path, name: str) -> Path | None:
    """A file or folder below ``root``, in one of its possible places."""
    places = (root / folder / name for folder in FOLDERS)
    return next((place for place in places if place.exists()), None)


def cache_folder(config: CelebaConfig) -> tuple[Path, str | None]:
    """The folder of the cropped pictures, and the key that names it; None for the user's own."""
    if config.cache is not None:
        return place(config.cache), "cache"
    root = place(config.root or "")
    if config.root is not None and root.is_dir():
        return root / CACHE, "root"
    return own_cache(), None


def own_cache() -> Path:
    """The folder of cropped pictures in the user's cache."""
    user = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(user) / "mmvae" / "celeba"


def workers(config: CelebaConfig) -> int:
    """Number of threads that crop."""
    if config.workers is not None:
        return config.workers
    return (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
