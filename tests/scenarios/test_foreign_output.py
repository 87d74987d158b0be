"""An output of another distribution, the one that the documentation teaches, in the program itself."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.wait import HANG_S

ROOT = Path(__file__).parents[2]
TAUGHT = (ROOT / "docs" / "howto" / "add-an-output.md").read_text()
Program = Callable[..., subprocess.CompletedProcess[str]]


def block(language: str) -> str:
    """The first code of a language in the documentation."""
    match = re.search(rf"^```{language}\n(.*?)^```$", TAUGHT, re.DOTALL | re.MULTILINE)
    assert match, f"no {language} is taught"
    return match[1]


def install(folder: Path, code: str, entry: str = "toy = lookout_toy:ToyOutput") -> None:
    """Put a distribution where an installer would."""
    (folder / "lookout_toy.py").write_text(code)
    about = folder / "toy-1.0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: toy\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(f"[lookout.outputs]\n{entry}\n")


@pytest.fixture
def site(tmp_path: Path) -> Path:
    folder = tmp_path / "site"
    folder.mkdir()
    return folder


@pytest.fixture
def program(tmp_path: Path, site: Path, quick_model: Path) -> Program:
    """Runs a command with a configuration, beside what is installed in `site`."""

    def run(command: str, text: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        (tmp_path / "street.yaml").write_text(text)
        path = os.pathsep.join([str(site), str(ROOT)])
        arguments = (*arguments, "--set", f"model.name={quick_model}") if command != "schema" else arguments
        return subprocess.run(
            [sys.executable, str(ROOT / "run.py"), command, *(["street.yaml"] if text else []), *arguments],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": path},
            timeout=2 * HANG_S,
        )

    return run


def test_what_the_documentation_teaches_works_as_it_stands(tmp_path: Path, site: Path, program: Program) -> None:
    name, _, value = block("toml").splitlines()[1].partition(" = ")
    install(site, block("python"), f"{name} = {json.loads(value)}")
    done = program("run", block("yaml"), "--frames", "5")
    assert done.returncode == 0, done.stderr
    lines = [line.split(" ") for line in (tmp_path / "seen.txt").read_text().splitlines()]
    assert lines
    assert {camera for camera, _, _ in lines} == {"door"}
    numbers = [int(number) for _, number, _ in lines]
    assert numbers == sorted(set(numbers))
    assert (tmp_path / "people.txt").exists()


def test_what_is_taught_uses_public_names_only() -> None:
    import pipeline.outputs

    names = re.search(r"^from pipeline\.outputs import (.+)$", block("python"), re.MULTILINE)
    assert names
    assert set(names[1].split(", ")) <= set(pipeline.outputs.__all__)
    assert re.findall(r"^(?:from|import) (pipeline\S*)", block("python"), re.MULTILINE) == ["pipeline.outputs"]


@pytest.mark.parametrize(
    ("outputs", "message"),
    [
        ("[toy: {pth: x}]", "2:17: outputs.0.toy.pth: unknown key; did you mean 'path'?"),
        ("[toy: {path: x, least: many}]", "2:33: outputs.0.toy.least: must be a whole number, got 'many'"),
        ("[toy]", "2:11: outputs.0.toy.path: missing"),
        ("[tyo: x]", "2:11: outputs.0.tyo: unknown key; did you mean 'toy'?"),
        (
            "[tyo]",
            "2:11: outputs.0: must be window, web, video, events, record, stream, hls or toy, got 'tyo'; "
            "did you mean 'toy'?",
        ),
    ],
)
def test_a_mistake_in_its_block_names_the_place_and_the_key(
    site: Path, program: Program, outputs: str, message: str
) -> None:
    install(site, block("python"))
    done = program("check", f"cameras: {{door: demo}}\noutputs: {outputs}")
    assert done.returncode == 2
    lines = done.stderr.splitlines()
    assert f"street.yaml:{message}" in lines
    assert "Traceback" not in done.stderr


def test_the_check_and_the_schema_know_it(site: Path, program: Program) -> None:
    install(site, block("python"))
    done = program("check", "cameras: {door: demo}\noutputs: [web, toy: seen.txt]")
    assert (done.returncode, done.stderr) == (0, "")
    assert "web, toy" in done.stdout
    described = json.loads(program("schema", "").stdout)["$defs"]
    assert described["Output"]["properties"]["toy"]["description"] == "A line for each result."
    assert described["Output"]["properties"]["toy"]["anyOf"][-1] == {"type": "string", "minLength": 1}
    assert described["Toy"]["properties"]["least"]["description"] == "Detections that a result needs to get a line."


BROKEN = {
    "an import fails": ("import a_client_that_is_not_there\n", "ModuleNotFoundError: No module named"),
    "it is not there": ("", "AttributeError: module 'lookout_toy' has no attribute 'ToyOutput'"),
    "it leaves": ("raise SystemExit(3)\n", "SystemExit: 3"),
    "no settings": ("class ToyOutput: ...\n", "it has no settings"),
    "other settings": ("class ToyOutput:\n    settings = dict\n", "its `settings` are no OutputSettings"),
    "another word": (block("python").replace('kind = "toy"', 'kind = "toi"'), "`kind` of its settings must be 'toy'"),
}


@pytest.mark.parametrize("outputs", ["[toy: {path: x}]", "[toy: x]", "[toy]"])
@pytest.mark.parametrize(("code", "reason"), BROKEN.values(), ids=BROKEN)
def test_a_broken_one_is_told_in_one_line(site: Path, program: Program, code: str, reason: str, outputs: str) -> None:
    install(site, code)
    done = program("check", f"cameras: {{door: demo}}\noutputs: {outputs}")
    assert done.returncode == 2, done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith("street.yaml:2:11: outputs.0: the ")
    assert "toy" in line
    assert "cannot be " in line
    assert reason in line


def test_a_broken_one_that_nobody_names_is_no_matter(site: Path, program: Program) -> None:
    install(site, "raise RuntimeError\n")
    assert program("check", "cameras: {door: demo}\noutputs: [web]").returncode == 0
    assert program("schema", "").returncode == 0


def test_a_configuration_made_in_python_knows_it_too(site: Path) -> None:
    install(site, block("python"))
    code = """
import sys, pipeline
made = pipeline.Config.model_validate({"outputs": [{"web": {}}, {"toy": {"path": "x"}}]})
again = pipeline.Config.model_validate(made.model_dump())
assert [each.kind for each in made.outputs] == ["web", "toy"]
assert made.outputs[1].settings.path == "x"
assert again == made, again
print(sorted({"av", "cv2"} & set(sys.modules)))
"""
    path = os.pathsep.join([str(site), str(ROOT)])
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
        timeout=HANG_S,
    )
    assert (done.stdout, done.stderr) == ("[]\n", "")
