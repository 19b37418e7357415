-- False-alarm rate from closure codes
-- Of the cases resolved in the last year, by site and by the rule that opened them: the share that technicians closed with
-- NO_ISSUE, by the last label of each. Null as rule: a case from before Telltale, or one whose opening is not in the lake.
WITH opened AS (
    SELECT case_id, min_by(rule, revision) AS rule
    FROM cases
    GROUP BY case_id
),
latest AS (
    SELECT *, row_number() OVER (PARTITION BY case_id ORDER BY t DESC) AS age
    FROM labels
    WHERE case_id NOT LIKE 'missed-%'
)
SELECT
    labels.site,
    opened.rule,
    count(*) AS resolved,
    count_if(labels.failure_mode = 'NO_ISSUE') AS false_alarms,
    round(100.0e0 * count_if(labels.failure_mode = 'NO_ISSUE') / count(*), 1) AS false_percent,
    count(DISTINCT labels.position) AS positions
FROM latest AS labels
LEFT JOIN opened ON opened.case_id = labels.case_id
WHERE labels.age = 1 AND labels.t >= current_timestamp - interval '365' /* days */ day
GROUP BY labels.site, opened.rule
ORDER BY false_percent DESC, labels.site, opened.rule
