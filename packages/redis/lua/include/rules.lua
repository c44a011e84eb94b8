--[[
The grant rule, the queue and deadlock detection: what the lock table of @hilok/core says, on the keys of state.lua.

A record is a list: see the names below. A target is a letter for its mode, then its path: R read, W write, r readNode,
w writeNode.
]]
local STATE, TICKET, TOKEN, SINCE, TTL, CLIENT, TARGETS, WITHIN, BLOCKER, HOLDER = 1, 2, 3, 4, 5, 6, 7, 8, 9, 10

-- A script looks at no more than this many watchers, drops no more than this many that have expired, and asks no more
-- than this many requests when it looks for a cycle; the rest is left to the next script.
local look_limit, sweep_limit, cycle_limit = 64, 32, 1000

local modes = { R = { 'r', 's' }, W = { 'w', 's' }, r = { 'r', 'n' }, w = { 'w', 'n' } }

-- The id at the end of a member, behind a mark and a ticket of 16 digits. Ids have no slash.
local function id_of(member)
  return sub(string.match(member, '^.*/(.*)$'), 18)
end

-- The first request under a prefix of the index that is not waived.
local function first(prefix, waived)
  local from, to = '[' .. prefix, '(' .. prefix .. '\255'
  if not waived then
    local member = call('ZRANGEBYLEX', index_key, from, to, 'LIMIT', 0, 1)[1]
    return member and id_of(member)
  end
  local offset = 0
  while true do
    local members = call('ZRANGEBYLEX', index_key, from, to, 'LIMIT', offset, 32)
    for i = 1, #members do
      local id = id_of(members[i])
      if not waived[id] then
        return id
      end
    end
    if #members < 32 then
      return nil
    end
    offset = offset + 32
  end
end

-- A lease that conflicts with the target and is not waived.
local function held_blocker(target, waived)
  local mode, path = modes[sub(target, 1, 1)], sub(target, 2)
  local exclusive = mode[1] == 'w'
  if held_w == 0 and (held_r == 0 or not exclusive) then
    return nil
  end
  load_nodes(path)
  local above = ancestors(path)
  for i = 1, #above do
    local node = nodes[above[i]]
    if node then
      local id = node[3] > 0 and first('hw' .. above[i] .. '/s', waived)
        or exclusive and node[1] > 0 and first('hr' .. above[i] .. '/s', waived)
      if id then
        return id
      end
    end
  end
  if mode[2] == 's' then
    return held_w > 0 and first('hw' .. path, waived) or exclusive and held_r > 0 and first('hr' .. path, waived) or nil
  end
  local node = nodes[path]
  return node
      and (
        node[3] + node[4] > 0 and first('hw' .. path .. '/', waived)
        or exclusive and node[1] + node[2] > 0 and first('hr' .. path .. '/', waived)
      )
    or nil
end

-- The latest waiting request before the ticket that conflicts with one of the targets.
local function earlier_waiting(targets, ticket)
  local latest_ticket, latest
  local function consider(counted, list)
    if counted == 0 then
      return
    end
    local member = call('ZREVRANGEBYLEX', index_key, '(' .. list .. ticket, '[' .. list, 'LIMIT', 0, 1)[1]
    if member then
      local at = #list + 1
      local its_ticket = sub(member, at, at + 15)
      if not latest or its_ticket > latest_ticket then
        latest_ticket, latest = its_ticket, sub(member, at + 16)
      end
    end
  end
  for i = 1, #targets do
    local mode, path = modes[sub(targets[i], 1, 1)], sub(targets[i], 2)
    local exclusive = mode[1] == 'w'
    load_nodes(path)
    local above = ancestors(path)
    for j = 1, #above do
      local node = nodes[above[j]]
      if node then
        consider(node[8], 'qw' .. above[j] .. '/s')
        if exclusive then
          consider(node[5], 'qr' .. above[j] .. '/s')
        end
      end
    end
    local node = nodes[path]
    if node then
      consider(node[8], 'qw' .. path .. '/s')
      consider(node[9], 'qw' .. path .. '/n')
      if exclusive then
        consider(node[5], 'qr' .. path .. '/s')
        consider(node[6], 'qr' .. path .. '/n')
      end
      if mode[2] == 's' then
        consider(node[10], 'qw' .. path .. '/b')
        if exclusive then
          consider(node[7], 'qr' .. path .. '/b')
        end
      end
    end
  end
  return latest
end

local function set_of(list)
  local set = {}
  for i = 1, #list do
    set[list[i]] = true
  end
  return set
end

-- What keeps a request from being granted: (b) the latest waiting request before it that conflicts with it, unless it is
-- nested; else (a) a lease that conflicts and does not enclose it.
local function blocker_of(targets, within, ticket)
  local waived = false
  flush_index()
  if #within > 0 then
    waived = set_of(within)
  elseif waits > 0 then
    local id = earlier_waiting(targets, ticket_text(ticket))
    if id then
      return id
    end
  end
  for i = 1, #targets do
    local id = held_blocker(targets[i], waived)
    if id then
      return id
    end
  end
  return nil
end

-- Enters (1) or removes (-1) what a lease holds.
local function place_held(id, record, change)
  local members = change > 0 and {} or index_removals
  local tail = ticket_text(record[TICKET]) .. id
  for i = 1, #record[TARGETS] do
    local target = record[TARGETS][i]
    local mode, path = modes[sub(target, 1, 1)], sub(target, 2)
    local kind = 'h' .. mode[1]
    if change > 0 then
      members[#members + 1] = 0
    end
    members[#members + 1] = kind .. path .. '/' .. mode[2] .. tail
    count(path, kind .. mode[2], change)
    if mode[1] == 'w' then
      held_w = held_w + change
    else
      held_r = held_r + change
    end
  end
  if change > 0 then
    call_all('ZADD', index_key, members)
  end
end

-- Enters (1) or removes (-1) what a request waits for, and what it waits inside of.
local function place_waiting(id, record, change)
  local members = change > 0 and {} or index_removals
  local tail = ticket_text(record[TICKET]) .. id
  local function place(member)
    if change > 0 then
      members[#members + 1] = 0
    end
    members[#members + 1] = member
  end
  for i = 1, #record[TARGETS] do
    local target = record[TARGETS][i]
    local mode, path = modes[sub(target, 1, 1)], sub(target, 2)
    local kind = 'q' .. mode[1]
    place(kind .. path .. '/' .. mode[2] .. tail)
    load_nodes(path)
    count(path, kind .. mode[2], change)
    local above = ancestors(path)
    for j = 1, #above do
      place(kind .. above[j] .. '/b' .. tail)
      count(above[j], kind .. 'b', change)
    end
  end
  for i = 1, #record[WITHIN] do
    place('n' .. record[WITHIN][i] .. '/' .. id)
  end
  waits = waits + change
  if #record[WITHIN] > 0 then
    nested = nested + change
  end
  if change > 0 then
    call_all('ZADD', index_key, members)
  end
end

local function grant(id, record)
  last_token = math.max(last_token + 1, now)
  record[STATE] = 'h'
  record[TOKEN] = last_token
  record[SINCE] = now
  record[BLOCKER] = ''
  place_held(id, record, 1)
  set_deadline('h', id, now + record[TTL] * 1000)
  set_record(id, record)
  return now + record[TTL] * 1000
end

-- The ids from a lease to a lease that encloses the request, over what waits in each: the cycle that watching it closes.
-- A nested request never watches a waiting one, so the walk sees nothing of the ordinary queue.
local function cycle_to(enclosing, blocker)
  local asked, seen = 0, {}
  local function walk(lease)
    if enclosing[lease] then
      return { lease }
    end
    if seen[lease] then
      return nil
    end
    seen[lease] = true
    local prefix = 'n' .. lease .. '/'
    local inside =
      call('ZRANGEBYLEX', index_key, '[' .. prefix, '(' .. prefix .. '\255', 'LIMIT', 0, cycle_limit - asked)
    for i = 1, #inside do
      asked = asked + 1
      local id = sub(inside[i], #prefix + 1)
      local record = record_of(id)
      if record and record[BLOCKER] ~= '' then
        local rest = walk(record[BLOCKER])
        if rest then
          table.insert(rest, 1, id)
          table.insert(rest, 1, lease)
          return rest
        end
      end
      if asked >= cycle_limit then
        return nil
      end
    end
    return nil
  end
  return walk(blocker)
end

-- Sets what a waiting request watches. Answers with the cycle that this closes, if it does, the request first.
local function watch(id, record, blocker)
  record[BLOCKER] = blocker
  call('ZADD', index_key, 0, 'w' .. blocker .. '/' .. ticket_text(record[TICKET]) .. id)
  set_record(id, record)
  if #record[WITHIN] == 0 or nested < 2 then
    return nil
  end
  local cycle = cycle_to(set_of(record[WITHIN]), blocker)
  if cycle then
    table.insert(cycle, 1, id)
  end
  return cycle
end

-- Those who are gone, or have changed, and whose watchers have to look again.
local gone = {}

-- Takes a request out of the table.
local function drop(id, record)
  if record[STATE] == 'h' then
    place_held(id, record, -1)
    deadline_removals[#deadline_removals + 1] = 'h' .. id
  else
    place_waiting(id, record, -1)
    index_removals[#index_removals + 1] = 'w' .. record[BLOCKER] .. '/' .. ticket_text(record[TICKET]) .. id
    deadline_removals[#deadline_removals + 1] = 'q' .. id
  end
  set_record(id, false)
  if waits > 0 then
    gone[#gone + 1] = id
  end
end

-- Looks again at those who watched what is gone, in the order of their tickets, and grants what can be granted.
local function settle()
  if #gone == 0 and pending == 0 then
    return
  end
  changed = true
  flush_index()
  if waits == 0 then
    if pending > 0 then
      call('ZREMRANGEBYLEX', index_key, '[p', '(p\255')
      pending = 0
    end
    gone = {}
    return
  end
  local left, queue, at = look_limit, {}, 1
  local function gather(id, marked)
    local prefix = 'w' .. id .. '/'
    local watchers = call('ZRANGEBYLEX', index_key, '[' .. prefix, '(' .. prefix .. '\255', 'LIMIT', 0, left + 1)
    local more = #watchers > left
    if more then
      watchers[#watchers] = nil
    end
    if #watchers > 0 then
      call_all('ZREM', index_key, watchers)
    end
    for i = 1, #watchers do
      queue[#queue + 1] = sub(watchers[i], #prefix + 1)
    end
    left = left - #watchers
    if more and not marked then
      call('ZADD', index_key, 0, 'p' .. id)
      pending = pending + 1
    elseif marked and not more then
      call('ZREM', index_key, 'p' .. id)
      pending = pending - 1
    end
  end
  if pending > 0 then
    local marks = call('ZRANGEBYLEX', index_key, '[p', '(p\255', 'LIMIT', 0, 16)
    for i = 1, #marks do
      gather(sub(marks[i], 2), true)
    end
  end
  for i = 1, #gone do
    gather(gone[i], false)
  end
  gone = {}
  table.sort(queue)
  while at <= #queue do
    local id = sub(queue[at], 17)
    local record = record_of(id)
    at = at + 1
    if record and record[STATE] == 'q' then
      record[BLOCKER] = ''
      local blocker = blocker_of(record[TARGETS], record[WITHIN], record[TICKET])
      if blocker then
        local cycle = watch(id, record, blocker)
        if cycle then
          tell(record[CLIENT], 'd ' .. table.concat(cycle, ' '))
          drop(id, record)
          flush_index()
          -- Whoever watched it came later, so the order of the rest is all there is to keep.
          local rest = {}
          for i = at, #queue do
            rest[#rest + 1] = queue[i]
          end
          queue, at = rest, 1
          for i = 1, #gone do
            gather(gone[i], false)
          end
          gone = {}
          table.sort(queue)
        end
      else
        place_waiting(id, record, -1)
        deadline_removals[#deadline_removals + 1] = 'q' .. id
        flush_index()
        local deadline = grant(id, record)
        tell(record[CLIENT], format('g %s %.0f %.0f', id, record[TOKEN], deadline))
      end
    end
  end
end

-- Drops what has expired, and lets in those who waited for it. Every script begins with it.
local function sweep()
  if due ~= 0 and due <= now then
    local members = call('ZRANGEBYSCORE', deadlines_key, '-inf', format('%.0f', now), 'LIMIT', 0, sweep_limit)
    for i = 1, #members do
      local id = sub(members[i], 2)
      local record = record_of(id)
      if record and record[STATE] == sub(members[i], 1, 1) then
        tell(record[CLIENT], (record[STATE] == 'h' and 'e ' or 'x ') .. id)
        drop(id, record)
      else
        deadline_removals[#deadline_removals + 1] = members[i]
      end
    end
    changed = true
    local next = call('ZRANGE', deadlines_key, #members, #members, 'WITHSCORES')
    due = next[2] and tonumber(next[2]) or 0
    settle()
  elseif pending > 0 then
    settle()
  end
end

-- The beginning of every answer: the time, whether more is to be looked at, and what happened to the caller's requests.
local function answer()
  return { now, pending > 0 and 1 or 0, table.concat(own_events, '\n') }
end
