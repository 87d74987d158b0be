"""The socket of the page's server: how many connections it takes, and the address that is told."""

from __future__ import annotations

import contextlib
import socket
import sys

import pytest

from pipeline.errors import OutputError
from pipeline.web import limits
from pipeline.web.listener import affordable, listen, reachable_host
from tests.support.wait import HANG_S, until


def test_one_connection_too_many_is_ended_and_one_that_ends_makes_room() -> None:
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(listen("127.0.0.1", 0, 1))
        listener.settimeout(HANG_S)
        first = stack.enter_context(socket.create_connection(listener.getsockname(), HANG_S))
        taken, _ = listener.accept()
        stack.enter_context(taken)
        second = stack.enter_context(socket.create_connection(listener.getsockname(), HANG_S))
        with pytest.raises(ConnectionAbortedError, match="too many"):
            listener.accept()
        assert second.recv(1) == b""
        first.sendall(b"x")
        assert taken.recv(1) == b"x"
        taken.close()
        stack.enter_context(socket.create_connection(listener.getsockname(), HANG_S))
        stack.enter_context(listener.accept()[0])


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such limit")
@pytest.mark.parametrize(
    ("descriptors", "wanted", "expected"),
    [(1024, 132, 132), (1024, 600, 512), (100, 132, limits.MIN_CONNECTION_COUNT), (-1, 10_000, 10_000)],
)
def test_connections_leave_half_of_the_descriptors(
    descriptors: int, wanted: int, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    import resource

    monkeypatch.setattr(resource, "getrlimit", lambda kind: (descriptors, resource.RLIM_INFINITY))
    assert affordable(wanted) == expected


def test_a_port_in_use_is_told_in_one_line_and_leaves_no_socket() -> None:
    with listen("127.0.0.1", 0, 1) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(OutputError) as caught:
            listen("127.0.0.1", port, 1)
    assert str(caught.value) == f"port {port} on 127.0.0.1 is in use; choose another with --web PORT"
    assert until(lambda: listen("127.0.0.1", port, 1).close() is None)


def test_an_address_that_is_not_this_machine_is_told_in_one_line() -> None:
    with pytest.raises(OutputError) as caught:
        listen("192.0.2.1", 0, 1)
    assert str(caught.value).startswith("cannot listen on 192.0.2.1 port 0: ")
    assert str(caught.value).endswith("; use 127.0.0.1")


def test_the_host_of_an_address_can_be_reached() -> None:
    with listen("127.0.0.1", 0, 1) as listener:
        assert reachable_host(listener) == "127.0.0.1"
    with listen("0.0.0.0", 0, 1) as listener:
        assert reachable_host(listener) not in ("0.0.0.0", "")
