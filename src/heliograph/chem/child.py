"""One child process that is asked over pipes: started when first needed, and again after a death."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from typing import Any

from heliograph.chem import wire
from heliograph.errors import HeliographError

_ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
START = 120.0  # s for a process to be ready
GONE = (EOFError, OSError, ValueError)  # what sending and receiving raise where the process has died


class Child:
    """A fresh interpreter with the arguments `program`. It gets `settings` as JSON and says when it is ready; frames are `chem.wire`'s.

    `work`: what it does, for errors; `hint`: what to try where it does not start. `overdue`: whether it was killed for taking too long;
    `exit_status`: of the last one that was killed or died.
    """

    def __init__(self, program: Sequence[str], settings: Any, work: str, hint: str = ""):
        self._command, self._settings = [sys.executable, "-P", *program], settings
        self._work, self._hint = work, hint
        self._process: subprocess.Popen[bytes] | None = None
        self._closed, self._lock = False, threading.Lock()
        self.overdue = False
        self.exit_status: int | None = None

    def ask(self, *frames: bytes) -> None:
        """Send frames, to a new process where there is none. Raises what is in `GONE`, HeliographError where none starts."""
        process = self.running()
        for frame in frames:
            wire.send(process.stdin, frame)  # type: ignore[arg-type]

    def receive(self, seconds: float | None) -> bytes:
        """Return the next frame. The process is killed, and EOFError raised, when it takes more than `seconds`; None waits."""
        process, self.overdue = self.running(), False
        if seconds is None:
            return wire.receive(process.stdout)  # type: ignore[arg-type]

        def give_up() -> None:
            self.overdue = True
            process.kill()

        timer = threading.Timer(seconds, give_up)
        timer.daemon = True
        timer.start()
        try:
            return wire.receive(process.stdout)  # type: ignore[arg-type]
        finally:
            timer.cancel()

    def died(self) -> None:
        """Clear away a process that has died. Raises HeliographError where that is because of `close`."""
        if self._closed:
            raise HeliographError(f"{self._work} was interrupted") from None
        self._kill()

    def close(self) -> None:
        """Kill the process; who waits for an answer gets an error."""
        with self._lock:
            self._closed = True
        self._kill()

    def running(self) -> subprocess.Popen[bytes]:
        """Return the process. Raises HeliographError where it does not start, or after `close`."""
        if self._process is not None:
            return self._process
        environment = {**os.environ, **dict.fromkeys(_ONE_THREAD, "1")}
        environment["PYTHONPATH"] = os.pathsep.join(path or os.getcwd() for path in sys.path)
        with tempfile.TemporaryFile() as log:
            with self._lock:
                if self._closed:
                    raise HeliographError(f"{self._work} was interrupted")
                self._process = process = subprocess.Popen(
                    self._command,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    env=environment,
                    start_new_session=True,
                )
            try:
                self.ask(json.dumps(self._settings).encode())
                self.receive(START)  # "ready"
            except GONE as error:
                self._kill()
                log.seek(0)
                lines = log.read().decode("utf-8", "replace").strip().splitlines() or [f"exit status {self.exit_status}"]
                raise HeliographError(f"a process for {self._work} did not start: {lines[-1]}. {self._hint}".rstrip()) from error
        return process

    def _kill(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        self.exit_status = process.wait()
        for pipe in (process.stdin, process.stdout):
            try:
                if pipe is not None:
                    pipe.close()
            except (OSError, ValueError):  # what was still to be written has no reader any more
                continue
