"""The atomic steps of the Redis bus. Every one writes before it acknowledges, so a refused write loses nothing.

A dead letter is the original entry's fields beside ``dead.topic``, ``dead.group``, ``dead.reason``, ``dead.attempts``,
``dead.at`` (ms since 1970) and ``dead.id`` (the entry it came from).
"""

from graph.runtime.scripts import Script

LETTER_PREFIX = "dead."

PUBLISH_ONCE = Script(
    """
local stream, seen = unpack(KEYS)
local ttl_ms = unpack(ARGV)
if redis.call('EXISTS', seen) == 1 then return false end
local id = redis.call('XADD', stream, '*', unpack(ARGV, 2))
redis.call('SET', seen, id, 'PX', ttl_ms)
return id
"""
)

_LETTER = """
local function write_letter(dead, fields, topic, group, id, reason, attempts, now_ms)
  local letter = {}
  for i = 1, #fields do letter[i] = fields[i] end
  local facts = {'dead.topic', topic, 'dead.group', group, 'dead.reason', reason, 'dead.attempts', attempts,
    'dead.at', now_ms, 'dead.id', id}
  for i = 1, #facts do letter[#letter + 1] = facts[i] end
  return redis.call('XADD', dead, '*', unpack(letter))
end
"""

CLAIM = Script(
    _LETTER
    + """
local stream, dead = unpack(KEYS)
local topic, group, consumer, idle_ms, count, cap, now_ms = unpack(ARGV)
local rows = redis.call('XPENDING', stream, group, 'IDLE', idle_ms, '-', '+', count)
local claimed, buried = {}, {}
for _, row in ipairs(rows) do
  local id, deliveries = row[1], row[4]
  local entry = redis.call('XRANGE', stream, id, id)[1]
  local reason = false
  if not entry then
    reason = 'the entry was deleted from the stream before it was acknowledged'
  elseif deliveries >= tonumber(cap) then
    reason = 'delivered ' .. deliveries .. ' times without being acknowledged'
  end
  if reason then
    write_letter(dead, entry and entry[2] or {'k', '', 'b', ''}, topic, group, id, reason, deliveries, now_ms)
    redis.call('XACK', stream, group, id)
    buried[#buried + 1] = {id, reason}
  else
    redis.call('XCLAIM', stream, group, consumer, 0, id, 'RETRYCOUNT', deliveries + 1, 'JUSTID')
    claimed[#claimed + 1] = {id, deliveries + 1, entry[2]}
  end
end
return {claimed, buried}
"""
)
"""Takes over idle entries. XPENDING tells the delivery count before the claim, so an entry at the cap is never delivered
again, and an entry that is gone is seen while it can still be accounted for (XAUTOCLAIM drops it as it reports it)."""

RENEW = Script(
    """
local stream = KEYS[1]
local group, consumer = ARGV[1], ARGV[2]
local kept = 0
for at = 3, #ARGV do
  if redis.call('XPENDING', stream, group, ARGV[at], ARGV[at], 1, consumer)[1] then
    redis.call('XCLAIM', stream, group, consumer, 0, ARGV[at], 'JUSTID')
    kept = kept + 1
  end
end
return kept
"""
)
"""Starts the idle time of entries again, if the consumer still has them; claimed by itself they count no delivery."""

BURY = Script(
    _LETTER
    + """
local stream, dead = unpack(KEYS)
local topic, group, id, reason, attempts, now_ms = unpack(ARGV)
local pending = redis.pcall('XPENDING', stream, group, id, id, 1)
if not pending.err and #pending == 0 then return false end
local letter = write_letter(dead, {unpack(ARGV, 7)}, topic, group, id, reason, attempts, now_ms)
redis.call('XACK', stream, group, id)
return letter
"""
)
"""Nothing happens when somebody else has settled the entry; when the whole group is gone the letter is still kept."""

REPLAY = Script(
    """
local dead, stream = unpack(KEYS)
local id, now_ms = unpack(ARGV)
local letter = redis.call('XRANGE', dead, id, id)[1]
if not letter then return false end
local fields = {}
for i = 1, #letter[2], 2 do
  local name, value = letter[2][i], letter[2][i + 1]
  if name == 'ts' then value = now_ms end
  if string.sub(name, 1, 5) ~= 'dead.' then
    fields[#fields + 1] = name
    fields[#fields + 1] = value
  end
end
local published = redis.call('XADD', stream, '*', unpack(fields))
redis.call('XDEL', dead, id)
return published
"""
)

_GROUPS = """
local function parts(id)
  local ms, seq = string.match(id, '^(%d+)-(%d+)$')
  return tonumber(ms), tonumber(seq)
end
local function before(a, b)
  local a_ms, a_seq = parts(a)
  local b_ms, b_seq = parts(b)
  return a_ms < b_ms or (a_ms == b_ms and a_seq < b_seq)
end
local function facts_of(flat)
  local facts = {}
  for i = 1, #flat, 2 do facts[flat[i]] = flat[i + 1] end
  return facts
end
"""

TRIM = Script(
    _GROUPS
    + """
local stream = unpack(KEYS)
if redis.call('EXISTS', stream) == 0 then return 0 end
local least = nil
for _, flat in ipairs(redis.call('XINFO', 'GROUPS', stream)) do
  local group = facts_of(flat)
  local needed
  if group['pending'] > 0 then
    needed = redis.call('XPENDING', stream, group['name'])[2]
  else
    local ms, seq = parts(group['last-delivered-id'])
    needed = string.format('%.0f-%.0f', ms, seq + 1)
  end
  if not least or before(needed, least) then least = needed end
end
if not least then return 0 end
return redis.call('XTRIM', stream, 'MINID', '=', least)
"""
)
"""Keeps the oldest entry any group has yet to read or acknowledge, and everything after it."""

LAG = Script(
    _GROUPS
    + """
local stream = unpack(KEYS)
local group = unpack(ARGV)
if redis.call('EXISTS', stream) == 0 then return false end
local now = redis.call('TIME')
for _, flat in ipairs(redis.call('XINFO', 'GROUPS', stream)) do
  local found = facts_of(flat)
  if found['name'] == group then
    local last = found['last-delivered-id']
    local pending = redis.call('XPENDING', stream, group)
    local head = redis.call('XRANGE', stream, '-', '+', 'COUNT', 1)[1]
    local ahead = 0
    local oldest = pending[2]
    if head and before(last, head[1]) then
      ahead = redis.call('XLEN', stream)
      oldest = oldest or head[1]
    elseif head then
      ahead = found['lag'] or -1
      local next_entry = redis.call('XRANGE', stream, '(' .. last, '+', 'COUNT', 1)[1]
      oldest = oldest or (next_entry and next_entry[1])
    end
    local age = 0
    if oldest then age = math.max(0, now[1] * 1000 + math.floor(now[2] / 1000) - parts(oldest)) end
    return {ahead, pending[1], age, last}
  end
end
return false
"""
)
"""The server's own ``lag`` is null once entries ahead of the group were deleted: -1 here, and the caller counts them. It
also counts trimmed entries a group never read, so a group behind the whole stream is given the stream's length."""

COUNT_AFTER = Script(
    """
local stream = unpack(KEYS)
local after, limit = unpack(ARGV)
local entries = redis.call('XRANGE', stream, '(' .. after, '+', 'COUNT', limit)
return {#entries, entries[#entries] and entries[#entries][1] or after}
"""
)

LEAVE = Script(
    """
local stream = KEYS[1]
local group, consumer = unpack(ARGV)
if redis.call('EXISTS', stream) == 0 then return 0 end
local left = redis.pcall('XPENDING', stream, group, '-', '+', 1, consumer)
if left.err or #left > 0 then return 0 end
redis.call('XGROUP', 'DELCONSUMER', stream, group, consumer)
return 1
"""
)
"""Takes a consumer's name out of a group, unless something it was given is unacknowledged: that is still claimed."""
