"""How a client's connection begins and is kept, as the registry has it.

Belongs here: what one transaction does for a connection that opens, and the subscriptions that outlive it. When that is
done is for `session_table` to say.
"""

from hub.hub_errors import HubCode
from hub.registry.cloud_queue import begin_anew, release
from hub.registry.connections import next_epoch
from hub.registry.database import Tx
from hub.registry.documents_table import add_document, document_of, replace_document
from hub.registry.identities import Identity
from hub.sessions.client_session import Opened

_FILTERS = "mqttSubscriptions"


def open_connection(tx: Tx, identity: Identity, instance: str, model_id: str | None, is_clean: bool) -> Opened:
    """Give the client to `instance`, with what waits for it. Raises HubError when it is not registered."""
    begun = next_epoch(tx, identity.device_id, identity.module_id, instance, model_id)
    filters: dict[str, int] = {}
    if is_clean:
        keep_filters(tx, identity, {})
    else:
        found = document_of(tx, identity.tenant, _FILTERS, _name(identity))
        filters = dict(found.body) if found is not None else {}
    if not identity.module_id:
        # a killed process, or one that has not heard yet, may hold some of its messages
        (release if filters else begin_anew)(tx, identity.device_id)
    return Opened(begun.epoch, begun.previous, begun.since_ms, filters)


def keep_filters(tx: Tx, identity: Identity, filters: dict[str, int]) -> None:
    """The client's subscriptions, for its next connection."""
    found = document_of(tx, identity.tenant, _FILTERS, _name(identity))
    if found is None and filters:
        add_document(tx, identity.tenant, _FILTERS, _name(identity), filters, HubCode.GenericBadRequest)
    elif found is not None and found.body != filters:
        replace_document(tx, identity.tenant, _FILTERS, found, filters, "*")


def _name(identity: Identity) -> str:
    return f"{identity.device_id}/{identity.module_id}/{identity.generation_id}"
