"""The socket of the page's server: how many connections it takes, and the address that is told."""

from __future__ import annotations

import contextlib
import socket
import sys
from collections.abc import Callable, Iterator

import pytest

from pipeline.errors import OutputError
from pipeline.web import limits
from pipeline.web.listener import Standing, affordable, listen, network_of, reachable_host
from tests.support.wait import HANG_S, until


class Crowd:
    """A listener and those who have come to it, with both ends of each connection."""

    def __init__(self, max_count: int) -> None:
        self.stack = contextlib.ExitStack()
        self.listener = self.stack.enter_context(listen("127.0.0.1", 0, max_count))
        self.listener.settimeout(HANG_S)

    def come(self, address: str = "127.0.0.1") -> tuple[socket.socket, socket.socket]:
        """Connect from an address and be accepted; ConnectionAbortedError where there is no room."""
        theirs = socket.create_connection(self.listener.getsockname(), HANG_S, source_address=(address, 0))
        self.stack.enter_context(theirs)
        ours, _ = self.listener.accept()
        return self.stack.enter_context(ours), theirs

    def note(self, ours: socket.socket, standing: Standing, session: str = "") -> None:
        self.listener.note(ours.getpeername(), ours.getsockname(), standing, session)


@pytest.fixture
def crowd() -> Iterator[Callable[[int], Crowd]]:
    with contextlib.ExitStack() as stack:

        def make(max_count: int) -> Crowd:
            made = Crowd(max_count)
            stack.push(made.stack)
            return made

        yield make


def has_ended(theirs: socket.socket) -> bool:
    """Return whether the server has ended a connection that nothing was sent over."""
    theirs.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        return theirs.recv(1) == b""
    return False


def test_whoever_comes_when_all_places_are_taken_gets_that_of_the_stranger_who_is_here_longest(
    crowd: Callable[[int], Crowd],
) -> None:
    here = crowd(3)
    first, second, third = here.come(), here.come(), here.come()
    here.note(first[0], Standing.MEMBER)
    fourth = here.come()
    assert until(lambda: has_ended(second[1]))
    assert not any(has_ended(theirs) for _, theirs in (first, third, fourth))
    here.note(third[0], Standing.GUEST)
    fifth = here.come()
    assert until(lambda: has_ended(fourth[1]))
    here.note(fifth[0], Standing.MEMBER)
    sixth = here.come()
    assert until(lambda: has_ended(third[1]))
    assert not any(has_ended(theirs) for _, theirs in (first, fifth, sixth))


def test_where_all_are_members_one_too_many_is_refused_and_one_that_ends_makes_room(
    crowd: Callable[[int], Crowd],
) -> None:
    here = crowd(1)
    first = here.come()
    here.note(first[0], Standing.MEMBER)
    with pytest.raises(ConnectionAbortedError, match="too many"):
        here.come()
    first[1].sendall(b"x")
    assert first[0].recv(1) == b"x"
    first[0].close()
    here.come()


def test_an_address_that_has_its_share_of_places_gives_up_its_own(
    crowd: Callable[[int], Crowd], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "MAX_STRANGER_COUNT", 3)
    here = crowd(20)
    other = here.come("127.0.0.2")
    many = [here.come() for _ in range(8)]
    assert until(lambda: all(has_ended(theirs) for _, theirs in many[:5]))
    assert not any(has_ended(theirs) for _, theirs in (other, *many[5:]))
    for ours, _ in many[5:]:
        here.note(ours, Standing.MEMBER)
    more = [here.come() for _ in range(3)]
    assert not any(has_ended(theirs) for _, theirs in (other, *many[5:], *more))


def test_the_connections_of_a_session_end_together(crowd: Callable[[int], Crowd]) -> None:
    here = crowd(9)
    first, second, other = here.come(), here.come(), here.come()
    for (ours, _), session in ((first, "a"), (second, "a"), (other, "b")):
        here.note(ours, Standing.MEMBER, session)
    here.listener.dismiss("a")
    assert until(lambda: has_ended(first[1]) and has_ended(second[1]))
    assert not has_ended(other[1])


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


@pytest.mark.parametrize(
    ("client", "place"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
    ],
)
def test_connections_and_failures_count_for_a_host_or_against_its_network_where_it_has_many_addresses(
    client: str, place: str
) -> None:
    assert network_of(client) == place
