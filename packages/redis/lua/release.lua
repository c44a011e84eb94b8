--[[
Ends leases, and takes waiting requests out of the queue.

KEYS, ARGV[1..3]: see include/state.lua
ARGV[4..]  ids
Returns    {now, more, events, then for each id 1 when it was live, else 0}
]]
--@include state
--@include rules
sweep()
local ended = {}
load({ unpack(ARGV, 4) }, {})
for at = 4, #ARGV do
  local id = ARGV[at]
  local record = record_of(id)
  ended[#ended + 1] = record and 1 or 0
  if record then
    drop(id, record)
  end
end
settle()
save()
local reply = answer()
for i = 1, #ended do
  reply[i + 3] = ended[i]
end
return reply
