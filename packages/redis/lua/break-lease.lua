--[[
Ends a lease by order, and tells its owner.

KEYS, ARGV[1..3]: see include/state.lua
ARGV[4]    id
Returns    {now, more, events, 1 or 0 when it is not a live lease}
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
local record = cache['r' .. id]
local live = record and record[STATE] == 'h'
if live then
  F.rest()
  F.tell_owner('b', id, record)
  drop(id, record)
  F.settle()
end
save()
return answer({ 0, 0, 0, live and 1 or 0 })
