-- Report by site: the last thirty days
-- From the daily aggregates, so cheap at any size: captures and the share that is missing, how much machines ran, days with an
-- alarm, cases, false alarms, orders and rejected records.
SELECT
    site,
    count(*) AS days,
    max(positions_heard) AS positions,
    sum(captures) AS captures,
    round(100e0 * greatest(sum(expected) - sum(captures), 0) / nullif(sum(expected), 0), 1) AS missing_percent,
    round(100e0 * (sum(judged) - sum(machine_off)) / nullif(sum(judged), 0), 1) AS running_percent,
    count_if(positions_alarm > 0) AS days_with_alarm,
    max(velocity_max_mm_s) AS velocity_max_mm_s,
    max(temperature_max_c) AS temperature_max_c,
    sum(cases_opened) AS cases_opened,
    sum(cases_resolved) AS cases_resolved,
    sum(false_alarms) AS false_alarms,
    sum(orders_created) AS orders_created,
    sum(orders_done) AS orders_done,
    sum(rejected) AS rejected,
    round(sum(sample_bytes) / 1e6, 1) AS sample_mb
FROM site_daily
WHERE t >= date_trunc('day', current_timestamp) - interval '30' /* days */ day
GROUP BY site
ORDER BY site
