"""Model changes: hours of days that are built again, when a model is another than when they were published.

Belongs here: which they are. A changed quality file makes nothing stale by itself: new figures follow it, and old ones
when somebody backfills. But a day adds its hours up, and would be held if some of them knew a telemetry as a counter
and others did not; so the days amid which a model changes are built by one.
"""

from collections.abc import Collection, Mapping
from datetime import date, timedelta

from lake.models.catalog import Model
from lake.records.publications import Publication
from lake.slices import day_of


def hours_of_other_models(
    models: Mapping[str, Model], publication: Publication, changed: Collection[str], known: Collection[str]
) -> set[str]:
    """Of the `known` hours those on the dates of `changed` ones, or next to them as local days may be, when a model
    is another than in the newest publication.

    Only the newest one is asked: all of them may be thousands of files. So an earlier day, of which something comes
    late, is held until it is backfilled.
    """
    if not any(publication.models.get(each.model_id, each.digest) != each.digest for each in models.values()):
        return set()
    dates = {date.fromisoformat(day_of(hour)) for hour in changed}
    near = {str(each + timedelta(days=days)) for each in dates for days in (-1, 0, 1)}
    held = {str(each["slice"]) for each in publication.held}
    return {hour for hour in known if day_of(hour) in near} - held - set(changed)
