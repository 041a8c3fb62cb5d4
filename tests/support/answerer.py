"""A process that answers reviews as one person, each at the instant it is told; one JSON line in, one out."""

import asyncio
import json
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from domain.errors import SignalboxError
from domain.review import ReviewAction, ReviewAnswer
from domain.review_case import Actor
from tests.support.system import TENANT, fast_settings, opened


async def main(home: Path, person: str, action: str) -> None:
    """Answer until the input ends."""
    by = Actor(name=f"user:{person}", roles=frozenset({"ops"}), via="test")
    async with opened(fast_settings(home)) as rig:
        while line := await asyncio.to_thread(sys.stdin.readline):
            wish = json.loads(line)
            await asyncio.sleep(max(0.0, wish["at"] - time.time()))
            start, said, done = time.perf_counter(), "", True
            answer = ReviewAnswer(
                action=ReviewAction(action), decided_by=by.name, decided_at=datetime.now(UTC), via="test", reason="race"
            )
            try:
                await rig.box.reviews.cases.decide(TENANT, wish["review"], answer, by)
            except SignalboxError as refusal:
                said, done = str(refusal), False
            told = {"who": person, "done": done, "said": said, "took_s": time.perf_counter() - start}
            sys.stdout.write(json.dumps(told) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2], sys.argv[3]))
