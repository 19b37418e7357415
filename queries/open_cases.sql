-- Open cases with their reasons
-- The latest revision of every case that is not over, the most severe and then the oldest first. The reason is that of
-- the last capture that changed it; a case with a parent has no order of its own, for the parent's names it.
WITH revisions AS (
    SELECT
        *,
        row_number() OVER (PARTITION BY case_id ORDER BY revision DESC) AS age
    FROM cases
),
told AS (
    SELECT case_id, max_by(rule, revision) AS rule, max_by(channel, revision) AS channel, max_by(reason, revision) AS reason
    FROM cases
    WHERE change IN ('opened', 'updated') OR (change = 'reopened' AND by IS NULL)
    GROUP BY case_id
),
joined AS (
    SELECT case_id, max_by(parent, revision) AS parent
    FROM cases
    WHERE change = 'grouped'
    GROUP BY case_id
)
SELECT
    revisions.case_id,
    position,
    severity,
    state,
    change AS last_change,
    opened_at,
    round((to_unixtime(current_timestamp) - to_unixtime(opened_at)) / 86400, 1) AS days_open,
    coalesce(told.rule, revisions.rule) AS rule,
    coalesce(told.channel, revisions.channel) AS channel,
    fault,
    coalesce(told.reason, revisions.reason) AS reason,
    shelved_until,
    nullif(joined.parent, '') AS parent,
    revision
FROM revisions
LEFT JOIN told ON told.case_id = revisions.case_id
LEFT JOIN joined ON joined.case_id = revisions.case_id
WHERE age = 1 AND change NOT IN ('resolved', 'confirmed', 'labelled', 'noted') AND revisions.case_id NOT LIKE 'monitron-%'
ORDER BY CASE severity WHEN 'ALARM' THEN 0 ELSE 1 END, opened_at, revisions.case_id
