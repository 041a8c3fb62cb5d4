"""The conflict policy applied: two sides in, the winner, the rule and what is carried out.

Pure and symmetric: the order in which sides arrive never matters, and the same sides always end the same way. Rules in
turn: state, R0 legal block, R1 confidence, R2 tier, R3 calibrated confidence, R4 safer action, then R5 exposure.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from itertools import combinations

from domain.conflict import Clash, ConflictPolicy, Form, Party, Phase, Resolution, Rule, Side, Stale, Stance


class Settle(StrEnum):
    """What a workflow has declared for a facet several of its agents write."""

    BY_RULES = "by_rules"
    MOST_SEVERE = "most_severe"
    ASK_PERSON = "ask_person"


@dataclass(frozen=True, kw_only=True)
class _Found:
    """Who won and by what, before exposure and the winner's own gate are looked at."""

    winner: Side
    rule: Rule
    form: Form
    ask: bool
    instead: str = ""
    until: datetime | None = None


def resolve(
    one: Side, other: Side, policy: ConflictPolicy, *, at: datetime, settle: Settle = Settle.BY_RULES
) -> Resolution | Stale | None:
    """Settle two sides; None when they do not exclude each other."""
    if one.decision_id == other.decision_id:
        return None
    a, b = sorted((one, other), key=lambda side: (side.decision_id, side.facet))
    clash = policy.clash(a, b)
    if clash is None:
        return None
    if stale := _stale(a, b):
        return stale
    found = _found(a, b, policy, clash, at=at, settle=settle)
    return _resolution(found, b if found.winner is a else a, policy)


def _stale(a: Side, b: Side) -> Stale | None:
    """The side that rests on an older version; neither a buyer's wish nor what has happened can go stale."""
    older, newer = (a, b) if a.state_version < b.state_version else (b, a)
    if older.state_version == newer.state_version or older.phase is Phase.GONE or Party.CUSTOMER in {a.party, b.party}:
        return None
    sentence = (
        f"{older.agent} decided {older.action} on version {older.state_version}, {newer.agent} on version "
        f"{newer.state_version}: {older.agent} is asked again"
    )
    return Stale(side=older, newer=newer, sentence=sentence)


def _found(a: Side, b: Side, policy: ConflictPolicy, clash: Clash, *, at: datetime, settle: Settle) -> _Found:
    return (
        _by_state(a, b, policy, clash)
        or _by_law(a, b, policy)
        or _by_person(a, b, policy, settle)
        or _by_confidence(a, b, policy)
        or _by_tier(a, b)
        or _by_severity(a, b, policy, settle)
        or _by_calibration(a, b, policy, at)
        or _by_safety(a, b, policy, at)
    )


def _by_state(a: Side, b: Side, policy: ConflictPolicy, clash: Clash) -> _Found | None:
    gone = [side for side in (a, b) if side.phase is Phase.GONE]
    if gone:
        # Both gone is a contradiction somebody has already carried out: a person must see it.
        ask = len(gone) > 1 or not clash.late
        return _Found(winner=gone[0], rule=Rule.STATE, form=Form.RUN, ask=ask, instead=clash.late)
    wish = a if policy.rank(a.stance) > policy.rank(b.stance) else b
    if not clash.by_state or wish.party not in {Party.CUSTOMER, Party.PERSON}:
        return None
    return _Found(winner=wish, rule=Rule.STATE, form=Form.RUN, ask=False)


def _by_law(a: Side, b: Side, policy: ConflictPolicy) -> _Found | None:
    blocks = [
        side for side in (a, b) if side.party is Party.LEGAL and side.stance not in {Stance.PROCEED, Stance.LIMIT}
    ]
    if not blocks:
        return None
    block = min(blocks, key=lambda side: policy.rank(side.stance))
    sure = not _unsure(block, policy)
    run = block.stance.irreversible and sure
    return _Found(winner=block, rule=Rule.LEGAL, form=Form.RUN if run else Form.HOLD, ask=not sure)


def _by_person(a: Side, b: Side, policy: ConflictPolicy, settle: Settle) -> _Found | None:
    if settle is not Settle.ASK_PERSON:
        return None
    return _Found(winner=_safest(a, b, policy), rule=Rule.ASK_PERSON, form=Form.HOLD, ask=True)


def _by_confidence(a: Side, b: Side, policy: ConflictPolicy) -> _Found | None:
    """Who is not sure cannot win alone; a hold still holds."""
    unsure = [side for side in (a, b) if _unsure(side, policy)]
    if not unsure:
        return None
    holding = [side for side in (a, b) if side.stance.stops]
    surer = b if unsure[0] is a else a
    winner = _safest(a, b, policy) if holding or len(unsure) == 2 else surer
    return _Found(winner=winner, rule=Rule.CONFIDENCE, form=Form.HOLD, ask=True)


def _by_tier(a: Side, b: Side) -> _Found | None:
    first, second = _place(a), _place(b)
    if first == second:
        return None
    winner = a if first < second else b
    return _Found(winner=winner, rule=Rule.TIER, form=_form(winner), ask=winner.stance is Stance.REVIEW)


def _by_severity(a: Side, b: Side, policy: ConflictPolicy, settle: Settle) -> _Found | None:
    """Declared for a facet whose writers must all agree: one refusal stands against any consent."""
    if settle is not Settle.MOST_SEVERE:
        return None
    going = [side for side in (a, b) if side.stance in {Stance.PROCEED, Stance.LIMIT}]
    if len(going) != 1:
        winner = _safest(a, b, policy)
        return _Found(winner=winner, rule=Rule.MOST_SEVERE, form=Form.HOLD, ask=True)
    winner = b if going[0] is a else a
    return _Found(winner=winner, rule=Rule.MOST_SEVERE, form=_form(winner), ask=winner.stance is Stance.REVIEW)


def _by_calibration(a: Side, b: Side, policy: ConflictPolicy, at: datetime) -> _Found | None:
    if a.confidence is None or b.confidence is None:
        return None
    if (
        not all(_calibrated(side, policy, at) for side in (a, b))
        or abs(a.confidence - b.confidence) < policy.difference
    ):
        return None
    winner = a if a.confidence > b.confidence else b
    return _Found(winner=winner, rule=Rule.CALIBRATED, form=_form(winner), ask=winner.stance is Stance.REVIEW)


def _calibrated(side: Side, policy: ConflictPolicy, at: datetime) -> bool:
    return side.calibrated_at is not None and side.calibrated_at <= at < side.calibrated_at + policy.calibration_age


def _by_safety(a: Side, b: Side, policy: ConflictPolicy, at: datetime) -> _Found:
    winner = _safest(a, b, policy)
    limited = winner.stance is Stance.LIMIT and policy.rank(a.stance) != policy.rank(b.stance)
    until = at + policy.provisional if limited else None
    return _Found(winner=winner, rule=Rule.SAFER, form=Form.RUN if limited else Form.HOLD, ask=True, until=until)


def _place(side: Side) -> int:
    """A person stands before every tier, a customer's wish behind them all: asking is no authority."""
    return {Party.PERSON: 0, Party.CUSTOMER: 4}.get(side.party, side.tier)


def _unsure(side: Side, policy: ConflictPolicy) -> bool:
    if side.party in {Party.PERSON, Party.CUSTOMER}:
        return False
    return side.confidence is None or side.confidence < policy.act


def _safest(a: Side, b: Side, policy: ConflictPolicy) -> Side:
    """The safer stance; of equals what stands already, else the earlier decision (ids are ordered by time)."""
    return min((a, b), key=lambda s: (policy.rank(s.stance), s.phase is not Phase.STANDING, s.decision_id))


def _form(winner: Side) -> Form:
    return Form.HOLD if winner.stance.stops else Form.RUN


def _resolution(found: _Found, loser: Side, policy: ConflictPolicy) -> Resolution:
    winner, rules, form, ask, until = found.winner, [found.rule], found.form, found.ask, found.until
    opinion = found.rule not in {Rule.STATE, Rule.LEGAL} and winner.party is not Party.PERSON
    if opinion and form is Form.RUN and winner.stance.irreversible and (winner.confidence or 0) < policy.irreversible:
        rules.append(Rule.PRECISION)
        form, ask = Form.HOLD, True
    # R5 is about R2 to R4; what a person, the law or the state of things says is not held back again.
    if opinion and high_exposure(winner, loser, policy):
        rules.append(Rule.EXPOSURE)
        form, ask, until = Form.HOLD, True, None
    return Resolution(
        winner=winner,
        loser=loser,
        rules=tuple(rules),
        form=form,
        ask=ask,
        instead=found.instead,
        until=until,
        policy=policy.version,
        sentence=_sentence(winner, loser, rules, form=form, ask=ask, instead=found.instead, policy=policy),
    )


def high_exposure(a: Side, b: Side, policy: ConflictPolicy) -> bool:
    """Whether the larger of two exposures is a person's to decide; an unknown one is."""
    amounts = [s.exposure_usd if s.exposure_usd is None or not s.rate_stale else s.exposure_usd * policy.stale_factor
               for s in (a, b)]  # fmt: skip
    return any(amount is None or amount >= policy.exposure_usd for amount in amounts)


_BECAUSE = {
    Rule.LEGAL: "a legal block comes first",
    Rule.CONFIDENCE: "who is not sure cannot win alone",
    Rule.TIER: "the lower tier comes first",
    Rule.CALIBRATED: "of one tier the one with the clearly higher calibrated confidence",
    Rule.SAFER: "of equals the safer action, provisionally",
    Rule.EXPOSURE: "much money is at stake",
    Rule.PRECISION: "what cannot be undone takes more certainty",
    Rule.STATE: "the state of things decides",
    Rule.MOST_SEVERE: "the facet's rule lets the more careful opinion hold",
    Rule.ASK_PERSON: "the facet's rule asks a person",
    Rule.TIMEOUT: "nobody answered in time",
}


def _sentence(
    winner: Side, loser: Side, rules: Sequence[Rule], *, form: Form, ask: bool, instead: str, policy: ConflictPolicy
) -> str:
    because = ", ".join(f"{rule}: {_BECAUSE[rule]}" for rule in rules)
    done = f"{winner.agent}'s {winner.action} is carried out" if form is Form.RUN else "nothing is carried out"
    limit = f" (limit {policy.exposure_usd} USD)" if Rule.EXPOSURE in rules else ""
    asked = ", a person decides" if ask else ""
    turned = f", {loser.action} becomes {instead}" if instead else ""
    return f"{winner.told()}, {loser.told()}; {winner.agent} wins by {because}{limit}; {done}{asked}{turned}"


@dataclass(frozen=True, kw_only=True)
class Settlement:
    """What becomes of any number of live decisions about one entity."""

    executed: tuple[Side, ...]
    """Carried out now, compatible with each other."""
    held: tuple[Side, ...]
    resolutions: tuple[Resolution, ...]
    stale: tuple[Stale, ...]

    @property
    def ask(self) -> bool:
        """Whether a person has the last word on anything."""
        return any(resolution.ask for resolution in self.resolutions)


def settle_all(
    sides: Iterable[Side], policy: ConflictPolicy, *, at: datetime, settle: Settle = Settle.BY_RULES
) -> Settlement:
    """Settle every pair: carried out is who lost nowhere and is held back nowhere."""
    known = {(side.decision_id, side.facet): side for side in sides}
    live = [known[key] for key in sorted(known)]
    ends = [resolve(a, b, policy, at=at, settle=settle) for a, b in combinations(live, 2)]
    resolutions = tuple(end for end in ends if isinstance(end, Resolution))
    stale = tuple(end for end in ends if isinstance(end, Stale))
    lost = [end.loser for end in resolutions] + [end.side for end in stale]
    back = [end.winner for end in resolutions if not end.runs and not end.winner.stance.stops]
    executed = tuple(side for side in live if side not in lost and side not in back)
    held = tuple(side for side in live if side not in executed)
    return Settlement(executed=executed, held=held, resolutions=resolutions, stale=stale)


def unanswered(
    resolution: Resolution, policy: ConflictPolicy, *, now: datetime, ship_by: datetime | None
) -> Resolution:
    """R6: what holds when nobody has answered in time. The safest action that keeps the promise, and never a release.

    Holding keeps the promise while the ship-by is ahead; past it a limit somebody proposed does, if there is one.
    """
    sides = sorted((resolution.winner, resolution.loser), key=lambda s: (policy.rank(s.stance), s.decision_id))
    late = ship_by is not None and now >= ship_by
    limits = [side for side in sides if side.stance is Stance.LIMIT]
    chosen = limits[0] if late and limits else sides[0]
    other = sides[1] if chosen is sides[0] else sides[0]
    form = Form.RUN if chosen.stance is Stance.LIMIT and (late or chosen is sides[0]) else Form.HOLD
    rules = (Rule.TIMEOUT, *resolution.rules)
    sentence = _sentence(chosen, other, rules[:1], form=form, ask=True, instead="", policy=policy)
    return resolution.model_copy(
        update={
            "winner": chosen, "loser": other, "rules": rules, "form": form, "ask": True, "until": None,
            "sentence": sentence,
        }
    )  # fmt: skip
