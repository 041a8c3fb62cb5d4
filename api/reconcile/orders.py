"""The equation over orders: everything accepted is terminal, in review, a dead letter, given up or in flight; one of them.

What is in flight is about to change, so the other sources are not held against it.
"""

from collections import Counter
from collections.abc import Iterator

from api.reconcile.evidence import GIVEN_UP, Evidence, Ref
from api.reconcile.report import Mismatch
from domain.order import OrderProgress


class OrderEquation:
    """Sorts every order into the part it belongs to."""

    def __init__(self, found: Evidence) -> None:
        """``found`` is what the stores said."""
        self._found = found
        audit, flight = found.audit, found.in_flight
        ended = {ref: standing for ref, standing in audit.standing.items() if standing.ended and ref not in flight}
        self.terminal = {ref: standing.name for ref, standing in ended.items() if standing.name != GIVEN_UP}
        self.given_up = {ref for ref, standing in ended.items() if standing.name == GIVEN_UP}
        self.in_review = set(found.open_reviews) - flight
        # A letter about an order that went on or ended all the same is about a later message, not about the order.
        self.dead_letter = set(found.letters) - flight - set(ended) - self.in_review
        self.in_flight = flight & audit.accepted

    @property
    def outcomes(self) -> dict[str, int]:
        """Terminal orders by progress."""
        return dict(sorted(Counter(self.terminal.values()).items()))

    def mismatches(self) -> Iterator[Mismatch]:
        """Orders in no part, in two, or in one without having been accepted."""
        accepted = self._found.audit.accepted
        parts = self._parts()
        for ref in sorted(accepted - set().union(*parts.values(), self.in_flight)):
            yield _order(ref, f"was accepted and is nowhere: {self._whereabouts(ref)}")
        for name, refs in parts.items():
            for ref in sorted(refs - accepted):
                yield _order(ref, f"is {name} and the audit does not know that it was accepted")
        for ref in sorted(set(self.terminal) & self.in_review):
            yield _order(ref, f"ended as {self.terminal[ref]} and review {self._found.open_reviews[ref]} is open")
        for review_id in self._found.lost_reviews:
            yield Mismatch(check="reviews", id=review_id, text="is listed as open and has no record")
        yield from self._book_mismatches()

    def _parts(self) -> dict[str, set[Ref]]:
        return {
            "terminal": set(self.terminal),
            "in review": self.in_review,
            "a dead letter": self.dead_letter,
            "given up": self.given_up,
        }

    def _whereabouts(self, ref: Ref) -> str:
        standing, book = self._found.audit.standing.get(ref), self._found.books.get(ref)
        said = standing.name if standing else "nothing after its acceptance"
        booked = book.progress.value if book else "nothing"
        return f"the audit last says {said}, the order book {booked}"

    def _book_mismatches(self) -> Iterator[Mismatch]:
        """The order book against the audit and the review desk, where it still remembers the order."""
        for ref, book in sorted(self._found.books.items()):
            if ref in self._found.in_flight:
                continue
            if book is None:
                if ref in self.in_review or (ref in self.terminal and not self._found.expired(ref)):
                    yield _booked(ref, "has no working state although its time is not over")
                continue
            ended = self.terminal.get(ref)
            if ended is not None and book.progress.value != ended:
                yield _booked(ref, f"is {book.progress} in the order book and {ended} by the audit")
            if ended is None and book.progress.terminal and ref not in self.given_up:
                yield _booked(ref, f"is {book.progress} in the order book and the audit does not know it")
            if ref in self.in_review and book.review_id != self._found.open_reviews[ref]:
                review = self._found.open_reviews[ref]
                yield Mismatch(check="reviews", id=review, text=f"is open and order {ref[1]} does not wait for it")
            if book.progress is OrderProgress.DEAD_LETTER and ref not in self.dead_letter | self.given_up:
                yield _booked(ref, "is a dead letter in the order book and there is no letter")


def _order(ref: Ref, text: str) -> Mismatch:
    return Mismatch(check="orders", id=ref[1], text=text)


def _booked(ref: Ref, text: str) -> Mismatch:
    return Mismatch(check="order_book", id=ref[1], text=text)
