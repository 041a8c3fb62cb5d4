"""The Lua of stock feeds: one atomic step each on a warehouse's breaker, its counts, and what was sold since."""

from graph.runtime.keys import STATE_TTL_S
from graph.runtime.scripts import Script

SPACING_MS = 250
"""Readings closer together than this by the feed's own time are one sample."""
_FEEDS_TTL_S = 7 * 24 * 3600

_BREAKER = f"""
-- One sample of a feed moves its breaker. 'normal' counts as closed; silence of a pushing feed opens it as well, whether
-- or not anybody looked meanwhile.
local function sample(feeds, warehouse, sku, as_of, now, pushed, normal, open, ahead, within, samples)
  local raw = redis.call('HGET', feeds, warehouse)
  local feed = raw and cjson.decode(raw)
    or {{state = 'normal', newest = 0, last = 0, good = 0, first = 0, pushed = pushed, probe = sku}}
  local before, age = feed.state, now - as_of
  if pushed and feed.newest > 0 and now - feed.newest > open then
    if feed.state ~= 'open' then feed.state = 'open'; feed.good = 0 end
  end
  local future = age < -ahead
  if not future and (not pushed or as_of > feed.newest) then feed.newest = as_of end
  local dead = future and not pushed or now - feed.newest > open
  if feed.state == 'normal' then
    if dead then feed.state = 'open'; feed.good = 0 end
  elseif future or age > normal then
    feed.state = 'open'; feed.good = 0
  elseif as_of - feed.last >= {SPACING_MS} then
    if feed.good == 0 or now - feed.first > within then feed.good = 0; feed.first = now end
    feed.good = feed.good + 1
    if feed.good >= samples then
      feed.state = feed.state == 'open' and 'half_open' or 'normal'
      feed.good = 0
    end
  end
  if not future then feed.last = as_of end
  feed.pushed = feed.pushed or pushed
  feed.probe = sku
  if feed.state == 'normal' and not feed.pushed then
    redis.call('HDEL', feeds, warehouse)
  else
    redis.call('HSET', feeds, warehouse, cjson.encode(feed))
    redis.call('EXPIRE', feeds, {_FEEDS_TTL_S})
  end
  return before, feed.state
end
"""

SAMPLE = Script(
    _BREAKER
    + """
local feeds = KEYS[1]
local warehouse, sku, as_of, now, normal, open, ahead, within, samples = unpack(ARGV)
local before, after = sample(feeds, warehouse, sku, tonumber(as_of), tonumber(now), false, tonumber(normal),
  tonumber(open), tonumber(ahead), tonumber(within), tonumber(samples))
return {before, after}
"""
)

TAKE = Script(
    _BREAKER
    + f"""
local feeds, counts = KEYS[1], KEYS[2]
local warehouse, sku, as_of, sequence, body, now, normal, open, ahead, within, samples = unpack(ARGV)
as_of, sequence, now, ahead = tonumber(as_of), tonumber(sequence), tonumber(now), tonumber(ahead)
local taken = 'newer'
if now - as_of < -ahead then
  taken = 'ahead'
else
  local held = redis.call('HMGET', counts, sku .. '\\0t', sku .. '\\0s')
  if held[1] then
    local at, seq = tonumber(held[1]), tonumber(held[2])
    if as_of == at and sequence == seq then taken = 'repeated'
    elseif as_of < at or (as_of == at and sequence < seq) then taken = 'older' end
  end
end
if taken == 'newer' then
  redis.call('HSET', counts, sku, body, sku .. '\\0t', as_of, sku .. '\\0s', sequence)
  redis.call('EXPIRE', counts, {STATE_TTL_S})
end
if taken == 'repeated' or taken == 'older' then return {{taken, '', ''}} end
local before, after = sample(feeds, warehouse, sku, as_of, now, true, tonumber(normal), tonumber(open), ahead,
  tonumber(within), tonumber(samples))
return {{taken, before, after}}
"""
)

LEVELS = Script(
    """
local warehouses, skus, found = tonumber(ARGV[1]), #ARGV - 1, {}
for w = 1, warehouses do
  for s = 1, skus do
    local sku = ARGV[s + 1]
    local held = redis.call('HMGET', KEYS[w], sku, sku .. '\\0t')
    if held[1] then
      local sold = 0
      local since = redis.call('ZRANGEBYSCORE', KEYS[warehouses + (w - 1) * skus + s], '(' .. held[2], '+inf')
      for _, member in ipairs(since) do sold = sold + tonumber(string.match(member, '^(%d+)|')) end
      found[#found + 1] = held[1]
      found[#found + 1] = sold
    end
  end
end
return found
"""
)

SOLD = Script(
    """
redis.call('ZADD', KEYS[1], 'NX', ARGV[2], ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', tonumber(ARGV[2]) - tonumber(ARGV[3]) * 1000)
redis.call('EXPIRE', KEYS[1], ARGV[3])
return 1
"""
)
