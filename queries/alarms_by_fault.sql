-- Alarms by fault and asset
-- Cases opened in the last ninety days, by the last fault that was named for each; how many came to ALARM, how many are
-- open, and when the latest opened. Null as fault: none was named. A case that joined another one's order counts too.
WITH history AS (
    SELECT
        case_id,
        min(opened_at) AS opened_at,
        regexp_replace(max_by(position, revision), '/[^/]*$', '') AS asset,
        max_by(fault, revision) FILTER (WHERE fault IS NOT NULL) AS fault,
        max(CASE WHEN severity = 'ALARM' THEN 1 ELSE 0 END) AS alarm,
        max_by(CASE WHEN change IN ('resolved', 'confirmed', 'labelled', 'noted') THEN 1 ELSE 0 END, revision) AS resolved
    FROM cases
    GROUP BY case_id
)
SELECT
    fault,
    asset,
    count(*) AS cases,
    sum(alarm) AS alarms,
    sum(1 - resolved) AS still_open,
    max(opened_at) AS last_opened
FROM history
WHERE opened_at >= current_timestamp - interval '90' /* days */ day
GROUP BY fault, asset
ORDER BY cases DESC, fault, asset
