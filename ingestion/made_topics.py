"""Which topics this home has made, and may therefore change.

Belongs here: the record of them. What is done with a topic that another one made is in `landing_topics`: nothing.

The rule: a topic is the home's own when it lies in the home's embedded broker, or when Kafka's id of it stands in the
file `topics.json` of the home, which is written when this program has created it. A topic of the same name that
somebody made later has another id. A broker too old to give ids has no topics of ours.
"""

import json
from dataclasses import dataclass
from pathlib import Path

from runtime.settings import Settings
from runtime.whole_files import write_whole


@dataclass(frozen=True)
class MadeTopics:
    """The home's own topics: all of its embedded broker, or those whose ids the file at `record` has."""

    record: Path | None = None
    are_all: bool = False

    def has(self, topic_id: str | None) -> bool:
        """True for a topic that may be changed."""
        return self.are_all or (topic_id is not None and topic_id in self._known())

    def remember(self, name: str, topic_id: str | None) -> None:
        """Note a topic that was just created; the file is replaced as a whole."""
        if self.record is None or topic_id is None:
            return
        self.record.parent.mkdir(parents=True, exist_ok=True)
        write_whole(self.record, json.dumps(self._known() | {topic_id: name}, indent=2))

    def _known(self) -> dict[str, str]:
        if self.record is None or not self.record.exists():
            return {}
        known: dict[str, str] = json.loads(self.record.read_text())
        return known


NOBODYS = MadeTopics()
"""Whoever asks so may create topics that are missing, and change none."""


def made_by(settings: Settings) -> MadeTopics:
    """The topics of the home of `settings`."""
    return MadeTopics(settings.home / "topics.json", are_all=settings.kafka_address is None)
