"""Programs are started after what they use, and stopped before it."""

from graphlib import CycleError

import pytest

from lakehouse.cli.rooms import all_programs
from runtime.programs import Program, waves, waves_to_stop


def program(name: str, *uses: str) -> Program:
    """A program that is never started."""
    return Program(name, name, lambda settings, chosen: pytest.fail("started"), uses=uses)


def names(programs: list[list[Program]]) -> list[list[str]]:
    """Their names, wave by wave."""
    return [[each.name for each in wave] for wave in programs]


def test_what_is_used_comes_first_and_goes_last() -> None:
    """Both orders follow from `uses`; what is not among them is no matter, and in a wave the list's order stays."""
    listed = [program("ui", "code"), program("spark"), program("code"), program("daemon", "code", "spark", "absent")]
    assert names(list(waves(listed))) == [["spark", "code"], ["ui", "daemon"]]
    assert names(list(waves_to_stop(listed))) == [["ui", "daemon"], ["spark", "code"]]


def test_programs_that_use_each_other_are_a_defect() -> None:
    """Nobody could be started first."""
    with pytest.raises(CycleError):
        list(waves([program("a", "b"), program("b", "a")]))


def test_the_project_s_own_programs_go_in_this_order() -> None:
    """Dagster's code, which takes longest to load, first; runs begin when Kafka and Spark are there, and end first."""
    programs = all_programs()
    assert names(list(waves([each for each in programs if not each.chosen_by]))) == [
        ["code-server", "broker", "spark"], ["webserver", "run-server"], ["daemon"],
    ]  # fmt: skip
    assert names(list(waves_to_stop(programs))) == [
        ["webserver", "daemon", "hub", "streams", "actions", "serving", "queues", "postgres", "reports", "simulator"],
        ["code-server", "run-server"],
        ["broker", "spark"],
    ]  # fmt: skip
    assert {used for each in programs for used in each.uses} <= {each.name for each in programs}
