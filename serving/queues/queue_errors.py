"""What a queue refuses, by the names that Service Bus's clients know.

Belongs here: conditions and the numbers that answers on `$management` carry. When one is raised is said by the rest of
this package.
"""

from runtime.errors import LakehouseError

NOT_FOUND = "amqp:not-found"
NOT_ALLOWED = "amqp:not-allowed"
UNAUTHORIZED = "amqp:unauthorized-access"
NOT_IMPLEMENTED = "amqp:not-implemented"
LOCK_LOST = "com.microsoft:message-lock-lost"
SESSION_LOST = "com.microsoft:session-lock-lost"
SESSION_TAKEN = "com.microsoft:session-cannot-be-locked"
MESSAGE_NOT_FOUND = "com.microsoft:message-not-found"
TIMEOUT = "com.microsoft:timeout"
ARGUMENT = "com.microsoft:argument-error"
EXISTS = "com.microsoft:entity-already-exists"

_STATUS = {
    NOT_FOUND: 404, MESSAGE_NOT_FOUND: 404, UNAUTHORIZED: 401, NOT_IMPLEMENTED: 501, LOCK_LOST: 410, SESSION_LOST: 410,
    SESSION_TAKEN: 410, TIMEOUT: 408, EXISTS: 409,
}  # fmt: skip


class QueueError(LakehouseError):
    """Something that a queue does not do, by its `condition`."""

    def __init__(self, condition: str, message: str) -> None:
        super().__init__(message)
        self.condition = condition

    @property
    def status(self) -> int:
        """The number of an answer that says it."""
        return _STATUS.get(self.condition, 400)
