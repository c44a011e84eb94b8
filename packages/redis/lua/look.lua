--[[
Says that requests are still waited for, and where they stand. Without any it only does what every script begins with.

KEYS, ARGV[1..3]: see include/state.lua
ARGV[4..]  for each request: id, ttl (ms)
Returns    {now, more, events, then three for each request}:
             0, 0, 0                     not live
             1, token, deadline (us)     granted meanwhile
             2, blocker, its deadline    waiting
           or {now, -1} when the command is late
]]
--@include state
--@include rules
if now > tonumber(ARGV[3]) then
  return { now, -1 }
end
sweep()
deadline_removals[#deadline_removals + 1] = ''
call_all('ZREM', deadlines_key, deadline_removals)
deadline_removals = {}
local answers = {}
for at = 4, #ARGV, 2 do
  local id = ARGV[at]
  local record = record_of(id)
  local n = #answers
  if not record then
    answers[n + 1], answers[n + 2], answers[n + 3] = 0, 0, 0
  elseif record[STATE] == 'h' then
    local deadline = now + record[TTL] * 1000
    set_deadline('h', id, deadline)
    answers[n + 1], answers[n + 2], answers[n + 3] = 1, record[TOKEN], deadline
  else
    set_deadline('q', id, now + tonumber(ARGV[at + 1]) * 1000)
    local blocker = record_of(record[BLOCKER])
    answers[n + 1], answers[n + 2] = 2, record[BLOCKER]
    answers[n + 3] = blocker and deadline_of(blocker[STATE], record[BLOCKER]) or now
  end
end
save()
local reply = answer()
for i = 1, #answers do
  reply[i + 3] = answers[i]
end
return reply
