"""Items in a folder of files: a sub-folder for each modality, matched by name, and a table."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path

from pydantic import Field

from mmvae.data.declared_types import TypedConfig
from mmvae.data.fingerprints import contents
from mmvae.data.folder_files import FILES, visible
from mmvae.data.item_folder import ItemFolder
from mmvae.data.paths import (
    found_folder,
    is_table,
    split_called,
)
from mmvae.data.size_bounds import GIB
from mmvae.data.source import Source, Split
from mmvae.data.split_names import SPLITS, SplitName
from mmvae.data.splits import cut, doubtful_names, refuse_shared_groups
from mmvae.foundations.errors import DataError


class FolderConfig(TypedConfig):
    """``[data]`` of a folder of files."""

    path: str = Field(
        description="Folder with one sub-folder per modality, or with folders train, validation "
        "and test that each contain such sub-folders."
    )
    id: str = Field(
        "id",
        description="Column of the optional table next to the sub-folders that contains the item "
        "names. The names are read as text. They equal the file names, with or without the "
        "ending.",
    )
    max_file_gib: float = Field(
        FILES.file / GIB, gt=0, allow_inf_nan=False, description="Maximum size in GiB of one file."
    )
    validation: float = Field(
        0.1,
        ge=0,
        lt=1,
        description="Fraction of items for validation, unless a folder named validation exists.",
    )
    test: float = Field(
        0.1,
        ge=0,
        lt=1,
        description="Fraction of items for test, unless a folder named test exists.",
    )


class FolderSource(Source):
    """Files in folders: ``DIR/photo/7.png`` and ``DIR/report/7.txt`` are one item, called 7.

    Args:
        config: Its ``[data]`` section.
    """

    kind = "folder"
    Config = FolderConfig

    def splits(self) -> Mapping[SplitName, Split]:
        """See :meth:`mmvae.Source.splits`."""
        return self._splits

    @cached_property
    def _splits(self) -> dict[SplitName, Split]:
        config: FolderConfig = self.config
        found = {name: folder.split() for name, folder in self._folders.items()}
        config.refuse_unknown(found["train"].columns)
        if len(found) == 1 and self._folders["train"].place == self._root:
            return cut(found["train"], config.validation, config.test, config)
        splits: dict[SplitName, Split] = dict(found)
        shares = [
            0.0 if name in splits else share
            for name, share in (("validation", config.validation), ("test", config.test))
        ]
        splits |= cut(splits["train"], shares[0], shares[1], config)
        if config.group is not None:
            refuse_shared_groups(splits, config.group)
        for name, split in found.items():
            if split.columns.keys() != splits["train"].columns.keys():
                raise DataError(
                    f"{self._folders[name].place} has {', '.join(split.columns)}, but "
                    f"{self._folders['train'].place} has {', '.join(splits['train'].columns)}: "
                    f"expected the same sub-folders."
                )
        return {name: splits[name] for name in SPLITS if name in splits}

    @cached_property
    def _root(self) -> Path:
        return found_folder(self.config.path)

    @cached_property
    def _folders(self) -> dict[SplitName, ItemFolder]:
        """The folder of each split that has one; all items as ``train`` if none has."""
        root, key, types = self._root, self.config.id, self.config.column_types()
        bounds = self.config.bounds()
        named = {name: root / name for name in SPLITS if (root / name).is_dir()}
        if "train" not in named:
            return {"train": ItemFolder(root, key, types, bounds)}
        for place in visible(root):
            if place.name not in named and (place.is_dir() or is_table(place)):
                called = split_called(place.name) if place.is_dir() else None
                meant = f" Is it meant as {called}? Rename it." if called else ""
                raise DataError(
                    f"{place} is next to {named['train']}: expected the folders "
                    f"{', '.join(SPLITS)} alone, with everything in them.{meant}"
                )
        found: dict[SplitName, ItemFolder] = {}
        for name, folder in named.items():  # the training first, as which the others are read
            found[name] = ItemFolder(folder, key, types, bounds)
            types = {**found["train"].types_read(), **types}
        return found

    def remarks(self) -> Sequence[str]:
        """Numbers of files and rows, and what was left out."""
        return [remark for folder in self._folders.values() for remark in folder.remarks()]

    def doubts(self) -> Sequence[str]:
        """Rows without files, files without a row, groups that look the same."""
        found = [doubt for folder in self._folders.values() for doubt in folder.doubts()]
        return [*found, *doubtful_names(self.splits(), self.config)]

    def fingerprint(self) -> str:
        """A hash of the items of each split, and of the names and contents of their files."""
        digest = hashlib.sha256()
        for name, split in self.splits().items():
            digest.update("\n".join([name, *map(str, split.ids)]).encode())
        files = [file for folder in self._folders.values() for file in folder.used()]
        for file, known in zip(files, contents(files), strict=True):
            digest.update(f"{file.relative_to(self._root)}/{known}\n".encode())
        return digest.hexdigest()[:16]
