-- Ingest balance by day
-- Records taken from the stream = stored + duplicate + quarantined; `unaccounted` must be 0.
SELECT
    CAST(t AS date) AS day,
    count(*) AS batches,
    sum(records) AS records,
    sum(stored) AS stored,
    sum(duplicate) AS duplicate,
    sum(quarantined) AS quarantined,
    sum(records) - sum(stored) - sum(duplicate) - sum(quarantined) AS unaccounted
FROM batches
WHERE "function" = 'extract_features' AND t >= current_timestamp - interval '30' day
GROUP BY 1
ORDER BY 1 DESC
