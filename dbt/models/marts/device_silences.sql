{%- do reading_lineage() %}

with

silences as (

    select *
    from {{ plan_table('silences', {'from_at': 'timestamptz', 'until_at': 'timestamptz'}) }}

),

registry as (

    select * from {{ ref('stg_registry') }}

),

models as (

    select * from {{ ref('stg_models') }}

),

effective as (

    {{ placed_from('registry') }}

),

-- where something changes for a device: an hour amid which it does is a stretch by itself
moments as (

    select device_id, valid_from as changes_at from registry
    union
    select device_id, in_service_at as changes_at from registry
    union
    select device_id, valid_to as changes_at from registry where valid_to is not null

),

cuts as (

    select device_id, date_trunc('hour', changes_at) as cut_at from moments
    union
    select device_id, date_trunc('hour', changes_at + interval 1 hour - interval 1 microsecond) as cut_at from moments

),

begun as (

    select devices.device_id, silences.from_at as hour_at, silences.until_at as silent_until_at
    from silences
    cross join (select distinct device_id from registry) as devices
    union
    select cuts.device_id, cuts.cut_at as hour_at, silences.until_at as silent_until_at
    from silences
    inner join cuts on cuts.cut_at > silences.from_at and cuts.cut_at < silences.until_at

),

stretches as (

    select
        device_id,
        hour_at,
        lead(hour_at, 1, silent_until_at) over (partition by device_id, silent_until_at order by hour_at) as until_at
    from begun

),

in_force as (

    {{ records_in_force('stretches', ['hour_at', 'until_at'], 'periods.hour_at', 'periods.until_at', of_device=true) }}

),

due as (

    select
        device_id,
        hour_at,
        until_at,
        {{ due_count() }} as expected_count,
        -- of a stretch of several hours there is one record; of several, the hour is the shortest that can be asked for
        case when count(*) = 1 then any_value(in_service_at) filter (where status = 'in_service' and reporting_interval_s > 0) end
            as due_from_at,
        case when count(*) = 1 then any_value(reporting_interval_s) filter (where status = 'in_service' and reporting_interval_s > 0) end
            as reporting_interval_s
    from in_force
    where ends_us > 0
    group by device_id, hour_at, until_at

),

final as (

    select
        due.device_id,
        effective.model_id,
        effective.site_id,
        due.hour_at,
        due.until_at,
        due.expected_count,
        due.due_from_at,
        due.reporting_interval_s
    from due
    asof left join effective
        on due.device_id = effective.device_id
        and due.hour_at >= effective.counts_from

)

select * from final
