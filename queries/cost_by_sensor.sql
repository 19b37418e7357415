-- Cost by sensor
-- What each sensor sent today and in the 29 days before, by the daily aggregates (today up to a quarter of an hour ago),
-- its share of all of it, and that share of a bill: choose `bill_usd`, what the deployment cost in that time. Shares are
-- by metered units of 5 KB, which AWS IoT bills by: one for each message, and one for each 5 KB of samples at 2 bytes a
-- sample. What a message weighs on the wire is not kept: that is a guess. Of two sensors that a position had on one day,
-- the day counts for the last. Days that were only imported are left out.
WITH sent AS (
    SELECT
        sensor,
        max_by(position, t) AS position,
        sum(captures) AS captures,
        -- a day that was aggregated before messages were counted: one for each capture, at least
        sum(coalesce(messages, captures)) AS messages,
        sum(sample_bytes) AS sample_bytes
    FROM position_daily
    WHERE t >= current_timestamp - interval '30' /* days */ day AND coalesce(messages, judged) > 0
    GROUP BY sensor
),
metered AS (
    SELECT *, messages + CAST(floor(sample_bytes / 5120e0) AS bigint) AS units
    FROM sent
)
SELECT
    sensor,
    position,
    captures,
    messages,
    round(sample_bytes / 1e6, 3) AS sample_mb,
    units,
    round(100e0 * units / sum(units) OVER (), 2) AS percent,
    round(1e0 * 0.0 /* bill_usd */ * units / sum(units) OVER (), 4) AS usd
FROM metered
ORDER BY units DESC, sensor
