"""Raw stream entries as a Redis client returns them, read into messages and dead letters."""

from collections.abc import Iterable, Mapping, Sequence

import orjson

from domain.errors import MalformedPayload
from domain.ports import DeadLetter, Message
from graph.runtime.bus_messages import from_epoch_ms, parse
from graph.runtime.bus_scripts import LETTER_PREFIX

Fields = Mapping[bytes, bytes] | Sequence[bytes]

_PREFIX = LETTER_PREFIX.encode()


def text_of(value: bytes | str) -> str:
    """An id or name as text, whether or not the client decodes."""
    return value.decode() if isinstance(value, bytes) else value


def pairs_of(fields: Fields) -> Iterable[tuple[bytes, bytes]]:
    """The fields of an entry: commands give a mapping, scripts a flat list."""
    if isinstance(fields, Mapping):
        return fields.items()
    return zip(fields[::2], fields[1::2], strict=True)


def message_of(fields: Fields) -> Message:
    """The message of an entry.

    Raises:
        MalformedPayload: the entry is not laid out as a message, or not UTF-8 text.
    """
    try:
        return parse({text_of(name): text_of(value) for name, value in pairs_of(fields)})
    except UnicodeDecodeError as error:
        raise MalformedPayload(f"stream entry is not UTF-8 text: {error.reason} at byte {error.start}") from error


def letter_of(letter_id: str, fields: Fields) -> DeadLetter:
    """The dead letter of an entry; what never was a message is shown as JSON in the body, under an empty key."""
    facts: dict[str, str] = {}
    kept: dict[bytes, bytes] = {}
    for name, value in pairs_of(fields):
        if name.startswith(_PREFIX):
            facts[name.removeprefix(_PREFIX).decode()] = value.decode()
        else:
            kept[name] = value
    try:
        message = message_of(kept)
    except MalformedPayload:
        shown = {name.decode(errors="replace"): value.decode(errors="replace") for name, value in kept.items()}
        message = Message(key="", body=orjson.dumps(shown).decode())
    return DeadLetter(
        letter_id=letter_id,
        topic=facts.get("topic", ""),
        group=facts.get("group", ""),
        message=message,
        reason=facts.get("reason", ""),
        attempts=int(facts.get("attempts", "0")),
        at=from_epoch_ms(int(facts.get("at", "0"))),
    )
