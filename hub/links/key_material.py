"""Key material: the hub's own certificate authority and server certificate, as files of the home.

Belongs here: making them when they are missing, renewing them before they end, and noticing that they were changed.
What a certificate is belongs in `wire.certificates`.

The root is what clients trust (`root.pem`); its key signs the intermediate only, which issues for the server and for
devices. A file that is replaced, by `renew` or by an operator, serves connections from then on; open ones stay.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from OpenSSL import SSL

from hub.links.tls_connection import make_context
from runtime.errors import PlatformError, WireError
from runtime.settings import Settings
from runtime.whole_files import write_whole
from wire.certificates import Authority, read_chain

# renewed when a third of its life is left
_SERVER_LEFT, _INTERMEDIATE_LEFT = timedelta(days=30), timedelta(days=120)


@dataclass(frozen=True)
class KeyMaterial:
    """The folder of a hub's keys and certificates."""

    folder: Path

    @property
    def root(self) -> Path:
        """What clients trust."""
        return self.folder / "root.pem"

    @property
    def server(self) -> Path:
        """The server's certificate and the intermediate's."""
        return self.folder / "server.pem"

    @property
    def server_key(self) -> Path:
        """The server's private key."""
        return self.folder / "server.key"

    def device_authority(self) -> Authority:
        """The authority that issues certificates for devices."""
        return self._load("intermediate")

    def trusted_roots(self) -> list[x509.Certificate]:
        """The hub's own root, which vouches for devices that have their certificate from the hub."""
        return read_chain(self.root.read_bytes())

    def ensure(self, hosts: list[str], now: datetime) -> bool:
        """Make what is missing, renew what ends soon; True when the server's certificate was made anew.

        Raises PlatformError when a file cannot be written or used.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            if not self.root.exists():
                self._store("root", Authority.root("Lakehouse hub root", now))
            if self._ends("intermediate.pem", now + _INTERMEDIATE_LEFT):
                made = self._load("root").intermediate("Lakehouse hub authority", now)
                self._store("intermediate", made)
                return self.renew(hosts, now)
            if self._ends("server.pem", now + _SERVER_LEFT) or self._hosts() != sorted(set(hosts)):
                return self.renew(hosts, now)
        except (OSError, WireError, ValueError, x509.ExtensionNotFound) as error:
            raise PlatformError(
                f"The hub's keys in {self.folder} cannot be used ({error}): mend the files, or move the folder away."
            ) from error
        return False

    def renew(self, hosts: list[str], now: datetime) -> bool:
        """A new certificate and key for the server."""
        issued = self._load("intermediate").issue_server(hosts, now)
        # the pair changes in two renames; `contexts` keeps the old pair until both fit
        write_whole(self.server_key, issued.key, mode=0o600, is_synced=True)
        write_whole(self.server, issued.chain, mode=0o644, is_synced=True)
        return True

    def _load(self, name: str) -> Authority:
        certificate, key = self.folder / f"{name}.pem", self.folder / f"{name}.key"
        return Authority.load(certificate.read_bytes(), key.read_bytes())

    def _store(self, name: str, authority: Authority) -> None:
        write_whole(self.folder / f"{name}.key", authority.key_pem, mode=0o600, is_synced=True)
        write_whole(self.folder / f"{name}.pem", authority.pem, mode=0o644, is_synced=True)

    def _ends(self, name: str, moment: datetime) -> bool:
        path = self.folder / name
        return not path.exists() or read_chain(path.read_bytes())[0].not_valid_after_utc < moment

    def _hosts(self) -> list[str]:
        certificate = read_chain(self.server.read_bytes())[0]
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        return sorted({str(name.value) for name in names})


def key_material(settings: Settings) -> KeyMaterial:
    """The keys of this home's hub."""
    return KeyMaterial(settings.home / "hub" / "pki")


class Contexts:
    """The TLS context for new connections, made anew when the server's files change."""

    def __init__(self, material: KeyMaterial) -> None:
        """Raises PlatformError when the files cannot be used."""
        self._material = material
        self._seen = self._stamp()
        try:
            self.current = make_context(material.server, material.server_key)
        except (SSL.Error, OSError) as error:
            raise PlatformError(
                f"The server's certificate {material.server} and its key cannot be used together: give a fitting pair."
            ) from error

    def refresh(self) -> bool:
        """Take changed files in; True when new connections get another certificate from now on.

        Files that do not fit together yet change nothing: they are looked at again at the next call.
        """
        stamp = self._stamp()
        if stamp == self._seen:
            return False
        try:
            self.current = make_context(self._material.server, self._material.server_key)
        except (SSL.Error, OSError):
            return False
        self._seen = stamp
        return True

    def _stamp(self) -> tuple[int, ...]:
        files = (self._material.server, self._material.server_key)
        return tuple(map(_changed_ns, files))


def _changed_ns(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return 0
