-- Steps of a quarter or more in velocity this month
-- Days from which a position's velocity stands at least 25 % (of itself) above or below what it was: the mean of that day
-- and the two after it against the mean of the seven before, of the running machine alone; the steepest day of each change.
-- ISO 20816-1 calls a quarter of the B/C boundary significant, up or down; a quarter of the level is less in zones A and B.
WITH days AS (
    SELECT
        position,
        t,
        velocity_axis,
        velocity_max_mm_s,
        avg(velocity_mean_mm_s) OVER (PARTITION BY position ORDER BY t ROWS BETWEEN 7 PRECEDING AND 1 PRECEDING) AS before,
        count(*) OVER (PARTITION BY position ORDER BY t ROWS BETWEEN 7 PRECEDING AND 1 PRECEDING) AS days_before,
        avg(velocity_mean_mm_s) OVER (PARTITION BY position ORDER BY t ROWS BETWEEN CURRENT ROW AND 2 FOLLOWING) AS since
    FROM position_daily
    WHERE t >= current_timestamp - interval '38' /* days */ day AND velocity_mean_mm_s IS NOT NULL
),
changes AS (
    SELECT *, 100 * (since / before - 1) AS percent
    FROM days
    WHERE days_before >= 3 AND before > 0
),
neighbours AS (
    SELECT
        *,
        coalesce(abs(lag(percent) OVER (PARTITION BY position ORDER BY t)), 0) AS size_before,
        coalesce(abs(lead(percent) OVER (PARTITION BY position ORDER BY t)), 0) AS size_after
    FROM changes
)
SELECT
    position,
    CAST(t AS date) AS day,
    round(before, 3) AS before_mm_s,
    round(since, 3) AS since_mm_s,
    round(percent, 1) AS percent,
    velocity_axis AS axis,
    velocity_max_mm_s
FROM neighbours
WHERE abs(percent) >= 25 /* percent */ AND abs(percent) > size_before AND abs(percent) >= size_after
ORDER BY abs(percent) DESC, position, day
