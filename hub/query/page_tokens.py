"""Continuation tokens: where the next page of a query begins.

Belongs here: what a token holds and how it is written. What a row's key is belongs to who asks.
"""

import base64
import json
from collections.abc import Sequence
from typing import Any

from hub.hub_errors import HubCode, HubError


def page_token(seen: int, last: Sequence[Any]) -> str:
    """What asks for the page behind the row with the key `last`, when `seen` rows were told before it."""
    return base64.urlsafe_b64encode(json.dumps([seen, *last]).encode()).decode()


def read_page_token(token: object, key_size: int) -> tuple[int, list[str] | None]:
    """How many rows were told before, and the key of the last of them; no token is the first page.

    Raises HubError for what no page of such a query gave.
    """
    if not token:
        return 0, None
    try:
        seen, *last = json.loads(base64.urlsafe_b64decode(str(token)))
        if type(seen) is not int or len(last) != key_size or not all(map(_is_key, last)):
            raise ValueError("another token")
    # brackets in brackets, as deep as Python goes, are no ValueError
    except (ValueError, TypeError, RecursionError) as error:
        raise HubError(HubCode.ArgumentInvalid, "The continuation token is none of this query's.") from error
    return seen, last


def _is_key(value: object) -> bool:
    # half of a character no database takes (encode raises UnicodeEncodeError, a ValueError), and PostgreSQL no NUL
    return isinstance(value, str) and b"\0" not in value.encode()
