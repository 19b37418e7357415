-- Data quality by sensor: captures a day, and how many are missing
-- The last fourteen whole days (UTC) of the daily aggregates, a day without a capture included; yesterday is whole a
-- quarter of an hour after midnight. What to expect of a sensor is what it does itself: a day divided by its usual
-- interval, the median of those of its days. Its first day is left out, as it is seldom whole; so is a sensor with fewer
-- than two captures. Of two sensors that a position had on one day, the day counts for the last. Days that were only
-- imported are left out.
WITH heard AS (
    SELECT
        sensor,
        CAST(t AS date) AS day,
        captures,
        interval_s,
        to_unixtime(last_capture_at)
        - to_unixtime(lag(last_capture_at) OVER (PARTITION BY sensor ORDER BY last_capture_at)) AS day_s
    FROM position_daily
    WHERE
        t >= date_trunc('day', current_timestamp) - interval '14' day
        AND t < date_trunc('day', current_timestamp)
        AND coalesce(messages, judged) > 0
),
cadence AS (
    SELECT
        sensor,
        min(day) AS first_day,
        -- a sensor that comes once a day has no interval within one
        coalesce(approx_percentile(interval_s, 0.5), approx_percentile(day_s, 0.5)) AS interval_s
    FROM heard
    GROUP BY sensor
),
daily AS (
    SELECT sensor, day, sum(captures) AS captures
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
