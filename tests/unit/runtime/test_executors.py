"""What the driver's log says of a cluster's executors."""

from dataclasses import replace

import pytest

from runtime.spark.executors import Executors, executors_in

TAKEN = "26/11/29 01:00:00 INFO StandaloneSchedulerBackend: Connected to Spark cluster with app ID app-1\n"
GIVEN = (
    "26/11/29 01:00:00 INFO StandaloneSchedulerBackend: Granted executor ID app-20261129010000-0000/{0} on hostPort "
    "198.18.0.{0}:7078 with 1 core(s), 1024.0 MiB RAM\n"
)
CAME = (
    "26/11/29 01:00:04 INFO StandaloneSchedulerBackend$StandaloneDriverEndpoint: Registered executor "
    "NettyRpcEndpointRef(spark-client://Executor) (198.18.0.{0}:41234) with ID {0},  ResourceProfileId 0\n"
)
WENT = "26/11/29 01:00:09 INFO StandaloneSchedulerBackend: Executor app-20261129010000-0000/{0} removed: {1}\n"
LOST = "26/11/29 01:02:09 ERROR TaskSchedulerImpl: Lost executor {0} on 198.18.0.{0}: Executor heartbeat timed out\n"
ENDED, WITH_WORKER = "Command exited with code 1", "worker lost: Not receiving heartbeat for 60 seconds"
ONE, TWO = ("198.18.0.1",), ("198.18.0.2",)


@pytest.mark.parametrize(
    ("log", "found"),
    [
        ("", Executors()),
        (GIVEN.format(1), Executors(silent=ONE)),
        (GIVEN.format(1) + WENT.format(1, ENDED) + GIVEN.format(2), Executors(silent=ONE + TWO)),
        (GIVEN.format(1) + WENT.format(1, WITH_WORKER), Executors()),
        (GIVEN.format(1) + CAME.format(1) + GIVEN.format(2), Executors(reaching=ONE, silent=TWO)),
        (GIVEN.format(1) + CAME.format(1) + WENT.format(1, ENDED), Executors()),
        (GIVEN.format(1) + CAME.format(1) + LOST.format(1) + GIVEN.format(2), Executors(silent=TWO)),
    ],
)
def test_executors_are_told_from_those_that_never_came(log: str, found: Executors) -> None:
    """Started, come and gone are three things; what ends before it comes is started again by the cluster."""
    assert executors_in(log) == found
    assert executors_in(TAKEN + log) == replace(found, is_known=True)
