--[[
Turns the exclusive targets of a lease into shared ones, and lets in those who may now enter.

KEYS, ARGV[1..3]: see include/state.lua
ARGV[4]    id
Returns    {now, more, events, 1 or 0 when it is not a live lease}
]]
--@include state
--@include rules
sweep()
local id = ARGV[4]
local record = record_of(id)
local live = record and record[STATE] == 'h'
if live then
  place_held(id, record, -1)
  flush_index()
  for i = 1, #record[TARGETS] do
    local target = record[TARGETS][i]
    local mode = sub(target, 1, 1)
    record[TARGETS][i] = (mode == 'W' and 'R' or mode == 'w' and 'r' or mode) .. sub(target, 2)
  end
  place_held(id, record, 1)
  set_record(id, record)
  gone[1] = id
  settle()
end
save()
local reply = answer()
reply[4] = live and 1 or 0
return reply
