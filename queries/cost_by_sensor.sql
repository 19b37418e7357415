-- Cost by sensor
-- What each sensor sent in the last thirty days, its share of all of it, and that share of a bill: choose `bill_usd`, what
-- the deployment cost in that time. Shares are by metered units of 5 KB, which AWS IoT bills by: one for each message, and
-- one for each 5 KB of samples at 2 bytes a sample. What a message weighs on the wire is not kept: that is a guess.
WITH messages AS (
    SELECT sensor, max_by(position, t) AS position, count(DISTINCT capture_id) AS captures, count(*) AS messages
    FROM captures
    WHERE t >= current_timestamp - interval '30' /* days */ day AND record_id NOT LIKE 'import/%'
    GROUP BY sensor
),
samples AS (
    SELECT sensor, sum(2 * CAST(cardinality(samples) AS bigint)) AS sample_bytes
    FROM waveforms
    WHERE t >= current_timestamp - interval '30' /* days */ day
    GROUP BY sensor
),
sent AS (
    SELECT
        messages.sensor,
        messages.position,
        messages.captures,
        messages.messages,
        coalesce(samples.sample_bytes, 0) AS sample_bytes,
        messages.messages + CAST(floor(coalesce(samples.sample_bytes, 0) / 5120e0) AS bigint) AS units
    FROM messages
    LEFT JOIN samples ON samples.sensor = messages.sensor
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
FROM sent
ORDER BY units DESC, sensor
