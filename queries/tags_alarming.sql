-- Tags that alarmed this week
-- Watched tags by their alarms of the last seven days, the most first: what they did, and when their level moved for good.
SELECT
    position,
    tag,
    count_if(is_anomaly) AS alarms,
    count_if(is_changepoint) AS changepoints,
    max_by(reason, t) AS last_reason,
    max_by(words, t) AS last_words,
    max(t) AS last_t,
    max(score) AS highest_score
FROM tag_alarms
WHERE t >= current_timestamp - interval '7' /* days */ day
GROUP BY position, tag
ORDER BY alarms DESC, highest_score DESC, position, tag
