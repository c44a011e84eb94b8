--[[
Asks for locks, in order. Idempotent by id.

KEYS, ARGV[1..3]: see include/state.lua
ARGV[4]    the holder (JSON), and ARGV[5] the ttl (ms), of the requests that do not say otherwise
ARGV[6..]  the requests, in order. A simple one, which queues, for one target and not nested: id, target.
           Another: an empty string, id, ttl (ms), q to queue or t to be refused, holder, the number of targets, the
           targets, the number of enclosing leases, their ids. Both together are 3,900 at most, and the segments of the paths
           4,000: more is an error, and nothing of the call is done. Behind q may stand how long it stays in the queue (ms), if not for the ttl
Returns    {now, more, events}, then three for each request:
             1, token, deadline            granted
             2, blocker, its deadline      waiting
             3, the blocker (describe), 0  refused
             4, cycle (ids, by space), 0   deadlock
           or {now, -1} when the command is late; or, when all were granted and nothing else happened, a short answer: the
           seconds and the microseconds of now, and the first token where that is not now. The tokens follow each other, and
           the ttls begin now.
]]
-- (Calls that may be too large for the stack of Lua, 8,000 values, do not go the short ways: sixty paths of 128 segments.)
if #ARGV <= 125 then
--@include free
--@include queue
end
--@include state
if now > tonumber(ARGV[3]) then
  return { now, -1 }
end
--@include rules
--@include rest
-- `queued` has how long each stays in the queue, of those that queue.
local ids, records, queued, fields, at = {}, {}, {}, {}, 6
while at <= #ARGV do
  local i = #ids + 1
  local record = { 'q', '', 0, now, tonumber(ARGV[5]), ARGV[1], ARGV[4], '', 1, ARGV[at + 1] }
  if ARGV[at] ~= '' then
    ids[i], queued[i] = ARGV[at], record[TTL]
    at = at + 2
  else
    local n = tonumber(ARGV[at + 5])
    local within = at + 6 + n
    -- A record is packed, and unpacked, in one go.
    if n + ARGV[within] > 3900 then
      return redis.error_reply('ERR too many targets in one request')
    end
    ids[i], queued[i] = ARGV[at + 1], tonumber(sub(ARGV[at + 3], 2))
    record[TTL], record[HOLDER], record[N] = tonumber(ARGV[at + 2]), ARGV[at + 4], n
    if ARGV[at + 3] == 'q' then
      queued[i] = record[TTL]
    end
    for t = 1, n do
      record[N + t] = ARGV[at + 5 + t]
    end
    for w = 1, tonumber(ARGV[within]) do
      record[N + n + w] = ARGV[within + w]
    end
    at = within + ARGV[within] + 1
  end
  records[i], fields[#fields + 1] = record, 'r' .. ids[i]
  -- Nobody else is served meanwhile.
  if add_nodes(record, fields) > 4000 then
    return redis.error_reply('ERR too many segments in the paths of one request')
  end
end
begin(fields, true)

local answers = {}
for i = 1, #ids do
  local id, record, a = ids[i], records[i], 3 * i + 1
  local known = cache['r' .. id]
  if known then
    F.rest()
    answers[a], answers[a + 1], answers[a + 2] = 1, known[TOKEN], F.deadline_of(id)
    if known[STATE] == 'q' then
      answers[a], answers[a + 1], answers[a + 2] = 2, known[BLOCKER], F.deadline_of(known[BLOCKER])
    end
  else
    record[TICKET] = string.format('%016d', last_ticket + 1)
    local blocker = blocker_of(record)
    if not blocker then
      last_ticket = last_ticket + 1
      answers[a + 2] = grant(id, record)
      answers[a], answers[a + 1] = 1, record[TOKEN]
    elseif not queued[i] then
      F.rest()
      F.limit(blocker)
      answers[a], answers[a + 1], answers[a + 2] = 3, F.describe(blocker), 0
    else
      last_ticket = last_ticket + 1
      F.place_waiting(id, record, 1)
      local cycle = F.watch(id, record, blocker)
      if cycle then
        drop(id, record)
        answers[a], answers[a + 1], answers[a + 2] = 4, table.concat(cycle, ' '), 0
      else
        F.set_deadline('q' .. id, now + queued[i] * 1000)
        answers[a], answers[a + 1], answers[a + 2] = 2, blocker, F.deadline_of(blocker)
      end
    end
  end
end
save()
return answer(answers)
