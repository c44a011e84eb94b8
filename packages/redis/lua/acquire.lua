--[[
Asks for locks, in order. Idempotent by id.

KEYS, ARGV[1..3]: see include/state.lua
ARGV[4]    the number of fields of the hash (include/state.lua) that the requests concern; ARGV[5] the holder (JSON) of
           those that do not name another
ARGV[6..]  the fields: for each request its record, and for each of its targets the nodes above it, root first, and its
           own
then       for each request: id, ttl (ms), and
             s, the target: one that queues, for one target, not nested; or
             q to queue or t to be refused, holder, the number of targets, the targets, the number of enclosing leases,
             their ids
Returns    {now, more, events}, then three for each request:
             1, token, deadline            granted
             2, blocker, its deadline      waiting
             3, the blocker (describe), 0  refused
             4, cycle (ids, by space), 0   deadlock
           or {now, -1} when the command is late
]]
--@include free
--@include state
if now > tonumber(ARGV[3]) then
  return { now, -1 }
end
--@include rules
--@include rest
local ids, records, queued, fields, at = {}, {}, {}, {}, 6 + ARGV[4]
for i = 1, tonumber(ARGV[4]) do
  fields[i] = ARGV[5 + i]
end
while at <= #ARGV do
  local i, record = #ids + 1, { 'q', '', 0, now, tonumber(ARGV[at + 1]), ARGV[1], ARGV[5], '', 1, ARGV[at + 3] }
  ids[i], records[i], queued[i] = ARGV[at], record, ARGV[at + 2] ~= 't'
  if ARGV[at + 2] == 's' then
    at = at + 4
  else
    local n = tonumber(ARGV[at + 4])
    local within = at + 5 + n
    record[HOLDER], record[N] = ARGV[at + 3], n
    for t = 1, n do
      record[N + t] = ARGV[at + 4 + t]
    end
    for w = 1, tonumber(ARGV[within]) do
      record[N + n + w] = ARGV[within + w]
    end
    at = within + ARGV[within] + 1
  end
end
begin(fields)

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
      answers[a], answers[a + 1], answers[a + 2] = 3, F.describe(blocker), 0
    else
      last_ticket = last_ticket + 1
      F.place_waiting(id, record, 1)
      F.set_deadline('q' .. id, now + record[TTL] * 1000)
      local cycle = F.watch(id, record, blocker)
      if cycle then
        drop(id, record)
        answers[a], answers[a + 1], answers[a + 2] = 4, table.concat(cycle, ' '), 0
      else
        answers[a], answers[a + 1], answers[a + 2] = 2, blocker, F.deadline_of(blocker)
      end
    end
  end
end
save()
return answer(answers)
