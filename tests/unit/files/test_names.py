"""One file is one file, whatever it is called."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from pipeline.errors import OutputError
from pipeline.files.names import identity, named


def test_all_names_of_a_file_have_one_identity(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "real").mkdir()
    film = tmp_path / "real" / "film.mp4"
    film.write_bytes(b"x")
    (tmp_path / "folder").symlink_to("real")
    (tmp_path / "link.mp4").symlink_to("folder/film.mp4")
    os.link(film, tmp_path / "hard.mp4")
    names = ["real/film.mp4", "folder/film.mp4", "link.mp4", "hard.mp4", "./real/../link.mp4", str(film)]
    assert len({identity(name) for name in names}) == 1
    assert identity("other.mp4") != identity("link.mp4")


def test_a_file_that_is_not_there_yet_is_known_by_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "real").mkdir()
    (tmp_path / "folder").symlink_to("real")
    (tmp_path / "later.mp4").symlink_to("real/deep/film.mp4")
    assert (
        identity("folder/deep/film.mp4") == identity(tmp_path / "real" / "deep" / "film.mp4") == identity("later.mp4")
    )
    assert identity("real/a.mp4") != identity("real/b.mp4")


def test_capitals_make_another_file_only_where_the_disk_says_so(tmp_path: Path) -> None:
    (tmp_path / "Neighbour").write_text("")
    assert identity(tmp_path / "Film.mp4") != identity(tmp_path / "film.mp4")
    folder = tmp_path / "folded"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "casefold,size=1m", "none", folder], capture_output=True
    ).returncode
    try:
        folds = not mounted and not subprocess.run(["chattr", "+F", folder], capture_output=True).returncode
        if folds:
            (folder / "Neighbour").write_text("")
            assert identity(folder / "Film.mp4") == identity(folder / "film.mp4")
    finally:
        if not mounted:
            subprocess.run(["umount", "-l", folder], check=True)


def test_a_name_means_what_a_shell_makes_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    given = ["~/a.mp4", "~nobody-has-this.mp4", "file:b.mp4", "file:///c.mp4", "-d.mp4", "12:30 e.mp4"]
    assert list(map(str, map(named, given))) == [
        "/home/me/a.mp4",
        "~nobody-has-this.mp4",
        "b.mp4",
        "/c.mp4",
        "-d.mp4",
        "12:30 e.mp4",
    ]


def test_a_home_that_nobody_knows_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    with pytest.raises(OutputError, match=r"^cannot write ~/a.mp4: no home folder is known; write the whole path$"):
        named("~/a.mp4")
