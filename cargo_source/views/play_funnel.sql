-- From the records that moved in a play's segment to the runs that succeeded: one row for each play, over all time.
-- Credits are those of the play's own nodes, 0.01 for each execution included; tools and agents that it calls have theirs
-- in credit_spend_daily.
SELECT
  p.uuid AS play_uuid,
  p.name AS play,
  p.is_enabled,
  CASE WHEN s.from_play THEN NULL ELSE s.name END AS segment,
  s.records_count AS in_segment,
  coalesce(c.entered, 0) AS entered,
  coalesce(c.updated, 0) AS updated,
  coalesce(c.departed, 0) AS departed,
  coalesce(r.runs, 0) AS runs,
  coalesce(r.records, 0) AS records_run,
  coalesce(r.succeeded, 0) AS succeeded,
  coalesce(r.failed, 0) AS failed,
  coalesce(r.runs, 0) - coalesce(r.succeeded, 0) - coalesce(r.failed, 0) AS other,
  r.succeeded / nullif(r.succeeded + r.failed, 0) AS success_rate,
  coalesce(x.provider_credits, 0) + coalesce(x.executions, 0) * 0.01 AS credits,
  r.last_run_at
FROM plays AS p
LEFT JOIN segments AS s ON s.uuid = p.segment_uuid
LEFT JOIN (
  SELECT
    segment_uuid,
    CAST(sum(added_records_count) AS BIGINT) AS entered,
    CAST(sum(updated_records_count) AS BIGINT) AS updated,
    CAST(sum(removed_records_count) AS BIGINT) AS departed
  FROM changes
  GROUP BY segment_uuid
) AS c ON c.segment_uuid = p.segment_uuid
LEFT JOIN (
  SELECT
    workflow_uuid,
    count(*) AS runs,
    count(DISTINCT record_id) AS records,
    count(CASE WHEN status = 'success' THEN 1 END) AS succeeded,
    count(CASE WHEN status = 'error' THEN 1 END) AS failed,
    max(created_at) AS last_run_at
  FROM runs
  GROUP BY workflow_uuid
) AS r ON r.workflow_uuid = p.workflow_uuid
LEFT JOIN (
  SELECT
    workflow_uuid,
    count(*) AS executions,
    sum(CASE WHEN node_kind IN ('tool', 'agent') THEN 0 ELSE coalesce(execution_credits_used_count, 0) END)
      AS provider_credits
  FROM spans
  WHERE execution_finished_at IS NOT NULL
  GROUP BY workflow_uuid
) AS x ON x.workflow_uuid = p.workflow_uuid
WHERE p._cargo_deleted_at IS NULL
