"""Jars: what is declared, and when nothing is to be done."""

from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import NameOID

from runtime.java import jars


@pytest.fixture(autouse=True)
def _own_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.prefix", str(tmp_path))


def _resolved(kind: jars.Kind) -> Path:
    folder = jars.jar_folder(kind)
    folder.mkdir(parents=True)
    (folder / jars.MARKER).write_text(jars.fingerprint(kind))
    return folder


def _refuse(line: str) -> None:
    raise AssertionError(f"nothing was to be fetched: {line}")


def test_resolved_jars_are_not_fetched_again(tmp_path: Path) -> None:
    """A second call does nothing, and says nothing; the jars lie inside the virtual environment."""
    folder = _resolved("kafka")
    assert jars.ensure("kafka", _refuse) == folder
    assert folder.is_relative_to(tmp_path)


def test_other_versions_count_as_missing() -> None:
    """After an upgrade of what is declared, the jars of the version before are not taken for the new ones."""
    folder = _resolved("kafka")
    marker = folder / jars.MARKER
    assert jars.is_complete("kafka")
    marker.write_text(marker.read_text().replace("4.4.0", "4.3.0"))
    assert not jars.is_complete("kafka")


def test_sparks_jars_follow_the_installed_packages() -> None:
    """The Delta jar has the version of the Python package, for the Spark and Scala of pyspark."""
    line = ".".join(version("pyspark").split(".")[:2])
    delta = jars.wanted("spark").artifacts[0]
    assert (delta.name, delta.revision) == (f"delta-spark_{line}_2.13", version("delta-spark"))


@pytest.mark.parametrize(
    ("output", "sentence"),
    [
        ("UnknownHostException: example", "cannot be reached"),
        ("SSLHandshakeException: PKIX path building failed: sun…", "signed by an unknown authority"),
        ("java.net.ConnectException: Connection refused", "cannot be reached"),
        ("java.io.IOException: No space left on device", "do not fit on the disk"),
        ("unresolved dependency: a#b;1", "could not be resolved"),
    ],
)
def test_failure_of_ivy_is_one_sentence(output: str, sentence: str) -> None:
    """No network, a full disk and a wrong version are told apart."""
    message = jars.explain("spark", [":: resolving", output], Path("ivy.log"))
    assert sentence in message
    assert "\n" not in message


def test_a_network_s_own_certificate_gets_into_the_trust_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What SSL_CERT_FILE names is trusted by Java too: the store holds that certificate."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "The company's proxy")])
    day = datetime(2026, 1, 1, tzinfo=UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(7).not_valid_before(day).not_valid_after(day + timedelta(days=9000))
    certificate = builder.add_extension(x509.BasicConstraints(True, None), True).sign(key, hashes.SHA256())
    bundle = tmp_path / "bundle.pem"
    bundle.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    monkeypatch.setenv("SSL_CERT_FILE", str(bundle))
    options = jars.write_truststore(tmp_path / "trusted.p12")
    password = options[1].partition("=")[2].encode()
    store = pkcs12.load_pkcs12((tmp_path / "trusted.p12").read_bytes(), password)
    assert certificate in [each.certificate for each in store.additional_certs]
