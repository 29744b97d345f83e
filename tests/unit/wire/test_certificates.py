"""Certificates: a chain of ours is accepted by OpenSSL and by our check, and nothing that merely looks like one."""

import hashlib
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from runtime.errors import WireError
from wire.certificates import Authority, Issued, common_name, is_issued_by, read_chain, thumbprints

NOW = datetime.now(UTC)


@pytest.fixture(scope="module")
def root() -> Authority:
    """A root."""
    return Authority.root("Test root", NOW)


@pytest.fixture(scope="module")
def middle(root: Authority) -> Authority:
    """An intermediate under it."""
    return root.intermediate("Test intermediate", NOW)


def _shakes_hands(server: Issued, root: Authority, host: str, folder: Path) -> bool:
    """True when OpenSSL, trusting `root` only, accepts the server by this name."""
    (folder / "chain.pem").write_bytes(server.chain)
    (folder / "key.pem").write_bytes(server.key)
    accepting = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    accepting.load_cert_chain(folder / "chain.pem", folder / "key.pem")
    asking = ssl.create_default_context(cadata=root.pem.decode())
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = asking.wrap_bio(to_client, to_server, server_hostname=host)
    theirs = accepting.wrap_bio(to_server, to_client, server_side=True)
    done: set[ssl.SSLObject] = set()
    while len(done) < 2:
        for side in (ours, theirs):
            try:
                side.do_handshake()
                done.add(side)
            except ssl.SSLWantReadError:
                pass
            except ssl.SSLCertVerificationError:
                return False
    return True


def test_openssl_accepts_a_server_of_ours(root: Authority, middle: Authority, tmp_path: Path) -> None:
    """By name and by address, over the intermediate; not by another name, nor under another root."""
    server = middle.issue_server(["localhost", "127.0.0.1"], NOW)
    assert _shakes_hands(server, root, "localhost", tmp_path)
    assert _shakes_hands(server, root, "127.0.0.1", tmp_path)
    assert not _shakes_hands(server, root, "example.org", tmp_path)
    assert not _shakes_hands(server, Authority.root("Test root", NOW), "localhost", tmp_path)


def test_a_device_is_known_by_its_chain(root: Authority, middle: Authority) -> None:
    """Root and intermediate both vouch for it; its common name is the device id."""
    chain = read_chain(middle.issue_device("dev-1", NOW).chain)
    assert common_name(chain[0]) == "dev-1"
    assert is_issued_by(chain, [root.certificate], NOW)
    assert is_issued_by(chain[:1], [middle.certificate], NOW)
    assert not is_issued_by(chain[:1], [root.certificate], NOW)
    assert not is_issued_by([], [root.certificate], NOW)


def test_a_chain_that_does_not_hold_is_refused(root: Authority, middle: Authority) -> None:
    """Another authority of the same name, a device that issues, certificates out of their time."""
    chain = read_chain(middle.issue_device("dev-1", NOW).chain)
    assert not is_issued_by(chain, [Authority.root("Test root", NOW).certificate], NOW)
    assert not is_issued_by(chain, [root.certificate], NOW + timedelta(days=366))
    assert not is_issued_by(chain, [root.certificate], NOW - timedelta(days=2))
    device = middle.issue_device("dev-1", NOW)
    rogue = Authority.load(device.chain, device.key)
    below = read_chain(rogue.issue_device("dev-2", NOW).chain)
    assert not is_issued_by(below, [root.certificate], NOW)
    assert not is_issued_by(below[:1], [rogue.certificate], NOW)


def test_an_authority_is_loaded_as_it_was(root: Authority, middle: Authority) -> None:
    """What is stored goes on issuing certificates that the root vouches for."""
    again = Authority.load(middle.pem, middle.key_pem)
    assert is_issued_by(read_chain(again.issue_device("d", NOW).chain), [root.certificate], NOW)
    with pytest.raises(WireError):
        Authority.load(b"nothing", middle.key_pem)


def test_thumbprints_are_openssls(root: Authority) -> None:
    """SHA-1 and SHA-256 of the certificate in DER, upper case."""
    sha1, sha256 = thumbprints(root.certificate)
    der = ssl.PEM_cert_to_DER_cert(root.pem.decode())
    assert (sha1, sha256) == (hashlib.sha1(der).hexdigest().upper(), hashlib.sha256(der).hexdigest().upper())
