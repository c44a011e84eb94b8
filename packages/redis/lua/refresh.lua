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
--@include rest
local fields = {}
for at = 4, #ARGV, 2 do
  fields[#fields + 1] = 'r' .. ARGV[at]
end
begin(fields)
F.rest()
-- What the sweep has changed must show. And removals go first: memory that is short does not end leases.
deadline_removals[#deadline_removals + 1] = ''
F.flush_deadlines()
local answers = {}
for from = 4, #ARGV, 2000 do
  local members = {}
  for at = from, math.min(from + 1998, #ARGV), 2 do
    members[#members + 1] = 'h' .. ARGV[at]
  end
  local scores = call('ZMSCORE', deadlines_key, unpack(members))
  for i = 1, #members do
    local a = #answers + 1
    answers[a] = 0
    -- What has expired is gone, even if the sweep had to leave it for later.
    if scores[i] and tonumber(scores[i]) > now then
      local id, ttl = sub(members[i], 2), tonumber(ARGV[from + 2 * i - 1])
      local record = F.record(id)
      answers[a] = now + ttl * 1000
      F.set_deadline(members[i], answers[a])
      -- A deadline is never later than the ttl from now on (see `limit`).
      if record and record[TTL] < ttl then
        record[TTL] = ttl
        set('r' .. id, record)
      end
      if answers[a] < tonumber(scores[i]) then
        F.sooner(sub(members[i], 2))
      end
    end
  end
end
table.insert(answers, 1, 0)
table.insert(answers, 1, 0)
table.insert(answers, 1, 0)
save()
return answer(answers)
