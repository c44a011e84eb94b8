--[[
Shows one lease or waiting request.

KEYS, ARGV[1..3]: see include/state.lua
ARGV[4]    id
Returns    {now, more, events, the request (see include/describe.lua)}, or only three when it is not live
]]
--@include state
--@include rules
--@include describe
sweep()
save()
local reply = answer()
local record = record_of(ARGV[4])
if record then
  reply[4] = describe(ARGV[4], record)
end
return reply
