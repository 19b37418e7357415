-- Rejected records by reason
-- What was quarantined in the last seven days and from whom; the latest of each kind, to look into with
-- `telltale quarantine show`.
SELECT
    reason,
    gateway,
    sensor,
    count(*) AS records,
    min(received_at) AS first_received_at,
    max(received_at) AS last_received_at,
    max_by(detail, received_at) AS latest_detail,
    max_by(quarantine_id, received_at) AS latest_quarantine_id
FROM quarantine
WHERE received_at >= current_timestamp - interval '7' day
GROUP BY reason, gateway, sensor
ORDER BY records DESC, reason, gateway, sensor
