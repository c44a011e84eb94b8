--[[
Says that requests are still waited for, and where they stand. Without any it only does what every script begins with.

KEYS, ARGV[1..3]: see include/state.lua
ARGV[4..]  for each request: id, ttl (ms)
Returns    {now, more, events}, then three for each request:
             0, 0, 0                     not live
             1, token, deadline          granted meanwhile
             2, blocker, its deadline    waiting
           or {now, -1} when the command is late
]]
--@include state
if now > tonumber(ARGV[3]) then
  return { now, -1 }
end
--@include rules
--@include queue
local ids = {}
for at = 4, #ARGV, 2 do
  ids[#ids + 1] = ARGV[at]
end
S.begin(ids, {})
-- Removals go first: memory that is short does not end what waits.
S.deadline_removals[#S.deadline_removals + 1] = ''
local function look(id, ttl)
  local record = S.records[id]
  if not record then
    return 0, 0, 0
  elseif record[STATE] == 'h' then
    local deadline = now + record[TTL] * 1000
    S.set_deadline('h', id, deadline)
    return 1, record[TOKEN], deadline
  end
  S.set_deadline('q', id, now + ttl * 1000)
  local blocker = S.record(record[BLOCKER])
  return 2, record[BLOCKER], blocker and S.deadline_of(blocker[STATE], record[BLOCKER]) or now
end
local answers, n = {}, 3
for i = 1, #ids do
  answers[n + 1], answers[n + 2], answers[n + 3] = look(ids[i], tonumber(ARGV[3 + 2 * i]))
  n = n + 3
end
S.save()
local beginning = S.answer()
answers[1], answers[2], answers[3] = beginning[1], beginning[2], beginning[3]
return answers
