-- How each agent did on each day (UTC) on which it was asked: answers, successes, time, credits, scores and votes.
-- The success rate is that of answers that ended. Credits are those of messages: a trace covers a whole chat.
SELECT
  CAST(r.created_at AT TIME ZONE 'UTC' AS DATE) AS day,
  r.agent_uuid,
  max(a.name) AS agent,
  count(*) AS answers,
  count(CASE WHEN r.status = 'success' THEN 1 END) AS successes,
  count(CASE WHEN r.status = 'error' THEN 1 END) AS errors,
  count(CASE WHEN r.status = 'success' THEN 1 END)
    / nullif(count(CASE WHEN r.status IN ('success', 'error', 'cancelled') THEN 1 END), 0) AS success_rate,
  coalesce(sum(r.credits_used_count), 0) AS credits,
  sum(r.credits_used_count)
    / nullif(count(CASE WHEN r.status = 'success' THEN 1 END), 0) AS credits_per_success,
  percentile_cont(0.5) WITHIN GROUP (ORDER BY r.duration_seconds) AS median_seconds,
  max(r.duration_seconds) AS longest_seconds,
  CAST(sum(r.tokens_used_count) AS BIGINT) AS tokens,
  avg(r.evaluation_score) AS mean_score,
  count(CASE WHEN r.evaluation_passed THEN 1 END) AS evaluations_passed,
  count(r.evaluation_passed) AS evaluations,
  CAST(coalesce(sum(v.upvotes), 0) AS BIGINT) AS upvotes,
  CAST(coalesce(sum(v.downvotes), 0) AS BIGINT) AS downvotes,
  CAST(coalesce(sum(r.child_runs_count), 0) AS BIGINT) AS child_runs
FROM agent_runs AS r
LEFT JOIN agents AS a ON a.uuid = r.agent_uuid
LEFT JOIN (
  SELECT
    message_uuid,
    count(CASE WHEN is_upvoted THEN 1 END) AS upvotes,
    count(CASE WHEN NOT is_upvoted THEN 1 END) AS downvotes
  FROM votes
  WHERE _cargo_deleted_at IS NULL
  GROUP BY message_uuid
) AS v ON v.message_uuid = r.message_uuid
GROUP BY CAST(r.created_at AT TIME ZONE 'UTC' AS DATE), r.agent_uuid
