"""The dead letters of the Kafka bus: a topic of their own, one key per letter, dropped by an empty record of that key."""

from typing import Any

import orjson

from domain.ports import DeadLetter
from graph.runtime.bus_kafka_client import KafkaClient, message_of, record_of
from graph.runtime.bus_messages import epoch_ms, from_epoch_ms

_FACTS = "dead"
"""Header with topic, group, reason, attempts, key and time of a letter."""


class KafkaLetters:
    """Keeps letters in a topic, which the operator may set to ``cleanup.policy=compact``.

    The id of a letter is made of group, topic, partition and offset: burying a message again after a crash is the same
    letter.
    """

    def __init__(self, client: KafkaClient, topic: str) -> None:
        self._client = client
        self._topic = topic

    async def put(self, letter: DeadLetter) -> None:
        """Keep a letter; returns when every in-sync replica has it."""
        facts = {
            "topic": letter.topic,
            "group": letter.group,
            "reason": letter.reason,
            "attempts": letter.attempts,
            "key": letter.message.key,
            "at": epoch_ms(letter.at),
        }
        record = record_of(letter.message, epoch_ms(letter.at))
        record["key"] = letter.letter_id.encode()
        record["headers"].append((_FACTS, orjson.dumps(facts)))
        await (await self._client.producer()).send_and_wait(self._topic, **record)

    async def drop(self, letter_id: str) -> None:
        """Drop a letter."""
        await (await self._client.producer()).send_and_wait(self._topic, key=letter_id.encode(), value=None)

    async def kept(self) -> dict[str, DeadLetter]:
        """Every letter by its id, oldest first. Reads the whole topic."""
        letters: dict[str, DeadLetter] = {}
        ends = {
            self._client.partition(self._topic, p): end for p, end in (await self._client.ends(self._topic)).items()
        }
        open_ends = {name: following for name, (first, following) in ends.items() if following > first}
        if not open_ends:
            return letters
        async with self._client.reader() as reader:
            reader.assign(list(open_ends))
            await reader.seek_to_beginning(*open_ends)
            while any([await reader.position(name) < end for name, end in open_ends.items()]):
                for records in (await reader.getmany(timeout_ms=1000)).values():
                    for record in records:
                        _note(letters, record)
        return dict(sorted(letters.items(), key=lambda item: item[1].at))


def _note(letters: dict[str, DeadLetter], record: Any) -> None:
    letter_id = (record.key or b"").decode(errors="replace")
    facts = next((orjson.loads(value) for name, value in record.headers if name == _FACTS), None)
    if record.value is None or facts is None:
        letters.pop(letter_id, None)
        return
    message, _ = message_of(record)
    headers = {name: value for name, value in message.headers.items() if name != _FACTS}
    letters[letter_id] = DeadLetter(
        letter_id=letter_id,
        topic=facts["topic"],
        group=facts["group"],
        message=message.model_copy(update={"key": facts["key"], "headers": headers}),
        reason=facts["reason"],
        attempts=facts["attempts"],
        at=from_epoch_ms(facts["at"]),
    )
