from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("torch", reason="training needs PyTorch: pip install '.[train]'")
pytest.importorskip("pycocotools", reason="training needs pycocotools: pip install '.[train]'")

import torch

from pipeline.training.cli import main
from pipeline.training.model.network import DetectorNetwork


def refuse(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *arguments: str) -> str:
    monkeypatch.setattr("sys.argv", ["lookout-train", *arguments])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1, lines
    return lines[0]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("fit", "nowhere"), "nowhere/train.json: No such file or directory"),
        (("fit", "DATA", "--recipe", "magic"), "--recipe magic: not one of card, tune, distil"),
        (("fit", "DATA", "--recipe", "distil"), "--recipe distil and --teacher go together"),
        (("fit", "DATA", "--unlabelled", "DATA"), "--unlabelled needs a --teacher"),
        (("fit", "DATA", "--size", "100"), "--size 100: must be a multiple of 32"),
        (("fit", "DATA", "--from", "magic"), "--from magic: neither a file nor one of bundled, official, imagenet"),
        (("fit", "DATA", "--from", "official"), "--from official: name the folder of official models"),
        (("evaluate", "none.xml", "DATA"), "none.xml: no such model file"),
        (
            ("evaluate", "person-detection-9", "DATA"),
            "person-detection-9: neither a .xml file, nor bundled, nor a model",
        ),
        (("evaluate", "DATA/train.xml", "DATA"), "train.xml: not a readable OpenVINO model"),
        (("export", "DATA/train.json", "model.xml"), "train.json: not a file of plain tensors"),
        (("quantize", "none.xml", "DATA", "model.bin"), "model.bin: the name of an OpenVINO model ends in .xml"),
    ],
)
def test_input_that_cannot_be_used_is_refused_in_one_line(
    arguments: tuple[str, ...],
    complaint: str,
    drawn: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LOOKOUT_MODELS", raising=False)
    (drawn / "train.xml").write_text("<net/>")
    given = [argument.replace("DATA", str(drawn)) for argument in arguments]
    assert complaint in refuse(capsys, monkeypatch, *given)


def test_a_folder_that_holds_a_run_is_not_overwritten(
    drawn: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "checkpoint.pt").write_bytes(b"")
    line = refuse(capsys, monkeypatch, "fit", str(drawn), "--out", str(tmp_path))
    assert "holds a run already; add --resume" in line


def test_export_and_evaluate_go_through(
    drawn: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.save(DetectorNetwork().state_dict(), tmp_path / "weights.pt")
    model = str(tmp_path / "model.xml")
    for arguments in (["export", str(tmp_path / "weights.pt"), model], ["evaluate", model, str(drawn), "--limit", "3"]):
        monkeypatch.setattr("sys.argv", ["lookout-train", *arguments])
        with pytest.raises(SystemExit) as stopped:
            main()
        assert not stopped.value.code
    assert "3 pictures" in capsys.readouterr().out
