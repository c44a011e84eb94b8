--[[
Ends a lease by order, and tells its holder.

KEYS, ARGV[1..3]: see include/state.lua
ARGV[4]    id
Returns    {now, more, events, 1 or 0 when it is not a live lease}
]]
--@include state
--@include rules
sweep()
local id = ARGV[4]
local record = record_of(id)
local live = record and record[STATE] == 'h'
if live then
  tell(record[CLIENT], 'b ' .. id)
  drop(id, record)
  settle()
end
save()
local reply = answer()
reply[4] = live and 1 or 0
return reply
