"""Tapes: every answer an agent's reads get is noted while it decides, and given again when the decision is replayed.

Which tape is meant follows the task: many decisions are made and replayed at once by the same agents.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from hashlib import sha256
from typing import Any, TypeVar

from agents.reads import Read
from domain.errors import ConnectorUnavailable, Refused, Transient

T = TypeVar("T")

INLINE, SHARED, FAILED = "=", "@", "!"
SHARED_KEPT = 128


class NotRecorded(Refused):
    """A replayed agent asked for something the recorded one never read."""

    code = "refused.not_recorded"


_TAPE: ContextVar["Recorder | Playback | None"] = ContextVar("tape", default=None)


class SharedTexts:
    """Texts of values that many decisions read (lanes, rates), each written once as long as it is the same object."""

    def __init__(self) -> None:
        """Start with none."""
        self._known: OrderedDict[int, tuple[object, str, str]] = OrderedDict()

    def of(self, read: Read[T], value: object, plain: Callable[[], T]) -> tuple[str, str]:
        """Digest and text; ``plain`` makes the form that is written."""
        known = self._known.get(id(value))
        # The object is kept with its text, so its id can not have been given to another one.
        if known is None:
            text = read.text(plain())
            known = self._known[id(value)] = value, sha256(text.encode()).hexdigest(), text
            if len(self._known) > SHARED_KEPT:
                self._known.popitem(last=False)
        return known[1], known[2]


class Recorder:
    """Notes what one decision reads."""

    def __init__(self) -> None:
        """An empty tape."""
        self.reads: dict[str, list[str]] = {}
        self.values: dict[str, str] = {}

    def note(self, read: Read[T], key: str, value: T) -> None:
        """Note an answer."""
        self._append(read, key, INLINE + read.text(value))

    def note_shared(self, read: Read[Any], key: str, digest: str, text: str) -> None:
        """Note an answer by reference."""
        self.values[digest] = text
        self._append(read, key, SHARED + digest)

    def note_failure(self, read: Read[Any], key: str, why: str) -> None:
        """Note that there was no answer."""
        self._append(read, key, FAILED + why)

    def recall(self, read: Read[T], value: T) -> T:
        """The value, noted."""
        self.note(read, "", value)
        return value

    def _append(self, read: Read[Any], key: str, entry: str) -> None:
        entries = self.reads.setdefault(_name(read, key), [])
        # A value looked up many times within one decision is one answer.
        if not entries or entries[-1] != entry:
            entries.append(entry)


class Playback:
    """Answers reads from a tape and from nowhere else."""

    def __init__(self, reads: Mapping[str, Sequence[str]], values: "Values", *, without: Sequence[str] = ()) -> None:
        """``values`` finds the shared ones."""
        self._left = {name: list(entries) for name, entries in reads.items()}
        self._values = values
        self.without = frozenset(without)
        self.missing: list[str] = []
        """Reads that are not on the tape, in the order they were made."""

    def answer(self, read: Read[T], key: str) -> T:
        """What the read got when it was recorded; asked more often than then, the last answer stands.

        Raises:
            NotRecorded: it was never made.
            ConnectorUnavailable: it got no answer then either.
        """
        entries = self._left.get(_name(read, key))
        if not entries:
            self.missing.append(read.name)
            raise NotRecorded(f"{read.name} is not on the tape: the recorded decision did not read it")
        entry = entries.pop(0) if len(entries) > 1 else entries[0]
        if entry.startswith(FAILED):
            raise ConnectorUnavailable(entry[1:])
        return (
            self._values.inline(read, entry[1:]) if entry.startswith(INLINE) else self._values.shared(read, entry[1:])
        )

    def keys(self, read: Read[Any]) -> list[str]:
        """Under which keys the tape has answers to this read."""
        prefix = f"{read.name} "
        return [name.removeprefix(prefix) for name in self._left if name.startswith(prefix)]

    def recall(self, read: Read[T], value: T) -> T:
        """What was noted; the value itself where the recorded decision did not get so far."""
        return self.recall_keyed(read, "", value)

    def recall_keyed(self, read: Read[T], key: str, value: T) -> T:
        """What was noted under a key; the value itself where the recorded decision did not ask."""
        return self.answer(read, key) if _name(read, key) in self._left else value


class Values:
    """Shared values by digest, each parsed once."""

    def __init__(self, texts: Mapping[str, str]) -> None:
        """``texts`` may grow while this is used."""
        self._texts = texts
        self._parsed: dict[tuple[str, str], Any] = {}

    def inline(self, read: Read[T], text: str) -> T:
        """An answer written on the tape itself."""
        return read.value(text)

    def shared(self, read: Read[T], digest: str) -> T:
        """An answer written elsewhere; the same object every time.

        Raises:
            NotRecorded: its text is not there.
        """
        known: T | None = self._parsed.get((read.name, digest))
        if known is None:
            if digest not in self._texts:
                raise NotRecorded(f"{read.name} was recorded as {digest[:12]}, and that value is not kept any more")
            known = self._parsed[read.name, digest] = read.value(self._texts[digest])
        return known


@contextmanager
def on_tape(tape: "Recorder | Playback") -> Iterator[None]:
    """Whatever agents read within the block, in tasks started in it too, is noted on or answered from this tape."""
    token = _TAPE.set(tape)
    try:
        yield
    finally:
        _TAPE.reset(token)


def recorder() -> Recorder | None:
    """The tape that is being written, if one is."""
    tape = _TAPE.get()
    return tape if isinstance(tape, Recorder) else None


def playback() -> Playback:
    """The tape that is being played.

    Raises:
        NotRecorded: none is.
    """
    tape = _TAPE.get()
    if not isinstance(tape, Playback):
        raise NotRecorded("no tape is being played; a replayed agent reads nothing else")
    return tape


def recalled(read: Read[T], value: T) -> T:
    """A value that rests on earlier decisions rather than on a read: noted, or what was noted."""
    tape = _TAPE.get()
    return value if tape is None else tape.recall(read, value)


async def noted(read: Read[T], key: str, asked: Awaitable[T]) -> T:
    """The answer, noted on the tape that is being written; so is that there was none."""
    tape = recorder()
    try:
        value = await asked
    except (Transient, asyncio.CancelledError) as failure:
        if tape is not None:
            tape.note_failure(read, key, str(failure) or "there was no answer in time")
        raise
    if tape is not None:
        tape.note(read, key, value)
    return value


def _name(read: Read[Any], key: str) -> str:
    return f"{read.name} {key}" if key else read.name
