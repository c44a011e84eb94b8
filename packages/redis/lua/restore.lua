--[[
Takes over a lease: its deadline is set anew, and what happens to it is told to the calling client from now on.

KEYS, ARGV[1..3]: see include/state.lua
ARGV[4]    id
ARGV[5]    ttl (ms)
Returns    {now, more, events} when it is not a live lease, else {now, more, events, token, deadline (us), targets...}
           or {now, -1} when the command is late
]]
--@include state
--@include rules
if now > tonumber(ARGV[3]) then
  return { now, -1 }
end
sweep()
local id = ARGV[4]
local record = record_of(id)
local deadline = now + tonumber(ARGV[5]) * 1000
local live = record and record[STATE] == 'h'
if live then
  record[CLIENT] = client
  record[TTL] = tonumber(ARGV[5])
  set_record(id, record)
  set_deadline('h', id, deadline)
end
save()
local reply = answer()
if live then
  reply[4], reply[5] = record[TOKEN], deadline
  for i = 1, #record[TARGETS] do
    reply[5 + i] = record[TARGETS][i]
  end
end
return reply
