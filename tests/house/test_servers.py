"""The servers of the tests leave no connection behind, whenever they are stopped."""

from __future__ import annotations

import gc
import socket
import threading

import pytest

from tests.support.clips import encode, street
from tests.support.servers.rtsp import RtspServer
from tests.support.wait import until


@pytest.mark.filterwarnings("error::pytest.PytestUnraisableExceptionWarning")
def test_a_camera_that_is_stopped_while_players_come_closes_every_connection() -> None:
    server = RtspServer({"live": encode(street(5, 64, 64), 30, 5)})
    for _ in range(30):
        server.start()
        coming: list[socket.socket] = []
        stopped = threading.Event()

        def knock(coming: list[socket.socket] = coming, stopped: threading.Event = stopped) -> None:
            while not stopped.wait(0.0003):
                coming.append(socket.socket())
                coming[-1].setblocking(False)
                coming[-1].connect_ex(("127.0.0.1", server.port))

        knocking = threading.Thread(target=knock)
        knocking.start()
        assert until(lambda coming=coming: len(coming) > 20)  # type: ignore[misc]
        server.stop()
        stopped.set()
        knocking.join()
        for each in coming:
            each.close()
        # What was left open is told by its finalizer, which fails this test.
        gc.collect()
