--[[
What is held: counted in the head and in the nodes, and entered in the sorted sets. And how long: the deadlines.
]]
local function note_depth(request)
  local targets = request[TARGET_LIST]
  for i = 1, #targets do
    if targets[i].depth > head[DEEP] then head[DEEP] = targets[i].depth end
  end
end

-- Enters (1) or removes (-1) the regions of a lease.
local function place_held(record, by)
  local put, tail, targets = by > 0 and add or remove, record[TICKET] .. record[ID], record[TARGET_LIST]
  for i = 1, #targets do
    local mode = targets[i].mode
    local total = mode.access.total
    head[total] = head[total] + by
    local list = record[DELEGATE] and mode.access.kept or mode.access.held
    if record[DELEGATE] then head[KEPT] = head[KEPT] + by end
    count(targets[i].node, record[DELEGATE] and KEPT_HERE or mode.held, by)
    put(index, list .. targets[i].path .. mode.mark .. tail, '0')
  end
end

-- The latest deadline that this call sets; the last one as text; those that were read.
local latest_deadline, deadline_number, deadline_text, known_deadlines = 0, nil, nil, {}

-- Something is due then: it is looked for no later, and the keys outlive it.
local function set_deadline(member, deadline)
  if head[DUE] == 0 or deadline < head[DUE] then head[DUE] = deadline end
  if deadline > latest_deadline then latest_deadline = deadline end
  if deadline ~= deadline_number then
    deadline_number, deadline_text = deadline, digits(deadline)
  end
  add(deadlines, member, deadline_text)
end

local function deadline_of(id)
  local record, held, queued = cache['r' .. id], 'h' .. id, 'q' .. id
  if record == false then return now end
  local deadline = deadlines.scores[held] or deadlines.scores[queued] or known_deadlines[held]
  if not deadline then
    local found = call('ZMSCORE', deadlines_key, held, queued)
    deadline = found[1] or found[2]
  end
  return tonumber(deadline or now)
end

-- When the clock was set back, a deadline may be later than the ttl from now on. Nobody waits so long for one that is gone.
local function limit_deadline(id)
  local record = record_of(id)
  local latest = record and now + record[TTL] * 1000
  if record and deadline_of(id) > latest then set_deadline(record[STATE] .. id, latest) end
end

-- Whether something is due, or was left to be looked at.
local function is_more() return head[MARKS] > 0 or head[DUE] ~= 0 and head[DUE] <= now end

-- Tokens follow the clock, so that they go on rising after the table was lost, and never fall when it is set back.
local function next_token()
  head[LAST_TOKEN] = head[LAST_TOKEN] < now and now or head[LAST_TOKEN] + 1
  return head[LAST_TOKEN]
end

-- Like tokens, by the clock: so those of several partitions can be compared.
local function next_ticket()
  head[LAST_TICKET] = head[LAST_TICKET] < now and now or head[LAST_TICKET] + 1
  return format('%016d', head[LAST_TICKET])
end

-- Makes a lease of a request.
local function hold(request, token)
  request[STATE], request[TOKEN], request[SINCE], request[BLOCKER] = 'h', token, now, ''
  set_record(request[ID], request)
  place_held(request, 1)
  set_deadline('h' .. request[ID], now + request[TTL] * 1000)
end

local note_kept
local function grant(request)
  hold(request, next_token())
  if request[URGENCY] then note_kept(request) end
end

-- The keys outlive the last deadline by a minute or two: moving that on is seldom needed.
local minute = 60000000
local expires_in, expires_in_text

local function expire_keys(time, has_sets)
  if time - now ~= expires_in then
    expires_in, expires_in_text = time - now, digits((time - now) / 1000)
  end
  call('PEXPIRE', table_key, expires_in_text)
  if has_sets then
    call('PEXPIRE', index_key, expires_in_text)
    call('PEXPIRE', deadlines_key, expires_in_text)
  end
end
