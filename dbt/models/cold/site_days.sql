{{ config(materialized='by_date', hours='plan.local_hours', is_local=true) }}
{%- do sums_lineage() %}

with

-- where no device stands is UTC
zones as (

    select site_id, zone
    from {{ plan_table('sites', {'site_id': 'varchar', 'zone': 'varchar'}) }}
    where site_id <> 'unknown'

),

local_hours as (

    select * from {{ plan_table('local_hours', local_hour_columns()) }} where {{ planned_days() }}

),

days as (

    select distinct zone, day_date, starts_at, hours_in_day from local_hours

),

placements as (

    select stg_placements.*, zones.zone
    from {{ ref('stg_placements') }} as stg_placements
    left join zones using (site_id)
    where {{ planned_hours() }}

),

hours as (

    select * from {{ with_local_day(ref('stg_hours'), 'whole') }}
    {%- if has_split_hours() %}

    union all by name

    select *
    from (
        {{ metric_sums({'device_id': 'device_id', 'site_id': 'site_id', 'day_date': 'day_date'}, by_site='split') }}
    )
    {%- endif %}

),

sums as (

    {{ added_up('hours', ['site_id', 'day_date'], by_site=true) }}

),

percentiles as (

    {{ metric_percentiles({'site_id': 'site_id', 'day_date': 'day_date'}, by_site='all') }}

),

final as (

    select
        sums.site_id,
        sums.metric_name,
        sums.unit,
        sums.day_date,
        sums.day_date as event_date,
        days.zone,
        days.starts_at,
        days.hours_in_day,
        sums.device_count,
        sums.reading_count,
        {{ value_statistics() }},
        {{ value_percentiles() }}
    from sums
    inner join percentiles using (site_id, day_date, metric_name, unit)
    left join zones using (site_id)
    left join days on days.zone = coalesce(zones.zone, 'UTC') and days.day_date = sums.day_date

)

select * from final
