--[[
Shows leases and waiting requests.

KEYS, ARGV[1..3]: see include/state.lua
ARGV[4..]  ids; with > before it, what is wanted is what the request waits for
Returns    {now, more, events}, then for each a lease or waiting request (describe), or 0 when there is none. Where what a
           request waits for is wanted: how many waiting requests come before it (at most 100 are counted), then that.
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
    local ahead, before = 0, record
    while before and before[STATE] == 'q' and ahead < 100 do
      ahead = ahead + 1
      before = F.record(before[BLOCKER])
    end
    answers[at] = record and { ahead, F.describe(id) } or 0
  else
    answers[at] = record and F.describe(id) or 0
  end
end
return answer(answers)
