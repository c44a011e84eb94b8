--[[
Runs an operation. What is answered begins with the time, whether there is more to look at than one call may (1 or 0), and what
happened to the caller's requests, by line; -1 in the second place says that the command was late, and nothing was done.

A short answer says that all that was asked for was done: the seconds and the microseconds of the time, and the first token if
that is not the time; what happened to the caller's requests follows on lines of their own. The tokens follow each other, and
the ttls begin now.
]]
local always_in_time = { release = true, give_back = true, lookup = true, inspect = true }

local function perform(name, keys, args)
  begin_call(keys, args)
  if not always_in_time[name] and is_late then return { now, -1 } end
  local found = call('HMGET', table_key, 'm', 's')
  stored_head, stored_young = found[1], found[2]
  local values, first_token = operations[name](args)
  local events, more = '', false
  -- The fast paths have saved what they did.
  if values then
    save()
    events, more = table.concat(own_events, '\n'), is_more()
  end
  if first_token and not more then
    local late_token = first_token ~= true and first_token > now and ' ' .. digits(first_token) or ''
    return seconds .. ' ' .. micros .. late_token .. (events == '' and '' or '\n' .. events)
  end
  return { now, more and 1 or 0, events, unpack(values) }
end
