-- Open cases with their reasons
-- The latest revision of every case that is not resolved, the most severe and then the oldest first.
WITH revisions AS (
    SELECT
        *,
        row_number() OVER (PARTITION BY case_id ORDER BY revision DESC) AS age
    FROM cases
)
SELECT
    case_id,
    position,
    severity,
    state,
    change AS last_change,
    opened_at,
    round((to_unixtime(current_timestamp) - to_unixtime(opened_at)) / 86400, 1) AS days_open,
    rule,
    channel,
    fault,
    reason,
    revision
FROM revisions
WHERE age = 1 AND change <> 'resolved'
ORDER BY CASE severity WHEN 'ALARM' THEN 0 ELSE 1 END, opened_at, case_id
