--[[
Asks for locks, in order. Idempotent by id.

KEYS, ARGV[1..3]: see include/state.lua
ARGV[4..]  for each request: id, ttl (ms), 1 to queue or 0 to be refused, holder (JSON), the number of targets, the
           targets, the number of enclosing leases, their ids
Returns    {now, more, events}, then three for each request:
             1, token, deadline            granted
             2, blocker, its deadline      waiting
             3, the blocker (describe), 0  refused
             4, cycle (ids, by space), 0   deadlock
           or {now, -1} when the command is late
]]
--@include state
if now > tonumber(ARGV[3]) then
  return { now, -1 }
end
--@include rules
--@include queue
--@include describe
local requests, ids, paths, at = {}, {}, {}, 4
while at <= #ARGV do
  local n = tonumber(ARGV[at + 4])
  local record = { 'q', '', 0, now, tonumber(ARGV[at + 1]), ARGV[1], ARGV[at + 3], '', n }
  local within = at + 5 + n
  for i = 1, n do
    record[N + i] = ARGV[at + 4 + i]
    S.nodes_of(sub(ARGV[at + 4 + i], 2), paths)
  end
  for i = 1, tonumber(ARGV[within]) do
    record[N + n + i] = ARGV[within + i]
  end
  ids[#ids + 1] = ARGV[at]
  requests[#requests + 1] = { record, ARGV[at + 2] == '1' }
  at = within + ARGV[within] + 1
end
S.begin(ids, paths)

-- A waiting request and what is known of its blocker.
local function waiting(blocker)
  local record = S.record(blocker)
  return 2, blocker, record and S.deadline_of(record[STATE], blocker) or now
end

local function ask(id, record, queue)
  local known = S.records[id]
  if known and known[STATE] == 'h' then
    return 1, known[TOKEN], S.deadline_of('h', id)
  elseif known then
    return waiting(known[BLOCKER])
  end
  record[TICKET] = string.format('%016d', S.last_ticket + 1)
  local blocker = S.blocker_of(record)
  if blocker and not queue then
    return 3, S.describe(blocker, S.record(blocker)), 0
  end
  S.last_ticket = S.last_ticket + 1
  if not blocker then
    local deadline = S.grant(id, record)
    return 1, record[TOKEN], deadline
  end
  S.make_queue()
  S.place_waiting(id, record, 1)
  S.set_deadline('q', id, now + record[TTL] * 1000)
  local cycle = S.watch(id, record, blocker)
  if cycle then
    S.drop(id, record)
    return 4, table.concat(cycle, ' '), 0
  end
  return waiting(blocker)
end

local answers, n = {}, 3
for i = 1, #ids do
  answers[n + 1], answers[n + 2], answers[n + 3] = ask(ids[i], requests[i][1], requests[i][2])
  n = n + 3
end
S.save()
local beginning = S.answer()
answers[1], answers[2], answers[3] = beginning[1], beginning[2], beginning[3]
return answers
