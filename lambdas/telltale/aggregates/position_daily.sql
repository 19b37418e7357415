-- What became of each position, day by day (UTC)
-- Of the days from the first parameter until before the second; they stand by turns. Each table is mentioned once, and each
-- WITH too: Athena reads, and bills, what stands in a WITH again for every mention of it.
WITH instants AS (
    -- the messages of one capture share its id
    SELECT
        position,
        date_trunc('day', t) AS day,
        capture_id,
        max(site) AS site,
        max(sensor) AS sensor,
        min(t) AS t,
        max(temperature_c) AS temperature_c,
        -- the messages that came over the line itself
        sum(CASE WHEN record_id LIKE 'import/%' THEN 0 ELSE 1 END) AS messages,
        max(gateway) AS gateway,
        max(battery_pct) AS battery_pct,
        max(rssi_dbm) AS rssi_dbm
    FROM captures
    WHERE t >= ? AND t < ?
    GROUP BY 1, 2, 3
),
gaps AS (
    SELECT
        *,
        to_unixtime(lead(t) OVER (PARTITION BY position, day ORDER BY t, capture_id)) - to_unixtime(t) AS gap_s
    FROM instants
),
ranked AS (
    -- captures of one instant, of two sensors, have no time between them
    SELECT
        *,
        CASE WHEN gap_s > 0 THEN row_number() OVER (PARTITION BY position, day, gap_s > 0 ORDER BY gap_s) END AS place,
        count(CASE WHEN gap_s > 0 THEN 1 END) OVER (PARTITION BY position, day) AS intervals
    FROM gaps
),
heard AS (
    -- the usual interval of the day: the median, of an even number the lower of the two in the middle
    SELECT
        position,
        day,
        capture_id,
        site,
        sensor,
        t,
        temperature_c,
        messages,
        gateway,
        battery_pct,
        rssi_dbm,
        gap_s,
        max(CASE WHEN place = (intervals + 1) / 2 THEN gap_s END) OVER (PARTITION BY position, day) AS interval_s
    FROM ranked
),
axes AS (
    SELECT
        position,
        date_trunc('day', t) AS day,
        capture_id,
        axis AS channel,
        max(site) AS site,
        max(velocity_rms_mm_s) AS velocity_mm_s,
        max(CASE WHEN fs_hz IS NOT NULL THEN n_samples END) AS samples
    FROM features
    WHERE t >= ? AND t < ?
    GROUP BY 1, 2, 3, 4
),
judgements AS (
    SELECT
        position,
        date_trunc('day', t) AS day,
        capture_id,
        channel,
        max(site) AS site,
        max(CASE WHEN rule <> 'model' THEN 1 ELSE 0 END) AS of_capture,
        max(CASE WHEN verdict = 'MACHINE_OFF' AND rule <> 'model' THEN 1 ELSE 0 END) AS is_off,
        max(CASE WHEN verdict IN ('HEALTHY', 'WARNING', 'ALARM') AND rule NOT IN ('sensor', 'model') THEN 1 ELSE 0 END)
            AS is_assessed,
        max(CASE WHEN verdict = 'SENSOR_FAULT' THEN 1 ELSE 0 END) AS is_faulty,
        max(CASE WHEN rule <> 'sensor' THEN score END) AS score,
        max(CASE WHEN rule = 'zone' THEN zone END) AS zone,
        max(
            CASE
                WHEN rule = 'sensor' THEN NULL
                WHEN persistent = 'ALARM' THEN 3
                WHEN persistent = 'WARNING' THEN 2
                WHEN persistent = 'HEALTHY' THEN 1
                ELSE 0
            END
        ) AS severity
    FROM verdicts
    WHERE t >= ? AND t < ?
    GROUP BY 1, 2, 3, 4
),
channels AS (
    -- what a faulty sensor measures is nothing of the machine
    SELECT
        coalesce(j.position, a.position) AS position,
        coalesce(j.day, a.day) AS day,
        coalesce(j.capture_id, a.capture_id) AS capture_id,
        coalesce(j.channel, a.channel) AS channel,
        coalesce(j.site, a.site) AS site,
        CASE WHEN coalesce(j.is_faulty, 0) = 0 THEN a.velocity_mm_s END AS velocity_mm_s,
        a.samples,
        j.of_capture,
        j.is_off,
        j.is_assessed,
        j.is_faulty,
        j.score,
        j.zone,
        j.severity
    FROM judgements AS j
    FULL JOIN axes AS a
        ON j.position = a.position AND j.day = a.day AND j.capture_id = a.capture_id AND j.channel = a.channel
),
judged AS (
    SELECT
        position,
        day,
        capture_id,
        max(site) AS site,
        CASE WHEN coalesce(max(is_off), 0) = 0 THEN max(velocity_mm_s) END AS velocity_mm_s,
        CASE WHEN coalesce(max(is_off), 0) = 0 THEN max_by(channel, velocity_mm_s) END AS velocity_axis,
        sum(samples) AS samples,
        max(of_capture) AS of_capture,
        max(is_off) AS is_off,
        max(is_assessed) AS is_assessed,
        max(is_faulty) AS is_faulty,
        max(score) AS score,
        max(zone) AS zone,
        max(severity) AS severity
    FROM channels
    GROUP BY position, day, capture_id
),
moments AS (
    -- a capture stands for the time until the next one, at most for the usual interval
    SELECT
        coalesce(h.position, j.position) AS position,
        coalesce(h.day, j.day) AS day,
        coalesce(h.site, j.site) AS site,
        h.capture_id,
        h.sensor,
        h.t,
        h.temperature_c,
        h.messages,
        h.gateway,
        h.battery_pct,
        h.rssi_dbm,
        h.interval_s,
        least(coalesce(h.gap_s, h.interval_s), h.interval_s) / 60 AS minutes,
        j.velocity_mm_s,
        j.velocity_axis,
        j.samples,
        j.of_capture,
        j.is_off,
        j.is_assessed,
        j.is_faulty,
        j.score,
        j.zone,
        j.severity
    FROM heard AS h
    FULL JOIN judged AS j ON h.position = j.position AND h.day = j.day AND h.capture_id = j.capture_id
),
measured AS (
    SELECT
        position,
        day,
        max(site) AS site,
        count(capture_id) AS captures,
        max_by(sensor, t) AS sensor,
        max(t) AS last_capture_at,
        max(interval_s) AS interval_s,
        avg(temperature_c) AS temperature_mean_c,
        max(temperature_c) AS temperature_max_c,
        sum(messages) AS messages,
        max_by(gateway, CASE WHEN gateway IS NOT NULL THEN t END) AS gateway,
        max_by(battery_pct, CASE WHEN battery_pct IS NOT NULL THEN t END) AS battery_pct,
        max_by(rssi_dbm, CASE WHEN rssi_dbm IS NOT NULL THEN t END) AS rssi_dbm,
        avg(velocity_mm_s) AS velocity_mean_mm_s,
        max(velocity_mm_s) AS velocity_max_mm_s,
        max_by(velocity_axis, velocity_mm_s) AS velocity_axis,
        sum(samples) AS samples,
        coalesce(sum(of_capture), 0) AS judged,
        sum(CASE WHEN is_off = 1 THEN 1 ELSE 0 END) AS machine_off,
        sum(CASE WHEN of_capture = 1 AND is_off = 0 AND is_assessed = 0 THEN 1 ELSE 0 END) AS not_assessable,
        sum(CASE WHEN is_faulty = 1 THEN 1 ELSE 0 END) AS sensor_faults,
        sum(CASE WHEN of_capture = 1 AND severity = 2 THEN 1 ELSE 0 END) AS warnings,
        sum(CASE WHEN of_capture = 1 AND severity = 3 THEN 1 ELSE 0 END) AS alarms,
        max(severity) AS severity,
        max(score) AS score_max,
        sum(CASE WHEN zone = 'A' THEN 1 ELSE 0 END) AS zone_a,
        sum(CASE WHEN zone = 'B' THEN 1 ELSE 0 END) AS zone_b,
        sum(CASE WHEN zone = 'C' THEN 1 ELSE 0 END) AS zone_c,
        sum(CASE WHEN zone = 'D' THEN 1 ELSE 0 END) AS zone_d,
        sum(CASE WHEN zone = 'A' THEN minutes ELSE 0 * minutes END) AS zone_a_min,
        sum(CASE WHEN zone = 'B' THEN minutes ELSE 0 * minutes END) AS zone_b_min,
        sum(CASE WHEN zone = 'C' THEN minutes ELSE 0 * minutes END) AS zone_c_min,
        sum(CASE WHEN zone = 'D' THEN minutes ELSE 0 * minutes END) AS zone_d_min
    FROM moments
    GROUP BY position, day
),
happened AS (
    SELECT
        position,
        date_trunc('day', t) AS day,
        site,
        'reading' AS what,
        NULL AS case_id
    FROM readings
    WHERE t >= ? AND t < ?
    UNION ALL
    SELECT
        position,
        date_trunc('day', t) AS day,
        site,
        change AS what,
        case_id
    FROM cases
    WHERE t >= ? AND t < ? AND change IN ('opened', 'resolved')
    UNION ALL
    SELECT
        position,
        date_trunc('day', t) AS day,
        site,
        'false alarm' AS what,
        case_id
    FROM labels
    WHERE t >= ? AND t < ? AND failure_mode = 'NO_ISSUE' AND case_id NOT LIKE 'missed-%'
),
counted AS (
    SELECT
        position,
        day,
        max(site) AS site,
        count(CASE WHEN what = 'reading' THEN 1 END) AS readings,
        count(DISTINCT CASE WHEN what = 'opened' THEN case_id END) AS cases_opened,
        count(DISTINCT CASE WHEN what = 'resolved' THEN case_id END) AS cases_resolved,
        count(DISTINCT CASE WHEN what = 'false alarm' THEN case_id END) AS false_alarms
    FROM happened
    GROUP BY position, day
),
joined AS (
    SELECT
        m.*,
        coalesce(m.day, c.day) AS of_day,
        coalesce(m.position, c.position) AS of_position,
        coalesce(m.site, c.site) AS of_site,
        -- seconds of the day that are over, for a day that is not
        greatest(0, least(86400, to_unixtime(current_timestamp) - to_unixtime(coalesce(m.day, c.day)))) AS elapsed_s,
        c.readings,
        c.cases_opened,
        c.cases_resolved,
        c.false_alarms
    FROM measured AS m
    FULL JOIN counted AS c ON m.position = c.position AND m.day = c.day
)
SELECT
    of_day AS t,
    of_position AS position,
    of_site AS site,
    sensor,
    coalesce(captures, 0) AS captures,
    last_capture_at,
    interval_s,
    CAST(round(elapsed_s / interval_s) AS bigint) AS expected,
    CASE WHEN interval_s IS NOT NULL AND elapsed_s > 0 THEN greatest(0, 1 - captures * interval_s / elapsed_s) END
        AS missing_share,
    coalesce(judged, 0) AS judged,
    coalesce(machine_off, 0) AS machine_off,
    (judged - machine_off) / CAST(nullif(judged, 0) AS double) AS running_share,
    coalesce(not_assessable, 0) AS not_assessable,
    coalesce(sensor_faults, 0) AS sensor_faults,
    velocity_mean_mm_s,
    velocity_max_mm_s,
    velocity_axis,
    temperature_mean_c,
    temperature_max_c,
    CASE severity WHEN 3 THEN 'ALARM' WHEN 2 THEN 'WARNING' WHEN 1 THEN 'HEALTHY' WHEN 0 THEN 'UNKNOWN' END AS worst,
    score_max,
    coalesce(warnings, 0) AS warnings,
    coalesce(alarms, 0) AS alarms,
    coalesce(zone_a, 0) AS zone_a,
    coalesce(zone_b, 0) AS zone_b,
    coalesce(zone_c, 0) AS zone_c,
    coalesce(zone_d, 0) AS zone_d,
    zone_a_min,
    zone_b_min,
    zone_c_min,
    zone_d_min,
    coalesce(cases_opened, 0) AS cases_opened,
    coalesce(cases_resolved, 0) AS cases_resolved,
    coalesce(false_alarms, 0) AS false_alarms,
    coalesce(readings, 0) AS readings,
    coalesce(samples, 0) * 2 AS sample_bytes,
    coalesce(messages, 0) AS messages,
    gateway,
    battery_pct,
    rssi_dbm
FROM joined
