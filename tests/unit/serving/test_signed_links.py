"""Links to files of shared tables: what opens them, and until when."""

from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from serving.sharing.signed_links import LIFETIME_S, LinkSigner

NOW_S = 1_790_000_000.5
PATH = "event_date=2026-11-20/part 0.parquet"


def test_a_link_opens_its_file_until_it_ends() -> None:
    """For a quarter of an hour, and not a second longer."""
    signer = LinkSigner()
    url, until_ms = signer.link("http://h", "gold.devices", PATH, NOW_S)
    parts = urlsplit(url)
    said = {name: values[0] for name, values in parse_qs(parts.query).items()}
    assert unquote(parts.path) == f"/sharing/files/gold.devices/{PATH}"
    assert until_ms == (int(NOW_S) + LIFETIME_S) * 1000
    assert signer.holds("gold.devices", PATH, said["until"], said["signature"], NOW_S + LIFETIME_S - 1)
    assert not signer.holds("gold.devices", PATH, said["until"], said["signature"], NOW_S + LIFETIME_S + 1)
    assert not LinkSigner().holds("gold.devices", PATH, said["until"], said["signature"], NOW_S)


@pytest.mark.parametrize(("table", "path", "later_s"), [
    ("gold.device_hours", PATH, 0), ("gold.devices", PATH.replace("20", "21"), 0), ("gold.devices", PATH, 1),
    ("gold.devices", f"{PATH}/../../../keys.sqlite", 0),
])  # fmt: skip
def test_a_link_opens_nothing_else(table: str, path: str, later_s: int) -> None:
    """Neither another table or file, nor its own for longer."""
    signer = LinkSigner()
    said = parse_qs(urlsplit(signer.link("http://h", "gold.devices", PATH, NOW_S)[0]).query)
    until = str(int(said["until"][0]) + later_s)
    assert not signer.holds(table, path, until, said["signature"][0], NOW_S)
