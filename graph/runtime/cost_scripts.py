"""The atomic steps of the purse: setting money aside, booking what it became, finding what was forgotten.

Times are the server's own, so a worker with a wrong clock neither loses nor keeps a hold.
"""

from graph.runtime.scripts import Script

DAY_TTL_S = 4 * 24 * 3600
ENTITY_TTL_S = 30 * 24 * 3600
_ALERTS = """
-- One alert per scope, threshold and limit; who reaches it first makes it, together with the reason for it.
local function alert(scope, limit)
  local spent = tonumber(redis.call('HGET', spend, 's:' .. scope) or '0')
  for _, percent in ipairs({50, 80, 100}) do
    local mark = 'a:' .. scope .. ':' .. percent .. ':' .. limit
    if spent * 100 >= limit * percent and redis.call('HSETNX', spend, mark, spent) == 1 then
      local told = {tenant = tenant, agent = scope, day = day, percent = percent,
                    spent_usd_micro = spent, limit_usd_micro = tonumber(limit)}
      redis.call('HSET', alerts, tenant .. '|' .. day .. '|' .. mark, cjson.encode(told))
    end
  end
end
"""

RESERVE = Script(
    f"""
local spend, calls, ends, held, alerts = unpack(KEYS)
local tenant, day, agent, limit, total, cap, call, for_ms, amount, record, less, cheaper = unpack(ARGV)
{_ALERTS}
local made = tonumber(redis.call('HGET', calls, 'n') or '0')
if made >= tonumber(cap) then return {{'cap', made, 0, cap, ''}} end
local thrifty = false
for _, scope in ipairs({{ {{agent, limit}}, {{'*', total}} }}) do
  local spent = tonumber(redis.call('HGET', spend, 's:' .. scope[1]) or '0')
  local aside = tonumber(redis.call('HGET', spend, 'h:' .. scope[1]) or '0')
  if spent + aside >= tonumber(scope[2]) then
    alert(scope[1], scope[2])
    return {{'budget', spent, aside, scope[2], scope[1]}}
  end
  thrifty = thrifty or (spent + aside) * 100 >= tonumber(scope[2]) * 80
end
thrifty = thrifty and cheaper ~= ''
if thrifty then amount, record = less, cheaper end
local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('HINCRBY', spend, 'h:' .. agent, amount)
redis.call('HINCRBY', spend, 'h:*', amount)
redis.call('EXPIRE', spend, {DAY_TTL_S})
redis.call('HINCRBY', calls, 'n', 1)
redis.call('EXPIRE', calls, {ENTITY_TTL_S})
redis.call('ZADD', ends, now_ms + for_ms, call)
redis.call('HSET', held, call, amount .. '|' .. record)
return {{thrifty and 'cheaper' or 'held', 0, 0, 0, ''}}
"""
)
"""A call is let through while less than the limit is spent or set aside: one call at most goes past it, over all workers."""

SETTLE = Script(
    f"""
local spend, calls, ends, held, unbooked, alerts = unpack(KEYS)
local tenant, day, agent, limit, total, call, amount, record = unpack(ARGV)
{_ALERTS}
local kept = redis.call('HGET', held, call)
if not kept then return 0 end
local aside = string.match(kept, '^(%d+)|')
redis.call('HDEL', held, call)
redis.call('ZREM', ends, call)
for _, scope in ipairs({{ {{agent, limit}}, {{'*', total}} }}) do
  redis.call('HINCRBY', spend, 'h:' .. scope[1], -aside)
  redis.call('HINCRBY', spend, 's:' .. scope[1], amount)
  alert(scope[1], scope[2])
end
redis.call('EXPIRE', spend, {DAY_TTL_S})
redis.call('HINCRBY', calls, 'usd_micro', amount)
redis.call('EXPIRE', calls, {ENTITY_TTL_S})
redis.call('HSET', unbooked, call, record)
return 1
"""
)

LOST = Script(
    """
local ends, held = unpack(KEYS)
local time = redis.call('TIME')
local late = redis.call('ZRANGEBYSCORE', ends, '-inf', time[1] * 1000, 'LIMIT', 0, tonumber(ARGV[1]))
local found = {}
for _, call in ipairs(late) do
  local kept = redis.call('HGET', held, call)
  if kept then
    found[#found + 1] = string.match(kept, '^%d+|(.*)$')
  else
    redis.call('ZREM', ends, call)
  end
end
return found
"""
)
"""Records of calls whose process must have died."""
