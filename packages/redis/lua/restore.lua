--[[
Takes over a lease: its deadline is set anew, and what happens to it is told to the calling client from now on.

KEYS, ARGV[1..3]: see include/state.lua
ARGV[4]    id
ARGV[5]    ttl (ms)
Returns    {now, more, events} when it is not a live lease, else {now, more, events, token, deadline, targets...}
           or {now, -1} when the command is late
]]
--@include state
if now > tonumber(ARGV[3]) then
  return { now, -1 }
end
--@include rules
--@include rest
local id = ARGV[4]
begin({ 'r' .. id })
local record, answers = cache['r' .. id], {}
F.rest()
-- What has expired is gone, even if the sweep had to leave it for later.
local deadline = record and record[STATE] == 'h' and F.deadline_of(id) or 0
if deadline > now then
  record[CLIENT], record[TTL] = ARGV[1], tonumber(ARGV[5])
  answers[4], answers[5] = record[TOKEN], now + record[TTL] * 1000
  for i = 1, record[N] do
    answers[5 + i] = record[N + i]
  end
  set('r' .. id, record)
  F.set_deadline('h' .. id, answers[5])
  if answers[5] < deadline then
    F.sooner(id)
  end
end
save()
return answer(answers)
