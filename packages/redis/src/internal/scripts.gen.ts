// Generated from packages/redis/lua by `npm run codegen`. Do not edit.

export const acquire: string = `local call, pack, unpack_values, sub = redis.call, cmsgpack.pack, cmsgpack.unpack, string.sub
local table_key, index_key, deadlines_key = KEYS[1], KEYS[2], KEYS[3]
local time = call('TIME')
local now = time[1] * 1000000 + time[2]
local S = {
  changed = false,
  records = {},
  nodes = {},
  above = {},
  dirty_records = {},
  dirty_nodes = {},
  index_removals = {},
  deadline_removals = {},
  deadline_additions = {},
  gone = {},
  own_events = {},
  slots = { hrs = 1, hrn = 2, hws = 3, hwn = 4, qrs = 5, qrn = 6, qrb = 7, qws = 8, qwn = 9, qwb = 10 },
  access = { R = 'r', W = 'w', r = 'r', w = 'w' },
  mark = { R = 's', W = 's', r = 'n', w = 'n' }
}
function S.call_all(command, key, arguments)
  if #arguments <= 1000 then
    return call(command, key, unpack(arguments))
  end
  for from = 1, #arguments, 1000 do
    call(command, key, unpack(arguments, from, math.min(from + 999, #arguments)))
  end
end
function S.load(ids, paths)
  local fields = {}
  for i = 1, #ids do
    fields[i] = 'r' .. ids[i]
  end
  for i = 1, #paths do
    fields[#ids + i] = 'n' .. paths[i]
  end
  for from = 1, #fields, 1000 do
    local found = call('HMGET', table_key, unpack(fields, from, math.min(from + 999, #fields)))
    for i = 1, #found do
      local at = from + i - 1
      if at <= #ids then
        S.records[ids[at]] = found[i] and { unpack_values(found[i]) }
      else
        S.nodes[paths[at - #ids]] = found[i] and { unpack_values(found[i]) }
      end
    end
  end
end
function S.record(id)
  if S.records[id] == nil then
    S.load({ id }, {})
  end
  return S.records[id]
end
function S.set_record(id, record)
  S.records[id] = record
  S.dirty_records[id] = true
  S.changed = true
end
function S.nodes_of(path, missing)
  local list = S.above[path]
  if list == nil then
    list = {}
    local at, n = 0, 0
    while at and at < #path do
      n = n + 1
      list[n] = sub(path, 1, at)
      at = string.find(path, '/', at + 1, true)
    end
    S.above[path] = list
  end
  for i = 1, #list do
    if S.nodes[list[i]] == nil then
      missing[#missing + 1] = list[i]
    end
  end
  if S.nodes[path] == nil then
    missing[#missing + 1] = path
  end
  return missing
end
function S.load_nodes(path)
  local missing = S.nodes_of(path, {})
  if #missing > 0 then
    S.load({}, missing)
  end
end
function S.count(path, slot, change)
  local node = S.nodes[path]
  if node == nil then
    S.load({}, { path })
    node = S.nodes[path]
  end
  if not node then
    node = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 }
    S.nodes[path] = node
  end
  local at = S.slots[slot]
  node[at] = node[at] + change
  S.dirty_nodes[path] = true
end
function S.flush_index()
  if #S.index_removals > 0 then
    S.call_all('ZREM', index_key, S.index_removals)
    S.index_removals = {}
  end
end
function S.set_deadline(kind, id, deadline)
  local n = #S.deadline_additions
  S.deadline_additions[n + 1] = deadline
  S.deadline_additions[n + 2] = kind .. id
  S.changed = true
  if S.due == 0 or deadline < S.due then
    S.due = deadline
  end
end
function S.deadline_of(kind, id)
  for i = #S.deadline_additions, 2, -2 do
    if S.deadline_additions[i] == kind .. id then
      return S.deadline_additions[i - 1]
    end
  end
  local score = call('ZSCORE', deadlines_key, kind .. id)
  return score and tonumber(score) or now
end
function S.tell(client, text)
  local box = S.own_events
  if client ~= ARGV[1] then
    S.outbox = S.outbox or {}
    box = S.outbox[client] or {}
    S.outbox[client] = box
  end
  box[#box + 1] = text
end
function S.save()
  for client, box in pairs(S.outbox or {}) do
    call('PUBLISH', ARGV[2] .. client, string.format('%.0f\\n', now) .. table.concat(box, '\\n'))
  end
  if not S.changed then
    return
  end
  local minute = 60000000
  if S.held_r + S.held_w + S.waits == 0 then
    call('DEL', table_key, index_key, deadlines_key)
    if S.last_token >= now then
      call('HSET', table_key, 'm', pack(S.last_token, S.last_ticket, 0, 0, 0, 0, 0, 0, 0))
      call('PEXPIREAT', table_key, math.ceil((S.last_token + minute) / 1000))
    end
    return
  end
  S.flush_index()
  if #S.deadline_removals > 0 then
    S.call_all('ZREM', deadlines_key, S.deadline_removals)
  end
  local removals, additions, r, a = {}, {}, 0, 2
  for id in pairs(S.dirty_records) do
    local record = S.records[id]
    if record then
      additions[a + 1], additions[a + 2] = 'r' .. id, pack(unpack(record))
      a = a + 2
    else
      r = r + 1
      removals[r] = 'r' .. id
    end
  end
  for path in pairs(S.dirty_nodes) do
    local n = S.nodes[path]
    if n[1] + n[2] + n[3] + n[4] + n[5] + n[6] + n[7] + n[8] + n[9] + n[10] == 0 then
      r = r + 1
      removals[r] = 'n' .. path
    else
      additions[a + 1], additions[a + 2] = 'n' .. path, pack(unpack(n))
      a = a + 2
    end
  end
  if r > 0 then
    S.call_all('HDEL', table_key, removals)
  end
  local latest = 0
  if #S.deadline_additions > 0 then
    S.call_all('ZADD', deadlines_key, S.deadline_additions)
    for i = 1, #S.deadline_additions, 2 do
      latest = math.max(latest, S.deadline_additions[i])
    end
  end
  local extend = latest + minute > S.keep
  if extend then
    S.keep = latest + 2 * minute
  end
  additions[1] = 'm'
  additions[2] =
    pack(S.last_token, S.last_ticket, S.held_r, S.held_w, S.waits, S.nested, S.pending, S.due, S.keep)
  S.call_all('HSET', table_key, additions)
  if extend then
    local at = math.ceil(S.keep / 1000)
    call('PEXPIREAT', table_key, at)
    call('PEXPIREAT', index_key, at)
    call('PEXPIREAT', deadlines_key, at)
  end
end
function S.answer()
  return { now, S.pending > 0 and 1 or 0, table.concat(S.own_events, '\\n') }
end
if now > tonumber(ARGV[3]) then
  return { now, -1 }
end
local STATE, TICKET, TOKEN, SINCE, TTL, CLIENT, HOLDER, BLOCKER, N = 1, 2, 3, 4, 5, 6, 7, 8, 9
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
function S.first(prefix, waived)
  local from, to, offset = '[' .. prefix, '(' .. prefix .. '\\255', 0
  while true do
    local members = call('ZRANGEBYLEX', index_key, from, to, 'LIMIT', offset, waived and 32 or 1)
    for i = 1, #members do
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
    local from, to = '[hw' .. path, '(hw' .. path .. '\\255'
    local id = S.held_w > 0 and call('ZLEXCOUNT', index_key, from, to) > 0 and S.first('hw' .. path, waived)
    if not id and exclusive and S.held_r > 0 then
      from, to = '[hr' .. path, '(hr' .. path .. '\\255'
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
function S.grant(id, record)
  local deadline = now + record[TTL] * 1000
  S.last_token = math.max(S.last_token + 1, now)
  record[STATE], record[TOKEN], record[SINCE], record[BLOCKER] = 'h', S.last_token, now, ''
  S.place_held(id, record, 1)
  S.set_deadline('h', id, deadline)
  S.set_record(id, record)
  return deadline
end
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
function S.settle()
  if S.waits > 0 then
    S.make_queue()
    S.look_again()
  elseif S.pending > 0 then
    S.flush_index()
    call('ZREMRANGEBYLEX', index_key, '[p', '(p\\255')
    S.pending = 0
    S.changed = true
  end
end
function S.make_queue()
  if S.look_again then
    return
  end
  function S.earlier_waiting(record)
    local ticket, latest_ticket, latest = record[TICKET], '', nil
    local function consider(count, list)
      if count > 0 then
        local member = call('ZREVRANGEBYLEX', index_key, '(' .. list .. ticket, '[' .. list, 'LIMIT', 0, 1)[1]
        if member then
          local its_ticket = sub(member, #list + 1, #list + 16)
          if not latest or tonumber(its_ticket) > tonumber(latest_ticket) then
            latest_ticket, latest = its_ticket, sub(member, #list + 17)
          end
        end
      end
    end
    for i = N + 1, N + record[N] do
      local mode, path = sub(record[i], 1, 1), sub(record[i], 2)
      local exclusive = S.access[mode] == 'w'
      S.load_nodes(path)
      local above = S.above[path]
      for j = 1, #above do
        local node = S.nodes[above[j]]
        if node then
          consider(node[8], 'qw' .. above[j] .. '/s')
          if exclusive then
            consider(node[5], 'qr' .. above[j] .. '/s')
          end
        end
      end
      local node = S.nodes[path]
      if node then
        local subtree = S.mark[mode] == 's'
        consider(node[8], 'qw' .. path .. '/s')
        consider(node[9], 'qw' .. path .. '/n')
        consider(subtree and node[10] or 0, 'qw' .. path .. '/b')
        if exclusive then
          consider(node[5], 'qr' .. path .. '/s')
          consider(node[6], 'qr' .. path .. '/n')
          consider(subtree and node[7] or 0, 'qr' .. path .. '/b')
        end
      end
    end
    return latest
  end
  function S.place_waiting(id, record, change)
    local tail, members = record[TICKET] .. id, {}
    for i = N + 1, N + record[N] do
      local mode, path = sub(record[i], 1, 1), sub(record[i], 2)
      local kind = 'q' .. S.access[mode]
      S.load_nodes(path)
      members[#members + 1] = kind .. path .. '/' .. S.mark[mode] .. tail
      S.count(path, kind .. S.mark[mode], change)
      for _, node in ipairs(S.above[path]) do
        members[#members + 1] = kind .. node .. '/b' .. tail
        S.count(node, kind .. 'b', change)
      end
    end
    local from = N + record[N] + 1
    for i = from, #record do
      members[#members + 1] = 'n' .. record[i] .. '/' .. id
    end
    S.waits = S.waits + change
    if from <= #record then
      S.nested = S.nested + change
    end
    if change < 0 then
      for i = 1, #members do
        S.index_removals[#S.index_removals + 1] = members[i]
      end
      return
    end
    local scored = {}
    for i = 1, #members do
      scored[2 * i - 1], scored[2 * i] = 0, members[i]
    end
    S.call_all('ZADD', index_key, scored)
  end
  function S.cycle_to(enclosing, blocker)
    local left, seen = 1000, {}
    local function walk(lease)
      if enclosing[lease] then
        return { lease }
      end
      if seen[lease] or left <= 0 then
        return nil
      end
      seen[lease] = true
      local prefix = 'n' .. lease .. '/'
      local inside = call('ZRANGEBYLEX', index_key, '[' .. prefix, '(' .. prefix .. '\\255', 'LIMIT', 0, left)
      left = left - #inside
      for i = 1, #inside do
        local id = sub(inside[i], #prefix + 1)
        local record = S.record(id)
        local rest = record and record[BLOCKER] ~= '' and walk(record[BLOCKER])
        if rest then
          table.insert(rest, 1, id)
          table.insert(rest, 1, lease)
          return rest
        end
      end
      return nil
    end
    return walk(blocker)
  end
  function S.watch(id, record, blocker)
    record[BLOCKER] = blocker
    call('ZADD', index_key, 0, 'w' .. blocker .. '/' .. record[TICKET] .. id)
    S.set_record(id, record)
    local enclosing = S.nested > 1 and S.enclosing(record)
    local cycle = enclosing and S.cycle_to(enclosing, blocker)
    if cycle then
      table.insert(cycle, 1, id)
    end
    return cycle
  end
  function S.look_again()
    local left, queue, at = 64, {}, 1
    local function gather(id, marked)
      local prefix = 'w' .. id .. '/'
      local watchers = call('ZRANGEBYLEX', index_key, '[' .. prefix, '(' .. prefix .. '\\255', 'LIMIT', 0, left + 1)
      local more = #watchers > left
      if more then
        watchers[#watchers] = nil
      end
      if #watchers > 0 then
        S.call_all('ZREM', index_key, watchers)
      end
      for i = 1, #watchers do
        queue[#queue + 1] = sub(watchers[i], #prefix + 1)
      end
      left = left - #watchers
      if more and not marked then
        call('ZADD', index_key, 0, 'p' .. id)
        S.pending = S.pending + 1
      elseif marked and not more then
        call('ZREM', index_key, 'p' .. id)
        S.pending = S.pending - 1
      end
    end
    local function gather_gone()
      for i = 1, #S.gone do
        gather(S.gone[i], false)
      end
      S.gone = {}
      table.sort(queue)
    end
    if #S.gone == 0 and S.pending == 0 then
      return
    end
    S.changed = true
    S.flush_index()
    if S.pending > 0 then
      for _, mark in ipairs(call('ZRANGEBYLEX', index_key, '[p', '(p\\255', 'LIMIT', 0, 16)) do
        gather(sub(mark, 2), true)
      end
    end
    gather_gone()
    while at <= #queue do
      local id = sub(queue[at], 17)
      local record = S.record(id)
      at = at + 1
      if record and record[STATE] == 'q' then
        local blocker = S.blocker_of(record)
        if not blocker then
          S.place_waiting(id, record, -1)
          S.deadline_removals[#S.deadline_removals + 1] = 'q' .. id
          local deadline = S.grant(id, record)
          S.tell(record[CLIENT], string.format('g %s %.0f %.0f', id, record[TOKEN], deadline))
        else
          local cycle = S.watch(id, record, blocker)
          if cycle then
            S.tell(record[CLIENT], 'd ' .. table.concat(cycle, ' '))
            S.drop(id, record)
            S.flush_index()
            local rest = {}
            for i = at, #queue do
              rest[#rest + 1] = queue[i]
            end
            queue, at = rest, 1
            gather_gone()
          end
        end
      end
    end
  end
end
function S.describe(id, record)
  local shown = {
    id,
    record[STATE],
    tonumber(record[TICKET]),
    record[TOKEN],
    record[SINCE],
    S.deadline_of(record[STATE], id),
    record[BLOCKER],
    record[HOLDER]
  }
  for i = N, #record do
    shown[i] = record[i]
  end
  return shown
end
local requests, ids, paths, at = {}, {}, {}, 4
while at <= #ARGV do
  local n = tonumber(ARGV[at + 4])
  local record = { 'q', '', 0, now, tonumber(ARGV[at + 1]), ARGV[1], ARGV[at + 3], '', n }
  local within = at + 5 + n
  for i = 1, n do
    record[N + i] = ARGV[at + 4 + i]
    S.nodes_of(sub(ARGV[at + 4 + i], 2), paths)
  end
  for i = 1, tonumber(ARGV[within]) do
    record[N + n + i] = ARGV[within + i]
  end
  ids[#ids + 1] = ARGV[at]
  requests[#requests + 1] = { record, ARGV[at + 2] == '1' }
  at = within + ARGV[within] + 1
end
S.begin(ids, paths)
local function waiting(blocker)
  local record = S.record(blocker)
  return 2, blocker, record and S.deadline_of(record[STATE], blocker) or now
end
local function ask(id, record, queue)
  local known = S.records[id]
  if known and known[STATE] == 'h' then
    return 1, known[TOKEN], S.deadline_of('h', id)
  elseif known then
    return waiting(known[BLOCKER])
  end
  record[TICKET] = string.format('%016d', S.last_ticket + 1)
  local blocker = S.blocker_of(record)
  if blocker and not queue then
    return 3, S.describe(blocker, S.record(blocker)), 0
  end
  S.last_ticket = S.last_ticket + 1
  if not blocker then
    local deadline = S.grant(id, record)
    return 1, record[TOKEN], deadline
  end
  S.make_queue()
  S.place_waiting(id, record, 1)
  S.set_deadline('q', id, now + record[TTL] * 1000)
  local cycle = S.watch(id, record, blocker)
  if cycle then
    S.drop(id, record)
    return 4, table.concat(cycle, ' '), 0
  end
  return waiting(blocker)
end
local answers, n = {}, 3
for i = 1, #ids do
  answers[n + 1], answers[n + 2], answers[n + 3] = ask(ids[i], requests[i][1], requests[i][2])
  n = n + 3
end
S.save()
local beginning = S.answer()
answers[1], answers[2], answers[3] = beginning[1], beginning[2], beginning[3]
return answers`

export const breakLease: string = `local call, pack, unpack_values, sub = redis.call, cmsgpack.pack, cmsgpack.unpack, string.sub
local table_key, index_key, deadlines_key = KEYS[1], KEYS[2], KEYS[3]
local time = call('TIME')
local now = time[1] * 1000000 + time[2]
local S = {
  changed = false,
  records = {},
  nodes = {},
  above = {},
  dirty_records = {},
  dirty_nodes = {},
  index_removals = {},
  deadline_removals = {},
  deadline_additions = {},
  gone = {},
  own_events = {},
  slots = { hrs = 1, hrn = 2, hws = 3, hwn = 4, qrs = 5, qrn = 6, qrb = 7, qws = 8, qwn = 9, qwb = 10 },
  access = { R = 'r', W = 'w', r = 'r', w = 'w' },
  mark = { R = 's', W = 's', r = 'n', w = 'n' }
}
function S.call_all(command, key, arguments)
  if #arguments <= 1000 then
    return call(command, key, unpack(arguments))
  end
  for from = 1, #arguments, 1000 do
    call(command, key, unpack(arguments, from, math.min(from + 999, #arguments)))
  end
end
function S.load(ids, paths)
  local fields = {}
  for i = 1, #ids do
    fields[i] = 'r' .. ids[i]
  end
  for i = 1, #paths do
    fields[#ids + i] = 'n' .. paths[i]
  end
  for from = 1, #fields, 1000 do
    local found = call('HMGET', table_key, unpack(fields, from, math.min(from + 999, #fields)))
    for i = 1, #found do
      local at = from + i - 1
      if at <= #ids then
        S.records[ids[at]] = found[i] and { unpack_values(found[i]) }
      else
        S.nodes[paths[at - #ids]] = found[i] and { unpack_values(found[i]) }
      end
    end
  end
end
function S.record(id)
  if S.records[id] == nil then
    S.load({ id }, {})
  end
  return S.records[id]
end
function S.set_record(id, record)
  S.records[id] = record
  S.dirty_records[id] = true
  S.changed = true
end
function S.nodes_of(path, missing)
  local list = S.above[path]
  if list == nil then
    list = {}
    local at, n = 0, 0
    while at and at < #path do
      n = n + 1
      list[n] = sub(path, 1, at)
      at = string.find(path, '/', at + 1, true)
    end
    S.above[path] = list
  end
  for i = 1, #list do
    if S.nodes[list[i]] == nil then
      missing[#missing + 1] = list[i]
    end
  end
  if S.nodes[path] == nil then
    missing[#missing + 1] = path
  end
  return missing
end
function S.load_nodes(path)
  local missing = S.nodes_of(path, {})
  if #missing > 0 then
    S.load({}, missing)
  end
end
function S.count(path, slot, change)
  local node = S.nodes[path]
  if node == nil then
    S.load({}, { path })
    node = S.nodes[path]
  end
  if not node then
    node = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 }
    S.nodes[path] = node
  end
  local at = S.slots[slot]
  node[at] = node[at] + change
  S.dirty_nodes[path] = true
end
function S.flush_index()
  if #S.index_removals > 0 then
    S.call_all('ZREM', index_key, S.index_removals)
    S.index_removals = {}
  end
end
function S.set_deadline(kind, id, deadline)
  local n = #S.deadline_additions
  S.deadline_additions[n + 1] = deadline
  S.deadline_additions[n + 2] = kind .. id
  S.changed = true
  if S.due == 0 or deadline < S.due then
    S.due = deadline
  end
end
function S.deadline_of(kind, id)
  for i = #S.deadline_additions, 2, -2 do
    if S.deadline_additions[i] == kind .. id then
      return S.deadline_additions[i - 1]
    end
  end
  local score = call('ZSCORE', deadlines_key, kind .. id)
  return score and tonumber(score) or now
end
function S.tell(client, text)
  local box = S.own_events
  if client ~= ARGV[1] then
    S.outbox = S.outbox or {}
    box = S.outbox[client] or {}
    S.outbox[client] = box
  end
  box[#box + 1] = text
end
function S.save()
  for client, box in pairs(S.outbox or {}) do
    call('PUBLISH', ARGV[2] .. client, string.format('%.0f\\n', now) .. table.concat(box, '\\n'))
  end
  if not S.changed then
    return
  end
  local minute = 60000000
  if S.held_r + S.held_w + S.waits == 0 then
    call('DEL', table_key, index_key, deadlines_key)
    if S.last_token >= now then
      call('HSET', table_key, 'm', pack(S.last_token, S.last_ticket, 0, 0, 0, 0, 0, 0, 0))
      call('PEXPIREAT', table_key, math.ceil((S.last_token + minute) / 1000))
    end
    return
  end
  S.flush_index()
  if #S.deadline_removals > 0 then
    S.call_all('ZREM', deadlines_key, S.deadline_removals)
  end
  local removals, additions, r, a = {}, {}, 0, 2
  for id in pairs(S.dirty_records) do
    local record = S.records[id]
    if record then
      additions[a + 1], additions[a + 2] = 'r' .. id, pack(unpack(record))
      a = a + 2
    else
      r = r + 1
      removals[r] = 'r' .. id
    end
  end
  for path in pairs(S.dirty_nodes) do
    local n = S.nodes[path]
    if n[1] + n[2] + n[3] + n[4] + n[5] + n[6] + n[7] + n[8] + n[9] + n[10] == 0 then
      r = r + 1
      removals[r] = 'n' .. path
    else
      additions[a + 1], additions[a + 2] = 'n' .. path, pack(unpack(n))
      a = a + 2
    end
  end
  if r > 0 then
    S.call_all('HDEL', table_key, removals)
  end
  local latest = 0
  if #S.deadline_additions > 0 then
    S.call_all('ZADD', deadlines_key, S.deadline_additions)
    for i = 1, #S.deadline_additions, 2 do
      latest = math.max(latest, S.deadline_additions[i])
    end
  end
  local extend = latest + minute > S.keep
  if extend then
    S.keep = latest + 2 * minute
  end
  additions[1] = 'm'
  additions[2] =
    pack(S.last_token, S.last_ticket, S.held_r, S.held_w, S.waits, S.nested, S.pending, S.due, S.keep)
  S.call_all('HSET', table_key, additions)
  if extend then
    local at = math.ceil(S.keep / 1000)
    call('PEXPIREAT', table_key, at)
    call('PEXPIREAT', index_key, at)
    call('PEXPIREAT', deadlines_key, at)
  end
end
function S.answer()
  return { now, S.pending > 0 and 1 or 0, table.concat(S.own_events, '\\n') }
end
local STATE, TICKET, TOKEN, SINCE, TTL, CLIENT, HOLDER, BLOCKER, N = 1, 2, 3, 4, 5, 6, 7, 8, 9
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
function S.first(prefix, waived)
  local from, to, offset = '[' .. prefix, '(' .. prefix .. '\\255', 0
  while true do
    local members = call('ZRANGEBYLEX', index_key, from, to, 'LIMIT', offset, waived and 32 or 1)
    for i = 1, #members do
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
    local from, to = '[hw' .. path, '(hw' .. path .. '\\255'
    local id = S.held_w > 0 and call('ZLEXCOUNT', index_key, from, to) > 0 and S.first('hw' .. path, waived)
    if not id and exclusive and S.held_r > 0 then
      from, to = '[hr' .. path, '(hr' .. path .. '\\255'
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
function S.grant(id, record)
  local deadline = now + record[TTL] * 1000
  S.last_token = math.max(S.last_token + 1, now)
  record[STATE], record[TOKEN], record[SINCE], record[BLOCKER] = 'h', S.last_token, now, ''
  S.place_held(id, record, 1)
  S.set_deadline('h', id, deadline)
  S.set_record(id, record)
  return deadline
end
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
function S.settle()
  if S.waits > 0 then
    S.make_queue()
    S.look_again()
  elseif S.pending > 0 then
    S.flush_index()
    call('ZREMRANGEBYLEX', index_key, '[p', '(p\\255')
    S.pending = 0
    S.changed = true
  end
end
function S.make_queue()
  if S.look_again then
    return
  end
  function S.earlier_waiting(record)
    local ticket, latest_ticket, latest = record[TICKET], '', nil
    local function consider(count, list)
      if count > 0 then
        local member = call('ZREVRANGEBYLEX', index_key, '(' .. list .. ticket, '[' .. list, 'LIMIT', 0, 1)[1]
        if member then
          local its_ticket = sub(member, #list + 1, #list + 16)
          if not latest or tonumber(its_ticket) > tonumber(latest_ticket) then
            latest_ticket, latest = its_ticket, sub(member, #list + 17)
          end
        end
      end
    end
    for i = N + 1, N + record[N] do
      local mode, path = sub(record[i], 1, 1), sub(record[i], 2)
      local exclusive = S.access[mode] == 'w'
      S.load_nodes(path)
      local above = S.above[path]
      for j = 1, #above do
        local node = S.nodes[above[j]]
        if node then
          consider(node[8], 'qw' .. above[j] .. '/s')
          if exclusive then
            consider(node[5], 'qr' .. above[j] .. '/s')
          end
        end
      end
      local node = S.nodes[path]
      if node then
        local subtree = S.mark[mode] == 's'
        consider(node[8], 'qw' .. path .. '/s')
        consider(node[9], 'qw' .. path .. '/n')
        consider(subtree and node[10] or 0, 'qw' .. path .. '/b')
        if exclusive then
          consider(node[5], 'qr' .. path .. '/s')
          consider(node[6], 'qr' .. path .. '/n')
          consider(subtree and node[7] or 0, 'qr' .. path .. '/b')
        end
      end
    end
    return latest
  end
  function S.place_waiting(id, record, change)
    local tail, members = record[TICKET] .. id, {}
    for i = N + 1, N + record[N] do
      local mode, path = sub(record[i], 1, 1), sub(record[i], 2)
      local kind = 'q' .. S.access[mode]
      S.load_nodes(path)
      members[#members + 1] = kind .. path .. '/' .. S.mark[mode] .. tail
      S.count(path, kind .. S.mark[mode], change)
      for _, node in ipairs(S.above[path]) do
        members[#members + 1] = kind .. node .. '/b' .. tail
        S.count(node, kind .. 'b', change)
      end
    end
    local from = N + record[N] + 1
    for i = from, #record do
      members[#members + 1] = 'n' .. record[i] .. '/' .. id
    end
    S.waits = S.waits + change
    if from <= #record then
      S.nested = S.nested + change
    end
    if change < 0 then
      for i = 1, #members do
        S.index_removals[#S.index_removals + 1] = members[i]
      end
      return
    end
    local scored = {}
    for i = 1, #members do
      scored[2 * i - 1], scored[2 * i] = 0, members[i]
    end
    S.call_all('ZADD', index_key, scored)
  end
  function S.cycle_to(enclosing, blocker)
    local left, seen = 1000, {}
    local function walk(lease)
      if enclosing[lease] then
        return { lease }
      end
      if seen[lease] or left <= 0 then
        return nil
      end
      seen[lease] = true
      local prefix = 'n' .. lease .. '/'
      local inside = call('ZRANGEBYLEX', index_key, '[' .. prefix, '(' .. prefix .. '\\255', 'LIMIT', 0, left)
      left = left - #inside
      for i = 1, #inside do
        local id = sub(inside[i], #prefix + 1)
        local record = S.record(id)
        local rest = record and record[BLOCKER] ~= '' and walk(record[BLOCKER])
        if rest then
          table.insert(rest, 1, id)
          table.insert(rest, 1, lease)
          return rest
        end
      end
      return nil
    end
    return walk(blocker)
  end
  function S.watch(id, record, blocker)
    record[BLOCKER] = blocker
    call('ZADD', index_key, 0, 'w' .. blocker .. '/' .. record[TICKET] .. id)
    S.set_record(id, record)
    local enclosing = S.nested > 1 and S.enclosing(record)
    local cycle = enclosing and S.cycle_to(enclosing, blocker)
    if cycle then
      table.insert(cycle, 1, id)
    end
    return cycle
  end
  function S.look_again()
    local left, queue, at = 64, {}, 1
    local function gather(id, marked)
      local prefix = 'w' .. id .. '/'
      local watchers = call('ZRANGEBYLEX', index_key, '[' .. prefix, '(' .. prefix .. '\\255', 'LIMIT', 0, left + 1)
      local more = #watchers > left
      if more then
        watchers[#watchers] = nil
      end
      if #watchers > 0 then
        S.call_all('ZREM', index_key, watchers)
      end
      for i = 1, #watchers do
        queue[#queue + 1] = sub(watchers[i], #prefix + 1)
      end
      left = left - #watchers
      if more and not marked then
        call('ZADD', index_key, 0, 'p' .. id)
        S.pending = S.pending + 1
      elseif marked and not more then
        call('ZREM', index_key, 'p' .. id)
        S.pending = S.pending - 1
      end
    end
    local function gather_gone()
      for i = 1, #S.gone do
        gather(S.gone[i], false)
      end
      S.gone = {}
      table.sort(queue)
    end
    if #S.gone == 0 and S.pending == 0 then
      return
    end
    S.changed = true
    S.flush_index()
    if S.pending > 0 then
      for _, mark in ipairs(call('ZRANGEBYLEX', index_key, '[p', '(p\\255', 'LIMIT', 0, 16)) do
        gather(sub(mark, 2), true)
      end
    end
    gather_gone()
    while at <= #queue do
      local id = sub(queue[at], 17)
      local record = S.record(id)
      at = at + 1
      if record and record[STATE] == 'q' then
        local blocker = S.blocker_of(record)
        if not blocker then
          S.place_waiting(id, record, -1)
          S.deadline_removals[#S.deadline_removals + 1] = 'q' .. id
          local deadline = S.grant(id, record)
          S.tell(record[CLIENT], string.format('g %s %.0f %.0f', id, record[TOKEN], deadline))
        else
          local cycle = S.watch(id, record, blocker)
          if cycle then
            S.tell(record[CLIENT], 'd ' .. table.concat(cycle, ' '))
            S.drop(id, record)
            S.flush_index()
            local rest = {}
            for i = at, #queue do
              rest[#rest + 1] = queue[i]
            end
            queue, at = rest, 1
            gather_gone()
          end
        end
      end
    end
  end
end
local id = ARGV[4]
S.begin({ id }, {})
local record = S.records[id]
local live = record and record[STATE] == 'h'
if live then
  S.tell(record[CLIENT], 'b ' .. id)
  S.drop(id, record)
  S.settle()
end
S.save()
local reply = S.answer()
reply[4] = live and 1 or 0
return reply`

export const downgrade: string = `local call, pack, unpack_values, sub = redis.call, cmsgpack.pack, cmsgpack.unpack, string.sub
local table_key, index_key, deadlines_key = KEYS[1], KEYS[2], KEYS[3]
local time = call('TIME')
local now = time[1] * 1000000 + time[2]
local S = {
  changed = false,
  records = {},
  nodes = {},
  above = {},
  dirty_records = {},
  dirty_nodes = {},
  index_removals = {},
  deadline_removals = {},
  deadline_additions = {},
  gone = {},
  own_events = {},
  slots = { hrs = 1, hrn = 2, hws = 3, hwn = 4, qrs = 5, qrn = 6, qrb = 7, qws = 8, qwn = 9, qwb = 10 },
  access = { R = 'r', W = 'w', r = 'r', w = 'w' },
  mark = { R = 's', W = 's', r = 'n', w = 'n' }
}
function S.call_all(command, key, arguments)
  if #arguments <= 1000 then
    return call(command, key, unpack(arguments))
  end
  for from = 1, #arguments, 1000 do
    call(command, key, unpack(arguments, from, math.min(from + 999, #arguments)))
  end
end
function S.load(ids, paths)
  local fields = {}
  for i = 1, #ids do
    fields[i] = 'r' .. ids[i]
  end
  for i = 1, #paths do
    fields[#ids + i] = 'n' .. paths[i]
  end
  for from = 1, #fields, 1000 do
    local found = call('HMGET', table_key, unpack(fields, from, math.min(from + 999, #fields)))
    for i = 1, #found do
      local at = from + i - 1
      if at <= #ids then
        S.records[ids[at]] = found[i] and { unpack_values(found[i]) }
      else
        S.nodes[paths[at - #ids]] = found[i] and { unpack_values(found[i]) }
      end
    end
  end
end
function S.record(id)
  if S.records[id] == nil then
    S.load({ id }, {})
  end
  return S.records[id]
end
function S.set_record(id, record)
  S.records[id] = record
  S.dirty_records[id] = true
  S.changed = true
end
function S.nodes_of(path, missing)
  local list = S.above[path]
  if list == nil then
    list = {}
    local at, n = 0, 0
    while at and at < #path do
      n = n + 1
      list[n] = sub(path, 1, at)
      at = string.find(path, '/', at + 1, true)
    end
    S.above[path] = list
  end
  for i = 1, #list do
    if S.nodes[list[i]] == nil then
      missing[#missing + 1] = list[i]
    end
  end
  if S.nodes[path] == nil then
    missing[#missing + 1] = path
  end
  return missing
end
function S.load_nodes(path)
  local missing = S.nodes_of(path, {})
  if #missing > 0 then
    S.load({}, missing)
  end
end
function S.count(path, slot, change)
  local node = S.nodes[path]
  if node == nil then
    S.load({}, { path })
    node = S.nodes[path]
  end
  if not node then
    node = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 }
    S.nodes[path] = node
  end
  local at = S.slots[slot]
  node[at] = node[at] + change
  S.dirty_nodes[path] = true
end
function S.flush_index()
  if #S.index_removals > 0 then
    S.call_all('ZREM', index_key, S.index_removals)
    S.index_removals = {}
  end
end
function S.set_deadline(kind, id, deadline)
  local n = #S.deadline_additions
  S.deadline_additions[n + 1] = deadline
  S.deadline_additions[n + 2] = kind .. id
  S.changed = true
  if S.due == 0 or deadline < S.due then
    S.due = deadline
  end
end
function S.deadline_of(kind, id)
  for i = #S.deadline_additions, 2, -2 do
    if S.deadline_additions[i] == kind .. id then
      return S.deadline_additions[i - 1]
    end
  end
  local score = call('ZSCORE', deadlines_key, kind .. id)
  return score and tonumber(score) or now
end
function S.tell(client, text)
  local box = S.own_events
  if client ~= ARGV[1] then
    S.outbox = S.outbox or {}
    box = S.outbox[client] or {}
    S.outbox[client] = box
  end
  box[#box + 1] = text
end
function S.save()
  for client, box in pairs(S.outbox or {}) do
    call('PUBLISH', ARGV[2] .. client, string.format('%.0f\\n', now) .. table.concat(box, '\\n'))
  end
  if not S.changed then
    return
  end
  local minute = 60000000
  if S.held_r + S.held_w + S.waits == 0 then
    call('DEL', table_key, index_key, deadlines_key)
    if S.last_token >= now then
      call('HSET', table_key, 'm', pack(S.last_token, S.last_ticket, 0, 0, 0, 0, 0, 0, 0))
      call('PEXPIREAT', table_key, math.ceil((S.last_token + minute) / 1000))
    end
    return
  end
  S.flush_index()
  if #S.deadline_removals > 0 then
    S.call_all('ZREM', deadlines_key, S.deadline_removals)
  end
  local removals, additions, r, a = {}, {}, 0, 2
  for id in pairs(S.dirty_records) do
    local record = S.records[id]
    if record then
      additions[a + 1], additions[a + 2] = 'r' .. id, pack(unpack(record))
      a = a + 2
    else
      r = r + 1
      removals[r] = 'r' .. id
    end
  end
  for path in pairs(S.dirty_nodes) do
    local n = S.nodes[path]
    if n[1] + n[2] + n[3] + n[4] + n[5] + n[6] + n[7] + n[8] + n[9] + n[10] == 0 then
      r = r + 1
      removals[r] = 'n' .. path
    else
      additions[a + 1], additions[a + 2] = 'n' .. path, pack(unpack(n))
      a = a + 2
    end
  end
  if r > 0 then
    S.call_all('HDEL', table_key, removals)
  end
  local latest = 0
  if #S.deadline_additions > 0 then
    S.call_all('ZADD', deadlines_key, S.deadline_additions)
    for i = 1, #S.deadline_additions, 2 do
      latest = math.max(latest, S.deadline_additions[i])
    end
  end
  local extend = latest + minute > S.keep
  if extend then
    S.keep = latest + 2 * minute
  end
  additions[1] = 'm'
  additions[2] =
    pack(S.last_token, S.last_ticket, S.held_r, S.held_w, S.waits, S.nested, S.pending, S.due, S.keep)
  S.call_all('HSET', table_key, additions)
  if extend then
    local at = math.ceil(S.keep / 1000)
    call('PEXPIREAT', table_key, at)
    call('PEXPIREAT', index_key, at)
    call('PEXPIREAT', deadlines_key, at)
  end
end
function S.answer()
  return { now, S.pending > 0 and 1 or 0, table.concat(S.own_events, '\\n') }
end
local STATE, TICKET, TOKEN, SINCE, TTL, CLIENT, HOLDER, BLOCKER, N = 1, 2, 3, 4, 5, 6, 7, 8, 9
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
function S.first(prefix, waived)
  local from, to, offset = '[' .. prefix, '(' .. prefix .. '\\255', 0
  while true do
    local members = call('ZRANGEBYLEX', index_key, from, to, 'LIMIT', offset, waived and 32 or 1)
    for i = 1, #members do
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
    local from, to = '[hw' .. path, '(hw' .. path .. '\\255'
    local id = S.held_w > 0 and call('ZLEXCOUNT', index_key, from, to) > 0 and S.first('hw' .. path, waived)
    if not id and exclusive and S.held_r > 0 then
      from, to = '[hr' .. path, '(hr' .. path .. '\\255'
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
function S.grant(id, record)
  local deadline = now + record[TTL] * 1000
  S.last_token = math.max(S.last_token + 1, now)
  record[STATE], record[TOKEN], record[SINCE], record[BLOCKER] = 'h', S.last_token, now, ''
  S.place_held(id, record, 1)
  S.set_deadline('h', id, deadline)
  S.set_record(id, record)
  return deadline
end
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
function S.settle()
  if S.waits > 0 then
    S.make_queue()
    S.look_again()
  elseif S.pending > 0 then
    S.flush_index()
    call('ZREMRANGEBYLEX', index_key, '[p', '(p\\255')
    S.pending = 0
    S.changed = true
  end
end
function S.make_queue()
  if S.look_again then
    return
  end
  function S.earlier_waiting(record)
    local ticket, latest_ticket, latest = record[TICKET], '', nil
    local function consider(count, list)
      if count > 0 then
        local member = call('ZREVRANGEBYLEX', index_key, '(' .. list .. ticket, '[' .. list, 'LIMIT', 0, 1)[1]
        if member then
          local its_ticket = sub(member, #list + 1, #list + 16)
          if not latest or tonumber(its_ticket) > tonumber(latest_ticket) then
            latest_ticket, latest = its_ticket, sub(member, #list + 17)
          end
        end
      end
    end
    for i = N + 1, N + record[N] do
      local mode, path = sub(record[i], 1, 1), sub(record[i], 2)
      local exclusive = S.access[mode] == 'w'
      S.load_nodes(path)
      local above = S.above[path]
      for j = 1, #above do
        local node = S.nodes[above[j]]
        if node then
          consider(node[8], 'qw' .. above[j] .. '/s')
          if exclusive then
            consider(node[5], 'qr' .. above[j] .. '/s')
          end
        end
      end
      local node = S.nodes[path]
      if node then
        local subtree = S.mark[mode] == 's'
        consider(node[8], 'qw' .. path .. '/s')
        consider(node[9], 'qw' .. path .. '/n')
        consider(subtree and node[10] or 0, 'qw' .. path .. '/b')
        if exclusive then
          consider(node[5], 'qr' .. path .. '/s')
          consider(node[6], 'qr' .. path .. '/n')
          consider(subtree and node[7] or 0, 'qr' .. path .. '/b')
        end
      end
    end
    return latest
  end
  function S.place_waiting(id, record, change)
    local tail, members = record[TICKET] .. id, {}
    for i = N + 1, N + record[N] do
      local mode, path = sub(record[i], 1, 1), sub(record[i], 2)
      local kind = 'q' .. S.access[mode]
      S.load_nodes(path)
      members[#members + 1] = kind .. path .. '/' .. S.mark[mode] .. tail
      S.count(path, kind .. S.mark[mode], change)
      for _, node in ipairs(S.above[path]) do
        members[#members + 1] = kind .. node .. '/b' .. tail
        S.count(node, kind .. 'b', change)
      end
    end
    local from = N + record[N] + 1
    for i = from, #record do
      members[#members + 1] = 'n' .. record[i] .. '/' .. id
    end
    S.waits = S.waits + change
    if from <= #record then
      S.nested = S.nested + change
    end
    if change < 0 then
      for i = 1, #members do
        S.index_removals[#S.index_removals + 1] = members[i]
      end
      return
    end
    local scored = {}
    for i = 1, #members do
      scored[2 * i - 1], scored[2 * i] = 0, members[i]
    end
    S.call_all('ZADD', index_key, scored)
  end
  function S.cycle_to(enclosing, blocker)
    local left, seen = 1000, {}
    local function walk(lease)
      if enclosing[lease] then
        return { lease }
      end
      if seen[lease] or left <= 0 then
        return nil
      end
      seen[lease] = true
      local prefix = 'n' .. lease .. '/'
      local inside = call('ZRANGEBYLEX', index_key, '[' .. prefix, '(' .. prefix .. '\\255', 'LIMIT', 0, left)
      left = left - #inside
      for i = 1, #inside do
        local id = sub(inside[i], #prefix + 1)
        local record = S.record(id)
        local rest = record and record[BLOCKER] ~= '' and walk(record[BLOCKER])
        if rest then
          table.insert(rest, 1, id)
          table.insert(rest, 1, lease)
          return rest
        end
      end
      return nil
    end
    return walk(blocker)
  end
  function S.watch(id, record, blocker)
    record[BLOCKER] = blocker
    call('ZADD', index_key, 0, 'w' .. blocker .. '/' .. record[TICKET] .. id)
    S.set_record(id, record)
    local enclosing = S.nested > 1 and S.enclosing(record)
    local cycle = enclosing and S.cycle_to(enclosing, blocker)
    if cycle then
      table.insert(cycle, 1, id)
    end
    return cycle
  end
  function S.look_again()
    local left, queue, at = 64, {}, 1
    local function gather(id, marked)
      local prefix = 'w' .. id .. '/'
      local watchers = call('ZRANGEBYLEX', index_key, '[' .. prefix, '(' .. prefix .. '\\255', 'LIMIT', 0, left + 1)
      local more = #watchers > left
      if more then
        watchers[#watchers] = nil
      end
      if #watchers > 0 then
        S.call_all('ZREM', index_key, watchers)
      end
      for i = 1, #watchers do
        queue[#queue + 1] = sub(watchers[i], #prefix + 1)
      end
      left = left - #watchers
      if more and not marked then
        call('ZADD', index_key, 0, 'p' .. id)
        S.pending = S.pending + 1
      elseif marked and not more then
        call('ZREM', index_key, 'p' .. id)
        S.pending = S.pending - 1
      end
    end
    local function gather_gone()
      for i = 1, #S.gone do
        gather(S.gone[i], false)
      end
      S.gone = {}
      table.sort(queue)
    end
    if #S.gone == 0 and S.pending == 0 then
      return
    end
    S.changed = true
    S.flush_index()
    if S.pending > 0 then
      for _, mark in ipairs(call('ZRANGEBYLEX', index_key, '[p', '(p\\255', 'LIMIT', 0, 16)) do
        gather(sub(mark, 2), true)
      end
    end
    gather_gone()
    while at <= #queue do
      local id = sub(queue[at], 17)
      local record = S.record(id)
      at = at + 1
      if record and record[STATE] == 'q' then
        local blocker = S.blocker_of(record)
        if not blocker then
          S.place_waiting(id, record, -1)
          S.deadline_removals[#S.deadline_removals + 1] = 'q' .. id
          local deadline = S.grant(id, record)
          S.tell(record[CLIENT], string.format('g %s %.0f %.0f', id, record[TOKEN], deadline))
        else
          local cycle = S.watch(id, record, blocker)
          if cycle then
            S.tell(record[CLIENT], 'd ' .. table.concat(cycle, ' '))
            S.drop(id, record)
            S.flush_index()
            local rest = {}
            for i = at, #queue do
              rest[#rest + 1] = queue[i]
            end
            queue, at = rest, 1
            gather_gone()
          end
        end
      end
    end
  end
end
local id = ARGV[4]
S.begin({ id }, {})
local record = S.records[id]
local live = record and record[STATE] == 'h'
if live then
  S.place_held(id, record, -1)
  S.flush_index()
  for i = N + 1, N + record[N] do
    local mode = sub(record[i], 1, 1)
    record[i] = (mode == 'W' and 'R' or mode == 'w' and 'r' or mode) .. sub(record[i], 2)
  end
  S.place_held(id, record, 1)
  S.set_record(id, record)
  S.gone[1] = id
  S.settle()
end
S.save()
local reply = S.answer()
reply[4] = live and 1 or 0
return reply`

export const inspect: string = `local call, pack, unpack_values, sub = redis.call, cmsgpack.pack, cmsgpack.unpack, string.sub
local table_key, index_key, deadlines_key = KEYS[1], KEYS[2], KEYS[3]
local time = call('TIME')
local now = time[1] * 1000000 + time[2]
local S = {
  changed = false,
  records = {},
  nodes = {},
  above = {},
  dirty_records = {},
  dirty_nodes = {},
  index_removals = {},
  deadline_removals = {},
  deadline_additions = {},
  gone = {},
  own_events = {},
  slots = { hrs = 1, hrn = 2, hws = 3, hwn = 4, qrs = 5, qrn = 6, qrb = 7, qws = 8, qwn = 9, qwb = 10 },
  access = { R = 'r', W = 'w', r = 'r', w = 'w' },
  mark = { R = 's', W = 's', r = 'n', w = 'n' }
}
function S.call_all(command, key, arguments)
  if #arguments <= 1000 then
    return call(command, key, unpack(arguments))
  end
  for from = 1, #arguments, 1000 do
    call(command, key, unpack(arguments, from, math.min(from + 999, #arguments)))
  end
end
function S.load(ids, paths)
  local fields = {}
  for i = 1, #ids do
    fields[i] = 'r' .. ids[i]
  end
  for i = 1, #paths do
    fields[#ids + i] = 'n' .. paths[i]
  end
  for from = 1, #fields, 1000 do
    local found = call('HMGET', table_key, unpack(fields, from, math.min(from + 999, #fields)))
    for i = 1, #found do
      local at = from + i - 1
      if at <= #ids then
        S.records[ids[at]] = found[i] and { unpack_values(found[i]) }
      else
        S.nodes[paths[at - #ids]] = found[i] and { unpack_values(found[i]) }
      end
    end
  end
end
function S.record(id)
  if S.records[id] == nil then
    S.load({ id }, {})
  end
  return S.records[id]
end
function S.set_record(id, record)
  S.records[id] = record
  S.dirty_records[id] = true
  S.changed = true
end
function S.nodes_of(path, missing)
  local list = S.above[path]
  if list == nil then
    list = {}
    local at, n = 0, 0
    while at and at < #path do
      n = n + 1
      list[n] = sub(path, 1, at)
      at = string.find(path, '/', at + 1, true)
    end
    S.above[path] = list
  end
  for i = 1, #list do
    if S.nodes[list[i]] == nil then
      missing[#missing + 1] = list[i]
    end
  end
  if S.nodes[path] == nil then
    missing[#missing + 1] = path
  end
  return missing
end
function S.load_nodes(path)
  local missing = S.nodes_of(path, {})
  if #missing > 0 then
    S.load({}, missing)
  end
end
function S.count(path, slot, change)
  local node = S.nodes[path]
  if node == nil then
    S.load({}, { path })
    node = S.nodes[path]
  end
  if not node then
    node = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 }
    S.nodes[path] = node
  end
  local at = S.slots[slot]
  node[at] = node[at] + change
  S.dirty_nodes[path] = true
end
function S.flush_index()
  if #S.index_removals > 0 then
    S.call_all('ZREM', index_key, S.index_removals)
    S.index_removals = {}
  end
end
function S.set_deadline(kind, id, deadline)
  local n = #S.deadline_additions
  S.deadline_additions[n + 1] = deadline
  S.deadline_additions[n + 2] = kind .. id
  S.changed = true
  if S.due == 0 or deadline < S.due then
    S.due = deadline
  end
end
function S.deadline_of(kind, id)
  for i = #S.deadline_additions, 2, -2 do
    if S.deadline_additions[i] == kind .. id then
      return S.deadline_additions[i - 1]
    end
  end
  local score = call('ZSCORE', deadlines_key, kind .. id)
  return score and tonumber(score) or now
end
function S.tell(client, text)
  local box = S.own_events
  if client ~= ARGV[1] then
    S.outbox = S.outbox or {}
    box = S.outbox[client] or {}
    S.outbox[client] = box
  end
  box[#box + 1] = text
end
function S.save()
  for client, box in pairs(S.outbox or {}) do
    call('PUBLISH', ARGV[2] .. client, string.format('%.0f\\n', now) .. table.concat(box, '\\n'))
  end
  if not S.changed then
    return
  end
  local minute = 60000000
  if S.held_r + S.held_w + S.waits == 0 then
    call('DEL', table_key, index_key, deadlines_key)
    if S.last_token >= now then
      call('HSET', table_key, 'm', pack(S.last_token, S.last_ticket, 0, 0, 0, 0, 0, 0, 0))
      call('PEXPIREAT', table_key, math.ceil((S.last_token + minute) / 1000))
    end
    return
  end
  S.flush_index()
  if #S.deadline_removals > 0 then
    S.call_all('ZREM', deadlines_key, S.deadline_removals)
  end
  local removals, additions, r, a = {}, {}, 0, 2
  for id in pairs(S.dirty_records) do
    local record = S.records[id]
    if record then
      additions[a + 1], additions[a + 2] = 'r' .. id, pack(unpack(record))
      a = a + 2
    else
      r = r + 1
      removals[r] = 'r' .. id
    end
  end
  for path in pairs(S.dirty_nodes) do
    local n = S.nodes[path]
    if n[1] + n[2] + n[3] + n[4] + n[5] + n[6] + n[7] + n[8] + n[9] + n[10] == 0 then
      r = r + 1
      removals[r] = 'n' .. path
    else
      additions[a + 1], additions[a + 2] = 'n' .. path, pack(unpack(n))
      a = a + 2
    end
  end
  if r > 0 then
    S.call_all('HDEL', table_key, removals)
  end
  local latest = 0
  if #S.deadline_additions > 0 then
    S.call_all('ZADD', deadlines_key, S.deadline_additions)
    for i = 1, #S.deadline_additions, 2 do
      latest = math.max(latest, S.deadline_additions[i])
    end
  end
  local extend = latest + minute > S.keep
  if extend then
    S.keep = latest + 2 * minute
  end
  additions[1] = 'm'
  additions[2] =
    pack(S.last_token, S.last_ticket, S.held_r, S.held_w, S.waits, S.nested, S.pending, S.due, S.keep)
  S.call_all('HSET', table_key, additions)
  if extend then
    local at = math.ceil(S.keep / 1000)
    call('PEXPIREAT', table_key, at)
    call('PEXPIREAT', index_key, at)
    call('PEXPIREAT', deadlines_key, at)
  end
end
function S.answer()
  return { now, S.pending > 0 and 1 or 0, table.concat(S.own_events, '\\n') }
end
local STATE, TICKET, TOKEN, SINCE, TTL, CLIENT, HOLDER, BLOCKER, N = 1, 2, 3, 4, 5, 6, 7, 8, 9
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
function S.first(prefix, waived)
  local from, to, offset = '[' .. prefix, '(' .. prefix .. '\\255', 0
  while true do
    local members = call('ZRANGEBYLEX', index_key, from, to, 'LIMIT', offset, waived and 32 or 1)
    for i = 1, #members do
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
    local from, to = '[hw' .. path, '(hw' .. path .. '\\255'
    local id = S.held_w > 0 and call('ZLEXCOUNT', index_key, from, to) > 0 and S.first('hw' .. path, waived)
    if not id and exclusive and S.held_r > 0 then
      from, to = '[hr' .. path, '(hr' .. path .. '\\255'
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
function S.grant(id, record)
  local deadline = now + record[TTL] * 1000
  S.last_token = math.max(S.last_token + 1, now)
  record[STATE], record[TOKEN], record[SINCE], record[BLOCKER] = 'h', S.last_token, now, ''
  S.place_held(id, record, 1)
  S.set_deadline('h', id, deadline)
  S.set_record(id, record)
  return deadline
end
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
function S.settle()
  if S.waits > 0 then
    S.make_queue()
    S.look_again()
  elseif S.pending > 0 then
    S.flush_index()
    call('ZREMRANGEBYLEX', index_key, '[p', '(p\\255')
    S.pending = 0
    S.changed = true
  end
end
function S.make_queue()
  if S.look_again then
    return
  end
  function S.earlier_waiting(record)
    local ticket, latest_ticket, latest = record[TICKET], '', nil
    local function consider(count, list)
      if count > 0 then
        local member = call('ZREVRANGEBYLEX', index_key, '(' .. list .. ticket, '[' .. list, 'LIMIT', 0, 1)[1]
        if member then
          local its_ticket = sub(member, #list + 1, #list + 16)
          if not latest or tonumber(its_ticket) > tonumber(latest_ticket) then
            latest_ticket, latest = its_ticket, sub(member, #list + 17)
          end
        end
      end
    end
    for i = N + 1, N + record[N] do
      local mode, path = sub(record[i], 1, 1), sub(record[i], 2)
      local exclusive = S.access[mode] == 'w'
      S.load_nodes(path)
      local above = S.above[path]
      for j = 1, #above do
        local node = S.nodes[above[j]]
        if node then
          consider(node[8], 'qw' .. above[j] .. '/s')
          if exclusive then
            consider(node[5], 'qr' .. above[j] .. '/s')
          end
        end
      end
      local node = S.nodes[path]
      if node then
        local subtree = S.mark[mode] == 's'
        consider(node[8], 'qw' .. path .. '/s')
        consider(node[9], 'qw' .. path .. '/n')
        consider(subtree and node[10] or 0, 'qw' .. path .. '/b')
        if exclusive then
          consider(node[5], 'qr' .. path .. '/s')
          consider(node[6], 'qr' .. path .. '/n')
          consider(subtree and node[7] or 0, 'qr' .. path .. '/b')
        end
      end
    end
    return latest
  end
  function S.place_waiting(id, record, change)
    local tail, members = record[TICKET] .. id, {}
    for i = N + 1, N + record[N] do
      local mode, path = sub(record[i], 1, 1), sub(record[i], 2)
      local kind = 'q' .. S.access[mode]
      S.load_nodes(path)
      members[#members + 1] = kind .. path .. '/' .. S.mark[mode] .. tail
      S.count(path, kind .. S.mark[mode], change)
      for _, node in ipairs(S.above[path]) do
        members[#members + 1] = kind .. node .. '/b' .. tail
        S.count(node, kind .. 'b', change)
      end
    end
    local from = N + record[N] + 1
    for i = from, #record do
      members[#members + 1] = 'n' .. record[i] .. '/' .. id
    end
    S.waits = S.waits + change
    if from <= #record then
      S.nested = S.nested + change
    end
    if change < 0 then
      for i = 1, #members do
        S.index_removals[#S.index_removals + 1] = members[i]
      end
      return
    end
    local scored = {}
    for i = 1, #members do
      scored[2 * i - 1], scored[2 * i] = 0, members[i]
    end
    S.call_all('ZADD', index_key, scored)
  end
  function S.cycle_to(enclosing, blocker)
    local left, seen = 1000, {}
    local function walk(lease)
      if enclosing[lease] then
        return { lease }
      end
      if seen[lease] or left <= 0 then
        return nil
      end
      seen[lease] = true
      local prefix = 'n' .. lease .. '/'
      local inside = call('ZRANGEBYLEX', index_key, '[' .. prefix, '(' .. prefix .. '\\255', 'LIMIT', 0, left)
      left = left - #inside
      for i = 1, #inside do
        local id = sub(inside[i], #prefix + 1)
        local record = S.record(id)
        local rest = record and record[BLOCKER] ~= '' and walk(record[BLOCKER])
        if rest then
          table.insert(rest, 1, id)
          table.insert(rest, 1, lease)
          return rest
        end
      end
      return nil
    end
    return walk(blocker)
  end
  function S.watch(id, record, blocker)
    record[BLOCKER] = blocker
    call('ZADD', index_key, 0, 'w' .. blocker .. '/' .. record[TICKET] .. id)
    S.set_record(id, record)
    local enclosing = S.nested > 1 and S.enclosing(record)
    local cycle = enclosing and S.cycle_to(enclosing, blocker)
    if cycle then
      table.insert(cycle, 1, id)
    end
    return cycle
  end
  function S.look_again()
    local left, queue, at = 64, {}, 1
    local function gather(id, marked)
      local prefix = 'w' .. id .. '/'
      local watchers = call('ZRANGEBYLEX', index_key, '[' .. prefix, '(' .. prefix .. '\\255', 'LIMIT', 0, left + 1)
      local more = #watchers > left
      if more then
        watchers[#watchers] = nil
      end
      if #watchers > 0 then
        S.call_all('ZREM', index_key, watchers)
      end
      for i = 1, #watchers do
        queue[#queue + 1] = sub(watchers[i], #prefix + 1)
      end
      left = left - #watchers
      if more and not marked then
        call('ZADD', index_key, 0, 'p' .. id)
        S.pending = S.pending + 1
      elseif marked and not more then
        call('ZREM', index_key, 'p' .. id)
        S.pending = S.pending - 1
      end
    end
    local function gather_gone()
      for i = 1, #S.gone do
        gather(S.gone[i], false)
      end
      S.gone = {}
      table.sort(queue)
    end
    if #S.gone == 0 and S.pending == 0 then
      return
    end
    S.changed = true
    S.flush_index()
    if S.pending > 0 then
      for _, mark in ipairs(call('ZRANGEBYLEX', index_key, '[p', '(p\\255', 'LIMIT', 0, 16)) do
        gather(sub(mark, 2), true)
      end
    end
    gather_gone()
    while at <= #queue do
      local id = sub(queue[at], 17)
      local record = S.record(id)
      at = at + 1
      if record and record[STATE] == 'q' then
        local blocker = S.blocker_of(record)
        if not blocker then
          S.place_waiting(id, record, -1)
          S.deadline_removals[#S.deadline_removals + 1] = 'q' .. id
          local deadline = S.grant(id, record)
          S.tell(record[CLIENT], string.format('g %s %.0f %.0f', id, record[TOKEN], deadline))
        else
          local cycle = S.watch(id, record, blocker)
          if cycle then
            S.tell(record[CLIENT], 'd ' .. table.concat(cycle, ' '))
            S.drop(id, record)
            S.flush_index()
            local rest = {}
            for i = at, #queue do
              rest[#rest + 1] = queue[i]
            end
            queue, at = rest, 1
            gather_gone()
          end
        end
      end
    end
  end
end
function S.describe(id, record)
  local shown = {
    id,
    record[STATE],
    tonumber(record[TICKET]),
    record[TOKEN],
    record[SINCE],
    S.deadline_of(record[STATE], id),
    record[BLOCKER],
    record[HOLDER]
  }
  for i = N, #record do
    shown[i] = record[i]
  end
  return shown
end
S.begin({}, {})
S.save()
local reply = S.answer()
local page, shown = 250, {}
local kinds, behind = { 'hr', 'hw', 'qr', 'qw' }, ARGV[6]
reply[4], reply[5] = 0, ''
for i = tonumber(ARGV[5]), #kinds do
  local prefix = kinds[i] .. ARGV[4]
  local from = behind == '' and '[' .. prefix or '(' .. behind
  local members = call('ZRANGEBYLEX', index_key, from, '(' .. prefix .. '\\255', 'LIMIT', 0, page)
  for j = 1, #members do
    local last = string.match(members[j], '^.*/(.*)$')
    local id = sub(last, 18)
    if sub(last, 1, 1) ~= 'b' and not shown[id] then
      shown[id] = true
      reply[#reply + 1] = S.describe(id, S.record(id))
    end
  end
  page = page - #members
  behind = ''
  if page == 0 then
    reply[4], reply[5] = i, members[#members]
    break
  end
end
return reply`

export const look: string = `local call, pack, unpack_values, sub = redis.call, cmsgpack.pack, cmsgpack.unpack, string.sub
local table_key, index_key, deadlines_key = KEYS[1], KEYS[2], KEYS[3]
local time = call('TIME')
local now = time[1] * 1000000 + time[2]
local S = {
  changed = false,
  records = {},
  nodes = {},
  above = {},
  dirty_records = {},
  dirty_nodes = {},
  index_removals = {},
  deadline_removals = {},
  deadline_additions = {},
  gone = {},
  own_events = {},
  slots = { hrs = 1, hrn = 2, hws = 3, hwn = 4, qrs = 5, qrn = 6, qrb = 7, qws = 8, qwn = 9, qwb = 10 },
  access = { R = 'r', W = 'w', r = 'r', w = 'w' },
  mark = { R = 's', W = 's', r = 'n', w = 'n' }
}
function S.call_all(command, key, arguments)
  if #arguments <= 1000 then
    return call(command, key, unpack(arguments))
  end
  for from = 1, #arguments, 1000 do
    call(command, key, unpack(arguments, from, math.min(from + 999, #arguments)))
  end
end
function S.load(ids, paths)
  local fields = {}
  for i = 1, #ids do
    fields[i] = 'r' .. ids[i]
  end
  for i = 1, #paths do
    fields[#ids + i] = 'n' .. paths[i]
  end
  for from = 1, #fields, 1000 do
    local found = call('HMGET', table_key, unpack(fields, from, math.min(from + 999, #fields)))
    for i = 1, #found do
      local at = from + i - 1
      if at <= #ids then
        S.records[ids[at]] = found[i] and { unpack_values(found[i]) }
      else
        S.nodes[paths[at - #ids]] = found[i] and { unpack_values(found[i]) }
      end
    end
  end
end
function S.record(id)
  if S.records[id] == nil then
    S.load({ id }, {})
  end
  return S.records[id]
end
function S.set_record(id, record)
  S.records[id] = record
  S.dirty_records[id] = true
  S.changed = true
end
function S.nodes_of(path, missing)
  local list = S.above[path]
  if list == nil then
    list = {}
    local at, n = 0, 0
    while at and at < #path do
      n = n + 1
      list[n] = sub(path, 1, at)
      at = string.find(path, '/', at + 1, true)
    end
    S.above[path] = list
  end
  for i = 1, #list do
    if S.nodes[list[i]] == nil then
      missing[#missing + 1] = list[i]
    end
  end
  if S.nodes[path] == nil then
    missing[#missing + 1] = path
  end
  return missing
end
function S.load_nodes(path)
  local missing = S.nodes_of(path, {})
  if #missing > 0 then
    S.load({}, missing)
  end
end
function S.count(path, slot, change)
  local node = S.nodes[path]
  if node == nil then
    S.load({}, { path })
    node = S.nodes[path]
  end
  if not node then
    node = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 }
    S.nodes[path] = node
  end
  local at = S.slots[slot]
  node[at] = node[at] + change
  S.dirty_nodes[path] = true
end
function S.flush_index()
  if #S.index_removals > 0 then
    S.call_all('ZREM', index_key, S.index_removals)
    S.index_removals = {}
  end
end
function S.set_deadline(kind, id, deadline)
  local n = #S.deadline_additions
  S.deadline_additions[n + 1] = deadline
  S.deadline_additions[n + 2] = kind .. id
  S.changed = true
  if S.due == 0 or deadline < S.due then
    S.due = deadline
  end
end
function S.deadline_of(kind, id)
  for i = #S.deadline_additions, 2, -2 do
    if S.deadline_additions[i] == kind .. id then
      return S.deadline_additions[i - 1]
    end
  end
  local score = call('ZSCORE', deadlines_key, kind .. id)
  return score and tonumber(score) or now
end
function S.tell(client, text)
  local box = S.own_events
  if client ~= ARGV[1] then
    S.outbox = S.outbox or {}
    box = S.outbox[client] or {}
    S.outbox[client] = box
  end
  box[#box + 1] = text
end
function S.save()
  for client, box in pairs(S.outbox or {}) do
    call('PUBLISH', ARGV[2] .. client, string.format('%.0f\\n', now) .. table.concat(box, '\\n'))
  end
  if not S.changed then
    return
  end
  local minute = 60000000
  if S.held_r + S.held_w + S.waits == 0 then
    call('DEL', table_key, index_key, deadlines_key)
    if S.last_token >= now then
      call('HSET', table_key, 'm', pack(S.last_token, S.last_ticket, 0, 0, 0, 0, 0, 0, 0))
      call('PEXPIREAT', table_key, math.ceil((S.last_token + minute) / 1000))
    end
    return
  end
  S.flush_index()
  if #S.deadline_removals > 0 then
    S.call_all('ZREM', deadlines_key, S.deadline_removals)
  end
  local removals, additions, r, a = {}, {}, 0, 2
  for id in pairs(S.dirty_records) do
    local record = S.records[id]
    if record then
      additions[a + 1], additions[a + 2] = 'r' .. id, pack(unpack(record))
      a = a + 2
    else
      r = r + 1
      removals[r] = 'r' .. id
    end
  end
  for path in pairs(S.dirty_nodes) do
    local n = S.nodes[path]
    if n[1] + n[2] + n[3] + n[4] + n[5] + n[6] + n[7] + n[8] + n[9] + n[10] == 0 then
      r = r + 1
      removals[r] = 'n' .. path
    else
      additions[a + 1], additions[a + 2] = 'n' .. path, pack(unpack(n))
      a = a + 2
    end
  end
  if r > 0 then
    S.call_all('HDEL', table_key, removals)
  end
  local latest = 0
  if #S.deadline_additions > 0 then
    S.call_all('ZADD', deadlines_key, S.deadline_additions)
    for i = 1, #S.deadline_additions, 2 do
      latest = math.max(latest, S.deadline_additions[i])
    end
  end
  local extend = latest + minute > S.keep
  if extend then
    S.keep = latest + 2 * minute
  end
  additions[1] = 'm'
  additions[2] =
    pack(S.last_token, S.last_ticket, S.held_r, S.held_w, S.waits, S.nested, S.pending, S.due, S.keep)
  S.call_all('HSET', table_key, additions)
  if extend then
    local at = math.ceil(S.keep / 1000)
    call('PEXPIREAT', table_key, at)
    call('PEXPIREAT', index_key, at)
    call('PEXPIREAT', deadlines_key, at)
  end
end
function S.answer()
  return { now, S.pending > 0 and 1 or 0, table.concat(S.own_events, '\\n') }
end
if now > tonumber(ARGV[3]) then
  return { now, -1 }
end
local STATE, TICKET, TOKEN, SINCE, TTL, CLIENT, HOLDER, BLOCKER, N = 1, 2, 3, 4, 5, 6, 7, 8, 9
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
function S.first(prefix, waived)
  local from, to, offset = '[' .. prefix, '(' .. prefix .. '\\255', 0
  while true do
    local members = call('ZRANGEBYLEX', index_key, from, to, 'LIMIT', offset, waived and 32 or 1)
    for i = 1, #members do
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
    local from, to = '[hw' .. path, '(hw' .. path .. '\\255'
    local id = S.held_w > 0 and call('ZLEXCOUNT', index_key, from, to) > 0 and S.first('hw' .. path, waived)
    if not id and exclusive and S.held_r > 0 then
      from, to = '[hr' .. path, '(hr' .. path .. '\\255'
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
function S.grant(id, record)
  local deadline = now + record[TTL] * 1000
  S.last_token = math.max(S.last_token + 1, now)
  record[STATE], record[TOKEN], record[SINCE], record[BLOCKER] = 'h', S.last_token, now, ''
  S.place_held(id, record, 1)
  S.set_deadline('h', id, deadline)
  S.set_record(id, record)
  return deadline
end
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
function S.settle()
  if S.waits > 0 then
    S.make_queue()
    S.look_again()
  elseif S.pending > 0 then
    S.flush_index()
    call('ZREMRANGEBYLEX', index_key, '[p', '(p\\255')
    S.pending = 0
    S.changed = true
  end
end
function S.make_queue()
  if S.look_again then
    return
  end
  function S.earlier_waiting(record)
    local ticket, latest_ticket, latest = record[TICKET], '', nil
    local function consider(count, list)
      if count > 0 then
        local member = call('ZREVRANGEBYLEX', index_key, '(' .. list .. ticket, '[' .. list, 'LIMIT', 0, 1)[1]
        if member then
          local its_ticket = sub(member, #list + 1, #list + 16)
          if not latest or tonumber(its_ticket) > tonumber(latest_ticket) then
            latest_ticket, latest = its_ticket, sub(member, #list + 17)
          end
        end
      end
    end
    for i = N + 1, N + record[N] do
      local mode, path = sub(record[i], 1, 1), sub(record[i], 2)
      local exclusive = S.access[mode] == 'w'
      S.load_nodes(path)
      local above = S.above[path]
      for j = 1, #above do
        local node = S.nodes[above[j]]
        if node then
          consider(node[8], 'qw' .. above[j] .. '/s')
          if exclusive then
            consider(node[5], 'qr' .. above[j] .. '/s')
          end
        end
      end
      local node = S.nodes[path]
      if node then
        local subtree = S.mark[mode] == 's'
        consider(node[8], 'qw' .. path .. '/s')
        consider(node[9], 'qw' .. path .. '/n')
        consider(subtree and node[10] or 0, 'qw' .. path .. '/b')
        if exclusive then
          consider(node[5], 'qr' .. path .. '/s')
          consider(node[6], 'qr' .. path .. '/n')
          consider(subtree and node[7] or 0, 'qr' .. path .. '/b')
        end
      end
    end
    return latest
  end
  function S.place_waiting(id, record, change)
    local tail, members = record[TICKET] .. id, {}
    for i = N + 1, N + record[N] do
      local mode, path = sub(record[i], 1, 1), sub(record[i], 2)
      local kind = 'q' .. S.access[mode]
      S.load_nodes(path)
      members[#members + 1] = kind .. path .. '/' .. S.mark[mode] .. tail
      S.count(path, kind .. S.mark[mode], change)
      for _, node in ipairs(S.above[path]) do
        members[#members + 1] = kind .. node .. '/b' .. tail
        S.count(node, kind .. 'b', change)
      end
    end
    local from = N + record[N] + 1
    for i = from, #record do
      members[#members + 1] = 'n' .. record[i] .. '/' .. id
    end
    S.waits = S.waits + change
    if from <= #record then
      S.nested = S.nested + change
    end
    if change < 0 then
      for i = 1, #members do
        S.index_removals[#S.index_removals + 1] = members[i]
      end
      return
    end
    local scored = {}
    for i = 1, #members do
      scored[2 * i - 1], scored[2 * i] = 0, members[i]
    end
    S.call_all('ZADD', index_key, scored)
  end
  function S.cycle_to(enclosing, blocker)
    local left, seen = 1000, {}
    local function walk(lease)
      if enclosing[lease] then
        return { lease }
      end
      if seen[lease] or left <= 0 then
        return nil
      end
      seen[lease] = true
      local prefix = 'n' .. lease .. '/'
      local inside = call('ZRANGEBYLEX', index_key, '[' .. prefix, '(' .. prefix .. '\\255', 'LIMIT', 0, left)
      left = left - #inside
      for i = 1, #inside do
        local id = sub(inside[i], #prefix + 1)
        local record = S.record(id)
        local rest = record and record[BLOCKER] ~= '' and walk(record[BLOCKER])
        if rest then
          table.insert(rest, 1, id)
          table.insert(rest, 1, lease)
          return rest
        end
      end
      return nil
    end
    return walk(blocker)
  end
  function S.watch(id, record, blocker)
    record[BLOCKER] = blocker
    call('ZADD', index_key, 0, 'w' .. blocker .. '/' .. record[TICKET] .. id)
    S.set_record(id, record)
    local enclosing = S.nested > 1 and S.enclosing(record)
    local cycle = enclosing and S.cycle_to(enclosing, blocker)
    if cycle then
      table.insert(cycle, 1, id)
    end
    return cycle
  end
  function S.look_again()
    local left, queue, at = 64, {}, 1
    local function gather(id, marked)
      local prefix = 'w' .. id .. '/'
      local watchers = call('ZRANGEBYLEX', index_key, '[' .. prefix, '(' .. prefix .. '\\255', 'LIMIT', 0, left + 1)
      local more = #watchers > left
      if more then
        watchers[#watchers] = nil
      end
      if #watchers > 0 then
        S.call_all('ZREM', index_key, watchers)
      end
      for i = 1, #watchers do
        queue[#queue + 1] = sub(watchers[i], #prefix + 1)
      end
      left = left - #watchers
      if more and not marked then
        call('ZADD', index_key, 0, 'p' .. id)
        S.pending = S.pending + 1
      elseif marked and not more then
        call('ZREM', index_key, 'p' .. id)
        S.pending = S.pending - 1
      end
    end
    local function gather_gone()
      for i = 1, #S.gone do
        gather(S.gone[i], false)
      end
      S.gone = {}
      table.sort(queue)
    end
    if #S.gone == 0 and S.pending == 0 then
      return
    end
    S.changed = true
    S.flush_index()
    if S.pending > 0 then
      for _, mark in ipairs(call('ZRANGEBYLEX', index_key, '[p', '(p\\255', 'LIMIT', 0, 16)) do
        gather(sub(mark, 2), true)
      end
    end
    gather_gone()
    while at <= #queue do
      local id = sub(queue[at], 17)
      local record = S.record(id)
      at = at + 1
      if record and record[STATE] == 'q' then
        local blocker = S.blocker_of(record)
        if not blocker then
          S.place_waiting(id, record, -1)
          S.deadline_removals[#S.deadline_removals + 1] = 'q' .. id
          local deadline = S.grant(id, record)
          S.tell(record[CLIENT], string.format('g %s %.0f %.0f', id, record[TOKEN], deadline))
        else
          local cycle = S.watch(id, record, blocker)
          if cycle then
            S.tell(record[CLIENT], 'd ' .. table.concat(cycle, ' '))
            S.drop(id, record)
            S.flush_index()
            local rest = {}
            for i = at, #queue do
              rest[#rest + 1] = queue[i]
            end
            queue, at = rest, 1
            gather_gone()
          end
        end
      end
    end
  end
end
local ids = {}
for at = 4, #ARGV, 2 do
  ids[#ids + 1] = ARGV[at]
end
S.begin(ids, {})
S.deadline_removals[#S.deadline_removals + 1] = ''
local function look(id, ttl)
  local record = S.records[id]
  if not record then
    return 0, 0, 0
  elseif record[STATE] == 'h' then
    local deadline = now + record[TTL] * 1000
    S.set_deadline('h', id, deadline)
    return 1, record[TOKEN], deadline
  end
  S.set_deadline('q', id, now + ttl * 1000)
  local blocker = S.record(record[BLOCKER])
  return 2, record[BLOCKER], blocker and S.deadline_of(blocker[STATE], record[BLOCKER]) or now
end
local answers, n = {}, 3
for i = 1, #ids do
  answers[n + 1], answers[n + 2], answers[n + 3] = look(ids[i], tonumber(ARGV[3 + 2 * i]))
  n = n + 3
end
S.save()
local beginning = S.answer()
answers[1], answers[2], answers[3] = beginning[1], beginning[2], beginning[3]
return answers`

export const lookup: string = `local call, pack, unpack_values, sub = redis.call, cmsgpack.pack, cmsgpack.unpack, string.sub
local table_key, index_key, deadlines_key = KEYS[1], KEYS[2], KEYS[3]
local time = call('TIME')
local now = time[1] * 1000000 + time[2]
local S = {
  changed = false,
  records = {},
  nodes = {},
  above = {},
  dirty_records = {},
  dirty_nodes = {},
  index_removals = {},
  deadline_removals = {},
  deadline_additions = {},
  gone = {},
  own_events = {},
  slots = { hrs = 1, hrn = 2, hws = 3, hwn = 4, qrs = 5, qrn = 6, qrb = 7, qws = 8, qwn = 9, qwb = 10 },
  access = { R = 'r', W = 'w', r = 'r', w = 'w' },
  mark = { R = 's', W = 's', r = 'n', w = 'n' }
}
function S.call_all(command, key, arguments)
  if #arguments <= 1000 then
    return call(command, key, unpack(arguments))
  end
  for from = 1, #arguments, 1000 do
    call(command, key, unpack(arguments, from, math.min(from + 999, #arguments)))
  end
end
function S.load(ids, paths)
  local fields = {}
  for i = 1, #ids do
    fields[i] = 'r' .. ids[i]
  end
  for i = 1, #paths do
    fields[#ids + i] = 'n' .. paths[i]
  end
  for from = 1, #fields, 1000 do
    local found = call('HMGET', table_key, unpack(fields, from, math.min(from + 999, #fields)))
    for i = 1, #found do
      local at = from + i - 1
      if at <= #ids then
        S.records[ids[at]] = found[i] and { unpack_values(found[i]) }
      else
        S.nodes[paths[at - #ids]] = found[i] and { unpack_values(found[i]) }
      end
    end
  end
end
function S.record(id)
  if S.records[id] == nil then
    S.load({ id }, {})
  end
  return S.records[id]
end
function S.set_record(id, record)
  S.records[id] = record
  S.dirty_records[id] = true
  S.changed = true
end
function S.nodes_of(path, missing)
  local list = S.above[path]
  if list == nil then
    list = {}
    local at, n = 0, 0
    while at and at < #path do
      n = n + 1
      list[n] = sub(path, 1, at)
      at = string.find(path, '/', at + 1, true)
    end
    S.above[path] = list
  end
  for i = 1, #list do
    if S.nodes[list[i]] == nil then
      missing[#missing + 1] = list[i]
    end
  end
  if S.nodes[path] == nil then
    missing[#missing + 1] = path
  end
  return missing
end
function S.load_nodes(path)
  local missing = S.nodes_of(path, {})
  if #missing > 0 then
    S.load({}, missing)
  end
end
function S.count(path, slot, change)
  local node = S.nodes[path]
  if node == nil then
    S.load({}, { path })
    node = S.nodes[path]
  end
  if not node then
    node = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 }
    S.nodes[path] = node
  end
  local at = S.slots[slot]
  node[at] = node[at] + change
  S.dirty_nodes[path] = true
end
function S.flush_index()
  if #S.index_removals > 0 then
    S.call_all('ZREM', index_key, S.index_removals)
    S.index_removals = {}
  end
end
function S.set_deadline(kind, id, deadline)
  local n = #S.deadline_additions
  S.deadline_additions[n + 1] = deadline
  S.deadline_additions[n + 2] = kind .. id
  S.changed = true
  if S.due == 0 or deadline < S.due then
    S.due = deadline
  end
end
function S.deadline_of(kind, id)
  for i = #S.deadline_additions, 2, -2 do
    if S.deadline_additions[i] == kind .. id then
      return S.deadline_additions[i - 1]
    end
  end
  local score = call('ZSCORE', deadlines_key, kind .. id)
  return score and tonumber(score) or now
end
function S.tell(client, text)
  local box = S.own_events
  if client ~= ARGV[1] then
    S.outbox = S.outbox or {}
    box = S.outbox[client] or {}
    S.outbox[client] = box
  end
  box[#box + 1] = text
end
function S.save()
  for client, box in pairs(S.outbox or {}) do
    call('PUBLISH', ARGV[2] .. client, string.format('%.0f\\n', now) .. table.concat(box, '\\n'))
  end
  if not S.changed then
    return
  end
  local minute = 60000000
  if S.held_r + S.held_w + S.waits == 0 then
    call('DEL', table_key, index_key, deadlines_key)
    if S.last_token >= now then
      call('HSET', table_key, 'm', pack(S.last_token, S.last_ticket, 0, 0, 0, 0, 0, 0, 0))
      call('PEXPIREAT', table_key, math.ceil((S.last_token + minute) / 1000))
    end
    return
  end
  S.flush_index()
  if #S.deadline_removals > 0 then
    S.call_all('ZREM', deadlines_key, S.deadline_removals)
  end
  local removals, additions, r, a = {}, {}, 0, 2
  for id in pairs(S.dirty_records) do
    local record = S.records[id]
    if record then
      additions[a + 1], additions[a + 2] = 'r' .. id, pack(unpack(record))
      a = a + 2
    else
      r = r + 1
      removals[r] = 'r' .. id
    end
  end
  for path in pairs(S.dirty_nodes) do
    local n = S.nodes[path]
    if n[1] + n[2] + n[3] + n[4] + n[5] + n[6] + n[7] + n[8] + n[9] + n[10] == 0 then
      r = r + 1
      removals[r] = 'n' .. path
    else
      additions[a + 1], additions[a + 2] = 'n' .. path, pack(unpack(n))
      a = a + 2
    end
  end
  if r > 0 then
    S.call_all('HDEL', table_key, removals)
  end
  local latest = 0
  if #S.deadline_additions > 0 then
    S.call_all('ZADD', deadlines_key, S.deadline_additions)
    for i = 1, #S.deadline_additions, 2 do
      latest = math.max(latest, S.deadline_additions[i])
    end
  end
  local extend = latest + minute > S.keep
  if extend then
    S.keep = latest + 2 * minute
  end
  additions[1] = 'm'
  additions[2] =
    pack(S.last_token, S.last_ticket, S.held_r, S.held_w, S.waits, S.nested, S.pending, S.due, S.keep)
  S.call_all('HSET', table_key, additions)
  if extend then
    local at = math.ceil(S.keep / 1000)
    call('PEXPIREAT', table_key, at)
    call('PEXPIREAT', index_key, at)
    call('PEXPIREAT', deadlines_key, at)
  end
end
function S.answer()
  return { now, S.pending > 0 and 1 or 0, table.concat(S.own_events, '\\n') }
end
local STATE, TICKET, TOKEN, SINCE, TTL, CLIENT, HOLDER, BLOCKER, N = 1, 2, 3, 4, 5, 6, 7, 8, 9
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
function S.first(prefix, waived)
  local from, to, offset = '[' .. prefix, '(' .. prefix .. '\\255', 0
  while true do
    local members = call('ZRANGEBYLEX', index_key, from, to, 'LIMIT', offset, waived and 32 or 1)
    for i = 1, #members do
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
    local from, to = '[hw' .. path, '(hw' .. path .. '\\255'
    local id = S.held_w > 0 and call('ZLEXCOUNT', index_key, from, to) > 0 and S.first('hw' .. path, waived)
    if not id and exclusive and S.held_r > 0 then
      from, to = '[hr' .. path, '(hr' .. path .. '\\255'
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
function S.grant(id, record)
  local deadline = now + record[TTL] * 1000
  S.last_token = math.max(S.last_token + 1, now)
  record[STATE], record[TOKEN], record[SINCE], record[BLOCKER] = 'h', S.last_token, now, ''
  S.place_held(id, record, 1)
  S.set_deadline('h', id, deadline)
  S.set_record(id, record)
  return deadline
end
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
function S.settle()
  if S.waits > 0 then
    S.make_queue()
    S.look_again()
  elseif S.pending > 0 then
    S.flush_index()
    call('ZREMRANGEBYLEX', index_key, '[p', '(p\\255')
    S.pending = 0
    S.changed = true
  end
end
function S.make_queue()
  if S.look_again then
    return
  end
  function S.earlier_waiting(record)
    local ticket, latest_ticket, latest = record[TICKET], '', nil
    local function consider(count, list)
      if count > 0 then
        local member = call('ZREVRANGEBYLEX', index_key, '(' .. list .. ticket, '[' .. list, 'LIMIT', 0, 1)[1]
        if member then
          local its_ticket = sub(member, #list + 1, #list + 16)
          if not latest or tonumber(its_ticket) > tonumber(latest_ticket) then
            latest_ticket, latest = its_ticket, sub(member, #list + 17)
          end
        end
      end
    end
    for i = N + 1, N + record[N] do
      local mode, path = sub(record[i], 1, 1), sub(record[i], 2)
      local exclusive = S.access[mode] == 'w'
      S.load_nodes(path)
      local above = S.above[path]
      for j = 1, #above do
        local node = S.nodes[above[j]]
        if node then
          consider(node[8], 'qw' .. above[j] .. '/s')
          if exclusive then
            consider(node[5], 'qr' .. above[j] .. '/s')
          end
        end
      end
      local node = S.nodes[path]
      if node then
        local subtree = S.mark[mode] == 's'
        consider(node[8], 'qw' .. path .. '/s')
        consider(node[9], 'qw' .. path .. '/n')
        consider(subtree and node[10] or 0, 'qw' .. path .. '/b')
        if exclusive then
          consider(node[5], 'qr' .. path .. '/s')
          consider(node[6], 'qr' .. path .. '/n')
          consider(subtree and node[7] or 0, 'qr' .. path .. '/b')
        end
      end
    end
    return latest
  end
  function S.place_waiting(id, record, change)
    local tail, members = record[TICKET] .. id, {}
    for i = N + 1, N + record[N] do
      local mode, path = sub(record[i], 1, 1), sub(record[i], 2)
      local kind = 'q' .. S.access[mode]
      S.load_nodes(path)
      members[#members + 1] = kind .. path .. '/' .. S.mark[mode] .. tail
      S.count(path, kind .. S.mark[mode], change)
      for _, node in ipairs(S.above[path]) do
        members[#members + 1] = kind .. node .. '/b' .. tail
        S.count(node, kind .. 'b', change)
      end
    end
    local from = N + record[N] + 1
    for i = from, #record do
      members[#members + 1] = 'n' .. record[i] .. '/' .. id
    end
    S.waits = S.waits + change
    if from <= #record then
      S.nested = S.nested + change
    end
    if change < 0 then
      for i = 1, #members do
        S.index_removals[#S.index_removals + 1] = members[i]
      end
      return
    end
    local scored = {}
    for i = 1, #members do
      scored[2 * i - 1], scored[2 * i] = 0, members[i]
    end
    S.call_all('ZADD', index_key, scored)
  end
  function S.cycle_to(enclosing, blocker)
    local left, seen = 1000, {}
    local function walk(lease)
      if enclosing[lease] then
        return { lease }
      end
      if seen[lease] or left <= 0 then
        return nil
      end
      seen[lease] = true
      local prefix = 'n' .. lease .. '/'
      local inside = call('ZRANGEBYLEX', index_key, '[' .. prefix, '(' .. prefix .. '\\255', 'LIMIT', 0, left)
      left = left - #inside
      for i = 1, #inside do
        local id = sub(inside[i], #prefix + 1)
        local record = S.record(id)
        local rest = record and record[BLOCKER] ~= '' and walk(record[BLOCKER])
        if rest then
          table.insert(rest, 1, id)
          table.insert(rest, 1, lease)
          return rest
        end
      end
      return nil
    end
    return walk(blocker)
  end
  function S.watch(id, record, blocker)
    record[BLOCKER] = blocker
    call('ZADD', index_key, 0, 'w' .. blocker .. '/' .. record[TICKET] .. id)
    S.set_record(id, record)
    local enclosing = S.nested > 1 and S.enclosing(record)
    local cycle = enclosing and S.cycle_to(enclosing, blocker)
    if cycle then
      table.insert(cycle, 1, id)
    end
    return cycle
  end
  function S.look_again()
    local left, queue, at = 64, {}, 1
    local function gather(id, marked)
      local prefix = 'w' .. id .. '/'
      local watchers = call('ZRANGEBYLEX', index_key, '[' .. prefix, '(' .. prefix .. '\\255', 'LIMIT', 0, left + 1)
      local more = #watchers > left
      if more then
        watchers[#watchers] = nil
      end
      if #watchers > 0 then
        S.call_all('ZREM', index_key, watchers)
      end
      for i = 1, #watchers do
        queue[#queue + 1] = sub(watchers[i], #prefix + 1)
      end
      left = left - #watchers
      if more and not marked then
        call('ZADD', index_key, 0, 'p' .. id)
        S.pending = S.pending + 1
      elseif marked and not more then
        call('ZREM', index_key, 'p' .. id)
        S.pending = S.pending - 1
      end
    end
    local function gather_gone()
      for i = 1, #S.gone do
        gather(S.gone[i], false)
      end
      S.gone = {}
      table.sort(queue)
    end
    if #S.gone == 0 and S.pending == 0 then
      return
    end
    S.changed = true
    S.flush_index()
    if S.pending > 0 then
      for _, mark in ipairs(call('ZRANGEBYLEX', index_key, '[p', '(p\\255', 'LIMIT', 0, 16)) do
        gather(sub(mark, 2), true)
      end
    end
    gather_gone()
    while at <= #queue do
      local id = sub(queue[at], 17)
      local record = S.record(id)
      at = at + 1
      if record and record[STATE] == 'q' then
        local blocker = S.blocker_of(record)
        if not blocker then
          S.place_waiting(id, record, -1)
          S.deadline_removals[#S.deadline_removals + 1] = 'q' .. id
          local deadline = S.grant(id, record)
          S.tell(record[CLIENT], string.format('g %s %.0f %.0f', id, record[TOKEN], deadline))
        else
          local cycle = S.watch(id, record, blocker)
          if cycle then
            S.tell(record[CLIENT], 'd ' .. table.concat(cycle, ' '))
            S.drop(id, record)
            S.flush_index()
            local rest = {}
            for i = at, #queue do
              rest[#rest + 1] = queue[i]
            end
            queue, at = rest, 1
            gather_gone()
          end
        end
      end
    end
  end
end
function S.describe(id, record)
  local shown = {
    id,
    record[STATE],
    tonumber(record[TICKET]),
    record[TOKEN],
    record[SINCE],
    S.deadline_of(record[STATE], id),
    record[BLOCKER],
    record[HOLDER]
  }
  for i = N, #record do
    shown[i] = record[i]
  end
  return shown
end
S.begin({ ARGV[4] }, {})
S.save()
local reply = S.answer()
local record = S.records[ARGV[4]]
if record then
  reply[4] = S.describe(ARGV[4], record)
end
return reply`

export const refresh: string = `local call, pack, unpack_values, sub = redis.call, cmsgpack.pack, cmsgpack.unpack, string.sub
local table_key, index_key, deadlines_key = KEYS[1], KEYS[2], KEYS[3]
local time = call('TIME')
local now = time[1] * 1000000 + time[2]
local S = {
  changed = false,
  records = {},
  nodes = {},
  above = {},
  dirty_records = {},
  dirty_nodes = {},
  index_removals = {},
  deadline_removals = {},
  deadline_additions = {},
  gone = {},
  own_events = {},
  slots = { hrs = 1, hrn = 2, hws = 3, hwn = 4, qrs = 5, qrn = 6, qrb = 7, qws = 8, qwn = 9, qwb = 10 },
  access = { R = 'r', W = 'w', r = 'r', w = 'w' },
  mark = { R = 's', W = 's', r = 'n', w = 'n' }
}
function S.call_all(command, key, arguments)
  if #arguments <= 1000 then
    return call(command, key, unpack(arguments))
  end
  for from = 1, #arguments, 1000 do
    call(command, key, unpack(arguments, from, math.min(from + 999, #arguments)))
  end
end
function S.load(ids, paths)
  local fields = {}
  for i = 1, #ids do
    fields[i] = 'r' .. ids[i]
  end
  for i = 1, #paths do
    fields[#ids + i] = 'n' .. paths[i]
  end
  for from = 1, #fields, 1000 do
    local found = call('HMGET', table_key, unpack(fields, from, math.min(from + 999, #fields)))
    for i = 1, #found do
      local at = from + i - 1
      if at <= #ids then
        S.records[ids[at]] = found[i] and { unpack_values(found[i]) }
      else
        S.nodes[paths[at - #ids]] = found[i] and { unpack_values(found[i]) }
      end
    end
  end
end
function S.record(id)
  if S.records[id] == nil then
    S.load({ id }, {})
  end
  return S.records[id]
end
function S.set_record(id, record)
  S.records[id] = record
  S.dirty_records[id] = true
  S.changed = true
end
function S.nodes_of(path, missing)
  local list = S.above[path]
  if list == nil then
    list = {}
    local at, n = 0, 0
    while at and at < #path do
      n = n + 1
      list[n] = sub(path, 1, at)
      at = string.find(path, '/', at + 1, true)
    end
    S.above[path] = list
  end
  for i = 1, #list do
    if S.nodes[list[i]] == nil then
      missing[#missing + 1] = list[i]
    end
  end
  if S.nodes[path] == nil then
    missing[#missing + 1] = path
  end
  return missing
end
function S.load_nodes(path)
  local missing = S.nodes_of(path, {})
  if #missing > 0 then
    S.load({}, missing)
  end
end
function S.count(path, slot, change)
  local node = S.nodes[path]
  if node == nil then
    S.load({}, { path })
    node = S.nodes[path]
  end
  if not node then
    node = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 }
    S.nodes[path] = node
  end
  local at = S.slots[slot]
  node[at] = node[at] + change
  S.dirty_nodes[path] = true
end
function S.flush_index()
  if #S.index_removals > 0 then
    S.call_all('ZREM', index_key, S.index_removals)
    S.index_removals = {}
  end
end
function S.set_deadline(kind, id, deadline)
  local n = #S.deadline_additions
  S.deadline_additions[n + 1] = deadline
  S.deadline_additions[n + 2] = kind .. id
  S.changed = true
  if S.due == 0 or deadline < S.due then
    S.due = deadline
  end
end
function S.deadline_of(kind, id)
  for i = #S.deadline_additions, 2, -2 do
    if S.deadline_additions[i] == kind .. id then
      return S.deadline_additions[i - 1]
    end
  end
  local score = call('ZSCORE', deadlines_key, kind .. id)
  return score and tonumber(score) or now
end
function S.tell(client, text)
  local box = S.own_events
  if client ~= ARGV[1] then
    S.outbox = S.outbox or {}
    box = S.outbox[client] or {}
    S.outbox[client] = box
  end
  box[#box + 1] = text
end
function S.save()
  for client, box in pairs(S.outbox or {}) do
    call('PUBLISH', ARGV[2] .. client, string.format('%.0f\\n', now) .. table.concat(box, '\\n'))
  end
  if not S.changed then
    return
  end
  local minute = 60000000
  if S.held_r + S.held_w + S.waits == 0 then
    call('DEL', table_key, index_key, deadlines_key)
    if S.last_token >= now then
      call('HSET', table_key, 'm', pack(S.last_token, S.last_ticket, 0, 0, 0, 0, 0, 0, 0))
      call('PEXPIREAT', table_key, math.ceil((S.last_token + minute) / 1000))
    end
    return
  end
  S.flush_index()
  if #S.deadline_removals > 0 then
    S.call_all('ZREM', deadlines_key, S.deadline_removals)
  end
  local removals, additions, r, a = {}, {}, 0, 2
  for id in pairs(S.dirty_records) do
    local record = S.records[id]
    if record then
      additions[a + 1], additions[a + 2] = 'r' .. id, pack(unpack(record))
      a = a + 2
    else
      r = r + 1
      removals[r] = 'r' .. id
    end
  end
  for path in pairs(S.dirty_nodes) do
    local n = S.nodes[path]
    if n[1] + n[2] + n[3] + n[4] + n[5] + n[6] + n[7] + n[8] + n[9] + n[10] == 0 then
      r = r + 1
      removals[r] = 'n' .. path
    else
      additions[a + 1], additions[a + 2] = 'n' .. path, pack(unpack(n))
      a = a + 2
    end
  end
  if r > 0 then
    S.call_all('HDEL', table_key, removals)
  end
  local latest = 0
  if #S.deadline_additions > 0 then
    S.call_all('ZADD', deadlines_key, S.deadline_additions)
    for i = 1, #S.deadline_additions, 2 do
      latest = math.max(latest, S.deadline_additions[i])
    end
  end
  local extend = latest + minute > S.keep
  if extend then
    S.keep = latest + 2 * minute
  end
  additions[1] = 'm'
  additions[2] =
    pack(S.last_token, S.last_ticket, S.held_r, S.held_w, S.waits, S.nested, S.pending, S.due, S.keep)
  S.call_all('HSET', table_key, additions)
  if extend then
    local at = math.ceil(S.keep / 1000)
    call('PEXPIREAT', table_key, at)
    call('PEXPIREAT', index_key, at)
    call('PEXPIREAT', deadlines_key, at)
  end
end
function S.answer()
  return { now, S.pending > 0 and 1 or 0, table.concat(S.own_events, '\\n') }
end
if now > tonumber(ARGV[3]) then
  return { now, -1 }
end
local STATE, TICKET, TOKEN, SINCE, TTL, CLIENT, HOLDER, BLOCKER, N = 1, 2, 3, 4, 5, 6, 7, 8, 9
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
function S.first(prefix, waived)
  local from, to, offset = '[' .. prefix, '(' .. prefix .. '\\255', 0
  while true do
    local members = call('ZRANGEBYLEX', index_key, from, to, 'LIMIT', offset, waived and 32 or 1)
    for i = 1, #members do
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
    local from, to = '[hw' .. path, '(hw' .. path .. '\\255'
    local id = S.held_w > 0 and call('ZLEXCOUNT', index_key, from, to) > 0 and S.first('hw' .. path, waived)
    if not id and exclusive and S.held_r > 0 then
      from, to = '[hr' .. path, '(hr' .. path .. '\\255'
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
function S.grant(id, record)
  local deadline = now + record[TTL] * 1000
  S.last_token = math.max(S.last_token + 1, now)
  record[STATE], record[TOKEN], record[SINCE], record[BLOCKER] = 'h', S.last_token, now, ''
  S.place_held(id, record, 1)
  S.set_deadline('h', id, deadline)
  S.set_record(id, record)
  return deadline
end
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
function S.settle()
  if S.waits > 0 then
    S.make_queue()
    S.look_again()
  elseif S.pending > 0 then
    S.flush_index()
    call('ZREMRANGEBYLEX', index_key, '[p', '(p\\255')
    S.pending = 0
    S.changed = true
  end
end
function S.make_queue()
  if S.look_again then
    return
  end
  function S.earlier_waiting(record)
    local ticket, latest_ticket, latest = record[TICKET], '', nil
    local function consider(count, list)
      if count > 0 then
        local member = call('ZREVRANGEBYLEX', index_key, '(' .. list .. ticket, '[' .. list, 'LIMIT', 0, 1)[1]
        if member then
          local its_ticket = sub(member, #list + 1, #list + 16)
          if not latest or tonumber(its_ticket) > tonumber(latest_ticket) then
            latest_ticket, latest = its_ticket, sub(member, #list + 17)
          end
        end
      end
    end
    for i = N + 1, N + record[N] do
      local mode, path = sub(record[i], 1, 1), sub(record[i], 2)
      local exclusive = S.access[mode] == 'w'
      S.load_nodes(path)
      local above = S.above[path]
      for j = 1, #above do
        local node = S.nodes[above[j]]
        if node then
          consider(node[8], 'qw' .. above[j] .. '/s')
          if exclusive then
            consider(node[5], 'qr' .. above[j] .. '/s')
          end
        end
      end
      local node = S.nodes[path]
      if node then
        local subtree = S.mark[mode] == 's'
        consider(node[8], 'qw' .. path .. '/s')
        consider(node[9], 'qw' .. path .. '/n')
        consider(subtree and node[10] or 0, 'qw' .. path .. '/b')
        if exclusive then
          consider(node[5], 'qr' .. path .. '/s')
          consider(node[6], 'qr' .. path .. '/n')
          consider(subtree and node[7] or 0, 'qr' .. path .. '/b')
        end
      end
    end
    return latest
  end
  function S.place_waiting(id, record, change)
    local tail, members = record[TICKET] .. id, {}
    for i = N + 1, N + record[N] do
      local mode, path = sub(record[i], 1, 1), sub(record[i], 2)
      local kind = 'q' .. S.access[mode]
      S.load_nodes(path)
      members[#members + 1] = kind .. path .. '/' .. S.mark[mode] .. tail
      S.count(path, kind .. S.mark[mode], change)
      for _, node in ipairs(S.above[path]) do
        members[#members + 1] = kind .. node .. '/b' .. tail
        S.count(node, kind .. 'b', change)
      end
    end
    local from = N + record[N] + 1
    for i = from, #record do
      members[#members + 1] = 'n' .. record[i] .. '/' .. id
    end
    S.waits = S.waits + change
    if from <= #record then
      S.nested = S.nested + change
    end
    if change < 0 then
      for i = 1, #members do
        S.index_removals[#S.index_removals + 1] = members[i]
      end
      return
    end
    local scored = {}
    for i = 1, #members do
      scored[2 * i - 1], scored[2 * i] = 0, members[i]
    end
    S.call_all('ZADD', index_key, scored)
  end
  function S.cycle_to(enclosing, blocker)
    local left, seen = 1000, {}
    local function walk(lease)
      if enclosing[lease] then
        return { lease }
      end
      if seen[lease] or left <= 0 then
        return nil
      end
      seen[lease] = true
      local prefix = 'n' .. lease .. '/'
      local inside = call('ZRANGEBYLEX', index_key, '[' .. prefix, '(' .. prefix .. '\\255', 'LIMIT', 0, left)
      left = left - #inside
      for i = 1, #inside do
        local id = sub(inside[i], #prefix + 1)
        local record = S.record(id)
        local rest = record and record[BLOCKER] ~= '' and walk(record[BLOCKER])
        if rest then
          table.insert(rest, 1, id)
          table.insert(rest, 1, lease)
          return rest
        end
      end
      return nil
    end
    return walk(blocker)
  end
  function S.watch(id, record, blocker)
    record[BLOCKER] = blocker
    call('ZADD', index_key, 0, 'w' .. blocker .. '/' .. record[TICKET] .. id)
    S.set_record(id, record)
    local enclosing = S.nested > 1 and S.enclosing(record)
    local cycle = enclosing and S.cycle_to(enclosing, blocker)
    if cycle then
      table.insert(cycle, 1, id)
    end
    return cycle
  end
  function S.look_again()
    local left, queue, at = 64, {}, 1
    local function gather(id, marked)
      local prefix = 'w' .. id .. '/'
      local watchers = call('ZRANGEBYLEX', index_key, '[' .. prefix, '(' .. prefix .. '\\255', 'LIMIT', 0, left + 1)
      local more = #watchers > left
      if more then
        watchers[#watchers] = nil
      end
      if #watchers > 0 then
        S.call_all('ZREM', index_key, watchers)
      end
      for i = 1, #watchers do
        queue[#queue + 1] = sub(watchers[i], #prefix + 1)
      end
      left = left - #watchers
      if more and not marked then
        call('ZADD', index_key, 0, 'p' .. id)
        S.pending = S.pending + 1
      elseif marked and not more then
        call('ZREM', index_key, 'p' .. id)
        S.pending = S.pending - 1
      end
    end
    local function gather_gone()
      for i = 1, #S.gone do
        gather(S.gone[i], false)
      end
      S.gone = {}
      table.sort(queue)
    end
    if #S.gone == 0 and S.pending == 0 then
      return
    end
    S.changed = true
    S.flush_index()
    if S.pending > 0 then
      for _, mark in ipairs(call('ZRANGEBYLEX', index_key, '[p', '(p\\255', 'LIMIT', 0, 16)) do
        gather(sub(mark, 2), true)
      end
    end
    gather_gone()
    while at <= #queue do
      local id = sub(queue[at], 17)
      local record = S.record(id)
      at = at + 1
      if record and record[STATE] == 'q' then
        local blocker = S.blocker_of(record)
        if not blocker then
          S.place_waiting(id, record, -1)
          S.deadline_removals[#S.deadline_removals + 1] = 'q' .. id
          local deadline = S.grant(id, record)
          S.tell(record[CLIENT], string.format('g %s %.0f %.0f', id, record[TOKEN], deadline))
        else
          local cycle = S.watch(id, record, blocker)
          if cycle then
            S.tell(record[CLIENT], 'd ' .. table.concat(cycle, ' '))
            S.drop(id, record)
            S.flush_index()
            local rest = {}
            for i = at, #queue do
              rest[#rest + 1] = queue[i]
            end
            queue, at = rest, 1
            gather_gone()
          end
        end
      end
    end
  end
end
S.begin({}, {})
S.deadline_removals[#S.deadline_removals + 1] = ''
S.call_all('ZREM', deadlines_key, S.deadline_removals)
S.deadline_removals = {}
if #S.deadline_additions > 0 then
  S.call_all('ZADD', deadlines_key, S.deadline_additions)
end
local members, deadlines = {}, {}
for at = 4, #ARGV, 2 do
  members[#members + 1] = 'h' .. ARGV[at]
end
for from = 1, #members, 1000 do
  local scores = call('ZMSCORE', deadlines_key, unpack(members, from, math.min(from + 999, #members)))
  for i = 1, #scores do
    local n = from + i - 1
    deadlines[n] = 0
    if scores[i] and tonumber(scores[i]) > now then
      deadlines[n] = now + tonumber(ARGV[3 + 2 * n]) * 1000
      S.set_deadline('h', sub(members[n], 2), deadlines[n])
    end
  end
end
S.save()
local reply = S.answer()
for i = 1, #deadlines do
  reply[i + 3] = deadlines[i]
end
return reply`

export const release: string = `local call, pack, unpack_values, sub = redis.call, cmsgpack.pack, cmsgpack.unpack, string.sub
local table_key, index_key, deadlines_key = KEYS[1], KEYS[2], KEYS[3]
local time = call('TIME')
local now = time[1] * 1000000 + time[2]
local S = {
  changed = false,
  records = {},
  nodes = {},
  above = {},
  dirty_records = {},
  dirty_nodes = {},
  index_removals = {},
  deadline_removals = {},
  deadline_additions = {},
  gone = {},
  own_events = {},
  slots = { hrs = 1, hrn = 2, hws = 3, hwn = 4, qrs = 5, qrn = 6, qrb = 7, qws = 8, qwn = 9, qwb = 10 },
  access = { R = 'r', W = 'w', r = 'r', w = 'w' },
  mark = { R = 's', W = 's', r = 'n', w = 'n' }
}
function S.call_all(command, key, arguments)
  if #arguments <= 1000 then
    return call(command, key, unpack(arguments))
  end
  for from = 1, #arguments, 1000 do
    call(command, key, unpack(arguments, from, math.min(from + 999, #arguments)))
  end
end
function S.load(ids, paths)
  local fields = {}
  for i = 1, #ids do
    fields[i] = 'r' .. ids[i]
  end
  for i = 1, #paths do
    fields[#ids + i] = 'n' .. paths[i]
  end
  for from = 1, #fields, 1000 do
    local found = call('HMGET', table_key, unpack(fields, from, math.min(from + 999, #fields)))
    for i = 1, #found do
      local at = from + i - 1
      if at <= #ids then
        S.records[ids[at]] = found[i] and { unpack_values(found[i]) }
      else
        S.nodes[paths[at - #ids]] = found[i] and { unpack_values(found[i]) }
      end
    end
  end
end
function S.record(id)
  if S.records[id] == nil then
    S.load({ id }, {})
  end
  return S.records[id]
end
function S.set_record(id, record)
  S.records[id] = record
  S.dirty_records[id] = true
  S.changed = true
end
function S.nodes_of(path, missing)
  local list = S.above[path]
  if list == nil then
    list = {}
    local at, n = 0, 0
    while at and at < #path do
      n = n + 1
      list[n] = sub(path, 1, at)
      at = string.find(path, '/', at + 1, true)
    end
    S.above[path] = list
  end
  for i = 1, #list do
    if S.nodes[list[i]] == nil then
      missing[#missing + 1] = list[i]
    end
  end
  if S.nodes[path] == nil then
    missing[#missing + 1] = path
  end
  return missing
end
function S.load_nodes(path)
  local missing = S.nodes_of(path, {})
  if #missing > 0 then
    S.load({}, missing)
  end
end
function S.count(path, slot, change)
  local node = S.nodes[path]
  if node == nil then
    S.load({}, { path })
    node = S.nodes[path]
  end
  if not node then
    node = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 }
    S.nodes[path] = node
  end
  local at = S.slots[slot]
  node[at] = node[at] + change
  S.dirty_nodes[path] = true
end
function S.flush_index()
  if #S.index_removals > 0 then
    S.call_all('ZREM', index_key, S.index_removals)
    S.index_removals = {}
  end
end
function S.set_deadline(kind, id, deadline)
  local n = #S.deadline_additions
  S.deadline_additions[n + 1] = deadline
  S.deadline_additions[n + 2] = kind .. id
  S.changed = true
  if S.due == 0 or deadline < S.due then
    S.due = deadline
  end
end
function S.deadline_of(kind, id)
  for i = #S.deadline_additions, 2, -2 do
    if S.deadline_additions[i] == kind .. id then
      return S.deadline_additions[i - 1]
    end
  end
  local score = call('ZSCORE', deadlines_key, kind .. id)
  return score and tonumber(score) or now
end
function S.tell(client, text)
  local box = S.own_events
  if client ~= ARGV[1] then
    S.outbox = S.outbox or {}
    box = S.outbox[client] or {}
    S.outbox[client] = box
  end
  box[#box + 1] = text
end
function S.save()
  for client, box in pairs(S.outbox or {}) do
    call('PUBLISH', ARGV[2] .. client, string.format('%.0f\\n', now) .. table.concat(box, '\\n'))
  end
  if not S.changed then
    return
  end
  local minute = 60000000
  if S.held_r + S.held_w + S.waits == 0 then
    call('DEL', table_key, index_key, deadlines_key)
    if S.last_token >= now then
      call('HSET', table_key, 'm', pack(S.last_token, S.last_ticket, 0, 0, 0, 0, 0, 0, 0))
      call('PEXPIREAT', table_key, math.ceil((S.last_token + minute) / 1000))
    end
    return
  end
  S.flush_index()
  if #S.deadline_removals > 0 then
    S.call_all('ZREM', deadlines_key, S.deadline_removals)
  end
  local removals, additions, r, a = {}, {}, 0, 2
  for id in pairs(S.dirty_records) do
    local record = S.records[id]
    if record then
      additions[a + 1], additions[a + 2] = 'r' .. id, pack(unpack(record))
      a = a + 2
    else
      r = r + 1
      removals[r] = 'r' .. id
    end
  end
  for path in pairs(S.dirty_nodes) do
    local n = S.nodes[path]
    if n[1] + n[2] + n[3] + n[4] + n[5] + n[6] + n[7] + n[8] + n[9] + n[10] == 0 then
      r = r + 1
      removals[r] = 'n' .. path
    else
      additions[a + 1], additions[a + 2] = 'n' .. path, pack(unpack(n))
      a = a + 2
    end
  end
  if r > 0 then
    S.call_all('HDEL', table_key, removals)
  end
  local latest = 0
  if #S.deadline_additions > 0 then
    S.call_all('ZADD', deadlines_key, S.deadline_additions)
    for i = 1, #S.deadline_additions, 2 do
      latest = math.max(latest, S.deadline_additions[i])
    end
  end
  local extend = latest + minute > S.keep
  if extend then
    S.keep = latest + 2 * minute
  end
  additions[1] = 'm'
  additions[2] =
    pack(S.last_token, S.last_ticket, S.held_r, S.held_w, S.waits, S.nested, S.pending, S.due, S.keep)
  S.call_all('HSET', table_key, additions)
  if extend then
    local at = math.ceil(S.keep / 1000)
    call('PEXPIREAT', table_key, at)
    call('PEXPIREAT', index_key, at)
    call('PEXPIREAT', deadlines_key, at)
  end
end
function S.answer()
  return { now, S.pending > 0 and 1 or 0, table.concat(S.own_events, '\\n') }
end
local STATE, TICKET, TOKEN, SINCE, TTL, CLIENT, HOLDER, BLOCKER, N = 1, 2, 3, 4, 5, 6, 7, 8, 9
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
function S.first(prefix, waived)
  local from, to, offset = '[' .. prefix, '(' .. prefix .. '\\255', 0
  while true do
    local members = call('ZRANGEBYLEX', index_key, from, to, 'LIMIT', offset, waived and 32 or 1)
    for i = 1, #members do
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
    local from, to = '[hw' .. path, '(hw' .. path .. '\\255'
    local id = S.held_w > 0 and call('ZLEXCOUNT', index_key, from, to) > 0 and S.first('hw' .. path, waived)
    if not id and exclusive and S.held_r > 0 then
      from, to = '[hr' .. path, '(hr' .. path .. '\\255'
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
function S.grant(id, record)
  local deadline = now + record[TTL] * 1000
  S.last_token = math.max(S.last_token + 1, now)
  record[STATE], record[TOKEN], record[SINCE], record[BLOCKER] = 'h', S.last_token, now, ''
  S.place_held(id, record, 1)
  S.set_deadline('h', id, deadline)
  S.set_record(id, record)
  return deadline
end
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
function S.settle()
  if S.waits > 0 then
    S.make_queue()
    S.look_again()
  elseif S.pending > 0 then
    S.flush_index()
    call('ZREMRANGEBYLEX', index_key, '[p', '(p\\255')
    S.pending = 0
    S.changed = true
  end
end
function S.make_queue()
  if S.look_again then
    return
  end
  function S.earlier_waiting(record)
    local ticket, latest_ticket, latest = record[TICKET], '', nil
    local function consider(count, list)
      if count > 0 then
        local member = call('ZREVRANGEBYLEX', index_key, '(' .. list .. ticket, '[' .. list, 'LIMIT', 0, 1)[1]
        if member then
          local its_ticket = sub(member, #list + 1, #list + 16)
          if not latest or tonumber(its_ticket) > tonumber(latest_ticket) then
            latest_ticket, latest = its_ticket, sub(member, #list + 17)
          end
        end
      end
    end
    for i = N + 1, N + record[N] do
      local mode, path = sub(record[i], 1, 1), sub(record[i], 2)
      local exclusive = S.access[mode] == 'w'
      S.load_nodes(path)
      local above = S.above[path]
      for j = 1, #above do
        local node = S.nodes[above[j]]
        if node then
          consider(node[8], 'qw' .. above[j] .. '/s')
          if exclusive then
            consider(node[5], 'qr' .. above[j] .. '/s')
          end
        end
      end
      local node = S.nodes[path]
      if node then
        local subtree = S.mark[mode] == 's'
        consider(node[8], 'qw' .. path .. '/s')
        consider(node[9], 'qw' .. path .. '/n')
        consider(subtree and node[10] or 0, 'qw' .. path .. '/b')
        if exclusive then
          consider(node[5], 'qr' .. path .. '/s')
          consider(node[6], 'qr' .. path .. '/n')
          consider(subtree and node[7] or 0, 'qr' .. path .. '/b')
        end
      end
    end
    return latest
  end
  function S.place_waiting(id, record, change)
    local tail, members = record[TICKET] .. id, {}
    for i = N + 1, N + record[N] do
      local mode, path = sub(record[i], 1, 1), sub(record[i], 2)
      local kind = 'q' .. S.access[mode]
      S.load_nodes(path)
      members[#members + 1] = kind .. path .. '/' .. S.mark[mode] .. tail
      S.count(path, kind .. S.mark[mode], change)
      for _, node in ipairs(S.above[path]) do
        members[#members + 1] = kind .. node .. '/b' .. tail
        S.count(node, kind .. 'b', change)
      end
    end
    local from = N + record[N] + 1
    for i = from, #record do
      members[#members + 1] = 'n' .. record[i] .. '/' .. id
    end
    S.waits = S.waits + change
    if from <= #record then
      S.nested = S.nested + change
    end
    if change < 0 then
      for i = 1, #members do
        S.index_removals[#S.index_removals + 1] = members[i]
      end
      return
    end
    local scored = {}
    for i = 1, #members do
      scored[2 * i - 1], scored[2 * i] = 0, members[i]
    end
    S.call_all('ZADD', index_key, scored)
  end
  function S.cycle_to(enclosing, blocker)
    local left, seen = 1000, {}
    local function walk(lease)
      if enclosing[lease] then
        return { lease }
      end
      if seen[lease] or left <= 0 then
        return nil
      end
      seen[lease] = true
      local prefix = 'n' .. lease .. '/'
      local inside = call('ZRANGEBYLEX', index_key, '[' .. prefix, '(' .. prefix .. '\\255', 'LIMIT', 0, left)
      left = left - #inside
      for i = 1, #inside do
        local id = sub(inside[i], #prefix + 1)
        local record = S.record(id)
        local rest = record and record[BLOCKER] ~= '' and walk(record[BLOCKER])
        if rest then
          table.insert(rest, 1, id)
          table.insert(rest, 1, lease)
          return rest
        end
      end
      return nil
    end
    return walk(blocker)
  end
  function S.watch(id, record, blocker)
    record[BLOCKER] = blocker
    call('ZADD', index_key, 0, 'w' .. blocker .. '/' .. record[TICKET] .. id)
    S.set_record(id, record)
    local enclosing = S.nested > 1 and S.enclosing(record)
    local cycle = enclosing and S.cycle_to(enclosing, blocker)
    if cycle then
      table.insert(cycle, 1, id)
    end
    return cycle
  end
  function S.look_again()
    local left, queue, at = 64, {}, 1
    local function gather(id, marked)
      local prefix = 'w' .. id .. '/'
      local watchers = call('ZRANGEBYLEX', index_key, '[' .. prefix, '(' .. prefix .. '\\255', 'LIMIT', 0, left + 1)
      local more = #watchers > left
      if more then
        watchers[#watchers] = nil
      end
      if #watchers > 0 then
        S.call_all('ZREM', index_key, watchers)
      end
      for i = 1, #watchers do
        queue[#queue + 1] = sub(watchers[i], #prefix + 1)
      end
      left = left - #watchers
      if more and not marked then
        call('ZADD', index_key, 0, 'p' .. id)
        S.pending = S.pending + 1
      elseif marked and not more then
        call('ZREM', index_key, 'p' .. id)
        S.pending = S.pending - 1
      end
    end
    local function gather_gone()
      for i = 1, #S.gone do
        gather(S.gone[i], false)
      end
      S.gone = {}
      table.sort(queue)
    end
    if #S.gone == 0 and S.pending == 0 then
      return
    end
    S.changed = true
    S.flush_index()
    if S.pending > 0 then
      for _, mark in ipairs(call('ZRANGEBYLEX', index_key, '[p', '(p\\255', 'LIMIT', 0, 16)) do
        gather(sub(mark, 2), true)
      end
    end
    gather_gone()
    while at <= #queue do
      local id = sub(queue[at], 17)
      local record = S.record(id)
      at = at + 1
      if record and record[STATE] == 'q' then
        local blocker = S.blocker_of(record)
        if not blocker then
          S.place_waiting(id, record, -1)
          S.deadline_removals[#S.deadline_removals + 1] = 'q' .. id
          local deadline = S.grant(id, record)
          S.tell(record[CLIENT], string.format('g %s %.0f %.0f', id, record[TOKEN], deadline))
        else
          local cycle = S.watch(id, record, blocker)
          if cycle then
            S.tell(record[CLIENT], 'd ' .. table.concat(cycle, ' '))
            S.drop(id, record)
            S.flush_index()
            local rest = {}
            for i = at, #queue do
              rest[#rest + 1] = queue[i]
            end
            queue, at = rest, 1
            gather_gone()
          end
        end
      end
    end
  end
end
local ids = {}
for at = 4, #ARGV do
  ids[at - 3] = ARGV[at]
end
S.begin(ids, {})
local ended, live, regions, paths = {}, {}, 0, {}
for i = 1, #ids do
  local record = S.records[ids[i]]
  ended[i] = record and 1 or 0
  if record then
    live[#live + 1] = i
    regions = regions + record[N]
    for t = N + 1, N + record[N] do
      paths[#paths + 1] = sub(record[t], 2)
    end
  end
end
if #live > 0 and S.waits == 0 and regions == S.held_r + S.held_w and #live == #ids then
  S.held_r, S.held_w, S.changed = 0, 0, true
elseif #live > 0 then
  S.load({}, paths)
  for i = 1, #live do
    local id = ids[live[i]]
    local record = S.records[id]
    if record then
      S.drop(id, record)
    end
  end
  S.settle()
end
S.save()
local reply = S.answer()
for i = 1, #ended do
  reply[i + 3] = ended[i]
end
return reply`

export const restore: string = `local call, pack, unpack_values, sub = redis.call, cmsgpack.pack, cmsgpack.unpack, string.sub
local table_key, index_key, deadlines_key = KEYS[1], KEYS[2], KEYS[3]
local time = call('TIME')
local now = time[1] * 1000000 + time[2]
local S = {
  changed = false,
  records = {},
  nodes = {},
  above = {},
  dirty_records = {},
  dirty_nodes = {},
  index_removals = {},
  deadline_removals = {},
  deadline_additions = {},
  gone = {},
  own_events = {},
  slots = { hrs = 1, hrn = 2, hws = 3, hwn = 4, qrs = 5, qrn = 6, qrb = 7, qws = 8, qwn = 9, qwb = 10 },
  access = { R = 'r', W = 'w', r = 'r', w = 'w' },
  mark = { R = 's', W = 's', r = 'n', w = 'n' }
}
function S.call_all(command, key, arguments)
  if #arguments <= 1000 then
    return call(command, key, unpack(arguments))
  end
  for from = 1, #arguments, 1000 do
    call(command, key, unpack(arguments, from, math.min(from + 999, #arguments)))
  end
end
function S.load(ids, paths)
  local fields = {}
  for i = 1, #ids do
    fields[i] = 'r' .. ids[i]
  end
  for i = 1, #paths do
    fields[#ids + i] = 'n' .. paths[i]
  end
  for from = 1, #fields, 1000 do
    local found = call('HMGET', table_key, unpack(fields, from, math.min(from + 999, #fields)))
    for i = 1, #found do
      local at = from + i - 1
      if at <= #ids then
        S.records[ids[at]] = found[i] and { unpack_values(found[i]) }
      else
        S.nodes[paths[at - #ids]] = found[i] and { unpack_values(found[i]) }
      end
    end
  end
end
function S.record(id)
  if S.records[id] == nil then
    S.load({ id }, {})
  end
  return S.records[id]
end
function S.set_record(id, record)
  S.records[id] = record
  S.dirty_records[id] = true
  S.changed = true
end
function S.nodes_of(path, missing)
  local list = S.above[path]
  if list == nil then
    list = {}
    local at, n = 0, 0
    while at and at < #path do
      n = n + 1
      list[n] = sub(path, 1, at)
      at = string.find(path, '/', at + 1, true)
    end
    S.above[path] = list
  end
  for i = 1, #list do
    if S.nodes[list[i]] == nil then
      missing[#missing + 1] = list[i]
    end
  end
  if S.nodes[path] == nil then
    missing[#missing + 1] = path
  end
  return missing
end
function S.load_nodes(path)
  local missing = S.nodes_of(path, {})
  if #missing > 0 then
    S.load({}, missing)
  end
end
function S.count(path, slot, change)
  local node = S.nodes[path]
  if node == nil then
    S.load({}, { path })
    node = S.nodes[path]
  end
  if not node then
    node = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 }
    S.nodes[path] = node
  end
  local at = S.slots[slot]
  node[at] = node[at] + change
  S.dirty_nodes[path] = true
end
function S.flush_index()
  if #S.index_removals > 0 then
    S.call_all('ZREM', index_key, S.index_removals)
    S.index_removals = {}
  end
end
function S.set_deadline(kind, id, deadline)
  local n = #S.deadline_additions
  S.deadline_additions[n + 1] = deadline
  S.deadline_additions[n + 2] = kind .. id
  S.changed = true
  if S.due == 0 or deadline < S.due then
    S.due = deadline
  end
end
function S.deadline_of(kind, id)
  for i = #S.deadline_additions, 2, -2 do
    if S.deadline_additions[i] == kind .. id then
      return S.deadline_additions[i - 1]
    end
  end
  local score = call('ZSCORE', deadlines_key, kind .. id)
  return score and tonumber(score) or now
end
function S.tell(client, text)
  local box = S.own_events
  if client ~= ARGV[1] then
    S.outbox = S.outbox or {}
    box = S.outbox[client] or {}
    S.outbox[client] = box
  end
  box[#box + 1] = text
end
function S.save()
  for client, box in pairs(S.outbox or {}) do
    call('PUBLISH', ARGV[2] .. client, string.format('%.0f\\n', now) .. table.concat(box, '\\n'))
  end
  if not S.changed then
    return
  end
  local minute = 60000000
  if S.held_r + S.held_w + S.waits == 0 then
    call('DEL', table_key, index_key, deadlines_key)
    if S.last_token >= now then
      call('HSET', table_key, 'm', pack(S.last_token, S.last_ticket, 0, 0, 0, 0, 0, 0, 0))
      call('PEXPIREAT', table_key, math.ceil((S.last_token + minute) / 1000))
    end
    return
  end
  S.flush_index()
  if #S.deadline_removals > 0 then
    S.call_all('ZREM', deadlines_key, S.deadline_removals)
  end
  local removals, additions, r, a = {}, {}, 0, 2
  for id in pairs(S.dirty_records) do
    local record = S.records[id]
    if record then
      additions[a + 1], additions[a + 2] = 'r' .. id, pack(unpack(record))
      a = a + 2
    else
      r = r + 1
      removals[r] = 'r' .. id
    end
  end
  for path in pairs(S.dirty_nodes) do
    local n = S.nodes[path]
    if n[1] + n[2] + n[3] + n[4] + n[5] + n[6] + n[7] + n[8] + n[9] + n[10] == 0 then
      r = r + 1
      removals[r] = 'n' .. path
    else
      additions[a + 1], additions[a + 2] = 'n' .. path, pack(unpack(n))
      a = a + 2
    end
  end
  if r > 0 then
    S.call_all('HDEL', table_key, removals)
  end
  local latest = 0
  if #S.deadline_additions > 0 then
    S.call_all('ZADD', deadlines_key, S.deadline_additions)
    for i = 1, #S.deadline_additions, 2 do
      latest = math.max(latest, S.deadline_additions[i])
    end
  end
  local extend = latest + minute > S.keep
  if extend then
    S.keep = latest + 2 * minute
  end
  additions[1] = 'm'
  additions[2] =
    pack(S.last_token, S.last_ticket, S.held_r, S.held_w, S.waits, S.nested, S.pending, S.due, S.keep)
  S.call_all('HSET', table_key, additions)
  if extend then
    local at = math.ceil(S.keep / 1000)
    call('PEXPIREAT', table_key, at)
    call('PEXPIREAT', index_key, at)
    call('PEXPIREAT', deadlines_key, at)
  end
end
function S.answer()
  return { now, S.pending > 0 and 1 or 0, table.concat(S.own_events, '\\n') }
end
if now > tonumber(ARGV[3]) then
  return { now, -1 }
end
local STATE, TICKET, TOKEN, SINCE, TTL, CLIENT, HOLDER, BLOCKER, N = 1, 2, 3, 4, 5, 6, 7, 8, 9
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
function S.first(prefix, waived)
  local from, to, offset = '[' .. prefix, '(' .. prefix .. '\\255', 0
  while true do
    local members = call('ZRANGEBYLEX', index_key, from, to, 'LIMIT', offset, waived and 32 or 1)
    for i = 1, #members do
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
    local from, to = '[hw' .. path, '(hw' .. path .. '\\255'
    local id = S.held_w > 0 and call('ZLEXCOUNT', index_key, from, to) > 0 and S.first('hw' .. path, waived)
    if not id and exclusive and S.held_r > 0 then
      from, to = '[hr' .. path, '(hr' .. path .. '\\255'
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
function S.grant(id, record)
  local deadline = now + record[TTL] * 1000
  S.last_token = math.max(S.last_token + 1, now)
  record[STATE], record[TOKEN], record[SINCE], record[BLOCKER] = 'h', S.last_token, now, ''
  S.place_held(id, record, 1)
  S.set_deadline('h', id, deadline)
  S.set_record(id, record)
  return deadline
end
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
function S.settle()
  if S.waits > 0 then
    S.make_queue()
    S.look_again()
  elseif S.pending > 0 then
    S.flush_index()
    call('ZREMRANGEBYLEX', index_key, '[p', '(p\\255')
    S.pending = 0
    S.changed = true
  end
end
function S.make_queue()
  if S.look_again then
    return
  end
  function S.earlier_waiting(record)
    local ticket, latest_ticket, latest = record[TICKET], '', nil
    local function consider(count, list)
      if count > 0 then
        local member = call('ZREVRANGEBYLEX', index_key, '(' .. list .. ticket, '[' .. list, 'LIMIT', 0, 1)[1]
        if member then
          local its_ticket = sub(member, #list + 1, #list + 16)
          if not latest or tonumber(its_ticket) > tonumber(latest_ticket) then
            latest_ticket, latest = its_ticket, sub(member, #list + 17)
          end
        end
      end
    end
    for i = N + 1, N + record[N] do
      local mode, path = sub(record[i], 1, 1), sub(record[i], 2)
      local exclusive = S.access[mode] == 'w'
      S.load_nodes(path)
      local above = S.above[path]
      for j = 1, #above do
        local node = S.nodes[above[j]]
        if node then
          consider(node[8], 'qw' .. above[j] .. '/s')
          if exclusive then
            consider(node[5], 'qr' .. above[j] .. '/s')
          end
        end
      end
      local node = S.nodes[path]
      if node then
        local subtree = S.mark[mode] == 's'
        consider(node[8], 'qw' .. path .. '/s')
        consider(node[9], 'qw' .. path .. '/n')
        consider(subtree and node[10] or 0, 'qw' .. path .. '/b')
        if exclusive then
          consider(node[5], 'qr' .. path .. '/s')
          consider(node[6], 'qr' .. path .. '/n')
          consider(subtree and node[7] or 0, 'qr' .. path .. '/b')
        end
      end
    end
    return latest
  end
  function S.place_waiting(id, record, change)
    local tail, members = record[TICKET] .. id, {}
    for i = N + 1, N + record[N] do
      local mode, path = sub(record[i], 1, 1), sub(record[i], 2)
      local kind = 'q' .. S.access[mode]
      S.load_nodes(path)
      members[#members + 1] = kind .. path .. '/' .. S.mark[mode] .. tail
      S.count(path, kind .. S.mark[mode], change)
      for _, node in ipairs(S.above[path]) do
        members[#members + 1] = kind .. node .. '/b' .. tail
        S.count(node, kind .. 'b', change)
      end
    end
    local from = N + record[N] + 1
    for i = from, #record do
      members[#members + 1] = 'n' .. record[i] .. '/' .. id
    end
    S.waits = S.waits + change
    if from <= #record then
      S.nested = S.nested + change
    end
    if change < 0 then
      for i = 1, #members do
        S.index_removals[#S.index_removals + 1] = members[i]
      end
      return
    end
    local scored = {}
    for i = 1, #members do
      scored[2 * i - 1], scored[2 * i] = 0, members[i]
    end
    S.call_all('ZADD', index_key, scored)
  end
  function S.cycle_to(enclosing, blocker)
    local left, seen = 1000, {}
    local function walk(lease)
      if enclosing[lease] then
        return { lease }
      end
      if seen[lease] or left <= 0 then
        return nil
      end
      seen[lease] = true
      local prefix = 'n' .. lease .. '/'
      local inside = call('ZRANGEBYLEX', index_key, '[' .. prefix, '(' .. prefix .. '\\255', 'LIMIT', 0, left)
      left = left - #inside
      for i = 1, #inside do
        local id = sub(inside[i], #prefix + 1)
        local record = S.record(id)
        local rest = record and record[BLOCKER] ~= '' and walk(record[BLOCKER])
        if rest then
          table.insert(rest, 1, id)
          table.insert(rest, 1, lease)
          return rest
        end
      end
      return nil
    end
    return walk(blocker)
  end
  function S.watch(id, record, blocker)
    record[BLOCKER] = blocker
    call('ZADD', index_key, 0, 'w' .. blocker .. '/' .. record[TICKET] .. id)
    S.set_record(id, record)
    local enclosing = S.nested > 1 and S.enclosing(record)
    local cycle = enclosing and S.cycle_to(enclosing, blocker)
    if cycle then
      table.insert(cycle, 1, id)
    end
    return cycle
  end
  function S.look_again()
    local left, queue, at = 64, {}, 1
    local function gather(id, marked)
      local prefix = 'w' .. id .. '/'
      local watchers = call('ZRANGEBYLEX', index_key, '[' .. prefix, '(' .. prefix .. '\\255', 'LIMIT', 0, left + 1)
      local more = #watchers > left
      if more then
        watchers[#watchers] = nil
      end
      if #watchers > 0 then
        S.call_all('ZREM', index_key, watchers)
      end
      for i = 1, #watchers do
        queue[#queue + 1] = sub(watchers[i], #prefix + 1)
      end
      left = left - #watchers
      if more and not marked then
        call('ZADD', index_key, 0, 'p' .. id)
        S.pending = S.pending + 1
      elseif marked and not more then
        call('ZREM', index_key, 'p' .. id)
        S.pending = S.pending - 1
      end
    end
    local function gather_gone()
      for i = 1, #S.gone do
        gather(S.gone[i], false)
      end
      S.gone = {}
      table.sort(queue)
    end
    if #S.gone == 0 and S.pending == 0 then
      return
    end
    S.changed = true
    S.flush_index()
    if S.pending > 0 then
      for _, mark in ipairs(call('ZRANGEBYLEX', index_key, '[p', '(p\\255', 'LIMIT', 0, 16)) do
        gather(sub(mark, 2), true)
      end
    end
    gather_gone()
    while at <= #queue do
      local id = sub(queue[at], 17)
      local record = S.record(id)
      at = at + 1
      if record and record[STATE] == 'q' then
        local blocker = S.blocker_of(record)
        if not blocker then
          S.place_waiting(id, record, -1)
          S.deadline_removals[#S.deadline_removals + 1] = 'q' .. id
          local deadline = S.grant(id, record)
          S.tell(record[CLIENT], string.format('g %s %.0f %.0f', id, record[TOKEN], deadline))
        else
          local cycle = S.watch(id, record, blocker)
          if cycle then
            S.tell(record[CLIENT], 'd ' .. table.concat(cycle, ' '))
            S.drop(id, record)
            S.flush_index()
            local rest = {}
            for i = at, #queue do
              rest[#rest + 1] = queue[i]
            end
            queue, at = rest, 1
            gather_gone()
          end
        end
      end
    end
  end
end
local id = ARGV[4]
S.begin({ id }, {})
local record = S.records[id]
local live = record and record[STATE] == 'h'
local deadline = now + tonumber(ARGV[5]) * 1000
if live then
  record[CLIENT], record[TTL] = ARGV[1], tonumber(ARGV[5])
  S.set_record(id, record)
  S.set_deadline('h', id, deadline)
end
S.save()
local reply = S.answer()
if live then
  reply[4], reply[5] = record[TOKEN], deadline
  for i = 1, record[N] do
    reply[5 + i] = record[N + i]
  end
end
return reply`
