-- What became of each site, day by day (UTC)
-- Of the days from the first parameter until before the second; they stand by turns. Positions are counted from
-- `position_daily`, so that both tables say the same.
WITH positions AS (
    SELECT
        t AS day,
        site,
        count(CASE WHEN captures > 0 OR readings > 0 THEN 1 END) AS positions_heard,
        count(CASE WHEN worst = 'WARNING' THEN 1 END) AS positions_warning,
        count(CASE WHEN worst = 'ALARM' THEN 1 END) AS positions_alarm,
        sum(captures) AS captures,
        sum(expected) AS expected,
        sum(CASE WHEN expected > captures THEN expected - captures WHEN expected IS NOT NULL THEN 0 END) AS missing,
        sum(judged) AS judged,
        sum(machine_off) AS machine_off,
        sum(not_assessable) AS not_assessable,
        sum(sensor_faults) AS sensor_faults,
        max(velocity_max_mm_s) AS velocity_max_mm_s,
        max(temperature_max_c) AS temperature_max_c,
        sum(warnings) AS warnings,
        sum(alarms) AS alarms,
        sum(cases_opened) AS cases_opened,
        sum(cases_resolved) AS cases_resolved,
        sum(false_alarms) AS false_alarms,
        sum(readings) AS readings,
        sum(sample_bytes) AS sample_bytes
    FROM position_daily
    WHERE t >= ? AND t < ?
    GROUP BY 1, 2
),
gateways AS (
    SELECT
        gateway,
        date_trunc('day', t) AS day,
        max(site) AS site
    FROM captures
    WHERE t >= ? AND t < ?
    GROUP BY 1, 2
),
refused AS (
    SELECT
        date_trunc('day', received_at) AS day,
        gateway,
        count(*) AS rejected
    FROM quarantine
    WHERE received_at >= ? AND received_at < ?
    GROUP BY 1, 2
),
others AS (
    -- a rejected record names no site: it is that of its gateway's captures of the day
    SELECT
        refused.day,
        coalesce(gateways.site, '(unknown)') AS site,
        refused.rejected,
        NULL AS made,
        NULL AS done
    FROM refused
    LEFT JOIN gateways ON gateways.gateway = refused.gateway AND gateways.day = refused.day
    UNION ALL
    SELECT
        date_trunc('day', t) AS day,
        site,
        0 AS rejected,
        CASE WHEN change = 'created' THEN case_id END AS made,
        CASE WHEN change = 'status' AND status = 'DONE' THEN case_id END AS done
    FROM work_orders
    WHERE t >= ? AND t < ? AND change IN ('created', 'status')
),
counted AS (
    SELECT
        day,
        site,
        sum(rejected) AS rejected,
        count(DISTINCT made) AS orders_created,
        count(DISTINCT done) AS orders_done
    FROM others
    GROUP BY day, site
)
SELECT
    coalesce(positions.day, counted.day) AS t,
    coalesce(positions.site, counted.site) AS site,
    coalesce(positions_heard, 0) AS positions_heard,
    coalesce(positions_warning, 0) AS positions_warning,
    coalesce(positions_alarm, 0) AS positions_alarm,
    coalesce(captures, 0) AS captures,
    expected,
    missing / CAST(nullif(expected, 0) AS double) AS missing_share,
    coalesce(judged, 0) AS judged,
    coalesce(machine_off, 0) AS machine_off,
    (judged - machine_off) / CAST(nullif(judged, 0) AS double) AS running_share,
    coalesce(not_assessable, 0) AS not_assessable,
    coalesce(sensor_faults, 0) AS sensor_faults,
    velocity_max_mm_s,
    temperature_max_c,
    coalesce(warnings, 0) AS warnings,
    coalesce(alarms, 0) AS alarms,
    coalesce(cases_opened, 0) AS cases_opened,
    coalesce(cases_resolved, 0) AS cases_resolved,
    coalesce(false_alarms, 0) AS false_alarms,
    coalesce(orders_created, 0) AS orders_created,
    coalesce(orders_done, 0) AS orders_done,
    coalesce(rejected, 0) AS rejected,
    coalesce(readings, 0) AS readings,
    coalesce(sample_bytes, 0) AS sample_bytes
FROM positions
FULL JOIN counted ON positions.day = counted.day AND positions.site = counted.site
