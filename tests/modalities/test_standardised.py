"""The check of a codec's state for standardised values."""

from __future__ import annotations

import pytest
import torch

from mmvae.modalities.standardised import check_standardised

SOUND = {"mean": torch.tensor([0.0, -1e30]), "deviation": torch.tensor([1e-30, 2.0])}


def test_a_sound_state_passes() -> None:
    check_standardised(SOUND, (2,), torch.float32)


@pytest.mark.parametrize(
    ("key", "values", "message"),
    [
        ("mean", [0.0, float("nan")], r"mean is .*nan.*, expected finite numbers of 32 bits"),
        ("mean", [0.0], r"mean is \[0.0\], expected finite numbers of 32 bits, shape \(2,\)"),
        ("deviation", [1.0, 0.0], r"deviation is .*, expected positive numbers of 32 bits"),
        ("deviation", [1.0, 1e-45], "deviation is .*, expected positive numbers"),
        ("deviation", [1.0, float("inf")], "deviation is .*, expected positive numbers"),
    ],
)
def test_a_state_that_cannot_scale_values_is_refused(
    key: str, values: list[float], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        check_standardised({**SOUND, key: torch.tensor(values)}, (2,), torch.float32)


def test_numbers_of_another_type_are_refused() -> None:
    with pytest.raises(ValueError, match="mean is .*, expected finite numbers of 64 bits"):
        check_standardised(SOUND, (2,), torch.float64)
