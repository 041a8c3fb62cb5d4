"""What people's edits have taught the agents: which situations ask for examples, and what an example changes.

The examples come with the case (``hints["examples"]``), so that a decision made again later sees the same ones.
"""

from collections.abc import Mapping
from dataclasses import replace

from pydantic import ValidationError

from agents.shipping_options import OptionClass, option_class, recognised
from domain.decision import Reason, Verdict
from domain.example import Example, Situation, cue_of
from domain.order import Order
from domain.ports import AgentCase
from domain.values import Plain

HINT = "examples"
OPTION_KIND = "shipping_option"
_OPTION_AGENTS = frozenset({"order_routing", "shipping_method"})


def option_situation(order: Order) -> Situation | None:
    """The situation of an order whose shipping option no table knows; None where the words speak for themselves."""
    if not order.shipping_option.strip() or recognised(order.shipping_option):
        return None
    return Situation(
        agent="shipping_method",
        kind=OPTION_KIND,
        market=order.ship_to.country,
        segment=order.channel.value,
        language=order.locale.replace("_", "-").partition("-")[0].casefold(),
        cue=cue_of(order.shipping_option),
    )


def situation_of(agent: str, order: Order) -> Situation | None:
    """What an agent would want to be shown examples of; None when it learns nothing about such an order."""
    return option_situation(order) if agent in _OPTION_AGENTS else None


def with_option(case: AgentCase) -> tuple[AgentCase, Example | None]:
    """The case with the shipping option as people have read its words before, and the example that says so."""
    situation = option_situation(case.order)
    if situation is None:
        return case, None
    for example in examples(case.hints):
        meant = example.after if isinstance(example.after, str) else ""
        same_shop = example.situation.segment == situation.segment and example.situation.cue == situation.cue
        if same_shop and recognised(meant):
            # Our own word for the class, never the text: an example can choose a class and nothing else.
            order = case.order.model_copy(update={"shipping_option": option_class(meant).value})
            return replace(case, order=order), example
    return case, None


def examples(hints: Mapping[str, Plain]) -> list[Example]:
    """The examples that came with a case."""
    given = hints.get(HINT)
    try:
        return [Example.model_validate(one) for one in given] if isinstance(given, list) else []
    except ValidationError:
        return []


def said(verdict: Verdict, example: Example | None, meant: str) -> Verdict:
    """The verdict, with the example it follows among its reasons and flags."""
    if example is None:
        return verdict
    reason = Reason(
        code="TAUGHT",
        text=f"the option is read as {OptionClass(meant).value}, as {example.taught_by} did on {example.at:%Y-%m-%d}",
        value=meant,
        evidence=f"example:{example.example_id}",
    )
    return verdict.model_copy(update={"reasons": (*verdict.reasons, reason), "flags": (*verdict.flags, "taught")})
