-- How fresh and how whole each table is: its last sync, the last one that was complete, and what went wrong since.
SELECT
  l."table",
  l.pipeline,
  l.entity,
  l.status AS last_status,
  l.finished_at AS last_sync_at,
  s.last_complete_at,
  l.watermark,
  l.rows AS last_rows,
  s.rows AS rows_in_all,
  l.expected,
  l.got,
  l.lane,
  l.evidence,
  s.syncs,
  s.failed,
  s.retries,
  l.note
FROM (
  SELECT
    *,
    row_number() OVER (PARTITION BY pipeline, "table" ORDER BY finished_at DESC, run_id DESC) AS from_last
  FROM _cargo_syncs
) AS l
JOIN (
  SELECT
    pipeline,
    "table",
    max(CASE WHEN status = 'complete' THEN finished_at END) AS last_complete_at,
    CAST(sum(rows) AS BIGINT) AS rows,
    count(*) AS syncs,
    count(CASE WHEN status = 'failed' THEN 1 END) AS failed,
    CAST(sum(retries) AS BIGINT) AS retries
  FROM _cargo_syncs
  GROUP BY pipeline, "table"
) AS s ON s.pipeline = l.pipeline AND s."table" = l."table"
WHERE l.from_last = 1
