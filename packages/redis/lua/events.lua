--[[
What clients are told, and how a lease or a waiting request is shown.
]]
local own_events, outbox = {}, {}

-- Tells a client of something that happened to a request of its own: the caller in the answer, others by a message.
local function tell(whom, text)
  if whom == client then
    own_events[#own_events + 1] = text
  else
    outbox[whom] = outbox[whom] and outbox[whom] .. '\n' .. text or text
  end
end

local function publish()
  for whom, text in pairs(outbox) do
    call('PUBLISH', channels .. whom, digits(now) .. '\n' .. text)
  end
end

-- Puts the parts of a text that match a pattern behind a list.
local function append(list, text, pattern)
  for part in gmatch(text, pattern) do
    list[#list + 1] = part
  end
  return list
end

-- A delegation that is held, and not by a user.
local function is_kept(record) return record and record[STATE] == 'h' and record[DELEGATE] end

-- id, state (d: a delegation that is held), ticket, token, since, deadline, blocker, holder, the number of targets, the targets,
-- the enclosing leases.
local function describe(id)
  local r = record_of(id)
  local state = is_kept(r) and 'd' or r[STATE]
  local shown =
    { id, state, tonumber(r[TICKET]), r[TOKEN], r[SINCE], deadline_of(id), r[BLOCKER], r[HOLDER], #r[TARGET_LIST] }
  return append(append(shown, r[TARGETS], '%Z+'), r[WITHIN], '%S+')
end

-- The deadline of a lease is earlier than it was: those who watch it meant to look later.
local function tell_watchers(id)
  if head[WAITING] == 0 then return end
  local prefix = 'w' .. id .. '/'
  local watchers = members_with(prefix, '64')
  for i = 1, #watchers do
    local watcher = record_of(sub(watchers[i], #prefix + 17))
    if watcher then tell(watcher[CLIENT], 'l ' .. watcher[ID]) end
  end
end
