-- Waveform of one capture, ready for a spectrum
-- One row per sample: seconds from the start, value in its unit. Shows the latest capture of the last day
-- that has a waveform unless one is chosen; an older one needs the days to look back as well.
WITH chosen AS (
    SELECT max_by(capture_id, t) AS capture_id
    FROM waveforms
    WHERE t >= current_timestamp - interval '1' /* days */ day
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
CROSS JOIN UNNEST(w.samples) WITH ORDINALITY AS s (sample, n)
WHERE w.capture_id = (SELECT capture_id FROM chosen) AND w.t >= current_timestamp - interval '1' /* days */ day
ORDER BY w.axis, s.n
