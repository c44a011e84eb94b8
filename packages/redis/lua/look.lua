--[[
Says that requests are still waited for, and where they stand. Without any it only does what every script begins with.

KEYS, ARGV[1..3]: see include/state.lua
ARGV[4..]  for each request: id, how long it stays in the queue from now on (ms)
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
--@include rest
local fields = {}
for at = 4, #ARGV, 2 do
  fields[#fields + 1] = 'r' .. ARGV[at]
end
begin(fields)
F.rest()
-- Removals go first: memory that is short does not end what waits.
deadline_removals[#deadline_removals + 1] = ''
local answers, a = {}, 4
for at = 4, #ARGV, 2 do
  local id = ARGV[at]
  local record = cache['r' .. id]
  if not record then
    answers[a], answers[a + 1], answers[a + 2] = 0, 0, 0
  elseif record[STATE] == 'h' then
    answers[a], answers[a + 1], answers[a + 2] = 1, record[TOKEN], F.deadline_of(id)
    -- Another may own it by now.
    if F.is_owner(id, id, record) then
      answers[a + 2] = math.max(answers[a + 2], now + record[TTL] * 1000)
      F.set_deadline('h' .. id, answers[a + 2])
    end
  else
    F.set_deadline('q' .. id, now + tonumber(ARGV[at + 1]) * 1000)
    F.limit(record[BLOCKER])
    answers[a], answers[a + 1], answers[a + 2] = 2, record[BLOCKER], F.deadline_of(record[BLOCKER])
  end
  a = a + 3
end
save()
return answer(answers)
