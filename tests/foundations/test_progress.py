"""Progress reports to nobody by default; remarks go to standard error, but for a training's."""

from __future__ import annotations

import pytest

from mmvae.foundations.progress import NOBODY, Progress, Remarks


@pytest.mark.parametrize("progress", [Progress(), NOBODY, Remarks()])
def test_records_and_parts_are_shown_to_nobody(
    progress: Progress, capsys: pytest.CaptureFixture
) -> None:
    with progress as entered:
        assert entered is progress
        progress.record({"step": 1, "split": "train"}, 15, 0.0)
        progress.say("saved step 1")
    progress.part("items", 1, 2)
    assert capsys.readouterr() == ("", "")


def test_remarks_go_to_standard_error(capsys: pytest.CaptureFixture) -> None:
    NOBODY.say("not heard")
    Remarks().say("heard")
    assert capsys.readouterr() == ("", "heard\n")
