"""Clocks that run against us: warned at 75 %, breached at 100 %, told once, kept over restarts."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from domain.errors import ConfigError, InputError, NotFound
from domain.promise_clock import ClockRule, ClockState, PromiseClock
from graph.bootstrap.settings import Settings
from graph.bootstrap.system import Signalbox, open_signalbox
from graph.runtime.promise_clocks import PromiseClocks, read_rules
from tests.support.fake_clock import FakeClock

ORDER = ("order", "shopee-1")


async def told(box: Signalbox, entity_id: str = "shopee-1") -> list[str]:
    """What the journal says of the order's clocks."""
    found = await box.redis.xrange(box.keys.stream("journal", 0))
    kinds = [fields[b"t"].decode() for _, fields in found if b"t" in fields]
    return [kind for kind in kinds if ".clock." in kind]


async def start(
    clocks: PromiseClocks, at: datetime, kind: str = "shopee_chat_reply", subject: str = "m1"
) -> PromiseClock:
    return await clocks.start("acme", kind, entity=ORDER, subject=subject, started=at)


async def test_an_unanswered_shopee_message_alerts_at_nine_hours_and_is_breached_at_twelve(tmp_path: Path) -> None:
    """F52: nothing at 8:59, warned at 9:00, still so at 11:59, breached at 12:00; told once each, also over a restart."""
    clock = FakeClock()
    settings = Settings(home=tmp_path)
    async with open_signalbox(settings, clock=clock) as box:
        began = clock.now()
        owed = await start(box.clocks, began)
        assert (await start(box.clocks, began + timedelta(hours=1))).started_at == began
        clock.pass_by(timedelta(hours=8, minutes=59))
        assert await box.clocks.tick() == 0
        clock.pass_by(timedelta(minutes=1))
        assert await box.clocks.tick() == 1
        assert await box.clocks.tick() == 0
        assert (await box.clocks.find("acme", owed.clock_id)).state is ClockState.WARNED
        assert await told(box) == ["order.clock.warned"]
    async with open_signalbox(settings, clock=clock) as box:
        clock.pass_by(timedelta(hours=2, minutes=59))
        assert await box.clocks.tick() == 0
        clock.pass_by(timedelta(minutes=1))
        assert await box.clocks.tick() == 1
        assert (await box.clocks.find("acme", owed.clock_id)).state is ClockState.BREACHED
        assert (await told(box))[-1] == "order.clock.breached"
        late = await box.clocks.end("acme", owed.clock_id, by="user:mei", at=clock.now())
        assert late.state is ClockState.MET_LATE
        assert await box.clocks.tick() == 0


async def test_an_answer_in_time_ends_it_and_only_a_persons_counts_where_the_rule_says_so(tmp_path: Path) -> None:
    """F52: an automatic answer leaves the marketplace's clock running; a person's ends it; ending twice is once."""
    clock = FakeClock()
    async with open_signalbox(Settings(home=tmp_path), clock=clock) as box:
        owed = await start(box.clocks, clock.now())
        auto = await box.clocks.end("acme", owed.clock_id, by="bot", at=clock.now(), machine=True)
        assert auto.state is ClockState.RUNNING
        clock.pass_by(timedelta(hours=5))
        met = await box.clocks.end("acme", owed.clock_id, by="user:mei", at=clock.now())
        assert (met.state, met.ended_by) == (ClockState.MET, "user:mei")
        assert await box.clocks.end("acme", owed.clock_id, by="user:lin", at=clock.now()) == met
        clock.pass_by(timedelta(hours=20))
        assert await box.clocks.tick() == 0
        [chat] = [m for m in await box.clocks.measures("acme") if m.kind == "shopee_chat_reply"]
        assert (chat.met, chat.breached, chat.share, chat.target) == (1, 0, 1.0, 0.9)
        assert chat.median_hours == pytest.approx(5, abs=0.1)
        with pytest.raises(NotFound):
            await box.clocks.find("rival", owed.clock_id)


async def test_two_watchers_and_a_long_standstill_tell_each_step_once(tmp_path: Path) -> None:
    """F52: ten ticks at once, a day late: breached once, in order of deadline; nothing is skipped or doubled."""
    clock = FakeClock()
    async with open_signalbox(Settings(home=tmp_path), clock=clock) as box:
        for n in range(5):
            await start(box.clocks, clock.now() + timedelta(minutes=n), subject=f"m{n}")
        clock.pass_by(timedelta(days=1))
        await asyncio.gather(*(box.clocks.tick() for _ in range(10)))
        open_ones = await box.clocks.listed("acme")
        assert {one.state for one in open_ones} == {ClockState.BREACHED}
        assert [one.subject for one in open_ones] == [f"m{n}" for n in range(5)]
        events = await box.redis.xrange(box.keys.stream("journal", 0))
        ids = {fields[b"b"][:80] for _, fields in events if fields.get(b"t") == b"order.clock.breached"}
        assert len(ids) == 5


def test_a_daily_rule_is_due_the_same_evening_or_the_next() -> None:
    """F52: Lazada: received until 18:00 local time is due at 19:00, later the next day at 19:00."""
    rule = read_rules()["lazada_chat_reply"]
    assert rule.due(datetime(2026, 11, 22, 9, 59, tzinfo=UTC)) == datetime(2026, 11, 22, 11, tzinfo=UTC)
    assert rule.due(datetime(2026, 11, 22, 10, 0, tzinfo=UTC)) == datetime(2026, 11, 23, 11, tzinfo=UTC)


async def test_a_return_window_has_its_own_end_and_nonsense_is_refused(tmp_path: Path) -> None:
    """F52: an explicit end wins over the rule; unknown kinds and ends before the beginning are refused."""
    clock = FakeClock()
    async with open_signalbox(Settings(home=tmp_path), clock=clock) as box:
        now = clock.now()
        window = await box.clocks.start(
            "acme", "return_answer", entity=ORDER, started=now, due=now + timedelta(days=15)
        )
        assert window.warn_at - now == timedelta(days=15) * 0.75
        with pytest.raises(InputError, match="known are"):
            await box.clocks.start("acme", "nonsense", entity=ORDER, started=now)
        with pytest.raises(InputError, match="before it begins"):
            await box.clocks.start("acme", "refund", entity=ORDER, started=now, due=now)


def test_a_wrong_rule_is_named(tmp_path: Path) -> None:
    """F52: a mistake in the file is one sentence with its place."""
    file = tmp_path / "rules.yaml"
    file.write_text("rules: [{kind: x_y, hours: 1, by: '19:00', source: s}]")
    with pytest.raises(ConfigError, match=r"rules\.yaml.*either hours, or by"):
        read_rules(file)
    with pytest.raises(ConfigError, match="not a file of clock rules"):
        read_rules(tmp_path / "none.yaml")
    with pytest.raises(ValueError, match="hours"):
        ClockRule(kind="abc", hours=-1, source="s")
