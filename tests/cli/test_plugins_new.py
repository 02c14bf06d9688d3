"""``mmvae plugins new`` writes a distribution, and what it writes is found and checked."""

from __future__ import annotations


def test_new_writes_a_folder_and_says_what_comes_next(mmvae, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = mmvae("plugins", "new", "mmvae-angles", "--codec", "angle")
    assert result.code == 0
    assert result.out == "mmvae-angles\n"
    assert "pip install -e '.[dev]' && pytest && mmvae train example.toml" in result.err
    assert (tmp_path / "mmvae-angles" / "mmvae_angles.py").is_file()
    result = mmvae("plugins", "new", "mmvae-angles", "--codec", "angle", "--out", "deep/er")
    assert result.code == 0
    assert (tmp_path / "deep" / "er" / "mmvae-angles" / "pyproject.toml").is_file()


def test_its_codec_passes_the_check_once_installed(mmvae, tmp_path, install, monkeypatch) -> None:
    assert mmvae("plugins", "new", "mmvae-angles", "--codec", "angle", "--out", tmp_path).code == 0
    code = (tmp_path / "mmvae-angles" / "mmvae_angles.py").read_text(encoding="utf-8")
    install("mmvae-angles", "angles", code)
    monkeypatch.setenv("MMVAE_PLUGINS", "angles")
    result = mmvae("plugins", "check", "mmvae-angles")
    assert result.code == 0, result.out
    assert "FAILED" not in result.out
    assert "not tried" not in result.out


def test_refusals_end_with_2(mmvae, tmp_path) -> None:
    result = mmvae("plugins", "new", "Angles", "--codec", "angle", "--out", tmp_path)
    assert result.code == 2
    assert "'Angles' is no name for a distribution" in result.err
    assert mmvae("plugins", "new", "mmvae-angles", "--out", tmp_path).code == 2
    assert not list(tmp_path.iterdir())
    (tmp_path / "mmvae-angles").mkdir()
    result = mmvae("plugins", "new", "mmvae-angles", "--codec", "angle", "--out", tmp_path)
    assert result.code == 2
    assert "exists already" in result.err
