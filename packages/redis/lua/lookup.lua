--[[
Shows one lease or waiting request.

KEYS, ARGV[1..3]: see include/state.lua
ARGV[4]    id
Returns    {now, more, events, the request (describe)}, or only three when it is not live
]]
--@include state
--@include rules
--@include rest
begin({ 'r' .. ARGV[4] })
save()
local answers = {}
if cache['r' .. ARGV[4]] then
  F.rest()
  answers[4] = F.describe(ARGV[4])
end
return answer(answers)
