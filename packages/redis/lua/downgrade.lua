--[[
Turns the exclusive targets of a lease into shared ones, and lets in those who may now enter.

KEYS, ARGV[1..3]: see include/state.lua
ARGV[4]    its name (see F.named)
Returns    {now, more, events, 1 or 0 when it is not a live lease, or not that owner's}
           or {now, -1} when the command is late
]]
--@include state
if now > tonumber(ARGV[3]) then
  return { now, -1 }
end
--@include rules
--@include rest
F.rest()
local id, owner = F.named(ARGV[4])
begin({ 'r' .. id })
local record = cache['r' .. id]
local live = record and record[STATE] == 'h' and F.is_owner(owner, id, record)
if live then
  place_held(id, record, -1)
  for i = N + 1, N + record[N] do
    local mode = sub(record[i], 1, 1)
    record[i] = (mode == 'W' and 'R' or mode == 'w' and 'r' or mode) .. sub(record[i], 2)
  end
  place_held(id, record, 1)
  set('r' .. id, record)
  gone[1] = id
  F.settle()
end
save()
return answer({ 0, 0, 0, live and 1 or 0 })
