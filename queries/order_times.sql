-- How long work orders take, by site
-- Orders that were done in the last ninety days: hours from the order to the start of work and to its end, and how many were
-- cancelled. The maintenance system's own time of a change is used where it says one.
WITH orders AS (
    SELECT
        case_id,
        max_by(site, revision) AS site,
        min(t) AS created_at,
        min(CASE WHEN status = 'IN_PROGRESS' THEN coalesce(changed_at, t) END) AS started_at,
        max_by(status, revision) AS status,
        max_by(coalesce(changed_at, t), revision) AS ended_at
    FROM work_orders
    GROUP BY case_id
)
SELECT
    site,
    count_if(status = 'DONE') AS done,
    count_if(status = 'CANCELLED') AS cancelled,
    round(approx_percentile((to_unixtime(started_at) - to_unixtime(created_at)) / 3600, 0.5), 1) AS started_p50_h,
    round(
        approx_percentile((to_unixtime(ended_at) - to_unixtime(created_at)) / 3600, 0.5) FILTER (WHERE status = 'DONE'), 1
    ) AS done_p50_h,
    round(
        approx_percentile((to_unixtime(ended_at) - to_unixtime(created_at)) / 3600, 0.9) FILTER (WHERE status = 'DONE'), 1
    ) AS done_p90_h
FROM orders
WHERE status IN ('DONE', 'CANCELLED') AND ended_at >= current_timestamp - interval '90' /* days */ day
GROUP BY site
ORDER BY site
