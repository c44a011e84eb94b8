--[[
Ends leases, and takes waiting requests out of the queue.

KEYS, ARGV[1..3]: see include/state.lua (it is never late)
ARGV[4..]  names (see F.named). By hand is an order: the owner of a lease is told
Returns    {now, more, events}, then for each name 1 when it was live, and that owner's, else 0; or, when all were and nothing
           is left to look at, a short answer: the seconds and the microseconds of now; on further lines events
]]
--@include hand-over
--@include state
--@include rules
--@include rest
F.rest()
local ids, owners, fields = {}, {}, {}
for at = 4, #ARGV do
  ids[at], owners[at] = F.named(ARGV[at])
  fields[at - 3] = 'r' .. ids[at]
end
begin(fields)
local answers, nodes, ends = {}, {}, {}
for at = 4, #ARGV do
  local id = ids[at]
  -- The same id may stand here twice.
  local record = not ends[id] and cache['r' .. id]
  answers[at] = 0
  if record and F.is_owner(owners[at], id, record) then
    answers[at], ends[id] = 1, true
    ends[#ends + 1] = at
    for i = N + 1, N + record[N] do
      nodes[#nodes + 1] = 'n' .. sub(record[i], 2)
    end
  end
end
if #nodes > 0 then
  load(nodes)
  for i = 1, #ends do
    local id = ids[ends[i]]
    local record = cache['r' .. id]
    if record[STATE] == 'q' then
      F.tell(record[CLIENT], 'k ' .. id)
    elseif not owners[ends[i]] then
      F.tell_owner('r', id, record)
    end
    drop(id, record)
  end
  -- The one behind each of them, at least.
  F.settle(#ARGV - 3)
end
save()
return answer(answers)
