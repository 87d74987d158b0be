"""What programs are answered, held against the OpenAPI document that the server itself hands out."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest
from jsonschema import Draft202012Validator

from pipeline.media.encoder import Encoder
from pipeline.stats.camera import State
from pipeline.version import __version__
from pipeline.web.status import StatusReporter
from tests.support.clock import ManualClock
from tests.support.serving import Serving, Start


def document(served: Serving) -> dict[str, Any]:
    described: dict[str, Any] = json.loads(served.bearer("/openapi.json")[2])
    return described


def resolved(whole: dict[str, Any], part: dict[str, Any]) -> dict[str, Any]:
    """What a reference inside the document stands for."""
    while "$ref" in part:
        found: Any = whole
        for step in part["$ref"].removeprefix("#/").split("/"):
            found = found[step]
        part = found
    return part


def check(served: Serving, path: str, template: str, answer: tuple[int, dict[str, str], bytes]) -> None:
    """Hold one answer against what the document says of its path."""
    whole = document(served)
    status, headers, body = answer
    told = resolved(whole, whole["paths"][template]["get"]["responses"][str(status)])
    kinds = [kind.partition(";")[0] for kind in told["content"]]
    kind = headers["content-type"].partition(";")[0]
    assert kind in kinds, (path, status, kind)
    schema = next(iter(told["content"].values())).get("schema")
    if kind == "application/json":
        Draft202012Validator({"components": whole["components"]} | schema).validate(json.loads(body))


def test_every_answer_is_what_the_document_says(serve: Callable[..., Serving]) -> None:
    clock = ManualClock()
    served = serve("door", "yard", clock=clock)
    served.give("door")
    served.scenes["yard"].camera.changed(State.OFFLINE, "refused", 4.0)
    whole = document(served)
    for template, item in whole["paths"].items():
        closed = item["get"].get("security") != []
        if "stream" not in template and "hls" not in template:
            path = template.replace("{name}", "door")
            if "clip" in template:
                picture = np.full((180, 320, 3), 90, np.uint8)
                served.clips.packet(Encoder("door").encode(picture, 0.0, clock.monotonic()))
                check(served, path, template, served.bearer(f"{path}?before=61"))
                check(served, path, template, served.bearer(f"{path}?before=60"))
                path += "?before=1&after=0"
            answer = served.bearer(path)
            assert answer[0] == 200, path
            check(served, path, template, answer)
            assert served.bearer(path)[1]["content-type"] == answer[1]["content-type"]
        if "{name}" in template:
            path = template.replace("{name}", "nobody")
            answer = served.bearer(path)
            assert answer[0] == 404, path
            check(served, path, template, answer)
        answer = served.ask(template.replace("{name}", "door"))
        assert answer[0] == (401 if closed else 200), template
        check(served, template, template, answer)


def test_the_document_is_complete_and_true_to_the_program(serve: Callable[..., Serving]) -> None:
    served = serve()
    whole = document(served)
    assert whole["openapi"] == "3.1.0"
    assert whole["info"]["version"] == __version__
    operations = [item["get"] for item in whole["paths"].values()]
    names = [operation["operationId"] for operation in operations]
    assert len(names) == len(set(names)) == len(operations)
    for operation, path in zip(operations, whole["paths"], strict=True):
        parameters = [resolved(whole, each) for each in operation.get("parameters", ())]
        assert all(each["description"].endswith(".") for each in parameters)
        said = [each["name"] for each in parameters if each["in"] == "path"]
        assert said == re.findall(r"{(\w+)}", path), path
        assert all(resolved(whole, answer)["description"] for answer in operation["responses"].values())
    card = whole["components"]["schemas"]["Camera"]["properties"]
    Draft202012Validator.check_schema(whole["components"]["schemas"]["Camera"])
    assert card["state"]["enum"] == [state.value for state in State]
    assert all(each["description"].endswith(".") for each in card.values())
    for reference in re.findall(r'"\$ref": ?"([^"]+)"', json.dumps(whole)):
        assert resolved(whole, {"$ref": reference})


def test_a_snapshot_is_the_newest_picture_with_its_boxes(serve: Callable[..., Serving]) -> None:
    served = serve()
    served.give(shade=40)
    served.give(shade=200, boxes=[])
    status, headers, body = served.bearer("/api/cameras/door/snapshot.jpg")
    assert (status, headers["content-type"]) == (200, "image/jpeg")
    image = cv2.imdecode(np.frombuffer(body, np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    assert abs(int(image[300, 300, 0]) - 200) < 5


def test_without_detection_it_is_ready_without_a_model(crew: Start) -> None:
    served = Serving(crew, ("door", "yard"), undetected=("door",), clock=ManualClock())
    try:
        door, yard = (served.scenes[name].camera for name in ("door", "yard"))
        yard.changed(State.CONNECTING)
        door.captured()
        assert served.ask("/readyz")[::2] == (200, b"ready\n")
        yard.changed(State.LIVE)
        assert served.ask("/readyz")[::2] == (503, b"the model has not seen a picture yet\n")
        for name in ("door", "yard"):
            path = f"/api/cameras/{name}"
            check(served, path, "/api/cameras/{name}", served.bearer(path))
    finally:
        served.web.close()


def test_one_camera_is_told_as_in_the_list(serve: Callable[..., Serving], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(StatusReporter, "camera_status", lambda reporter, name: {"name": name, "people": 3})
    served = serve("door", "yard")
    assert json.loads(served.bearer("/api/cameras/yard")[2]) == {"name": "yard", "people": 3}
    assert json.loads(served.bearer("/api/cameras")[2])["cameras"][1] == {"name": "yard", "people": 3}


def test_it_is_healthy_from_the_start_and_ready_while_a_camera_is_looked_at(serve: Callable[..., Serving]) -> None:
    served = serve("door", "yard", clock=ManualClock())
    door, yard = (served.scenes[name].camera for name in ("door", "yard"))
    for camera in (door, yard):
        camera.changed(State.CONNECTING)
    assert served.ask("/healthz")[::2] == (200, b"ok\n")
    assert served.ask("/readyz")[::2] == (503, b"no camera gives pictures\n")
    door.changed(State.LIVE)
    assert served.ask("/readyz")[::2] == (503, b"the model has not seen a picture yet\n")
    served.give("door")
    assert served.ask("/readyz")[::2] == (200, b"ready\n")
    door.changed(State.OFFLINE, "refused")
    assert served.ask("/readyz")[0] == 503
    assert served.ask("/healthz", "HEAD")[::2] == (200, b"")
