"""One of several processes that claim at the same moment: ``python claim_racer.py URL ROUNDS RACERS SIDE``.

Each round it waits until all have arrived, claims, begins when it was granted, and says in one JSON line what it got.
"""

import asyncio
import json
import sys
from datetime import UTC, datetime

from domain.claim import ClaimState, Entity
from domain.conflict import Side
from domain.errors import Conflict
from domain.ids import TenantId
from graph.runtime.claims import Claims
from graph.runtime.connection import Batcher, connect
from graph.runtime.keys import Keyspace
from graph.topology.conflict_policy import shipped_policy


async def race(url: str, rounds: int, racers: int, template: Side) -> None:
    client = connect(url)
    batcher = Batcher(client)
    claims = Claims(batcher, Keyspace(), shipped_policy())
    for number in range(rounds):
        side = template.model_copy(update={"decision_id": f"{template.decision_id}-{number}"})
        entity = Entity(tenant=TenantId("demo"), entity_type="sku", entity_id=f"SKU-{number}")
        await client.incr(f"arrived:{number}")
        while int(await client.get(f"arrived:{number}") or 0) < racers:  # noqa: ASYNC110  # the others are other processes
            await asyncio.sleep(0)
        at = datetime.now(UTC)
        claim = await claims.claim_facet(entity, side, at=at)
        begun = False
        if claim.state is ClaimState.GRANTED:
            try:
                await claims.begin(entity, side, at=at)
                begun = True
            except Conflict:
                begun = False
        sys.stdout.write(
            json.dumps({"round": number, "state": claim.state, "begun": begun, "ms": int(at.timestamp() * 1000)}) + "\n"
        )
    await batcher.aclose()
    await client.aclose()


if __name__ == "__main__":
    asyncio.run(race(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Side.from_json(sys.argv[4])))
