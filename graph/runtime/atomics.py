"""The Lua that every atomic step on an entity shares: fencing, lifetimes, and publishing with a sequence."""

from graph.runtime.keys import STATE_TTL_S

PRELUDE = f"""
local TTL = {STATE_TTL_S}
-- An entity with an open review is pinned: nothing of it expires until the review is closed.
local function keep(doc, key)
  if redis.call('HEXISTS', doc, 'pinned') == 1 then redis.call('PERSIST', key) else redis.call('EXPIRE', key, TTL) end
end
-- Token '0' is a writer outside the order's run (intake, tier 3); it owns only fields nobody else writes.
local function fresh(fence, token)
  return token == '0' or tonumber(token) >= tonumber(redis.call('GET', fence) or '0')
end
local function publish(doc, stream, thread, now, kind, body)
  local seq = redis.call('HINCRBY', doc, 'seq', 1)
  redis.call('XADD', stream, '*', 'k', thread, 'b', body, 'ts', now, 't', kind, 'seq', seq)
  return seq
end
"""
"""Prepended to the scripts of journal, ledger, reviews and intake."""

UNFENCED = 0
"""Token of writers outside an order's run."""
