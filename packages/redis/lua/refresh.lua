--[[
Moves the deadlines of leases. Never creates or revives one.

KEYS, ARGV[1..3]: see include/state.lua
ARGV[4..]  for each lease: id, ttl (ms)
Returns    {now, more, events}, then for each lease its deadline, or 0 when it is not live
           or {now, -1} when the command is late
]]
--@include state
if now > tonumber(ARGV[3]) then
  return { now, -1 }
end
--@include rules
--@include queue
S.begin({}, {})
-- What the sweep has changed must show. And removals go first: memory that is short does not end leases.
S.deadline_removals[#S.deadline_removals + 1] = ''
S.call_all('ZREM', deadlines_key, S.deadline_removals)
S.deadline_removals = {}
if #S.deadline_additions > 0 then
  S.call_all('ZADD', deadlines_key, S.deadline_additions)
end
local members, deadlines = {}, {}
for at = 4, #ARGV, 2 do
  members[#members + 1] = 'h' .. ARGV[at]
end
for from = 1, #members, 1000 do
  local scores = call('ZMSCORE', deadlines_key, unpack(members, from, math.min(from + 999, #members)))
  for i = 1, #scores do
    local n = from + i - 1
    deadlines[n] = 0
    -- What has expired is gone, even if the sweep had to leave it for later.
    if scores[i] and tonumber(scores[i]) > now then
      deadlines[n] = now + tonumber(ARGV[3 + 2 * n]) * 1000
      S.set_deadline('h', sub(members[n], 2), deadlines[n])
    end
  end
end
S.save()
local reply = S.answer()
for i = 1, #deadlines do
  reply[i + 3] = deadlines[i]
end
return reply
