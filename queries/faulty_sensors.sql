-- Sensors that are faulty now
-- One row per axis whose sensor's fault stands, by its latest judgement of the last seven days; since when, and why.
WITH health AS (
    SELECT
        *,
        row_number() OVER (PARTITION BY position, channel ORDER BY t DESC) AS age,
        max(CASE WHEN persistent <> 'SENSOR_FAULT' THEN t END) OVER (PARTITION BY position, channel) AS last_sound
    FROM verdicts
    WHERE rule = 'sensor' AND t >= current_timestamp - interval '7' day
),
faulty AS (
    SELECT position, channel, min(t) AS since
    FROM health
    WHERE last_sound IS NULL OR t > last_sound
    GROUP BY position, channel
)
SELECT health.position, health.channel, faulty.since, health.reason, health.t, health.capture_id
FROM health
JOIN faulty ON faulty.position = health.position AND faulty.channel = health.channel
WHERE health.age = 1 AND health.persistent = 'SENSOR_FAULT'
ORDER BY faulty.since, health.position, health.channel
