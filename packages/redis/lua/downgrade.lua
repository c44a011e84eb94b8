--[[
Turns the exclusive targets of a lease into shared ones, and lets in those who may now enter.

KEYS, ARGV[1..3]: see include/state.lua
ARGV[4]    id
Returns    {now, more, events, 1 or 0 when it is not a live lease}
]]
--@include state
--@include rules
--@include queue
local id = ARGV[4]
S.begin({ id }, {})
local record = S.records[id]
local live = record and record[STATE] == 'h'
if live then
  S.place_held(id, record, -1)
  S.flush_index()
  for i = N + 1, N + record[N] do
    local mode = sub(record[i], 1, 1)
    record[i] = (mode == 'W' and 'R' or mode == 'w' and 'r' or mode) .. sub(record[i], 2)
  end
  S.place_held(id, record, 1)
  S.set_record(id, record)
  S.gone[1] = id
  S.settle()
end
S.save()
local reply = S.answer()
reply[4] = live and 1 or 0
return reply
