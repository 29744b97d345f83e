"""The lease's holder: what a writer says of itself, and whether it still lives.

Belongs here: telling a dead holder from a living one, where it can be seen and where only its silence tells. Taking and
keeping the lease is in `lease`.

Only where machine, boot and namespaces are the same does a process number say anything. A holder anywhere else is
judged by time, and by the watcher's own clock: two machines' clocks, or one that is set, may be hours apart. So such a
holder is dead when its file was watched and did not change for longer than a living one may stay silent.
"""

import json
import platform
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields

from runtime.process_ids import ProcessId


@dataclass(frozen=True)
class Pace:
    """How often a holder says that it lives, and after how much silence it counts as dead, in seconds."""

    renew_s: float = 20.0
    dead_after_s: float = 120.0


PACE = Pace()


@dataclass(frozen=True)
class Holder:
    """Who holds the lease, for what, since when (seconds since 1970), and the Spark sessions that it had then.

    The place of `process` is empty when the holder did not know its own; `folder_id` tells the lake from a copy of it.
    `home` is its lakehouse's, which has the key to these sessions.
    """

    host: str
    process: ProcessId
    purpose: str
    taken_at: float
    renewed_at: float
    released: bool = False
    sessions: tuple[str, ...] = ()
    folder_id: int = 0
    home: str = ""

    @property
    def is_here(self) -> bool:
        """True when this process would see the holder's process."""
        return bool(self.process.place) and self.process.is_here

    def is_seen_dead(self, folder_id: int) -> bool:
        """True when the holder has given the lease back, or can be seen to be gone.

        Of a holder that is not here that is never said. The lease of the lake of which this is a copy, is not ours.
        """
        if self.released:
            return True
        if not self.is_here:
            return False
        if 0 != self.folder_id != folder_id:
            return True
        return not self.process.is_alive()

    def seems_silent(self, pace: Pace = PACE) -> bool:
        """True when its stamp is far from the clock here: a reason to watch it, and no proof."""
        return abs(time.time() - self.renewed_at) > pace.dead_after_s

    def to_json(self) -> str:
        """The text of its file."""
        values = asdict(self)
        process = values.pop("process")
        return json.dumps(
            {"pid": process["pid"], "process_started_at": process["started_s"], "place": process["place"], **values}
        )

    def __str__(self) -> str:
        since = time.strftime("%H:%M:%S UTC", time.gmtime(self.taken_at))
        elsewhere = "" if self.is_here else ", on another machine or in another container"
        return f"process {self.process.pid} on {self.host} ({self.purpose}, since {since}{elsewhere})"


def this_process(purpose: str, sessions: tuple[str, ...], folder_id: int, home: str) -> Holder:
    """This process as a holder."""
    now = time.time()
    return Holder(
        host=platform.node(),
        process=ProcessId.of(),
        purpose=purpose,
        taken_at=now,
        renewed_at=now,
        sessions=sessions,
        folder_id=folder_id,
        home=home,
    )


def parse(text: str) -> Holder:
    """The holder of a file; one that says more than is known here is read, of a damaged one only time can tell."""
    try:
        values = json.loads(text)
        process = ProcessId(values["pid"], values["process_started_at"], values.get("place", ""))
        known = {name: value for name, value in values.items() if name in {each.name for each in fields(Holder)}}
        return Holder(**known | {"process": process, "sessions": tuple(known.get("sessions", ()))})
    except (ValueError, TypeError, KeyError, AttributeError):
        return Holder("an unknown machine", ProcessId(0, 0.0, ""), "its lease cannot be read", 0.0, 0.0)


@dataclass
class Watch:
    """What one process sees of a holder's file over time; `clock` counts seconds and is never set."""

    pace: Pace
    clock: Callable[[], float] = time.monotonic
    has_changed: bool = False
    """True when the file was seen to change: the holder lived then."""
    _seen: tuple[str, str] | None = None
    _since: float = field(default=0.0)

    def is_silent(self, name: str, text: str) -> bool:
        """True when this very text has been looked at for as long as a living holder may stay silent."""
        if (name, text) != self._seen:
            self.has_changed = self._seen is not None
            self._seen, self._since = (name, text), self.clock()
        return self.clock() - self._since > self.pace.dead_after_s
