"""Whether a store answers at all: asked once in a process, before its first client is made.

Belongs here: one question by HTTP, and the sentence for a store that says nothing to it. A server that takes
connections and never answers keeps each client for minutes (delta-rs and DuckDB three, s3fs seven), and DuckDB's Delta
reader cannot be told to give up sooner. Amid work that patience is right: a store that was away may come back.
"""

import time
from http.client import HTTPException
from threading import Thread
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import HTTPRedirectHandler, Request, build_opener

from runtime.errors import PlatformError
from runtime.settings import Settings

PATIENCE_S = 7.0
"""How long an address of the server may take for a step of an attempt, as to connect or to send what comes next."""

DEADLINE_S = 15.0
"""How long both attempts may take: less than the half minute in which a sentence is due, with all of the above."""

_ATTEMPTS = 2
_SILENT_FOR_S = 30.0
_answered: set[str] = set()
_silent_until: dict[str, float] = {}


class _NoRedirect(HTTPRedirectHandler):
    """Where a server sends browsers is no matter here: that it says so is an answer."""

    def redirect_request(self, *args: Any) -> None:
        """None: the answer stands."""
        return None


def require_answer(settings: Settings) -> None:
    """Raises PlatformError where the store of a lake takes connections, or their first packets, and says nothing.

    Any answer will do. Who has answered is not asked again, nor who was silent a moment ago; other trouble is left for
    the clients to name.
    """
    address = settings.aws_endpoint_url
    if not settings.is_s3 or address is None or address in _answered:
        return
    if time.monotonic() >= _silent_until.get(address, 0.0):
        if not _is_silent_until_deadline(address):
            _answered.add(address)
            return
        _silent_until[address] = time.monotonic() + _SILENT_FOR_S
    raise PlatformError(f"{address} does not answer: check the network and AWS_ENDPOINT_URL.")


def _is_silent_until_deadline(address: str) -> bool:
    """Whether no attempt had an answer, or none in time: a name that has many addresses, an answer byte by byte."""
    found: list[bool] = []
    asking = Thread(
        target=lambda: found.append(all(_is_silent(address) for _ in range(_ATTEMPTS))),
        name="store-answer",
        daemon=True,
    )
    asking.start()
    asking.join(DEADLINE_S)
    return asking.is_alive() or True in found


def _is_silent(address: str) -> bool:
    try:
        with build_opener(_NoRedirect).open(Request(address, method="HEAD"), timeout=PATIENCE_S):
            return False
    except HTTPError as error:
        error.close()
        return False
    except TimeoutError:
        return True
    except URLError as error:
        return isinstance(error.reason, TimeoutError)
    except (OSError, HTTPException, ValueError):
        return False
