"""A browser whose tabs really get hidden, which those of a test driver never do."""

from __future__ import annotations

import json
import subprocess
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from websockets.sync.client import connect

from tests.support.wait import HANG_S, until


class Tabs:
    """Chromium with the tabs that a test opens; only the one in front is visible."""

    def __init__(self, chromium: str, folder: Path) -> None:
        self._rest = ExitStack()
        quiet = ["background-networking", "component-update", "sync", "gpu"]
        arguments = ["--headless=new", "--no-sandbox", "--no-first-run", *(f"--disable-{each}" for each in quiet)]
        where = [f"--user-data-dir={folder}", "--remote-debugging-port=0", "about:blank"]
        self._process = subprocess.Popen(
            [chromium, *arguments, *where], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        told = folder / "DevToolsActivePort"
        assert until(lambda: told.exists() and told.read_text().count("\n") == 1)
        port, path = told.read_text().split()
        address = f"ws://127.0.0.1:{port}{path}"
        self._socket = self._rest.enter_context(connect(address, compression=None, max_size=None))
        self._asked = 0

    def ask(self, method: str, session: str = "", **words: Any) -> dict[str, Any]:
        """Send a command and wait for its answer."""
        self._asked += 1
        command = {"id": self._asked, "method": method, "params": words}
        self._socket.send(json.dumps(command | ({"sessionId": session} if session else {})))
        while (answer := json.loads(self._socket.recv(HANG_S))).get("id") != self._asked:
            pass
        return dict(answer.get("result", {}))

    def open(self, address: str) -> Tab:
        """A new tab, in front."""
        return Tab(self, self.ask("Target.createTarget", url=address)["targetId"])

    def __enter__(self) -> Tabs:
        return self

    def __exit__(self, *error: object) -> None:
        try:
            self.ask("Browser.close")
            self._process.wait(HANG_S)
        finally:
            self._process.kill()
            self._process.wait()
            self._rest.close()


class Tab:
    """One tab."""

    def __init__(self, tabs: Tabs, target: str) -> None:
        self._tabs = tabs
        self._target = target
        self._session = tabs.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]

    def front(self) -> None:
        """Show this one and hide the others."""
        self._tabs.ask("Target.activateTarget", targetId=self._target)

    def value(self, expression: str) -> Any:
        """What an expression gives in this tab; None while the tab has nothing to ask yet."""
        answer = self._tabs.ask("Runtime.evaluate", self._session, expression=expression, returnByValue=True)
        return answer.get("result", {}).get("value")
