--[[
Moves the deadlines of leases. Never creates or revives one.

KEYS, ARGV[1..3]: see include/state.lua
ARGV[4..]  for each lease: its name (see F.named), ttl (ms). By its owner the deadline is the ttl from now; by hand the later
           of the old one and that
Returns    {now, more, events}, then for each lease its deadline, or 0 when it is not live, or not that owner's
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
local answers, lost = {}, false
for from = 4, #ARGV, 2000 do
  local ids, owners, members, fields = {}, {}, {}, {}
  for at = from, math.min(from + 1998, #ARGV), 2 do
    local i = #ids + 1
    ids[i], owners[i] = F.named(ARGV[at])
    members[i], fields[i] = 'h' .. ids[i], 'r' .. ids[i]
  end
  local scores = call('ZMSCORE', deadlines_key, unpack(members))
  -- Most are not looked at any closer than has to be: their records stay packed.
  local packed = call('HMGET', table_key, unpack(fields))
  for i = 1, #ids do
    local a, id, owner, before = #answers + 1, ids[i], owners[i], tonumber(scores[i] or nil)
    answers[a] = 0
    lost = lost or before and not packed[i]
    -- What has expired is gone, even if the sweep had to leave it for later.
    if before and before > now and not lost then
      local ttl, is_owner = tonumber(ARGV[from + 2 * i - 1]), true
      local deadline = now + ttl * 1000
      if not owner then
        deadline = math.max(deadline, F.deadline_of(id))
      elseif owner ~= id or string.find(packed[i], '\0/', 1, true) then
        local record = F.record(id)
        local client, its_owner, former = F.whose(id, record)
        is_owner = owner == its_owner
        if is_owner and former then
          record[CLIENT] = F.owned(id, client, owner)
          set('r' .. id, record)
        end
      end
      if is_owner then
        -- No deadline is later than the ttl of the record from now.
        local _, _, _, _, _, longest = cmsgpack.unpack_limit(packed[i], TTL)
        if ttl > longest then
          local record = F.record(id)
          record[TTL] = math.max(record[TTL], ttl)
          set('r' .. id, record)
        end
        answers[a] = deadline
        F.set_deadline(members[i], deadline)
        if deadline < before then
          F.sooner(id)
        end
      end
    end
  end
end
if lost then
  F.give_up()
  for i = 1, #answers do
    answers[i] = 0
  end
end
table.insert(answers, 1, 0)
table.insert(answers, 1, 0)
table.insert(answers, 1, 0)
save()
return answer(answers)
