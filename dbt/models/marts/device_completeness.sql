with

slices as (

    select *
    from {{ ref('stg_slices') }}
    -- of hours that are to leave gold nothing is due; of those without records, device_silences says what is
    where slice_at not in (
        select slice_at from {{ plan_table('gone', {'slice_at': 'timestamptz'}) }}
        union all
        select slice_at from {{ plan_table('carried', {'slice_at': 'timestamptz'}) }}
    )

),

registry as (

    select * from {{ ref('stg_registry') }}

),

models as (

    select * from {{ ref('stg_models') }}

),

placements as (

    select * from {{ ref('stg_placements') }}

),

received as (

    select * from {{ ref('stg_received') }}

),

rejections as (

    select * from {{ ref('stg_rejections') }}

),

in_force as (

    {{ records_in_force(
        'slices', ['event_date', 'event_hour'], 'periods.slice_at', '(periods.slice_at + interval 1 hour)'
    ) }}

),

due as (

    select
        device_id,
        event_date,
        event_hour,
        {{ due_count() }} as expected_count
    from in_force
    where ends_us > 0
    group by device_id, event_date, event_hour

),

device_hours as (

    select device_id, event_date, event_hour from due
    union
    select device_id, event_date, event_hour from received
    union
    select device_id, event_date, event_hour from rejections

),

final as (

    select
        device_hours.device_id,
        placements.model_id,
        placements.site_id,
        slices.slice_at as hour_at,
        device_hours.event_date,
        device_hours.event_hour,
        coalesce(due.expected_count, 0) as expected_count,
        coalesce(received.received_count, 0) as received_count,
        coalesce(received.late_count, 0) as late_count,
        coalesce(received.clock_flagged_count, 0) as clock_flagged_count,
        coalesce(rejections.duplicate_count, 0) as duplicate_count,
        coalesce(rejections.rejected_count, 0) as rejected_count,
        greatest(coalesce(due.expected_count, 0) - coalesce(received.heard_count, 0), 0) as missing_count
    from device_hours
    inner join slices using (event_date, event_hour)
    left join placements using (device_id, event_date, event_hour)
    left join due using (device_id, event_date, event_hour)
    left join received using (device_id, event_date, event_hour)
    left join rejections using (device_id, event_date, event_hour)

)

select * from final
