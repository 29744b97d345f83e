"""Every table that does not follow from a device model.

Belongs here: the list.
"""

from lake.tables.bronze import BRONZE_LIFECYCLE, BRONZE_TELEMETRY
from lake.tables.gold import GOLD_TABLES
from lake.tables.ops import OPS_GOLD_FILES, OPS_HOT_RECONCILIATION, OPS_PUBLICATIONS, OPS_VERDICTS
from lake.tables.silver import SILVER_REJECTED, UNSLICED_SILVER

FIXED_TABLES = (
    BRONZE_TELEMETRY,
    BRONZE_LIFECYCLE,
    SILVER_REJECTED,
    *UNSLICED_SILVER,
    *GOLD_TABLES,
    OPS_VERDICTS,
    OPS_PUBLICATIONS,
    OPS_GOLD_FILES,
    OPS_HOT_RECONCILIATION,
)
"""Every table that does not follow from a device model."""
