"""The soak: random faults on a lakehouse under load, from a seed, and the invariants at the end.

Belongs here: which faults, the load, what is measured meanwhile and what ends a soak. The fault catalogue shows one
fault at a time at a chosen moment; this one chooses neither. `make soak MINUTES=30 SEED=7`, or

    python -m tests.support.soak MINUTES [SEED]
"""

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from dagster_project.runs.instance import open_instance
from dagster_project.runs.under_way import run_processes
from runtime.ports import free_port
from runtime.process_family import ask_each, kill_all, processes_of
from runtime.processes import find
from runtime.settings import Settings
from tests.faults.invariants import Invariants

_COMMAND = [sys.executable, "-c", "import sys; from lakehouse.cli import main; sys.exit(main())"]
_DEVICES = 100
_SPEED = 60  # an hour of device time a minute
_LIMIT_S = 900
_ENOUGH = 8
_SUMS = """SELECT (SELECT sum(reading_count) FROM gold.device_minutes)
    IS NOT DISTINCT FROM (SELECT sum(reading_count) FROM gold.device_hours) AS meets"""
# what a command may say that found another one writing, a broker that stands still, or nothing yet
_EXPECTED = ("Another process is writing", "does not answer", "did not answer",
             "Nothing has been published")  # fmt: skip
_RUN_AWAITED_S = 90  # the daemon asks for a refresh while messages wait


class ViolationError(AssertionError):
    """What must hold did not."""


@dataclass(frozen=True)
class Sample:
    """What all processes of the home have together, at a moment."""

    memory_mb: int
    processes: int
    open_files: int
    work_files: int


@dataclass
class Soak:
    """A lakehouse of its own, its load, and chance."""

    home: Path
    minutes: float
    seed: int
    chance: random.Random = field(init=False)
    samples: list[Sample] = field(default_factory=list)
    began: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self.chance = random.Random(self.seed)
        self.settings = Settings(home=self.home, lake_uri=str(self.home / "lake"))
        ours = {name: value for name, value in os.environ.items() if not name.startswith("LAKEHOUSE_")}
        self.environment = ours | {"LAKEHOUSE_HOME": str(self.home), "LAKEHOUSE_UI_PORT": str(free_port())}

    def start(self, *arguments: str) -> "subprocess.Popen[str]":
        """Begin a command, in a session of its own so that it can be killed with all that it started."""
        return subprocess.Popen(
            [*_COMMAND, *arguments], env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def end(self, process: "subprocess.Popen[str]", may_fail: bool = False) -> str:
        """Wait for a command; whatever it says is to be a sentence of ours."""
        out, err = process.communicate(timeout=_LIMIT_S)
        arguments = " ".join(map(str, list(process.args)[3:]))  # type: ignore[arg-type]
        if "Traceback" in err or "defect of lakehouse" in err:
            raise ViolationError(f"lakehouse {arguments} ended with a defect:\n{err}")
        if process.returncode not in (0, 3) and not may_fail and not any(words in err for words in _EXPECTED):
            raise ViolationError(f"lakehouse {arguments} ended with {process.returncode}:\n{out}{err}")
        return out

    def run(self, *arguments: str, may_fail: bool = False) -> str:
        """A command to its end."""
        return self.end(self.start(*arguments), may_fail)

    def killed(self, *arguments: str) -> None:
        """A command that is killed at a moment that chance chooses, unless it has ended by then."""
        process = self.start(*arguments)
        with suppress(subprocess.TimeoutExpired):
            process.wait(self.chance.uniform(0.5, 20))
        process.kill()
        process.communicate()

    def kill_program(self, name: str) -> None:
        """SIGKILL to a program of `up`, which is then started again."""
        record = find(self.settings, name)
        if record is not None:
            os.kill(record.pid, signal.SIGKILL)
        self.run("up", "--detach")

    def pause_broker(self) -> None:
        """The broker says nothing for a while, amid a tick, which waits or says so; the next one goes on."""
        record = find(self.settings, "broker")
        tick = self.start("ingest")
        if record is not None:
            os.kill(record.pid, signal.SIGSTOP)
            time.sleep(self.chance.choice((5, 15, 60)))
            os.kill(record.pid, signal.SIGCONT)
        self.end(tick)
        self.run("ingest")

    def kill_a_run(self) -> None:
        """SIGKILL to the next run that Dagster's daemon starts."""
        deadline = time.monotonic() + _RUN_AWAITED_S
        while time.monotonic() < deadline:
            with open_instance(self.settings) as instance:
                found = run_processes(instance)
            if found:
                time.sleep(self.chance.uniform(0, 10))
                kill_all(found[:1])
                return
            time.sleep(0.2)
        raise ViolationError(f"Dagster's daemon has started no run in {_RUN_AWAITED_S} s under load")

    def two_at_once(self) -> None:
        """Two refreshes; one waits for the other or is refused."""
        both = [self.start("refresh"), self.start("refresh")]
        for process in both:
            self.end(process)

    def backfill(self) -> None:
        """Some hours anew."""
        first = datetime.now(UTC) - timedelta(hours=self.chance.randint(1, 1 + int(self.minutes)))
        last = first + timedelta(hours=self.chance.randint(0, 2))
        self.run("backfill", "--from", f"{first:%Y-%m-%dT%H}", "--to", f"{last:%Y-%m-%dT%H}")

    def actions(self) -> Sequence[tuple[str, Callable[[], object]]]:
        """What chance chooses from."""
        kill_names = ("spark", "broker", "daemon", "code-server", "run-server")
        kill_commands = ("ingest", "refresh", "upkeep")
        return (
            ("ingest", lambda: self.run("ingest")),
            ("refresh", lambda: self.run("refresh")),
            ("backfill", self.backfill),
            ("upkeep", lambda: self.run("upkeep")),
            ("two refreshes at once", self.two_at_once),
            ("the broker paused in a tick", self.pause_broker),
            ("a run of the daemon killed", self.kill_a_run),
            *((f"{name} killed amid its work", lambda name=name: self.killed(name)) for name in kill_commands),
            *((f"{name} killed", lambda name=name: self.kill_program(name)) for name in kill_names),
        )

    def sample(self) -> Sample:
        """Look at all of them, and say what is there."""
        used = ask_each(processes_of(self.home), lambda each: (each.memory_info().rss, each.num_fds())).values()
        memory, files = sum(each[0] for each in used), sum(each[1] for each in used)
        work = sum(1 for path in self.settings.work_folder.rglob("*") if path.is_file())
        self.samples.append(Sample(memory // 2**20, len(used), files, work))
        return self.samples[-1]

    def check_readers(self) -> None:
        """Two tables of one publication count the same readings."""
        answer = self.run("sql", "--format", "json", _SUMS)
        if answer and not json.loads(answer)[0]["meets"]:
            raise ViolationError("readers see minutes and hours that differ")

    def finish(self, simulator: "subprocess.Popen[bytes]") -> None:
        """Come to rest, and hold the lake against what was sent."""
        self.run("up", "--detach")
        if simulator.wait(_LIMIT_S):
            raise ViolationError(f"the simulator failed: {(self.home / 'simulate.log').read_text()[-500:]}")
        (manifest,) = (self.home / "manifests").glob("*.json")
        self.run("refresh")
        Invariants(self.home / "rebuilt").hold(self.settings, manifest)
        verified = self.run("verify", may_fail=True)
        print(verified)
        if "row by row and byte by byte" not in verified:
            raise ViolationError("the newest publication is not what bronze gives")
        self.run("down")
        left = processes_of(self.home)
        if left:
            raise ViolationError(f"`down` has left {left}")

    def check_flatness(self) -> None:
        """The second half takes no more than the first: what leaks in minutes would fill a machine in a month."""
        half = len(self.samples) // 2
        if half < _ENOUGH:
            print(f"{len(self.samples)} samples are too few to tell what grows")
            return
        early, late = self.samples[half // 4 : half], self.samples[half:]
        for name, slack in (("memory_mb", 400), ("processes", 8), ("open_files", 300), ("work_files", 60)):
            first, second = (max(getattr(each, name) for each in part) for part in (early, late))
            print(f"most {name.replace('_', ' ')}: {first:,} in the first half, {second:,} in the second")
            if second > first * 1.2 + slack:
                raise ViolationError(f"{name} has grown from {first:,} to {second:,}")


def soak(home: Path, minutes: float, seed: int) -> None:
    """Run one. Raises AssertionError for what must hold and did not."""
    it = Soak(home, minutes, seed)
    print(f"soak of {minutes:g} minutes, seed {seed}, in {home}", flush=True)
    it.run("up", "--detach")
    start = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=int(minutes) + 2)
    faults = home / "faults.json"
    faults.write_text(it.run("simulate", "--print-faults"))
    options = {"--devices": _DEVICES, "--hours": minutes * _SPEED / 60, "--seed": seed, "--start": start.isoformat(),
               "--speed": _SPEED, "--faults": faults}  # fmt: skip
    words = [str(word) for option in options.items() for word in option]
    with (home / "simulate.log").open("w") as log:  # a pipe that nobody reads would stop it
        simulator = subprocess.Popen([*_COMMAND, "simulate", *words], env=it.environment, stdout=log, stderr=log)
    try:
        while time.monotonic() - it.began < minutes * 60:
            name, action = it.chance.choice(it.actions())
            action()
            it.check_readers()
            seen = it.sample()
            print(
                f"{time.monotonic() - it.began:6.0f} s  {name:<32} {seen.memory_mb:>6,} MB  {seen.processes:>3} "
                f"processes  {seen.open_files:>5,} open files  {seen.work_files:>4} work files",
                flush=True,
            )
        it.finish(simulator)
        it.check_flatness()
    finally:
        simulator.kill()
        simulator.wait()
        it.run("down", may_fail=True)
    print(f"seed {seed}: {len(it.samples)} actions in {minutes:g} minutes, no violation", flush=True)


def main(arguments: Sequence[str]) -> int:
    """`python -m tests.support.soak MINUTES [SEED]`; the home of one that failed stays, to be looked at."""
    minutes = float(arguments[0]) if arguments else 30.0
    seed = int(arguments[1]) if len(arguments) > 1 else random.SystemRandom().randrange(1_000_000)
    home = Path(tempfile.mkdtemp(prefix="lakehouse-soak-"))
    try:
        soak(home, minutes, seed)
    except AssertionError as error:
        print(f"VIOLATION with seed {seed} (make soak MINUTES={minutes:g} SEED={seed}), home {home}: {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
