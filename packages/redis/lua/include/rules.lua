--[[
The grant rule and its bookkeeping: what the lock table of @hilok/core says, on the keys of state.lua.

The places in a record; the targets begin behind N, the enclosing leases behind the targets.
]]
local STATE, TICKET, TOKEN, SINCE, TTL, CLIENT, HOLDER, BLOCKER, N = 1, 2, 3, 4, 5, 6, 7, 8, 9

-- Adds the nodes of all targets of a record to a list of fields (see `want_nodes`). Answers with the number of segments.
local function add_nodes(record, fields)
  local segments = 0
  for i = N + 1, N + record[N] do
    segments = segments + #want_nodes(sub(record[i], 2), fields)
  end
  return segments
end

-- Changes one of the counts of a node, and forgets the node when all are zero.
local function count(path, slot, change)
  local field = 'n' .. path
  local node = cache[field]
  if node == nil then
    load({ field })
    node = cache[field]
  end
  node = node or { 0, 0, 0, 0, 0, 0, 0, 0 }
  node[slot] = node[slot] + change
  local left = node[slot] > 0
    or node[1] + node[2] + node[3] + node[4] + node[5] + node[6] + node[7] + node[8] > 0
  set(field, left and node)
end

-- Enters (1) or removes (-1) what a lease holds.
local function place_held(id, record, change)
  local tail = record[TICKET] .. id
  for i = N + 1, N + record[N] do
    local mode, path = byte(record[i]), sub(record[i], 2)
    local member, slot = '/n' .. tail, 2
    local _, depth = string.gsub(path, '/', '')
    deep = math.max(deep, depth)
    if mode < 97 then
      member, slot = '/s' .. tail, 1
      shallow = math.min(shallow, depth)
    end
    -- 87 is W, 119 is w.
    if mode == 87 or mode == 119 then
      member, slot, held_w = 'hw' .. path .. member, slot + 2, held_w + change
    else
      member, held_r = 'hr' .. path .. member, held_r + change
    end
    F.index(member, change > 0)
    count(path, slot, change)
  end
end

-- Makes a lease of a request, and answers with its deadline.
local function grant(id, record)
  local deadline, n = now + record[TTL] * 1000, #deadline_additions
  last_token = last_token < now and now or last_token + 1
  record[STATE], record[TOKEN], record[SINCE], record[BLOCKER] = 'h', last_token, now, ''
  place_held(id, record, 1)
  deadline_additions[n + 1], deadline_additions[n + 2] = deadline, 'h' .. id
  if due == 0 or deadline < due then
    due = deadline
  end
  set('r' .. id, record)
  return deadline
end

-- A lease that conflicts with the target and is not waived.
local function held_blocker(target, waived)
  local mode, path = byte(target), sub(target, 2)
  local exclusive = mode == 87 or mode == 119
  if held_w == 0 and (held_r == 0 or not exclusive) then
    return nil
  end
  local list = nodes_above(path)
  for i = 1, #list do
    local node = cache['n' .. list[i]]
    if node and (node[3] > 0 or exclusive and node[1] > 0) then
      F.rest()
      local id = node[3] > 0 and F.first('hw' .. list[i] .. '/s', waived)
        or exclusive and node[1] > 0 and F.first('hr' .. list[i] .. '/s', waived)
      if id then
        return id
      end
    end
  end
  -- 97 is a: the modes of subtrees are capital letters. The others only ask for the node itself.
  local node = cache['n' .. path]
  local below = mode < 97 and #list < deep
  local own = mode < 97 and path or path .. '/'
  if below then
    F.flush_index('h')
  end
  if held_w > 0
    and (node and node[3] + node[4] > 0
      or below and call('ZLEXCOUNT', index_key, '[hw' .. own, '(hw' .. own .. '\255') > 0)
  then
    F.rest()
    local id = F.first('hw' .. own, waived)
    if id then
      return id
    end
  end
  if exclusive
    and held_r > 0
    and (node and node[1] + node[2] > 0
      or below and call('ZLEXCOUNT', index_key, '[hr' .. own, '(hr' .. own .. '\255') > 0)
  then
    F.rest()
    return F.first('hr' .. own, waived)
  end
  return nil
end

-- What keeps a request from being granted: (b) the latest waiting request before it that conflicts with it, unless it is
-- nested; else (a) a lease that conflicts and does not enclose it. `first` says that there is none such as in (b).
local function blocker_of(record, first)
  local waived = nil
  if #record > N + record[N] then
    F.rest()
    waived = F.enclosing(record)
  elseif waits > 0 and not first then
    F.rest()
    local id = F.earlier_waiting(record)
    if id then
      return id
    end
  end
  for i = N + 1, N + record[N] do
    local id = held_blocker(record[i], waived)
    if id then
      return id
    end
  end
  return nil
end

-- Takes a request out of the table.
local function drop(id, record)
  if record[STATE] == 'h' then
    place_held(id, record, -1)
    local mode = byte(record[N + 1])
    -- Who watched an exclusive lease and wants just what it held has no waiting request before him that conflicts: it
    -- would conflict with this lease, too. Those before this lease would have kept it from being granted; and of those
    -- behind it, the watcher would watch the latest.
    if #record == N + 1 and (mode == 87 or mode == 119) then
      gone_target[id] = record[N + 1]
    end
  else
    F.rest()
    F.place_waiting(id, record, -1)
    F.index('w' .. record[BLOCKER] .. '/' .. record[TICKET] .. id, false)
  end
  local member = record[STATE] .. id
  deadline_removals[#deadline_removals + 1] = member
  -- What this script granted before is not written yet.
  for i = #deadline_additions, 2, -2 do
    if deadline_additions[i] == member then
      table.remove(deadline_additions, i)
      table.remove(deadline_additions, i - 1)
    end
  end
  set('r' .. id, false)
  gone[#gone + 1] = id
end
