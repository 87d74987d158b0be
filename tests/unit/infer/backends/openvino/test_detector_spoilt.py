"""Model files that are cut or spoilt are refused in one line, or work."""

from __future__ import annotations

from pathlib import Path

from pipeline.config.models import Infer
from pipeline.errors import DeviceError, ModelError
from pipeline.infer.backends.openvino.detector import load
from pipeline.infer.models.catalogue import Located
from tests.support.models import rows_model, write_ir
from tests.support.mutation import mutated, rounds


def test_spoilt_files_of_a_model_are_refused_in_one_line_or_work(tmp_path: Path) -> None:
    whole = write_ir(rows_model(), tmp_path / "whole.xml")
    text, weights = whole.read_bytes(), whole.with_suffix(".bin").read_bytes()
    spoilt = tmp_path / "spoilt.xml"
    refused = 0
    for chance in rounds(60):
        spoil_text = chance.random() < 0.7
        spoilt.write_bytes(mutated(text, chance, [text]) if spoil_text else text)
        spoilt.with_suffix(".bin").write_bytes(weights if spoil_text else mutated(weights, chance))
        located = Located("spoilt", "", spoilt, ("person",), "path")
        try:
            load(located, Infer.model_validate({"device": "CPU", "cache": ""}), "latency")
        except (ModelError, DeviceError) as error:
            refused += 1
            line = str(error)
            assert line.isprintable(), line
            assert line.startswith((f"{spoilt}: ", "device CPU: ")), line
    assert refused
