"""Bounds: maximum sizes of a data file and of its values, so that no file takes all memory."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from mmvae.foundations import storage
from mmvae.foundations.errors import DataError

MIB, GIB = 1 << 20, 1 << 30


@dataclass(frozen=True)
class Bounds:
    """Maximum sizes of data.

    Attributes:
        cell: Bytes of one cell of a table, or characters of one record of a text file. While a
            table is read, this much and one more value are in memory.
        file: Bytes of a file, and of its decoded content.
        columns: Columns of a table.
        rows: Rows of a table: each takes some bytes in memory, even if it holds nothing.
    """

    cell: int = 16 * MIB
    file: int = 64 * GIB
    columns: int = 10_000
    rows: int = 10_000_000

    @property
    def batch(self) -> int:
        """Bytes that may be decompressed together: 64 cells."""
        return 64 * self.cell

    def open(self, path: Path) -> BinaryIO:
        """Open a regular file of bounded size; pipes and devices are not waited for.

        Raises:
            DataError: It is none, has more bytes, or cannot be opened.
        """
        try:
            descriptor = storage.open_regular(path, follow=True)
        except FileNotFoundError:
            raise DataError(f"{path}: no such file.") from None
        except OSError as error:
            raise DataError(
                f"{path}: cannot be read ({error.strerror}). Expected a regular file."
            ) from None
        size = os.fstat(descriptor).st_size
        if size > self.file:
            os.close(descriptor)
            raise DataError(
                f"{path}: {size:,} bytes, expected at most {self.file:,}. If the file is "
                f"correct, raise data.max_file_gib."
            )
        return open(descriptor, "rb")

    def check_file(self, path: Path) -> None:
        """Check that :meth:`open` opens a file.

        Raises:
            DataError: It is not.
        """
        self.open(path).close()

    def check_columns(self, count: int, path: Path) -> None:
        """Check the number of columns of a table.

        Raises:
            DataError: It has more.
        """
        if count > self.columns:
            raise DataError(
                f"{path}: {count:,} columns or more, expected at most {self.columns:,}. Put the "
                f"numbers of a vector into one column of lists, or raise data.max_columns."
            )

    def check_rows(self, count: int, where: str) -> None:
        """See that a table has no more rows than it may.

        Raises:
            DataError: It has more.
        """
        if count > self.rows:
            raise DataError(
                f"{where}: {count:,} rows or more, expected {self.rows:,} at most. If the table "
                f"is as it should be, raise data.max_rows."
            )

    def check_description(self, size: int, path: Path) -> None:
        """Check that a file's description of its columns has at most the bytes of 4 cells.

        Raises:
            DataError: It has more.
        """
        if size > 4 * self.cell:
            raise DataError(
                f"{path}: {size:,} bytes that describe columns, expected at most "
                f"{4 * self.cell:,} (4 cells). Write fewer columns or larger groups of rows, or "
                f"raise "
                f"data.max_cell_mib."
            )

    def check_decoded(self, size: int, path: Path) -> None:
        """Check the decoded size of a file against the maximum size of a file.

        Raises:
            DataError: It has more.
        """
        if size > self.file:
            raise DataError(
                f"{path}: more than {self.file:,} bytes once decoded, expected at most as many. "
                f"If the file is correct, raise data.max_file_gib."
            )

    def check_batch(self, size: int, where: str) -> None:
        """Check the size of the data that are decompressed together.

        Raises:
            DataError: It has more.
        """
        if size > self.batch:
            raise DataError(
                f"{where}: {size:,} bytes once decompressed, expected at most {self.batch:,} (64 "
                f"cells). Write the file in smaller batches, or raise data.max_cell_mib."
            )

    def check_cell(self, size: int, where: str, advice: str = "") -> None:
        """Check the size of a cell in bytes, or of a record in characters.

        Args:
            size: Its bytes or characters, perhaps only those read so far.
            where: File, row and column, for messages.
            advice: Another possible cause, a sentence.

        Raises:
            DataError: It has more.
        """
        if size > self.cell:
            raise DataError(
                f"{where}: {size:,} bytes or more, expected at most {self.cell:,}. {advice}If "
                f"the value is correct, raise data.max_cell_mib."
            )
