"""The area of promoted rules: the book, and who feeds it."""

from dataclasses import dataclass

from graph.bootstrap.foundation import Foundation
from graph.runtime.listening import Listener
from graph.runtime.rule_book import RuleBook
from graph.runtime.rule_listener import RuleListener


@dataclass(frozen=True, kw_only=True)
class Promotion:
    """Rules made of model answers that people confirmed."""

    book: RuleBook
    followers: tuple[Listener, ...]


def promote(base: Foundation) -> Promotion:
    """Build the area."""
    book = RuleBook(base.engine, base.store.journal)
    return Promotion(book=book, followers=(RuleListener(base.store.reviews, base.store.journal, book),))
