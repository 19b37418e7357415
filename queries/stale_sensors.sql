-- Stale sensors
-- Sensors silent for more than three of their usual intervals (the median time between their captures of the
-- last thirty days), the longest silence first. The registry's own interval decides the live "Sensor Stale"
-- events; this is what the data alone says. What was imported is left out.
WITH heard AS (
    SELECT
        sensor,
        position,
        gateway,
        t,
        battery_pct,
        rssi_dbm,
        lag(t) OVER (PARTITION BY sensor ORDER BY t) AS t_before
    FROM captures
    WHERE t >= current_timestamp - interval '30' day AND record_id NOT LIKE 'import/%'
),
habits AS (
    SELECT
        sensor,
        max_by(position, t) AS position,
        max_by(gateway, t) AS gateway,
        max(t) AS last_seen,
        max_by(battery_pct, t) AS battery_pct,
        max_by(rssi_dbm, t) AS rssi_dbm,
        -- the parts of one capture share its time: they are not an interval
        approx_percentile(to_unixtime(t) - to_unixtime(t_before), 0.5) FILTER (WHERE t > t_before) AS interval_s,
        to_unixtime(current_timestamp) - to_unixtime(max(t)) AS silent_s
    FROM heard
    GROUP BY sensor
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
FROM habits
WHERE silent_s > 3 * interval_s
ORDER BY silent_s DESC, sensor
