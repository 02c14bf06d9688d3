"""The store: made once, never stale, gone on with after a kill, and whole or not at all."""

from __future__ import annotations

import errno
import io
import json
import os
import shutil
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from mmvae_benchmarks.celeba import shards, store
from mmvae_benchmarks.celeba.crop import Face, FaceSettings
from mmvae_benchmarks.celeba.listing import read_listing
from mmvae_benchmarks.celeba.pictures import FolderPictures, ZipPictures
from mmvae_benchmarks.celeba.recipe import Recipe
from PIL import Image

from mmvae import DataError, MmvaeError
from mmvae.foundations import operations
from mmvae.foundations.lock import FolderLock

CENTRE = Recipe("centre", 8, FaceSettings())
FACE = Recipe("face", 8, FaceSettings())


@pytest.fixture(autouse=True)
def small_shards(monkeypatch):
    monkeypatch.setattr(shards, "SHARD", 5)


@pytest.fixture
def opened(small_celeba, tmp_path):
    """Open the store of what is in the folder now."""

    def open_it(recipe=CENTRE, workers=2):
        listing = read_listing(small_celeba.root / "list_attr_celeba.txt")
        images = small_celeba.root / "img_align_celeba"
        if images.is_dir():
            pictures = FolderPictures(images, listing.names, listing.path)
        else:
            pictures = ZipPictures(images.with_suffix(".zip"), listing.names, listing.path)
        return store.open_store(tmp_path / "cache", pictures, recipe, workers)

    return open_it


@pytest.fixture
def reads(monkeypatch):
    """Names of the pictures that are read from now on."""
    read, seen = FolderPictures.read, []

    def counted(self, row):
        seen.append(self.names[row])
        return read(self, row)

    monkeypatch.setattr(FolderPictures, "read", counted)
    return seen


def levels(images):
    return images.read()[:, 4, 4, 0].tolist()


@pytest.mark.parametrize("zipped", [False, True])
def test_rows_are_the_pictures_in_order(small_celeba, opened, zipped):
    small_celeba.write(zipped=zipped)
    images = opened().images()
    assert images.read().shape == (12, 8, 8, 3)
    assert images.read().dtype == np.uint8
    np.testing.assert_allclose(levels(images), [10 * i for i in range(12)], atol=2)
    np.testing.assert_allclose(levels(images.take([7, 2]).take([1])), [20], atol=2)


def test_images_stay_on_disk_until_they_are_read(small_celeba, opened):
    small_celeba.write()
    images = opened().images().take(np.arange(6))
    assert isinstance(images.all, np.memmap)
    assert images.all.mode == "r"
    assert images.take([0]).all is images.all
    assert not isinstance(images.read(), np.memmap)


def test_pictures_are_left_out_for_reasons_that_are_counted(small_celeba, opened, fake_faces):
    small_celeba.write()
    (small_celeba.root / "img_align_celeba" / "extra.jpg").write_bytes(b"never read")

    def faces(picture):
        level = picture.getpixel((90, 110))[0] // 10
        return {1: [], 4: [Face(0, 0, 100, 100)], 9: [Face(60, 60, 20, 20)]}.get(
            level, [Face(39, 59, 100, 100)]
        )

    for name, level in zip(small_celeba.names, range(12), strict=True):
        small_celeba.files[name] = png(10 * level + 5)
    fake_faces(faces)
    made = (small_celeba.write(), opened(FACE))[1]
    assert made.rows.tolist() == [0, 2, 3, 5, 6, 7, 8, 10, 11]
    assert levels(made.images()) == [10 * i + 5 for i in made.rows]
    assert made.report["kept"] == 9
    assert sum(made.report["left_out"].values()) == 3
    said = made.summary()
    assert said.startswith("9 of 12 pictures kept; left out: 1 no face found, 1 the face reaches")
    assert said.endswith("; 1 without attributes")
    lines = (made.folder / "left-out.tsv").read_text().splitlines()
    assert lines[1:] == [
        "000002.jpg\tno face found",
        "000005.jpg\tthe face reaches out of the picture",
        "000010.jpg\tthe face is too small",
        "extra.jpg\tno attributes",
    ]


def png(level):
    file = io.BytesIO()
    Image.new("RGB", (178, 218), (level, level, level)).save(file, "PNG")
    return file.getvalue()


@pytest.mark.parametrize("place", ["images.npy", "shards", "."])
@pytest.mark.parametrize("link", [os.symlink, os.link])
def test_nothing_is_written_through_a_link(small_celeba, opened, tmp_path, place, link):
    small_celeba.write()
    folder = opened().folder
    (folder / "report.json").unlink()
    planted, elsewhere = folder / place, tmp_path / "elsewhere"
    if place == "images.npy":
        data = bytearray(planted.read_bytes())
        data[-100:] = b"P" * 100
        elsewhere.write_bytes(data)
        planted.unlink()
    elif link is os.link:
        pytest.skip("folders have no second name")
    else:
        elsewhere.mkdir()
        shutil.rmtree(planted, ignore_errors=True)
    before = elsewhere.read_bytes() if elsewhere.is_file() else []
    link(elsewhere, planted)
    with pytest.raises(MmvaeError, match=r"Cannot write .*(symbolic link|hard link)"):
        opened()
    assert before == (elsewhere.read_bytes() if elsewhere.is_file() else list(elsewhere.iterdir()))


def test_it_is_said_once_and_made_once(small_celeba, opened, reads, capsys):
    small_celeba.write()
    first = opened()
    assert "celeba: 12 of 12 pictures kept\n" in capsys.readouterr().err
    assert sorted(reads) == small_celeba.names
    reads.clear()
    again = opened()
    assert (reads, capsys.readouterr().err) == ([], "")
    np.testing.assert_array_equal(again.images().read(), first.images().read())


def test_other_settings_or_pictures_are_another_store(small_celeba, opened, reads):
    small_celeba.write()
    first = opened()
    assert opened(Recipe("centre", 16, FaceSettings())).folder != first.folder
    path = small_celeba.root / "img_align_celeba" / "000003.jpg"
    path.write_bytes(small_celeba.files["000009.jpg"])
    os.utime(path, ns=(1, 1))
    reads.clear()
    second = opened()
    assert second.folder != first.folder
    assert len(reads) == 12
    assert second.report["content"] != first.report["content"]
    assert levels(second.images())[2] == levels(second.images())[8]


def test_settings_of_faces_count_for_faces_alone():
    other = FaceSettings(widen=1.5)
    assert Recipe("face", 8, other).fingerprint() != FACE.fingerprint()
    assert Recipe("centre", 8, other).fingerprint() == CENTRE.fingerprint()


def test_a_zip_is_known_by_its_checksums(small_celeba, opened):
    first = (small_celeba.write(zipped=True), opened())[1]
    os.utime(small_celeba.root / "img_align_celeba.zip", ns=(1, 1))
    assert opened().folder == first.folder
    small_celeba.files["000001.jpg"] = small_celeba.files["000002.jpg"]
    small_celeba.write(zipped=True)
    assert opened().folder != first.folder


def test_what_was_done_before_a_kill_is_not_done_again(small_celeba, opened, reads, monkeypatch):
    small_celeba.write()
    whole = opened()
    expected, folder = whole.images().read(), whole.folder
    content = whole.report["content"]
    shutil.rmtree(folder)
    with monkeypatch.context() as patch:
        patch.setattr(operations, "fault", killed_at("rename", "00000010.json"))
        with pytest.raises(Killed):
            opened(workers=1)
    assert not (folder / "report.json").exists()
    reads.clear()
    again = opened()
    assert set(reads) == {"000011.jpg", "000012.jpg"}
    np.testing.assert_array_equal(again.images().read(), expected)
    assert again.report["content"] == content
    assert not (folder / "shards").exists()


class Killed(BaseException):
    pass


def killed_at(operation, name):
    def fault(found, *paths):
        if found == operation and paths[-1].name == name:
            raise Killed

    return fault


def test_shards_of_an_array_that_is_gone_are_done_again(small_celeba, opened, monkeypatch):
    small_celeba.write()
    expected = opened().images().read()
    folder = opened().folder
    shutil.rmtree(folder)
    with monkeypatch.context() as patch:
        patch.setattr(operations, "fault", killed_at("rename", "00000010.json"))
        with pytest.raises(Killed):
            opened(workers=1)
    (folder / "images.npy").unlink()
    np.testing.assert_array_equal(opened().images().read(), expected)


@pytest.mark.parametrize(
    "planted",
    [
        "{",
        "[]",
        '{"outcomes": 5, "pixels": ""}',
        '{"outcomes": [0], "pixels": "' + "0" * 32 + '"}',
        '{"outcomes": [9, 9, 9, 9, 9], "pixels": "' + "0" * 32 + '"}',
        "[" * 10**5,
    ],
)
def test_damaged_marks_of_shards_do_not_count(
    small_celeba, opened, reads, monkeypatch, tmp_path, planted
):
    small_celeba.write()
    whole = opened()
    expected, folder = whole.images().read(), whole.folder
    shutil.rmtree(folder)
    with monkeypatch.context() as patch:
        patch.setattr(operations, "fault", killed_at("rename", "00000010.json"))
        with pytest.raises(Killed):
            opened(workers=1)
    mark = folder / "shards" / "00000005.json"
    mark.write_text(planted)
    reads.clear()
    np.testing.assert_array_equal(opened().images().read(), expected)
    assert "000006.jpg" in reads
    assert "000001.jpg" not in reads


def test_unreadable_pictures_are_named_counted_and_can_be_replaced(small_celeba, opened, reads):
    small_celeba.write()
    folder = small_celeba.root / "img_align_celeba"
    (folder / "000002.jpg").write_bytes(small_celeba.files["000002.jpg"][:-100])
    (folder / "000003.jpg").write_bytes(b"<html>")
    with pytest.raises(DataError, match="2 pictures cannot be read") as caught:
        opened()
    said = str(caught.value)
    assert f"{folder}: 2 pictures cannot be read (000002.jpg: " in said
    assert "000003.jpg: no picture of a known format" in said
    for name in ("000002.jpg", "000003.jpg"):
        (folder / name).write_bytes(small_celeba.files[name])
    assert opened().report["kept"] == 12


def test_many_unreadable_pictures_end_it_early(small_celeba, opened, reads, monkeypatch):
    monkeypatch.setattr(shards, "MOST_UNREADABLE", 3)
    small_celeba.files = dict.fromkeys(small_celeba.names, b"nothing")
    small_celeba.write()
    with pytest.raises(DataError, match="at least 3 pictures cannot be read"):
        opened(workers=1)
    assert len(reads) == 3


def test_a_full_disk_is_an_error_before_anything_is_cropped(
    small_celeba, opened, reads, monkeypatch
):
    def full(*args):
        raise OSError(errno.ENOSPC, "No space left on device")

    small_celeba.write()
    with monkeypatch.context() as patch:
        patch.setattr(os, "posix_fallocate", full)
        with pytest.raises(MmvaeError, match=r"No space left.*Free space.*data\.cache"):
            opened()
    assert reads == []
    with monkeypatch.context() as patch:
        patch.setattr(shards, "write_rows", full)
        with pytest.raises(MmvaeError, match=r"images\.npy: No space left"):
            opened()
    assert opened().report["kept"] == 12


def test_no_face_in_any_picture_is_an_error_each_time(small_celeba, opened, fake_faces, reads):
    small_celeba.write()
    fake_faces(lambda picture: [])
    for _ in range(2):
        with pytest.raises(DataError, match=r"0 of 12 pictures kept; left out: 12 no face found"):
            opened(FACE)
    assert len(reads) == 12


def test_missing_and_renamed_pictures_are_named(small_celeba, opened):
    small_celeba.write()
    folder = small_celeba.root / "img_align_celeba"
    (folder / "000007.jpg").rename(folder / "7.jpg")
    said = r"1 picture \(000007.jpg\) of 12 that .*list_attr_celeba.txt lists are missing. "
    with pytest.raises(DataError, match=said + r"1 picture \(7.jpg\) there are not listed"):
        opened()
    shutil.rmtree(folder)
    folder.mkdir()
    with pytest.raises(DataError, match=r"img_align_celeba: there are no pictures in it"):
        opened()


def test_a_zip_must_be_whole_and_hold_pictures(small_celeba, opened):
    small_celeba.write(zipped=True)
    path = small_celeba.root / "img_align_celeba.zip"
    content = path.read_bytes()
    path.write_bytes(content[:-50])
    with pytest.raises(DataError, match=r"cannot be read as a zip file .*fetch it again"):
        opened()
    at = content.index(small_celeba.files["000004.jpg"]) + 700
    path.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
    with pytest.raises(DataError, match=r"1 picture cannot be read \(000004.jpg: Bad CRC-32"):
        opened()
    small_celeba.files = {}
    small_celeba.write(zipped=True)
    with pytest.raises(DataError, match=r"zip: there are no pictures in it, expected 12"):
        opened()


def test_a_damaged_store_says_which_folder_to_delete(small_celeba, opened):
    small_celeba.write()
    folder = opened().folder
    report = (folder / "report.json").read_text()
    with (folder / "images.npy").open("r+b") as file:
        file.truncate(500)
    with pytest.raises(DataError, match=r"damaged .*Delete that folder"):
        opened().images()
    (folder / "report.json").write_text(report[:20])
    with pytest.raises(DataError, match=r"damaged .*Delete that folder"):
        opened()


def test_a_second_process_waits_for_the_first(small_celeba, opened, capsys, monkeypatch):
    small_celeba.write()
    folder = opened().folder
    shutil.rmtree(folder)
    folder.mkdir()
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import fcntl, sys, time; f = open(sys.argv[1], 'w'); fcntl.flock(f, fcntl.LOCK_EX);"
            "print('held', flush=True); sys.stdin.read()",
            str(folder / ".lock"),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert holder.stdout.readline() == b"held\n"
    end = threading.Timer(0.6, holder.stdin.close)
    end.start()
    begun = time.monotonic()
    assert opened().report["kept"] == 12
    assert time.monotonic() - begun >= 0.5
    assert "another process makes" in capsys.readouterr().err
    end.join()
    holder.wait()
    holder.stdout.close()
    assert not FolderLock(folder).is_held()


def test_the_report_holds_the_settings(small_celeba, opened, fake_faces):
    small_celeba.write()
    report = json.loads((opened(FACE).folder / "report.json").read_text())
    assert report["settings"]["faces"] == {
        "scale": 1.2,
        "neighbours": 2,
        "smallest": 10,
        "widen": 1.3,
        "width": 0.4,
    }
    assert (report["pictures"], report["kept"]) == (12, 12)


def test_a_changed_content_in_the_report_is_found(small_celeba, opened):
    small_celeba.write()
    path = opened().folder / "report.json"
    report = json.loads(path.read_text())
    first = report["content"][0]
    path.write_text(json.dumps(report | {"content": report["content"].replace(first, "g")}))
    with pytest.raises(DataError, match=r"damaged \(the checksum of report.json differs\)"):
        opened()
    del report["sha256"]  # as older versions wrote it
    path.write_text(json.dumps(report))
    assert opened().report["content"] == report["content"]
