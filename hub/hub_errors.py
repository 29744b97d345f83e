"""Errors of the hub's clients, in one table: code, HTTP status, number.

Belongs here: what may go wrong for a client, as Azure IoT Hub numbers it. How an error is written into an answer
belongs in `hub.api`.
Source: Azure IoT Hub error codes, https://learn.microsoft.com/azure/iot-hub/troubleshoot-error-codes.
"""

from enum import Enum

from runtime.errors import LakehouseError


class HubCode(Enum):
    """A refusal: HTTP status and IoT Hub's number; the member's name is the text of `iothub-errorcode`."""

    ArgumentInvalid = (400, 400004)
    IotHubFormatError = (400, 400006)
    InvalidFileUploadCorrelationId = (400, 400015)
    BulkRegistryOperationFailure = (400, 400013)
    GenericBadRequest = (400, 400000)
    IotHubUnauthorizedAccess = (401, 401002)
    IotHubUnauthorized = (401, 401003)
    DeviceMaximumQueueDepthExceeded = (403, 403004)
    DeviceMaximumActiveFileUploadLimitExceeded = (403, 403006)
    JobQuotaExceeded = (403, 403003)
    DeviceNotFound = (404, 404001)
    JobNotFound = (404, 404002)
    ModuleNotFound = (404, 404010)
    ConfigurationNotFound = (404, 404011)
    EnrollmentNotFound = (404, 404201)
    RegistrationNotFound = (404, 404202)
    DigitalTwinNotFound = (404, 404301)
    ModelNotFound = (404, 404302)
    RelationshipNotFound = (404, 404303)
    EventRouteNotFound = (404, 404304)
    ResourceNotFound = (404, 404000)
    DeviceNotOnline = (404, 404103)
    DeviceAlreadyExists = (409, 409001)
    ModuleAlreadyExistsOnDevice = (409, 409301)
    ConfigurationAlreadyExists = (409, 409006)
    JobAlreadyExists = (409, 409002)
    EnrollmentConflict = (409, 409204)
    ModelIdAlreadyExists = (409, 409302)
    ModelReferencesNotDeleted = (400, 400303)
    RelationshipsNotDeleted = (400, 400304)
    PreconditionFailed = (412, 412001)
    DeviceMessageLockLost = (412, 412002)
    MessageTooLarge = (413, 413001)
    TooManyDevices = (413, 413002)
    ThrottlingException = (429, 429001)
    ServerError = (500, 500001)
    DeviceTimeout = (504, 504101)

    @property
    def status(self) -> int:
        """The HTTP status of the answer."""
        return int(self.value[0])

    @property
    def number(self) -> int:
        """IoT Hub's number for it."""
        return int(self.value[1])


class HubError(LakehouseError):
    """A client's wish that is refused; `code` says why in one word, the message in a sentence."""

    def __init__(self, code: HubCode, message: str) -> None:
        super().__init__(message)
        self.code = code
