-- Lead times: from the first warning to alarm, to a person, and to the repair
-- By what technicians found, over the cases resolved in the last year that were no false alarm. A case that opened as an
-- alarm has 0 days to alarm; one that was never acknowledged or never came to an alarm is left out of that column alone.
WITH history AS (
    SELECT
        case_id,
        min(opened_at) AS opened_at,
        min(CASE WHEN severity = 'ALARM' THEN t END) AS alarm_at,
        min(CASE WHEN change = 'acknowledged' THEN t END) AS acknowledged_at
    FROM cases
    GROUP BY case_id
),
latest AS (
    SELECT *, row_number() OVER (PARTITION BY case_id ORDER BY t DESC) AS age
    FROM labels
    WHERE case_id NOT LIKE 'missed-%'
),
spans AS (
    SELECT
        labels.failure_mode,
        (to_unixtime(history.acknowledged_at) - to_unixtime(labels.opened_at)) / 3600 AS acknowledged_h,
        (to_unixtime(history.alarm_at) - to_unixtime(labels.opened_at)) / 86400 AS alarm_d,
        (to_unixtime(labels.t) - to_unixtime(labels.opened_at)) / 86400 AS resolved_d
    FROM latest AS labels
    LEFT JOIN history ON history.case_id = labels.case_id
    WHERE labels.age = 1 AND labels.failure_mode <> 'NO_ISSUE' AND labels.t >= current_timestamp - interval '365' /* days */ day
)
SELECT
    failure_mode,
    count(*) AS cases,
    round(approx_percentile(acknowledged_h, 0.5), 1) AS acknowledged_p50_h,
    round(approx_percentile(alarm_d, 0.5), 1) AS alarm_p50_days,
    count_if(alarm_d > 0) AS warned_before_alarm,
    round(min(resolved_d), 1) AS repair_min_days,
    round(approx_percentile(resolved_d, 0.5), 1) AS repair_p50_days,
    round(max(resolved_d), 1) AS repair_max_days
FROM spans
GROUP BY failure_mode
ORDER BY cases DESC, failure_mode
