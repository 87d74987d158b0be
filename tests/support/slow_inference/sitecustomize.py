"""Makes every inference of every Python program cost what it costs on a slower processor.

Python runs it by itself where this folder is in PYTHONPATH. LOOKOUT_TEST_ROUNDS says how many times each request is
computed: the same work on the same threads, so that the cores are as busy as they would be there.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import os
import sys
from types import ModuleType
from typing import Any

ROUNDS = int(os.environ.get("LOOKOUT_TEST_ROUNDS", "1"))
_MODULE = "pipeline.infer.backends.openvino.detector"


class RepeatedRequest:
    """A request that is done only after it was computed so many times."""

    def __init__(self, request: Any, rounds: int = ROUNDS) -> None:
        self._request = request
        self._rounds = rounds
        self._left = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._request, name)

    def start_async(self, *arguments: Any) -> None:
        """Start the first round."""
        self._left = self._rounds - 1
        self._request.start_async(*arguments)

    def wait_for(self, milliseconds: int) -> bool:
        """Wait for the round that is computed; start the next one if there is any left."""
        if not self._request.wait_for(milliseconds):
            return False
        if self._left == 0:
            return True
        self._left -= 1
        self._request.start_async()
        return False

    def wait(self) -> None:
        """Wait for all rounds."""
        while not self.wait_for(1000):
            pass

    def infer(self, *arguments: Any) -> Any:
        """Compute all rounds."""
        for _ in range(self._rounds - 1):
            self._request.infer(*arguments)
        return self._request.infer(*arguments)


class _Finder(importlib.abc.MetaPathFinder):
    """Has the detector's module changed as soon as it is loaded."""

    def find_spec(self, name: str, path: Any, target: ModuleType | None = None) -> Any:
        """Find the detector's module as anybody would, with a loader that goes on after the true one."""
        if name != _MODULE:
            return None
        sys.meta_path.remove(self)
        spec = importlib.machinery.PathFinder.find_spec(name, path)
        if spec is not None and spec.loader is not None:
            load = spec.loader.exec_module

            def load_and_slow(module: ModuleType) -> None:
                load(module)
                detector = module.OpenvinoDetector
                make = detector.request
                detector.request = lambda self: RepeatedRequest(make(self))

            spec.loader.exec_module = load_and_slow  # type: ignore[method-assign]
        return spec


if ROUNDS > 1:
    sys.meta_path.insert(0, _Finder())
