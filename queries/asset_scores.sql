-- Models of assets: how unlike training each is now
-- The latest interval that each asset's live model judged in the last seven days, the most unlike first, with the tags that
-- say most, and since when it has been an anomaly without a break.
WITH judged AS (
    SELECT
        *,
        row_number() OVER (PARTITION BY asset ORDER BY t DESC) AS age,
        max(CASE WHEN prediction = 0 THEN t END) OVER (PARTITION BY asset) AS last_normal
    FROM scores
    WHERE t >= current_timestamp - interval '7' /* days */ day
),
anomalous AS (
    SELECT asset, min(t) AS since
    FROM judged
    WHERE prediction = 1 AND (last_normal IS NULL OR t > last_normal)
    GROUP BY asset
)
SELECT
    judged.asset,
    judged.t,
    judged.score,
    judged.deviation,
    judged.prediction_reason,
    anomalous.since,
    judged.contributions,
    judged.model
FROM judged
LEFT JOIN anomalous ON anomalous.asset = judged.asset
WHERE judged.age = 1
ORDER BY judged.score DESC, judged.asset
