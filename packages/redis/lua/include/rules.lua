--[[
The grant rule and its bookkeeping: what the lock table of @hilok/core says, on the keys of state.lua. What concerns only
those who wait is in queue.lua, and made only when it is needed.

The places in a record; the targets begin behind N, the enclosing leases behind the targets.
]]
local STATE, TICKET, TOKEN, SINCE, TTL, CLIENT, HOLDER, BLOCKER, N = 1, 2, 3, 4, 5, 6, 7, 8, 9

-- Begins a script: reads the head, and with it the records and nodes that the caller knows it will need; drops what has
-- expired, and lets in those who waited for it.
function S.begin(ids, paths)
  local fields, found = { 'm' }, nil
  local n, m = #ids, #paths
  if n + m > 1000 then
    found = call('HMGET', table_key, 'm')
    S.load(ids, paths)
  else
    for i = 1, n do
      fields[i + 1] = 'r' .. ids[i]
    end
    for i = 1, m do
      fields[n + i + 1] = 'n' .. paths[i]
    end
    found = call('HMGET', table_key, unpack(fields))
    for i = 1, n do
      local raw = found[i + 1]
      S.records[ids[i]] = raw and { unpack_values(raw) }
    end
    for i = 1, m do
      local raw = found[n + i + 1]
      S.nodes[paths[i]] = raw and { unpack_values(raw) }
    end
  end
  if found[1] then
    S.last_token, S.last_ticket, S.held_r, S.held_w, S.waits, S.nested, S.pending, S.due, S.keep =
      unpack_values(found[1])
  else
    S.last_token, S.last_ticket, S.held_r, S.held_w, S.waits, S.nested, S.pending, S.due, S.keep =
      0, 0, 0, 0, 0, 0, 0, 0, 0
    if call('EXISTS', index_key, deadlines_key) > 0 then
      -- What is left of a table that is gone holds nothing. What is not ours is refused before anything is written.
      call('ZCARD', index_key)
      call('ZCARD', deadlines_key)
      call('DEL', index_key, deadlines_key)
    end
  end
  if S.due ~= 0 and S.due <= now then
    S.sweep()
  elseif S.pending > 0 then
    S.settle()
  end
end

function S.sweep()
  -- No more than this many in one script; the rest is left to the next.
  local limit = 32
  local members = call('ZRANGEBYSCORE', deadlines_key, '-inf', string.format('%.0f', now), 'LIMIT', 0, limit)
  for i = 1, #members do
    local id = sub(members[i], 2)
    local record = S.record(id)
    if record and record[STATE] == sub(members[i], 1, 1) then
      S.tell(record[CLIENT], (record[STATE] == 'h' and 'e ' or 'x ') .. id)
      S.drop(id, record)
    else
      S.deadline_removals[#S.deadline_removals + 1] = members[i]
    end
  end
  S.changed = true
  local next = call('ZRANGE', deadlines_key, #members, #members, 'WITHSCORES')
  S.due = next[2] and tonumber(next[2]) or 0
  S.settle()
end

-- The id of the first lease under a prefix of the index that is not waived.
function S.first(prefix, waived)
  local from, to, offset = '[' .. prefix, '(' .. prefix .. '\255', 0
  while true do
    local members = call('ZRANGEBYLEX', index_key, from, to, 'LIMIT', offset, waived and 32 or 1)
    for i = 1, #members do
      -- Behind the last slash: a mark, a ticket of 16 digits, the id.
      local id = sub(string.match(members[i], '^.*/(.*)$'), 18)
      if not (waived and waived[id]) then
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
function S.held_blocker(target, waived)
  local mode, path = sub(target, 1, 1), sub(target, 2)
  local exclusive = S.access[mode] == 'w'
  if S.held_w == 0 and (S.held_r == 0 or not exclusive) then
    return nil
  end
  S.load_nodes(path)
  local above = S.above[path]
  for i = 1, #above do
    local node = S.nodes[above[i]]
    if node then
      local id = node[3] > 0 and S.first('hw' .. above[i] .. '/s', waived)
        or exclusive and node[1] > 0 and S.first('hr' .. above[i] .. '/s', waived)
      if id then
        return id
      end
    end
  end
  if S.mark[mode] == 's' then
    local from, to = '[hw' .. path, '(hw' .. path .. '\255'
    local id = S.held_w > 0 and call('ZLEXCOUNT', index_key, from, to) > 0 and S.first('hw' .. path, waived)
    if not id and exclusive and S.held_r > 0 then
      from, to = '[hr' .. path, '(hr' .. path .. '\255'
      id = call('ZLEXCOUNT', index_key, from, to) > 0 and S.first('hr' .. path, waived)
    end
    return id or nil
  end
  local node = S.nodes[path]
  return node
      and (
        node[3] + node[4] > 0 and S.first('hw' .. path .. '/', waived)
        or exclusive and node[1] + node[2] > 0 and S.first('hr' .. path .. '/', waived)
      )
    or nil
end

-- The enclosing leases of a request as a set, or nil when it is not nested.
function S.enclosing(record)
  local from = N + record[N] + 1
  if from > #record then
    return nil
  end
  local set = {}
  for i = from, #record do
    set[record[i]] = true
  end
  return set
end

-- What keeps a request from being granted: (b) the latest waiting request before it that conflicts with it, unless it is
-- nested; else (a) a lease that conflicts and does not enclose it.
function S.blocker_of(record)
  S.flush_index()
  local waived = S.enclosing(record)
  if not waived and S.waits > 0 then
    S.make_queue()
    local id = S.earlier_waiting(record)
    if id then
      return id
    end
  end
  for i = N + 1, N + record[N] do
    local id = S.held_blocker(record[i], waived)
    if id then
      return id
    end
  end
  return nil
end

-- Enters (1) or removes (-1) what a lease holds.
function S.place_held(id, record, change)
  local tail, members = record[TICKET] .. id, {}
  for i = N + 1, N + record[N] do
    local mode, path = sub(record[i], 1, 1), sub(record[i], 2)
    local access, mark = S.access[mode], S.mark[mode]
    local member = 'h' .. access .. path .. '/' .. mark .. tail
    if change > 0 then
      members[#members + 1] = 0
      members[#members + 1] = member
    else
      S.index_removals[#S.index_removals + 1] = member
    end
    S.count(path, 'h' .. access .. mark, change)
    if access == 'w' then
      S.held_w = S.held_w + change
    else
      S.held_r = S.held_r + change
    end
  end
  if change > 0 then
    S.call_all('ZADD', index_key, members)
  end
end

-- Makes a lease of a request, and answers with its deadline.
function S.grant(id, record)
  local deadline = now + record[TTL] * 1000
  S.last_token = math.max(S.last_token + 1, now)
  record[STATE], record[TOKEN], record[SINCE], record[BLOCKER] = 'h', S.last_token, now, ''
  S.place_held(id, record, 1)
  S.set_deadline('h', id, deadline)
  S.set_record(id, record)
  return deadline
end

-- Takes a request out of the table.
function S.drop(id, record)
  if record[STATE] == 'h' then
    S.place_held(id, record, -1)
  else
    S.make_queue()
    S.place_waiting(id, record, -1)
    S.index_removals[#S.index_removals + 1] = 'w' .. record[BLOCKER] .. '/' .. record[TICKET] .. id
  end
  S.deadline_removals[#S.deadline_removals + 1] = record[STATE] .. id
  S.set_record(id, false)
  S.gone[#S.gone + 1] = id
end

-- Looks again at those who watched what is gone or has changed, and grants what can be granted.
function S.settle()
  if S.waits > 0 then
    S.make_queue()
    S.look_again()
  elseif S.pending > 0 then
    S.flush_index()
    call('ZREMRANGEBYLEX', index_key, '[p', '(p\255')
    S.pending = 0
    S.changed = true
  end
end
