-- Every run that failed: of which play or tool, for which record, at which node, and why.
SELECT
  r.uuid AS run_uuid,
  r.created_at,
  r.finished_at,
  CASE WHEN p.uuid IS NOT NULL THEN 'play' WHEN t.uuid IS NOT NULL THEN 'tool' ELSE 'workflow' END AS kind,
  coalesce(p.name, t.name) AS name,
  r.workflow_uuid,
  r.record_id,
  r.batch_uuid,
  n.node_slug,
  n.node_kind,
  n.node_integration_slug,
  coalesce(n.execution_error_message, r.error_message) AS error_message
FROM runs AS r
LEFT JOIN workflows AS w ON w.uuid = r.workflow_uuid
LEFT JOIN plays AS p ON p.uuid = w.play_uuid
LEFT JOIN tools AS t ON t.uuid = w.tool_uuid
LEFT JOIN (
  SELECT
    run_uuid,
    node_slug,
    node_kind,
    node_integration_slug,
    execution_error_message,
    row_number() OVER (PARTITION BY run_uuid ORDER BY execution_index DESC) AS from_last
  FROM spans
  WHERE execution_status = 'error'
) AS n ON n.run_uuid = r.uuid AND n.from_last = 1
WHERE r.status = 'error'
