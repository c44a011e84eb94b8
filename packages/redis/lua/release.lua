--[[
Ends leases, and takes waiting requests out of the queue.

KEYS, ARGV[1..3]: see include/state.lua (it is never late)
ARGV[4..]  ids
Returns    {now, more, events}, then for each id 1 when it was live, else 0; or, when all were live and nothing is left to
           look at, a short answer: the seconds and the microseconds of now; on further lines events
]]
--@include hand-over
--@include state
--@include rules
--@include rest
local fields = {}
for at = 4, #ARGV do
  fields[at - 3] = 'r' .. ARGV[at]
end
begin(fields)
local answers, nodes, live = {}, {}, {}
for at = 4, #ARGV do
  -- The same id may stand here twice.
  local record = not live[ARGV[at]] and cache['r' .. ARGV[at]]
  answers[at] = record and 1 or 0
  if record then
    live[ARGV[at]] = true
    for i = N + 1, N + record[N] do
      nodes[#nodes + 1] = 'n' .. sub(record[i], 2)
    end
  end
end
if #nodes > 0 then
  load(nodes)
  for at = 4, #ARGV do
    local record = cache['r' .. ARGV[at]]
    if record then
      if record[STATE] == 'q' then
        F.rest()
        F.tell(record[CLIENT], 'k ' .. ARGV[at])
      end
      drop(ARGV[at], record)
    end
  end
  F.rest()
  -- The one behind each of them, at least.
  F.settle(#ARGV - 3)
end
save()
return answer(answers)
