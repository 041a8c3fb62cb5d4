"""The dead letters of the RabbitMQ bus: a stream of their own, read without taking; a dropped letter is marked so."""

import orjson

from domain.ports import DeadLetter
from graph.runtime.bus_messages import epoch_ms, from_epoch_ms
from graph.runtime.bus_rabbitmq_client import RabbitClient, headers_of, message_of

_FACTS = "dead"
_DROPPED = "dropped"


class RabbitLetters:
    """Keeps letters in a stream. Burying one delivery again after a crash is the same letter."""

    def __init__(self, client: RabbitClient, stream: str) -> None:
        self._client = client
        self._stream = stream

    async def put(self, letter: DeadLetter) -> None:
        """Keep a letter; returns once the broker has confirmed."""
        at_ms = epoch_ms(letter.at)
        facts = {
            "id": letter.letter_id,
            "topic": letter.topic,
            "group": letter.group,
            "reason": letter.reason,
            "attempts": letter.attempts,
            "at": at_ms,
        }
        headers = {**headers_of(letter.message, at_ms), _FACTS: orjson.dumps(facts).decode()}
        await self._client.stream(self._stream)
        await self._client.send("", self._stream, letter.message.body.encode(), headers)

    async def drop(self, letter_id: str) -> None:
        """Drop a letter."""
        await self._client.send("", self._stream, b"", {_DROPPED: letter_id})

    async def kept(self) -> dict[str, DeadLetter]:
        """Every letter by its id, oldest first. Reads the whole stream."""
        letters: dict[str, DeadLetter] = {}
        async for record in self._client.until_fence(self._stream):
            if _FACTS not in record.headers:
                letters.pop(str(record.headers.get(_DROPPED)), None)
                continue
            facts = orjson.loads(str(record.headers[_FACTS]))
            letters[facts["id"]] = DeadLetter(
                letter_id=facts["id"],
                topic=facts["topic"],
                group=facts["group"],
                message=message_of(record)[0],
                reason=facts["reason"],
                attempts=facts["attempts"],
                at=from_epoch_ms(facts["at"]),
            )
        return dict(sorted(letters.items(), key=lambda item: item[1].at))
