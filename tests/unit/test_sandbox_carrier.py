"""What the stand-in carriers refuse to sell."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from domain.effect import EffectKind
from domain.errors import ConnectorRejected, NotFound
from tests.support.outside import SettableClock, effect, label
from tools.sandbox import Sandbox


@pytest.fixture
async def sandbox(tmp_path: Path) -> AsyncIterator[Sandbox]:
    async with Sandbox(tmp_path / "sandbox.sqlite3", clock=SettableClock()) as opened:
        yield opened


async def test_the_price_is_the_step_s(sandbox: Sandbox) -> None:
    """domain 2.1: a label costs what the lane's weight step says, at the step and one gram above it."""
    lane = sandbox.carriers["kite"].by_country["HK"][0]
    for grams, step in ((lane.steps[0].up_to_g, lane.steps[0]), (lane.steps[0].up_to_g + 1, lane.steps[1])):
        wanted = label(lane.warehouse, lane.service, "HK", order=f"o-{grams}", billable_g=grams)
        receipt = await sandbox.carriers["kite"].apply(wanted)
        assert receipt.detail["cost_minor"] == step.price.amount_minor
        assert receipt.detail["currency"] == "USD"


@pytest.mark.parametrize(
    ("service", "change", "why"),
    [
        ("kite:priority", {"ship_to": {"name": "X", "country": "US", "city": "Y"}}, "does not sell"),
        ("kite:unknown", {}, "does not sell"),
        ("kite:priority", {"warehouse": "LAX"}, "does not sell"),
        ("kite:priority", {"ship_to": {"country": "HK"}}, "cannot be delivered"),
        ("kite:priority", {"billable_g": 30_001}, "30000 g"),
        ("kite:priority", {"billable_g": 0}, "1 to"),
        ("kite:priority", {"dangerous": ["lithium_contained", "lithium_loose"]}, "accept lithium_loose"),
        ("kite:priority", {"collect": {"amount_minor": 1, "currency": "HKD"}}, "cash on delivery"),
        ("lotus:registered", {"declared_value": {"amount_minor": 20_001, "currency": "USD"}}, "insures"),
        ("lotus:registered", {"declared_value": {"amount_minor": 156_001, "currency": "HKD"}}, "insures"),
        ("lotus:registered", {"declared_value": {"amount_minor": 1, "currency": "KZT"}}, "insures"),
    ],
)
async def test_it_refuses_what_the_lane_does_not_sell(
    sandbox: Sandbox, service: str, change: dict[str, Any], why: str
) -> None:
    """domain 2.1: no lane, over limits, dangerous goods, cash on delivery, value: each refused with its reason."""
    wanted = label("HKG", service, "HK")
    wanted = wanted.model_copy(update={"args": wanted.args | change})
    with pytest.raises(ConnectorRejected, match=why):
        await sandbox.carriers[service.partition(":")[0]].apply(wanted)
    assert await sandbox.applied() == []


async def test_the_value_limit_itself_is_accepted(sandbox: Sandbox) -> None:
    """domain 2.1: exactly 200 USD, in dollars and in HKD at the fixture rate, is still insured."""
    for number, value in enumerate(
        ({"amount_minor": 20_000, "currency": "USD"}, {"amount_minor": 156_000, "currency": "HKD"})
    ):
        await sandbox.carriers["lotus"].apply(
            label("HKG", "lotus:registered", "HK", order=f"o-{number}", declared_value=value)
        )
    assert len(await sandbox.applied()) == 2


async def test_a_label_belongs_to_its_carrier(sandbox: Sandbox) -> None:
    """A label can be voided and scanned by the carrier that booked it only."""
    booked = label("HKG", "kite:priority", "HK")
    receipt = await sandbox.carriers["kite"].apply(booked)
    with pytest.raises(ConnectorRejected, match="has no label"):
        await sandbox.carriers["lotus"].apply(
            effect(EffectKind.VOID_LABEL, {"service": "lotus:tracked", "label_key": booked.key})
        )
    with pytest.raises(NotFound):
        await sandbox.carriers["lotus"].mark_scanned(str(receipt.detail["tracking"]))
    with pytest.raises(NotFound):
        await sandbox.carriers["kite"].mark_scanned("KI000")
