"""``signalbox models``: which language models and prompts are in use, and whether the models answer."""

from typing import Annotated, Any

import typer

from api.cli.invocation import Invocation, invocation_of, run
from api.cli.terminal import AsJson, print_json, say, table
from domain.errors import SignalboxError

app = typer.Typer(help="Language models: what is set up, and whether it works.", no_args_is_help=True)

OneTenant = Annotated[str | None, typer.Option(help="Whose budget pays; needed only where there are several.")]


@app.command()
def show(context: typer.Context, as_json: AsJson = False) -> None:
    """Show the models by tier, the fallbacks, and every prompt version."""
    found = _setup(invocation_of(context))
    if as_json:
        print_json(found)
        return
    say("no language model is configured: agents work by their rules" if not found["models"] else "")
    table(
        ("tier", "models, in the order they are tried"), ((m["tier"], ", ".join(m["chain"])) for m in found["models"])
    )
    columns = ("prompt", "version", "agent", "tier", "languages", "digest")
    table(
        columns,
        ([*(p[name] for name in columns[:4]), ", ".join(p["languages"]), p["digest"]] for p in found["prompts"]),
    )


@app.command()
def check(
    context: typer.Context,
    tenant: OneTenant = None,
    as_json: AsJson = False,
) -> None:
    """Ask the small model one question through the gateway: shape, usage, time and price. Exit code 1 without an answer."""
    found = run(_check(invocation_of(context), tenant))
    if as_json:
        print_json(found)
    else:
        say(f"{found['model'] or 'no model'}  {found['prompt']}", style="bold")
        tokens = f"{found['input_tokens']} tokens in, {found['output_tokens']} out"
        say(
            f"{found['calls']} calls, {tokens}, {found['usd']} USD, {found['seconds']:.2f} s, {found['flags'] or 'no flags'}"
        )
        say(str(found["data"]) if found["answered"] else found["why"])
    if not found["answered"]:
        raise SignalboxError(f"there is no usable answer: {found['why']}")


def _setup(at: Invocation) -> dict[str, Any]:
    from domain.prompt import Tier  # noqa: PLC0415  # see the package's docstring
    from graph.bootstrap.models import model_plan  # noqa: PLC0415  # see the package's docstring
    from prompts.library import shipped_prompts  # noqa: PLC0415  # see the package's docstring

    plan = model_plan(at.settings())
    return {
        "models": [{"tier": t.value, "chain": [m.name for m in plan.chain(t)]} for t in Tier] if plan else [],
        "prompts": [
            {
                "prompt": prompt.prompt_id,
                "version": prompt.version,
                "agent": prompt.agent,
                "tier": prompt.declared.tier.value,
                "languages": list(prompt.declared.languages),
                "digest": prompt.digest,
            }
            for prompt in shipped_prompts()
        ],
    }


async def _check(at: Invocation, tenant: str | None) -> dict[str, Any]:
    from api.costs import usd  # noqa: PLC0415  # see the package's docstring
    from domain.language import Answered, LanguageRequest  # noqa: PLC0415  # see the package's docstring

    async with at.opened() as box:
        request = LanguageRequest(
            agent="gateway_check",
            prompt="gateway_check",
            tenant=at.tenant(box.settings, tenant).tenant,
            entity_type="check",
            entity_id=box.clock.new_id(),
            locale="en",
            trusted={"question": "What is 17 + 25?"},
            untrusted={"sample": "My parcel has not been delivered yet."},
        )
        started = box.clock.now()
        answer = await box.models.gateway.ask(request)
        answered = isinstance(answer, Answered)
        return {
            "answered": answered,
            "data": answer.data if isinstance(answer, Answered) else None,
            "why": "" if isinstance(answer, Answered) else answer.why,
            "model": answer.model,
            "prompt": answer.prompt,
            "calls": answer.calls,
            "input_tokens": answer.cost.input_tokens,
            "output_tokens": answer.cost.output_tokens,
            "usd": usd(answer.cost.usd_micro),
            "seconds": (box.clock.now() - started).total_seconds(),
            "flags": ", ".join(answer.flags),
        }
