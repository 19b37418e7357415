-- What was diagnosed, and what technicians found
-- One row per fault named by diagnosis and failure mode found, over all resolved cases: how often it came to that.
-- A case counts with the last fault that was named for it; null means that none was.
WITH named AS (
    SELECT case_id, fault, row_number() OVER (PARTITION BY case_id ORDER BY revision DESC) AS age
    FROM cases
    WHERE change IN ('opened', 'updated') AND fault IS NOT NULL
),
latest AS (
    SELECT *, row_number() OVER (PARTITION BY case_id ORDER BY t DESC) AS age
    FROM labels
    WHERE case_id NOT LIKE 'missed-%'
)
SELECT
    named.fault,
    labels.failure_mode,
    count(*) AS cases,
    count(DISTINCT labels.position) AS positions,
    min(labels.opened_at) AS first_opened,
    max(labels.t) AS last_resolved
FROM latest AS labels
LEFT JOIN named ON named.case_id = labels.case_id AND named.age = 1
WHERE labels.age = 1
GROUP BY named.fault, labels.failure_mode
ORDER BY cases DESC, named.fault, labels.failure_mode
