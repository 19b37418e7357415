-- Stale sensors
-- Sensors silent for more than three of their usual intervals (the median of what was usual on each of the last thirty
-- days), the longest silence first. The registry's own interval decides the live "Sensor Stale" events; this is what
-- the data alone says: the daily aggregates, up to a quarter of an hour old, and the captures of the last three hours.
-- Of two sensors that a position had on one day, the day counts for the last. Days that were only imported are left out.
WITH days AS (
    SELECT
        sensor,
        position,
        gateway,
        last_capture_at,
        battery_pct,
        rssi_dbm,
        interval_s,
        to_unixtime(last_capture_at)
        - to_unixtime(lag(last_capture_at) OVER (PARTITION BY sensor ORDER BY last_capture_at)) AS day_s
    FROM position_daily
    WHERE t >= current_timestamp - interval '30' day AND coalesce(messages, judged) > 0
),
habits AS (
    SELECT
        sensor,
        max_by(position, last_capture_at) AS position,
        max_by(gateway, last_capture_at) FILTER (WHERE gateway IS NOT NULL) AS gateway,
        max(last_capture_at) AS last_capture_at,
        max_by(battery_pct, last_capture_at) FILTER (WHERE battery_pct IS NOT NULL) AS battery_pct,
        max_by(rssi_dbm, last_capture_at) FILTER (WHERE rssi_dbm IS NOT NULL) AS rssi_dbm,
        -- a sensor that comes once a day has no interval within one
        coalesce(approx_percentile(interval_s, 0.5), approx_percentile(day_s, 0.5)) AS interval_s
    FROM days
    GROUP BY sensor
),
heard AS (
    SELECT sensor, max(t) AS t
    FROM captures
    WHERE t >= current_timestamp - interval '3' hour AND record_id NOT LIKE 'import/%'
    GROUP BY sensor
),
silences AS (
    SELECT
        habits.sensor,
        habits.position,
        habits.gateway,
        greatest(habits.last_capture_at, coalesce(heard.t, habits.last_capture_at)) AS last_seen,
        habits.battery_pct,
        habits.rssi_dbm,
        habits.interval_s,
        to_unixtime(current_timestamp)
        - to_unixtime(greatest(habits.last_capture_at, coalesce(heard.t, habits.last_capture_at))) AS silent_s
    FROM habits
    LEFT JOIN heard ON heard.sensor = habits.sensor
)
SELECT
    sensor,
    position,
    gateway,
    last_seen,
    round(silent_s / 3600, 1) AS silent_hours,
    round(interval_s, 1) AS usual_interval_s,
    CAST(floor(silent_s / interval_s) AS bigint) AS missed,
    battery_pct,
    rssi_dbm
FROM silences
WHERE silent_s > 3 * interval_s
ORDER BY silent_s DESC, sensor
