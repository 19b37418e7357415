-- Lag from capture to stored, by hour
-- Seconds from the sample to its arrival in the cloud, and to the batch that stored it, for the messages
-- received in the last 24 hours. A capture's batch is the one with the highest first sequence number that is
-- not above the capture's own, in the same shard. What was sampled before yesterday (UTC) is left out, however
-- late it came: two days of the table are read, not all.
WITH marks AS (
    SELECT
        shard,
        "first" AS seq,
        0 AS is_capture,
        t AS stored_at,
        NULL AS sampled_at,
        NULL AS received_at
    FROM batches
    WHERE "function" = 'extract_features' AND t >= current_timestamp - interval '1' day
    UNION ALL
    SELECT
        split_part(record_id, ':', 1) AS shard,
        split_part(record_id, ':', 2) AS seq,
        1 AS is_capture,
        NULL AS stored_at,
        t AS sampled_at,
        received_at
    FROM captures
    WHERE
        t >= date_trunc('day', current_timestamp) - interval '1' day
        AND received_at >= current_timestamp - interval '1' day
        AND record_id NOT LIKE 'import/%'
),
matched AS (
    SELECT
        is_capture,
        received_at,
        to_unixtime(received_at) - to_unixtime(sampled_at) AS received_s,
        -- sequence numbers are whole numbers of up to 128 digits: of two the longer is the larger; and the batches of
        -- a shard are stored in their order, so that the last one before is the latest
        to_unixtime(
            max(stored_at) OVER (
                PARTITION BY shard ORDER BY length(seq), seq, is_capture ROWS UNBOUNDED PRECEDING
            )
        ) - to_unixtime(sampled_at) AS stored_s
    FROM marks
)
SELECT
    date_trunc('hour', received_at) AS hour,
    count(*) AS messages,
    round(approx_percentile(received_s, 0.5), 3) AS received_p50_s,
    round(approx_percentile(received_s, 0.95), 3) AS received_p95_s,
    round(approx_percentile(stored_s, 0.5), 3) AS stored_p50_s,
    round(approx_percentile(stored_s, 0.95), 3) AS stored_p95_s,
    round(max(stored_s), 3) AS stored_max_s
FROM matched
WHERE is_capture = 1
GROUP BY 1
ORDER BY 1
