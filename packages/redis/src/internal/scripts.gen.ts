// Generated from packages/redis/lua by `npm run codegen`. Do not edit.

export const acquire: string = `local call, pack, unpack_value = redis.call, cmsgpack.pack, cmsgpack.unpack
local find, sub, format = string.find, string.sub, string.format
local table_key, index_key, deadlines_key = KEYS[1], KEYS[2], KEYS[3]
local client = ARGV[1]
local time = call('TIME')
local now = time[1] * 1000000 + time[2]
local last_token, last_ticket, held_r, held_w, waits, nested, pending, due, keep = 0, 0, 0, 0, 0, 0, 0, 0, 0
local head = call('HGET', table_key, 'm')
if head then
  last_token, last_ticket, held_r, held_w, waits, nested, pending, due, keep = unpack_value(head)
elseif call('EXISTS', index_key, deadlines_key) > 0 then
  call('ZCARD', index_key)
  call('ZCARD', deadlines_key)
  call('DEL', index_key, deadlines_key)
end
local records, nodes, ancestors_of = {}, {}, {}
local dirty_records, dirty_nodes, changed = {}, {}, false
local index_removals, deadline_removals, deadline_additions = {}, {}, {}
local outbox, own_events = {}, {}
local function call_all(command, key, arguments)
  for from = 1, #arguments, 1000 do
    call(command, key, unpack(arguments, from, math.min(from + 999, #arguments)))
  end
end
local function ticket_text(ticket)
  return format('%016.0f', ticket)
end
local function record_of(id)
  local record = records[id]
  if record == nil then
    local raw = call('HGET', table_key, 'r' .. id)
    record = raw and unpack_value(raw)
    records[id] = record
  end
  return record
end
local function set_record(id, record)
  records[id] = record
  dirty_records[id] = true
  changed = true
end
local function ancestors(path)
  local list = ancestors_of[path]
  if list == nil then
    list = {}
    local at = 0
    while at and at < #path do
      list[#list + 1] = sub(path, 1, at)
      at = find(path, '/', at + 1, true)
    end
    ancestors_of[path] = list
  end
  return list
end
local function load(ids, paths)
  local fields, count = {}, 0
  for i = 1, #ids do
    fields[i] = 'r' .. ids[i]
  end
  for i = 1, #paths do
    fields[#ids + i] = 'n' .. paths[i]
  end
  for from = 1, #fields, 1000 do
    local found = call('HMGET', table_key, unpack(fields, from, math.min(from + 999, #fields)))
    for i = 1, #found do
      count = count + 1
      if count <= #ids then
        records[ids[count]] = found[i] and unpack_value(found[i])
      else
        nodes[paths[count - #ids]] = found[i] and { unpack_value(found[i]) }
      end
    end
  end
end
local function missing_nodes(path, missing)
  local above = ancestors(path)
  for i = 1, #above do
    if nodes[above[i]] == nil then
      missing[#missing + 1] = above[i]
    end
  end
  if nodes[path] == nil then
    missing[#missing + 1] = path
  end
  return missing
end
local function load_nodes(path)
  local missing = missing_nodes(path, {})
  if #missing > 0 then
    load({}, missing)
  end
end
local slots = { hrs = 1, hrn = 2, hws = 3, hwn = 4, qrs = 5, qrn = 6, qrb = 7, qws = 8, qwn = 9, qwb = 10 }
local function count(path, slot, change)
  local node = nodes[path]
  if node == nil then
    load({}, { path })
    node = nodes[path]
  end
  if not node then
    node = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 }
    nodes[path] = node
  end
  local at = slots[slot]
  node[at] = node[at] + change
  dirty_nodes[path] = true
end
local function flush_index()
  if #index_removals > 0 then
    call_all('ZREM', index_key, index_removals)
    index_removals = {}
  end
end
local function set_deadline(kind, id, deadline)
  changed = true
  deadline_additions[#deadline_additions + 1] = deadline
  deadline_additions[#deadline_additions + 1] = kind .. id
  if due == 0 or deadline < due then
    due = deadline
  end
end
local function deadline_of(kind, id)
  for i = #deadline_additions, 2, -2 do
    if deadline_additions[i] == kind .. id then
      return deadline_additions[i - 1]
    end
  end
  local score = call('ZSCORE', deadlines_key, kind .. id)
  return score and tonumber(score) or now
end
local function tell(to, text)
  if to == client then
    own_events[#own_events + 1] = text
  else
    local box = outbox[to]
    if box == nil then
      box = {}
      outbox[to] = box
    end
    box[#box + 1] = text
  end
end
local minute = 60 * 1000000
local function save()
  for to, box in pairs(outbox) do
    call('PUBLISH', ARGV[2] .. to, format('%.0f\\n', now) .. table.concat(box, '\\n'))
  end
  if not changed then
    return
  end
  if held_r + held_w + waits == 0 then
    call('DEL', table_key, index_key, deadlines_key)
    if last_token >= now then
      call('HSET', table_key, 'm', pack(last_token, last_ticket, 0, 0, 0, 0, 0, 0, 0))
      call('PEXPIREAT', table_key, math.ceil((last_token + minute) / 1000))
    end
    return
  end
  flush_index()
  if #deadline_removals > 0 then
    call_all('ZREM', deadlines_key, deadline_removals)
  end
  local removals, additions, latest = {}, {}, 0
  for id in pairs(dirty_records) do
    local record = records[id]
    if record then
      additions[#additions + 1] = 'r' .. id
      additions[#additions + 1] = pack(record)
    else
      removals[#removals + 1] = 'r' .. id
    end
  end
  for path in pairs(dirty_nodes) do
    local n = nodes[path]
    if n[1] + n[2] + n[3] + n[4] + n[5] + n[6] + n[7] + n[8] + n[9] + n[10] == 0 then
      removals[#removals + 1] = 'n' .. path
    else
      additions[#additions + 1] = 'n' .. path
      additions[#additions + 1] = pack(n[1], n[2], n[3], n[4], n[5], n[6], n[7], n[8], n[9], n[10])
    end
  end
  if #removals > 0 then
    call_all('HDEL', table_key, removals)
  end
  if #deadline_additions > 0 then
    call_all('ZADD', deadlines_key, deadline_additions)
    for i = 1, #deadline_additions, 2 do
      latest = math.max(latest, deadline_additions[i])
    end
  end
  local extend = latest + minute > keep
  if extend then
    keep = latest + 2 * minute
  end
  additions[#additions + 1] = 'm'
  additions[#additions + 1] = pack(last_token, last_ticket, held_r, held_w, waits, nested, pending, due, keep)
  call_all('HSET', table_key, additions)
  if extend then
    local at = math.ceil(keep / 1000)
    call('PEXPIREAT', table_key, at)
    call('PEXPIREAT', index_key, at)
    call('PEXPIREAT', deadlines_key, at)
  end
end
local STATE, TICKET, TOKEN, SINCE, TTL, CLIENT, TARGETS, WITHIN, BLOCKER, HOLDER = 1, 2, 3, 4, 5, 6, 7, 8, 9, 10
local look_limit, sweep_limit, cycle_limit = 64, 32, 1000
local modes = { R = { 'r', 's' }, W = { 'w', 's' }, r = { 'r', 'n' }, w = { 'w', 'n' } }
local function id_of(member)
  return sub(string.match(member, '^.*/(.*)$'), 18)
end
local function first(prefix, waived)
  local from, to = '[' .. prefix, '(' .. prefix .. '\\255'
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
      call('ZRANGEBYLEX', index_key, '[' .. prefix, '(' .. prefix .. '\\255', 'LIMIT', 0, cycle_limit - asked)
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
local gone = {}
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
local function settle()
  if #gone == 0 and pending == 0 then
    return
  end
  changed = true
  flush_index()
  if waits == 0 then
    if pending > 0 then
      call('ZREMRANGEBYLEX', index_key, '[p', '(p\\255')
      pending = 0
    end
    gone = {}
    return
  end
  local left, queue, at = look_limit, {}, 1
  local function gather(id, marked)
    local prefix = 'w' .. id .. '/'
    local watchers = call('ZRANGEBYLEX', index_key, '[' .. prefix, '(' .. prefix .. '\\255', 'LIMIT', 0, left + 1)
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
    local marks = call('ZRANGEBYLEX', index_key, '[p', '(p\\255', 'LIMIT', 0, 16)
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
local function answer()
  return { now, pending > 0 and 1 or 0, table.concat(own_events, '\\n') }
end
local function describe(id, record)
  local shown = {
    id,
    record[STATE],
    record[TICKET],
    record[TOKEN],
    record[SINCE],
    deadline_of(record[STATE], id),
    record[BLOCKER],
    record[HOLDER],
    #record[TARGETS]
  }
  for i = 1, #record[TARGETS] do
    shown[#shown + 1] = record[TARGETS][i]
  end
  for i = 1, #record[WITHIN] do
    shown[#shown + 1] = record[WITHIN][i]
  end
  return shown
end
if now > tonumber(ARGV[3]) then
  return { now, -1 }
end
sweep()
local answers, at = {}, 4
local function put(a, b, c)
  local n = #answers
  answers[n + 1], answers[n + 2], answers[n + 3] = a, b, c
end
local ids, paths = {}, {}
while at <= #ARGV do
  ids[#ids + 1] = ARGV[at]
  at = at + 4
  local targets = tonumber(ARGV[at])
  for i = at + 1, at + targets do
    missing_nodes(sub(ARGV[i], 2), paths)
  end
  at = at + targets + 1
  at = at + tonumber(ARGV[at]) + 1
end
load(ids, paths)
at = 4
local function deadline_of_blocker(id)
  local record = record_of(id)
  return record and deadline_of(record[STATE], id) or now
end
while at <= #ARGV do
  local id, ttl, queue, holder = ARGV[at], tonumber(ARGV[at + 1]), ARGV[at + 2] == '1', ARGV[at + 3]
  local targets, within = {}, {}
  at = at + 4
  for i = 1, tonumber(ARGV[at]) do
    targets[i] = ARGV[at + i]
  end
  at = at + #targets + 1
  for i = 1, tonumber(ARGV[at]) do
    within[i] = ARGV[at + i]
  end
  at = at + #within + 1
  local known = record_of(id)
  if known then
    if known[STATE] == 'h' then
      put(1, known[TOKEN], deadline_of('h', id))
    else
      put(2, known[BLOCKER], deadline_of_blocker(known[BLOCKER]))
    end
  else
    local record = { 'q', last_ticket + 1, 0, now, ttl, client, targets, within, '', holder }
    local blocker = blocker_of(targets, within, record[TICKET])
    if not blocker then
      last_ticket = record[TICKET]
      local deadline = grant(id, record)
      put(1, record[TOKEN], deadline)
    elseif not queue then
      put(3, describe(blocker, record_of(blocker)), 0)
    else
      last_ticket = record[TICKET]
      place_waiting(id, record, 1)
      set_deadline('q', id, now + ttl * 1000)
      local cycle = watch(id, record, blocker)
      if cycle then
        drop(id, record)
        put(4, table.concat(cycle, ' '), 0)
      else
        put(2, blocker, deadline_of_blocker(blocker))
      end
    end
  end
end
settle()
save()
local reply = answer()
for i = 1, #answers do
  reply[i + 3] = answers[i]
end
return reply`

export const breakLease: string = `local call, pack, unpack_value = redis.call, cmsgpack.pack, cmsgpack.unpack
local find, sub, format = string.find, string.sub, string.format
local table_key, index_key, deadlines_key = KEYS[1], KEYS[2], KEYS[3]
local client = ARGV[1]
local time = call('TIME')
local now = time[1] * 1000000 + time[2]
local last_token, last_ticket, held_r, held_w, waits, nested, pending, due, keep = 0, 0, 0, 0, 0, 0, 0, 0, 0
local head = call('HGET', table_key, 'm')
if head then
  last_token, last_ticket, held_r, held_w, waits, nested, pending, due, keep = unpack_value(head)
elseif call('EXISTS', index_key, deadlines_key) > 0 then
  call('ZCARD', index_key)
  call('ZCARD', deadlines_key)
  call('DEL', index_key, deadlines_key)
end
local records, nodes, ancestors_of = {}, {}, {}
local dirty_records, dirty_nodes, changed = {}, {}, false
local index_removals, deadline_removals, deadline_additions = {}, {}, {}
local outbox, own_events = {}, {}
local function call_all(command, key, arguments)
  for from = 1, #arguments, 1000 do
    call(command, key, unpack(arguments, from, math.min(from + 999, #arguments)))
  end
end
local function ticket_text(ticket)
  return format('%016.0f', ticket)
end
local function record_of(id)
  local record = records[id]
  if record == nil then
    local raw = call('HGET', table_key, 'r' .. id)
    record = raw and unpack_value(raw)
    records[id] = record
  end
  return record
end
local function set_record(id, record)
  records[id] = record
  dirty_records[id] = true
  changed = true
end
local function ancestors(path)
  local list = ancestors_of[path]
  if list == nil then
    list = {}
    local at = 0
    while at and at < #path do
      list[#list + 1] = sub(path, 1, at)
      at = find(path, '/', at + 1, true)
    end
    ancestors_of[path] = list
  end
  return list
end
local function load(ids, paths)
  local fields, count = {}, 0
  for i = 1, #ids do
    fields[i] = 'r' .. ids[i]
  end
  for i = 1, #paths do
    fields[#ids + i] = 'n' .. paths[i]
  end
  for from = 1, #fields, 1000 do
    local found = call('HMGET', table_key, unpack(fields, from, math.min(from + 999, #fields)))
    for i = 1, #found do
      count = count + 1
      if count <= #ids then
        records[ids[count]] = found[i] and unpack_value(found[i])
      else
        nodes[paths[count - #ids]] = found[i] and { unpack_value(found[i]) }
      end
    end
  end
end
local function missing_nodes(path, missing)
  local above = ancestors(path)
  for i = 1, #above do
    if nodes[above[i]] == nil then
      missing[#missing + 1] = above[i]
    end
  end
  if nodes[path] == nil then
    missing[#missing + 1] = path
  end
  return missing
end
local function load_nodes(path)
  local missing = missing_nodes(path, {})
  if #missing > 0 then
    load({}, missing)
  end
end
local slots = { hrs = 1, hrn = 2, hws = 3, hwn = 4, qrs = 5, qrn = 6, qrb = 7, qws = 8, qwn = 9, qwb = 10 }
local function count(path, slot, change)
  local node = nodes[path]
  if node == nil then
    load({}, { path })
    node = nodes[path]
  end
  if not node then
    node = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 }
    nodes[path] = node
  end
  local at = slots[slot]
  node[at] = node[at] + change
  dirty_nodes[path] = true
end
local function flush_index()
  if #index_removals > 0 then
    call_all('ZREM', index_key, index_removals)
    index_removals = {}
  end
end
local function set_deadline(kind, id, deadline)
  changed = true
  deadline_additions[#deadline_additions + 1] = deadline
  deadline_additions[#deadline_additions + 1] = kind .. id
  if due == 0 or deadline < due then
    due = deadline
  end
end
local function deadline_of(kind, id)
  for i = #deadline_additions, 2, -2 do
    if deadline_additions[i] == kind .. id then
      return deadline_additions[i - 1]
    end
  end
  local score = call('ZSCORE', deadlines_key, kind .. id)
  return score and tonumber(score) or now
end
local function tell(to, text)
  if to == client then
    own_events[#own_events + 1] = text
  else
    local box = outbox[to]
    if box == nil then
      box = {}
      outbox[to] = box
    end
    box[#box + 1] = text
  end
end
local minute = 60 * 1000000
local function save()
  for to, box in pairs(outbox) do
    call('PUBLISH', ARGV[2] .. to, format('%.0f\\n', now) .. table.concat(box, '\\n'))
  end
  if not changed then
    return
  end
  if held_r + held_w + waits == 0 then
    call('DEL', table_key, index_key, deadlines_key)
    if last_token >= now then
      call('HSET', table_key, 'm', pack(last_token, last_ticket, 0, 0, 0, 0, 0, 0, 0))
      call('PEXPIREAT', table_key, math.ceil((last_token + minute) / 1000))
    end
    return
  end
  flush_index()
  if #deadline_removals > 0 then
    call_all('ZREM', deadlines_key, deadline_removals)
  end
  local removals, additions, latest = {}, {}, 0
  for id in pairs(dirty_records) do
    local record = records[id]
    if record then
      additions[#additions + 1] = 'r' .. id
      additions[#additions + 1] = pack(record)
    else
      removals[#removals + 1] = 'r' .. id
    end
  end
  for path in pairs(dirty_nodes) do
    local n = nodes[path]
    if n[1] + n[2] + n[3] + n[4] + n[5] + n[6] + n[7] + n[8] + n[9] + n[10] == 0 then
      removals[#removals + 1] = 'n' .. path
    else
      additions[#additions + 1] = 'n' .. path
      additions[#additions + 1] = pack(n[1], n[2], n[3], n[4], n[5], n[6], n[7], n[8], n[9], n[10])
    end
  end
  if #removals > 0 then
    call_all('HDEL', table_key, removals)
  end
  if #deadline_additions > 0 then
    call_all('ZADD', deadlines_key, deadline_additions)
    for i = 1, #deadline_additions, 2 do
      latest = math.max(latest, deadline_additions[i])
    end
  end
  local extend = latest + minute > keep
  if extend then
    keep = latest + 2 * minute
  end
  additions[#additions + 1] = 'm'
  additions[#additions + 1] = pack(last_token, last_ticket, held_r, held_w, waits, nested, pending, due, keep)
  call_all('HSET', table_key, additions)
  if extend then
    local at = math.ceil(keep / 1000)
    call('PEXPIREAT', table_key, at)
    call('PEXPIREAT', index_key, at)
    call('PEXPIREAT', deadlines_key, at)
  end
end
local STATE, TICKET, TOKEN, SINCE, TTL, CLIENT, TARGETS, WITHIN, BLOCKER, HOLDER = 1, 2, 3, 4, 5, 6, 7, 8, 9, 10
local look_limit, sweep_limit, cycle_limit = 64, 32, 1000
local modes = { R = { 'r', 's' }, W = { 'w', 's' }, r = { 'r', 'n' }, w = { 'w', 'n' } }
local function id_of(member)
  return sub(string.match(member, '^.*/(.*)$'), 18)
end
local function first(prefix, waived)
  local from, to = '[' .. prefix, '(' .. prefix .. '\\255'
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
      call('ZRANGEBYLEX', index_key, '[' .. prefix, '(' .. prefix .. '\\255', 'LIMIT', 0, cycle_limit - asked)
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
local gone = {}
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
local function settle()
  if #gone == 0 and pending == 0 then
    return
  end
  changed = true
  flush_index()
  if waits == 0 then
    if pending > 0 then
      call('ZREMRANGEBYLEX', index_key, '[p', '(p\\255')
      pending = 0
    end
    gone = {}
    return
  end
  local left, queue, at = look_limit, {}, 1
  local function gather(id, marked)
    local prefix = 'w' .. id .. '/'
    local watchers = call('ZRANGEBYLEX', index_key, '[' .. prefix, '(' .. prefix .. '\\255', 'LIMIT', 0, left + 1)
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
    local marks = call('ZRANGEBYLEX', index_key, '[p', '(p\\255', 'LIMIT', 0, 16)
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
local function answer()
  return { now, pending > 0 and 1 or 0, table.concat(own_events, '\\n') }
end
sweep()
local id = ARGV[4]
local record = record_of(id)
local live = record and record[STATE] == 'h'
if live then
  tell(record[CLIENT], 'b ' .. id)
  drop(id, record)
  settle()
end
save()
local reply = answer()
reply[4] = live and 1 or 0
return reply`

export const downgrade: string = `local call, pack, unpack_value = redis.call, cmsgpack.pack, cmsgpack.unpack
local find, sub, format = string.find, string.sub, string.format
local table_key, index_key, deadlines_key = KEYS[1], KEYS[2], KEYS[3]
local client = ARGV[1]
local time = call('TIME')
local now = time[1] * 1000000 + time[2]
local last_token, last_ticket, held_r, held_w, waits, nested, pending, due, keep = 0, 0, 0, 0, 0, 0, 0, 0, 0
local head = call('HGET', table_key, 'm')
if head then
  last_token, last_ticket, held_r, held_w, waits, nested, pending, due, keep = unpack_value(head)
elseif call('EXISTS', index_key, deadlines_key) > 0 then
  call('ZCARD', index_key)
  call('ZCARD', deadlines_key)
  call('DEL', index_key, deadlines_key)
end
local records, nodes, ancestors_of = {}, {}, {}
local dirty_records, dirty_nodes, changed = {}, {}, false
local index_removals, deadline_removals, deadline_additions = {}, {}, {}
local outbox, own_events = {}, {}
local function call_all(command, key, arguments)
  for from = 1, #arguments, 1000 do
    call(command, key, unpack(arguments, from, math.min(from + 999, #arguments)))
  end
end
local function ticket_text(ticket)
  return format('%016.0f', ticket)
end
local function record_of(id)
  local record = records[id]
  if record == nil then
    local raw = call('HGET', table_key, 'r' .. id)
    record = raw and unpack_value(raw)
    records[id] = record
  end
  return record
end
local function set_record(id, record)
  records[id] = record
  dirty_records[id] = true
  changed = true
end
local function ancestors(path)
  local list = ancestors_of[path]
  if list == nil then
    list = {}
    local at = 0
    while at and at < #path do
      list[#list + 1] = sub(path, 1, at)
      at = find(path, '/', at + 1, true)
    end
    ancestors_of[path] = list
  end
  return list
end
local function load(ids, paths)
  local fields, count = {}, 0
  for i = 1, #ids do
    fields[i] = 'r' .. ids[i]
  end
  for i = 1, #paths do
    fields[#ids + i] = 'n' .. paths[i]
  end
  for from = 1, #fields, 1000 do
    local found = call('HMGET', table_key, unpack(fields, from, math.min(from + 999, #fields)))
    for i = 1, #found do
      count = count + 1
      if count <= #ids then
        records[ids[count]] = found[i] and unpack_value(found[i])
      else
        nodes[paths[count - #ids]] = found[i] and { unpack_value(found[i]) }
      end
    end
  end
end
local function missing_nodes(path, missing)
  local above = ancestors(path)
  for i = 1, #above do
    if nodes[above[i]] == nil then
      missing[#missing + 1] = above[i]
    end
  end
  if nodes[path] == nil then
    missing[#missing + 1] = path
  end
  return missing
end
local function load_nodes(path)
  local missing = missing_nodes(path, {})
  if #missing > 0 then
    load({}, missing)
  end
end
local slots = { hrs = 1, hrn = 2, hws = 3, hwn = 4, qrs = 5, qrn = 6, qrb = 7, qws = 8, qwn = 9, qwb = 10 }
local function count(path, slot, change)
  local node = nodes[path]
  if node == nil then
    load({}, { path })
    node = nodes[path]
  end
  if not node then
    node = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 }
    nodes[path] = node
  end
  local at = slots[slot]
  node[at] = node[at] + change
  dirty_nodes[path] = true
end
local function flush_index()
  if #index_removals > 0 then
    call_all('ZREM', index_key, index_removals)
    index_removals = {}
  end
end
local function set_deadline(kind, id, deadline)
  changed = true
  deadline_additions[#deadline_additions + 1] = deadline
  deadline_additions[#deadline_additions + 1] = kind .. id
  if due == 0 or deadline < due then
    due = deadline
  end
end
local function deadline_of(kind, id)
  for i = #deadline_additions, 2, -2 do
    if deadline_additions[i] == kind .. id then
      return deadline_additions[i - 1]
    end
  end
  local score = call('ZSCORE', deadlines_key, kind .. id)
  return score and tonumber(score) or now
end
local function tell(to, text)
  if to == client then
    own_events[#own_events + 1] = text
  else
    local box = outbox[to]
    if box == nil then
      box = {}
      outbox[to] = box
    end
    box[#box + 1] = text
  end
end
local minute = 60 * 1000000
local function save()
  for to, box in pairs(outbox) do
    call('PUBLISH', ARGV[2] .. to, format('%.0f\\n', now) .. table.concat(box, '\\n'))
  end
  if not changed then
    return
  end
  if held_r + held_w + waits == 0 then
    call('DEL', table_key, index_key, deadlines_key)
    if last_token >= now then
      call('HSET', table_key, 'm', pack(last_token, last_ticket, 0, 0, 0, 0, 0, 0, 0))
      call('PEXPIREAT', table_key, math.ceil((last_token + minute) / 1000))
    end
    return
  end
  flush_index()
  if #deadline_removals > 0 then
    call_all('ZREM', deadlines_key, deadline_removals)
  end
  local removals, additions, latest = {}, {}, 0
  for id in pairs(dirty_records) do
    local record = records[id]
    if record then
      additions[#additions + 1] = 'r' .. id
      additions[#additions + 1] = pack(record)
    else
      removals[#removals + 1] = 'r' .. id
    end
  end
  for path in pairs(dirty_nodes) do
    local n = nodes[path]
    if n[1] + n[2] + n[3] + n[4] + n[5] + n[6] + n[7] + n[8] + n[9] + n[10] == 0 then
      removals[#removals + 1] = 'n' .. path
    else
      additions[#additions + 1] = 'n' .. path
      additions[#additions + 1] = pack(n[1], n[2], n[3], n[4], n[5], n[6], n[7], n[8], n[9], n[10])
    end
  end
  if #removals > 0 then
    call_all('HDEL', table_key, removals)
  end
  if #deadline_additions > 0 then
    call_all('ZADD', deadlines_key, deadline_additions)
    for i = 1, #deadline_additions, 2 do
      latest = math.max(latest, deadline_additions[i])
    end
  end
  local extend = latest + minute > keep
  if extend then
    keep = latest + 2 * minute
  end
  additions[#additions + 1] = 'm'
  additions[#additions + 1] = pack(last_token, last_ticket, held_r, held_w, waits, nested, pending, due, keep)
  call_all('HSET', table_key, additions)
  if extend then
    local at = math.ceil(keep / 1000)
    call('PEXPIREAT', table_key, at)
    call('PEXPIREAT', index_key, at)
    call('PEXPIREAT', deadlines_key, at)
  end
end
local STATE, TICKET, TOKEN, SINCE, TTL, CLIENT, TARGETS, WITHIN, BLOCKER, HOLDER = 1, 2, 3, 4, 5, 6, 7, 8, 9, 10
local look_limit, sweep_limit, cycle_limit = 64, 32, 1000
local modes = { R = { 'r', 's' }, W = { 'w', 's' }, r = { 'r', 'n' }, w = { 'w', 'n' } }
local function id_of(member)
  return sub(string.match(member, '^.*/(.*)$'), 18)
end
local function first(prefix, waived)
  local from, to = '[' .. prefix, '(' .. prefix .. '\\255'
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
      call('ZRANGEBYLEX', index_key, '[' .. prefix, '(' .. prefix .. '\\255', 'LIMIT', 0, cycle_limit - asked)
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
local gone = {}
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
local function settle()
  if #gone == 0 and pending == 0 then
    return
  end
  changed = true
  flush_index()
  if waits == 0 then
    if pending > 0 then
      call('ZREMRANGEBYLEX', index_key, '[p', '(p\\255')
      pending = 0
    end
    gone = {}
    return
  end
  local left, queue, at = look_limit, {}, 1
  local function gather(id, marked)
    local prefix = 'w' .. id .. '/'
    local watchers = call('ZRANGEBYLEX', index_key, '[' .. prefix, '(' .. prefix .. '\\255', 'LIMIT', 0, left + 1)
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
    local marks = call('ZRANGEBYLEX', index_key, '[p', '(p\\255', 'LIMIT', 0, 16)
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
local function answer()
  return { now, pending > 0 and 1 or 0, table.concat(own_events, '\\n') }
end
sweep()
local id = ARGV[4]
local record = record_of(id)
local live = record and record[STATE] == 'h'
if live then
  place_held(id, record, -1)
  flush_index()
  for i = 1, #record[TARGETS] do
    local target = record[TARGETS][i]
    local mode = sub(target, 1, 1)
    record[TARGETS][i] = (mode == 'W' and 'R' or mode == 'w' and 'r' or mode) .. sub(target, 2)
  end
  place_held(id, record, 1)
  set_record(id, record)
  gone[1] = id
  settle()
end
save()
local reply = answer()
reply[4] = live and 1 or 0
return reply`

export const inspect: string = `local call, pack, unpack_value = redis.call, cmsgpack.pack, cmsgpack.unpack
local find, sub, format = string.find, string.sub, string.format
local table_key, index_key, deadlines_key = KEYS[1], KEYS[2], KEYS[3]
local client = ARGV[1]
local time = call('TIME')
local now = time[1] * 1000000 + time[2]
local last_token, last_ticket, held_r, held_w, waits, nested, pending, due, keep = 0, 0, 0, 0, 0, 0, 0, 0, 0
local head = call('HGET', table_key, 'm')
if head then
  last_token, last_ticket, held_r, held_w, waits, nested, pending, due, keep = unpack_value(head)
elseif call('EXISTS', index_key, deadlines_key) > 0 then
  call('ZCARD', index_key)
  call('ZCARD', deadlines_key)
  call('DEL', index_key, deadlines_key)
end
local records, nodes, ancestors_of = {}, {}, {}
local dirty_records, dirty_nodes, changed = {}, {}, false
local index_removals, deadline_removals, deadline_additions = {}, {}, {}
local outbox, own_events = {}, {}
local function call_all(command, key, arguments)
  for from = 1, #arguments, 1000 do
    call(command, key, unpack(arguments, from, math.min(from + 999, #arguments)))
  end
end
local function ticket_text(ticket)
  return format('%016.0f', ticket)
end
local function record_of(id)
  local record = records[id]
  if record == nil then
    local raw = call('HGET', table_key, 'r' .. id)
    record = raw and unpack_value(raw)
    records[id] = record
  end
  return record
end
local function set_record(id, record)
  records[id] = record
  dirty_records[id] = true
  changed = true
end
local function ancestors(path)
  local list = ancestors_of[path]
  if list == nil then
    list = {}
    local at = 0
    while at and at < #path do
      list[#list + 1] = sub(path, 1, at)
      at = find(path, '/', at + 1, true)
    end
    ancestors_of[path] = list
  end
  return list
end
local function load(ids, paths)
  local fields, count = {}, 0
  for i = 1, #ids do
    fields[i] = 'r' .. ids[i]
  end
  for i = 1, #paths do
    fields[#ids + i] = 'n' .. paths[i]
  end
  for from = 1, #fields, 1000 do
    local found = call('HMGET', table_key, unpack(fields, from, math.min(from + 999, #fields)))
    for i = 1, #found do
      count = count + 1
      if count <= #ids then
        records[ids[count]] = found[i] and unpack_value(found[i])
      else
        nodes[paths[count - #ids]] = found[i] and { unpack_value(found[i]) }
      end
    end
  end
end
local function missing_nodes(path, missing)
  local above = ancestors(path)
  for i = 1, #above do
    if nodes[above[i]] == nil then
      missing[#missing + 1] = above[i]
    end
  end
  if nodes[path] == nil then
    missing[#missing + 1] = path
  end
  return missing
end
local function load_nodes(path)
  local missing = missing_nodes(path, {})
  if #missing > 0 then
    load({}, missing)
  end
end
local slots = { hrs = 1, hrn = 2, hws = 3, hwn = 4, qrs = 5, qrn = 6, qrb = 7, qws = 8, qwn = 9, qwb = 10 }
local function count(path, slot, change)
  local node = nodes[path]
  if node == nil then
    load({}, { path })
    node = nodes[path]
  end
  if not node then
    node = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 }
    nodes[path] = node
  end
  local at = slots[slot]
  node[at] = node[at] + change
  dirty_nodes[path] = true
end
local function flush_index()
  if #index_removals > 0 then
    call_all('ZREM', index_key, index_removals)
    index_removals = {}
  end
end
local function set_deadline(kind, id, deadline)
  changed = true
  deadline_additions[#deadline_additions + 1] = deadline
  deadline_additions[#deadline_additions + 1] = kind .. id
  if due == 0 or deadline < due then
    due = deadline
  end
end
local function deadline_of(kind, id)
  for i = #deadline_additions, 2, -2 do
    if deadline_additions[i] == kind .. id then
      return deadline_additions[i - 1]
    end
  end
  local score = call('ZSCORE', deadlines_key, kind .. id)
  return score and tonumber(score) or now
end
local function tell(to, text)
  if to == client then
    own_events[#own_events + 1] = text
  else
    local box = outbox[to]
    if box == nil then
      box = {}
      outbox[to] = box
    end
    box[#box + 1] = text
  end
end
local minute = 60 * 1000000
local function save()
  for to, box in pairs(outbox) do
    call('PUBLISH', ARGV[2] .. to, format('%.0f\\n', now) .. table.concat(box, '\\n'))
  end
  if not changed then
    return
  end
  if held_r + held_w + waits == 0 then
    call('DEL', table_key, index_key, deadlines_key)
    if last_token >= now then
      call('HSET', table_key, 'm', pack(last_token, last_ticket, 0, 0, 0, 0, 0, 0, 0))
      call('PEXPIREAT', table_key, math.ceil((last_token + minute) / 1000))
    end
    return
  end
  flush_index()
  if #deadline_removals > 0 then
    call_all('ZREM', deadlines_key, deadline_removals)
  end
  local removals, additions, latest = {}, {}, 0
  for id in pairs(dirty_records) do
    local record = records[id]
    if record then
      additions[#additions + 1] = 'r' .. id
      additions[#additions + 1] = pack(record)
    else
      removals[#removals + 1] = 'r' .. id
    end
  end
  for path in pairs(dirty_nodes) do
    local n = nodes[path]
    if n[1] + n[2] + n[3] + n[4] + n[5] + n[6] + n[7] + n[8] + n[9] + n[10] == 0 then
      removals[#removals + 1] = 'n' .. path
    else
      additions[#additions + 1] = 'n' .. path
      additions[#additions + 1] = pack(n[1], n[2], n[3], n[4], n[5], n[6], n[7], n[8], n[9], n[10])
    end
  end
  if #removals > 0 then
    call_all('HDEL', table_key, removals)
  end
  if #deadline_additions > 0 then
    call_all('ZADD', deadlines_key, deadline_additions)
    for i = 1, #deadline_additions, 2 do
      latest = math.max(latest, deadline_additions[i])
    end
  end
  local extend = latest + minute > keep
  if extend then
    keep = latest + 2 * minute
  end
  additions[#additions + 1] = 'm'
  additions[#additions + 1] = pack(last_token, last_ticket, held_r, held_w, waits, nested, pending, due, keep)
  call_all('HSET', table_key, additions)
  if extend then
    local at = math.ceil(keep / 1000)
    call('PEXPIREAT', table_key, at)
    call('PEXPIREAT', index_key, at)
    call('PEXPIREAT', deadlines_key, at)
  end
end
local STATE, TICKET, TOKEN, SINCE, TTL, CLIENT, TARGETS, WITHIN, BLOCKER, HOLDER = 1, 2, 3, 4, 5, 6, 7, 8, 9, 10
local look_limit, sweep_limit, cycle_limit = 64, 32, 1000
local modes = { R = { 'r', 's' }, W = { 'w', 's' }, r = { 'r', 'n' }, w = { 'w', 'n' } }
local function id_of(member)
  return sub(string.match(member, '^.*/(.*)$'), 18)
end
local function first(prefix, waived)
  local from, to = '[' .. prefix, '(' .. prefix .. '\\255'
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
      call('ZRANGEBYLEX', index_key, '[' .. prefix, '(' .. prefix .. '\\255', 'LIMIT', 0, cycle_limit - asked)
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
local gone = {}
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
local function settle()
  if #gone == 0 and pending == 0 then
    return
  end
  changed = true
  flush_index()
  if waits == 0 then
    if pending > 0 then
      call('ZREMRANGEBYLEX', index_key, '[p', '(p\\255')
      pending = 0
    end
    gone = {}
    return
  end
  local left, queue, at = look_limit, {}, 1
  local function gather(id, marked)
    local prefix = 'w' .. id .. '/'
    local watchers = call('ZRANGEBYLEX', index_key, '[' .. prefix, '(' .. prefix .. '\\255', 'LIMIT', 0, left + 1)
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
    local marks = call('ZRANGEBYLEX', index_key, '[p', '(p\\255', 'LIMIT', 0, 16)
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
local function answer()
  return { now, pending > 0 and 1 or 0, table.concat(own_events, '\\n') }
end
local function describe(id, record)
  local shown = {
    id,
    record[STATE],
    record[TICKET],
    record[TOKEN],
    record[SINCE],
    deadline_of(record[STATE], id),
    record[BLOCKER],
    record[HOLDER],
    #record[TARGETS]
  }
  for i = 1, #record[TARGETS] do
    shown[#shown + 1] = record[TARGETS][i]
  end
  for i = 1, #record[WITHIN] do
    shown[#shown + 1] = record[WITHIN][i]
  end
  return shown
end
sweep()
save()
local reply = answer()
local page, shown = 250, {}
local kinds, behind = { 'hr', 'hw', 'qr', 'qw' }, ARGV[6]
reply[4], reply[5] = 0, ''
for i = tonumber(ARGV[5]), #kinds do
  local prefix = kinds[i] .. ARGV[4]
  local from = behind == '' and '[' .. prefix or '(' .. behind
  local members = call('ZRANGEBYLEX', index_key, from, '(' .. prefix .. '\\255', 'LIMIT', 0, page)
  for j = 1, #members do
    local id = id_of(members[j])
    if string.match(members[j], '^.*/(.)') ~= 'b' and not shown[id] then
      shown[id] = true
      reply[#reply + 1] = describe(id, record_of(id))
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

export const look: string = `local call, pack, unpack_value = redis.call, cmsgpack.pack, cmsgpack.unpack
local find, sub, format = string.find, string.sub, string.format
local table_key, index_key, deadlines_key = KEYS[1], KEYS[2], KEYS[3]
local client = ARGV[1]
local time = call('TIME')
local now = time[1] * 1000000 + time[2]
local last_token, last_ticket, held_r, held_w, waits, nested, pending, due, keep = 0, 0, 0, 0, 0, 0, 0, 0, 0
local head = call('HGET', table_key, 'm')
if head then
  last_token, last_ticket, held_r, held_w, waits, nested, pending, due, keep = unpack_value(head)
elseif call('EXISTS', index_key, deadlines_key) > 0 then
  call('ZCARD', index_key)
  call('ZCARD', deadlines_key)
  call('DEL', index_key, deadlines_key)
end
local records, nodes, ancestors_of = {}, {}, {}
local dirty_records, dirty_nodes, changed = {}, {}, false
local index_removals, deadline_removals, deadline_additions = {}, {}, {}
local outbox, own_events = {}, {}
local function call_all(command, key, arguments)
  for from = 1, #arguments, 1000 do
    call(command, key, unpack(arguments, from, math.min(from + 999, #arguments)))
  end
end
local function ticket_text(ticket)
  return format('%016.0f', ticket)
end
local function record_of(id)
  local record = records[id]
  if record == nil then
    local raw = call('HGET', table_key, 'r' .. id)
    record = raw and unpack_value(raw)
    records[id] = record
  end
  return record
end
local function set_record(id, record)
  records[id] = record
  dirty_records[id] = true
  changed = true
end
local function ancestors(path)
  local list = ancestors_of[path]
  if list == nil then
    list = {}
    local at = 0
    while at and at < #path do
      list[#list + 1] = sub(path, 1, at)
      at = find(path, '/', at + 1, true)
    end
    ancestors_of[path] = list
  end
  return list
end
local function load(ids, paths)
  local fields, count = {}, 0
  for i = 1, #ids do
    fields[i] = 'r' .. ids[i]
  end
  for i = 1, #paths do
    fields[#ids + i] = 'n' .. paths[i]
  end
  for from = 1, #fields, 1000 do
    local found = call('HMGET', table_key, unpack(fields, from, math.min(from + 999, #fields)))
    for i = 1, #found do
      count = count + 1
      if count <= #ids then
        records[ids[count]] = found[i] and unpack_value(found[i])
      else
        nodes[paths[count - #ids]] = found[i] and { unpack_value(found[i]) }
      end
    end
  end
end
local function missing_nodes(path, missing)
  local above = ancestors(path)
  for i = 1, #above do
    if nodes[above[i]] == nil then
      missing[#missing + 1] = above[i]
    end
  end
  if nodes[path] == nil then
    missing[#missing + 1] = path
  end
  return missing
end
local function load_nodes(path)
  local missing = missing_nodes(path, {})
  if #missing > 0 then
    load({}, missing)
  end
end
local slots = { hrs = 1, hrn = 2, hws = 3, hwn = 4, qrs = 5, qrn = 6, qrb = 7, qws = 8, qwn = 9, qwb = 10 }
local function count(path, slot, change)
  local node = nodes[path]
  if node == nil then
    load({}, { path })
    node = nodes[path]
  end
  if not node then
    node = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 }
    nodes[path] = node
  end
  local at = slots[slot]
  node[at] = node[at] + change
  dirty_nodes[path] = true
end
local function flush_index()
  if #index_removals > 0 then
    call_all('ZREM', index_key, index_removals)
    index_removals = {}
  end
end
local function set_deadline(kind, id, deadline)
  changed = true
  deadline_additions[#deadline_additions + 1] = deadline
  deadline_additions[#deadline_additions + 1] = kind .. id
  if due == 0 or deadline < due then
    due = deadline
  end
end
local function deadline_of(kind, id)
  for i = #deadline_additions, 2, -2 do
    if deadline_additions[i] == kind .. id then
      return deadline_additions[i - 1]
    end
  end
  local score = call('ZSCORE', deadlines_key, kind .. id)
  return score and tonumber(score) or now
end
local function tell(to, text)
  if to == client then
    own_events[#own_events + 1] = text
  else
    local box = outbox[to]
    if box == nil then
      box = {}
      outbox[to] = box
    end
    box[#box + 1] = text
  end
end
local minute = 60 * 1000000
local function save()
  for to, box in pairs(outbox) do
    call('PUBLISH', ARGV[2] .. to, format('%.0f\\n', now) .. table.concat(box, '\\n'))
  end
  if not changed then
    return
  end
  if held_r + held_w + waits == 0 then
    call('DEL', table_key, index_key, deadlines_key)
    if last_token >= now then
      call('HSET', table_key, 'm', pack(last_token, last_ticket, 0, 0, 0, 0, 0, 0, 0))
      call('PEXPIREAT', table_key, math.ceil((last_token + minute) / 1000))
    end
    return
  end
  flush_index()
  if #deadline_removals > 0 then
    call_all('ZREM', deadlines_key, deadline_removals)
  end
  local removals, additions, latest = {}, {}, 0
  for id in pairs(dirty_records) do
    local record = records[id]
    if record then
      additions[#additions + 1] = 'r' .. id
      additions[#additions + 1] = pack(record)
    else
      removals[#removals + 1] = 'r' .. id
    end
  end
  for path in pairs(dirty_nodes) do
    local n = nodes[path]
    if n[1] + n[2] + n[3] + n[4] + n[5] + n[6] + n[7] + n[8] + n[9] + n[10] == 0 then
      removals[#removals + 1] = 'n' .. path
    else
      additions[#additions + 1] = 'n' .. path
      additions[#additions + 1] = pack(n[1], n[2], n[3], n[4], n[5], n[6], n[7], n[8], n[9], n[10])
    end
  end
  if #removals > 0 then
    call_all('HDEL', table_key, removals)
  end
  if #deadline_additions > 0 then
    call_all('ZADD', deadlines_key, deadline_additions)
    for i = 1, #deadline_additions, 2 do
      latest = math.max(latest, deadline_additions[i])
    end
  end
  local extend = latest + minute > keep
  if extend then
    keep = latest + 2 * minute
  end
  additions[#additions + 1] = 'm'
  additions[#additions + 1] = pack(last_token, last_ticket, held_r, held_w, waits, nested, pending, due, keep)
  call_all('HSET', table_key, additions)
  if extend then
    local at = math.ceil(keep / 1000)
    call('PEXPIREAT', table_key, at)
    call('PEXPIREAT', index_key, at)
    call('PEXPIREAT', deadlines_key, at)
  end
end
local STATE, TICKET, TOKEN, SINCE, TTL, CLIENT, TARGETS, WITHIN, BLOCKER, HOLDER = 1, 2, 3, 4, 5, 6, 7, 8, 9, 10
local look_limit, sweep_limit, cycle_limit = 64, 32, 1000
local modes = { R = { 'r', 's' }, W = { 'w', 's' }, r = { 'r', 'n' }, w = { 'w', 'n' } }
local function id_of(member)
  return sub(string.match(member, '^.*/(.*)$'), 18)
end
local function first(prefix, waived)
  local from, to = '[' .. prefix, '(' .. prefix .. '\\255'
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
      call('ZRANGEBYLEX', index_key, '[' .. prefix, '(' .. prefix .. '\\255', 'LIMIT', 0, cycle_limit - asked)
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
local gone = {}
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
local function settle()
  if #gone == 0 and pending == 0 then
    return
  end
  changed = true
  flush_index()
  if waits == 0 then
    if pending > 0 then
      call('ZREMRANGEBYLEX', index_key, '[p', '(p\\255')
      pending = 0
    end
    gone = {}
    return
  end
  local left, queue, at = look_limit, {}, 1
  local function gather(id, marked)
    local prefix = 'w' .. id .. '/'
    local watchers = call('ZRANGEBYLEX', index_key, '[' .. prefix, '(' .. prefix .. '\\255', 'LIMIT', 0, left + 1)
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
    local marks = call('ZRANGEBYLEX', index_key, '[p', '(p\\255', 'LIMIT', 0, 16)
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
local function answer()
  return { now, pending > 0 and 1 or 0, table.concat(own_events, '\\n') }
end
if now > tonumber(ARGV[3]) then
  return { now, -1 }
end
sweep()
deadline_removals[#deadline_removals + 1] = ''
call_all('ZREM', deadlines_key, deadline_removals)
deadline_removals = {}
local answers = {}
for at = 4, #ARGV, 2 do
  local id = ARGV[at]
  local record = record_of(id)
  local n = #answers
  if not record then
    answers[n + 1], answers[n + 2], answers[n + 3] = 0, 0, 0
  elseif record[STATE] == 'h' then
    local deadline = now + record[TTL] * 1000
    set_deadline('h', id, deadline)
    answers[n + 1], answers[n + 2], answers[n + 3] = 1, record[TOKEN], deadline
  else
    set_deadline('q', id, now + tonumber(ARGV[at + 1]) * 1000)
    local blocker = record_of(record[BLOCKER])
    answers[n + 1], answers[n + 2] = 2, record[BLOCKER]
    answers[n + 3] = blocker and deadline_of(blocker[STATE], record[BLOCKER]) or now
  end
end
save()
local reply = answer()
for i = 1, #answers do
  reply[i + 3] = answers[i]
end
return reply`

export const lookup: string = `local call, pack, unpack_value = redis.call, cmsgpack.pack, cmsgpack.unpack
local find, sub, format = string.find, string.sub, string.format
local table_key, index_key, deadlines_key = KEYS[1], KEYS[2], KEYS[3]
local client = ARGV[1]
local time = call('TIME')
local now = time[1] * 1000000 + time[2]
local last_token, last_ticket, held_r, held_w, waits, nested, pending, due, keep = 0, 0, 0, 0, 0, 0, 0, 0, 0
local head = call('HGET', table_key, 'm')
if head then
  last_token, last_ticket, held_r, held_w, waits, nested, pending, due, keep = unpack_value(head)
elseif call('EXISTS', index_key, deadlines_key) > 0 then
  call('ZCARD', index_key)
  call('ZCARD', deadlines_key)
  call('DEL', index_key, deadlines_key)
end
local records, nodes, ancestors_of = {}, {}, {}
local dirty_records, dirty_nodes, changed = {}, {}, false
local index_removals, deadline_removals, deadline_additions = {}, {}, {}
local outbox, own_events = {}, {}
local function call_all(command, key, arguments)
  for from = 1, #arguments, 1000 do
    call(command, key, unpack(arguments, from, math.min(from + 999, #arguments)))
  end
end
local function ticket_text(ticket)
  return format('%016.0f', ticket)
end
local function record_of(id)
  local record = records[id]
  if record == nil then
    local raw = call('HGET', table_key, 'r' .. id)
    record = raw and unpack_value(raw)
    records[id] = record
  end
  return record
end
local function set_record(id, record)
  records[id] = record
  dirty_records[id] = true
  changed = true
end
local function ancestors(path)
  local list = ancestors_of[path]
  if list == nil then
    list = {}
    local at = 0
    while at and at < #path do
      list[#list + 1] = sub(path, 1, at)
      at = find(path, '/', at + 1, true)
    end
    ancestors_of[path] = list
  end
  return list
end
local function load(ids, paths)
  local fields, count = {}, 0
  for i = 1, #ids do
    fields[i] = 'r' .. ids[i]
  end
  for i = 1, #paths do
    fields[#ids + i] = 'n' .. paths[i]
  end
  for from = 1, #fields, 1000 do
    local found = call('HMGET', table_key, unpack(fields, from, math.min(from + 999, #fields)))
    for i = 1, #found do
      count = count + 1
      if count <= #ids then
        records[ids[count]] = found[i] and unpack_value(found[i])
      else
        nodes[paths[count - #ids]] = found[i] and { unpack_value(found[i]) }
      end
    end
  end
end
local function missing_nodes(path, missing)
  local above = ancestors(path)
  for i = 1, #above do
    if nodes[above[i]] == nil then
      missing[#missing + 1] = above[i]
    end
  end
  if nodes[path] == nil then
    missing[#missing + 1] = path
  end
  return missing
end
local function load_nodes(path)
  local missing = missing_nodes(path, {})
  if #missing > 0 then
    load({}, missing)
  end
end
local slots = { hrs = 1, hrn = 2, hws = 3, hwn = 4, qrs = 5, qrn = 6, qrb = 7, qws = 8, qwn = 9, qwb = 10 }
local function count(path, slot, change)
  local node = nodes[path]
  if node == nil then
    load({}, { path })
    node = nodes[path]
  end
  if not node then
    node = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 }
    nodes[path] = node
  end
  local at = slots[slot]
  node[at] = node[at] + change
  dirty_nodes[path] = true
end
local function flush_index()
  if #index_removals > 0 then
    call_all('ZREM', index_key, index_removals)
    index_removals = {}
  end
end
local function set_deadline(kind, id, deadline)
  changed = true
  deadline_additions[#deadline_additions + 1] = deadline
  deadline_additions[#deadline_additions + 1] = kind .. id
  if due == 0 or deadline < due then
    due = deadline
  end
end
local function deadline_of(kind, id)
  for i = #deadline_additions, 2, -2 do
    if deadline_additions[i] == kind .. id then
      return deadline_additions[i - 1]
    end
  end
  local score = call('ZSCORE', deadlines_key, kind .. id)
  return score and tonumber(score) or now
end
local function tell(to, text)
  if to == client then
    own_events[#own_events + 1] = text
  else
    local box = outbox[to]
    if box == nil then
      box = {}
      outbox[to] = box
    end
    box[#box + 1] = text
  end
end
local minute = 60 * 1000000
local function save()
  for to, box in pairs(outbox) do
    call('PUBLISH', ARGV[2] .. to, format('%.0f\\n', now) .. table.concat(box, '\\n'))
  end
  if not changed then
    return
  end
  if held_r + held_w + waits == 0 then
    call('DEL', table_key, index_key, deadlines_key)
    if last_token >= now then
      call('HSET', table_key, 'm', pack(last_token, last_ticket, 0, 0, 0, 0, 0, 0, 0))
      call('PEXPIREAT', table_key, math.ceil((last_token + minute) / 1000))
    end
    return
  end
  flush_index()
  if #deadline_removals > 0 then
    call_all('ZREM', deadlines_key, deadline_removals)
  end
  local removals, additions, latest = {}, {}, 0
  for id in pairs(dirty_records) do
    local record = records[id]
    if record then
      additions[#additions + 1] = 'r' .. id
      additions[#additions + 1] = pack(record)
    else
      removals[#removals + 1] = 'r' .. id
    end
  end
  for path in pairs(dirty_nodes) do
    local n = nodes[path]
    if n[1] + n[2] + n[3] + n[4] + n[5] + n[6] + n[7] + n[8] + n[9] + n[10] == 0 then
      removals[#removals + 1] = 'n' .. path
    else
      additions[#additions + 1] = 'n' .. path
      additions[#additions + 1] = pack(n[1], n[2], n[3], n[4], n[5], n[6], n[7], n[8], n[9], n[10])
    end
  end
  if #removals > 0 then
    call_all('HDEL', table_key, removals)
  end
  if #deadline_additions > 0 then
    call_all('ZADD', deadlines_key, deadline_additions)
    for i = 1, #deadline_additions, 2 do
      latest = math.max(latest, deadline_additions[i])
    end
  end
  local extend = latest + minute > keep
  if extend then
    keep = latest + 2 * minute
  end
  additions[#additions + 1] = 'm'
  additions[#additions + 1] = pack(last_token, last_ticket, held_r, held_w, waits, nested, pending, due, keep)
  call_all('HSET', table_key, additions)
  if extend then
    local at = math.ceil(keep / 1000)
    call('PEXPIREAT', table_key, at)
    call('PEXPIREAT', index_key, at)
    call('PEXPIREAT', deadlines_key, at)
  end
end
local STATE, TICKET, TOKEN, SINCE, TTL, CLIENT, TARGETS, WITHIN, BLOCKER, HOLDER = 1, 2, 3, 4, 5, 6, 7, 8, 9, 10
local look_limit, sweep_limit, cycle_limit = 64, 32, 1000
local modes = { R = { 'r', 's' }, W = { 'w', 's' }, r = { 'r', 'n' }, w = { 'w', 'n' } }
local function id_of(member)
  return sub(string.match(member, '^.*/(.*)$'), 18)
end
local function first(prefix, waived)
  local from, to = '[' .. prefix, '(' .. prefix .. '\\255'
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
      call('ZRANGEBYLEX', index_key, '[' .. prefix, '(' .. prefix .. '\\255', 'LIMIT', 0, cycle_limit - asked)
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
local gone = {}
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
local function settle()
  if #gone == 0 and pending == 0 then
    return
  end
  changed = true
  flush_index()
  if waits == 0 then
    if pending > 0 then
      call('ZREMRANGEBYLEX', index_key, '[p', '(p\\255')
      pending = 0
    end
    gone = {}
    return
  end
  local left, queue, at = look_limit, {}, 1
  local function gather(id, marked)
    local prefix = 'w' .. id .. '/'
    local watchers = call('ZRANGEBYLEX', index_key, '[' .. prefix, '(' .. prefix .. '\\255', 'LIMIT', 0, left + 1)
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
    local marks = call('ZRANGEBYLEX', index_key, '[p', '(p\\255', 'LIMIT', 0, 16)
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
local function answer()
  return { now, pending > 0 and 1 or 0, table.concat(own_events, '\\n') }
end
local function describe(id, record)
  local shown = {
    id,
    record[STATE],
    record[TICKET],
    record[TOKEN],
    record[SINCE],
    deadline_of(record[STATE], id),
    record[BLOCKER],
    record[HOLDER],
    #record[TARGETS]
  }
  for i = 1, #record[TARGETS] do
    shown[#shown + 1] = record[TARGETS][i]
  end
  for i = 1, #record[WITHIN] do
    shown[#shown + 1] = record[WITHIN][i]
  end
  return shown
end
sweep()
save()
local reply = answer()
local record = record_of(ARGV[4])
if record then
  reply[4] = describe(ARGV[4], record)
end
return reply`

export const refresh: string = `local call, pack, unpack_value = redis.call, cmsgpack.pack, cmsgpack.unpack
local find, sub, format = string.find, string.sub, string.format
local table_key, index_key, deadlines_key = KEYS[1], KEYS[2], KEYS[3]
local client = ARGV[1]
local time = call('TIME')
local now = time[1] * 1000000 + time[2]
local last_token, last_ticket, held_r, held_w, waits, nested, pending, due, keep = 0, 0, 0, 0, 0, 0, 0, 0, 0
local head = call('HGET', table_key, 'm')
if head then
  last_token, last_ticket, held_r, held_w, waits, nested, pending, due, keep = unpack_value(head)
elseif call('EXISTS', index_key, deadlines_key) > 0 then
  call('ZCARD', index_key)
  call('ZCARD', deadlines_key)
  call('DEL', index_key, deadlines_key)
end
local records, nodes, ancestors_of = {}, {}, {}
local dirty_records, dirty_nodes, changed = {}, {}, false
local index_removals, deadline_removals, deadline_additions = {}, {}, {}
local outbox, own_events = {}, {}
local function call_all(command, key, arguments)
  for from = 1, #arguments, 1000 do
    call(command, key, unpack(arguments, from, math.min(from + 999, #arguments)))
  end
end
local function ticket_text(ticket)
  return format('%016.0f', ticket)
end
local function record_of(id)
  local record = records[id]
  if record == nil then
    local raw = call('HGET', table_key, 'r' .. id)
    record = raw and unpack_value(raw)
    records[id] = record
  end
  return record
end
local function set_record(id, record)
  records[id] = record
  dirty_records[id] = true
  changed = true
end
local function ancestors(path)
  local list = ancestors_of[path]
  if list == nil then
    list = {}
    local at = 0
    while at and at < #path do
      list[#list + 1] = sub(path, 1, at)
      at = find(path, '/', at + 1, true)
    end
    ancestors_of[path] = list
  end
  return list
end
local function load(ids, paths)
  local fields, count = {}, 0
  for i = 1, #ids do
    fields[i] = 'r' .. ids[i]
  end
  for i = 1, #paths do
    fields[#ids + i] = 'n' .. paths[i]
  end
  for from = 1, #fields, 1000 do
    local found = call('HMGET', table_key, unpack(fields, from, math.min(from + 999, #fields)))
    for i = 1, #found do
      count = count + 1
      if count <= #ids then
        records[ids[count]] = found[i] and unpack_value(found[i])
      else
        nodes[paths[count - #ids]] = found[i] and { unpack_value(found[i]) }
      end
    end
  end
end
local function missing_nodes(path, missing)
  local above = ancestors(path)
  for i = 1, #above do
    if nodes[above[i]] == nil then
      missing[#missing + 1] = above[i]
    end
  end
  if nodes[path] == nil then
    missing[#missing + 1] = path
  end
  return missing
end
local function load_nodes(path)
  local missing = missing_nodes(path, {})
  if #missing > 0 then
    load({}, missing)
  end
end
local slots = { hrs = 1, hrn = 2, hws = 3, hwn = 4, qrs = 5, qrn = 6, qrb = 7, qws = 8, qwn = 9, qwb = 10 }
local function count(path, slot, change)
  local node = nodes[path]
  if node == nil then
    load({}, { path })
    node = nodes[path]
  end
  if not node then
    node = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 }
    nodes[path] = node
  end
  local at = slots[slot]
  node[at] = node[at] + change
  dirty_nodes[path] = true
end
local function flush_index()
  if #index_removals > 0 then
    call_all('ZREM', index_key, index_removals)
    index_removals = {}
  end
end
local function set_deadline(kind, id, deadline)
  changed = true
  deadline_additions[#deadline_additions + 1] = deadline
  deadline_additions[#deadline_additions + 1] = kind .. id
  if due == 0 or deadline < due then
    due = deadline
  end
end
local function deadline_of(kind, id)
  for i = #deadline_additions, 2, -2 do
    if deadline_additions[i] == kind .. id then
      return deadline_additions[i - 1]
    end
  end
  local score = call('ZSCORE', deadlines_key, kind .. id)
  return score and tonumber(score) or now
end
local function tell(to, text)
  if to == client then
    own_events[#own_events + 1] = text
  else
    local box = outbox[to]
    if box == nil then
      box = {}
      outbox[to] = box
    end
    box[#box + 1] = text
  end
end
local minute = 60 * 1000000
local function save()
  for to, box in pairs(outbox) do
    call('PUBLISH', ARGV[2] .. to, format('%.0f\\n', now) .. table.concat(box, '\\n'))
  end
  if not changed then
    return
  end
  if held_r + held_w + waits == 0 then
    call('DEL', table_key, index_key, deadlines_key)
    if last_token >= now then
      call('HSET', table_key, 'm', pack(last_token, last_ticket, 0, 0, 0, 0, 0, 0, 0))
      call('PEXPIREAT', table_key, math.ceil((last_token + minute) / 1000))
    end
    return
  end
  flush_index()
  if #deadline_removals > 0 then
    call_all('ZREM', deadlines_key, deadline_removals)
  end
  local removals, additions, latest = {}, {}, 0
  for id in pairs(dirty_records) do
    local record = records[id]
    if record then
      additions[#additions + 1] = 'r' .. id
      additions[#additions + 1] = pack(record)
    else
      removals[#removals + 1] = 'r' .. id
    end
  end
  for path in pairs(dirty_nodes) do
    local n = nodes[path]
    if n[1] + n[2] + n[3] + n[4] + n[5] + n[6] + n[7] + n[8] + n[9] + n[10] == 0 then
      removals[#removals + 1] = 'n' .. path
    else
      additions[#additions + 1] = 'n' .. path
      additions[#additions + 1] = pack(n[1], n[2], n[3], n[4], n[5], n[6], n[7], n[8], n[9], n[10])
    end
  end
  if #removals > 0 then
    call_all('HDEL', table_key, removals)
  end
  if #deadline_additions > 0 then
    call_all('ZADD', deadlines_key, deadline_additions)
    for i = 1, #deadline_additions, 2 do
      latest = math.max(latest, deadline_additions[i])
    end
  end
  local extend = latest + minute > keep
  if extend then
    keep = latest + 2 * minute
  end
  additions[#additions + 1] = 'm'
  additions[#additions + 1] = pack(last_token, last_ticket, held_r, held_w, waits, nested, pending, due, keep)
  call_all('HSET', table_key, additions)
  if extend then
    local at = math.ceil(keep / 1000)
    call('PEXPIREAT', table_key, at)
    call('PEXPIREAT', index_key, at)
    call('PEXPIREAT', deadlines_key, at)
  end
end
local STATE, TICKET, TOKEN, SINCE, TTL, CLIENT, TARGETS, WITHIN, BLOCKER, HOLDER = 1, 2, 3, 4, 5, 6, 7, 8, 9, 10
local look_limit, sweep_limit, cycle_limit = 64, 32, 1000
local modes = { R = { 'r', 's' }, W = { 'w', 's' }, r = { 'r', 'n' }, w = { 'w', 'n' } }
local function id_of(member)
  return sub(string.match(member, '^.*/(.*)$'), 18)
end
local function first(prefix, waived)
  local from, to = '[' .. prefix, '(' .. prefix .. '\\255'
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
      call('ZRANGEBYLEX', index_key, '[' .. prefix, '(' .. prefix .. '\\255', 'LIMIT', 0, cycle_limit - asked)
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
local gone = {}
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
local function settle()
  if #gone == 0 and pending == 0 then
    return
  end
  changed = true
  flush_index()
  if waits == 0 then
    if pending > 0 then
      call('ZREMRANGEBYLEX', index_key, '[p', '(p\\255')
      pending = 0
    end
    gone = {}
    return
  end
  local left, queue, at = look_limit, {}, 1
  local function gather(id, marked)
    local prefix = 'w' .. id .. '/'
    local watchers = call('ZRANGEBYLEX', index_key, '[' .. prefix, '(' .. prefix .. '\\255', 'LIMIT', 0, left + 1)
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
    local marks = call('ZRANGEBYLEX', index_key, '[p', '(p\\255', 'LIMIT', 0, 16)
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
local function answer()
  return { now, pending > 0 and 1 or 0, table.concat(own_events, '\\n') }
end
if now > tonumber(ARGV[3]) then
  return { now, -1 }
end
sweep()
local members = {}
for at = 4, #ARGV, 2 do
  members[#members + 1] = 'h' .. ARGV[at]
end
deadline_removals[#deadline_removals + 1] = ''
call_all('ZREM', deadlines_key, deadline_removals)
deadline_removals = {}
if #deadline_additions > 0 then
  call_all('ZADD', deadlines_key, deadline_additions)
  deadline_additions = {}
end
local reply = {}
for from = 1, #members, 1000 do
  local scores = call('ZMSCORE', deadlines_key, unpack(members, from, math.min(from + 999, #members)))
  for i = 1, #scores do
    local n = from + i - 1
    if scores[i] and tonumber(scores[i]) > now then
      local deadline = now + tonumber(ARGV[3 + 2 * n]) * 1000
      set_deadline('h', sub(members[n], 2), deadline)
      reply[n + 3] = deadline
    else
      reply[n + 3] = 0
    end
  end
end
save()
local first_three = answer()
reply[1], reply[2], reply[3] = first_three[1], first_three[2], first_three[3]
return reply`

export const release: string = `local call, pack, unpack_value = redis.call, cmsgpack.pack, cmsgpack.unpack
local find, sub, format = string.find, string.sub, string.format
local table_key, index_key, deadlines_key = KEYS[1], KEYS[2], KEYS[3]
local client = ARGV[1]
local time = call('TIME')
local now = time[1] * 1000000 + time[2]
local last_token, last_ticket, held_r, held_w, waits, nested, pending, due, keep = 0, 0, 0, 0, 0, 0, 0, 0, 0
local head = call('HGET', table_key, 'm')
if head then
  last_token, last_ticket, held_r, held_w, waits, nested, pending, due, keep = unpack_value(head)
elseif call('EXISTS', index_key, deadlines_key) > 0 then
  call('ZCARD', index_key)
  call('ZCARD', deadlines_key)
  call('DEL', index_key, deadlines_key)
end
local records, nodes, ancestors_of = {}, {}, {}
local dirty_records, dirty_nodes, changed = {}, {}, false
local index_removals, deadline_removals, deadline_additions = {}, {}, {}
local outbox, own_events = {}, {}
local function call_all(command, key, arguments)
  for from = 1, #arguments, 1000 do
    call(command, key, unpack(arguments, from, math.min(from + 999, #arguments)))
  end
end
local function ticket_text(ticket)
  return format('%016.0f', ticket)
end
local function record_of(id)
  local record = records[id]
  if record == nil then
    local raw = call('HGET', table_key, 'r' .. id)
    record = raw and unpack_value(raw)
    records[id] = record
  end
  return record
end
local function set_record(id, record)
  records[id] = record
  dirty_records[id] = true
  changed = true
end
local function ancestors(path)
  local list = ancestors_of[path]
  if list == nil then
    list = {}
    local at = 0
    while at and at < #path do
      list[#list + 1] = sub(path, 1, at)
      at = find(path, '/', at + 1, true)
    end
    ancestors_of[path] = list
  end
  return list
end
local function load(ids, paths)
  local fields, count = {}, 0
  for i = 1, #ids do
    fields[i] = 'r' .. ids[i]
  end
  for i = 1, #paths do
    fields[#ids + i] = 'n' .. paths[i]
  end
  for from = 1, #fields, 1000 do
    local found = call('HMGET', table_key, unpack(fields, from, math.min(from + 999, #fields)))
    for i = 1, #found do
      count = count + 1
      if count <= #ids then
        records[ids[count]] = found[i] and unpack_value(found[i])
      else
        nodes[paths[count - #ids]] = found[i] and { unpack_value(found[i]) }
      end
    end
  end
end
local function missing_nodes(path, missing)
  local above = ancestors(path)
  for i = 1, #above do
    if nodes[above[i]] == nil then
      missing[#missing + 1] = above[i]
    end
  end
  if nodes[path] == nil then
    missing[#missing + 1] = path
  end
  return missing
end
local function load_nodes(path)
  local missing = missing_nodes(path, {})
  if #missing > 0 then
    load({}, missing)
  end
end
local slots = { hrs = 1, hrn = 2, hws = 3, hwn = 4, qrs = 5, qrn = 6, qrb = 7, qws = 8, qwn = 9, qwb = 10 }
local function count(path, slot, change)
  local node = nodes[path]
  if node == nil then
    load({}, { path })
    node = nodes[path]
  end
  if not node then
    node = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 }
    nodes[path] = node
  end
  local at = slots[slot]
  node[at] = node[at] + change
  dirty_nodes[path] = true
end
local function flush_index()
  if #index_removals > 0 then
    call_all('ZREM', index_key, index_removals)
    index_removals = {}
  end
end
local function set_deadline(kind, id, deadline)
  changed = true
  deadline_additions[#deadline_additions + 1] = deadline
  deadline_additions[#deadline_additions + 1] = kind .. id
  if due == 0 or deadline < due then
    due = deadline
  end
end
local function deadline_of(kind, id)
  for i = #deadline_additions, 2, -2 do
    if deadline_additions[i] == kind .. id then
      return deadline_additions[i - 1]
    end
  end
  local score = call('ZSCORE', deadlines_key, kind .. id)
  return score and tonumber(score) or now
end
local function tell(to, text)
  if to == client then
    own_events[#own_events + 1] = text
  else
    local box = outbox[to]
    if box == nil then
      box = {}
      outbox[to] = box
    end
    box[#box + 1] = text
  end
end
local minute = 60 * 1000000
local function save()
  for to, box in pairs(outbox) do
    call('PUBLISH', ARGV[2] .. to, format('%.0f\\n', now) .. table.concat(box, '\\n'))
  end
  if not changed then
    return
  end
  if held_r + held_w + waits == 0 then
    call('DEL', table_key, index_key, deadlines_key)
    if last_token >= now then
      call('HSET', table_key, 'm', pack(last_token, last_ticket, 0, 0, 0, 0, 0, 0, 0))
      call('PEXPIREAT', table_key, math.ceil((last_token + minute) / 1000))
    end
    return
  end
  flush_index()
  if #deadline_removals > 0 then
    call_all('ZREM', deadlines_key, deadline_removals)
  end
  local removals, additions, latest = {}, {}, 0
  for id in pairs(dirty_records) do
    local record = records[id]
    if record then
      additions[#additions + 1] = 'r' .. id
      additions[#additions + 1] = pack(record)
    else
      removals[#removals + 1] = 'r' .. id
    end
  end
  for path in pairs(dirty_nodes) do
    local n = nodes[path]
    if n[1] + n[2] + n[3] + n[4] + n[5] + n[6] + n[7] + n[8] + n[9] + n[10] == 0 then
      removals[#removals + 1] = 'n' .. path
    else
      additions[#additions + 1] = 'n' .. path
      additions[#additions + 1] = pack(n[1], n[2], n[3], n[4], n[5], n[6], n[7], n[8], n[9], n[10])
    end
  end
  if #removals > 0 then
    call_all('HDEL', table_key, removals)
  end
  if #deadline_additions > 0 then
    call_all('ZADD', deadlines_key, deadline_additions)
    for i = 1, #deadline_additions, 2 do
      latest = math.max(latest, deadline_additions[i])
    end
  end
  local extend = latest + minute > keep
  if extend then
    keep = latest + 2 * minute
  end
  additions[#additions + 1] = 'm'
  additions[#additions + 1] = pack(last_token, last_ticket, held_r, held_w, waits, nested, pending, due, keep)
  call_all('HSET', table_key, additions)
  if extend then
    local at = math.ceil(keep / 1000)
    call('PEXPIREAT', table_key, at)
    call('PEXPIREAT', index_key, at)
    call('PEXPIREAT', deadlines_key, at)
  end
end
local STATE, TICKET, TOKEN, SINCE, TTL, CLIENT, TARGETS, WITHIN, BLOCKER, HOLDER = 1, 2, 3, 4, 5, 6, 7, 8, 9, 10
local look_limit, sweep_limit, cycle_limit = 64, 32, 1000
local modes = { R = { 'r', 's' }, W = { 'w', 's' }, r = { 'r', 'n' }, w = { 'w', 'n' } }
local function id_of(member)
  return sub(string.match(member, '^.*/(.*)$'), 18)
end
local function first(prefix, waived)
  local from, to = '[' .. prefix, '(' .. prefix .. '\\255'
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
      call('ZRANGEBYLEX', index_key, '[' .. prefix, '(' .. prefix .. '\\255', 'LIMIT', 0, cycle_limit - asked)
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
local gone = {}
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
local function settle()
  if #gone == 0 and pending == 0 then
    return
  end
  changed = true
  flush_index()
  if waits == 0 then
    if pending > 0 then
      call('ZREMRANGEBYLEX', index_key, '[p', '(p\\255')
      pending = 0
    end
    gone = {}
    return
  end
  local left, queue, at = look_limit, {}, 1
  local function gather(id, marked)
    local prefix = 'w' .. id .. '/'
    local watchers = call('ZRANGEBYLEX', index_key, '[' .. prefix, '(' .. prefix .. '\\255', 'LIMIT', 0, left + 1)
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
    local marks = call('ZRANGEBYLEX', index_key, '[p', '(p\\255', 'LIMIT', 0, 16)
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
local function answer()
  return { now, pending > 0 and 1 or 0, table.concat(own_events, '\\n') }
end
sweep()
local ended = {}
load({ unpack(ARGV, 4) }, {})
for at = 4, #ARGV do
  local id = ARGV[at]
  local record = record_of(id)
  ended[#ended + 1] = record and 1 or 0
  if record then
    drop(id, record)
  end
end
settle()
save()
local reply = answer()
for i = 1, #ended do
  reply[i + 3] = ended[i]
end
return reply`

export const restore: string = `local call, pack, unpack_value = redis.call, cmsgpack.pack, cmsgpack.unpack
local find, sub, format = string.find, string.sub, string.format
local table_key, index_key, deadlines_key = KEYS[1], KEYS[2], KEYS[3]
local client = ARGV[1]
local time = call('TIME')
local now = time[1] * 1000000 + time[2]
local last_token, last_ticket, held_r, held_w, waits, nested, pending, due, keep = 0, 0, 0, 0, 0, 0, 0, 0, 0
local head = call('HGET', table_key, 'm')
if head then
  last_token, last_ticket, held_r, held_w, waits, nested, pending, due, keep = unpack_value(head)
elseif call('EXISTS', index_key, deadlines_key) > 0 then
  call('ZCARD', index_key)
  call('ZCARD', deadlines_key)
  call('DEL', index_key, deadlines_key)
end
local records, nodes, ancestors_of = {}, {}, {}
local dirty_records, dirty_nodes, changed = {}, {}, false
local index_removals, deadline_removals, deadline_additions = {}, {}, {}
local outbox, own_events = {}, {}
local function call_all(command, key, arguments)
  for from = 1, #arguments, 1000 do
    call(command, key, unpack(arguments, from, math.min(from + 999, #arguments)))
  end
end
local function ticket_text(ticket)
  return format('%016.0f', ticket)
end
local function record_of(id)
  local record = records[id]
  if record == nil then
    local raw = call('HGET', table_key, 'r' .. id)
    record = raw and unpack_value(raw)
    records[id] = record
  end
  return record
end
local function set_record(id, record)
  records[id] = record
  dirty_records[id] = true
  changed = true
end
local function ancestors(path)
  local list = ancestors_of[path]
  if list == nil then
    list = {}
    local at = 0
    while at and at < #path do
      list[#list + 1] = sub(path, 1, at)
      at = find(path, '/', at + 1, true)
    end
    ancestors_of[path] = list
  end
  return list
end
local function load(ids, paths)
  local fields, count = {}, 0
  for i = 1, #ids do
    fields[i] = 'r' .. ids[i]
  end
  for i = 1, #paths do
    fields[#ids + i] = 'n' .. paths[i]
  end
  for from = 1, #fields, 1000 do
    local found = call('HMGET', table_key, unpack(fields, from, math.min(from + 999, #fields)))
    for i = 1, #found do
      count = count + 1
      if count <= #ids then
        records[ids[count]] = found[i] and unpack_value(found[i])
      else
        nodes[paths[count - #ids]] = found[i] and { unpack_value(found[i]) }
      end
    end
  end
end
local function missing_nodes(path, missing)
  local above = ancestors(path)
  for i = 1, #above do
    if nodes[above[i]] == nil then
      missing[#missing + 1] = above[i]
    end
  end
  if nodes[path] == nil then
    missing[#missing + 1] = path
  end
  return missing
end
local function load_nodes(path)
  local missing = missing_nodes(path, {})
  if #missing > 0 then
    load({}, missing)
  end
end
local slots = { hrs = 1, hrn = 2, hws = 3, hwn = 4, qrs = 5, qrn = 6, qrb = 7, qws = 8, qwn = 9, qwb = 10 }
local function count(path, slot, change)
  local node = nodes[path]
  if node == nil then
    load({}, { path })
    node = nodes[path]
  end
  if not node then
    node = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 }
    nodes[path] = node
  end
  local at = slots[slot]
  node[at] = node[at] + change
  dirty_nodes[path] = true
end
local function flush_index()
  if #index_removals > 0 then
    call_all('ZREM', index_key, index_removals)
    index_removals = {}
  end
end
local function set_deadline(kind, id, deadline)
  changed = true
  deadline_additions[#deadline_additions + 1] = deadline
  deadline_additions[#deadline_additions + 1] = kind .. id
  if due == 0 or deadline < due then
    due = deadline
  end
end
local function deadline_of(kind, id)
  for i = #deadline_additions, 2, -2 do
    if deadline_additions[i] == kind .. id then
      return deadline_additions[i - 1]
    end
  end
  local score = call('ZSCORE', deadlines_key, kind .. id)
  return score and tonumber(score) or now
end
local function tell(to, text)
  if to == client then
    own_events[#own_events + 1] = text
  else
    local box = outbox[to]
    if box == nil then
      box = {}
      outbox[to] = box
    end
    box[#box + 1] = text
  end
end
local minute = 60 * 1000000
local function save()
  for to, box in pairs(outbox) do
    call('PUBLISH', ARGV[2] .. to, format('%.0f\\n', now) .. table.concat(box, '\\n'))
  end
  if not changed then
    return
  end
  if held_r + held_w + waits == 0 then
    call('DEL', table_key, index_key, deadlines_key)
    if last_token >= now then
      call('HSET', table_key, 'm', pack(last_token, last_ticket, 0, 0, 0, 0, 0, 0, 0))
      call('PEXPIREAT', table_key, math.ceil((last_token + minute) / 1000))
    end
    return
  end
  flush_index()
  if #deadline_removals > 0 then
    call_all('ZREM', deadlines_key, deadline_removals)
  end
  local removals, additions, latest = {}, {}, 0
  for id in pairs(dirty_records) do
    local record = records[id]
    if record then
      additions[#additions + 1] = 'r' .. id
      additions[#additions + 1] = pack(record)
    else
      removals[#removals + 1] = 'r' .. id
    end
  end
  for path in pairs(dirty_nodes) do
    local n = nodes[path]
    if n[1] + n[2] + n[3] + n[4] + n[5] + n[6] + n[7] + n[8] + n[9] + n[10] == 0 then
      removals[#removals + 1] = 'n' .. path
    else
      additions[#additions + 1] = 'n' .. path
      additions[#additions + 1] = pack(n[1], n[2], n[3], n[4], n[5], n[6], n[7], n[8], n[9], n[10])
    end
  end
  if #removals > 0 then
    call_all('HDEL', table_key, removals)
  end
  if #deadline_additions > 0 then
    call_all('ZADD', deadlines_key, deadline_additions)
    for i = 1, #deadline_additions, 2 do
      latest = math.max(latest, deadline_additions[i])
    end
  end
  local extend = latest + minute > keep
  if extend then
    keep = latest + 2 * minute
  end
  additions[#additions + 1] = 'm'
  additions[#additions + 1] = pack(last_token, last_ticket, held_r, held_w, waits, nested, pending, due, keep)
  call_all('HSET', table_key, additions)
  if extend then
    local at = math.ceil(keep / 1000)
    call('PEXPIREAT', table_key, at)
    call('PEXPIREAT', index_key, at)
    call('PEXPIREAT', deadlines_key, at)
  end
end
local STATE, TICKET, TOKEN, SINCE, TTL, CLIENT, TARGETS, WITHIN, BLOCKER, HOLDER = 1, 2, 3, 4, 5, 6, 7, 8, 9, 10
local look_limit, sweep_limit, cycle_limit = 64, 32, 1000
local modes = { R = { 'r', 's' }, W = { 'w', 's' }, r = { 'r', 'n' }, w = { 'w', 'n' } }
local function id_of(member)
  return sub(string.match(member, '^.*/(.*)$'), 18)
end
local function first(prefix, waived)
  local from, to = '[' .. prefix, '(' .. prefix .. '\\255'
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
      call('ZRANGEBYLEX', index_key, '[' .. prefix, '(' .. prefix .. '\\255', 'LIMIT', 0, cycle_limit - asked)
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
local gone = {}
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
local function settle()
  if #gone == 0 and pending == 0 then
    return
  end
  changed = true
  flush_index()
  if waits == 0 then
    if pending > 0 then
      call('ZREMRANGEBYLEX', index_key, '[p', '(p\\255')
      pending = 0
    end
    gone = {}
    return
  end
  local left, queue, at = look_limit, {}, 1
  local function gather(id, marked)
    local prefix = 'w' .. id .. '/'
    local watchers = call('ZRANGEBYLEX', index_key, '[' .. prefix, '(' .. prefix .. '\\255', 'LIMIT', 0, left + 1)
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
    local marks = call('ZRANGEBYLEX', index_key, '[p', '(p\\255', 'LIMIT', 0, 16)
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
local function answer()
  return { now, pending > 0 and 1 or 0, table.concat(own_events, '\\n') }
end
if now > tonumber(ARGV[3]) then
  return { now, -1 }
end
sweep()
local id = ARGV[4]
local record = record_of(id)
local deadline = now + tonumber(ARGV[5]) * 1000
local live = record and record[STATE] == 'h'
if live then
  record[CLIENT] = client
  record[TTL] = tonumber(ARGV[5])
  set_record(id, record)
  set_deadline('h', id, deadline)
end
save()
local reply = answer()
if live then
  reply[4], reply[5] = record[TOKEN], deadline
  for i = 1, #record[TARGETS] do
    reply[5 + i] = record[TARGETS][i]
  end
end
return reply`
