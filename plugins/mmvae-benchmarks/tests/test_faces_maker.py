"""The maker ``faces``: CelebA's names and layout, and faces that depend on seed and place only."""

from __future__ import annotations

import io

import pytest
from mmvae_benchmarks.faces import Faces
from mmvae_benchmarks.faces.attributes import NAMES
from PIL import Image
from pydantic import ValidationError

from mmvae.testing import MakerContract


class TestContract(MakerContract):
    maker = Faces
    items = 3


def faces(items=12, seed=0):
    return Faces(Faces.Config(items=items, seed=seed))


def test_a_face_depends_on_seed_and_index_only():
    few, many = faces(3), faces(500)
    alone, among = list(few.make(range(2, 3))), list(many.make(range(0, 4)))
    assert alone == among[2:3]
    assert few.attributes(2) == many.attributes(2)
    assert list(faces(3, seed=1).make(range(2, 3))) != alone


def test_pictures_have_celebas_names_size_and_form():
    made = list(faces().make(range(9, 11)))
    assert [name for name, _ in made] == [
        "img_align_celeba/000010.jpg",
        "img_align_celeba/000011.jpg",
    ]
    picture = Image.open(io.BytesIO(made[0][1]))
    assert (picture.format, picture.mode, picture.size) == ("JPEG", "RGB", (178, 218))


def test_the_listing_reads_as_celebas():
    made = dict(faces(1200).finish())
    assert set(made) == {"list_attr_celeba.txt", "list_eval_partition.txt"}
    count, names, *rows = made["list_attr_celeba.txt"].decode().splitlines()
    assert count == "1200"
    assert names.split() == list(NAMES)
    assert len(rows) == 1200
    for i in (0, 1199):
        name, *signs = rows[i].split()
        assert name == f"{i + 1:06d}.jpg"
        assert [sign == "1" for sign in signs] == list(faces().attributes(i).values())
        assert set(signs) == {"1", "-1"}


def test_the_partition_cuts_where_celebas_does():
    lines = dict(faces(2026).finish())["list_eval_partition.txt"].decode().splitlines()
    parts = [int(line.split()[1]) for line in lines]
    assert parts == sorted(parts)
    assert [parts.count(part) for part in (0, 1, 2)] == [1628, 198, 200]
    assert lines[0] == "000001.jpg 0"


@pytest.mark.parametrize("items", [0, -1, 1_000_000])
def test_so_many_faces_cannot_be_named(items):
    with pytest.raises(ValidationError):
        Faces.Config(items=items)
