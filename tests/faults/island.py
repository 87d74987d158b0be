"""A machine within the machine, whose only network can be switched off: nothing answers, and nothing says so.

Run by `unshare -Urn`; writes its report as JSON.
"""

from __future__ import annotations

import dataclasses
import fcntl
import json
import socket
import struct
import sys
from pathlib import Path

from tests.faults.oracle import Verdict
from tests.faults.playing import SILENCE, STALL
from tests.faults.rig import Case, Healing, Rig
from tests.faults.watch import HEALTHY_FPS, watch
from tests.support.clips import street, write_file

STREET = 80
"""Pictures in the file of the healthy camera."""
_SET_FLAGS, _UP = 0x8914, 0x1


def switch(on: bool) -> None:
    """Turn the loopback device on or off."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, _SET_FLAGS, struct.pack("16sh14x", b"lo", _UP if on else 0))


def dark(rig: Rig) -> Healing:
    """No packet goes anywhere."""
    switch(False)
    return lambda: switch(True)


CASES = (Case("04-dark", dark, Verdict(SILENCE, STALL, 6)),)


def main(folder: Path) -> None:
    """Watch the cases here, beside a file that needs no network."""
    switch(True)
    healthy = write_file(folder / "healthy.mp4", street(STREET, 320, 240), HEALTHY_FPS)
    report = watch(folder / "run", CASES, healthy=str(healthy), healthy_pictures=STREET)
    (folder / "report.json").write_text(json.dumps(dataclasses.asdict(report)))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
