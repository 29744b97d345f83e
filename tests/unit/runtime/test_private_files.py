"""A home's keys, sockets and its own mode."""

import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from runtime.errors import PlatformError
from runtime.ports import accepts
from runtime.private_files import LONGEST_SOCKET, ensure_home, home_key, is_private, socket_path
from runtime.settings import Settings


def home(folder: Path) -> Settings:
    return Settings(home=folder, lake_uri=str(folder / "lake"))


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_a_home_that_is_made_is_its_users_alone(tmp_path: Path) -> None:
    """Whatever the umask; one that exists keeps its mode."""
    settings = home(tmp_path / "a" / "home")
    ensure_home(settings)
    assert mode(settings.home) == 0o700
    assert is_private(settings.home)
    settings.home.chmod(0o755)
    ensure_home(settings)
    assert mode(settings.home) == 0o755
    assert not is_private(settings.home)


def test_a_home_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    """With what the system says, and what to set."""
    (tmp_path / "file").touch()
    for folder in (Path("/proc/lakehouse"), tmp_path / "file" / "home", tmp_path / ("n" * 300)):
        with pytest.raises(PlatformError, match=rf"^The folder {folder} cannot be made \(.+\): set LAKEHOUSE_HOME"):
            ensure_home(Settings(home=folder, lake_uri=str(folder)))


def test_a_key_is_made_once_and_is_private(tmp_path: Path) -> None:
    """Of several that ask for it at once all get the same; another name has another key."""
    settings = home(tmp_path / "home")
    with ThreadPoolExecutor(8) as pool:
        keys = set(pool.map(lambda _: home_key(settings, "ui"), range(32)))
    assert len(keys) == 1
    assert len(next(iter(keys))) >= 43
    assert home_key(settings, "spark") not in keys
    assert [mode(path) for path in sorted((settings.home / "keys").iterdir())] == [0o600, 0o600]
    assert mode(settings.home / "keys") == 0o700


def test_an_empty_key_opens_nothing(tmp_path: Path) -> None:
    """A file that was cut short is named, rather than taken for a key that everybody has."""
    settings = home(tmp_path / "home")
    home_key(settings, "ui")
    (settings.home / "keys" / "ui").write_text("")
    with pytest.raises(PlatformError, match="is empty"):
        home_key(settings, "ui")


@pytest.mark.parametrize("is_deep", [True, False])
@pytest.mark.parametrize("is_open", [True, False])
def test_a_socket_stands_in_a_private_folder(tmp_path: Path, is_deep: bool, is_open: bool) -> None:
    """In `run/`, or when the path is too long for a socket or others may enter there, in a folder of the user's."""
    settings = home(tmp_path / ("d" * 100 if is_deep else "home"))
    settings.home.mkdir(mode=0o755 if is_open else 0o700)
    settings.run_folder.mkdir(mode=0o755)
    path = socket_path(settings, "runs")
    assert path == socket_path(settings, "runs")
    assert is_private(path.parent) or is_private(path.parent.parent)
    is_long = len(str(settings.run_folder / "runs.socket")) > LONGEST_SOCKET
    assert (path.parent == settings.run_folder) is not (is_open or is_long)
    assert is_long or not is_deep
    assert not accepts(str(path))
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        assert accepts(str(path))
    path.unlink()


def test_a_folder_of_somebody_elses_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Anybody can make a folder of that name first."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    settings = home(tmp_path / ("d" * 100))
    folder = socket_path(settings, "runs").parent
    folder.chmod(0o777)
    with pytest.raises(PlatformError, match="alone"):
        socket_path(settings, "runs")
