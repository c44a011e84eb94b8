--[[
Undoes a restore: the former owner and its deadline are as they were.

KEYS, ARGV[1..3]: see include/state.lua (it is never late)
ARGV[4]    id
ARGV[5]    the name of the owner that gives it back
Returns    {now, more, events, 1 or 0 when it is not a live lease of that owner's, or has been refreshed by it}
]]
--@include state
--@include rules
--@include rest
local id = ARGV[4]
begin({ 'r' .. id })
F.rest()
local record = cache['r' .. id]
local deadline = record and record[STATE] == 'h' and F.deadline_of(id) or 0
local _, owner, former_client, former_owner, former_deadline = F.whose(id, record)
local done = deadline > now and owner == ARGV[5] and former_client
if done then
  record[CLIENT] = F.owned(id, former_client, former_owner)
  set('r' .. id, record)
  F.set_deadline('h' .. id, tonumber(former_deadline))
  if tonumber(former_deadline) < deadline then
    F.sooner(id)
  end
end
save()
return answer({ 0, 0, 0, done and 1 or 0 })
