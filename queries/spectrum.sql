-- Spectrum of one capture
-- Amplitude of each line from `from_hz` to `to_hz`, in the waveform's unit (peak), with a Hann window: a sine on a line
-- shows with its amplitude. Of the latest capture of the last day that has a waveform unless one is chosen; an older one
-- needs the days to look back as well. Every line costs a pass over the samples: ask for the range you look at.
WITH chosen AS (
    SELECT max_by(capture_id, t) AS capture_id
    FROM waveforms
    WHERE t >= current_timestamp - interval '1' /* days */ day
),
records AS (
    SELECT position, capture_id, axis, fs_hz, unit, scale, samples, cardinality(samples) AS n
    FROM waveforms
    WHERE capture_id = (SELECT capture_id FROM chosen) AND t >= current_timestamp - interval '1' /* days */ day
),
wave AS (
    SELECT
        r.axis,
        s.k - 1 AS k,
        s.sample * r.scale - avg(s.sample * r.scale) OVER (PARTITION BY r.axis) AS x
    FROM records AS r
    CROSS JOIN UNNEST(r.samples) WITH ORDINALITY AS s (sample, k)
),
spectral_lines AS (
    SELECT r.position, r.capture_id, r.axis, r.fs_hz, r.unit, r.n, l.line
    FROM records AS r
    CROSS JOIN UNNEST(
        sequence(
            CAST(ceil(0 /* from_hz */ * r.n / r.fs_hz) AS bigint),
            CAST(floor(least(500 /* to_hz */, r.fs_hz / 2) * r.n / r.fs_hz) AS bigint)
        )
    ) AS l (line)
),
sums AS (
    SELECT
        l.position,
        l.capture_id,
        l.axis,
        l.line * l.fs_hz / l.n AS hz,
        l.unit,
        l.n,
        -- whole turns are left out before the angle is taken: it stays exact in long records
        sum((1 - cos(2 * pi() * w.k / l.n)) * w.x * cos(2 * pi() * mod(l.line * w.k, l.n) / l.n)) AS re,
        sum((1 - cos(2 * pi() * w.k / l.n)) * w.x * sin(2 * pi() * mod(l.line * w.k, l.n) / l.n)) AS im
    FROM spectral_lines AS l
    JOIN wave AS w ON w.axis = l.axis
    GROUP BY l.position, l.capture_id, l.axis, l.line, l.fs_hz, l.unit, l.n
)
SELECT position, capture_id, axis, hz, 2 * sqrt(re * re + im * im) / n AS amplitude, unit
FROM sums
ORDER BY axis, hz
