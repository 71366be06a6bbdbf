-- What each play, tool and agent spent on each day (UTC), by the day on which an execution or an answer ended.
-- Each execution costs 0.01 credit on top of what its provider takes, which no span shows. Nodes that call a tool or an
-- agent spend nothing themselves: the runs and the answer that they lead to do, and are counted there, once.
SELECT
  u.day,
  u.kind,
  u.uuid,
  max(u.name) AS name,
  sum(u.provider_credits) AS provider_credits,
  CAST(sum(u.executions) AS BIGINT) AS executions,
  sum(u.executions) * 0.01 AS execution_credits,
  sum(u.provider_credits) + sum(u.executions) * 0.01 AS credits
FROM (
  SELECT
    CAST(s.execution_finished_at AT TIME ZONE 'UTC' AS DATE) AS day,
    CASE WHEN p.uuid IS NOT NULL THEN 'play' WHEN t.uuid IS NOT NULL THEN 'tool' ELSE 'workflow' END AS kind,
    coalesce(p.uuid, t.uuid, s.workflow_uuid) AS uuid,
    coalesce(p.name, t.name) AS name,
    CASE WHEN s.node_kind IN ('tool', 'agent') THEN 0 ELSE coalesce(s.execution_credits_used_count, 0) END
      AS provider_credits,
    1 AS executions
  FROM spans AS s
  LEFT JOIN workflows AS w ON w.uuid = s.workflow_uuid
  LEFT JOIN plays AS p ON p.uuid = w.play_uuid
  LEFT JOIN tools AS t ON t.uuid = w.tool_uuid
  WHERE s.execution_finished_at IS NOT NULL
  UNION ALL
  SELECT
    CAST(r.finished_at AT TIME ZONE 'UTC' AS DATE) AS day,
    'agent' AS kind,
    r.agent_uuid AS uuid,
    a.name,
    r.credits_used_count AS provider_credits,
    0 AS executions
  FROM agent_runs AS r
  LEFT JOIN agents AS a ON a.uuid = r.agent_uuid
  WHERE r.finished_at IS NOT NULL AND r.credits_used_count IS NOT NULL
) AS u
GROUP BY u.day, u.kind, u.uuid
