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
--@include queue
local id = ARGV[4]
S.begin({ id }, {})
local record = S.records[id]
local live = record and record[STATE] == 'h'
local deadline = now + tonumber(ARGV[5]) * 1000
if live then
  record[CLIENT], record[TTL] = ARGV[1], tonumber(ARGV[5])
  S.set_record(id, record)
  S.set_deadline('h', id, deadline)
end
S.save()
local reply = S.answer()
if live then
  reply[4], reply[5] = record[TOKEN], deadline
  for i = 1, record[N] do
    reply[5 + i] = record[N + i]
  end
end
return reply
