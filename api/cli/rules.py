"""``signalbox rules``: rules made of model answers that people confirmed; they run before the model and cost nothing."""

from typing import TYPE_CHECKING, Annotated

import typer

from api.cli.invocation import Invocation, invocation_of, run
from api.cli.orders import Person, Why
from api.cli.terminal import AsJson, OfTenant, print_json, say, table

if TYPE_CHECKING:
    from api.services import Json

app = typer.Typer(
    help="Rules made of confirmed model answers: proposed, list, show, test, adopt, retire.", no_args_is_help=True
)

RuleId = Annotated[str, typer.Argument(metavar="RULE", help="The rule's id, from the list.")]


@app.command()
def proposed(context: typer.Context, tenant: OfTenant = None, as_json: AsJson = False) -> None:
    """Look for rules in what people have confirmed, and list those that wait for a person."""
    _print(run(_listed(invocation_of(context), tenant, only_proposed=True)), as_json=as_json)


@app.command("list")
def listed(context: typer.Context, tenant: OfTenant = None, as_json: AsJson = False) -> None:
    """List every rule there ever was, newest change first."""
    _print(run(_listed(invocation_of(context), tenant, only_proposed=False)), as_json=as_json)


@app.command()
def show(context: typer.Context, rule: RuleId, tenant: OfTenant = None, as_json: AsJson = False) -> None:
    """Show one rule: conditions, support, precision, counterexamples, and what people said since."""
    _one(run(_show(invocation_of(context), rule, tenant)), as_json=as_json)


@app.command("test")
def shadow_test(
    context: typer.Context,
    rule: RuleId,
    person: Person,
    last: Annotated[
        int, typer.Option(min=1, max=10_000, help="How many of the agent's last decisions to play.")
    ] = 1000,
    tenant: OfTenant = None,
    as_json: AsJson = False,
) -> None:
    """Play the agent's last decisions with and without the rule. Exit code 1 when it does not pass."""
    found = run(_test(invocation_of(context), rule, tenant, person=person, last=last))
    if as_json:
        print_json(found)
    else:
        say(
            f"{found['report_id']}: {'passed' if found['passed'] else 'NOT passed'}, {found['compared']} cases",
            style="bold",
        )
        for gate in found["gates"]:
            say(f"  {'ok ' if gate['passed'] else 'NO '} {gate['rule']}: {gate['said']}")
    if not found["passed"]:
        raise typer.Exit(1)


@app.command()
def adopt(
    context: typer.Context, rule: RuleId, person: Person, reason: Why, tenant: OfTenant = None, as_json: AsJson = False
) -> None:
    """Put a proposed rule in force; it must have passed its shadow test on what runs now."""
    _one(run(_act(invocation_of(context), rule, tenant, adopt=True, person=person, reason=reason)), as_json=as_json)


@app.command()
def retire(
    context: typer.Context, rule: RuleId, person: Person, reason: Why, tenant: OfTenant = None, as_json: AsJson = False
) -> None:
    """Take a rule out of force at once."""
    _one(run(_act(invocation_of(context), rule, tenant, adopt=False, person=person, reason=reason)), as_json=as_json)


async def _listed(at: Invocation, tenant: str | None, *, only_proposed: bool) -> "list[Json]":
    from api.rules import RuleDesk  # noqa: PLC0415  # see the package's docstring

    async with at.opened() as box:
        owner = at.tenant(box.settings, tenant).tenant
        return await (RuleDesk(box).proposed(owner) if only_proposed else RuleDesk(box).listed(owner))


async def _show(at: Invocation, rule: str, tenant: str | None) -> "Json":
    from api.rules import RuleDesk  # noqa: PLC0415  # see the package's docstring

    async with at.opened() as box:
        return await RuleDesk(box).show(at.tenant(box.settings, tenant).tenant, rule)


async def _test(at: Invocation, rule: str, tenant: str | None, *, person: str, last: int) -> "Json":
    from api.cli.reviews import actor_at_terminal  # noqa: PLC0415  # see the package's docstring
    from api.rules import RuleDesk  # noqa: PLC0415  # see the package's docstring

    async with at.opened() as box:
        owner = at.tenant(box.settings, tenant)
        by = actor_at_terminal(owner, person).name
        report = await RuleDesk(box).test(owner.tenant, rule, by=by, last=last, tell=lambda _done, _total: None)
        return {
            "report_id": report.report_id,
            "passed": report.passed,
            "compared": report.compared,
            "gates": [gate.model_dump(mode="json") for gate in report.gates],
        }


async def _act(at: Invocation, rule: str, tenant: str | None, *, adopt: bool, person: str, reason: str) -> "Json":
    from api.cli.reviews import actor_at_terminal  # noqa: PLC0415  # see the package's docstring
    from api.rules import RuleDesk  # noqa: PLC0415  # see the package's docstring

    async with at.opened() as box:
        owner, desk = at.tenant(box.settings, tenant), RuleDesk(box)
        by = actor_at_terminal(owner, person).name
        act = desk.adopt if adopt else desk.retire
        return await act(owner.tenant, rule, by=by, reason=reason)


def _print(rules: "list[Json]", *, as_json: bool) -> None:
    if as_json:
        print_json(rules)
        return
    rows = (
        (
            one["rule_id"],
            one["agent"],
            " and ".join(f"{each['feature']} is {each['equals']}" for each in one["conditions"]),
            one["answer"],
            f"{one['agreed']} of {one['cases']}",
            f"{one['bound']:.3f}",
            one["state"],
        )
        for one in rules
    )
    table(("rule", "agent", "when", "then", "agreed", "precision above", "state"), rows)


def _one(rule: "Json", *, as_json: bool) -> None:
    if as_json:
        print_json(rule)
        return
    say(f"{rule['rule_id']}  {rule['state']}", style="bold")
    if "yaml" in rule:
        say(rule["yaml"])
        say(f"people have answered {rule['answered_since']} times since, and disagreed {rule['disagreed_since']} times")
    if rule["decided_by"]:
        say(f"{rule['state']} by {rule['decided_by']}: {rule['reason']} (report {rule['report_id'] or 'none'})")
