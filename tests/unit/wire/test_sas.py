"""Shared access signatures: what the anchor's clients sign is accepted, and nothing else."""

import hmac
from base64 import b64decode, b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.errors import WireError
from wire.sas import derive_key, parse, sign

KEY = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
OTHER = "MTEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="


def test_a_token_is_as_the_documents_say() -> None:
    """The signed text, its order and its encoding; the value was computed by openssl's dgst."""
    text = sign(KEY, "hub.example/devices/dev 1", 1_800_000_000, "device")
    assert text == (
        "SharedAccessSignature sr=hub.example%2Fdevices%2Fdev%201"
        "&sig=9M2ACjYU%2FghWTsUj4NGLdRjDlPxZHxSRfNHcqSjAG%2Bc%3D&se=1800000000&skn=device"
    )  # fmt: skip


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40), st.integers(0, 10**12))
def test_a_token_is_read_as_signed(resource: str, expiry: int) -> None:
    """Whatever the resource is called, its token holds by its key and by no other."""
    token = parse(sign(KEY, resource, expiry))
    assert token.target == resource.lower()
    assert token.is_signed_by(KEY)
    assert not token.is_signed_by(OTHER)
    assert (token.is_expired(expiry), token.is_expired(expiry - 1)) == (True, False)


def test_fields_stand_in_any_order_and_may_be_unencoded() -> None:
    """Clients write the fields in other orders; some sign the resource before they encode it."""
    token = parse(sign(KEY, "hub/devices/d", 5))
    signature = sign(KEY, "hub/devices/d", 5).split("sig=")[1].split("&")[0]
    assert parse(f"SharedAccessSignature se=5&sr=hub%2Fdevices%2Fd&sig={signature}") == token
    unencoded = b64encode(hmac.digest(b64decode(KEY), b"hub/devices/d\n5", "sha256")).decode().replace("+", "%2B")
    assert parse(f"SharedAccessSignature sr=hub%2Fdevices%2Fd&sig={unencoded}&se=5").is_signed_by(KEY)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Bearer x",
        "SharedAccessSignature sr=a&sig=b",
        "SharedAccessSignature sr=a&se=5",
        "SharedAccessSignature sig=a&se=5",
        "SharedAccessSignature sr=a&sig=b&se=-5",
        "SharedAccessSignature sr=a&sig=b&se=²",
        "SharedAccessSignature sr=a&sig=b&se=" + "9" * 5000,
    ],
)
def test_what_is_no_token_is_refused(text: str) -> None:
    """A token without resource, signature or a number as expiry is none."""
    with pytest.raises(WireError):
        parse(text)


@given(st.text(max_size=100), st.text(max_size=30))
def test_any_text_is_read_or_refused(text: str, signature: str) -> None:
    """No text whatever raises anything but WireError, and none is signed by our key."""
    try:
        assert not parse("SharedAccessSignature " + text).is_signed_by(KEY)
        assert not parse(f"SharedAccessSignature sr=a&sig={signature}&se=5").is_signed_by(KEY)
    except WireError:
        pass


def test_a_device_key_of_a_group_is_the_documents() -> None:
    """The example of the anchor's page on enrolment groups."""
    group = "8isrFI1sGsIlvvFSSFRiMfCNzv21fjbE/+ah/lSh3lF8e2YG1Te7w1KpZhJFFXJrqYKi9yegxkqIChbqOS9Egw=="
    assert derive_key(group, "sn-007-888-abc-mac-a1-b2-c3-d4-e5-f6") == "Jsm0lyGpjaVYVP2g3FnmnmG9dI/9qU24wNoykUmermc="
    with pytest.raises(WireError):
        derive_key("no key", "d")
