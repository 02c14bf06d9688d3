"""The listings of CelebA: read strictly, in one order of attributes."""

from __future__ import annotations

import re

import numpy as np
import pytest
from mmvae_benchmarks.celeba.listing import ATTRIBUTES, read_listing, read_partition

from mmvae import DataError


@pytest.fixture
def listing(small_celeba):
    return small_celeba.write().root / "list_attr_celeba.txt"


def edit(path, old, new, count=1):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, count))


def test_names_and_values_are_the_files(small_celeba, listing):
    found = read_listing(listing)
    assert found.names == small_celeba.names
    assert found.attributes.dtype == np.int8
    np.testing.assert_array_equal(found.attributes, small_celeba.attributes)


def test_the_names_are_celebas_forty(small_celeba, listing):
    assert listing.read_text().splitlines()[1].split() == list(ATTRIBUTES)


def test_columns_come_in_one_order_whatever_the_files(listing):
    before = read_listing(listing).attributes
    first, names, *rows = listing.read_text().splitlines()
    swapped = [names.split()[::-1]]
    turned = [[row.split()[0], *row.split()[:0:-1]] for row in rows]
    listing.write_text("\n".join([first, *map(" ".join, swapped), *map(" ".join, turned)]))
    np.testing.assert_array_equal(read_listing(listing).attributes, before)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("12\n", "13\n", r"line 1: says 13 pictures, but attributes of 12 follow"),
        ("12\n", "many\n", r"line 1: got 'many', expected the number of pictures"),
        ("Smiling", "Smilling", r"line 2: got attribute 'Smilling'.*Did you mean 'Smiling'\?"),
        ("Smiling", "Young", r"line 2: got 'Smiling' 0 times, expected each of forty names once"),
        ("000003.jpg", "000002.jpg", r"line 5: got '000002.jpg' a second time"),
        ("000004.jpg  ", "000004.jpg 1 ", r"line 6: got '000004.jpg' with 41 values"),
    ],
)
def test_a_wrong_line_is_named(listing, old, new, said):
    edit(listing, old, new)
    with pytest.raises(DataError, match=re.escape(str(listing)) + ".*" + said):
        read_listing(listing)


@pytest.mark.parametrize("value", ["0", "2", "yes", "+1"])
def test_attributes_are_plus_or_minus_one(listing, value):
    lines = listing.read_text().splitlines()
    fields = lines[7].split()
    lines[7] = " ".join([*fields[:-1], value])
    listing.write_text("\n".join(lines))
    with pytest.raises(DataError, match=re.escape(f"line 8: got {value!r} for '000006.jpg'")):
        read_listing(listing)


def test_a_file_that_is_no_text_or_not_there(listing):
    listing.write_bytes(b"12\n\xff\xfe")
    with pytest.raises(DataError, match="byte 0xff is no text"):
        read_listing(listing)
    with pytest.raises(DataError, match="absent.txt: no such file"):
        read_listing(listing.with_name("absent.txt"))
    listing.write_text("")
    with pytest.raises(DataError, match="line 1: got ''"):
        read_listing(listing)


def test_the_partition_is_matched_by_name(small_celeba, listing):
    path = listing.with_name("list_eval_partition.txt")
    path.write_text("\n".join(reversed(path.read_text().splitlines())))
    assert read_partition(path, small_celeba.names).tolist() == small_celeba.partition


def test_a_partition_of_other_pictures_is_refused(small_celeba, listing):
    path = listing.with_name("list_eval_partition.txt")
    edit(path, "000003.jpg", "x.jpg")
    said = r"lacks 1 picture \(000003.jpg\) and has 1 picture \(x.jpg\)"
    with pytest.raises(DataError, match=said):
        read_partition(path, small_celeba.names)
    edit(path, "000001.jpg 0", "000001.jpg 3")
    with pytest.raises(DataError, match=r"line 1: got '3' for '000001.jpg', expected 0 \(train\)"):
        read_partition(path, small_celeba.names)
