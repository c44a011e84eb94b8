--[[
Shows leases and waiting requests.

KEYS, ARGV[1..3]: see include/state.lua
ARGV[4..]  ids; with > before it, what is wanted is what the request waits for
Returns    {now, more, events}, then for each a lease or waiting request (describe), or 0 when there is none
]]
--@include state
--@include rules
--@include rest
local fields = {}
for at = 4, #ARGV do
  fields[at - 3] = 'r' .. string.match(ARGV[at], '[^>]*$')
end
begin(fields)
save()
F.rest()
local answers = {}
for at = 4, #ARGV do
  local record = cache[fields[at - 3]]
  local id = sub(fields[at - 3], 2)
  if record and byte(ARGV[at]) == 62 then
    id = record[BLOCKER]
    record = F.record(id)
  end
  answers[at] = record and F.describe(id) or 0
end
return answer(answers)
