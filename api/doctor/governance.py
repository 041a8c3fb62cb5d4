"""Agents, people and rules: inventory complete, fallbacks assigned, reviewers there, budgets set, shadow process run."""

from sqlalchemy import func, select

from api.conflicts import conflict_graph
from api.doctor.findings import Finding, looked, missing, ok, warning
from api.registry import inventory
from api.tenants import Tenant
from graph.bootstrap.system import Signalbox
from graph.runtime.shadow_schema import shadow_reports
from graph.topology.conflict_policy import load_policy

AGENTS, PEOPLE, GOVERNANCE = "agents", "people", "governance"


async def governance(box: Signalbox, tenant: Tenant) -> list[Finding]:
    """Everything about who decides, and under which rules."""
    checks = (
        (AGENTS, "inventory", lambda: _inventory(box, tenant), "signalbox registry"),
        (AGENTS, "tiers and fallbacks", lambda: _fallbacks(box), "signalbox topology check"),
        (AGENTS, "conflicts", lambda: _conflicts(box), "signalbox agents conflicts"),
        (
            PEOPLE,
            "review policy",
            lambda: _policy(box, tenant),
            "mend SIGNALBOX_REVIEW_POLICY_FILE or the tenants file",
        ),
        (
            PEOPLE,
            "review queue",
            lambda: _queue(box, tenant),
            "look at Redis and at the Slack settings (docs/slack.md)",
        ),
        (GOVERNANCE, "budgets", lambda: _budgets(box, tenant), "signalbox budgets"),
        (GOVERNANCE, "shadow process", lambda: _shadow(box, tenant), "signalbox shadow-test"),
    )
    return [line for area, name, check, mend in checks for line in await looked(area, name, check, mend=mend)]


async def _inventory(box: Signalbox, tenant: Tenant) -> list[Finding]:
    listed = await inventory(box, tenant.tenant)
    entries = listed["entries"]
    bare = [one["name"] for one in entries if not (one["owner"] and one["trigger"])]
    found = []
    if bare:
        said = f"without owner or trigger: {', '.join(bare)}"
        found.append(missing(AGENTS, "inventory", said, mend="describe them where they are registered"))
    if listed["unregistered"]:
        names = ", ".join(sorted({one["name"] for one in listed["unregistered"]}))
        mend = "list them in SIGNALBOX_AUTOMATIONS_FILE (docs/automations.md) or stop them"
        found.append(missing(AGENTS, "inventory", f"these send events and are not registered: {names}", mend=mend))
    agents = sum(one["kind"] == "agent" for one in entries)
    found = found or [ok(AGENTS, "inventory", f"{agents} agents, {len(entries) - agents} automations, all described")]
    if box.settings.automations_file is None:
        mend = "list what runs beside the agents in SIGNALBOX_AUTOMATIONS_FILE; an empty list says there is nothing"
        found.append(warning(AGENTS, "automations", "no file says which automations run", mend=mend))
    return found


async def _fallbacks(box: Signalbox) -> list[Finding]:
    found = []
    for flow in box.topology.workflows:
        bare = [node.name for node in flow.agents if not node.is_async and node.fallback is None]
        if bare:
            said = f"{flow.name}: no fallback for {', '.join(bare)}; a person is asked for each of their time-outs"
            found.append(missing(AGENTS, "tiers and fallbacks", said, mend="name a fallback in the topology file"))
        elif not flow.enabled:
            mend = "set enabled: true in the topology file"
            found.append(missing(AGENTS, "tiers and fallbacks", f"{flow.name} is switched off", mend=mend))
        else:
            tiers = ", ".join(f"{len(tier)} in tier {number}" for number, tier in enumerate(flow.tiers, start=1))
            found.append(
                ok(AGENTS, "tiers and fallbacks", f"{flow.name} {flow.version}: {tiers}, each with its fallback")
            )
    return found


async def _conflicts(box: Signalbox) -> Finding:
    policy = load_policy(box.settings.conflicts_file)
    bare = conflict_graph(box.topology.workflows, box.observing.automations, policy)["without_rule"]
    if bare:
        pairs = "; ".join(f"{pair['one']} and {pair['other']} on {pair['data']}" for pair in bare)
        return missing(
            AGENTS, "conflicts", f"no rule for {pairs}", mend="signalbox agents conflicts; add a rule or 'settled'"
        )
    return ok(AGENTS, "conflicts", f"every two writers of the same data have a rule ({policy.version})")


async def _policy(box: Signalbox, tenant: Tenant) -> Finding:
    policy = box.reviews.cases.policy
    held = {str(role) for key in tenant.api_keys for role in key.roles}
    held |= {str(role) for person in tenant.staff for role in person.roles}
    nobody = [queue.name for queue in policy.queues if not held & set(queue.roles)]
    if nobody:
        said = f"nobody at {tenant.tenant} may answer {', '.join(nobody)}"
        return missing(PEOPLE, "review policy", said, mend="give a person or key one of the queue's roles")
    if not tenant.staff:
        said = f"{len(policy.queues)} queues; no people are listed, so anybody with a key may sign with any name"
        return warning(PEOPLE, "review policy", said, mend="list people in the tenants file")
    return ok(PEOPLE, "review policy", f"{len(policy.queues)} queues, each with somebody who may answer")


async def _queue(box: Signalbox, tenant: Tenant) -> list[Finding]:
    waiting = await box.store.reviews.count_open(tenant.tenant)
    found = [ok(PEOPLE, "review queue", f"answers; {waiting} cases are open")]
    slack = box.review_channels.slack
    if slack is None or not slack.serves(tenant.tenant):
        mend = "connect Slack or Teams (docs/slack.md), or decide that the console is enough"
        found.append(warning(PEOPLE, "announcements", "reviews are announced in the console only", mend=mend))
        return found
    await slack.client(tenant.tenant).ask("auth.test", {})
    found.append(ok(PEOPLE, "announcements", "the Slack workspace takes our token"))
    return found


async def _budgets(box: Signalbox, tenant: Tenant) -> Finding:
    declared = await box.models.budgets.listed(tenant.tenant)
    if declared:
        return ok(GOVERNANCE, "budgets", f"{len(declared)} budgets are set")
    if not box.models.configured:
        return ok(GOVERNANCE, "budgets", "no model is configured, so nothing can be spent; the defaults stand ready")
    said = "no budget is set; the installation's defaults hold"
    return warning(GOVERNANCE, "budgets", said, mend="signalbox budgets set: one for each agent that asks a model")


async def _shadow(box: Signalbox, tenant: Tenant) -> Finding:
    wanted = select(func.count()).select_from(shadow_reports).where(shadow_reports.c.tenant == tenant.tenant)
    async with box.engine.connect() as connection:
        count = await connection.scalar(wanted) or 0
    if count:
        return ok(GOVERNANCE, "shadow process", f"{count} shadow-test reports are kept")
    said = "no version has ever been shadow-tested here"
    return warning(
        GOVERNANCE, "shadow process", said, mend="run signalbox shadow-test once, so that a release finds the way open"
    )
