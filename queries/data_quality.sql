-- Data quality by sensor: captures a day, and how many are missing
-- The last fourteen whole days (UTC), a day without a capture included. What to expect of a sensor is what
-- it does itself: a day divided by the median time between its captures. Its first day is left out, as it
-- is seldom whole; so is a sensor with fewer than two captures.
WITH heard AS (
    SELECT
        sensor,
        t,
        lag(t) OVER (PARTITION BY sensor ORDER BY t) AS t_before
    FROM (
        SELECT DISTINCT sensor, capture_id, t
        FROM captures
        WHERE
            t >= date_trunc('day', current_timestamp) - interval '14' day
            AND t < date_trunc('day', current_timestamp)
            AND record_id NOT LIKE 'import/%'
    ) AS instants
),
cadence AS (
    SELECT
        sensor,
        min(CAST(t AS date)) AS first_day,
        approx_percentile(to_unixtime(t) - to_unixtime(t_before), 0.5) AS interval_s
    FROM heard
    GROUP BY sensor
),
daily AS (
    SELECT sensor, CAST(t AS date) AS day, count(*) AS captures
    FROM heard
    GROUP BY 1, 2
),
refused AS (
    SELECT sensor, CAST(received_at AS date) AS day, count(*) AS rejected
    FROM quarantine
    WHERE received_at >= date_trunc('day', current_timestamp) - interval '14' day
    GROUP BY 1, 2
),
calendar AS (
    SELECT cadence.sensor, cadence.interval_s, CAST(days.day AS date) AS day
    FROM cadence
    CROSS JOIN UNNEST(
        sequence(
            cadence.first_day,
            CAST(date_trunc('day', current_timestamp) AS date) - interval '1' day,
            interval '1' day
        )
    ) AS days (day)
    WHERE cadence.interval_s > 0 AND CAST(days.day AS date) > cadence.first_day
)
SELECT
    calendar.sensor,
    calendar.day,
    coalesce(daily.captures, 0) AS captures,
    CAST(round(86400 / calendar.interval_s) AS bigint) AS expected,
    greatest(CAST(round(86400 / calendar.interval_s) AS bigint) - coalesce(daily.captures, 0), 0) AS missing,
    coalesce(refused.rejected, 0) AS rejected
FROM calendar
LEFT JOIN daily ON daily.sensor = calendar.sensor AND daily.day = calendar.day
LEFT JOIN refused ON refused.sensor = calendar.sensor AND refused.day = calendar.day
ORDER BY calendar.sensor, calendar.day
