"""What the package needs is bounded below and above, and is all that it imports."""

from __future__ import annotations

import tomllib
from importlib.metadata import packages_distributions, version

from tests.bounds import REQUIREMENT, ROOT, lowest, requirements
from tests.house.test_layers import PACKAGE, imported, modules

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
FURTHER = {"pipeline", "supervision", "pytest"}
"""What is imported where somebody else has installed it."""


def test_every_requirement_has_a_lowest_version_and_ends_below_a_later_major() -> None:
    extras = PROJECT["project"]["optional-dependencies"]
    every = [*requirements(PROJECT), *(each.replace("[python]", "") for names in extras.values() for each in names)]
    assert [each for each in every if REQUIREMENT.fullmatch(each) is None] == []
    assert lowest(["av>=18.1,<19"]) == ["av==18.1"]
    assert len(lowest(requirements(PROJECT))) == len(requirements(PROJECT))


def test_the_versions_of_these_tests_are_allowed() -> None:
    for each in requirements(PROJECT):
        found = REQUIREMENT.fullmatch(each)
        assert found is not None
        own, least, above = (
            [int(part) for part in text.split(".")[:2]] for text in (version(found["name"]), *found.groups()[1:])
        )
        assert least <= own < above, each


def test_what_is_imported_is_required() -> None:
    needed = {each.partition(">=")[0].lower().replace("-", "_") for each in requirements(PROJECT)}
    owners = packages_distributions()
    foreign = set()
    for path in modules():
        if path.parts[0] == "training":
            continue
        for name in imported((PACKAGE / path).read_text(), path):
            outer = name.partition(".")[0]
            distributions = {owner.lower().replace("-", "_") for owner in owners.get(outer, [])}
            if distributions and not distributions & needed and outer not in FURTHER:
                foreign.add(outer)
    assert foreign == set()
