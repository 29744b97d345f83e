"""The registry as the hub's sessions and routes use it.

Belongs here: one object that opens the database, caches what every connection asks, and names the transactions of this
package. Rules belong in the modules that it calls.
"""

import threading
from collections.abc import Callable, Collection
from concurrent.futures import Future
from datetime import UTC, datetime
from functools import partial
from typing import TypeVar

from hub.registry import cloud_queue, connections, tenants, twins
from hub.registry.change_feed import MISSED, Change, ChangeFeed, Subscriber
from hub.registry.cloud_queue import CloudMessage, FeedbackBatch
from hub.registry.connections import Opened
from hub.registry.database import Database, Work
from hub.registry.identities import Identity, find
from hub.registry.tenants import DEFAULT_TENANT, KEYS_CHANGED, Policy, add_tenant, policies_named

T = TypeVar("T")


def utc_now() -> datetime:
    """The machine's clock."""
    return datetime.now(UTC)


class Registry:
    """The registry at a database's url; from any thread. Futures end when the change is on disk.

    Raises PlatformError when it cannot be opened. Reads and writes raise HubError for what a client may not do.
    """

    def __init__(self, url: str, clock: Callable[[], datetime] = utc_now) -> None:
        self.clock = clock
        self._wake: Callable[[], None] = lambda: None
        self._outbox_wake: Callable[[], None] = lambda: None
        self.database = Database(url, clock, self._committed)
        self._feed = ChangeFeed(self.database)
        self._wake = self._feed.wake
        self._devices: dict[str, dict[str, Identity]] = {}
        self._devices_lock = threading.Lock()
        self._changes_seen = 0
        self.keys_changed_count = 0
        self._feed.subscribe(self._forget)
        self.database.write(lambda tx: add_tenant(tx, DEFAULT_TENANT)).result()

    def close(self) -> None:
        """Commit what was given so far and end."""
        self._feed.close()
        self.database.close()

    def read(self, work: Work[T]) -> T:
        """Run `work` on what is committed."""
        return self.database.read(work)

    def write(self, work: Work[T]) -> Future[T]:
        """Have `work` committed."""
        return self.database.write(work)

    def subscribe(self, subscriber: Subscriber) -> None:
        """Have changes told, from every process, in the feed's thread."""
        self._feed.subscribe(subscriber)

    def on_commit(self, wake: Callable[[], None]) -> None:
        """Have `wake` called after each commit here: the outbox may hold something."""
        self._outbox_wake = wake

    def device(self, device_id: str, module_id: str = "") -> Identity | None:
        """The identity, from memory where nothing changed it."""
        known = self._devices.get(device_id, {}).get(module_id)
        if known is not None:
            return known
        seen = self._changes_seen
        found = self.read(lambda tx: find(tx, device_id, module_id))
        # an unknown id is not kept: whoever guesses ids would fill the memory
        if found is not None:
            with self._devices_lock:
                if seen == self._changes_seen:
                    self._devices.setdefault(device_id, {})[module_id] = found
        return found

    def policy_keys(self, name: str) -> list[Policy]:
        """The policies of that name, one a tenant."""
        return self.read(lambda tx: policies_named(tx, name))

    def twin(self, device_id: str, module_id: str = "") -> twins.Twin:
        """The twin as committed."""
        return self.read(lambda tx: twins.twin_of(tx, device_id, module_id))

    def patch_reported(self, device_id: str, module_id: str, patch: twins.Json) -> Future[int]:
        """Merge what a device reports; the new version."""
        return self.write(lambda tx: twins.patch_reported(tx, device_id, module_id, patch))

    def next_epoch(self, device_id: str, module_id: str, instance: str, model_id: str | None) -> Future[Opened]:
        """Give the device to this hub process."""
        return self.write(lambda tx: connections.next_epoch(tx, device_id, module_id, instance, model_id))

    def disconnected(self, device_id: str, module_id: str, epoch: int, landed_since_ms: int | None) -> Future[None]:
        """The connection of that epoch ended; from when on its messages lie in Kafka, None when none do."""
        return self.write(lambda tx: connections.disconnected(tx, device_id, module_id, epoch, landed_since_ms))

    def beat(self, instance: str, low_water_ms: int, gone: Collection[str] = ()) -> Future[dict[str, int]]:
        """This hub process lives, and those do not; how often each has beaten."""
        return self.write(lambda tx: connections.beat(tx, instance, low_water_ms, gone))

    def hold_again(self, device_id: str, module_id: str, epoch: int) -> Future[None]:
        """The connection of that epoch goes on, though others took this hub process for gone."""
        return self.write(lambda tx: connections.hold_again(tx, device_id, module_id, epoch))

    def authorities(self, tenant: str) -> list[bytes]:
        """Certificates in PEM whose holders vouch for devices of the tenant."""
        return self.read(lambda tx: tenants.authorities_of(tx, tenant))

    def tenant_of_scope(self, scope: str) -> str | None:
        """The tenant whose id scope it is."""
        return self.read(lambda tx: tenants.tenant_of_scope(tx, scope))

    def enqueue_cloud_message(self, message: CloudMessage) -> Future[CloudMessage]:
        """Queue a message for a device."""
        return self.write(lambda tx: cloud_queue.enqueue(tx, message))

    def take_cloud_message(self, device_id: str) -> Future[CloudMessage | None]:
        """The oldest message that nobody holds, locked."""
        return self.write(lambda tx: cloud_queue.take(tx, device_id))

    def complete_cloud_message(self, device_id: str, lock_token: str) -> Future[None]:
        """The device has the message."""
        return self.write(lambda tx: cloud_queue.complete(tx, device_id, lock_token))

    def reject_cloud_message(self, device_id: str, lock_token: str) -> Future[None]:
        """The device can never have the message."""
        return self.write(lambda tx: cloud_queue.reject(tx, device_id, lock_token))

    def release_cloud_messages(self, device_id: str, tokens: Collection[str]) -> Future[None]:
        """The connection is gone: what it held by these locks waits again."""
        return self.write(partial(cloud_queue.release, device_id=device_id, tokens=tokens))

    def put_back_cloud_message(self, message: CloudMessage) -> Future[None]:
        """The message was not sent: it waits again."""
        return self.write(lambda tx: cloud_queue.put_back(tx, message))

    def take_feedback(self, tenant: str) -> Future[FeedbackBatch | None]:
        """Feedback records that nobody holds, locked."""
        return self.write(partial(cloud_queue.take_feedback, tenant=tenant))

    def complete_feedback(self, tenant: str, lock_token: str) -> Future[None]:
        """The service has the feedback."""
        return self.write(lambda tx: cloud_queue.complete_feedback(tx, tenant, lock_token))

    def abandon_feedback(self, tenant: str, lock_token: str) -> Future[None]:
        """The service gives the feedback back."""
        return self.write(lambda tx: cloud_queue.abandon_feedback(tx, tenant, lock_token))

    def _committed(self) -> None:
        self._wake()
        self._outbox_wake()

    def _forget(self, change: Change) -> None:
        if change.kind in (KEYS_CHANGED, MISSED):
            self.keys_changed_count += 1
        if change.kind in ("identity", MISSED):
            with self._devices_lock:
                self._changes_seen += 1
                if change.kind == MISSED:
                    self._devices.clear()
                self._devices.pop(change.device_id, None)
