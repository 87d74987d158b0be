"""No output is written over a source, the configuration, the model or another output, whatever they are called."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

import pipeline
from pipeline.cli.app import main
from pipeline.config.load import load
from pipeline.config.root import Config
from pipeline.errors import ConfigError, OutputError
from pipeline.runtime.runtime import Runtime
from tests.support.clips import street, write_file


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a film, two links to it, a model and a link to the folder."""
    monkeypatch.chdir(tmp_path)
    write_file(tmp_path / "film.mp4", street(5, 64, 48))
    (tmp_path / "link.mp4").symlink_to("film.mp4")
    os.link("film.mp4", "hard.mp4")
    (tmp_path / "here").symlink_to(".")
    (tmp_path / "model.xml").write_text("<net/>")
    (tmp_path / "model.bin").write_text("weights")
    (tmp_path / "film.jsonl").write_text("boxes")
    (tmp_path / "row01.png").write_text("picture")
    return tmp_path


SAME = [
    ("film.mp4", "{video: film.mp4}", "the source of camera door"),
    ("film.mp4", "{video: here/here/link.mp4}", "the source of camera door"),
    ("link.mp4", "{video: hard.mp4}", "the source of camera door"),
    ("film.mp4", "{video: 'file:film.mp4'}", "the source of camera door"),
    ("file:film.mp4", "{video: film.mp4}", "the source of camera door"),
    ("fault:stall@9:film.mp4", "{events: link.mp4}", "the source of camera door"),
    ("film.mp4", "{events: film.jsonl}", "the boxes beside the source of camera door"),
    ("row%02d.png", "{events: row01.png}", "the source of camera door"),
    ("demo", "{events: here/c.yaml}", "the configuration"),
    ("demo", "{events: model.xml}", "a file of the model"),
    ("demo", "{events: here/model.bin}", "a file of the model"),
    ("demo", "{video: o.mp4}, {events: here/o.mp4}", "the file of outputs.0.video.path"),
    ("demo", "{video: 'o/{camera}.mp4'}, {events: o/door.mp4}", "the file of outputs.0.video.path"),
    ("demo", "{record: 'o/{time}.mp4'}, {record: 'here/o/{time}.mp4'}", "the file of outputs.0.record.path"),
    ("demo", "{web: {certificate: link.mp4}}, {events: hard.mp4}", "the file of outputs.0.web.certificate"),
]


@pytest.mark.parametrize(("source", "outputs", "owner"), SAME)
def test_an_output_that_is_something_else_is_refused_everywhere(
    place: Path, source: str, outputs: str, owner: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {each.name: each.read_bytes() for each in place.iterdir() if each.is_file()}
    text = f"cameras: {{door: '{source}'}}\nmodel: model.xml\noutputs: [{outputs}]\n"
    Path("c.yaml").write_text(text)
    for command in (["check", "c.yaml"], ["run", "c.yaml"]):
        assert main(command) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("c.yaml:3:")
        assert f": must be another file than {owner}, got '" in line
    with pytest.raises(ConfigError, match="must be another file than"):
        pipeline.open("c.yaml")
    assert {each.name: each.read_bytes() for each in place.iterdir() if each.is_file()} == before | {
        "c.yaml": text.encode()
    }


def test_options_and_python_are_refused_alike(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    film = Path("film.mp4").read_bytes()
    assert main(["-i", "film.mp4", "-o", "link.mp4"]) == 2
    said = "must be another file than the source of camera film, got 'link.mp4'"
    assert capsys.readouterr().err == f"--output link.mp4: outputs.0.video.path: {said}\n"
    made = Config.model_validate({"cameras": {"film": "film.mp4"}, "outputs": [{"video": {"path": "link.mp4"}}]})
    with pytest.raises(ConfigError, match=f"^outputs.0.video.path: {said}$"), pipeline.open(made):
        pass
    assert Path("film.mp4").read_bytes() == film


@pytest.mark.parametrize("name", ["link.mp4", "c.yaml", "seen.jsonl"])
def test_the_summary_takes_the_place_of_nothing(place: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    Path("c.yaml").write_text("cameras: {door: film.mp4}\noutputs: [{events: here/seen.jsonl}]\n")
    film, text = Path("film.mp4").read_bytes(), Path("c.yaml").read_text()
    assert main(["run", "c.yaml", "--summary", name]) == 5
    assert capsys.readouterr().err.startswith(f"cannot write {name}: it is the ")
    assert (Path("film.mp4").read_bytes(), Path("c.yaml").read_text()) == (film, text)


def test_what_is_different_is_let_through(place: Path) -> None:
    shutil.copy("film.mp4", "copy.mp4")
    Path("c.yaml").write_text(
        "cameras: {door: film.mp4, yard: film.mp4}\n"
        "outputs: [{video: 'copy-{camera}.mp4'}, {events: all.jsonl}, {events: /dev/null}, {events: /dev/null},"
        " {record: 'film-{camera}-{time}.mp4'}, {events: '-'}, {events: '-'}]\n"
    )
    assert len(load("c.yaml").outputs or ()) == 7


def test_what_is_named_later_is_looked_at_too(place: Path) -> None:
    claims = Runtime(Config.model_validate({"cameras": {"door": "film.mp4"}})).claims
    with pytest.raises(OutputError, match=r"cannot write link.mp4: it is the source of camera door; choose another"):
        claims.check_free(Path("link.mp4"))
    assert claims.taken(place / "hard.mp4")
    claims.check_free(Path("new.mp4"))
