--[[
Asks for locks, in order. Idempotent by id.

KEYS, ARGV[1..3]: see include/state.lua
ARGV[4..]  for each request: id, ttl (ms), 1 to queue or 0 to be refused, holder (JSON), the number of targets, the
           targets, the number of enclosing leases, their ids
Returns    {now, more, events, then three for each request}:
             1, token, deadline (us)     granted
             2, blocker, its deadline    waiting
             3, the blocker (describe), 0    refused
             4, cycle (ids, by space), 0     deadlock
           or {now, -1} when the command is late
]]
--@include state
--@include rules
--@include describe
if now > tonumber(ARGV[3]) then
  return { now, -1 }
end
sweep()

local answers, at = {}, 4
local function put(a, b, c)
  local n = #answers
  answers[n + 1], answers[n + 2], answers[n + 3] = a, b, c
end

-- One read for all that the requests will need.
local ids, paths = {}, {}
while at <= #ARGV do
  ids[#ids + 1] = ARGV[at]
  at = at + 4
  local targets = tonumber(ARGV[at])
  for i = at + 1, at + targets do
    missing_nodes(sub(ARGV[i], 2), paths)
  end
  at = at + targets + 1
  at = at + tonumber(ARGV[at]) + 1
end
load(ids, paths)

at = 4
local function deadline_of_blocker(id)
  local record = record_of(id)
  return record and deadline_of(record[STATE], id) or now
end

while at <= #ARGV do
  local id, ttl, queue, holder = ARGV[at], tonumber(ARGV[at + 1]), ARGV[at + 2] == '1', ARGV[at + 3]
  local targets, within = {}, {}
  at = at + 4
  for i = 1, tonumber(ARGV[at]) do
    targets[i] = ARGV[at + i]
  end
  at = at + #targets + 1
  for i = 1, tonumber(ARGV[at]) do
    within[i] = ARGV[at + i]
  end
  at = at + #within + 1

  local known = record_of(id)
  if known then
    if known[STATE] == 'h' then
      put(1, known[TOKEN], deadline_of('h', id))
    else
      put(2, known[BLOCKER], deadline_of_blocker(known[BLOCKER]))
    end
  else
    local record = { 'q', last_ticket + 1, 0, now, ttl, client, targets, within, '', holder }
    local blocker = blocker_of(targets, within, record[TICKET])
    if not blocker then
      last_ticket = record[TICKET]
      local deadline = grant(id, record)
      put(1, record[TOKEN], deadline)
    elseif not queue then
      put(3, describe(blocker, record_of(blocker)), 0)
    else
      last_ticket = record[TICKET]
      place_waiting(id, record, 1)
      set_deadline('q', id, now + ttl * 1000)
      local cycle = watch(id, record, blocker)
      if cycle then
        drop(id, record)
        put(4, table.concat(cycle, ' '), 0)
      else
        put(2, blocker, deadline_of_blocker(blocker))
      end
    end
  end
end
settle()
save()
local reply = answer()
for i = 1, #answers do
  reply[i + 3] = answers[i]
end
return reply
