"""Who may look at the page: the token, the login, the cookie, certificates, and what a connection may not do."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import http.client
import json
import logging
import selectors
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from pydantic import SecretStr
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.protocol import State
from websockets.sync.client import ClientConnection, connect

from pipeline import redaction
from pipeline.cli.app import main
from pipeline.clock import SystemClock
from pipeline.config.load import parse
from pipeline.errors import ConfigError
from pipeline.outputs.hls.live_stream import HlsStream
from pipeline.web import limits
from pipeline.web.auth.login_code import LoginCode
from pipeline.web.connections import BoundedWebSocket
from pipeline.web.listener import server_context
from pipeline.web.origin_check import own_names
from pipeline.web.settings import Web
from tests.support.servers.front import Front
from tests.support.serving import TOKEN, Answer, Serving, certificate
from tests.support.wait import HANG_S, until

GUARDED = (
    "/",
    "/page.js",
    "/page.css",
    "/openapi.json",
    "/api/cameras",
    "/api/cameras/door",
    "/metrics",
    "/api/cameras/door/snapshot.jpg",
    "/api/cameras/door/clip.mp4?after=0&before=1",
    "/cameras/door/stream.mjpg",
    "/nothing",
)
OPEN = ("/login", "/login.css", "/login.js", "/icon.svg", "/healthz")


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let wrong tokens cost next to nothing."""
    monkeypatch.setattr(limits, "WRONG_TOKEN_DELAY_S", 0.01)


def cookie_of(answer: tuple[int, dict[str, str], bytes]) -> str:
    return answer[1]["set-cookie"].partition(";")[0]


def test_nothing_about_cameras_is_told_without_the_token(serve: Callable[..., Serving]) -> None:
    served = serve()
    served.give()
    for path in GUARDED:
        status, headers, body = served.ask(path)
        assert (status, headers["www-authenticate"]) == (401, 'Bearer realm="Lookout"'), path
        assert b"door" not in body
        assert headers["content-security-policy"].startswith("default-src 'none'")
    for path in OPEN:
        status, headers, body = served.ask(path)
        assert status == 200, path
        assert b"door" not in body
    assert served.ask("/readyz")[0] == 200


def test_the_token_as_a_bearer_opens_everything(serve: Callable[..., Serving]) -> None:
    served = serve()
    served.give()
    for path in GUARDED:
        if "stream" not in path:
            expected = 404 if path == "/nothing" else 503 if "clip" in path else 200
            assert served.bearer(path)[0] == expected, path
    assert served.ask("/api/cameras", authorization=f"bearer {TOKEN}")[0] == 200


def test_a_browser_is_sent_to_the_login_page_and_from_there_home_with_a_cookie(serve: Callable[..., Serving]) -> None:
    served = serve()
    status, headers, _ = served.ask("/", accept="text/html,*/*")
    assert (status, headers["location"]) == (303, "./login")
    answer = served.log_in()
    assert (answer[0], answer[1]["location"]) == (303, "./")
    marks = {mark.strip().lower() for mark in answer[1]["set-cookie"].split(";")[1:]}
    assert {"httponly", "samesite=strict", "path=/", "max-age=2592000"} <= marks
    assert "secure" not in marks
    assert TOKEN not in answer[1]["set-cookie"]
    cookie = cookie_of(answer)
    assert cookie.startswith(f"lookout-{served.port}=")
    assert served.ask("/api/cameras", cookie=cookie)[0] == 200
    status, headers, _ = served.ask("/logout", "POST", cookie=cookie)
    assert (status, headers["location"]) == (303, "./login")
    assert "max-age=0" in headers["set-cookie"].lower()


@pytest.mark.usefixtures("hasty")
def test_the_token_is_taken_as_the_password_of_any_user(serve: Callable[..., Serving]) -> None:
    served = serve()
    for login in (f"viewer:{TOKEN}", f":{TOKEN}"):
        basic = base64.b64encode(login.encode()).decode()
        assert served.ask("/api/cameras", authorization=f"Basic {basic}")[0] == 200
        address = f"ws://127.0.0.1:{served.port}/live"
        with connect(address, additional_headers={"Authorization": f"basic {basic}"}) as page:
            assert "door" in str(page.recv(HANG_S))
    for login in (TOKEN, f"{TOKEN}:", f"viewer:{TOKEN}x", "viewer:", "\xff:"):
        basic = base64.b64encode(login.encode("latin-1")).decode()
        assert served.ask("/api/cameras", authorization=f"Basic {basic}")[0] == 401, login
    for broken in ("Basic", "Basic ", "Basic ***", f"Basic {basic[:-1]}", f"Digest {basic}"):
        assert served.ask("/api/cameras", authorization=broken)[0] == 401
        served.pass_seconds(limits.WRONG_TOKEN_WINDOW_S)


def test_players_log_in_by_their_address_and_browsers_are_not_asked_to(serve: Callable[..., Serving]) -> None:
    served = serve()
    served.give()
    host = f"127.0.0.1:{served.port}"
    for path in ("api/cameras/door/snapshot.jpg", "cameras/door/stream.mjpg"):
        giving = threading.Event()

        def give(until: threading.Event = giving) -> None:
            while not until.wait(0.01):
                served.give()

        with ThreadPoolExecutor(1) as camera:
            camera.submit(give)
            try:
                with av.open(f"http://viewer:{TOKEN}@{host}/{path}", timeout=(HANG_S, HANG_S)) as container:
                    picture = next(container.decode(video=0))
                    assert (picture.width, picture.height) == (640, 360)
            finally:
                giving.set()
    for agent, kinds in (("Mozilla/5.0 (X11)", ["Bearer"]), ("VLC/3.0", ["Basic", "Bearer"])):
        connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=HANG_S)
        connection.request("GET", "/api/cameras", headers={"User-Agent": agent})
        answer = connection.getresponse()
        assert [each.split()[0] for each in answer.headers.get_all("www-authenticate", [])] == kinds
        connection.close()


def test_a_page_of_another_site_plays_the_secret_address_of_a_stream_and_nothing_else(
    serve: Callable[..., Serving], visit: Callable[..., Any], site: Callable[..., Front], allowed: list[str]
) -> None:
    allowed += ["CORS", "net::ERR_FAILED", "status of 40"]
    served = serve(hls_streams={"door": HlsStream(SystemClock())})
    hls = str(json.loads(served.bearer("/api/cameras")[2])["cameras"][0]["hls"])
    elsewhere = site(served.port)
    page = visit().new_page()
    page.goto(f"http://localhost:{elsewhere.port}/")
    ask = """address => fetch(address, {headers: {Range: 'bytes=0-', 'X-Player': 'own'}})
        .then(answer => answer.status, () => 'refused')"""
    address = f"http://127.0.0.1:{served.port}"
    # What is not there is told to the player, as what is there would be.
    assert page.evaluate(ask, address + hls.replace("index.m3u8", "nothing")) == 404
    for path in ("/hls/door/index.m3u8", "/api/cameras", "/healthz"):
        assert page.evaluate(ask, address + path) == "refused"
    status, headers, _ = served.ask(hls.replace("index", "nothing"), origin="https://player.example")
    assert (status, headers["access-control-allow-origin"]) == (404, "*")
    assert headers["cross-origin-resource-policy"] == "cross-origin"
    assert "access-control-allow-origin" not in served.bearer("/api/cameras")[1]
    assert served.ask(hls, "POST")[0] == 405
    assert served.ask(hls, host="evil.example")[0] == 421


@pytest.mark.usefixtures("hasty")
def test_the_token_is_taken_from_no_other_place(serve: Callable[..., Serving]) -> None:
    served = serve()
    places: list[tuple[str, dict[str, str]]] = [
        (f"/api/cameras?token={TOKEN}", {}),
        (f"/api/cameras?access_token={TOKEN}", {}),
        ("/api/cameras", {"cookie": f"lookout-{served.port}={TOKEN}"}),
        ("/api/cameras", {"cookie": f"token={TOKEN}"}),
        ("/api/cameras", {"authorization": TOKEN}),
        ("/api/cameras", {"authorization": f"Basic {TOKEN}"}),
        ("/api/cameras", {"x_token": TOKEN}),
    ]
    for path, headers in places:
        status, _, body = served.ask(path, "GET", None, **headers)
        assert status == 401, (path, headers)
        assert TOKEN.encode() not in body
    assert served.ask(f"/login?token={TOKEN}")[0] == 200
    assert "set-cookie" not in served.ask(f"/login?token={TOKEN}")[1]


@pytest.mark.usefixtures("hasty")
def test_a_cookie_that_was_made_up_changed_or_has_expired_opens_nothing(
    serve: Callable[..., Serving], monkeypatch: pytest.MonkeyPatch
) -> None:
    served = serve()
    name, _, good = cookie_of(served.log_in()).partition("=")
    expires, _, signature = good.partition(".")
    later = str(int(expires) + 1)
    made_up = [f"{later}.{signature}", expires, f"{expires}.", f".{signature}", f"{expires}.{signature[:-1]}"]
    made_up += [f"{expires}.{signature}x", "9" * 40 + f".{signature}", f"-1.{signature}", f"\u0661.{signature}", '"']
    monkeypatch.setattr(limits, "SESSION_S", -5)
    made_up.append(cookie_of(served.log_in()).partition("=")[2])
    for value in made_up:
        assert served.ask("/api/cameras", cookie=f"{name}={value}".encode().decode("latin-1"))[0] == 401, value
    assert served.ask("/api/cameras", cookie=f"{name}={good}")[0] == 200


def test_a_cookie_outlives_a_restart_and_ends_when_the_token_changes(serve: Callable[..., Serving]) -> None:
    first = serve()
    cookie = cookie_of(first.log_in())
    first.web.close()
    again = serve(port=first.port)
    assert again.ask("/api/cameras", cookie=cookie)[0] == 200
    again.web.close()
    assert serve(port=first.port, token="another-token-of-the-page").ask("/api/cameras", cookie=cookie)[0] == 401


def test_a_page_that_is_opened_again_in_the_second_half_of_its_session_gets_a_new_one(
    serve: Callable[..., Serving], monkeypatch: pytest.MonkeyPatch
) -> None:
    served = serve()
    fresh = cookie_of(served.log_in())
    assert "set-cookie" not in served.ask("/", cookie=fresh)[1]
    monkeypatch.setattr(limits, "SESSION_S", 100)
    old = cookie_of(served.log_in())
    monkeypatch.setattr(limits, "SESSION_S", 1000)
    assert "set-cookie" not in served.ask("/api/cameras", cookie=old)[1]
    renewed = cookie_of(served.ask("/", cookie=old))
    assert renewed != old
    assert served.ask("/api/cameras", cookie=renewed)[0] == 200


def test_a_wrong_token_costs_a_second_and_after_ten_they_are_judged_one_by_one_but_not_for_those_inside(
    serve: Callable[..., Serving], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "WRONG_TOKEN_WINDOW_S", 100 * HANG_S)
    served = serve()
    cookie = cookie_of(served.log_in())
    begun = time.monotonic()
    with ThreadPoolExecutor(14) as guessers:
        guesses = [guessers.submit(served.ask, "/api/cameras", authorization=f"Bearer {n}") for n in range(7)]
        guesses += [guessers.submit(served.log_in, f"guess-{n}") for n in range(7)]
        assert until(lambda: sum(guess.done() for guess in guesses) == 13)
        assert time.monotonic() - begun >= 1.0
        answers = [guess.result() for guess in guesses if guess.done()]
        assert sorted(answer[0] for answer in answers) == [401] * 10 + [429] * 3
        for answer in (*(each for each in answers if each[0] == 429), served.bearer("/api/cameras"), served.log_in()):
            assert answer[0] == 429
            assert 0 < int(answer[1]["retry-after"]) <= 10 * HANG_S
            assert b"was not looked at; try again in" in answer[2]
            assert "set-cookie" not in answer[1]
        assert served.ask("/api/cameras", cookie=cookie)[0] == 200
        served.pass_seconds(10 * HANG_S)
        assert sorted(guess.result()[0] for guess in guesses) == [401] * 11 + [429] * 3


def test_whoever_has_the_token_gets_in_from_an_address_that_guesses_when_its_turn_has_come(
    serve: Callable[..., Serving], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "WRONG_TOKEN_WINDOW_S", 100 * HANG_S)
    monkeypatch.setattr(limits, "WRONG_TOKEN_DELAY_S", 0.0)
    served = serve()
    inside = http.client.HTTPConnection("127.0.0.1", served.port, timeout=HANG_S)

    def ask_inside() -> int:
        inside.request("GET", "/api/cameras", headers={"Authorization": f"Bearer {TOKEN}"})
        with inside.getresponse() as answer:
            answer.read()
            return answer.status

    assert ask_inside() == 200
    assert [served.log_in(f"guess-{n}")[0] for n in range(10)] == [401] * 10
    assert ask_inside() == 200
    inside.close()
    with ThreadPoolExecutor(1) as holder:
        for wanted, ask in ((200, lambda: served.bearer("/api/cameras")), (303, served.log_in)):
            assert until(lambda: not served.at_work())
            answer = holder.submit(ask)
            assert until(lambda: served.at_work() == 1)
            assert served.log_in("another-guess")[0] == 429
            assert not answer.done()
            served.pass_seconds(10 * HANG_S)
            assert answer.result()[0] == wanted
            # The right token took its own count back, and the next guess fills the place.
            assert served.log_in("another-guess")[0] == 401


def drain(page: ClientConnection) -> None:
    """Read until the socket is closed."""
    while True:
        page.recv(HANG_S)


def test_guesses_whose_forms_are_held_back_are_counted_before_they_are_judged(
    serve: Callable[..., Serving], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "WRONG_TOKEN_WINDOW_S", 100 * HANG_S)
    monkeypatch.setattr(limits, "WRONG_TOKEN_DELAY_S", 0.0)
    monkeypatch.setattr(limits, "MAX_STRANGER_COUNT", 100)
    monkeypatch.setattr(limits, "FORM_TIMEOUT_S", 5 * HANG_S)
    served = serve(viewers=100)
    head = b"POST /login HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 22\r\n\r\n"
    with contextlib.ExitStack() as stack:
        lines = [stack.enter_context(socket.create_connection(("127.0.0.1", served.port), HANG_S)) for _ in range(90)]
        for line in lines:
            line.sendall(head)
        assert until(lambda: served.at_work() == 90)
        for number, line in enumerate(lines):
            line.sendall(f"token=guess-{number:010}".encode())
        selector = stack.enter_context(selectors.DefaultSelector())
        for line in lines:
            selector.register(line, selectors.EVENT_READ)
        statuses: list[bytes] = []
        while len(statuses) < 89:
            for key, _ in selector.select(HANG_S):
                assert isinstance(key.fileobj, socket.socket)
                statuses.append(key.fileobj.recv(65536).split()[1])
                selector.unregister(key.fileobj)
        assert sorted(statuses) == [b"401"] * 10 + [b"429"] * 79


def test_a_form_whose_sender_goes_is_no_guess(serve: Callable[..., Serving], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "WRONG_TOKEN_WINDOW_S", 100 * HANG_S)
    served = serve()
    for _ in range(20):
        with socket.create_connection(("127.0.0.1", served.port), HANG_S) as line:
            line.sendall(b"POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Length: 22\r\n\r\ntoken=")
            assert until(served.at_work)
    assert until(lambda: not served.at_work())
    assert served.log_in()[0] == 303


def test_log_out_ends_the_session_at_once_for_everybody_who_has_its_cookie_and_no_other(
    serve: Callable[..., Serving], monkeypatch: pytest.MonkeyPatch
) -> None:
    served = serve()
    cookie, other = cookie_of(served.log_in()), cookie_of(served.log_in())
    assert cookie != other
    monkeypatch.setattr(limits, "SESSION_S", 2 * limits.SESSION_S + 10)
    renewed = cookie_of(served.ask("/", cookie=cookie))
    address = f"ws://127.0.0.1:{served.port}/live"
    with (
        connect(address, additional_headers={"Cookie": cookie}) as page,
        connect(address, additional_headers={"Cookie": other}) as another,
    ):
        assert "door" in str(page.recv(HANG_S))
        assert served.ask("/logout", "POST", cookie=renewed)[0] == 303
        for gone in (cookie, renewed):
            assert served.ask("/api/cameras", cookie=gone)[0] == 401
        with pytest.raises(ConnectionClosed):
            drain(page)
        another.recv(HANG_S)
        assert served.ask("/api/cameras", cookie=other)[0] == 200
        assert "door" in str(another.recv(HANG_S))
    assert served.ask("/logout", "POST")[0] == 303


def test_the_websocket_opens_only_with_the_token_or_the_cookie(serve: Callable[..., Serving]) -> None:
    served = serve()
    address = f"ws://127.0.0.1:{served.port}/live"
    cookie = cookie_of(served.log_in())
    for wrong in ({}, {"Authorization": "Bearer nonsense"}, {"Cookie": cookie[:-1]}):
        with pytest.raises(InvalidStatus) as caught:
            connect(address, additional_headers=wrong)
        assert caught.value.response.status_code == 403
    with pytest.raises(InvalidStatus) as caught:
        connect(address, additional_headers={"Accept": "text/html"})
    assert caught.value.response.status_code == 403
    for right in ({"Authorization": f"Bearer {TOKEN}"}, {"Cookie": cookie}):
        with connect(address, additional_headers=right) as page:
            assert "door" in str(page.recv(HANG_S))


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"sec_fetch_site": "cross-site"},
        {"sec_fetch_site": "same-site", "sec_fetch_mode": "navigate", "sec_fetch_dest": "document"},
    ],
)
def test_a_form_of_another_site_cannot_log_in(serve: Callable[..., Serving], headers: dict[str, str]) -> None:
    answer = serve().log_in(**headers)
    assert answer[0] == 403
    assert "set-cookie" not in answer[1]


def test_another_site_may_link_here_but_not_load_anything(serve: Callable[..., Serving]) -> None:
    served = serve()
    elsewhere = {"sec_fetch_site": "cross-site"}
    assert served.bearer("/", sec_fetch_mode="navigate", sec_fetch_dest="document", **elsewhere)[0] == 200
    for mode, dest in (("no-cors", "image"), ("cors", "empty"), ("navigate", "iframe"), ("websocket", "empty")):
        status = served.bearer("/api/cameras/door/snapshot.jpg", sec_fetch_mode=mode, sec_fetch_dest=dest, **elsewhere)[
            0
        ]
        assert status == 403
    assert served.bearer("/api/cameras", origin="http://evil.example")[0] == 403


def test_a_server_for_all_machines_answers_to_its_addresses_and_names_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "Porch")
    wide = own_names(Web(host="0.0.0.0", token=SecretStr(TOKEN), names=("Watch.Example",)))
    for name in ("127.0.0.1", "192.168.1.20", "[2001:db8::1]", "localhost", "porch", "porch.local", "watch.example"):
        assert wide(name), name
    for name in ("evil.example", "porch.evil.example", "1.2.3", "0x7f000001", "2001:db8::1", "[1.2.3.4]", "", "[]"):
        assert not wide(name), name
    narrow = own_names(Web(token=SecretStr(TOKEN), names=("watch.example",)))
    assert narrow("watch.example")
    assert not narrow("192.168.1.20")


def test_an_address_to_point_a_browser_at_is_told_also_where_the_server_listens_everywhere(
    serve: Callable[..., Serving],
) -> None:
    served = serve(host="0.0.0.0")
    assert "0.0.0.0" not in served.web.address
    assert served.web.address.startswith("http://")
    assert served.bearer("/api/cameras")[0] == 200


def test_the_command_makes_a_token_that_the_configuration_takes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["token"]) == 0
    first = capsys.readouterr().out.strip()
    assert main(["token"]) == 0
    assert capsys.readouterr().out.strip() != first
    assert len(first.replace("-", "")) == 24
    outputs = parse(f"outputs: [web: {{host: 0.0.0.0, token: {first}}}]").outputs
    assert outputs is not None
    assert outputs[0].web is not None
    assert outputs[0].web.token is not None
    assert outputs[0].web.token.get_secret_value() == first
    assert first not in repr(outputs)


def test_the_token_is_masked_in_logs(serve: Callable[..., Serving], caplog: pytest.LogCaptureFixture) -> None:
    serve()
    redaction.guard_logs()
    logging.getLogger("stranger").warning("GET / with %s", f"Bearer {TOKEN}")
    assert TOKEN not in caplog.text
    assert "GET / with" in caplog.text


@pytest.fixture(scope="module")
def signed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl")
    return certificate(tmp_path_factory.mktemp("certificate"))


def test_with_a_certificate_the_page_is_served_by_https_and_its_cookie_is_for_https_only(
    serve: Callable[..., Serving], signed: tuple[Path, Path]
) -> None:
    chain, key = signed
    served = serve(certificate=str(chain), key=str(key))
    assert served.web.address.startswith("https://127.0.0.1:")
    served.trust = ssl.create_default_context(cafile=str(chain))
    answer = served.log_in(origin=f"https://127.0.0.1:{served.port}")
    assert answer[0] == 303
    assert "; secure" in answer[1]["set-cookie"].lower()
    cookie = cookie_of(answer)
    assert served.ask("/api/cameras", cookie=cookie)[0] == 200
    address = f"wss://127.0.0.1:{served.port}/live"
    with connect(address, ssl=served.trust, additional_headers={"Cookie": cookie}) as page:
        assert "door" in str(page.recv(HANG_S))
    assert b"200" not in served.raw(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")


def test_a_peer_that_begins_tls_and_falls_silent_is_let_go(
    serve: Callable[..., Serving], signed: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "TLS_HANDSHAKE_TIMEOUT_S", 0.3)
    served = serve(certificate=str(signed[0]), key=str(signed[1]))
    with socket.create_connection(("127.0.0.1", served.port), HANG_S) as line:
        begun = time.monotonic()
        line.sendall(b"\x16\x03\x01")
        with contextlib.suppress(ConnectionError):
            assert line.recv(1) == b""
    # The event loop's own limit is 60 s.
    assert time.monotonic() - begun < 55


def test_what_is_wrong_with_a_certificate_is_said_in_one_line(signed: tuple[Path, Path], tmp_path: Path) -> None:
    chain, key = map(str, signed)
    other = certificate(tmp_path)[1]
    empty, locked = tmp_path / "empty.pem", tmp_path / "locked.pem"
    empty.write_text("nothing\n")
    both = tmp_path / "both.pem"
    both.write_text(signed[0].read_text() + signed[1].read_text())
    cases = [
        ((str(tmp_path / "no.pem"), key), "outputs.web.certificate: {0} cannot be read: No such file or directory"),
        ((chain, str(tmp_path / "no.pem")), "outputs.web.key: {1} cannot be read: No such file or directory"),
        ((chain, str(other)), "outputs.web.key: {1} is not the key of {0}"),
        ((str(empty), key), "outputs.web.certificate: {0} holds no certificate in PEM form that can be read"),
        ((chain, str(empty)), "outputs.web.key: {1} holds no key in PEM form that can be read"),
        ((chain, None), "outputs.web.certificate: {0} holds no certificate in PEM form that can be read"),
    ]
    for files, said in cases:
        with pytest.raises(ConfigError) as caught:
            server_context(*files)
        assert str(caught.value).startswith(said.format(*files))
        assert "\n" not in str(caught.value)
    assert isinstance(server_context(str(both), None), ssl.SSLContext)
    encrypt = ["openssl", "pkey", "-in", key, "-aes256", "-passout", "pass:locked", "-out", str(locked)]
    assert subprocess.run(encrypt, check=False, capture_output=True).returncode == 0
    with pytest.raises(ConfigError, match="without a password"):
        server_context(chain, str(locked))


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_person_logs_in_once_and_sees_the_cameras(
    serve: Callable[..., Serving], signed: tuple[Path, Path], visit: Callable[..., Any], scheme: str, allowed: list[str]
) -> None:
    allowed.append("status of 401")
    files = {"certificate": str(signed[0]), "key": str(signed[1])} if scheme == "https" else {}
    served = serve("door", "yard", **files)
    window = visit(ignore_https_errors=True)
    page = window.new_page()
    page.goto(served.web.address)
    assert page.url == f"{served.web.address}login"
    assert page.evaluate("document.activeElement.id") == "token"
    page.keyboard.type("not-the-token-at-all")
    page.keyboard.press("Enter")
    page.get_by_text("This is not the token.").wait_for()
    page.get_by_label("Token").fill(f" {TOKEN} ")
    page.get_by_role("button", name="Log in").click()
    page.wait_for_selector("[data-camera=yard]")
    assert page.url == served.web.address
    assert TOKEN not in page.content()
    kept = next(each for each in window.cookies() if each["name"] == f"lookout-{served.port}")
    assert (kept["httpOnly"], kept["sameSite"], kept["secure"]) == (True, "Strict", scheme == "https")
    assert page.evaluate("document.cookie") == ""
    again = window.new_page()
    again.goto(served.web.address)
    again.wait_for_selector("[data-camera=door]")
    page.get_by_text("connected", exact=True).wait_for()
    window.close()


def test_a_link_on_another_site_leads_those_who_are_logged_in_to_the_cameras(
    serve: Callable[..., Serving], visit: Callable[..., Any], allowed: list[str]
) -> None:
    allowed.append("/favicon.ico")
    served, other = serve(), serve(token=None)
    window = visit()
    page = window.new_page()
    page.goto(served.web.address)
    page.get_by_label("Token").fill(TOKEN)
    page.keyboard.press("Enter")
    page.wait_for_selector("[data-camera=door]")
    page.goto(f"http://localhost:{other.port}/healthz")
    for shown in ("[data-camera=door]", "#token"):
        page.evaluate("at => { document.body.innerHTML = `<a href='${at}'>cameras</a>` }", served.web.address)
        page.get_by_text("cameras").click()
        page.wait_for_selector(shown)
        window.clear_cookies()
        page.goto(f"http://localhost:{other.port}/healthz")
    window.close()


def test_a_page_whose_token_has_changed_asks_for_the_new_one(
    serve: Callable[..., Serving], visit: Callable[..., Any], allowed: list[str]
) -> None:
    allowed += ["net::ERR_", "response code: 403", "status of 401"]
    served = serve()
    window = visit()
    page = window.new_page()
    page.goto(served.web.address)
    page.get_by_label("Token").fill(TOKEN)
    page.keyboard.press("Enter")
    page.wait_for_selector("[data-camera=door]")
    served.web.close()
    serve(port=served.port, token="another-token-of-the-page")
    page.wait_for_url("**/login")
    window.close()


def test_connections_beyond_the_limit_are_ended_at_once_and_the_rest_go_on(
    serve: Callable[..., Serving], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.web.output.affordable", lambda wanted: 8)
    served = serve()
    with contextlib.ExitStack() as held:
        lines = [held.enter_context(socket.create_connection(("127.0.0.1", served.port), HANG_S)) for _ in range(20)]
        assert until(lambda: sum(ended(line) for line in lines) >= 12)
    assert until(lambda: _answers(served))


def ended(line: socket.socket) -> bool:
    line.setblocking(False)
    try:
        return line.recv(1) == b""
    except BlockingIOError:
        return False
    except ConnectionError:
        return True


def _answers(served: Serving) -> bool:
    try:
        return served.ask("/healthz")[0] == 200
    except OSError:
        return False


def test_a_page_that_shouts_is_let_go(serve: Callable[..., Serving]) -> None:
    served = serve()
    address = f"ws://127.0.0.1:{served.port}/live"
    with connect(address, compression=None, additional_headers={"Authorization": f"Bearer {TOKEN}"}) as page:
        page.recv(HANG_S)
        with pytest.raises((ConnectionClosed, ConnectionError)):
            shout(page)
    assert until(lambda: b'"viewers":0}' in served.bearer("/api/cameras")[2])


def shout(page: Any) -> None:
    """Send 2 MB as fast as they go."""
    for _ in range(20_000):
        page.pong(b"x" * 120)


def test_a_viewer_that_reads_nothing_cannot_stay_by_talking(
    serve: Callable[..., Serving], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "STALL_TIMEOUT_S", 0.5)
    served = serve()
    noise = np.random.default_rng(1).integers(0, 255, (720, 1280, 3), "uint8")
    with socket.socket() as line, contextlib.suppress(ConnectionError):
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        line.settimeout(HANG_S)
        line.connect(("127.0.0.1", served.port))
        asked = f"GET /cameras/door/stream.mjpg HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n\r\n"
        line.sendall(asked.encode())

        def given_up() -> bool:
            scene = served.scenes["door"]
            result = scene.result(1280, 720, [])
            result.frame.picture._pixels = noise.copy()  # type: ignore[attr-defined]
            served.web.show(scene.view(result))
            line.sendall(b"G")
            return False

        assert until(given_up), "it could stay"
    assert until(lambda: b'"viewers":0}' in served.bearer("/api/cameras")[2])


def code_of(served: Serving) -> str:
    address, _, code = served.web.invite().partition("login#")
    assert address == served.web.address
    return code


def use(served: Serving, code: str, **headers: str) -> Answer:
    """Send the form that the login page makes of an address with a code."""
    kind = {"content-type": "application/x-www-form-urlencoded"}
    return served.ask("/login", "POST", f"code={code}".encode(), **kind, **headers)


@pytest.mark.usefixtures("hasty")
def test_a_code_lets_one_browser_in_and_is_of_no_use_the_second_time(serve: Callable[..., Serving]) -> None:
    served = serve()
    code = code_of(served)
    answer = use(served, code.upper())
    assert (answer[0], answer[1]["location"]) == (303, "./")
    assert served.ask("/api/cameras", cookie=cookie_of(answer))[0] == 200
    again = use(served, code)
    assert again[0] == 401
    assert b"This code is wrong, used up or too old; log in with the token." in again[2]
    assert "set-cookie" not in again[1]
    older, newer = code_of(served), code_of(served)
    assert len({code, older, newer}) == 3
    assert [use(served, each)[0] for each in (older, "", newer[:-1], f"{newer}x", newer)] == [401, 401, 401, 401, 303]


@pytest.mark.usefixtures("hasty")
def test_a_code_is_taken_from_no_other_place_and_is_no_token(serve: Callable[..., Serving]) -> None:
    served = serve()
    code = code_of(served)
    assert served.log_in(code)[0] == 401
    assert served.ask("/api/cameras", authorization=f"Bearer {code}")[0] == 401
    for path in (f"/login?code={code}", f"/?code={code}", f"/api/cameras?code={code}"):
        assert "set-cookie" not in served.ask(path)[1]
    assert served.ask("/login", "POST", f"code={code}&code={code}".encode())[0] == 401
    assert use(served, code, origin="http://evil.example")[0] == 403
    assert use(served, code)[0] == 303


def test_a_code_grows_old(monkeypatch: pytest.MonkeyPatch) -> None:
    class Clock:
        seconds = 100.0

        def monotonic(self) -> float:
            return self.seconds

    clock: Any = Clock()
    invitation = LoginCode(clock)
    assert not invitation.accepts("")
    code = invitation.renew()
    assert len(code.replace("-", "")) == 16
    clock.seconds += 601
    assert not invitation.accepts(code)
    code = invitation.renew()
    clock.seconds += 599
    assert not invitation.accepts(code[::-1])
    assert invitation.accepts(code)
    assert not invitation.accepts(code)


def test_two_browsers_cannot_use_one_code_at_once(serve: Callable[..., Serving], monkeypatch: Any) -> None:
    monkeypatch.setattr(limits, "WRONG_TOKEN_DELAY_S", 0.01)
    served = serve()
    code = code_of(served)
    with ThreadPoolExecutor(8) as browsers:
        statuses = sorted(answer[0] for answer in browsers.map(lambda _: use(served, code), range(8)))
    assert statuses == [303] + [401] * 7


def test_wrong_codes_are_counted_with_wrong_tokens(serve: Callable[..., Serving], monkeypatch: Any) -> None:
    monkeypatch.setattr(limits, "WRONG_TOKEN_DELAY_S", 0.01)
    monkeypatch.setattr(limits, "WRONG_TOKEN_WINDOW_S", 100 * HANG_S)
    served = serve()
    code = code_of(served)
    statuses = [use(served, f"aaaa-{number}")[0] for number in range(9)]
    assert [*statuses, served.log_in("wrong-token-of-somebody")[0]] == [401] * 10
    with ThreadPoolExecutor(1) as holder:
        assert until(lambda: not served.at_work())
        answer = holder.submit(use, served, code)
        assert until(lambda: served.at_work() == 1)
        assert served.bearer("/api/cameras")[0] == 429
        served.pass_seconds(limits.WRONG_TOKEN_WINDOW_S)
        assert answer.result()[0] == 303


def test_a_code_stands_in_no_log_and_no_metric(serve: Callable[..., Serving], caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    redaction.guard_logs()
    served = serve()
    code = code_of(served)
    assert use(served, code)[0] == 303
    logging.getLogger("stranger").warning("POST /login with %s", f"code={code}")
    assert code not in caplog.text
    for path in ("/metrics", "/", "/api/cameras"):
        assert code.encode() not in served.bearer(path)[2]
    assert serve(token=None).web.invite() == ""


def test_a_person_opens_the_address_with_the_code_and_logs_out_again(
    serve: Callable[..., Serving], visit: Callable[..., Any], allowed: list[str]
) -> None:
    allowed.append("status of 401")
    served = serve("door", "yard")
    window = visit()
    page = window.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    address = served.web.invite()
    code = address.partition("#")[2]
    page.goto(address)
    page.wait_for_selector("[data-camera=yard]")
    assert page.url == served.web.address
    assert not [url for url in asked if code in url.partition("#")[0]]
    page.get_by_role("button", name="Log out").press("Enter")
    page.wait_for_url("**/login")
    assert window.cookies() == []
    page.goto(served.web.address)
    assert page.url == f"{served.web.address}login"
    page.evaluate("code => { location.hash = code }", code)
    page.get_by_text("This code is wrong, used up or too old").wait_for()
    assert page.evaluate("document.activeElement.id") == "token"
    assert code not in str(window.new_cdp_session(page).send("Page.getNavigationHistory"))
    page.get_by_label("Token").fill(TOKEN)
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Log out").wait_for()
    window.close()


def test_only_those_who_logged_in_can_log_out(serve: Callable[..., Serving], visit: Callable[..., Any]) -> None:
    for served, headers in (
        (serve(token=None), {}),
        (serve(), {"Authorization": f"Bearer {TOKEN}"}),
    ):
        window = visit(extra_http_headers=headers)
        page = window.new_page()
        page.goto(served.web.address)
        page.wait_for_selector("[data-camera=door]")
        assert page.get_by_role("button", name="Log out").count() == 0
        window.close()


def test_the_server_ends_in_peace_while_a_viewer_is_just_leaving(serve: Callable[..., Serving]) -> None:
    served = serve()
    port = served.port
    upgrade = (
        f"GET /live HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Authorization: Bearer {TOKEN}\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    )
    server = served.web._server
    assert server is not None
    with socket.create_connection(("127.0.0.1", port), HANG_S) as viewer:
        viewer.sendall(upgrade.encode())
        assert viewer.recv(12) == b"HTTP/1.1 101"
        assert until(lambda: any(isinstance(each, BoundedWebSocket) for each in server.server_state.connections))
        (line,) = (each for each in server.server_state.connections if isinstance(each, BoundedWebSocket))
        # What a farewell that has come, but that nobody has looked at yet, leaves behind.
        line.conn.state = State.CLOSING

        async def end() -> None:
            line.shutdown()

        loop = served.web._loop
        assert loop is not None
        asyncio.run_coroutine_threadsafe(end(), loop).result(HANG_S)
        served.web.close()
