--[[
Takes a lease over: another owner than before is told, and can have it back until the new one first refreshes it (see
give-back.lua). Its deadline is the later of the old one and the ttl from now. By the same owner again that is all.

KEYS, ARGV[1..3]: see include/state.lua
ARGV[4]    id
ARGV[5]    ttl (ms)
ARGV[6]    the name of the new owner
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
  local client, owner = F.whose(id, record)
  if owner ~= ARGV[6] then
    F.tell_owner('t', id, record)
    record[CLIENT] = table.concat({ ARGV[1], ARGV[6], client, owner, string.format('%.0f', deadline) }, '\0/')
  elseif client ~= ARGV[1] then
    record[CLIENT] = ARGV[1] .. sub(record[CLIENT], #client + 1)
  end
  record[TTL] = math.max(record[TTL], tonumber(ARGV[5]))
  answers[4], answers[5] = record[TOKEN], math.max(deadline, now + ARGV[5] * 1000)
  for i = 1, record[N] do
    answers[5 + i] = record[N + i]
  end
  set('r' .. id, record)
  F.set_deadline('h' .. id, answers[5])
end
save()
return answer(answers)
