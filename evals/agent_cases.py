"""Labelled cases for every agent, from the generated world: what an order was made to be says what is right.

``python -m evals.agent_cases`` writes them anew from their seed. The files are frozen, so that two releases are asked
the same questions; what is right follows from the label and the order, never from what an agent said.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from domain.decision import Decision
from evals.labelled import CASES, Labelled, write_cases
from evals.segments import segment_of
from evals.world_draft import Label
from evals.world_tapes import Judged, judged
from graph.bootstrap.settings import ORDER_TOPOLOGY
from graph.topology.loader import load

SEED = 7
ORDERS = 4000
START = datetime(2026, 11, 9, 1, tzinfo=UTC)
MOST_GOOD, MOST_BAD = 90, 30
"""Cases of one label at most."""
_ORDINARY = frozenset({Label.GOOD, Label.BIG_TICKET, Label.COD_REFUSER})
_ASK = ("review", "hold", "reject")

Right = Callable[[Judged], tuple[str, ...]]
"""The right decisions or outcomes; empty where the label says nothing about the agent."""


def _fraud(one: Judged) -> tuple[str, ...]:
    label = one.raw.label
    if label in {Label.STOLEN_CARD_BIN, Label.STOLEN_CARD_CVV, Label.STOLEN_CARD_VELOCITY}:
        return _ASK
    return label.expected if label in _ORDINARY else ()


def _compliance(one: Judged) -> tuple[str, ...]:
    if one.raw.label is Label.RESTRICTED:
        return ("hold", "reject")
    return ("proceed",) if one.raw.label in _ORDINARY else ()


def _inventory(one: Judged) -> tuple[str, ...]:
    match one.raw.label:
        case Label.BACKORDER:
            return ("limit",)
        case Label.UNKNOWN_SKU:
            return _ASK
        case label:
            return ("proceed",) if label in _ORDINARY else ()


def _routing(one: Judged) -> tuple[str, ...]:
    match one.raw.label:
        case Label.NO_LANE | Label.NO_ADDRESS:
            return _ASK
        case label:
            return ("proceed",) if label in _ORDINARY else ()


def _tax(one: Judged) -> tuple[str, ...]:
    if one.raw.label not in _ORDINARY:
        return ()
    return ("channel_tax",) if one.order.channel.marketplace else ("tax_assessed", "tax_differs")


def _method(one: Judged) -> tuple[str, ...]:
    if one.raw.label is Label.NO_LANE:
        return _ASK
    return ("proceed",) if one.raw.label in _ORDINARY else ()


def _notification(one: Judged) -> tuple[str, ...]:
    customer = one.order.customer
    known = "@" in customer.email and "*" not in customer.email
    if known or (one.order.channel.marketplace and customer.customer_id and not customer.email):
        return ("notify",)
    return ("nothing_to_send",)


RIGHT: Mapping[str, Right] = {
    "fraud_detection": _fraud,
    "compliance": _compliance,
    "inventory_reservation": _inventory,
    "order_routing": _routing,
    "tax": _tax,
    "shipping_method": _method,
    "customer_notification": _notification,
}
"""How what is right follows from the label, by agent."""


def case_of(agent: str, one: Judged, values: Mapping[str, str]) -> Labelled | None:
    """The agent's case of one order; None where the label says nothing."""
    right = RIGHT[agent](one)
    if not right:
        return None
    tape = one.tapes[agent]
    named = {tape.order} | {e[1:] for entries in tape.reads.values() for e in entries if e.startswith("@")}
    return Labelled(
        case_id=f"{agent}-{one.order.external_id}",
        segment=segment_of(one.order),
        label=one.raw.label.value,
        right=right,
        severe=right == _ASK,
        tape=tape.model_copy(update={"values": {name: values[name] for name in sorted(named)}}),
    )


async def collect() -> dict[str, tuple[list[Labelled], list[Decision]]]:
    """The cases of every agent, and the decisions they were shown."""
    workflow = load(ORDER_TOPOLOGY).workflow("order_workflow")
    found: dict[str, tuple[list[Labelled], list[Decision]]] = {agent: ([], []) for agent in RIGHT}
    counted: Counter[tuple[str, str]] = Counter()
    async for run, one in judged(workflow, ORDERS, seed=SEED, start=START):
        for agent, (cases, shown) in found.items():
            case = case_of(agent, one, run.values)
            if case is None:
                continue
            counted[agent, case.label] += 1
            if counted[agent, case.label] > (MOST_GOOD if case.label == Label.GOOD else MOST_BAD):
                continue
            cases.append(case)
            shown += [one.decisions[name] for name in case.tape.seen]
    return found


def main() -> None:
    """Write the files."""
    for agent, (cases, shown) in asyncio.run(collect()).items():
        file = CASES / f"{agent}.jsonl.gz"
        write_cases(file, name=f"{agent}-cases-1", agent=agent, cases=cases, decisions=shown)
        print(f"{file.name}: {len(cases)} cases, {dict(Counter(case.label for case in cases))}")


if __name__ == "__main__":
    main()
