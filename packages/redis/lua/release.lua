--[[
Ends leases, and takes waiting requests out of the queue.

KEYS, ARGV[1..3]: see include/state.lua (it is never late)
ARGV[4..]  ids
Returns    {now, more, events}, then for each id 1 when it was live, else 0
]]
--@include state
--@include rules
--@include rest
local fields = {}
for at = 4, #ARGV do
  fields[at - 3] = 'r' .. ARGV[at]
end
begin(fields)
local answers, live, regions, nodes = {}, 0, 0, {}
for at = 4, #ARGV do
  local record = cache['r' .. ARGV[at]]
  answers[at] = record and 1 or 0
  if record then
    live, regions = live + 1, regions + record[N]
    for i = N + 1, N + record[N] do
      nodes[#nodes + 1] = 'n' .. sub(record[i], 2)
    end
  end
end
if live > 0 then
  if waits == 0 and live == #ARGV - 3 and regions == held_r + held_w then
    -- These were all there were.
    held_r, held_w, changed = 0, 0, true
  else
    load(nodes)
    for at = 4, #ARGV do
      -- The same id may stand here twice.
      local record = cache['r' .. ARGV[at]]
      if record then
        drop(ARGV[at], record)
      end
    end
    if waits + pending > 0 then
      F.rest()
      F.settle()
    end
  end
end
save()
return answer(answers)
