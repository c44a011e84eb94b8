--[[
What is held: counted in the head and in the nodes, and entered in the sorted sets.
]]
-- What is asked for widens the depths between which something can be in the way.
local function note_depth(mode, depth)
  if depth > head.deep then head.deep = depth end
  if mode.covers_subtree and depth < head.shallow then head.shallow = depth end
end

local function held_member(mode, path, tail) return mode.access.held .. path .. mode.mark .. tail end

local function index_held(record, put)
  local tail = record.ticket .. record.id
  for i = 1, #record.targets do
    put(index, held_member(record.targets[i].mode, record.targets[i].path, tail), '0')
  end
end

-- Enters (1) or removes (-1) the regions of a lease in the counts.
local function count_held(record, by)
  for i = 1, #record.targets do
    local mode = record.targets[i].mode
    head[mode.access.total] = head[mode.access.total] + by
    count(record.targets[i].path, mode.held_count, by)
  end
end

local function enter_held(record)
  for i = 1, #record.targets do
    note_depth(record.targets[i].mode, depth_of(record.targets[i]))
  end
  count_held(record, 1)
  index_held(record, add)
  set_deadline(record, record.since + record.ttl * 1000)
end

local function leave_held(record)
  count_held(record, -1)
  index_held(record, remove)
  remove(deadlines, 'h' .. record.id)
end

local function deadline_of(id)
  local record = record_of(id)
  if not record then return now end
  local member = record.state .. id
  return tonumber(deadlines.scores[member] or known_deadlines[member] or call('ZSCORE', deadlines_key, member) or now)
end

-- When the clock was set back, a deadline may be later than the ttl from now on. Nobody waits so long for one that is gone.
local function limit_deadline(id)
  local record = record_of(id)
  local latest = record and now + record.ttl * 1000
  if record and deadline_of(id) > latest then set_deadline(record, latest) end
end

-- The first lease under a prefix of the index that is not waived.
local function first_held(prefix, waived)
  local offset, page = 0, waived and 32 or 1
  while true do
    local members = members_with(prefix, digits(page), digits(offset))
    for i = 1, #members do
      local id = id_of(members[i])
      if not (waived and waived[id]) then return id end
    end
    if #members < page then return nil end
    offset = offset + page
  end
end

-- Tokens follow the clock, so that they go on rising after the table was lost, and never fall when it is set back.
local function next_token()
  head.last_token = head.last_token < now and now or head.last_token + 1
  return head.last_token
end

local function next_ticket()
  head.last_ticket = head.last_ticket + 1
  return format('%016d', head.last_ticket)
end

-- Makes a lease of a request.
local function grant(request)
  request.state, request.token, request.since, request.blocker = 'h', next_token(), now, ''
  set_record(request.id, request)
  enter_held(request)
end
