--[[
Ends a lease by order, and tells its holder.

KEYS, ARGV[1..3]: see include/state.lua
ARGV[4]    id
Returns    {now, more, events, 1 or 0 when it is not a live lease}
]]
--@include state
--@include rules
--@include queue
local id = ARGV[4]
S.begin({ id }, {})
local record = S.records[id]
local live = record and record[STATE] == 'h'
if live then
  S.tell(record[CLIENT], 'b ' .. id)
  S.drop(id, record)
  S.settle()
end
S.save()
local reply = S.answer()
reply[4] = live and 1 or 0
return reply
