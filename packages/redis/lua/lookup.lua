--[[
Shows one lease or waiting request.

KEYS, ARGV[1..3]: see include/state.lua
ARGV[4]    id
Returns    {now, more, events, the request (see include/describe.lua)}, or only three when it is not live
]]
--@include state
--@include rules
--@include queue
--@include describe
S.begin({ ARGV[4] }, {})
S.save()
local reply = S.answer()
local record = S.records[ARGV[4]]
if record then
  reply[4] = S.describe(ARGV[4], record)
end
return reply
