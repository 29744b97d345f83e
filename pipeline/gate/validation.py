"""Validation: running a suite on a profile frame with Great Expectations.

Belongs here: everything that touches Great Expectations. Importing this module takes seconds, so importers do it where
they judge and not at their top.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import pandas as pd

from runtime.lean_imports import without
from runtime.wording import counted

# 2.6 s of CPU instead of 3.8 (2026-11-27, 2 cores): what it would judge on Spark, keep in S3 and say of distributions
# is not for us, and whoever has these imported already keeps them
with without("pyspark", "boto3", "botocore", lazy=("scipy.stats",)):
    import great_expectations as gx
    from great_expectations import expectations as gxe
    from great_expectations.core.expectation_validation_result import ExpectationValidationResult
    from great_expectations.data_context import AbstractDataContext
    from great_expectations.data_context.types.base import ProgressBarsConfig
    from great_expectations.expectations.row_conditions import Column as ConditionColumn

from lake.records.verdicts import Failure
from pipeline.gate.suites import Check, Suite

_WHETHER: dict[str, Any] = {"result_format": "BOOLEAN_ONLY"}
_WHERE: dict[str, Any] = {"result_format": "COMPLETE", "unexpected_index_column_names": ["slice"]}


def all_failures(judged: Sequence[tuple[Suite, pd.DataFrame]]) -> list[dict[str, tuple[Failure, ...]]]:
    """What `failures_of` says of each suite and its profile.

    Whether anything fails is one expectation on all checks and slices of all of them: an expectation takes some 10 ms
    of processor time, however little it looks at. Each check is asked by itself when that one does not pass.
    """
    compared = [_compared(check, profile) for suite, profile in judged for check in suite.checks]
    if not compared or (all(pairs is not None for pairs in compared) and _is_within(compared)):
        return [{} for _ in judged]
    return [failures_of(suite, profile) for suite, profile in judged]


def failures_of(suite: Suite, profile: pd.DataFrame) -> dict[str, tuple[Failure, ...]]:
    """What slices of `profile` (column `slice`, one row each) fail of `suite`; one that passes is no key.

    One validation for all slices. An expectation that fails as a whole, such as one on a missing profile column, fails
    for every slice.
    """
    places = {slice_: place for place, slice_ in enumerate(profile["slice"])}
    found: dict[str, list[tuple[int, Failure]]] = {}
    for number, result in _failed(suite, profile):
        check = suite.checks[number]
        entries = (result.result or {}).get("unexpected_index_list")
        error = None if entries else _what_went_wrong(result)
        for slice_ in [entry["slice"] for entry in entries] if entries else places:
            row = profile.iloc[places[slice_]].to_dict()
            failure = _failure(suite, check, row) if error is None else _unjudged(check, error)
            found.setdefault(slice_, []).append((number, failure))
    return {slice_: tuple(failure for _, failure in sorted(each, key=lambda e: e[0])) for slice_, each in found.items()}


def _compared(check: Check, profile: pd.DataFrame) -> pd.DataFrame | None:
    """A check as pairs of an `observed` value and the `limit` that it is not to exceed; None if it is no such pairs."""
    columns = [name for name in (check.observed, check.equals, *(check.only_from or ())[:1]) if name is not None]
    if not all(name in profile and pd.api.types.is_numeric_dtype(profile[name].dtype) for name in columns):
        return None
    asked = profile if check.only_from is None else profile[profile[check.only_from[0]] >= check.only_from[1]]
    observed = asked[check.observed]
    if check.equals is None:
        return pd.DataFrame({"observed": observed, "limit": check.at_most})
    pairs = pd.DataFrame({"observed": observed, "limit": asked[check.equals]})
    return pd.concat([pairs, pairs.rename(columns={"observed": "limit", "limit": "observed"})])


def _is_within(compared: Iterable[pd.DataFrame | None]) -> bool:
    pairs = pd.concat([each for each in compared if each is not None], ignore_index=True)
    within = gxe.ExpectColumnPairValuesAToBeGreaterThanB(
        column_A="limit", column_B="observed", or_equal=True, ignore_row_if="neither"
    )
    found = _batch_definition().get_batch({"dataframe": pairs}).validate(within, result_format=_WHETHER)
    return bool(found.success)


def _failed(suite: Suite, profile: pd.DataFrame) -> Iterator[tuple[int, ExpectationValidationResult]]:
    """The checks that fail, by number. Whether one does is asked first, in 0.4 of the time of saying where."""
    every = range(len(suite.checks))
    failing = [number for number, _ in _asked(suite, every, profile, _WHETHER)]
    if failing:
        yield from _asked(suite, failing, profile, _WHERE)


def _asked(
    suite: Suite, numbers: Iterable[int], profile: pd.DataFrame, form: dict[str, Any]
) -> Iterator[tuple[int, ExpectationValidationResult]]:
    batch = _batch_definition().get_batch({"dataframe": profile})
    expectations = gx.ExpectationSuite(suite.table, expectations=[_expectation(n, suite.checks[n]) for n in numbers])
    for result in batch.validate(expectations, result_format=form).results:
        if not result.success and result.expectation_config is not None:
            yield int(result.expectation_config.meta["check"]), result


def _expectation(number: int, check: Check) -> gxe.Expectation:
    meta = {"check": number, "name": check.name}
    if check.equals is not None:
        return gxe.ExpectColumnPairValuesToBeEqual(column_A=check.observed, column_B=check.equals, meta=meta)
    condition = None
    if check.only_from is not None:
        column, least = check.only_from
        condition = ConditionColumn(column) >= least
    return gxe.ExpectColumnValuesToBeBetween(
        column=check.observed, max_value=check.at_most, row_condition=condition, meta=meta
    )


def _failure(suite: Suite, check: Check, row: Mapping[Any, Any]) -> Failure:
    observed, limit = _plain(row[check.observed]), _plain(row[check.equals] if check.equals else check.at_most)
    shown = {"table": _Shown(suite.table.split(".")[1]), "observed": _Shown(observed, check.is_share),
             "limit": _Shown(limit, check.is_share)}  # fmt: skip
    message = check.message.format_map({name: _Shown(_plain(value)) for name, value in row.items()} | shown)
    detail = row.get(f"{check.observed}_detail")
    return Failure(check.name, check.column, observed, limit, f"{message}: {detail}" if detail else message)


def _unjudged(check: Check, error: str) -> Failure:
    return Failure(check.name, check.column, "", check.equals or check.at_most, f"could not be judged: {error}")


def _what_went_wrong(result: ExpectationValidationResult) -> str:
    info = result.exception_info or {}
    # one record for the expectation, or one for each of its metrics
    records = [info] if "exception_message" in info else list(info.values())
    messages = [str(record["exception_message"]) for record in records if record.get("exception_message")]
    return "; ".join(messages) or "Great Expectations names no slice"


def _plain(value: Any) -> float | int | str:
    """A NumPy scalar as Python's own, whole floats as whole numbers."""
    value = value.item() if hasattr(value, "item") else value
    return int(value) if isinstance(value, float) and value.is_integer() else value


@dataclass(frozen=True)
class _Shown:
    """A value as messages show it; a format is the noun that is counted."""

    value: float | int | str
    is_share: bool = False

    def __format__(self, noun: str) -> str:
        if isinstance(self.value, str):
            return self.value
        if self.is_share:
            return f"{self.value * 100:.3g} %"
        return counted(self.value, noun) if noun else f"{self.value:,}"


@cache
def _batch_definition() -> Any:
    context: AbstractDataContext = gx.get_context(mode="ephemeral")
    context.enable_analytics(False)
    context.variables.progress_bars = ProgressBarsConfig(globally=False, metric_calculations=False)
    asset = context.data_sources.add_pandas("profiles").add_dataframe_asset("profile")
    return asset.add_batch_definition_whole_dataframe("slices")
