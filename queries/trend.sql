-- Trend of one position with its limits
-- Every judged value of the last thirty days beside the limit it was compared with, oldest first.
-- Shows the position with the highest score of the last seven days unless one is chosen.
WITH chosen AS (
    SELECT max_by(position, score) AS position
    FROM verdicts
    WHERE t >= current_timestamp - interval '7' day
)
SELECT
    v.t,
    v.position,
    v.channel,
    v.rule,
    v.feature,
    v.value,
    v."limit",
    v.unit,
    v.margin,
    v.zone,
    v.verdict,
    v.persistent,
    v.capture_id
FROM verdicts AS v
WHERE
    v.position = (SELECT position FROM chosen)
    AND v.t >= current_timestamp - interval '30' /* days */ day
    AND v.value IS NOT NULL
ORDER BY v.t, v.channel, v.rule
