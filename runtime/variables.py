"""Variables: a setting as a value, and how the text of one is read.

Belongs here: what is said of any setting, and reading text, which looks at nothing but the text. Which settings there
are, and reading the environment, is `settings`'.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from inspect import get_annotations
from ipaddress import ip_network
from typing import Any, get_type_hints
from urllib.parse import urlsplit

_MOST = 500_000
_LAST_PORT = 65_535
_SPARK = r"local(\[(\d+|\*)(,\d+)?\])?|spark://[^\s/,]+:\d+(,[^\s/,]+:\d+)*|sc://[^\s/]+(/\S*)?"


@dataclass(frozen=True)
class Setting:
    """A setting: the `variable` that it is read from, or the first of `read_from` that is set.

    `parse` reads its text and raises ValueError with what to give instead. `says` is what it means and `shown` how its
    default is called, both in Markdown; `section` is the part of the page that it stands in.
    """

    variable: str
    parse: Callable[[str], Any]
    section: str
    says: str
    shown: str = ""
    read_from: tuple[str, ...] = ()


def settings_of(kind: type) -> dict[str, Setting]:
    """The settings that the fields of a dataclass are annotated with, by the names of the fields.

    Its own come first, then those of its bases in the order in which it names them.
    """
    hints = get_type_hints(kind, include_extras=True)
    fields = [name for each in kind.__mro__ for name in get_annotations(each)]
    found = {
        name: [each for each in getattr(hints[name], "__metadata__", ()) if isinstance(each, Setting)]
        for name in fields
    }
    return {name: settings[0] for name, settings in found.items() if settings}


def whole_number(text: str) -> int:
    """0 or more; so many days ago there was a calendar."""
    if not _is_number(text) or int(text) > _MOST:
        raise ValueError(f"give a whole number from 0 to {_MOST}.")
    return int(text)


def seconds(text: str) -> int:
    """A time to wait, in which something can happen: 1 or more."""
    if not _is_number(text) or not 0 < int(text) <= _MOST:
        raise ValueError(f"give a whole number of seconds from 1 to {_MOST}.")
    return int(text)


def port(text: str) -> int:
    """A TCP port."""
    if not _is_number(text) or not 0 < int(text) <= _LAST_PORT:
        raise ValueError(f"give a port number from 1 to {_LAST_PORT}.")
    return int(text)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= len(str(_MOST))


def _is_address(url: str) -> bool:
    """True where a host, and a port if one is given, can be read from an address."""
    try:
        parts = urlsplit(url)
        return bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def memory_mb(text: str) -> int:
    """Megabytes from a size as Java writes it."""
    match = re.fullmatch(r"(\d+)([mg])b?", text.strip().lower())
    if match is None:
        raise ValueError("give a size such as 2g or 1500m.")
    return int(match.group(1)) * (1024 if match.group(2) == "g" else 1)


def memory_size(text: str) -> str:
    """A size as Java writes it."""
    memory_mb(text)
    return text


def spark_address(text: str) -> str:
    """A Spark master, or a Connect server."""
    kind, _, place = text.partition("://")
    places = {"spark": place.split(","), "sc": [place]}.get(kind, [])
    if not re.fullmatch(_SPARK, text) or not all(_is_address(f"{kind}://{each}") for each in places):
        raise ValueError("give local[*], spark://host:port or sc://host:port.")
    return text


def engine_name(text: str) -> str:
    """Where silver is judged."""
    if text not in {"auto", "here", "spark"}:
        raise ValueError("give auto, here or spark.")
    return text


def lake_uri(text: str) -> str:
    """A folder, or a place on S3. An address that lacks a slash would be taken for a folder named `s3:`."""
    if re.match(r"s3:|[A-Za-z][A-Za-z0-9+.-]*:/", text) and not re.fullmatch(r"s3://[^/]+(/.*)?", text):
        raise ValueError("give a folder or s3://bucket/prefix.")
    return text.rstrip("/") or text


def hosts(text: str) -> str:
    """Hosts and ports, as Kafka's clients take them."""
    form = r"[^\s/:]+(:\d+)?|\[[^\s\]]+\](:\d+)?"
    if not all(re.fullmatch(form, each) and _is_address(f"kafka://{each}") for each in text.split(",")):
        raise ValueError("give host:port, or several with commas between them.")
    return text


def absolute_path(text: str) -> str:
    """A path on another machine, which has its own current folder."""
    if not text.startswith("/"):
        raise ValueError("give a path that begins with /.")
    return text


def message_types(text: str) -> str:
    """Types of CloudEvents, with commas between them."""
    if not all(re.fullmatch(r"[^\s,*']+\*?", each) for each in text.split(",")):
        raise ValueError("give types such as com.example.reading, or com.example.*, with commas between them.")
    return text


def web_address(text: str) -> str:
    """Where an HTTP server listens."""
    if not re.fullmatch(r"https?://[^\s/]+\S*", text) or not _is_address(text):
        raise ValueError("give http://host:port or https://host.")
    return text


def database_url(text: str) -> str:
    """A database as SQLAlchemy writes it, with the driver that is installed."""
    if not text.startswith(("sqlite:///", "postgresql://", "postgresql+psycopg://")):
        raise ValueError("give postgresql://user@host/name or sqlite:///file.")
    return text.replace("postgresql://", "postgresql+psycopg://", 1)


def postgres_url(text: str) -> str:
    """A PostgreSQL database, as its own clients write it."""
    if not re.fullmatch(r"postgres(ql)?://[^\s]+/[^\s/?]+(\?\S*)?", text):
        raise ValueError("give postgresql://user:password@host:port/name.")
    return text


def networks(text: str) -> str:
    """Networks, with commas between them."""
    try:
        for each in text.split(","):
            ip_network(each)
    except ValueError as error:
        raise ValueError(f"{error}: give networks such as 10.1.0.0/16, with commas between them.") from error
    return text


def smtp_url(text: str) -> str:
    """A mail server."""
    if not re.fullmatch(r"smtps?://([^\s@/]+@)?[^\s@/:\[\]]+(:\d+)?/?", text):
        raise ValueError("give smtp://user:password@host:port or smtps://host; spell @ in a password as %40.")
    return text


def mail_address(text: str) -> str:
    """An address of mail."""
    if not re.fullmatch(r"[^\s@<>]+@[^\s@<>]+", text, re.ASCII):
        raise ValueError("give an address such as lakehouse@example.com.")
    return text


def host(text: str) -> str:
    """A host or address, without a port."""
    if not re.fullmatch(r"[A-Za-z0-9.-]+|[0-9A-Fa-f:]+", text):
        raise ValueError("give an address such as 127.0.0.1 or 0.0.0.0, without a port.")
    return text


def secure_address(text: str) -> str:
    """An address that nobody on the way can answer for."""
    if not re.fullmatch(r"https://[^\s/]+\S*|http://(localhost|127\.0\.0\.1|\[::1\])(:\d+)?(/\S*)?", text):
        raise ValueError("give https://host/path, or http:// on this machine.")
    return text
