"""The Dagster definitions, without broker, Spark or dbt: what is declared, and how verdicts and runs are told."""

import json
import platform
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from dagster import (
    AssetExecutionContext,
    AssetKey,
    AssetMaterialization,
    BackfillPolicy,
    DagsterEventType,
    DagsterInstance,
    DagsterRunStatus,
    Definitions,
    Nothing,
    OpExecutionContext,
    Out,
    asset,
    build_sensor_context,
    define_asset_job,
    in_process_executor,
    job,
    op,
    validate_run_config,
)
from dagster._core.definitions.assets.graph.asset_graph import AssetGraph
from dagster._core.definitions.sensor_definition import SensorExecutionData
from dagster._core.storage.event_log import SqliteEventLogStorage

from dagster_project.asset_checks import GATE, evaluations
from dagster_project.definitions import build_definitions
from dagster_project.jobs import publish, refresh
from dagster_project.partitions import Calendar, calendar_of, note_first_slice
from dagster_project.resources import Work, Writer
from dagster_project.runs.in_process import run_job
from dagster_project.runs.instance import open_instance
from dagster_project.runs.pruning import prune
from dagster_project.runs.under_way import PROCESS_TAG, end_abandoned, process_tag, under_way
from dagster_project.sensors import new_messages, stale_slices
from ingestion import landing_topics
from lake.models.store import add_models
from lake.records.verdicts import Failure, Verdict
from lake.slices import slices_between
from lake.storage.lease import current_holder, writer_lease
from lake.tables.gold import GOLD_TABLES, HOURLY
from lakehouse.cli.commands.backfill import hours_between, runs_over
from lakehouse.cli.main import run
from pipeline.gold.dbt_manifest import ensure_manifest, read_manifest
from runtime.errors import LeaseError, PlatformError, UsageError
from runtime.process_ids import ProcessId
from runtime.settings import Settings, load_settings
from tests.support.small_lake import Lake

PROBE = {
    "@context": "dtmi:dtdl:context;2",
    "@id": "dtmi:test:probe;1",
    "@type": "Interface",
    "contents": [{"@type": "Telemetry", "name": "depth", "schema": "double"}],
}


def home(folder: Path) -> Settings:
    """Settings with addresses at which nothing answers."""
    return Settings(home=folder, lake_uri=str(folder / "lake"), kafka_bootstrap="127.0.0.1:1", spark="sc://127.0.0.1:1")


@pytest.fixture(scope="module")
def definitions(tmp_path_factory: pytest.TempPathFactory) -> Definitions:
    """The definitions of an empty home with one added model."""
    folder = tmp_path_factory.mktemp("home")
    (folder / "probe.json").write_text(json.dumps(PROBE))
    add_models(home(folder), [folder / "probe.json"])
    return build_definitions(home(folder))


@pytest.fixture(scope="module")
def graph(definitions: Definitions) -> AssetGraph:
    """Their assets."""
    return definitions.resolve_asset_graph()


@pytest.fixture(scope="module")
def instance(tmp_path_factory: pytest.TempPathFactory) -> DagsterInstance:
    """A real instance, as a home has it."""
    return open_instance(home(tmp_path_factory.mktemp("instance")))


def key(path: str) -> AssetKey:
    return AssetKey(path.split("/"))


def test_loading_them_touches_nothing(tmp_path: Path) -> None:
    """They load for an empty home without making it."""
    settings = load_settings({}, tmp_path)
    assert build_definitions(settings).resolve_asset_graph().get_all_asset_keys()
    assert list(tmp_path.iterdir()) == []


def test_every_table_is_an_asset(graph: AssetGraph) -> None:
    """Topics, bronze, silver (an added model's too), candidates and gold, and the hot path beside it."""
    expected = {"kafka/telemetry", "kafka/lifecycle", "bronze/telemetry", "bronze/lifecycle"}
    expected |= {"kafka/windows", "ops/hot_reconciliation"}
    expected |= {
        f"silver/{name}" for name in ("thermostats", "energy_meters", "pumps", "probes", "rejected", "devices", "sites")
    }
    expected |= {f"{layer}/{table.short_name}" for layer in ("candidate", "gold") for table in GOLD_TABLES}
    found = {each.to_user_string() for each in graph.get_all_asset_keys()}
    assert {name for name in found if "/stg_" not in name} == expected


@pytest.mark.parametrize("table", [table.short_name for table in GOLD_TABLES])
def test_published_gold_comes_from_the_topics(graph: AssetGraph, table: str) -> None:
    """Lineage goes from each gold table through dbt, silver and bronze to Kafka."""
    ancestors = graph.get_ancestor_asset_keys(key(f"gold/{table}"))
    assert {key(f"candidate/{table}"), key("bronze/lifecycle"), key("kafka/lifecycle")} <= ancestors
    if table not in ("devices", "sites"):
        assert {key("silver/thermostats"), key("kafka/telemetry")} <= ancestors


def test_hourly_candidates_come_from_an_added_model(graph: AssetGraph) -> None:
    """Whichever silver tables there are, gold is built from them."""
    for table in HOURLY:
        assert key("silver/probes") in graph.get(key(f"candidate/{table.short_name}")).parent_keys


def test_every_asset_says_what_it_is(graph: AssetGraph) -> None:
    """Each has a description, an owner, a group and a kind, or the UI shows a name and no more."""
    for each in graph.get_all_asset_keys():
        node = graph.get(each)
        assert node.description, each
        assert node.owners, each
        assert node.group_name not in (None, "default"), each
        assert node.kinds, each


def test_a_backfill_is_one_run_of_hours(definitions: Definitions, graph: AssetGraph) -> None:
    """What a backfill does has hours as partitions and takes all of them in one run."""
    for name in ("backfill", "backfill_gold"):
        selected = definitions.resolve_job_def(name).asset_layer.selected_asset_keys
        assert {key(f"gold/{table.short_name}") for table in HOURLY} <= selected
        assert (key("silver/thermostats") in selected) == (name == "backfill")
        for each in selected:
            assert graph.get(each).partitions_def == calendar_of(home(Path("none"))).hours, each
            policy = graph.get(each).backfill_policy
            assert policy is not None
            assert policy.max_partitions_per_run is None, each


def test_partition_keys_are_slices() -> None:
    """From the first day to the hour after this one, spelt as everywhere else."""
    calendar = Calendar("2026-11-01")
    assert calendar.hours.get_first_partition_key() == "2026-11-01T00"
    assert calendar.days.get_first_partition_key() == "2026-11-01"
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H")
    assert calendar.within(["2099-01-01T00", now, "2026-10-31T23", "2026-11-20T05"]) == ["2026-11-20T05", now]
    assert calendar.since("2013-07-04T05").first_day == "2013-07-04"
    assert calendar.since("2026-11-20T05") == calendar


def test_partitions_begin_with_the_first_slice(tmp_path: Path) -> None:
    """As noted when it was published, and for a home without any a month ago; so the UI has no page of decades."""
    settings = home(tmp_path)
    month = datetime.now(UTC).date() - timedelta(days=31)
    assert calendar_of(settings).first_day in (str(month), str(month + timedelta(days=1)))
    settings.dagster_home.mkdir()
    note_first_slice(settings, "2013-07-04T05")
    assert calendar_of(settings) == Calendar("2013-07-04")
    assets = build_definitions(settings).resolve_asset_graph()
    assert assets.get(key("gold/device_hours")).partitions_def == Calendar("2013-07-04").hours


def test_only_what_does_not_repeat_work_is_on_by_default(definitions: Definitions) -> None:
    """Cold, upkeep and the sensors; warm would do what those do."""
    repository = definitions.get_repository_def()
    on = {s.name for s in repository.schedule_defs if s.default_status.value == "RUNNING"}
    on |= {s.name for s in repository.sensor_defs if s.default_status.value == "RUNNING"}
    assert on == {"new_messages", "cold", "daily", "stale_slices", "hot_minutes"}


def test_chosen_slices_are_run_config(definitions: Definitions) -> None:
    """What `cold` asks for, and whoever types it into the launchpad, is what the job takes."""
    config = {"resources": {"work": {"config": {"slices": ["2026-11-20T05"]}}}}
    assert validate_run_config(definitions.resolve_job_def("publish"), config)


def test_the_sensor_asks_once_a_state_of_silver(
    tmp_path: Path, instance: DagsterInstance, definitions: Definitions
) -> None:
    """Nothing for an empty lake; stale slices once, and again when silver has moved; not while a run is under way."""
    lake = Lake(home(tmp_path))

    def look(cursor: str | None = None) -> SensorExecutionData:
        resources = {"settings": lake.settings}
        with build_sensor_context(instance, cursor, resources=resources, definitions=definitions) as context:
            return stale_slices.evaluate_tick(context)

    assert look().skip_message == "Nothing is stale."
    lake.fill("2026-11-20T05")
    lake.write()
    asked = look()
    assert [each.tags["lakehouse/stale"] for each in asked.run_requests or ()] == ["2026-11-20T05"]
    assert not look(asked.cursor).run_requests
    lake.write()
    assert len(look(asked.cursor).run_requests or ()) == 1
    run = instance.create_run_for_job(publish, tags=process_tag(), status=DagsterRunStatus.STARTED)
    assert look(asked.cursor).skip_message == "publish is under way."
    instance.report_run_canceled(run)


def test_no_refresh_without_messages(tmp_path: Path, instance: DagsterInstance, definitions: Definitions) -> None:
    """Where no broker answers there is nothing to ingest, and no run is started to find that out; nor at once after a
    run that failed."""
    resources = {"settings": home(tmp_path)}
    with build_sensor_context(instance, resources=resources, definitions=definitions) as context:
        assert "No broker" in (new_messages.evaluate_tick(context).skip_message or "")
        run = instance.create_run_for_job(refresh, tags=process_tag(), status=DagsterRunStatus.STARTED)
        assert new_messages.evaluate_tick(context).skip_message == "refresh is under way."
        instance.report_run_failed(run)
        assert "failed less than a minute ago" in (new_messages.evaluate_tick(context).skip_message or "")


def test_a_verdict_is_a_result_of_its_slice() -> None:
    """Failing with the reason in words and the partition; of two verdicts on a slice the later is told."""
    failure = Failure("rejected_share", "", 0.3, 0.05, "30 % were rejected")
    first = Verdict("silver.pumps", "2026-11-20T05", "{}", False, (failure,), 10, "d", "r", datetime.now(UTC))
    released = Verdict(
        "silver.pumps", "2026-11-20T06", "{}", True, (failure,), 9, "d", "r", datetime.now(UTC), "ann", "known"
    )
    whole = Verdict("gold.devices", "all", "{}", True, (), 3, "d", "r", datetime.now(UTC))
    repeated = Verdict("silver.pumps", "2026-11-20T06", "{}", False, (failure,), 9, "d", "r", datetime.now(UTC))
    found = {(e.asset_key.to_user_string(), e.partition): e for e in evaluations([first, repeated, released, whole])}
    assert len(found) == 3
    held = found["silver/pumps", "2026-11-20T05"]
    assert (held.passed, held.check_name, held.description) == (False, GATE, "30 % were rejected")
    passed = found["silver/pumps", "2026-11-20T06"]
    assert passed.passed
    assert passed.metadata["released_by"].value == "ann"
    assert found["gold/devices", None].passed


def test_a_held_slice_is_the_last_result() -> None:
    """The UI shows an asset's last result, so a slice that fails is not hidden by a later hour that passes."""
    failure = Failure("rejected_share", "", 0.3, 0.05, "30 % were rejected")
    verdicts = [
        Verdict("silver.pumps", f"2026-11-20T0{hour}", "{}", hour != 3, () if hour != 3 else (failure,), 10, "d", "r",
                datetime.now(UTC))
        for hour in range(6)
    ]  # fmt: skip
    assert [each.passed for each in evaluations(verdicts)] == [True] * 5 + [False]


def test_many_slices_are_told_by_spans_and_held_ones_singly() -> None:
    """A year of hours that pass is one result, at its last hour; the one that is held has a result of its own."""
    failure = Failure("rejected_share", "", 0.3, 0.05, "30 % were rejected")
    hours = slices_between("2026-01-01T00", "2026-12-31T23")
    verdicts = [
        Verdict("silver.pumps", hour, "{}", hour != hours[100], (failure,) if hour == hours[100] else (), 2, "d", "r",
                datetime.now(UTC))
        for hour in hours
    ]  # fmt: skip
    found = list(evaluations(verdicts))
    assert [(each.partition, each.passed) for each in found] == [
        (hours[99], True), (hours[-1], True), (hours[100], False)
    ]  # fmt: skip
    together = [f"{rows:,}" for rows in (200, 2 * (len(hours) - 101))]
    assert [each.metadata["rows_together"].value for each in found[:2]] == together
    assert found[2].metadata["rows"].value == "2"
    assert found[1].metadata["slices"].value == f"{hours[101]} to {hours[-1]}"
    assert found[1].metadata["slice_count"].value == f"{len(hours) - 101:,}"


def test_a_check_tells_no_number_that_the_ui_would_draw() -> None:
    """Of a slice that passes, one that fails and one that was released, all is text: their curve would mix slices."""
    failure = Failure("rejected_share", "", 0.3, 0.05, "30 % were rejected")
    verdicts = [
        Verdict("silver.pumps", f"2026-11-20T0{hour}", "{}", hour == 1, () if hour == 1 else (failure,), 1_200, "d",
                "r", datetime.now(UTC), released_by=released)
        for hour, released in ((1, None), (3, None), (5, "ann"))
    ]  # fmt: skip
    found = list(evaluations(verdicts))
    assert [each.metadata["rows"].value for each in found] == ["1,200"] * 3
    assert all(not isinstance(value.value, int | float) for each in found for value in each.metadata.values())


def test_very_many_held_slices_are_counted() -> None:
    """A limit that is wrong holds every hour: some are told, with how many more there are."""
    failure = Failure("rejected_share", "", 0.3, 0.05, "30 % were rejected")
    verdicts = [
        Verdict("silver.pumps", hour, "{}", False, (failure,), 2, "d", "r", datetime.now(UTC))
        for hour in slices_between("2026-01-01T00", "2026-01-31T23")
    ]
    found = list(evaluations(verdicts))
    assert len(found) == 100
    assert {each.metadata["more_held_slices"].value for each in found} == {str(31 * 24 - 100)}


def test_the_instance_keeps_to_itself(instance: DagsterInstance) -> None:
    """No usage reports, one run at a time."""
    assert instance.get_settings("telemetry") == {"enabled": False}
    queue = instance.get_concurrency_config().run_queue_config
    assert queue is not None
    assert queue.max_concurrent_runs == 1


@op
def _nothing() -> None:
    """A step of the test's own."""


@job
def _small() -> None:
    _nothing()


def test_the_event_log_is_dagsters_own(instance: DagsterInstance) -> None:
    """What is written over kept connections, Dagster's original storage reads."""
    result = _small.execute_in_process(instance=instance)
    original = SqliteEventLogStorage(str(Path(instance.event_log_storage._base_dir)))  # type: ignore[attr-defined]
    written = [event.message for event in instance.all_logs(result.run_id)]
    assert [event.message for event in original.get_logs_for_run(result.run_id)] == written
    assert len(written) > 3


@op(out=Out(Nothing))
def _published(context: OpExecutionContext) -> None:
    """A step that tells what it published: an hour that every run does again, and one of its own."""
    for partition in ("2026-11-20T05", f"2026-11-21T{len(context.instance.get_runs()) % 24:02d}"):
        context.log_event(AssetMaterialization(["gold", "things"], partition=partition, metadata={"rows": 1}))
    if context.run.tags.get("fails"):
        raise ValueError("as asked")


@job
def _telling() -> None:
    _published()


def test_old_runs_are_forgotten_and_slices_are_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many runs there were, the newest stay, with failures of this week, and of every slice its newest event;
    nothing of the others is left in Dagster's folder."""
    monkeypatch.setattr("dagster_project.runs.pruning.KEPT_RUNS", 3)
    monkeypatch.setattr("dagster_project.runs.pruning._AT_ONCE", 4)
    instance = open_instance(home(tmp_path))
    folder = Path(instance.event_log_storage._base_dir)  # type: ignore[attr-defined]
    things = AssetKey(["gold", "things"])

    def done(**tags: str) -> str:
        return _telling.execute_in_process(instance=instance, tags=tags, raise_on_error=False).run_id

    failed, now = done(fails="yes"), datetime.now(UTC)
    first = [done() for _ in range(4)]
    assert prune(instance, now) == 0  # too few have come together
    rest = [done() for _ in range(2)]
    seen = instance.get_materialized_partitions(things)
    assert prune(instance, now) == 3
    kept = {run.run_id for run in instance.get_runs()}
    assert kept == {failed, first[3], *rest}
    assert {path.stem for path in folder.glob("*-*.db")} == kept
    assert instance.get_materialized_partitions(things) == seen
    told = instance.fetch_materializations(things, limit=100).records
    assert len([each for each in told if each.partition_key == "2026-11-20T05"]) == 4  # of the runs that are left
    assert prune(instance, now, everything=True) == 0
    assert prune(instance, now + timedelta(days=8), everything=True) == 1
    assert failed not in {run.run_id for run in instance.get_runs()}


def test_a_long_range_has_an_event_for_what_a_step_tells(instance: DagsterInstance) -> None:
    """Of a year of partitions in one run the log has the span that the step told, not each hour by itself; a run of a
    day has each of its hours."""

    @asset(partitions_def=Calendar("2025-01-01").hours, backfill_policy=BackfillPolicy.single_run())
    def hours(context: AssetExecutionContext) -> None:
        context.add_asset_metadata({"rows": 7}, partition_key=context.partition_keys[-1])

    def partitions(first: str, last: str) -> tuple[list[str | None], int]:
        tags = {"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": last}
        made = define_asset_job("backfill", [hours])
        run = Definitions([hours], jobs=[made], executor=in_process_executor).resolve_job_def("backfill")
        result = run.execute_in_process(instance=instance, tags=tags)
        log = instance.event_log_storage.get_logs_for_run(result.run_id)
        told = [each.dagster_event for each in log if each.dagster_event is not None]
        stored = [each.partition for each in told if each.event_type is DagsterEventType.ASSET_MATERIALIZATION]
        return stored, len(log)

    stored, events = partitions("2025-01-01T00", "2025-12-31T23")
    assert stored == ["2025-12-31T23"]
    assert events < 40
    day, _ = partitions("2025-01-01T00", "2025-01-01T23")
    assert day == [f"2025-01-01T{hour:02d}" for hour in range(24)]


def tag_of_long_ago(started_s: float) -> dict[str, str]:
    """The tag of a process with this one's number, of soon after the machine's start."""
    return {PROCESS_TAG: f"{platform.node()} {replace(ProcessId.of(), started_s=started_s)}"}


def test_a_run_whose_process_is_gone_is_ended(instance: DagsterInstance) -> None:
    """It would block the queue for ever; one whose process lives is left alone."""
    alive = instance.create_run_for_job(_small, tags=process_tag(), status=DagsterRunStatus.STARTED)
    tags = tag_of_long_ago(1.0)
    gone = instance.create_run_for_job(_small, tags=tags, status=DagsterRunStatus.STARTED)
    assert end_abandoned(instance) == [gone.run_id]
    ended = instance.get_run_by_id(gone.run_id)
    assert ended is not None
    assert ended.status is DagsterRunStatus.FAILURE
    assert under_way(instance, "_small") == "_small"
    instance.report_run_canceled(alive)
    assert under_way(instance, "_small") is None


def test_a_retry_that_waits_is_left_alone(instance: DagsterInstance) -> None:
    """It has the tags of the run that failed, and so its process, until it has one itself."""
    tags = tag_of_long_ago(1.0)
    failed = instance.create_run_for_job(_small, tags=tags, status=DagsterRunStatus.FAILURE)
    retry = instance.create_run_for_job(
        _small, tags=tags, status=DagsterRunStatus.STARTING, parent_run_id=failed.run_id, root_run_id=failed.run_id
    )
    assert end_abandoned(instance) == []
    assert under_way(instance, "_small") == "_small"
    instance.add_run_tags(retry.run_id, tag_of_long_ago(2.0))
    assert end_abandoned(instance) == [retry.run_id]


def test_a_failure_is_told_in_our_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A service that does not answer ends a run with our error, and the run is shown as failed."""
    settings = home(tmp_path)
    monkeypatch.setattr(landing_topics, "_TIMEOUT_S", 0.5)  # nobody will answer at this port later either
    with pytest.raises(PlatformError, match=r"Kafka at 127\.0\.0\.1:1"):
        run_job(settings, "ingest")
    with open_instance(settings) as instance:
        assert [run.status for run in instance.get_runs()] == [DagsterRunStatus.FAILURE]


def test_only_a_service_that_does_not_answer_is_tried_again() -> None:
    """Anything else of ours fails the same way twice."""
    from dagster import Failure as StepFailure
    from dagster import RetryRequested

    with pytest.raises(RetryRequested), Work().told():
        raise PlatformError("away")
    with pytest.raises(StepFailure) as error, Work().told():
        raise UsageError("never")
    assert not error.value.allow_retries


@pytest.mark.parametrize(
    ("first", "last", "expected"),
    [
        ("2026-11-20T05", "2026-11-20T06", ["2026-11-20T05", "2026-11-20T06"]),
        ("2026-11-20T22", "2026-11-20", ["2026-11-20T22", "2026-11-20T23"]),
        ("2026-11-20", "2026-11-20T01", ["2026-11-20T00", "2026-11-20T01"]),
    ],
)
def test_a_day_is_its_hours(first: str, last: str, expected: list[str]) -> None:
    """--from a day begins with its first hour, --to a day ends with its last."""
    assert hours_between(first, last) == expected


@pytest.mark.parametrize(("first", "last"), [("2026-11-20T06", "2026-11-20T05"), ("20.11.2026", "2026-11-21")])
def test_a_range_that_cannot_be_is_refused(first: str, last: str) -> None:
    """Backwards, or not a time."""
    with pytest.raises(UsageError):
        hours_between(first, last)


def test_a_backfill_goes_where_records_are() -> None:
    """A month a run, from its first to its last hour with records; months without any are left out."""
    hours = [*hours_between("2015-03-01", "2015-03-31"), *hours_between("2026-10-01", "2026-12-31")]
    runs = runs_over(hours, {"2015-03-01T04", "2026-11-20T05", "2026-11-20T08", "2026-12-01T00"})
    assert [(run[0], run[-1], len(run)) for run in runs] == [
        ("2015-03-01T04", "2015-03-01T04", 1),
        ("2026-11-20T05", "2026-11-20T08", 4),
        ("2026-12-01T00", "2026-12-01T00", 1),
    ]


def test_a_backfill_of_nothing_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A range without records is no failure, and starts nothing."""
    monkeypatch.setenv("LAKEHOUSE_HOME", str(tmp_path / "home"))
    assert run(["backfill", "--from", "2026-11-20", "--to", "2026-11-20"]) == 0
    assert "No records from 2026-11-20T00 to 2026-11-20T23" in capsys.readouterr().out
    assert not (tmp_path / "home" / "dagster").exists()


def test_a_run_waits_for_the_lease_and_names_its_holder(tmp_path: Path) -> None:
    """Who waits is told for whom; when it takes too long the run ends with that."""
    told: list[str] = []
    writer = Writer(home(tmp_path), told.append, wait_s=0.2)
    with writer_lease(home(tmp_path), "the other one"), pytest.raises(LeaseError, match="the other one"):
        writer.hold("this one")
    assert "the other one" in told[0]
    writer.hold("this one")
    writer.hold("again, which is no second lease")
    assert current_holder(home(tmp_path)) is not None
    writer.give_back()
    assert current_holder(home(tmp_path)) is None


def test_dbts_project_is_read_once_for_every_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What set-up made is ready to run on the candidate of any home; where it made nothing, dbt has to read itself."""
    ensure_manifest()
    read = read_manifest()
    assert read is not None
    names = {
        node.name for node in read.nodes.values() if node.resource_type == "model" and node.database == "candidate"
    }
    assert names >= {table.short_name for table in GOLD_TABLES}
    monkeypatch.setattr("sys.prefix", str(tmp_path))
    assert read_manifest() is None
