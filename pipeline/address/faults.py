"""The faults that an address asks to rehearse.

`fault:stall=10@20/60:rtsp://camera/live` stalls for 10 s at second 20, every 60 s. The form is

    fault:KIND[=SECONDS][@START][/EVERY]:ADDRESS

    stall         no picture comes, though the connection stays
    freeze        the same picture comes again and again
    disconnect    the connection is cut, and refused for so long; without SECONDS it may come back at once
    slow          one picture a second comes
    late          the pictures' own time falls behind by half a second each second
    corrupt       every picture is damaged
    refuse        opening fails: nobody answers at that port
    unauthorized  opening fails: user or password are refused

SECONDS says how long (to the end where it is missing), START when for the first time, in seconds after the first
picture (at the first opening where it is missing), EVERY after how many seconds again (never where it is missing).
Several are joined by +.
"""

from __future__ import annotations

import difflib
import math
import re
from dataclasses import dataclass

from .parse import inner

KINDS = ("stall", "freeze", "disconnect", "slow", "late", "corrupt", "refuse", "unauthorized")

_FORM = "fault:KIND[=SECONDS][@START][/EVERY]:ADDRESS"
_NUMBER = r"(\d{1,9}(?:\.\d{1,9})?)"
_ITEM = re.compile(rf"([A-Za-z]+)(?:={_NUMBER})?(?:@{_NUMBER})?(?:/{_NUMBER})?")


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault to rehearse; all times in seconds since the first picture, or the first opening if `start` is 0."""

    kind: str
    seconds: float = math.inf
    start: float = 0.0
    every: float = math.inf

    def count(self, at: float) -> int:
        """Count how many times it has begun."""
        return 0 if at < self.start else 1 + (int((at - self.start) // self.every) if self.every < math.inf else 0)

    def lasting(self, at: float) -> float | None:
        """Tell for how long it has been going on; None while it does not."""
        begun = self.count(at)
        if not begun:
            return None
        since = at - self.start - (0.0 if begun == 1 else (begun - 1) * self.every)
        return since if since < self.seconds else None


def parse(address: str) -> tuple[tuple[Fault, ...], str]:
    """Return the faults in front of an address, and the address itself; ValueError says what is wrong with them."""
    front, first, rest = address.partition(":")
    if not first or front.lower() != "fault":
        return (), address
    written, colon, real = rest.partition(":")
    if not colon or not real:
        raise ValueError(f"must be {_FORM}, such as fault:stall=10@20/60:demo")
    if inner(real) != real:
        raise ValueError("must hold fault: once; join several kinds with +, such as stall=10@20+freeze=90@60")
    return tuple(_fault(item) for item in written.split("+")), real


def _fault(item: str) -> Fault:
    match = _ITEM.fullmatch(item)
    if match is None:
        # What stands here may be part of an address with its login, so only a harmless beginning is shown.
        begun = re.match(r"[A-Za-z]*", item)
        raise ValueError(f"must be {_FORM}, got '{begun[0][:16] if begun else ''}...' in the place of a kind")
    kind, seconds, start, every = match.groups()
    if kind not in KINDS:
        near = difflib.get_close_matches(kind.lower(), KINDS, n=1)
        hint = f"did you mean '{near[0]}'?" if near else f"kinds: {', '.join(KINDS)}"
        raise ValueError(f"unknown kind of fault '{kind[:16]}'; {hint}")
    lasts = float(seconds) if seconds else 0.0 if kind == "disconnect" else math.inf
    again = float(every) if every else math.inf
    if again < math.inf and lasts >= again:
        example = f"{kind}=10@20/60"
        raise ValueError(f"a {kind} that comes every {again:g} s must last a shorter time, such as {example}")
    return Fault(kind, lasts, float(start or 0), again)
