"""Where the vendor's types and the contract differ, and the sandbox keeps to the contract.

A place is the method and the keys that lead to an object, as a pattern; then comes the key. An exception that no answer
needs any more fails a test.
"""

OPTIONAL = "the contract lets it be absent, and in some rows it is, so that clients show that they bear it"
TOKENS = ("billable", "input", "output", "cacheRead", "cacheWrite", "reasoning")

ABSENT = {
    (r"ai\.chat\..*\.chats?", "traceUuid"): "the contract has it null until a tool has run; the client says always set",
    (r"ai\..*\.suggestedActions", "actions"): OPTIONAL,
    (r"orchestration\.tool\..*\.triggers", "temporalScheduleWorkflowId"): OPTIONAL,
    (r"orchestration\.tool\..*\.triggers", "data"): OPTIONAL,
    (r"orchestration\.tool\..*\.tools?", "icon"): OPTIONAL,
    (r"orchestration\.play\..*\.plays?", "healthAlertActions"): OPTIONAL,
    **{(r"ai\.message\..*\.usage", f"{each}TokensCount"): OPTIONAL for each in TOKENS},
}
"""Keys that the client's types call for."""

MORE = {
    (r"connection\.integration\..*\.integrations?", "documentationPath"): "in the contract only, where it is optional",
    **{
        (r"userManagement\.user\.getCurrent\.user", key): "the contract has one user for both paths; the client has two"
        for key in ("workspaceUuid", "permissions", "role")
    },
}
"""Keys that the client's types do not know."""
