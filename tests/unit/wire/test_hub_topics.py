"""The hub's topics: what the SDKs write is understood, and a client speaks for nobody else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.errors import WireError
from wire import hub_topics as topics

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


@pytest.mark.parametrize(
    ("username", "host", "client", "model"),
    [
        ("hub.net/dev/?api-version=2019-10-01&DeviceClientType=a%2Fb", "hub.net", "dev", None),
        ("hub.net/dev/?api-version=2020-09-30&model-id=dtmi%3Acom%3Aa%3B2", "hub.net", "dev", "dtmi:com:a;2"),
        ("hub.net:8883/dev/mod/?api-version=2019-10-01", "hub.net:8883", "dev/mod", None),
        ("hub.net/dev/api-version=2016-11-14", "hub.net", "dev", None),
        ("hub.net/dev", "hub.net", "dev", None),
        ("hub.net/a?b/?api-version=2021-04-12", "hub.net", "a?b", None),
        ("hub.net/?a/m?=x/?model-id=dtmi%3Aa%3B1", "hub.net", "?a/m?=x", "dtmi:a;1"),
        ("hub.net/a=b/?", "hub.net", "a=b", None),
        ("hub.net/dev?api-version=2021-04-12", "hub.net", "dev", None),
    ],
)
def test_user_names_are_taken_apart(username: str, host: str, client: str, model: str | None) -> None:
    """The forms of Python's, node's and the old SDKs, with and without a model."""
    read = topics.read_username(username)
    assert (read.host, read.client, read.model_id) == (host, client, model)


@pytest.mark.parametrize("username", ["", "hub", "a/b/c/d/?x=y", "//?x"])
def test_other_user_names_are_refused(username: str) -> None:
    """A user name without host and device is none."""
    with pytest.raises(WireError):
        topics.read_username(username)


def test_registrations_are_taken_apart() -> None:
    """Scope and registration id of a provisioning client."""
    name = "0ne0001/registrations/reg%201/api-version=2019-03-31&ClientVersion=x"
    assert topics.read_registration_username(name) == ("0ne0001", "reg 1")
    with pytest.raises(WireError):
        topics.read_registration_username("hub/dev/?api-version=x")


@pytest.mark.parametrize(
    ("username", "is_it"),
    [
        ("0ne0001/registrations/reg/api-version=2019-03-31", True),
        ("0ne0001/registrations/reg/", True),
        ("hub.net/registrations/?api-version=2021-04-12", False),
        ("hub.net/registrations/m/?api-version=2021-04-12", False),
        ("hub.net/dev/registrations/?api-version=2021-04-12", False),
        ("hub.net/registrations", False),
    ],
)
def test_devices_and_modules_called_registrations_register_nobody(username: str, is_it: bool) -> None:
    """A client that registers is told by what stands where, not by a word."""
    assert topics.is_registration(username) is is_it


def test_a_bag_is_read_as_the_sdks_write_it() -> None:
    """System properties come with `$` encoded or not; a plus is a plus; a name without `=` has no value."""
    assert topics.read_bag("%24.mid=a%2Bb&$.ct=application%2Fjson&k+1=v+2&flag&empty=&e=1=2") == {
        "$.mid": "a+b", "$.ct": "application/json", "k+1": "v+2", "flag": None, "empty": "", "e": "1=2"
    }  # fmt: skip
    assert topics.read_bag("") == {}
    with pytest.raises(WireError):
        topics.read_bag("a=%ff")


@given(st.dictionaries(TEXTS.filter(bool), st.none() | TEXTS))
def test_a_bag_is_read_as_written(bag: dict[str, str | None]) -> None:
    """Every name and value survives, slashes, ampersands and equals signs too."""
    text = topics.write_bag(bag.items())
    assert topics.read_bag(text + "/") == bag
    assert not set(text) & set("+#\0")


def test_a_client_speaks_for_itself_only() -> None:
    """Its own events, and the requests that name nobody; no topic of another device or module."""
    events = topics.read_route("devices/dev/messages/events/%24.mid=1", "dev")
    assert events == ("devices/dev/messages/events/", "", {"$.mid": "1"})
    assert topics.read_route("devices/dev/messages/events", "dev") is not None
    assert topics.read_route("devices/dev/modules/m/messages/events/", "dev/m") is not None
    assert topics.read_route("$iothub/methods/res/200/?$rid=5", "dev") == (topics.METHOD_ANSWERS, "200", {"$rid": "5"})
    assert topics.read_route("$iothub/twin/GET/?$rid=a", "dev") == (topics.TWIN_GET, "", {"$rid": "a"})
    reported = topics.read_route("$iothub/twin/PATCH/properties/reported/?$rid=a", "dev")
    assert reported == (topics.TWIN_REPORT, "", {"$rid": "a"})
    for foreign in ("devices/dev2/messages/events/", "devices/dev/modules/m/messages/events/", "a", "$SYS/x"):
        assert topics.read_route(foreign, "dev") is None
