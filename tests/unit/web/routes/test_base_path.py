"""The page under a path of another server: every address holds there, whatever the proxy does and says."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import ValidationError

from pipeline.clock import SystemClock
from pipeline.outputs.hls.live_stream import HlsStream
from pipeline.web.settings import Web
from tests.support.servers.front import Front
from tests.support.serving import TOKEN, Serving
from tests.support.wait import until

PROXIES: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "takes the path off": ("/watch/", {"strip": True}, {}),
    "says what it took off": ("/watch", {"headers": {"X-Forwarded-Prefix": "/watch"}}, {}),
    "says it with a slash": ("/watch", {"headers": {"X-Forwarded-Prefix": "/watch/"}}, {}),
    "leaves it on": ("/watch", {"strip": False}, {"path": "/watch"}),
    "leaves a longer one on": ("/a/watch/", {"prefix": "/a/watch", "strip": False}, {"path": "a/watch/"}),
    "sends its own name": ("/watch/", {"headers": {"Host": "localhost", "X-Forwarded-Host": "127.0.0.1:{port}"}}, {}),
}


@pytest.mark.parametrize("kind", PROXIES)
def test_behind_a_proxy_a_person_logs_in_sees_the_cameras_and_logs_out(
    kind: str,
    serve: Callable[..., Serving],
    site: Callable[..., Front],
    visit: Callable[..., Any],
    allowed: list[str],
) -> None:
    # There is no clip to be had, and who logs out does not wait for it.
    allowed += ["status of 503", "net::ERR_"]
    entrance, settings, own = PROXIES[kind]
    served = serve(hls_streams={"door": HlsStream(SystemClock())}, **own)
    given: dict[str, str] = settings.get("headers", {})
    headers = dict(given)
    front = site(served.port, **{"prefix": "/watch"} | settings | {"headers": headers})
    headers |= {name: value.format(port=front.port) for name, value in given.items()}
    front.use(headers)
    root = f"http://127.0.0.1:{front.port}{entrance.rstrip('/')}"
    window = visit()
    page = window.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"http://127.0.0.1:{front.port}{entrance}")
    assert page.url == f"{root}/login"
    page.get_by_label("Token").fill(TOKEN)
    page.keyboard.press("Enter")
    card = page.locator("[data-camera=door]")
    card.wait_for()
    assert page.url == f"{root}/"
    assert until(lambda: served.give() and card.get_attribute("data-seq") is not None)
    assert page.evaluate("document.querySelector('.save').href") == f"{root}/api/cameras/door/snapshot.jpg"
    hls = str(json.loads(served.bearer("/api/cameras")[2])["cameras"][0]["hls"])
    assert page.evaluate("document.querySelector('.stream').href") == f"{root}{hls}"
    with page.expect_request("**/clip.mp4?**") as clip:
        page.get_by_role("button", name="Save a clip").click()
    assert clip.value.url.startswith(f"{root}/api/cameras/door/clip.mp4?")
    page.get_by_role("button", name="Log out").click()
    page.wait_for_url(f"{root}/login")
    assert window.cookies() == []
    assert [url for url in asked if not f"{url}/".startswith(f"{root}/")] == []


def test_a_browser_is_sent_to_the_login_from_wherever_it_asks(serve: Callable[..., Serving]) -> None:
    served = serve(path="/watch")
    assert served.ask("/watch/api/cameras", accept="text/html")[1]["location"] == "/watch/login"
    assert served.ask("/watch")[1]["location"] == "watch/"
    assert serve().ask("/api/cameras/door", accept="text/html")[1]["location"] == "../../login"
    assert served.ask("/", accept="text/html", x_forwarded_prefix="/elsewhere")[1]["location"] == "/elsewhere/login"
    cookie = served.log_in(x_forwarded_prefix="/elsewhere")[1]["set-cookie"]
    assert "; path=/elsewhere;" in cookie.lower()


@pytest.mark.parametrize("told", ["//evil.example", "/a//b", "/..", "https://evil.example", '/a"><b', "/a, /b", "/ü"])
def test_a_prefix_that_is_none_is_not_believed(told: str, serve: Callable[..., Serving]) -> None:
    answer = serve().ask("/", accept="text/html", x_forwarded_prefix=told.encode().decode("latin-1"))
    place = answer[1]["location"]
    assert place in ("./login", "/evil.example/login")


@pytest.mark.parametrize("path", ["/a b", "/a?b", "/a/../b", "/a//b", "https://x", "/{camera}"])
def test_a_path_that_is_none_is_refused(path: str) -> None:
    with pytest.raises(ValidationError, match="must be a path such as /lookout"):
        Web(path=path)
