--[[
Ends leases, and takes waiting requests out of the queue.

KEYS, ARGV[1..3]: see include/state.lua (it is never late)
ARGV[4..]  ids
Returns    {now, more, events}, then for each id 1 when it was live, else 0
]]
--@include state
--@include rules
--@include queue
local ids = {}
for at = 4, #ARGV do
  ids[at - 3] = ARGV[at]
end
S.begin(ids, {})
local ended, live, regions, paths = {}, {}, 0, {}
for i = 1, #ids do
  local record = S.records[ids[i]]
  ended[i] = record and 1 or 0
  if record then
    live[#live + 1] = i
    regions = regions + record[N]
    for t = N + 1, N + record[N] do
      paths[#paths + 1] = sub(record[t], 2)
    end
  end
end
if #live > 0 and S.waits == 0 and regions == S.held_r + S.held_w and #live == #ids then
  -- These were all there were.
  S.held_r, S.held_w, S.changed = 0, 0, true
elseif #live > 0 then
  S.load({}, paths)
  for i = 1, #live do
    local id = ids[live[i]]
    local record = S.records[id]
    -- The same id may stand here twice.
    if record then
      S.drop(id, record)
    end
  end
  S.settle()
end
S.save()
local reply = S.answer()
for i = 1, #ended do
  reply[i + 3] = ended[i]
end
return reply
