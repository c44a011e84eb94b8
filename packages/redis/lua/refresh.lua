--[[
Moves the deadlines of leases. Never creates or revives one.

KEYS, ARGV[1..3]: see include/state.lua
ARGV[4..]  for each lease: id, ttl (ms)
Returns    {now, more, events, then for each lease its deadline (us), or 0 when it is not live}
           or {now, -1} when the command is late
]]
--@include state
--@include rules
if now > tonumber(ARGV[3]) then
  return { now, -1 }
end
sweep()
local members = {}
for at = 4, #ARGV, 2 do
  members[#members + 1] = 'h' .. ARGV[at]
end
-- Removals go first, so that those of the sweep are seen, and so that memory that is short does not end leases.
deadline_removals[#deadline_removals + 1] = ''
call_all('ZREM', deadlines_key, deadline_removals)
deadline_removals = {}
if #deadline_additions > 0 then
  call_all('ZADD', deadlines_key, deadline_additions)
  deadline_additions = {}
end
local reply = {}
for from = 1, #members, 1000 do
  local scores = call('ZMSCORE', deadlines_key, unpack(members, from, math.min(from + 999, #members)))
  for i = 1, #scores do
    local n = from + i - 1
    -- What has expired is gone, even if the sweep had to leave it for later.
    if scores[i] and tonumber(scores[i]) > now then
      local deadline = now + tonumber(ARGV[3 + 2 * n]) * 1000
      set_deadline('h', sub(members[n], 2), deadline)
      reply[n + 3] = deadline
    else
      reply[n + 3] = 0
    end
  end
end
save()
local first_three = answer()
reply[1], reply[2], reply[3] = first_three[1], first_three[2], first_three[3]
return reply
