-- Batteries, the soonest to be empty first
-- The last charge of each sensor, what it loses a day (the slope of ninety days), and how long it then lasts to 10 %. Null
-- where it loses nothing, or was heard on fewer than three days. Cold and weak radio make it worse: see rssi_dbm. Of each
-- day the last charge, by the daily aggregates: up to a quarter of an hour old.
WITH heard AS (
    SELECT
        sensor,
        position,
        last_capture_at,
        battery_pct,
        rssi_dbm,
        to_unixtime(last_capture_at) / 86400 AS days
    FROM position_daily
    WHERE t >= current_timestamp - interval '90' /* days */ day AND battery_pct IS NOT NULL
),
slopes AS (
    SELECT
        sensor,
        max_by(position, last_capture_at) AS position,
        max(last_capture_at) AS last_seen,
        max_by(battery_pct, last_capture_at) AS battery_pct,
        max_by(rssi_dbm, last_capture_at) AS rssi_dbm,
        CASE WHEN count(DISTINCT CAST(last_capture_at AS date)) >= 3 THEN -regr_slope(battery_pct, days) END AS loses
    FROM heard
    GROUP BY sensor
)
SELECT
    sensor,
    position,
    battery_pct,
    round(loses, 3) AS percent_a_day,
    CASE WHEN loses > 0 THEN round(greatest(battery_pct - 10, 0) / loses, 0) END AS days_left,
    rssi_dbm,
    last_seen
FROM slopes
ORDER BY CASE WHEN loses > 0 THEN greatest(battery_pct - 10, 0) / loses END, battery_pct, sensor
