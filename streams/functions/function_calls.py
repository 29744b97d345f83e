"""Function calls: a function's process, and a call of it within limits of time and memory.

Belongs here: starting, asking, and killing what takes too long or too much. What runs in the process is in
`function_worker`; how often to try is in `declared_functions`.
"""

import base64
import select
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from runtime.process_family import family, kill_all
from runtime.settings import inherited_environment
from streams.functions.frames import read_frame, send_frame

_START_S = 60.0
_LOOK_S = 0.02
_MB = 2**20


class CallError(Exception):
    """A call that did not end well; the message says how."""


@dataclass(frozen=True)
class Limits:
    """What a call may take: seconds, and megabytes of its whole process."""

    time_s: float = 300.0
    memory_mb: int = 512


@dataclass(frozen=True)
class Answer:
    """What a call gave: messages by the name of their output, and the response to a request."""

    outputs: Mapping[str, Sequence[bytes]]
    response: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Call:
    """What a function is called with, and which attempt it is."""

    data: Any
    attempt: int = 1
    most_attempts: int = 1
    id: str = field(default_factory=lambda: str(uuid.uuid4()))


class FunctionProcess:
    """The process of one function, or without a name of the whole app; calls come one after the other.

    `values` are the app's settings. The settings of the lakehouse itself, among which are secrets, it does not get.
    """

    def __init__(self, folder: Path, name: str | None, values: Mapping[str, str], limits: Limits) -> None:
        self._command = [str(folder), *([name] if name else [])]
        self._values, self._limits = values, limits
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: socket.socket | None = None
        self._turn = threading.Lock()
        self._is_closed = False

    def declared(self) -> list[dict[str, Any]]:
        """What the app declares. Raises CallError when it cannot be loaded."""
        with self._turn:
            return self._started()

    def call(self, call: Call) -> Answer:
        """Call the function. Raises CallError; a process that was killed is started anew for the next call."""
        with self._turn:
            if self._process is None:
                self._started()
            self._send(vars(call))
            answer = self._answer(self._limits.time_s)
            if "error" in answer:
                raise CallError(answer["error"])
            outputs = {name: [base64.b64decode(m) for m in each] for name, each in answer["outputs"].items()}
            return Answer(outputs, answer.get("response"))

    def close(self) -> None:
        """End it, also in the middle of a call."""
        self._is_closed = True
        self._kill()

    def _started(self) -> list[dict[str, Any]]:
        if self._is_closed:
            raise CallError("the host ends")
        ours, theirs = socket.socketpair()
        command = [sys.executable, "-m", "streams.functions.function_worker", str(theirs.fileno()), *self._command]
        environment = {k: v for k, v in inherited_environment(self._values).items() if not k.startswith("LAKEHOUSE_")}
        with theirs:
            self._process = subprocess.Popen(command, pass_fds=[theirs.fileno()], env=environment,
                                             stdin=subprocess.DEVNULL, start_new_session=True)  # fmt: skip
        self._connection = ours
        answer = self._answer(_START_S)
        if "error" in answer:
            self._kill()
            raise CallError(f"function_app.py cannot be loaded: {answer['error']}")
        found: list[dict[str, Any]] = answer["functions"]
        return found

    def _send(self, value: Mapping[str, Any]) -> None:
        assert self._connection is not None
        try:
            send_frame(self._connection, value)
        except OSError as error:
            self._kill()
            raise CallError("its process had ended by itself") from error

    def _answer(self, limit_s: float) -> dict[str, Any]:
        connection, process = self._connection, self._process
        assert connection is not None
        assert process is not None
        deadline = time.monotonic() + limit_s
        try:
            looked_at = psutil.Process(process.pid)
            while not select.select([connection], [], [], _LOOK_S)[0]:
                # memory first: what has eaten too much may have taken long, too, and that is the reason to be told
                if looked_at.memory_info().rss > self._limits.memory_mb * _MB:
                    self._kill()
                    raise CallError(f"it took more than {self._limits.memory_mb} MB of memory and was ended")
                if time.monotonic() > deadline:
                    self._kill()
                    raise CallError(f"it took longer than {limit_s:g} s and was ended")
            answer = read_frame(connection)
        except (OSError, ValueError, psutil.NoSuchProcess):
            answer = None
        if answer is None:
            self._kill()
            raise CallError(f"its process ended by itself, exit code {process.returncode}")
        return answer

    def _kill(self) -> None:
        """With all that it has started."""
        process, connection = self._process, self._connection
        self._process = self._connection = None
        if process is not None:
            _kill_family(process)
        if connection is not None:
            connection.close()


def _kill_family(process: subprocess.Popen[bytes]) -> None:
    kill_all(family(process.pid))
    process.wait()
