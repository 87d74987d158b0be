"""Bytes spoilt at random, the same each time: for tests that feed what no sane device sends.

LOOKOUT_FUZZ_SECONDS makes such tests go on for so long, each time from another seed.
"""

from __future__ import annotations

import os
import random
import secrets
import time
from collections.abc import Iterator, Sequence

SECONDS = float(os.environ.get("LOOKOUT_FUZZ_SECONDS", "0"))
_NASTY = (
    b"\0",
    b"\xff",
    b"\r\n",
    b"\n",
    b":",
    b"%",
    b"\x1b[2J",
    b"-1",
    b"9" * 400,
    b"\xed\xa0\x80",
    b" " * 200,
    b"\0\0\1",
)


def rounds(count: int) -> Iterator[random.Random]:
    """Yield so many generators of chance, or as many as there is time for; a failure names its seed."""
    if not SECONDS:
        yield from (random.Random(seed) for seed in range(count))
        return
    ends = time.monotonic() + SECONDS
    while time.monotonic() < ends:
        seed = secrets.randbits(48)
        os.environ["LOOKOUT_FUZZ_SEED"] = str(seed)
        yield random.Random(seed)


def mutated(data: bytes, chance: random.Random, others: Sequence[bytes] = ()) -> bytes:
    """Return the data after one to four changes: bytes flipped, cut, doubled, moved, or replaced by nasty ones."""
    spoilt = bytearray(data)
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(spoilt) + 1)
        to = min(len(spoilt), at + chance.choice((1, 2, 4, 16, 200)))
        match chance.randrange(7):
            case 0:
                for place in range(at, to):
                    spoilt[place] ^= 1 << chance.randrange(8)
            case 1:
                del spoilt[at:to]
            case 2:
                spoilt[at:at] = spoilt[at:to]
            case 3:
                spoilt[at:at] = chance.choice(_NASTY)
            case 4:
                spoilt[at:to] = chance.randbytes(to - at)
            case 5:
                del spoilt[at:]
            case 6 if others:
                other = chance.choice(others)
                spoilt[at:] = other[chance.randrange(len(other) + 1) :]
    return bytes(spoilt)
