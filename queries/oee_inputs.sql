-- OEE inputs: hours that each asset ran, stood and was not heard, by day
-- Availability is running over planned hours, which your own calendar knows; speed and quality come from elsewhere. The last
-- seven whole days (UTC). A capture stands until the next of its position, for three of its usual intervals at most, and
-- counts to the day it begins in; what is over is not known. An asset is read by its position with the most captures.
WITH heard AS (
    SELECT
        position,
        t,
        max(CASE WHEN verdict = 'MACHINE_OFF' THEN 1 ELSE 0 END) AS is_off,
        max(CASE WHEN persistent = 'ALARM' THEN 1 ELSE 0 END) AS is_alarm
    FROM verdicts
    WHERE
        rule <> 'sensor'
        AND t >= date_trunc('day', current_timestamp) - interval '7' /* days */ day
        AND t < date_trunc('day', current_timestamp)
    GROUP BY position, t
),
neighbours AS (
    SELECT
        *,
        to_unixtime(lead(t) OVER (PARTITION BY position ORDER BY t)) - to_unixtime(t) AS gap_s,
        lag(is_off) OVER (PARTITION BY position ORDER BY t) AS off_before
    FROM heard
),
habits AS (
    SELECT position, approx_percentile(gap_s, 0.5) AS usual_s
    FROM neighbours
    GROUP BY position
),
days AS (
    SELECT
        regexp_replace(neighbours.position, '/[^/]*$', '') AS asset,
        neighbours.position,
        CAST(neighbours.t AS date) AS day,
        count(*) AS captures,
        sum((1 - is_off) * least(coalesce(gap_s, usual_s), 3 * usual_s)) / 3600 AS running_h,
        sum(is_off * least(coalesce(gap_s, usual_s), 3 * usual_s)) / 3600 AS off_h,
        sum(is_alarm * (1 - is_off) * least(coalesce(gap_s, usual_s), 3 * usual_s)) / 3600 AS alarm_h,
        count_if(is_off = 1 AND off_before = 0) AS stops
    FROM neighbours
    JOIN habits ON habits.position = neighbours.position
    GROUP BY 1, 2, 3
),
ranked AS (
    SELECT *, row_number() OVER (PARTITION BY asset, day ORDER BY captures DESC, position) AS place
    FROM days
)
SELECT
    asset,
    day,
    round(running_h, 2) AS running_h,
    round(off_h, 2) AS off_h,
    round(greatest(24 - running_h - off_h, 0), 2) AS not_known_h,
    round(100 * running_h / nullif(running_h + off_h, 0), 1) AS running_percent,
    stops,
    round(alarm_h, 2) AS alarm_h,
    position
FROM ranked
WHERE place = 1
ORDER BY asset, day
