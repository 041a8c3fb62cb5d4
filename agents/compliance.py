"""compliance: may these goods go to this place and party? A block names its clause; what cannot be told asks a person."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date

from agents.compliance_clauses import Clause, ClauseEffect, ClauseKind, ClauseTable, Condition, shipped_clauses
from agents.compliance_doubts import goods_doubts, names_masked, order_doubts, screened
from agents.compliance_names import name_words
from agents.compliance_parties import Hit, Match, PartyList, Screened, shipped_parties
from agents.fallbacks import manual_review_queue, undeclared
from domain.address import Address
from domain.catalogue import Product
from domain.decision import Outcome, Reason, Verdict
from domain.ids import Sku
from domain.order import Order
from domain.ports import AgentCase, CataloguePort
from domain.values import Plain


@dataclass(frozen=True, kw_only=True)
class CompliancePolicy:
    """How sure each kind of finding is. Declared, not measured: look-ups in our own records, not estimates."""

    version: str
    clear: float
    block: float
    uncertain: float


POLICY = CompliancePolicy(version="compliance-2026-11-01", clear=0.97, block=0.99, uncertain=0.5)


@dataclass(kw_only=True)
class _Findings:
    """What was found on one order."""

    blocks: list[Reason] = field(default_factory=list)
    doubts: list[Reason] = field(default_factory=list)
    conditions: list[tuple[str, Condition]] = field(default_factory=list)

    def apply(self, clause: Clause, *, value: str, evidence: str) -> None:
        """Note a clause that applies, as a block or as a question."""
        reason = Reason(code=clause.clause_id, text=clause.citation, value=value, evidence=evidence)
        (self.blocks if clause.effect is ClauseEffect.BLOCK else self.doubts).append(reason)


class Compliance:
    """Checks order, goods, destination and parties against dated clauses and lists."""

    name = "compliance"
    version = "co-1.0"
    fallbacks = ("manual_review_queue",)

    def __init__(
        self,
        *,
        erp: CataloguePort,
        clauses: ClauseTable | None = None,
        parties: PartyList | None = None,
        policy: CompliancePolicy = POLICY,
    ) -> None:
        """Other clauses and another list of parties than the shipped ones may be given."""
        self._erp = erp
        self.clauses = clauses or shipped_clauses()
        self.parties = parties or shipped_parties()
        self.policy = policy

    async def decide(self, case: AgentCase) -> Verdict:
        """Check the order.

        Raises:
            Transient: the catalogue could not be read.
        """
        order, day = case.order, case.now.date()
        skus = sorted({line.sku for line in order.lines if line.sku})
        products = await self._erp.products([Sku(sku) for sku in skus]) if skus else {}
        who, found = screened(order), _Findings()
        self._places(order, day, found)
        self._goods(order, products, day, found)
        self._parties(who, day, found)
        found.doubts += [*order_doubts(order), *goods_doubts(order, products, self.clauses)]
        found.conditions += self._conditions(order, products, day)
        return self._verdict(order, day, who, found)

    def fallback(self, name: str, case: AgentCase, why: str) -> Verdict:
        """``manual_review_queue``: a person decides.

        Raises:
            ConfigError: another fallback is named.
        """
        if name not in self.fallbacks:
            raise undeclared(self.name, name, self.fallbacks)
        return manual_review_queue(self.name, why)

    def _verdict(self, order: Order, day: date, who: Screened, found: _Findings) -> Verdict:
        decision, outcome, confidence = "clear", Outcome.PROCEED, self.policy.clear
        if found.blocks:
            decision, outcome, confidence = "block", Outcome.REJECT, self.policy.block
        elif found.doubts:
            decision, outcome, confidence = "review", Outcome.REVIEW, self.policy.uncertain
        reasons = (*found.blocks, *found.doubts) or (self._clear(order, day),)
        stopped = outcome is not Outcome.PROCEED
        flags = sorted({f"dg:{condition.goods.value}" for _, condition in found.conditions})
        return Verdict(
            decision=decision,
            outcome=outcome,
            confidence=confidence,
            flags=(*flags, *(("names_masked",) if names_masked(order) else ())),
            reasons=reasons,
            counterfactual=tuple(dict.fromkeys(reason.code for reason in reasons)) if stopped else (),
            facts=self._facts(found) | {"cleared_parties": self._cleared(who, day)},
        )

    def _clear(self, order: Order, day: date) -> Reason:
        return Reason(
            code="NO_CLAUSE_APPLIES",
            text=f"no clause of {self.clauses.version} and no party of {self.parties.version} in force on {day} "
            "covers this order",
            value=order.ship_to.country,
            evidence="order.ship_to.country",
        )

    def _facts(self, found: _Findings) -> dict[str, Plain]:
        conditions: list[Plain] = [
            {
                "sku": sku,
                "goods": condition.goods.value,
                "condition": condition.condition_id,
                "un": list(condition.un),
                "forbidden": list(condition.forbidden),
                "text": f"{condition.text} [{condition.source}]",
            }
            for sku, condition in found.conditions
        ]
        return {
            "clauses": [reason.code for reason in found.blocks],
            "conditions": conditions,
            "clauses_version": self.clauses.version,
            "parties_version": self.parties.version,
            "thresholds_version": self.policy.version,
            "confidence_basis": "declared",
        }

    def _cleared(self, who: Screened, day: date) -> list[Plain]:
        return [f"{given.party_id} by {given.by}" for given in self.parties.clearances(who, day)]

    def _places(self, order: Order, day: date, found: _Findings) -> None:
        clauses = self.clauses.current(ClauseKind.DESTINATION, day)
        for at, address in (("ship_to", order.ship_to), ("bill_to", order.bill_to)):
            if address is None or not address.country:
                continue
            for clause in clauses:
                # Only a clause on part of a country needs the words of the address.
                if address.country in clause.countries and clause.covers_place(address.country, _region_words(address)):
                    found.apply(clause, value=address.country, evidence=f"order.{at}.country")

    def _goods(self, order: Order, products: Mapping[Sku, Product], day: date, found: _Findings) -> None:
        destination = order.ship_to.country
        clauses = [
            clause
            for clause in self.clauses.current(ClauseKind.GOODS, day)
            if not clause.countries or destination in clause.countries
        ]
        for index, line in enumerate(order.lines):
            product = products.get(line.sku)
            if product is None or line.quantity_open == 0:
                continue
            pair = f"{line.sku} to {destination}"
            for clause in clauses:
                if clause.covers_goods(product):
                    found.apply(clause, value=pair, evidence=f"order.lines[{index}].sku")
            if destination in product.restricted_in:
                reason = Reason(
                    code="CATALOGUE-RESTRICTION",
                    text=f"our catalogue lists {destination} among the destinations {line.sku} may not be sent to",
                    value=pair,
                    evidence=f"erp.products:{line.sku}.restricted_in",
                )
                found.blocks.append(reason)

    def _parties(self, who: Screened, day: date, found: _Findings) -> None:
        for hit in self.parties.hits(who, day):
            (found.blocks if hit.match.blocks else found.doubts).append(_party_reason(hit))

    def _conditions(self, order: Order, products: Mapping[Sku, Product], day: date) -> Iterator[tuple[str, Condition]]:
        for sku in dict.fromkeys(line.sku for line in order.open_lines):
            product = products.get(sku)
            if product is not None:
                yield from ((sku, rule) for rule in self.clauses.conditions if rule.covers(product, day))


def _region_words(address: Address) -> frozenset[str]:
    return frozenset(name_words(f"{address.region} {address.city} {address.district}"))


def _party_reason(hit: Hit) -> Reason:
    party = hit.party
    if hit.match.blocks:
        text = f"{party.text} [{party.source}; in force since {party.valid_from}]"
        return Reason(code=party.party_id, text=text, value=hit.match.value, evidence=hit.field)
    said = {
        Match.NAME: f"a name equals an entry of {party.party_id}, the country does not; may be a namesake",
        Match.SIMILAR: f"a name resembles an entry of {party.party_id} in sound or spelling; may be somebody else",
    }
    code = "PARTY_NAME_MATCH" if hit.match is Match.NAME else "PARTY_NAME_SIMILAR"
    return Reason(code=code, text=said[hit.match], value=hit.match.value, evidence=hit.field)
