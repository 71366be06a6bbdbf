"""Releases of workflows: each has one draft that is edited in place, and at most one that is deployed."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from cargo_source.sandbox.identity import Stream
from cargo_source.sandbox.moments import HOUR, MINUTE, iso, parse

if TYPE_CHECKING:
    from cargo_source.sandbox.workspace.passing import Step
    from cargo_source.sandbox.workspace.workflows import Plan
    from cargo_source.sandbox.world import World

Wire = dict[str, Any]

ARCHIVED_EACH = 4
_TRIED_WITH = 5
"""How many records of a play's model its releases are tried with, in all."""
_DEPLOYED = (
    "uuid", "userUuid", "description", "version", "nodes", "formFields", "templateSlug", "deployedAt", "createdAt",
)  # fmt: skip
_NOTES = ("Adds a fallback", "Cheaper model first", "Né à Köln: new wording", "Raises the limit")


class WorkflowReleases:
    """Makes the releases of all workflows, edits drafts, and deploys them."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._table = world.tables["workflow_releases"]
        self._tried: dict[str, list[str]] = {}

    def write_history(self) -> None:
        """Give every workflow its draft, and what is deployed the releases that led to it."""
        for name, plan in self._world.named_plans.items():
            stream = Stream(self._world.seed, "workflow releases", name)
            workflow = self._world.tables["workflows"][plan.workflow]
            last = self._past(plan, workflow, stream) if plan.ready else None
            begun = parse(last["createdAt"]) + HOUR if last else parse(workflow["createdAt"])
            self._draft(plan, last, begun + stream.whole(MINUTE, HOUR), stream)

    def _past(self, plan: Plan, workflow: Wire, stream: Stream) -> Wire:
        shown = workflow["deployedRelease"]
        made, deployed = parse(workflow["createdAt"]), parse(shown["createdAt"])
        parent = None
        for turn, moment in enumerate(stream.moments(ARCHIVED_EACH, made, max(made, deployed - MINUTE))):
            old = self._release(plan, parent, moment, stream)
            old |= {"status": "archived", "version": f"0.0.{turn}", "nodes": self._edited(plan.graph.nodes, turn)}
            old["deployedAt"] = iso(moment) if turn else None  # the first one predates the time of deployment
            old["updatedAt"] = iso(moment + stream.whole(0, MINUTE))
            old["deletedAt"] = old["updatedAt"] if turn == 0 and stream.chance(0.3) else None
            parent = old["uuid"]
        new = self._release(plan, parent, deployed, stream, shown["uuid"])
        return self._deployed(new, shown)

    def _deployed(self, release: Wire, shown: Wire) -> Wire:
        moment = max(shown["createdAt"], shown["deployedAt"] or "")
        release |= {**shown, "status": "deployed", "updatedAt": moment}
        return release

    def _draft(self, plan: Plan, parent: Wire | None, moment: int, stream: Stream) -> None:
        draft = self._release(plan, parent["uuid"] if parent else None, moment, stream)
        draft["nodes"] = self._edited(parent["nodes"] if parent else plan.graph.nodes, stream.whole(1, 99))

    def _release(self, plan: Plan, parent: str | None, moment: int, stream: Stream, uuid: str | None = None) -> Wire:
        uuid = uuid or stream.uuid()
        shown = self._world.tables["workflows"][plan.workflow]["deployedRelease"]
        release: Wire = {
            "uuid": uuid,
            "parentUuid": parent,
            "workspaceUuid": self._world.team.workspace_uuid,
            "userUuid": stream.pick(self._world.team.users),
            "workflowUuid": plan.workflow,
            "description": stream.pick(_NOTES) if stream.chance(0.6) else None,
            "version": None,
            "status": "draft",
            "templateSlug": shown["templateSlug"] if shown else None,
            "nodes": plan.graph.nodes,
            "formFields": shown["formFields"] if shown else None,
            "testRecords": self._test_records(plan, stream),
            "deployedAt": None,
            "createdAt": iso(moment),
            "updatedAt": iso(moment),
            "deletedAt": None,
        }
        self._table[uuid] = release
        return release

    def _edited(self, nodes: list[Wire], limit: int) -> list[Wire]:
        """Return nodes of which the last has another setting; scripts have an environment with a secret."""
        last = nodes[-1] | {"config": nodes[-1]["config"] | {"limit": limit}}
        return [*(self._with_environment(node) for node in nodes[:-1]), last]

    def _with_environment(self, node: Wire) -> Wire:
        if node.get("actionSlug") != "script":
            return node
        env = [{"name": "API_KEY", "secretValue": self._world.team.secret("script", node["uuid"])}]
        return node | {"config": node["config"] | {"env": env}}

    def live(self, step: Step) -> None:
        """Edit drafts, which moves nothing else, and deploy some, which moves their workflow."""
        stream = Stream(self._world.seed, "workflow releases", step.number)
        drafts = [release for release in self._table.values() if release["status"] == "draft"]
        # A whole day sees at least one of each.
        often = stream.count if step.share > 0.5 else stream.rounded
        for draft in stream.some(drafts, often(5 * step.share)):
            draft["nodes"] = self._edited(draft["nodes"], stream.whole(1, 99))
            draft["testRecords"] = self._test_records(self._world.plans[draft["workflowUuid"]], stream)
            draft["updatedAt"] = iso(stream.whole(step.before + 1, step.part(0.5)))
            step.counts["draftsEdited"] += 1
        ready = {plan.workflow: name for name, plan in self._world.named_plans.items() if plan.ready}
        for draft in stream.some([each for each in drafts if each["workflowUuid"] in ready], often(2 * step.share)):
            self._deploy(draft, ready[draft["workflowUuid"]], stream.whole(step.part(0.5) + 1, step.after), stream)
            step.counts["workflowReleases"] += 1

    def _deploy(self, draft: Wire, name: str, moment: int, stream: Stream) -> None:
        """Turn a draft into the deployed release and begin the next draft; runs name the new one from now on."""
        world = self._world
        plan, workflow = world.named_plans[name], world.tables["workflows"][draft["workflowUuid"]]
        self._table[plan.release] |= {"status": "archived", "updatedAt": iso(moment)}
        version = f"1.{sum(each['workflowUuid'] == plan.workflow for each in self._table.values())}"
        draft |= {"status": "deployed", "version": version, "deployedAt": iso(moment), "updatedAt": iso(moment)}
        workflow |= {"deployedRelease": {key: draft[key] for key in _DEPLOYED}, "updatedAt": iso(moment)}
        world.named_plans[name] = world.plans[plan.workflow] = replace(plan, release=draft["uuid"])
        self._draft(plan, draft, moment, stream)

    def _test_records(self, plan: Plan, stream: Stream) -> list[Wire]:
        """Return what a workflow is tried with: records of a play's model by their ids, inputs of a tool."""
        count = stream.whole(0, 2)
        if plan.spec is None:
            inputs = [{"domain": f"test-{stream.whole(1, 99)}.example", "limit": None} for _ in range(count)]
            return [{"kind": "data", "data": each} for each in inputs]
        if plan.workflow not in self._tried:
            chosen = self._world.records_of(plan, _TRIED_WITH, f"tried {plan.workflow}")
            self._tried[plan.workflow] = [record.id for record in chosen]
        return [{"kind": "id", "id": record} for record in stream.some(self._tried[plan.workflow], count)]
