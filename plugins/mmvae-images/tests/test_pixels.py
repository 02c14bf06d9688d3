"""Raw pictures are read from every form, strictly; values go back to the user's units."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from mmvae_images import BernoulliImage, GaussianConvImage
from mmvae_images.bernoulli import draw_once
from mmvae_images.picture import opened
from mmvae_images.pixels import read
from PIL import Image
from pydantic import ValidationError

from mmvae import Column, UnsupportedValue
from mmvae.modalities.column import LazyValues

GREY = np.random.default_rng(0).integers(0, 256, (4, 5, 6), dtype=np.uint8)
COLOUR = np.random.default_rng(1).integers(0, 256, (4, 5, 6, 3), dtype=np.uint8)


def encoded(pixels, form="PNG"):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, form)
    return file.getvalue()


def fitted(raw, codec=BernoulliImage, **keys):
    config = codec.Config(**keys)
    return codec(config, codec(config).fit(raw))


@pytest.mark.parametrize("pixels", [GREY, COLOUR], ids=["grey", "colour"])
def test_every_form_reads_the_same(pixels, tmp_path):
    first = tmp_path / "0.png"
    first.write_bytes(encoded(pixels[0]))
    mixed = [
        {"bytes": None, "path": str(first)},
        {"bytes": encoded(pixels[1]), "path": "1.png"},
        encoded(pixels[2]),
        Image.fromarray(pixels[3]),
    ]
    channels_last = pixels.reshape(4, 5, 6, -1)
    wanted = np.moveaxis(channels_last, -1, 1)
    for values in (pixels, channels_last, list(pixels), pixels.astype(np.int64), mixed):
        got = read(Column(values))
        assert got.dtype == np.uint8
        np.testing.assert_array_equal(got, wanted)
    floats = read(Column(pixels / 255))
    assert floats.dtype == np.float32
    np.testing.assert_allclose(floats, wanted / 255, rtol=1e-6)


def test_true_is_white():
    np.testing.assert_array_equal(read(Column(GREY > 127))[:, 0], (GREY > 127) * 255)


def test_channels_converts_pictures_but_not_arrays():
    pictures = Column([Image.fromarray(p) for p in COLOUR])
    assert read(pictures, 1).shape == (4, 1, 5, 6)
    assert read(Column([Image.fromarray(GREY[0])]), 3).shape == (1, 3, 5, 6)
    with pytest.raises(UnsupportedValue, match="3 channels, expected channels = 1"):
        read(Column(COLOUR), 1)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.zeros(3), "shape"),
        (np.zeros((2, 5, 6, 4)), "1 or 3 channels"),
        (np.zeros((2, 0, 6)), "shape"),
        (np.zeros((2, 5, 6), "U1"), "pixels of type"),
        ([GREY[0], GREY[1, :4]], r"row 1: .*\(4, 6\).*\(5, 6\)"),
        ([Image.fromarray(GREY[0]), Image.fromarray(COLOUR[0])], "row 1"),
        ([Image.new("RGBA", (6, 5))], "row 0: .*mode RGBA.*channels = 1 or 3"),
        ([Image.new("I;16", (6, 5))], "mode I;16"),
        ([encoded(GREY[0])[:60]], "row 0: got 60 bytes"),
        (["nowhere.png"], "row 0: got file nowhere.png"),
        ([3.5], "row 0: got float"),
        ([None], "row 0: got NoneType"),
    ],
)
def test_what_is_no_picture_is_refused(values, message):
    with pytest.raises(UnsupportedValue, match=message):
        read(Column(values))


@pytest.mark.filterwarnings("ignore")  # Pillow's own remarks on what it could save
def test_truncated_and_damaged_files_never_escape_as_other_errors():
    rng, outcomes = np.random.default_rng(0), set()
    for form in ("PNG", "JPEG", "GIF", "BMP", "TIFF"):
        whole = encoded(GREY[0], form)
        for _ in range(60):
            damaged = bytearray(whole[: rng.integers(1, len(whole) + 1)])
            damaged[rng.integers(len(damaged))] ^= 1 << rng.integers(8)
            try:
                pixels = read(Column([bytes(damaged)]), 1)
                outcomes.add((str(pixels.dtype), *pixels.shape[:2]))
            except UnsupportedValue as error:
                outcomes.add(("refused", error.row))
    assert outcomes == {("uint8", 1, 1), ("refused", 0)}


def test_size_is_checked_not_changed():
    with pytest.raises(UnsupportedValue, match="pictures of 5×6×1, expected 6×6"):
        fitted(Column(GREY), size=6)
    codec = fitted(Column(GREY))
    with pytest.raises(UnsupportedValue, match="pictures of 6×5×1, expected 5×6×1"):
        codec.prepare(Column(GREY.swapaxes(1, 2)))
    with pytest.raises(UnsupportedValue, match="at least one picture"):
        fitted(Column([]))


@pytest.mark.parametrize("shape", [(8, 8), (28, 28), (32, 40)])
def test_pictures_that_cannot_be_halved_are_refused_with_advice(shape):
    raw = Column(np.zeros((2, *shape), np.uint8))
    with pytest.raises(UnsupportedValue, match="multiples of 16.*fewer channels_hidden"):
        fitted(raw, GaussianConvImage)


@pytest.mark.parametrize("last", [1, 4, 8])
def test_groups_of_one_number_are_refused_with_advice(last):
    raw = Column(np.zeros((2, 4, 4), np.uint8))
    with pytest.raises(UnsupportedValue, match=f"leave {last} numbers.*Set norm = 'none'"):
        fitted(raw, GaussianConvImage, channels_hidden=(16, last))
    fitted(raw, GaussianConvImage, channels_hidden=(16, last), norm="none")
    fitted(raw, GaussianConvImage, channels_hidden=(16, 16))
    fitted(Column(np.zeros((2, 4, 8), np.uint8)), GaussianConvImage, channels_hidden=(16, last))


def test_fit_names_the_row_in_the_whole_column():
    pixels = np.zeros((1500, 2, 2), np.float32)
    pixels[1300, 0, 1] = np.nan
    with pytest.raises(UnsupportedValue, match="row 1300: got nan at line 0, column 1"):
        fitted(Column(pixels), GaussianConvImage, pixels="standardised", channels_hidden=(16,))


@pytest.mark.parametrize("codec", [BernoulliImage, GaussianConvImage])
@pytest.mark.parametrize(
    "pixels", [GREY, COLOUR, GREY / np.float32(255)], ids=["grey", "colour", "float"]
)
def test_restore_gives_the_source_its_own_array_back(codec, pixels):
    padded = pixels[:, :4, :4]
    keys = {} if codec is BernoulliImage else {"channels_hidden": (4,), "pixels": "standardised"}
    model = fitted(Column(padded), codec, **keys)
    restored = model.restore(model.to_input(model.prepare(Column(padded))[0])).values
    assert restored.dtype == padded.dtype
    np.testing.assert_allclose(restored, padded, atol=1e-6)


def test_show_gives_pictures_of_the_right_mode_and_levels():
    for pixels, mode in ((GREY, "L"), (COLOUR, "RGB")):
        codec = fitted(Column(pixels))
        shown = codec.show(codec.to_input(codec.prepare(Column(pixels))[0]))
        assert [picture.mode for picture in shown] == [mode] * 4
        np.testing.assert_array_equal(np.asarray(shown[2]), pixels[2])


def test_parse_reads_a_file_in_the_model_s_mode(tmp_path):
    codec = fitted(Column(GREY))
    path = tmp_path / "colour.png"
    Image.fromarray(COLOUR[0]).save(path)
    assert codec.condition(codec.parse(str(path))).shape == (1, 1, 5, 6)
    Image.fromarray(COLOUR[0][:4]).save(path)
    with pytest.raises(ValueError, match=r"4×6 pixels, expected 5×6"):
        codec.parse(str(path))
    path.write_bytes(b"no picture")
    with pytest.raises(ValueError, match="not the path of a readable picture"):
        codec.parse(str(path))
    with pytest.raises(ValueError, match="not the path of a readable picture"):
        codec.parse("7")


def test_resampled_pixels_are_binary_fresh_and_right_on_average():
    codec = fitted(Column(GREY))
    x = codec.to_input(codec.prepare(Column(GREY))[0])
    generator = torch.Generator().manual_seed(0)
    draws = torch.stack([codec.resample(x, generator) for _ in range(2000)])
    assert set(draws.unique().tolist()) == {0.0, 1.0}
    assert not torch.equal(draws[0], draws[1])
    error = (draws.mean(0) - x) / ((x * (1 - x) / 2000).sqrt() + 1e-6)
    assert error.abs().max() < 5
    assert set(codec.fixed(x, generator).unique().tolist()) == {0.0, 1.0}


def test_once_is_a_function_of_picture_and_seed():
    codec = fitted(Column(GREY), binarise="once")
    x = codec.to_input(codec.prepare(Column(GREY))[0])
    assert set(x.unique().tolist()) == {0.0, 1.0}
    generator = torch.Generator().manual_seed(0)
    assert codec.resample(x, generator) is x
    assert codec.fixed(x, generator) is x
    shuffled = codec.to_input(codec.prepare(Column(GREY[::-1].copy()))[0])
    assert torch.equal(shuffled.flip(0), x)
    other = fitted(Column(GREY), binarise="once", binarise_seed=1)
    assert not torch.equal(other.to_input(other.prepare(Column(GREY))[0]), x)


def test_once_draws_each_pixel_with_its_grey_level_as_probability():
    rng = np.random.default_rng(0)
    pixels = rng.choice(np.array([0, 64, 128, 255], np.uint8), (4000, 25))
    drawn = draw_once(pixels, 0)
    for level in (0, 64, 128, 255):
        share = drawn[pixels == level].mean()
        assert abs(share - level / 255) < 0.01
    # Neighbours in a picture and the same pixel of two pictures are drawn independently.
    half = drawn[:, :2][(pixels[:, :2] == 128).all(1)]
    assert abs((half[:, 0] & half[:, 1]).mean() - 0.25) < 0.1


def test_threshold_cuts_at_one_half():
    codec = fitted(Column(GREY), binarise="threshold")
    x = codec.to_input(codec.prepare(Column(GREY))[0])
    np.testing.assert_array_equal(x.numpy()[:, 0], GREY >= 128)


def test_squared_error_is_the_mean_over_pixels():
    codec = fitted(Column(GREY))
    figure = codec.compare(torch.full((2, 1, 5, 6), 0.5), torch.zeros(2, 1, 5, 6))
    torch.testing.assert_close(figure["squared error"], torch.tensor([0.25, 0.25]))


@pytest.mark.parametrize(
    ("codec", "keys"),
    [
        (BernoulliImage, {"binarise": "sometimes"}),
        (BernoulliImage, {"encoder": [0]}),
        (BernoulliImage, {"channels": 2}),
        (GaussianConvImage, {"variance": 0}),
        (GaussianConvImage, {"variance": "learned"}),
        (GaussianConvImage, {"variance": float("nan")}),
        (GaussianConvImage, {"channels_hidden": []}),
        (GaussianConvImage, {"hidden": [1]}),
    ],
)
def test_wrong_keys_are_refused(codec, keys):
    with pytest.raises(ValidationError):
        codec.Config(**keys)


class Streamed(LazyValues):
    """Rows of an array that note how many were read at once."""

    def __init__(self, values, reads):
        self.values, self.reads = values, reads

    def __len__(self):
        return len(self.values)

    def take(self, rows):
        return Streamed(self.values[np.asarray(rows)], self.reads)

    def read(self):
        self.reads.append(len(self.values))
        return self.values


def test_a_streamed_column_is_not_read_whole_to_learn_a_shape():
    reads = []
    state = BernoulliImage(BernoulliImage.Config()).fit(Column(Streamed(GREY, reads)))
    assert state == {"shape": [1, 5, 6], "dtype": "uint8"}
    assert reads == [1]


def test_streamed_pixels_are_standardised_as_those_in_memory():
    config = GaussianConvImage.Config(pixels="standardised", channels_hidden=(16,))
    pixels = np.random.default_rng(0).integers(0, 256, (2500, 2, 2), np.uint8)
    reads = []
    streamed = GaussianConvImage(config).fit(Column(Streamed(pixels, reads)))
    whole = GaussianConvImage(config).fit(Column(pixels))
    assert max(reads) < len(pixels)
    for name in ("mean", "deviation"):
        assert torch.equal(streamed[name], whole[name])


@pytest.mark.parametrize("binarise", ["resample", "once", "threshold"])
def test_grey_means_of_a_model_become_binary_as_the_data_did(binarise):
    codec = fitted(Column(GREY), binarise=binarise)
    grey = torch.full((4000, 1, 5, 6), 0.7)
    seen = codec.fixed(grey, torch.Generator().manual_seed(0))
    assert set(seen.unique().tolist()) <= {0.0, 1.0}
    wanted = 1.0 if binarise == "threshold" else 0.7
    assert seen.mean().item() == pytest.approx(wanted, abs=0.01)
    assert codec.fixed(seen, torch.Generator()).equal(seen)


def test_what_is_no_picture_is_told_without_places_in_memory():
    with pytest.raises(UnsupportedValue) as told:
        opened(b"no picture")
    assert str(told.value.value) == "10 bytes (no picture of a known format)"


@pytest.mark.parametrize("value", [0.0, -1.0, 1e-45, np.inf, np.nan])
def test_a_saved_state_without_sound_deviations_is_refused(value):
    config = GaussianConvImage.Config(pixels="standardised")
    ones = torch.ones(1, 16, 16)
    state = {"shape": [1, 16, 16], "dtype": "uint8", "mean": ones, "deviation": ones}
    GaussianConvImage(config, state).check_state()
    for change in ({"deviation": value * ones}, {"mean": ones[:, :1]}, {"dtype": "int64"}):
        with pytest.raises(ValueError, match=f"{next(iter(change))}.*expected"):
            GaussianConvImage(config, state | change).check_state()
