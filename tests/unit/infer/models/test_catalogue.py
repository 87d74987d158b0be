"""Known models are found, checked before they are parsed, fetched in bounded time, or explained in one line."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.config.models import Model
from pipeline.errors import ModelError
from pipeline.infer.models import catalogue as zoo
from pipeline.infer.models.catalogue import Known, Located, locate
from pipeline.infer.models.download import TimeLimits
from tests.support.model_shop import Shop, put
from tests.support.wait import HANG_S, until

UNHURRIED = TimeLimits(connect=HANG_S, read=HANG_S, whole=HANG_S)
"""Limits that no busy machine meets, so that only the one in question can be."""
NAME = "person-detection-0202"
SERVER = "https://storage.openvinotoolkit.org/repositories/open_model_zoo"
Stock = Callable[..., None]

pytestmark = pytest.mark.usefixtures("places")


def failure(notices: list[str], **settings: object) -> str:
    with pytest.raises(ModelError) as caught:
        locate(Model.model_validate(settings))
    assert caught.value.exit_code == 4
    assert "\n" not in str(caught.value)
    return str(caught.value)


def hurried(monkeypatch: pytest.MonkeyPatch, patience: TimeLimits) -> None:
    monkeypatch.setattr(zoo, "_PATIENT_LIMITS", patience)
    monkeypatch.setattr(zoo, "_QUICK_LIMITS", patience)


def test_the_registry_holds_the_whole_family() -> None:
    names = {model.name for model in zoo.known()}
    assert names >= {
        *(f"person-detection-020{digit}" for digit in "012"),
        *(f"vehicle-detection-020{digit}" for digit in "012"),
        *(f"person-vehicle-bike-detection-200{digit}" for digit in "012"),
        *(f"face-detection-020{digit}" for digit in "024"),
        "person-detection-retail-0013",
    }
    for model in zoo.known():
        assert model.labels
        assert model.width > 0 < model.height
        for precision, releases in model.releases.items():
            for xml, weights in releases:
                for file, kind in ((xml, "xml"), (weights, "bin")):
                    assert file.name == f"{model.name}.{kind}"
                    assert file.size > 10_000
                    assert len(bytes.fromhex(file.sha384)) == 48
                    if not model.bundled:
                        assert file.url.startswith(f"{SERVER}/20")
                        assert file.url.endswith(f"/{model.name}/{precision}/{file.name}")
    official = [model for model in zoo.known() if not model.bundled]
    assert all(set(model.releases) == {"FP16-INT8", "FP16", "FP32"} for model in official)
    assert all(
        not releases.url for model in zoo.known() if model.bundled for (releases, _), *_ in model.releases.values()
    )


def test_labels_stand_at_the_class_the_model_gives_them() -> None:
    by_name = {model.name: model.labels for model in zoo.known()}
    assert by_name[NAME] == ("person",)
    assert by_name["person-detection-retail-0013"].index("person") == 1
    assert by_name["person-vehicle-bike-detection-2000"] == ("vehicle", "person", "bike")
    assert by_name["face-detection-0200"] == ("face",)


def test_two_releases_of_one_precision_both_count(official_files: Path, notices: list[str]) -> None:
    assert len(zoo.registry()[NAME].releases["FP16"]) == 2
    found = locate(Model(precision="FP16", folder=str(official_files)))
    assert found.xml == official_files / NAME / "FP16" / f"{NAME}.xml"


def test_every_official_file_at_hand_is_good(official_files: Path) -> None:
    found = [each for each in zoo.verify(Model(folder=str(official_files))) if each.origin == "models folder"]
    assert (NAME, "FP16-INT8") in {(each.name, each.precision) for each in found}
    assert [each.fault for each in found if each.fault] == []


def test_files_of_two_releases_do_not_mix(official_files: Path, tmp_path: Path, notices: list[str]) -> None:
    source = official_files / NAME / "FP16-INT8"
    target = tmp_path / "mixed" / NAME / "FP16-INT8"
    target.mkdir(parents=True)
    (target / f"{NAME}.xml").write_bytes((source / f"{NAME}.xml").read_bytes())
    other = official_files / "person-detection-0201" / "FP16-INT8" / "person-detection-0201.bin"
    (target / f"{NAME}.bin").write_bytes(other.read_bytes())
    assert failure(notices, name=NAME, folder=str(tmp_path / "mixed")) == (
        f"{target / NAME}.bin: damaged: expected SHA-384 f3c64f38b325f605..., found 56072e46f86cab69...; "
        f"put the official file there: {SERVER}/2022.3/models_bin/1/{NAME}/FP16-INT8/{NAME}.bin"
    )


@pytest.mark.parametrize("newest_first", [True, False])
def test_a_fault_is_told_of_the_release_that_fits_best(
    shop: Shop, stock: Stock, tmp_path: Path, notices: list[str], newest_first: bool
) -> None:
    newer, older = (shop.known(name).releases["FP16-INT8"][0] for name in (NAME, "face-detection-0200"))
    older = (
        replace(older[0], name=f"{NAME}.xml", sha384="aa" * 48),
        replace(older[1], name=f"{NAME}.bin", size=7, sha384="bb" * 48),
    )
    entry = shop.known(NAME)
    stock(replace(entry, releases={"FP16-INT8": (newer, older) if newest_first else (older, newer)}))
    xml = put(tmp_path / "models", entry, shop.goods)
    assert locate(Model(name=NAME, folder=str(tmp_path / "models"))).xml == xml
    weights = xml.with_suffix(".bin")
    weights.write_bytes(b"")
    message = failure(notices, name=NAME, folder=str(tmp_path / "models"))
    assert message.startswith(f"{weights}: damaged: expected {newer[1].size} bytes, found 0; ")


def test_places_are_searched_in_order(
    shop: Shop, stock: Stock, places: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, notices: list[str]
) -> None:
    known = shop.known(NAME)
    stock(known)
    settings = Model(name=NAME, folder=str(tmp_path / "mine"))
    monkeypatch.setenv("LOOKOUT_MODELS", str(tmp_path / "theirs"))
    found = [locate(settings)]
    put(tmp_path / "theirs", known, shop.goods)
    found.append(locate(settings))
    put(tmp_path / "mine", known, shop.goods)
    found.append(locate(settings))
    assert [(each.origin, each.xml) for each in found] == [
        ("download", places / NAME / "FP16-INT8" / f"{NAME}.xml"),
        ("LOOKOUT_MODELS", tmp_path / "theirs" / NAME / "FP16-INT8" / f"{NAME}.xml"),
        ("models folder", tmp_path / "mine" / NAME / "FP16-INT8" / f"{NAME}.xml"),
    ]
    assert shop.asked == [f"{NAME}.xml", f"{NAME}.bin"]


def test_what_was_fetched_stays_in_the_cache(shop: Shop, stock: Stock, places: Path, notices: list[str]) -> None:
    stock(shop.known(NAME))
    first = locate(Model(name=NAME))
    again = locate(Model(name=NAME, download=False))
    assert first == Located(NAME, "FP16-INT8", places / NAME / "FP16-INT8" / f"{NAME}.xml", ("person",), "download")
    assert (again.xml, again.origin) == (first.xml, "cache")
    assert first.xml.read_bytes() == shop.goods[f"{NAME}.xml"]
    assert first.xml.with_suffix(".bin").read_bytes() == shop.goods[f"{NAME}.bin"]
    assert sorted(each.name for each in first.xml.parent.iterdir()) == [f"{NAME}.bin", f"{NAME}.xml"]
    assert notices == [f"fetching {NAME} FP16-INT8 (0.0 MB) from {shop.address[7:]}"]


def test_fetching_prints_nothing_where_there_is_no_terminal(
    shop: Shop, stock: Stock, notices: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    stock(shop.known(NAME))
    zoo.fetch(NAME, "FP16-INT8")
    assert capfd.readouterr() == ("", "")


def test_a_terminal_gets_a_progress_bar(
    shop: Shop, stock: Stock, notices: list[str], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    stock(shop.known(NAME))
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    zoo.fetch(NAME, "FP16-INT8")
    out, err = capfd.readouterr()
    assert out == ""
    assert f"{NAME}.xml" in err
    assert f"{NAME}.bin" in err


def test_fetch_keeps_good_files_and_replaces_damaged_ones(
    shop: Shop, stock: Stock, places: Path, notices: list[str]
) -> None:
    known = shop.known(NAME)
    stock(known)
    xml = put(places, known, shop.goods)
    assert zoo.fetch(NAME, "FP16-INT8").xml == xml
    assert shop.asked == []
    xml.with_suffix(".bin").write_bytes(b"damaged")
    zoo.fetch(NAME, "FP16-INT8")
    assert shop.asked == [f"{NAME}.bin"]
    assert xml.with_suffix(".bin").read_bytes() == shop.goods[f"{NAME}.bin"]


def test_a_damaged_file_in_the_cache_is_fetched_again_and_said_so(
    shop: Shop, stock: Stock, places: Path, notices: list[str]
) -> None:
    known = shop.known(NAME)
    stock(known)
    xml = put(places, known, shop.goods)
    whole = shop.goods[f"{NAME}.xml"]
    xml.write_bytes(whole[:100])
    assert locate(Model(name=NAME)).origin == "download"
    assert xml.read_bytes() == whole
    assert notices[0].startswith(f"{xml}: damaged: expected {len(whole)} bytes, found 100; ")
    assert notices[0].endswith("; fetching it again")


def _cut(xml: Path) -> str:
    xml.write_bytes(xml.read_bytes()[:-7])
    return f"{xml}: damaged: expected {xml.stat().st_size + 7} bytes, found {xml.stat().st_size}"


def _page(xml: Path) -> str:
    size = xml.stat().st_size
    xml.write_bytes(b"<html>404</html>")
    return f"{xml}: damaged: expected {size} bytes, found 16"


def _empty(xml: Path) -> str:
    weights = xml.with_suffix(".bin")
    size = weights.stat().st_size
    weights.write_bytes(b"")
    return f"{weights}: damaged: expected {size} bytes, found 0"


def _gone(xml: Path) -> str:
    weights = xml.with_suffix(".bin")
    size = weights.stat().st_size
    weights.unlink()
    return f"{weights}: missing: expected {size} bytes"


def _other(xml: Path) -> str:
    weights = xml.with_suffix(".bin")
    weights.write_bytes(bytes(weights.stat().st_size))
    return f"{weights}: damaged: expected SHA-384 "


def _folder(xml: Path) -> str:
    xml.unlink()
    xml.mkdir()
    return f"{xml}: "


@pytest.mark.parametrize("damage", [_cut, _page, _empty, _gone, _other, _folder])
@pytest.mark.parametrize("place", ["folder", "environment", "cache"])
def test_a_damaged_file_is_named_with_what_was_expected_and_what_to_do(
    shop: Shop,
    stock: Stock,
    places: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    notices: list[str],
    damage: Callable[[Path], str],
    place: str,
) -> None:
    known = shop.known(NAME)
    stock(known)
    folder = places if place == "cache" else tmp_path / "models"
    expected = damage(put(folder, known, shop.goods))
    if place == "environment":
        monkeypatch.setenv("LOOKOUT_MODELS", str(folder))
    message = failure(
        notices, name=NAME, download=place != "cache", **({"folder": str(folder)} if place == "folder" else {})
    )
    assert message.startswith(expected)
    assert f"put the official file there: {shop.address}/good/{NAME}." in message
    assert shop.asked == []


def test_nothing_at_hand_and_no_download_says_where_to_put_what(
    places: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, notices: list[str]
) -> None:
    source = f"{SERVER}/2022.3/models_bin/1/{NAME}/FP16-INT8"
    files = f"put {NAME}.xml and {NAME}.bin from {source} into"
    cache = places / NAME / "FP16-INT8"
    assert failure(notices, name=NAME, download=False) == (
        f"model {NAME} FP16-INT8: not in cache ({cache}), LOOKOUT_MODELS (not set); "
        f"not fetched because model.download is false; {files} {cache}"
    )
    monkeypatch.setenv("LOOKOUT_MODELS", str(tmp_path / "theirs"))
    mine, theirs = (tmp_path / each / NAME / "FP16-INT8" for each in ("mine", "theirs"))
    assert failure(notices, name=NAME, download=False, folder=str(tmp_path / "mine")) == (
        f"model {NAME} FP16-INT8: not in models folder ({mine}), LOOKOUT_MODELS ({theirs}), cache ({cache}); "
        f"not fetched because model.download is false; {files} {mine}"
    )
    assert notices == []


@pytest.mark.parametrize(
    ("habit", "limits", "reason"),
    [
        ("missing", UNHURRIED, "127.0.0.1 answered 404 Not Found"),
        ("other", UNHURRIED, "127.0.0.1 sent another file than the official one"),
        ("cut", UNHURRIED, "127.0.0.1 broke off the connection"),
        ("endless", UNHURRIED, "127.0.0.1 sent another file than the official one"),
        ("hanging", UNHURRIED._replace(read=0.4), "127.0.0.1 fell silent for 0.4 s"),
        ("silent", UNHURRIED._replace(read=0.4), "127.0.0.1 fell silent for 0.4 s"),
        ("dripping", UNHURRIED._replace(whole=1.5), "127.0.0.1 did not deliver within 1.5 s"),
    ],
)
def test_a_bad_server_costs_bounded_time_and_leaves_nothing_behind(
    shop: Shop,
    stock: Stock,
    places: Path,
    monkeypatch: pytest.MonkeyPatch,
    notices: list[str],
    habit: str,
    limits: TimeLimits,
    reason: str,
) -> None:
    stock(shop.known(NAME, habit))
    hurried(monkeypatch, limits)
    cache = places / NAME / "FP16-INT8"
    assert failure(notices, name=NAME) == (
        f"model {NAME} FP16-INT8: not in cache ({cache}), LOOKOUT_MODELS (not set); {reason}; "
        f"put {NAME}.xml and {NAME}.bin from {shop.address}/{habit} into {cache}"
    )
    assert not (cache / f"{NAME}.xml").exists()


def test_fetching_that_is_given_up_ends_at_once_and_leaves_nothing_behind(
    shop: Shop, stock: Stock, places: Path, notices: list[str]
) -> None:
    stock(shop.known(NAME, "dripping"))
    stopping = threading.Event()
    failures: list[ModelError] = []

    def fetch() -> None:
        try:
            zoo.fetch(NAME, "FP16-INT8", stopping)
        except ModelError as error:
            failures.append(error)

    fetching = threading.Thread(target=fetch)
    fetching.start()
    cache = places / NAME / "FP16-INT8"
    assert until(lambda: cache.exists() and any(cache.iterdir()))
    stopping.set()
    fetching.join(HANG_S)
    assert [str(each) for each in failures] == ["fetching from 127.0.0.1 was given up"]
    assert until(lambda: not any(cache.iterdir()))


def test_no_network_is_one_line(shop: Shop, stock: Stock, notices: list[str]) -> None:
    stock(shop.known(NAME))
    shop.close()
    assert "; no connection to 127.0.0.1; put " in failure(notices, name=NAME)


def test_a_cache_that_cannot_be_written_is_named(shop: Shop, stock: Stock, places: Path, notices: list[str]) -> None:
    stock(shop.known(NAME))
    places.parent.mkdir(parents=True)
    places.write_text("in the way")
    message = failure(notices, name=NAME)
    assert f"; {places / NAME / 'FP16-INT8'} cannot be written: Not a directory; put " in message


def test_auto_waits_a_few_seconds_at_most() -> None:
    assert zoo._QUICK_LIMITS.connect <= 2
    assert zoo._QUICK_LIMITS.whole <= 8
    assert zoo._PATIENT_LIMITS.connect <= 5


def test_several_processes_may_fetch_at_once(shop: Shop, places: Path) -> None:
    files = shop.known(NAME).releases["FP16-INT8"][0]
    program = (
        "import sys; from pathlib import Path; from pipeline.infer.models.download import File, TimeLimits, fetch;"
        "fetch(tuple(File(*each) for each in eval(sys.argv[1])), Path(sys.argv[2]), TimeLimits(90, 90, 90))"
    )
    arguments = repr([(file.name, file.size, file.sha384, file.url) for file in files])
    racers = [subprocess.Popen([sys.executable, "-c", program, arguments, str(places)]) for _ in range(3)]
    assert [racer.wait(90) for racer in racers] == [0, 0, 0]
    assert [file.fault(places) for file in files] == ["", ""]
    assert sorted(each.name for each in places.iterdir()) == sorted(file.name for file in files)


def test_an_unknown_name_gets_the_nearest_known_one(notices: list[str]) -> None:
    ways = "`lookout models` lists the known ones; a path ends in .xml or .onnx"
    assert failure(notices, name="person-detection-202") == (
        f"model person-detection-202: unknown; did you mean person-detection-0202? {ways}"
    )
    assert failure(notices, name="yolov8n.pt") == f"model yolov8n.pt: unknown; {ways}"
    assert failure(notices, name="Auto").startswith("model Auto: unknown; did you mean auto? ")


def test_a_precision_that_does_not_exist_is_named(shop: Shop, stock: Stock, notices: list[str]) -> None:
    stock(shop.known(NAME))
    assert failure(notices, name=NAME, precision="FP32") == f"model {NAME}: there is no FP32; it comes as FP16-INT8"


def test_a_path_needs_its_files(tmp_path: Path, notices: list[str]) -> None:
    path = tmp_path / "own.xml"
    assert failure(notices, name=str(path)) == f"model {path}: no such file"
    path.write_text("<net/>")
    missing = f"model {path}: own.bin is missing beside it; an OpenVINO IR is both files"
    assert failure(notices, name=str(path)) == missing
    path.with_suffix(".bin").touch()
    found = locate(Model(name=str(path), labels=("cat",)))
    assert found == Located("own", "", path, ("cat",), "path")


def test_a_path_may_start_at_home_and_be_onnx(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, notices: list[str]
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "own.ONNX").touch()
    assert locate(Model(name="~/own.ONNX")).xml == tmp_path / "own.ONNX"


def test_a_path_to_a_known_model_knows_its_labels(tmp_path: Path, notices: list[str]) -> None:
    for kind in ("xml", "bin"):
        (tmp_path / f"face-detection-0200.{kind}").touch()
    assert locate(Model(name=str(tmp_path / "face-detection-0200.xml"))).labels == ("face",)


def bundle(shop: Shop, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Known:
    """A bundled model in a package folder of its own."""
    (folder / "bundled").mkdir(parents=True)
    for kind in ("xml", "bin"):
        shop.goods[f"{zoo.BUNDLED}.{kind}"] = shop.goods[f"{NAME}.{kind}"]
        (folder / "bundled" / f"{zoo.BUNDLED}.{kind}").write_bytes(shop.goods[f"{NAME}.{kind}"])
    monkeypatch.setattr(zoo, "_PACKAGE", folder)
    known = shop.known(zoo.BUNDLED)
    return replace(known, bundled=True)


def test_auto_takes_the_official_model_where_it_can_be_had(
    shop: Shop, stock: Stock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, notices: list[str]
) -> None:
    stock(shop.known(NAME), bundle(shop, tmp_path / "package", monkeypatch))
    assert locate(Model(name="auto")).name == NAME
    assert locate(Model(name="auto", download=False)).origin == "cache"
    assert notices == [f"fetching {NAME} FP16-INT8 (0.0 MB) from {shop.address[7:]}"]


@pytest.mark.parametrize("precision", ["FP16-INT8", "FP32"])
def test_auto_says_so_when_it_takes_the_bundled_model(
    shop: Shop, stock: Stock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, notices: list[str], precision: str
) -> None:
    entry = shop.known(NAME, "hanging")
    official = replace(entry, releases={precision: entry.releases["FP16-INT8"]})
    stock(official, bundle(shop, tmp_path / "package", monkeypatch))
    hurried(monkeypatch, UNHURRIED._replace(read=0.3))
    found = locate(Model.model_validate({"name": "auto", "precision": precision}))
    xml = tmp_path / "package" / "bundled" / f"{zoo.BUNDLED}.xml"
    assert found == Located(zoo.BUNDLED, "FP16-INT8", xml, ("person",), "bundled")
    reason = "127.0.0.1 fell silent for 0.3 s"
    assert notices[-1] == f"{NAME} is not at hand ({reason}); using the bundled {zoo.BUNDLED}"


def test_auto_goes_past_a_damaged_official_model_and_says_so(
    shop: Shop, stock: Stock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, notices: list[str]
) -> None:
    known = shop.known(NAME)
    stock(known, bundle(shop, tmp_path / "package", monkeypatch))
    xml = put(tmp_path / "models", known, shop.goods)
    xml.write_bytes(b"")
    assert locate(Model(name="auto", folder=str(tmp_path / "models"))).name == zoo.BUNDLED
    assert notices[0].startswith(f"{NAME} is not at hand ({xml}: damaged: ")
    assert notices[0].endswith(f"); using the bundled {zoo.BUNDLED}")


def test_auto_without_a_bundled_model_explains_the_official_one(shop: Shop, stock: Stock, notices: list[str]) -> None:
    stock(shop.known(NAME))
    assert failure(notices, name="auto", download=False).startswith(f"model {NAME} FP16-INT8: not in cache (")


def test_the_bundled_model_can_be_asked_for_and_is_checked(
    shop: Shop, stock: Stock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, notices: list[str]
) -> None:
    stock(bundle(shop, tmp_path / "package", monkeypatch))
    assert locate(Model(name=zoo.BUNDLED)).origin == "bundled"
    assert zoo.fetch(zoo.BUNDLED, "FP16-INT8").origin == "bundled"
    weights = tmp_path / "package" / "bundled" / f"{zoo.BUNDLED}.bin"
    weights.write_bytes(b"")
    assert failure(notices, name=zoo.BUNDLED).startswith(f"{weights}: damaged: expected ")
    assert notices == []


def test_the_bundled_files_are_the_ones_in_the_registry() -> None:
    folder = Path(zoo.__file__).parent / "bundled"
    assert [file.stem for file in folder.glob("*.xml")] == [model.name for model in zoo.known() if model.bundled]
    for model in zoo.known():
        for xml, weights in model.releases["FP16-INT8"] if model.bundled else ():
            for file, kind in ((xml, "xml"), (weights, "bin")):
                data = (folder / file.name).read_bytes()
                now = [len(data), hashlib.sha384(data).hexdigest()]
                assert [file.size, file.sha384] == now, f'zoo.json should say "{kind}": {json.dumps(now)}'


def test_verify_reports_each_model_that_is_there(
    shop: Shop, stock: Stock, places: Path, tmp_path: Path, notices: list[str]
) -> None:
    person, face = shop.known(NAME), shop.known("face-detection-0200")
    stock(person, face)
    good = put(tmp_path / "models", person, shop.goods)
    bad = put(places, face, shop.goods)
    bad.with_suffix(".bin").unlink()
    found = list(zoo.verify(Model(folder=str(tmp_path / "models"))))
    assert [(each.name, each.precision, each.origin, each.folder) for each in found] == [
        ("face-detection-0200", "FP16-INT8", "cache", bad.parent),
        (NAME, "FP16-INT8", "models folder", good.parent),
    ]
    assert found[0].fault.startswith(f"{bad.with_suffix('.bin')}: missing: ")
    assert found[1].fault == ""
