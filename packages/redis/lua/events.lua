--[[
What clients are told, and how a lease or a waiting request is shown.
]]
local own_events, outbox = {}, {}

-- Tells a client of something that happened to a request of its own: the caller in the answer, others by a message.
local function tell(whom, text)
  if whom == client then
    own_events[#own_events + 1] = text
    return
  end
  outbox[whom] = outbox[whom] and outbox[whom] .. '\n' .. text or text
end

local function publish()
  for whom, text in pairs(outbox) do
    call('PUBLISH', channels .. whom, digits(now) .. '\n' .. text)
  end
end

-- id, state, ticket, token, since, deadline, blocker, holder, the number of targets, the targets, the enclosing leases.
local function describe(id)
  local record = record_of(id)
  local shown = {
    id,
    record.state,
    tonumber(record.ticket),
    record.token,
    record.since,
    deadline_of(id),
    record.blocker,
    record.holder,
    #record.targets,
  }
  for target in string.gmatch(record.target_text, '%Z+') do
    shown[#shown + 1] = target
  end
  for lease in string.gmatch(record.within, '%S+') do
    shown[#shown + 1] = lease
  end
  return shown
end

-- The deadline of a lease is earlier than it was: those who watch it meant to look later.
local function tell_watchers(id)
  if head.waiting == 0 then return end
  local prefix = 'w' .. id .. '/'
  local watchers = members_with(prefix, '64')
  for i = 1, #watchers do
    local watcher = record_of(sub(watchers[i], #prefix + 17))
    if watcher then tell(watcher.client, 'l ' .. watcher.id) end
  end
end
