"""Suites follow from the declared tables, models and quality files."""

import re
from dataclasses import replace

from lake.models.catalog import BUILT_IN_MODELS, load_models, silver_tables
from lake.tables.gold import DAILY, DEVICE_HOURS, DEVICE_LATEST, DEVICE_MINUTES, GOLD_TABLES, HOURLY, WHOLE
from lake.tables.silver import SILVER_SITES
from pipeline.gate.suites import MIN_REJECTED, Suite, gold_suite, reading_suite, registry_suite, slice_suite

MODELS = load_models([BUILT_IN_MODELS])
TABLES = silver_tables(MODELS.values())


def _names(suite: Suite) -> set[str]:
    return {check.name for check in suite.checks}


def test_every_table_has_a_suite_that_looks_at_keys_and_nulls() -> None:
    """No declared table of silver or gold is without the checks that follow from its declaration."""
    suites = [gold_suite(table) for table in GOLD_TABLES]
    suites += [reading_suite(table, MODELS.values()) for table in TABLES.values()]
    for suite in (*suites, slice_suite(), registry_suite()):
        assert {"keys_are_unique", "required_columns_are_filled"} <= _names(suite), suite.table


def test_every_gold_table_is_in_one_kind_of_slice() -> None:
    """Hourly, daily and whole tables together are the gold tables, each once."""
    assert sorted(t.name for t in (*HOURLY, *DAILY, *WHOLE)) == sorted(t.name for t in GOLD_TABLES)


def test_sliced_gold_tables_must_have_rows() -> None:
    """An empty frame passes almost everything, so that rows are there is asked for by itself."""
    assert all("has_rows" in _names(gold_suite(table)) for table in (*HOURLY, *DAILY))


def test_value_checks_follow_the_columns() -> None:
    """A table is asked for what its columns can answer: order of statistics, range, agreement."""
    assert "values_are_ordered" in _names(gold_suite(DEVICE_MINUTES))
    assert "agrees_with_minutes" in _names(gold_suite(DEVICE_HOURS))
    assert "values_are_ordered" not in _names(gold_suite(DEVICE_LATEST))
    assert "values_are_in_range" in _names(gold_suite(DEVICE_LATEST))


def test_the_strictest_limit_of_the_models_that_share_a_table_counts() -> None:
    """Two versions of a model share a table and its suite; staleness is asked for only where a model declares it."""
    name = "silver.thermostats"
    model = next(m for m in MODELS.values() if m.table == name)
    strict = replace(model, model_id="dtmi:lakehouse:thermostat;2",
                     quality=replace(model.quality, max_rejected_ratio=0.01, max_staleness_s=600))  # fmt: skip
    limits = {check.name: check.at_most for check in reading_suite(TABLES[name], [model, strict]).checks}
    assert limits["rejected_share"] == 0.01
    assert limits["is_fresh"] == 600
    assert "is_fresh" not in _names(reading_suite(TABLES[name], [model]))


def test_a_rejected_share_needs_some_records() -> None:
    """One bad reading of ten is noise and holds nothing."""
    check = next(c for c in reading_suite(TABLES["silver.pumps"], MODELS.values()).checks if c.is_share)
    assert check.only_from == ("rejected", MIN_REJECTED)


def test_the_digest_changes_with_a_limit() -> None:
    """A verdict names what it was judged by."""
    suite = slice_suite()
    other = replace(suite, checks=(replace(suite.checks[0], at_most=1), *suite.checks[1:]))
    assert suite.digest == slice_suite().digest
    assert suite.digest != other.digest


def test_every_count_stands_with_its_noun() -> None:
    """No message has a count without saying of what, but for shares and seconds, so that one is told as one."""
    suites = [gold_suite(table) for table in GOLD_TABLES] + [reading_suite(t, MODELS.values()) for t in TABLES.values()]
    for suite in (*suites, slice_suite(), registry_suite(), registry_suite(SILVER_SITES)):
        for check in suite.checks:
            bare = check.is_share or "{observed} s " in check.message
            assert bare or "{observed" not in check.message or "{observed:" in check.message, check
            nouns = re.findall(r"\{\w+:(\w*)\}", check.message)
            assert not [noun for noun in nouns if not noun or noun.endswith("s")], check
