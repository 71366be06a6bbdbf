-- How many records entered, left or changed in each segment on each day (UTC) on which it was evaluated, and how many
-- were inside after the last evaluation of that day. A play's own segment goes by the name of the play.
SELECT
  c.day,
  c.segment_uuid,
  max(CASE WHEN s.from_play THEN p.name ELSE s.name END) AS segment,
  max(CASE WHEN s.from_play THEN 'play' ELSE 'saved' END) AS kind,
  max(m."table") AS model,
  CAST(sum(c.added_records_count) AS BIGINT) AS entered,
  CAST(sum(c.removed_records_count) AS BIGINT) AS departed,
  CAST(sum(c.updated_records_count) AS BIGINT) AS updated,
  count(*) AS evaluations,
  max(CASE WHEN c.from_last = 1 THEN c.added_records_count + c.updated_records_count + c.unchanged_records_count END)
    AS members
FROM (
  SELECT
    *,
    CAST(created_at AT TIME ZONE 'UTC' AS DATE) AS day,
    row_number() OVER (
      PARTITION BY segment_uuid, CAST(created_at AT TIME ZONE 'UTC' AS DATE) ORDER BY created_at DESC, uuid DESC
    ) AS from_last
  FROM changes
) AS c
LEFT JOIN segments AS s ON s.uuid = c.segment_uuid
LEFT JOIN (SELECT segment_uuid, min(name) AS name FROM plays GROUP BY segment_uuid) AS p ON p.segment_uuid = c.segment_uuid
LEFT JOIN models AS m ON m.uuid = s.model_uuid
GROUP BY c.day, c.segment_uuid
