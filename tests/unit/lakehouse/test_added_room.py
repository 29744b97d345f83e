"""A room that is added to the one list has its programs in `up`, `status` and `down`, and its checks in `doctor`."""

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lakehouse.cli import rooms
from lakehouse.cli.main import run
from runtime.ports import accepts

PROGRAMS = """
from runtime.ports import accepts, free_port
from runtime.programs import Option, Program, spawn_python

def serve(name):
    def start(settings, chosen):
        port = free_port()
        arguments = ["-m", "http.server", "--bind", "127.0.0.1", str(port)]
        return spawn_python(settings, name, arguments, f"127.0.0.1:{port}")
    return start

def listens(settings, record):
    return accepts(record.address)

PROGRAMS = (
    Program("lamp", "Greenhouse lamp", serve("lamp"), listens, uses=("heater",), chosen_by="lamps",
            options=(Option("lamps", "Light, too."), Option("watts", "How bright.", int, default=60, least=1)),
            addresses=lambda settings, address: {"light": address, "dark": f"not {address}"}),
    Program("heater", "Greenhouse heater", serve("heater"), listens),
    Program("sun", "The sun", serve("sun"), elsewhere=lambda settings: "sky:1"),
)
"""
CHECKS = """
from runtime.findings import Finding

CHECKS = (lambda settings: Finding("glass", False, "a pane is broken", "Put in another one."),)
"""


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A home of its own, and a room `greenhouse` as the one line of the list."""
    room = tmp_path / "greenhouse"
    room.mkdir()
    for name, text in (("__init__", ""), ("programs", PROGRAMS), ("checks", CHECKS)):
        (room / f"{name}.py").write_text(text)
    for variable in [name for name in os.environ if name.startswith("LAKEHOUSE_")]:
        monkeypatch.delenv(variable)
    monkeypatch.setenv("LAKEHOUSE_HOME", str(tmp_path / "home"))
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(rooms, "ROOMS", ("greenhouse",))
    yield tmp_path / "home"
    run(["down"])
    for module in [name for name in sys.modules if name.startswith("greenhouse")]:
        del sys.modules[module]


def status(capsys: pytest.CaptureFixture[str]) -> dict[str, object]:
    """What `status --json` says of programs."""
    assert run(["status", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    return {"running": sorted(each["name"] for each in found["running"]), "addresses": found["addresses"]}


def test_its_programs_are_started_shown_and_stopped(capsys: pytest.CaptureFixture[str]) -> None:
    """`up` starts what is always wanted, and what its flag asks for after what that uses; `down` in the other order."""
    assert run(["up", "--detach"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("Starting Greenhouse heater …\nAll of it answers")
    heater = dict(line.strip().rsplit(maxsplit=1) for line in said.splitlines() if line.startswith("  "))
    assert heater["The sun"] == "sky:1"
    assert status(capsys) == {
        "running": ["heater"], "addresses": {"heater": heater["Greenhouse heater"], "sun": "sky:1"},
    }  # fmt: skip

    assert run(["up", "--detach", "--lamps", "--watts", "5"]) == 0
    assert capsys.readouterr().out.startswith("Starting Greenhouse lamp …\n")
    running = status(capsys)
    assert running["running"] == ["heater", "lamp"]
    addresses = running["addresses"]
    assert isinstance(addresses, dict)
    assert accepts(addresses["light"])
    assert set(addresses) == {"light", "dark", "heater", "sun"}

    assert run(["down"]) == 0
    assert capsys.readouterr().out == "Stopped: lamp, heater.\n"
    assert status(capsys) == {"running": [], "addresses": {"sun": "sky:1"}}


def test_its_options_are_the_command_s(capsys: pytest.CaptureFixture[str]) -> None:
    """Help lists them, and a value outside its bounds is refused."""
    assert run(["up", "--help"]) == 0
    said = capsys.readouterr().out
    assert "--lamps " in said
    assert "How bright. [default: 60; x>=1]" in " ".join(said.split())
    assert "--simulate " not in said.partition("Options")[2]
    assert run(["up", "--watts", "0"]) == 2


def test_its_checks_are_the_doctor_s(capsys: pytest.CaptureFixture[str]) -> None:
    """What is wrong with it is found beside all else, and said with what to do."""
    assert run(["doctor", "--json"]) == 1
    assert json.loads(capsys.readouterr().out) == [
        {"name": "glass", "is_ok": False, "found": "a pane is broken", "advice": "Put in another one."}
    ]
