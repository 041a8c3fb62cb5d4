"""The conflict policy: its table verbatim, every pair by model check, whatever order decisions arrive in, and its file."""

import random
from datetime import timedelta
from decimal import Decimal
from itertools import combinations_with_replacement, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.conflict import Form, Party, Phase, Resolution, Rule, Side, Stale, Stance
from domain.errors import InputError
from domain.resolution import Settle, resolve, settle_all, unanswered
from graph.topology.conflict_policy import POLICY_FILE, load_policy
from graph.topology.problems import TopologyError
from tests.support.conflict_sides import NOW, POLICY, side

HOLD, RUN = Form.HOLD, Form.RUN
FRAUD_HOLD = ("fraud_detection", "order.release/hold", 1)


def ended(a: Side, b: Side, **more: object) -> Resolution:
    found = resolve(a, b, POLICY, at=NOW, **more)  # type: ignore[arg-type]
    assert isinstance(found, Resolution)
    assert resolve(b, a, POLICY, at=NOW, **more) == found  # type: ignore[arg-type]
    return found


def told(found: Resolution) -> tuple[str, Form, bool, tuple[str, ...]]:
    return found.winner.agent, found.form, found.ask, tuple(rule.value for rule in found.rules)


def test_row_1_and_2_a_hold_of_tier_1_beats_a_release_and_much_money_asks() -> None:
    """domain/C1: rows 1 and 2."""
    for usd, expected in (
        ("120", ("fraud_detection", HOLD, False, ("R2",))),
        ("640", ("fraud_detection", HOLD, True, ("R2", "R5"))),
    ):
        hold = side(*FRAUD_HOLD, ".82", usd)
        release = side("shipping_method", "order.release/release", 2, ".97", usd)
        assert told(ended(hold, release)) == expected


def test_row_3_different_facets_do_not_conflict() -> None:
    """domain/C1: row 3: approved and backordered."""
    approve = side("fraud_detection", "order.release/approve", 1, ".91", "80")
    backorder = side("inventory_reservation", "order.stock/backorder", 1, ".99", "80")
    assert resolve(approve, backorder, POLICY, at=NOW) is None
    assert settle_all([approve, backorder], POLICY, at=NOW).executed == (approve, backorder)


def test_row_4_a_reject_that_is_not_sure_enough_is_only_held() -> None:
    """domain/C1: row 4: R2 picks the reject, its own precision gate does not let it cancel."""
    reject = side("fraud_detection", "order.release/reject", 1, ".74", "300")
    vip = side("loyalty", "order.release/release", 3, ".99", "300")
    assert told(ended(reject, vip)) == ("fraud_detection", HOLD, True, ("R2", "precision"))
    sure = reject.model_copy(update={"confidence": Decimal("0.90")})
    assert told(ended(sure, vip)) == ("fraud_detection", RUN, False, ("R2",))


def test_row_5_an_unsure_hold_still_holds() -> None:
    """domain/C1: row 5."""
    release = side("shipping_method", "order.release/release", 2, ".95", "90")
    assert told(ended(side(*FRAUD_HOLD, ".55", "90"), release)) == ("fraud_detection", HOLD, True, ("R1",))


def test_row_6_the_clearly_surer_of_one_tier_wins() -> None:
    """domain/C1: row 6: R3 with a difference of .13."""
    singapore = side("order_routing", "order.route/route", 2, ".80", "200", value="WH-SG")
    hong_kong = side("tax", "order.route/route", 2, ".93", "200", value="WH-HK")
    assert told(ended(singapore, hong_kong)) == ("tax", RUN, False, ("R3",))
    assert resolve(singapore, hong_kong.model_copy(update={"value": "WH-SG"}), POLICY, at=NOW) is None


def test_row_7_nearly_equals_keep_the_reservation_where_it_is() -> None:
    """domain/C1: row 7: a difference below .10 keeps what is held, and asks."""
    singapore = side("order_routing", "order.route/route", 2, ".80", "200", value="WH-SG", phase=Phase.STANDING)
    hong_kong = side("shipping_method", "order.route/route", 2, ".85", "200", value="WH-HK")
    assert told(ended(singapore, hong_kong)) == ("order_routing", HOLD, True, ("R4",))
    other_way = [
        singapore.model_copy(update={"phase": Phase.PROPOSED}),
        hong_kong.model_copy(update={"phase": Phase.STANDING}),
    ]
    assert told(ended(*other_way))[0] == "shipping_method"


def test_row_8_a_tie_about_much_money_does_neither() -> None:
    """domain/C1: row 8: no purchase order is sent and no price is cut."""
    reorder = side("reorder", "po.send/send", 3, ".9", "9100", value="1000")
    clearance = side("merchandising", "sku.price/clearance", 3, ".9", "9100")
    found = ended(reorder, clearance)
    assert (found.form, found.ask, found.rules) == (HOLD, True, (Rule.SAFER, Rule.EXPOSURE))
    assert settle_all([reorder, clearance], POLICY, at=NOW).executed == ()


def test_row_9_the_safer_of_a_tie_holds_for_a_day() -> None:
    """domain/C1: row 9: the SKU is hidden for 24 h, and a person looks."""
    hide = side("merchandising", "sku.visibility/hide", 3, ".88", "0")
    feature = side("promo", "sku.visibility/feature", 3, ".90", "0")
    found = ended(hide, feature)
    assert told(found) == ("merchandising", RUN, True, ("R4",))
    assert found.until == NOW + timedelta(hours=24)


def test_row_10_abuse_holds_the_refund_and_from_500_a_person_looks() -> None:
    """domain/C1: row 10."""
    for usd, ask in (("480", False), ("499.99", False), ("500", True)):
        refund = side("support", "refund/refund", 3, ".8", usd)
        hold = side("fraud_detection", "refund/hold", 1, ".7", usd)
        found = ended(refund, hold)
        assert (found.winner.agent, found.form, found.ask, found.rule) == ("fraud_detection", HOLD, ask, Rule.TIER)


def test_row_11_a_cancellation_wins_until_the_carrier_has_the_parcel() -> None:
    """domain/C1: row 11: the state decides, not who is surer."""
    wish = side("customer", "order.cancel/cancel", 0, None, "60", party=Party.CUSTOMER, state_version=1)
    ship = side("fulfilment", "order.shipping/ship", 2, ".99", "60", state_version=3)
    found = ended(wish, ship)
    assert told(found) == ("customer", RUN, False, ("state",))
    gone = ended(wish, ship.model_copy(update={"phase": Phase.GONE}))
    assert (gone.winner.agent, gone.instead, gone.ask) == ("fulfilment", "return", False)


def test_row_12_a_stale_rate_counts_two_percent_more() -> None:
    """domain/C1, F49: row 12: 495 nominal by a stale rate is 504.90; 490.19 is below 500."""
    for usd, ask in (("495", True), ("490.19", False)):
        hold = side(*FRAUD_HOLD, ".82", usd, rate_stale=True)
        release = side("shipping_method", "order.release/release", 2, ".97", usd)
        assert ended(hold, release).ask is ask
    assert ended(side(*FRAUD_HOLD, ".82", None), side("tax", "order.release/release", 2, ".97", "1")).ask


@pytest.mark.parametrize(("usd", "asks"), [("499", False), ("499.99", False), ("500", True), ("501", True)])
def test_a_conflict_of_501_dollars_waits_for_a_person_and_one_of_499_does_not(usd: str, asks: bool) -> None:
    """F60: at exactly 500.00 it does, on the unrounded amount."""
    reject = side("fraud_detection", "order.release/reject", 1, ".95", usd)
    release = side("shipping_method", "order.release/release", 2, ".97", usd)
    found = ended(reject, release)
    assert (found.ask, found.form) == (asks, HOLD if asks else RUN)
    assert found.sentence.startswith("fraud_detection says reject (tier 1, confidence 0.95), shipping_method says")
    below = Decimal("499.9999999999999999999")
    assert not ended(*(one.model_copy(update={"exposure_usd": below}) for one in (reject, release))).ask


def test_the_law_wins_over_everything() -> None:
    """F59: R0, whatever tier, confidence, amount or person stands against it; unsure, it holds and asks."""
    law = side("compliance", "order.release/reject", 1, ".70", "9999")
    person = side("mei", "order.release/release", 0, None, "9999", party=Party.PERSON)
    assert told(ended(law, person)) == ("compliance", RUN, False, ("R0",))
    unsure = law.model_copy(update={"confidence": Decimal("0.69")})
    assert told(ended(unsure, person)) == ("compliance", HOLD, True, ("R0",))
    consent = side("compliance", "order.release/approve", 1, ".99")
    assert ended(consent, side(*FRAUD_HOLD, ".99", calibrated_at=None)).rule is Rule.SAFER


def test_a_person_wins_over_agents_and_a_customers_wish_over_nobody() -> None:
    """F59: what a person decided is not held back again; a customer who asks has no authority."""
    person = side("mei", "refund/refund", 0, None, "900", party=Party.PERSON)
    hold = side("fraud_detection", "refund/hold", 1, ".95", "900")
    assert told(ended(person, hold)) == ("mei", RUN, False, ("R2",))
    customer = side("customer", "refund/refund", 0, None, "90", party=Party.CUSTOMER)
    assert told(ended(customer, side("support", "refund/hold", 3, ".75", "90"))) == ("support", HOLD, False, ("R2",))


def test_only_fresh_calibrators_decide_a_tie() -> None:
    """F59: R3 takes both calibrators younger than 30 days, and a difference of .10 exactly."""
    hide = side("merchandising", "sku.visibility/hide", 3, ".80", "0")
    show = side("promo", "sku.visibility/feature", 3, ".90", "0")
    assert ended(hide, show).rule is Rule.CALIBRATED
    for age, rule in ((29.99, Rule.CALIBRATED), (30, Rule.SAFER), (-1, Rule.SAFER)):
        aged = show.model_copy(update={"calibrated_at": NOW - timedelta(days=age)})
        assert ended(hide, aged).rule is rule
    assert ended(hide, show.model_copy(update={"calibrated_at": None})).rule is Rule.SAFER
    assert ended(hide, show.model_copy(update={"confidence": Decimal("0.8999")})).rule is Rule.SAFER


def test_an_older_version_is_asked_again_and_is_no_conflict() -> None:
    """F59: stale versus conflicting; what has happened cannot go stale."""
    hold, release = side(*FRAUD_HOLD, ".8", state_version=2), side("tax", "order.release/release", 2, ".9")
    found = resolve(hold, release, POLICY, at=NOW)
    assert isinstance(found, Stale)
    assert (found.side.agent, found.newer.agent) == ("tax", "fraud_detection")
    done = release.model_copy(update={"phase": Phase.GONE})
    assert ended(hold, done).rule is Rule.STATE
    agreeing = side("tax", "order.tax/assess", 2, ".9")
    assert resolve(hold, agreeing, POLICY, at=NOW) is None


def test_what_cannot_be_called_back_stands_and_a_person_hears_of_it() -> None:
    """F59: a hold that comes after the parcel left."""
    found = ended(side(*FRAUD_HOLD, ".99"), side("fulfilment", "order.shipping/ship", 2, ".9", phase=Phase.GONE))
    assert told(found) == ("fulfilment", RUN, True, ("state",))


def test_nobody_answers_in_time() -> None:
    """F59: R6: the deadline is 4 h or half the slack, the default never releases anything."""
    assert POLICY.answer_by(now=NOW, ship_by=None) == NOW + timedelta(hours=4)
    assert POLICY.answer_by(now=NOW, ship_by=NOW + timedelta(hours=3)) == NOW + timedelta(minutes=90)
    assert POLICY.answer_by(now=NOW, ship_by=NOW - timedelta(hours=3)) == NOW
    hold, release = side(*FRAUD_HOLD, ".82", "640"), side("tax", "order.release/release", 2, ".97", "640")
    left = unanswered(ended(hold, release), POLICY, now=NOW, ship_by=NOW + timedelta(hours=1))
    assert (left.winner.agent, left.form, left.rule) == ("fraud_detection", HOLD, Rule.TIMEOUT)
    backorder = side("stock", "order.release/backorder", 2, ".97", "640")
    late = unanswered(ended(hold, backorder), POLICY, now=NOW, ship_by=NOW)
    assert (late.winner.agent, late.form) == ("stock", RUN)
    assert unanswered(ended(hold, release), POLICY, now=NOW, ship_by=NOW).form is HOLD


ACTIONS = (
    "order.release/hold", "order.release/review", "order.release/backorder", "order.release/approve",
    "order.release/reject", "order.shipping/ship", "order.cancel/cancel", "refund/refund",
)  # fmt: skip
SAME_FACET = (
    "order.release/hold", "order.release/review", "order.release/backorder", "order.release/approve",
    "order.release/release", "order.release/reject", "customer.account/delete", "customer.account/open",
)  # fmt: skip
CONFIDENCES = (".55", ".69", ".70", ".71", ".95")


@pytest.mark.parametrize("actions", [ACTIONS, SAME_FACET])
def test_every_pair_ends_by_the_policy_and_never_does_what_excludes_each_other(actions: tuple[str, ...]) -> None:
    """domain/C2, F59: all pairs of 8 actions x 3 tiers x 5 confidences x 2 amounts, in both orders."""
    for usd in ("499.99", "500"):
        sides = [
            side(f"{effect}-{tier}{sure}", effect, tier, sure, usd, decision_id=f"{number:03d}")
            for number, (effect, tier, sure) in enumerate(product(actions, (1, 2, 3), CONFIDENCES))
        ]
        for a, b in combinations_with_replacement(sides, 2):
            found = resolve(a, b, POLICY, at=NOW)
            assert found == resolve(b, a, POLICY, at=NOW)
            assert isinstance(found, Resolution) is (a is not b and POLICY.clash(a, b) is not None)
            if isinstance(found, Resolution):
                _check(found, usd)


def _check(found: Resolution, usd: str) -> None:
    winner = found.winner
    assert winner != found.loser
    assert found.sentence
    assert found.policy == POLICY.version
    assert found.ask or found.form is not HOLD or winner.stance.stops, "nothing is done and nobody knows"
    if usd == "500":
        assert (found.form, found.ask) == (HOLD, True)
    if found.runs:
        assert (winner.confidence or 0) >= POLICY.act
        assert not winner.stance.irreversible or (winner.confidence or 0) >= POLICY.irreversible
        assert not found.loser.stance.stops or winner.tier < found.loser.tier or found.rule is Rule.CALIBRATED


_SIDES = st.builds(
    side,
    st.sampled_from(["fraud_detection", "compliance", "tax", "support", "promo"]),
    st.sampled_from([*ACTIONS, *SAME_FACET, "sku.price/clearance", "po.send/send"]),
    st.integers(1, 3),
    st.sampled_from([*CONFIDENCES, None, "1"]),
    st.sampled_from(["0", "499.99", "500", None]),
    decision_id=st.uuids().map(str),
    state_version=st.integers(1, 2),
    phase=st.sampled_from(Phase),
    party=st.sampled_from(Party),
    value=st.sampled_from(["", "a", "b"]),
)


@given(sides=st.lists(_SIDES, max_size=6), settle=st.sampled_from(Settle), seed=st.integers(0, 2**32))
def test_any_number_of_decisions_end_the_same_in_any_order(sides: list[Side], settle: Settle, seed: int) -> None:
    """domain/C2: deterministic, order-independent, idempotent; nothing carried out excludes anything else carried out."""
    first = settle_all(sides, POLICY, at=NOW, settle=settle)
    shuffled = [*sides, *sides[:2]]
    random.Random(seed).shuffle(shuffled)  # noqa: S311  # an order of arrival, no secret
    assert settle_all(shuffled, POLICY, at=NOW, settle=settle) == first
    again = settle_all(first.executed, POLICY, at=NOW, settle=settle)
    assert again.executed == first.executed
    for a, b in combinations_with_replacement(first.executed, 2):
        assert a is b or POLICY.clash(a, b) is None or a.decision_id == b.decision_id


def test_a_thousand_orders_of_arrival_end_the_same() -> None:
    """domain/C2: eight decisions about one order, shuffled a thousand times."""
    sides = [side(f"a{n}", effect, 1 + n % 3, CONFIDENCES[n % 5]) for n, effect in enumerate(ACTIONS)]
    expected = settle_all(sides, POLICY, at=NOW)
    chance = random.Random(10)  # noqa: S311  # an order of arrival, no secret
    for _ in range(1000):
        chance.shuffle(sides)
        assert settle_all(sides, POLICY, at=NOW) == expected
    assert expected.resolutions


def test_nonsense_is_no_confidence() -> None:
    """F28: NaN, a bool or a number beyond 1 is the same as none."""
    for nonsense in (float("nan"), True, "1.2", "abc", -0.1, float("inf")):
        assert Side.model_validate(side(*FRAUD_HOLD, ".5").model_dump() | {"confidence": nonsense}).confidence is None
    assert Side.model_validate(side(*FRAUD_HOLD, ".5").model_dump() | {"confidence": 0.1}).confidence == Decimal("0.1")


def test_unknown_facets_and_actions_are_named() -> None:
    with pytest.raises(InputError, match=r"no facet 'order.releese'"):
        POLICY.stance("order.releese", "hold")
    with pytest.raises(InputError, match="no action 'burn'"):
        POLICY.stance("sku.price", "burn")


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('act: "0.70"', "act: 0.70", 'act must be text, but YAML reads 0.70 as a number; write "0.70"'),
        ('act: "0.70"', 'act: "1.70"', "is not allowed; use a number in quotes"),
        ("po.send/send]", "po.send/sent]", "po.send/sent is no action of a facet; did you mean 'po.send/send'?"),
        ("exclusive: [order.route", "exclusive: [order.rout", "did you mean 'order.route'?"),
        ("  - [hold]\n", "", "safer lacks hold; every stance needs a place"),
        ("  - [review]\n", "  - [review, hold]\n", "safer names hold twice; keep one"),
        ("stance: hold,", "stance: hodl,", "did you mean 'hold'?"),
        ("cancel: [reject]", "cancel: [hold]", "hold is hold already; keep one"),
        ('factor: "1.02"', 'factor: "0.98"', "below 1 would make a stale amount smaller"),
        ("calibration_days: 30", "calibration_days: soon", "must be a whole number from 1 to 3650"),
        ("legal: [compliance]", "legl: [compliance]", "did you mean 'legal'?"),
    ],
)
def test_a_mistake_in_the_file_is_named_with_its_line(old: str, new: str, says: str) -> None:
    """F59: the policy is data, checked whole when anything starts."""
    text = POLICY_FILE.read_text()
    assert old in text
    with pytest.raises(TopologyError, match=r"<text>:\d+: ") as wrong:
        load_policy(text.replace(old, new, 1))
    assert says in str(wrong.value)
    line = text[: text.index(old)].count("\n") + 1
    assert any(problem.line in range(line - 9, line + 10) for problem in wrong.value.problems)


def test_another_policy_decides_otherwise() -> None:
    """F59: thresholds are data: with 300 as the limit a conflict of 301 waits, and the record names the version."""
    text = POLICY_FILE.read_text().replace('"500.00"', '"300.00"').replace("conflicts-2026-11-22", "mine-1")
    policy = load_policy(text)
    pair = side(*FRAUD_HOLD, ".82", "301"), side("tax", "order.release/release", 2, ".97", "301")
    found = resolve(*pair, policy, at=NOW)
    assert isinstance(found, Resolution)
    assert (found.ask, found.policy) == (True, "mine-1")
    assert not ended(*pair).ask


def test_stances_know_what_they_are() -> None:
    assert {s for s in Stance if s.stops} == {Stance.HOLD, Stance.REVIEW}
    assert [POLICY.rank(s) for s in Stance] == [0, 1, 2, 3, 4, 4, 4]
