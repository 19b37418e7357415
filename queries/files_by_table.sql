-- Files and bytes by table
-- The live data files of each table as Iceberg counts them, so that it costs no look at the data: rows, bytes, how many files
-- are smaller than 8 MB (one per day and table is normal, many wait for compaction), and bytes a row. Tables without files
-- are left out; what snapshots keep for time travel is not counted.
WITH files AS (
    SELECT 'captures' AS table_name, file_path, record_count, file_size_in_bytes
    FROM "captures$files"
    WHERE content = 0
    UNION ALL
    SELECT 'waveforms' AS table_name, file_path, record_count, file_size_in_bytes
    FROM "waveforms$files"
    WHERE content = 0
    UNION ALL
    SELECT 'features' AS table_name, file_path, record_count, file_size_in_bytes
    FROM "features$files"
    WHERE content = 0
    UNION ALL
    SELECT 'readings' AS table_name, file_path, record_count, file_size_in_bytes
    FROM "readings$files"
    WHERE content = 0
    UNION ALL
    SELECT 'verdicts' AS table_name, file_path, record_count, file_size_in_bytes
    FROM "verdicts$files"
    WHERE content = 0
    UNION ALL
    SELECT 'tag_alarms' AS table_name, file_path, record_count, file_size_in_bytes
    FROM "tag_alarms$files"
    WHERE content = 0
    UNION ALL
    SELECT 'scores' AS table_name, file_path, record_count, file_size_in_bytes
    FROM "scores$files"
    WHERE content = 0
    UNION ALL
    SELECT 'diagnoses' AS table_name, file_path, record_count, file_size_in_bytes
    FROM "diagnoses$files"
    WHERE content = 0
    UNION ALL
    SELECT 'cases' AS table_name, file_path, record_count, file_size_in_bytes
    FROM "cases$files"
    WHERE content = 0
    UNION ALL
    SELECT 'work_orders' AS table_name, file_path, record_count, file_size_in_bytes
    FROM "work_orders$files"
    WHERE content = 0
    UNION ALL
    SELECT 'labels' AS table_name, file_path, record_count, file_size_in_bytes
    FROM "labels$files"
    WHERE content = 0
    UNION ALL
    SELECT 'acts' AS table_name, file_path, record_count, file_size_in_bytes
    FROM "acts$files"
    WHERE content = 0
    UNION ALL
    SELECT 'quarantine' AS table_name, file_path, record_count, file_size_in_bytes
    FROM "quarantine$files"
    WHERE content = 0
    UNION ALL
    SELECT 'batches' AS table_name, file_path, record_count, file_size_in_bytes
    FROM "batches$files"
    WHERE content = 0
    UNION ALL
    SELECT 'monitron_events' AS table_name, file_path, record_count, file_size_in_bytes
    FROM "monitron_events$files"
    WHERE content = 0
    UNION ALL
    SELECT 'lookout_findings' AS table_name, file_path, record_count, file_size_in_bytes
    FROM "lookout_findings$files"
    WHERE content = 0
    UNION ALL
    SELECT 'position_daily' AS table_name, file_path, record_count, file_size_in_bytes
    FROM "position_daily$files"
    WHERE content = 0
    UNION ALL
    SELECT 'site_daily' AS table_name, file_path, record_count, file_size_in_bytes
    FROM "site_daily$files"
    WHERE content = 0
)
SELECT
    table_name,
    count(*) AS files,
    sum(record_count) AS records,
    round(sum(file_size_in_bytes) / 1e6, 3) AS mb,
    round(max(file_size_in_bytes) / 1e6, 3) AS largest_mb,
    count_if(file_size_in_bytes < 8e6) AS below_8_mb,
    round(CAST(sum(file_size_in_bytes) AS double) / sum(record_count), 1) AS bytes_a_record
FROM files
GROUP BY table_name
ORDER BY mb DESC, table_name
