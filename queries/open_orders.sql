-- Work orders that are not done, with their age
-- The latest change of each order that is neither done nor cancelled, and those that the maintenance system refused to make;
-- the oldest first.
WITH revisions AS (
    SELECT
        *,
        row_number() OVER (PARTITION BY case_id ORDER BY revision DESC) AS age,
        min(t) OVER (PARTITION BY case_id) AS first_t
    FROM work_orders
)
SELECT
    site,
    position,
    ref,
    cmms,
    coalesce(status, 'REFUSED') AS status,
    severity,
    title,
    round((to_unixtime(current_timestamp) - to_unixtime(first_t)) / 86400, 1) AS days_old,
    round((to_unixtime(current_timestamp) - to_unixtime(coalesce(changed_at, t))) / 86400, 1) AS days_unchanged,
    problem,
    case_id
FROM revisions
WHERE age = 1 AND coalesce(status, 'REFUSED') NOT IN ('DONE', 'CANCELLED')
ORDER BY first_t, case_id
