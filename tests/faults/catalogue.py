"""The fault catalogue: what a case is, and the page that lists them all.

Belongs here: the form of a case, collecting the cases of the modules beside this one, docs/dev/faults.md. A case
itself, and how its fault is brought about, belongs in a test module.

    python -m tests.faults.catalogue > docs/dev/faults.md
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

# in the order of the line; a new module of cases is added here
MODULES = {
    "landing_zone": "Kafka",
    "spark": "Spark",
    "kills": "Killed at a boundary",
    "writers": "Writers and clocks",
    "daemon": "Dagster's daemon",
    "files": "Files and disks",
    "s3": "S3",
}

_HEADER = """# Faults

Made from `tests/faults/` by `python -m tests.faults.catalogue`; change the cases, not this page.

Each case is a test on the real parts. After each the step is run again, and one function checks the lake against what
the simulator says that it sent: every message is there once, gold equals a rebuild of all slices from silver, and one
publication pins a readable version of every gold table. Readers are asked between the fault and the second run, too.
"""

_FOOTER = """## Soak

`make soak MINUTES=30 SEED=7` does such things at random to a lakehouse under load (100 devices at 60 times real time,
all of `up` running): commands and programs killed, the broker paused, two writers at once, backfills, upkeep. Readers
are asked after each; at the end come the checks above, `verify`, and whether memory, processes and files have grown.

2026-11-23, 30 minutes, seed 20261130, two cores: 72 actions, 44 of them kills, no violation. All processes together had
3.4 GB at most (3.1 in the first half) and 875 open files (771), in nine processes at most.

## The hot path

`tests/integration/test_streams_kills.py` has the process of `up --streams` end itself by SIGKILL inside transactions
(results written; offsets sent, too), while one is committed and after one, and the broker stand still for 10 s. That
records lie in an open transaction is asked of the broker after each kill. At the end windows and latest values are
those of what was sent, and no identity was told twice. `python -m tests.support.streams_faults 100` does it a hundred
times, and has the broker stand still for a minute.

## The hub

`tests/integration/hub/test_hub_kills.py` kills the hub at random points of a stream and has its broker stand still.
Devices that speak packet by packet send again, with DUP, what was not acknowledged: each message lies in Kafka once.
For devices of the SDK that set message ids their app sends on after an error of the SDK: none is missing, and only what
the app sent again lies there twice, under one identity, which counts once in silver.
`python -m tests.support.hub_faults 50 100000` does it with 20 devices of the SDK, 50 kills and 100,000 messages.
"""


@dataclass(frozen=True)
class Case:
    """One fault: what is done, what must hold, and the function that does it and shows that it holds."""

    name: str
    injection: str
    holds: str
    prove: Callable[..., None]

    def __str__(self) -> str:
        return self.name.replace(" ", "_")


def by_lake(**cases: Sequence[Case]) -> list[tuple[str, Case]]:
    """Cases with the fixture of the lake that each begins with."""
    return [(lake, case) for lake, ours in cases.items() for case in ours]


def cases() -> Iterator[tuple[str, tuple[Case, ...]]]:
    """The title and the cases of every module."""
    for name, title in MODULES.items():
        module: Any = import_module(f"tests.faults.test_{name}")
        yield title, module.CASES


def faults_markdown() -> str:
    """docs/dev/faults.md."""
    parts = [_HEADER]
    for title, ours in cases():
        rows = "\n".join(f"| {case.name} | {case.injection} | {case.holds} |" for case in ours)
        parts.append(f"## {title}\n\n| case | what is done | what must hold |\n| --- | --- | --- |\n{rows}\n")
    return "\n".join([*parts, _FOOTER])


if __name__ == "__main__":
    print(faults_markdown(), end="")
