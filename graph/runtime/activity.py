"""Recent activity per card, device, address and so on, in exact sliding windows."""

from collections.abc import Mapping
from datetime import datetime
from hashlib import sha256

from graph.runtime.connection import Batcher
from graph.runtime.journal import millis
from graph.runtime.keys import Keyspace
from graph.runtime.scripts import Script

LONGEST_S = 8 * 24 * 3600
"""Kept a day longer than the widest window a rule asks for."""

_RECORD = Script(
    f"""
local member, now = ARGV[1], tonumber(ARGV[2])
for at = 1, #KEYS do
  redis.call('ZADD', KEYS[at], 'NX', now, member)
  redis.call('ZREMRANGEBYSCORE', KEYS[at], '-inf', now - {LONGEST_S * 1000})
  redis.call('EXPIRE', KEYS[at], {LONGEST_S})
end
return #KEYS
"""
)

_COUNT = Script(
    """
local found, seen, total = redis.call('ZRANGEBYSCORE', KEYS[1], ARGV[1], '+inf'), {}, 0
for at = 1, #found do
  local split = string.find(found[at], '|', 1, true)
  local name = ARGV[2] == 'order' and string.sub(found[at], 1, split - 1) or string.sub(found[at], split + 1)
  if not seen[name] then seen[name] = true; total = total + 1 end
end
return total
"""
)


class Activity:
    """Counts orders and accounts per key. Values and accounts are kept as hashes."""

    def __init__(self, batcher: Batcher, keys: Keyspace) -> None:
        """Both are shared with the rest of the runtime."""
        self._redis = batcher
        self._keys = keys

    async def record(self, *, tenant: str, keys: Mapping[str, str], order_id: str, account: str, at: datetime) -> None:
        """Note one order under each named key; the same order again changes nothing."""
        if not keys:
            return
        member = f"{sha256(order_id.encode()).hexdigest()[:20]}|{sha256(account.encode()).hexdigest()[:20]}"
        places = [self._keys.activity(tenant, name, value) for name, value in keys.items()]
        await self._redis.script(_RECORD, places, [member, millis(at)])

    async def count(self, *, tenant: str, name: str, value: str, since: datetime, distinct: str) -> int:
        """Distinct orders (``distinct='order'``) or accounts (``'account'``) under a key since an instant."""
        key = self._keys.activity(tenant, name, value)
        return int(await self._redis.script(_COUNT, [key], [millis(since), distinct]))
