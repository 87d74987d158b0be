"""Files are locked, never emptied before their time, and pipes are never waited on for ever."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.errors import OutputError
from pipeline.files.disk import Disk
from pipeline.files.writing import WrittenFile, put_in_place, write_whole

ROOT = Path(__file__).parents[3]
HOLDING = f"""
import sys
sys.path[:0] = [{str(ROOT)!r}]
from pathlib import Path
from pipeline.files.writing import WrittenFile
file = WrittenFile(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


def test_the_process_that_holds_a_file_is_named_and_its_end_frees_it(tmp_path: Path) -> None:
    path = tmp_path / "film.mp4"
    path.write_bytes(b"film")
    with subprocess.Popen(
        [sys.executable, "-c", HOLDING, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(OutputError) as caught:
            WrittenFile(path)
        assert str(caught.value) in (
            f"cannot write {path}: {who} writes it; end that or choose another place"
            for who in (f"process {holder.pid}", "another program")
        )
        with pytest.raises(OutputError, match="writes it"):
            write_whole(path, b"snapshot")
        holder.kill()
    assert path.read_bytes() == b"film"
    WrittenFile(path).close()


def test_what_is_there_stays_until_it_is_cleared(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "a.mp4"
    with WrittenFile(path) as file:
        file.write(b"first")
    with WrittenFile(path) as file:
        assert (file.size, path.read_bytes()) == (5, b"first")
        file.discard()
    assert path.read_bytes() == b"first"
    with WrittenFile(path) as file:
        file.clear()
        file.write(b"new")
    assert path.read_bytes() == b"new"
    with pytest.raises(OutputError):
        WrittenFile(path, new=True)
    with WrittenFile(tmp_path / "b.mp4") as file:
        file.discard()
    assert not (tmp_path / "b.mp4").exists()


def test_a_whole_file_takes_the_place_behind_a_link(tmp_path: Path) -> None:
    (tmp_path / "real.jpg").write_bytes(b"old")
    (tmp_path / "link.jpg").symlink_to("real.jpg")
    write_whole(tmp_path / "link.jpg", b"new")
    assert ((tmp_path / "real.jpg").read_bytes(), (tmp_path / "link.jpg").is_symlink()) == (b"new", True)
    (tmp_path / "made").write_bytes(b"newest")
    put_in_place(tmp_path / "made", tmp_path / "link.jpg")
    assert (tmp_path / "real.jpg").read_bytes() == b"newest"
    assert sorted(each.name for each in tmp_path.iterdir()) == ["link.jpg", "real.jpg"]


@pytest.mark.parametrize("device", ["/dev/null", "/dev/full"])
def test_a_device_is_no_place_for_a_whole_file(device: str) -> None:
    with pytest.raises(OutputError, match=f"^cannot write {device}: it is a device; name a file$"):
        write_whole(Path(device), b"picture")
    assert Path(device).is_char_device()


def test_a_picture_that_does_not_fit_costs_nothing_that_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "old.jpg").write_bytes(b"old")

    def full(path: Path, data: bytes) -> int:
        path.open("wb").close()
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(Path, "write_bytes", full)
    for name in ("old.jpg", "new.jpg"):
        with pytest.raises(OutputError, match="the disk is full"):
            write_whole(tmp_path / name, b"picture")
    assert [(each.name, each.read_bytes()) for each in tmp_path.iterdir()] == [("old.jpg", b"old")]


def test_a_disk_that_is_gone_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = Disk(tmp_path / "film.mp4")
    disk.check()
    monkeypatch.setattr(Path, "is_mount", lambda path: False)
    with pytest.raises(OutputError, match="the disk is gone; connect it again"):
        disk.check()
