-- Waveform of one capture, ready for a spectrum
-- One row per sample: seconds from the start, value in its unit. Shows the latest capture of the last day
-- that has a waveform; to see another, put its id into `chosen` and its day into both time filters.
WITH chosen AS (
    -- SELECT 'sensor@1790000000000' AS capture_id
    SELECT max_by(capture_id, t) AS capture_id
    FROM waveforms
    WHERE t >= current_timestamp - interval '1' day
)
SELECT
    w.position,
    w.capture_id,
    w.axis,
    s.n - 1 AS n,
    (s.n - 1) / w.fs_hz AS seconds,
    s.sample * w.scale AS value,
    w.unit,
    w.fs_hz
FROM waveforms AS w
JOIN chosen ON w.capture_id = chosen.capture_id
CROSS JOIN UNNEST(w.samples) WITH ORDINALITY AS s (sample, n)
WHERE w.t >= current_timestamp - interval '1' day
ORDER BY w.axis, s.n
