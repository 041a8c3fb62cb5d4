"""The atomic steps of the checkpointer. A thread is two hashes in one slot: ``data`` and, while tasks run, ``writes``.

Fields of ``data``: ``h<namespace>`` newest checkpoint id, ``c<namespace><id>`` record, ``b<namespace><channel><version>``
blob, ``x<namespace>`` history must stay whole (delta channels), ``p`` pinned. Fields of ``writes`` begin with the
namespace and id of the checkpoint they belong to.
"""

from graph.runtime.scripts import Script

_EXPIRE = """
if redis.call('HEXISTS', data, 'p') == 0 then
  redis.call('EXPIRE', data, ttl)
  redis.call('EXPIRE', writes, ttl)
end
"""

_ORDER = """
-- by bytes: the server's locale must not decide which checkpoint is the newest
local function before(a, b)
  for at = 1, math.min(#a, #b) do
    local x, y = a:byte(at), b:byte(at)
    if x ~= y then return x < y end
  end
  return #a < #b
end
"""

PUT = Script(f"""
local data, writes = KEYS[1], KEYS[2]
local ttl, ns, key, id, delta = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
{_ORDER}
local head, whole, pinned = unpack(redis.call('HMGET', data, 'h' .. ns, 'x' .. ns, 'p'))
if not head or before(head, id) then
  redis.call('HSET', data, 'h' .. ns, id, unpack(ARGV, 6))
else
  redis.call('HSET', data, unpack(ARGV, 6))
end
if delta == '1' then redis.call('HSET', data, 'x' .. ns, '1') end
local superseding = delta ~= '1' and not whole
if superseding and redis.call('EXISTS', writes) == 1 then
  local own = key .. #id .. ':' .. id
  for _, field in ipairs(redis.call('HKEYS', writes)) do
    if field:sub(1, #key) == key and field:sub(1, #own) ~= own then redis.call('HDEL', writes, field) end
  end
end
if not pinned then
  redis.call('EXPIRE', data, ttl)
  redis.call('EXPIRE', writes, ttl)
end
""")
"""Store a checkpoint; the namespace's other pending writes are superseded by it and go."""

PUT_WRITES = Script(f"""
local data, writes = KEYS[1], KEYS[2]
local ttl = ARGV[1]
for at = 2, #ARGV, 3 do
  redis.call(ARGV[at] == '1' and 'HSET' or 'HSETNX', writes, ARGV[at + 1], ARGV[at + 2])
end
{_EXPIRE}
""")
"""Store pending writes; they may arrive before their checkpoint."""

GET = Script("""
local data, writes = KEYS[1], KEYS[2]
local ns, key, id = ARGV[1], ARGV[2], ARGV[3]
if id == '' then id = redis.call('HGET', data, 'h' .. ns) end
local record = id and redis.call('HGET', data, 'c' .. key .. id)
if not record then return nil end
local names = cmsgpack.unpack(record:sub(5, 4 + struct.unpack('>I4', record)))
local blobs, pending = {}, {}
for at, name in ipairs(names) do blobs[at] = redis.call('HGET', data, 'b' .. key .. name) end
local own = key .. #id .. ':' .. id
local all = redis.call('HGETALL', writes)
for at = 1, #all, 2 do
  if all[at]:sub(1, #own) == own then pending[#pending + 1] = all[at + 1] end
end
return {id, record, blobs, pending}
""")
"""One checkpoint with everything it needs; the newest when no id is given."""

GET_ALL = Script("return {redis.call('HGETALL', KEYS[1]), redis.call('HGETALL', KEYS[2])}")
"""The whole thread."""

COPY = Script(f"""
local data, writes = KEYS[1], KEYS[2]
local ttl, fields = ARGV[1], tonumber(ARGV[2])
{_ORDER}
for at = 3, 2 + 2 * fields, 2 do
  local field, value = ARGV[at], ARGV[at + 1]
  local kept = field:sub(1, 1) == 'h' and redis.call('HGET', data, field)
  if not kept or before(kept, value) then redis.call('HSET', data, field, value) end
end
for at = 3 + 2 * fields, #ARGV, 2 do redis.call('HSET', writes, ARGV[at], ARGV[at + 1]) end
{_EXPIRE}
""")
"""Add fields read from another thread."""

PRUNE = Script(f"""
local data, writes = KEYS[1], KEYS[2]
local keep, doomed = tonumber(ARGV[1]), {{}}
for at = 2, #ARGV do doomed[ARGV[at]] = true end
{_ORDER}
local function drop_writes(own)
  for _, field in ipairs(redis.call('HKEYS', writes)) do
    if field:sub(1, #own) == own then redis.call('HDEL', writes, field) end
  end
end
local function prune(ns, key)
  local ids, blobs, needed, kept = {{}}, {{}}, {{}}, 0
  for _, field in ipairs(redis.call('HKEYS', data)) do
    if field:sub(2, 1 + #key) == key then
      local kind, rest = field:sub(1, 1), field:sub(2 + #key)
      if kind == 'c' then ids[#ids + 1] = rest elseif kind == 'b' then blobs[#blobs + 1] = rest end
    end
  end
  table.sort(ids, function(a, b) return before(b, a) end)
  for _, id in ipairs(ids) do
    local field = 'c' .. key .. id
    if doomed[field] or (keep >= 0 and kept >= keep) then
      redis.call('HDEL', data, field)
      drop_writes(key .. #id .. ':' .. id)
    else
      kept = kept + 1
      if kept == 1 then redis.call('HSET', data, 'h' .. ns, id) end
      local record = redis.call('HGET', data, field)
      for _, name in ipairs(cmsgpack.unpack(record:sub(5, 4 + struct.unpack('>I4', record)))) do needed[name] = true end
    end
  end
  for _, name in ipairs(blobs) do
    if not needed[name] then redis.call('HDEL', data, 'b' .. key .. name) end
  end
  if kept == 0 then redis.call('HDEL', data, 'h' .. ns, 'x' .. ns) end
end
for _, field in ipairs(redis.call('HKEYS', data)) do
  local ns = field:sub(2)
  if field:sub(1, 1) == 'h' and (keep < 0 or redis.call('HEXISTS', data, 'x' .. ns) == 0) then
    prune(ns, #ns .. ':' .. ns)
  end
end
""")
"""Keep the newest ``keep`` checkpoints of each namespace (all when negative) except the named records.

A namespace with delta channels keeps its history: its newest state is spread over it.
"""

PIN = Script("""
redis.call('HSET', KEYS[1], 'p', '1')
redis.call('PERSIST', KEYS[1])
redis.call('PERSIST', KEYS[2])
""")
"""Take the thread's end of life away, for later writes too."""

UNPIN = Script("""
redis.call('HDEL', KEYS[1], 'p')
redis.call('EXPIRE', KEYS[1], ARGV[1])
redis.call('EXPIRE', KEYS[2], ARGV[1])
""")
"""Give it back."""
