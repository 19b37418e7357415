-- Scorecard by site and month
-- Of the cases opened in each month of the last year: what technicians found (the last label of each), what nobody was warned of,
-- repairs that the rows confirmed, and medians of the hours from warning to repair, to a person, and from there to the repair.
-- Faults that were missed are those that people told of: `telltale scorecard missed add`; imported labels are in the command alone.
WITH told AS (
    SELECT
        case_id,
        max_by(site, revision) AS site,
        regexp_replace(max_by(position, revision), '/[^/]*$', '') AS asset,
        min(opened_at) AS opened_at,
        max_by(change, revision) IN ('resolved', 'confirmed', 'labelled', 'noted') AS is_over,
        max_by(failure_mode, revision) FILTER (WHERE change IN ('resolved', 'labelled')) AS failure_mode,
        max_by(action_taken, revision) FILTER (WHERE change IN ('resolved', 'labelled')) AS action_taken,
        min(CASE WHEN change = 'acknowledged' THEN t END) AS acknowledged_at,
        max(CASE WHEN change = 'resolved' THEN t END) AS resolved_at,
        max(CASE WHEN change = 'confirmed' THEN 1 ELSE 0 END) AS confirmed,
        max(CASE WHEN change = 'reopened' THEN 1 ELSE 0 END) AS reopened
    FROM cases
    WHERE case_id LIKE 'case-%'
    GROUP BY case_id
),
orders AS (
    SELECT
        case_id,
        max_by(status, revision) AS status,
        min(CASE WHEN status = 'IN_PROGRESS' THEN coalesce(changed_at, t) END) AS started_at
    FROM work_orders
    GROUP BY case_id
),
stories AS (
    SELECT
        told.case_id,
        told.site,
        told.asset,
        told.opened_at,
        CASE WHEN is_over THEN resolved_at END AS closed_at,
        coalesce(least(acknowledged_at, started_at), acknowledged_at, started_at) AS taken_up_at,
        is_over AND action_taken IN ('ADJUST', 'CLEAN', 'LUBRICATE', 'MODIFY', 'OVERHAUL', 'REPLACE') AND coalesce(failure_mode, '') <> 'NO_ISSUE' AS repaired,
        CASE WHEN is_over THEN confirmed ELSE 0 END AS confirmed,
        reopened,
        CASE
            WHEN NOT is_over THEN 'open'
            WHEN failure_mode = 'NO_ISSUE' THEN 'false'
            WHEN coalesce(failure_mode, 'UNDETERMINED') <> 'UNDETERMINED' THEN 'true'
            WHEN orders.status = 'CANCELLED' THEN 'false'
            ELSE 'undetermined'
        END AS truth
    FROM told
    LEFT JOIN orders ON orders.case_id = told.case_id
),
labelled AS (
    SELECT *, row_number() OVER (PARTITION BY case_id ORDER BY t DESC) AS age
    FROM labels
    WHERE case_id LIKE 'missed-%'
),
missed AS (
    SELECT labelled.case_id, max(labelled.site) AS site, max(labelled.opened_at) AS found_at, count(stories.case_id) AS seen
    FROM labelled
    LEFT JOIN stories
        ON stories.asset = regexp_replace(labelled.position, '/[^/]*$', '')
        AND stories.opened_at <= labelled.opened_at
        AND coalesce(stories.closed_at, labelled.opened_at) >= labelled.opened_at
    WHERE labelled.age = 1 AND labelled.failure_mode <> 'NO_ISSUE'
    GROUP BY labelled.case_id
),
lines AS (
    SELECT site, opened_at AS t, truth, confirmed, reopened, opened_at, closed_at, taken_up_at, repaired
    FROM stories
    UNION ALL
    SELECT site, found_at AS t, 'missed' AS truth, 0 AS confirmed, 0 AS reopened, NULL AS opened_at, NULL AS closed_at, NULL AS taken_up_at, false AS repaired
    FROM missed
    WHERE seen = 0
)
SELECT
    site,
    date_trunc('month', t) AS month,
    count_if(truth <> 'missed') AS cases,
    count_if(truth = 'open') AS still_open,
    count_if(truth = 'true') AS true_cases,
    count_if(truth = 'false') AS false_cases,
    count_if(truth = 'undetermined') AS undetermined,
    count_if(truth = 'missed') AS missed,
    round(100e0 * count_if(truth = 'false') / nullif(count_if(truth IN ('true', 'false')), 0), 1) AS false_percent,
    round(100e0 * count_if(truth = 'true') / nullif(count_if(truth IN ('true', 'missed')), 0), 1) AS found_percent,
    sum(confirmed) AS confirmed,
    sum(reopened) AS reopened,
    round(approx_percentile((to_unixtime(closed_at) - to_unixtime(opened_at)) / 3600, 0.5) FILTER (WHERE truth = 'true'), 1) AS lead_h,
    round(approx_percentile((to_unixtime(taken_up_at) - to_unixtime(opened_at)) / 3600, 0.5), 1) AS acknowledge_h,
    round(approx_percentile((to_unixtime(closed_at) - to_unixtime(taken_up_at)) / 3600, 0.5) FILTER (WHERE repaired), 1) AS repair_h
FROM lines
WHERE t >= date_trunc('month', current_timestamp) - interval '12' month
GROUP BY site, date_trunc('month', t)
ORDER BY month DESC, site
