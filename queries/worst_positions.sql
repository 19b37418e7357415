-- Worst positions now
-- One row per position: the worst of its latest judgements of the last seven days, worst position first.
-- The score is the deviation as a share of the limit: at 1 the value is on the limit. Of the machine only: a sensor's
-- health is in faulty_sensors.
WITH latest AS (
    SELECT
        *,
        row_number() OVER (PARTITION BY position, channel, rule ORDER BY t DESC) AS age
    FROM verdicts
    WHERE t >= current_timestamp - interval '7' day AND rule <> 'sensor' AND rule NOT LIKE 'monitron%'
),
graded AS (
    SELECT
        *,
        CASE persistent WHEN 'ALARM' THEN 3 WHEN 'WARNING' THEN 2 WHEN 'HEALTHY' THEN 1 ELSE 0 END AS severity
    FROM latest
    WHERE age = 1
),
ranked AS (
    SELECT
        *,
        row_number() OVER (PARTITION BY position ORDER BY severity DESC, score DESC, channel, rule) AS place
    FROM graded
)
SELECT
    position,
    persistent,
    round(score, 2) AS score,
    channel,
    rule,
    feature,
    value,
    "limit",
    unit,
    margin,
    zone,
    limit_source,
    reason,
    t,
    capture_id
FROM ranked
WHERE place = 1
ORDER BY severity DESC, score DESC, position
