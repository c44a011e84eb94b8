// Generated from packages/redis/lua by `npm run codegen`. Do not edit.

export const acquire: string = `if #ARGV <= 125 then
local call, pack, unpack_values, sub, byte, find = redis.call, cmsgpack.pack, cmsgpack.unpack, string.sub, string.byte, string.find
local fields, values, plain = { 'm' }, 0, true
for at = 6, #ARGV, 2 do
  if ARGV[at] == '' then
    plain = false
    break
  end
  fields[values + 2], fields[values + 3] = 'r' .. ARGV[at], 'n' .. sub(ARGV[at + 1], 2)
  values = values + 2
end
local found, head, time, now = nil, nil, nil, 0
if plain then
  found = call('HMGET', KEYS[1], unpack(fields))
  if found[1] then
    head = { unpack_values(found[1]) }
  elseif call('EXISTS', KEYS[2], KEYS[3]) == 0 then
    head = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 999, 0 }
  end
  time = call('TIME')
  now = time[1] * 1000000 + time[2]
  plain = head and head[7] == 0 and (head[8] == 0 or head[8] > now) and now <= (tonumber(ARGV[3]) or 0)
end
local indexed = plain and (head[5] > 0 or 2 * (head[3] + head[4]) > #head - 11)
local free = plain and head[5] == 0
local mine, above, shallow, deep, fresh = {}, {}, free and head[10], free and head[11], nil
for i = 2, free and values or 0, 2 do
  local id, own = fields[i], fields[i + 1]
  if found[i] or found[i + 1] or mine[id] or mine[own] then
    free = false
    break
  end
  mine[id], mine[own] = true, 2
  local path, mode, at, depth = sub(own, 2), byte(ARGV[i + 5]), 0, 0
  while at and at < #path do
    if values > 2 or depth >= shallow then
      local higher = 'n' .. sub(path, 1, at)
      if mine[higher] == 2 then
        free = false
        break
      end
      mine[higher] = 1
      if depth >= shallow then
        above[#above + 1] = higher
      end
    end
    depth = depth + 1
    at = find(path, '/', at + 1, true)
  end
  if mode < 97 then
    if depth < head[11] then
      fresh = fresh or '\\0' .. table.concat(head, '\\0', 12)
      local exclusive, shared = 'hw' .. path, 'hr' .. path
      if find(fresh, '\\0' .. exclusive, 1, true)
        or mode == 87 and find(fresh, '\\0' .. shared, 1, true)
        or indexed
          and (not call('ZSCORE', KEYS[2], '!' .. KEYS[1])
            or head[4] > 0 and call('ZLEXCOUNT', KEYS[2], '[' .. exclusive, '(' .. exclusive .. '\\255') > 0
            or mode == 87 and head[3] > 0 and call('ZLEXCOUNT', KEYS[2], '[' .. shared, '(' .. shared .. '\\255') > 0)
      then
        free = false
      end
    end
    if depth < shallow then
      shallow = depth
    end
  end
  if depth > deep then
    deep = depth
  end
  if not free then
    break
  end
end
if free and #above > 0 then
  local higher = call('HMGET', KEYS[1], unpack(above))
  for i = 1, #above do
    free = free and not higher[i]
  end
end
if free then
  local ttl, minute, stays_fresh = tonumber(ARGV[5]), 60000000, 2 * (head[3] + head[4]) <= 12 + values
  local deadline, i = now + ttl * 1000, 0
  local first = head[1] < now and now or head[1] + 1
  local index, deadlines, hash = {}, {}, { 'm', '' }
  for at = 6, #ARGV, 2 do
    local id, target = ARGV[at], ARGV[at + 1]
    local mode, path = byte(target), sub(target, 2)
    local ticket = string.format('%016d', head[2] + i + 1)
    local member, node = 'hr' .. path .. '/s' .. ticket .. id, '\\1\\0\\0\\0\\0\\0\\0\\0'
    if mode == 87 then
      member, node, head[4] = 'hw' .. path .. '/s' .. ticket .. id, '\\0\\0\\1\\0\\0\\0\\0\\0', head[4] + 1
    elseif mode == 119 then
      member, node, head[4] = 'hw' .. path .. '/n' .. ticket .. id, '\\0\\0\\0\\1\\0\\0\\0\\0', head[4] + 1
    elseif mode == 114 then
      member, node, head[3] = 'hr' .. path .. '/n' .. ticket .. id, '\\0\\1\\0\\0\\0\\0\\0\\0', head[3] + 1
    else
      head[3] = head[3] + 1
    end
    if stays_fresh then
      head[#head + 1] = member
      head[#head + 1] = deadline
    else
      index[2 * i + 1], index[2 * i + 2] = 0, member
      deadlines[2 * i + 1], deadlines[2 * i + 2] = deadline, 'h' .. id
    end
    hash[4 * i + 3], hash[4 * i + 4] = fields[2 * i + 3], node
    hash[4 * i + 5] = fields[2 * i + 2]
    hash[4 * i + 6] = pack('h', ticket, first + i, now, ttl, ARGV[1], ARGV[4], '', 1, target)
    i = i + 1
  end
  local extend = deadline + minute > head[9] or not (stays_fresh or indexed)
  if extend then
    head[9] = math.max(head[9], deadline + 2 * minute)
  end
  if head[8] == 0 or deadline < head[8] then
    head[8] = deadline
  end
  head[1], head[2], head[10], head[11] = first + i - 1, head[2] + i, shallow, deep
  hash[2] = pack(unpack(head))
  if not stays_fresh then
    if not indexed then
      index[2 * i + 1], index[2 * i + 2] = 0, '!' .. KEYS[1]
      deadlines[2 * i + 1], deadlines[2 * i + 2] = 'inf', '!' .. KEYS[1]
    end
    call('ZADD', KEYS[2], unpack(index))
    call('ZADD', KEYS[3], unpack(deadlines))
  end
  call('HSET', KEYS[1], unpack(hash))
  if extend then
    local expiry = math.ceil(head[9] / 1000)
    call('PEXPIREAT', KEYS[1], expiry)
    if indexed or not stays_fresh then
      call('PEXPIREAT', KEYS[2], expiry)
      call('PEXPIREAT', KEYS[3], expiry)
    end
  end
  return time[1] .. ' ' .. time[2] .. (first > now and string.format(' %.0f', first) or '')
end
if plain and values == 2 and found[3] and not found[2] then
  local id, target = ARGV[6], ARGV[7]
  local mode, path = byte(target), sub(target, 2)
  local exclusive, subtree = mode == 87 or mode == 119, mode < 97
  local node, ticket = { unpack_values(found[3]) }, string.format('%016d', head[2] + 1)
  local latest, blocker, blocked_until, is_alone = '', nil, nil, true
  local higher, at = {}, 0
  while at and at < #path do
    higher[#higher + 1] = sub(path, 1, at)
    at = find(path, '/', at + 1, true)
  end
  if head[5] > 0 then
    for slot = exclusive and 5 or 7, 8 do
      if node[slot] > 0 then
        local list = (slot > 6 and 'qw' or 'qr') .. path .. (slot % 2 == 1 and '/s' or '/n')
        local member = call('ZREVRANGEBYLEX', KEYS[2], '(' .. list .. '\\255', '[' .. list, 'LIMIT', 0, 1)[1]
        if member and sub(member, #list + 1) > latest then
          latest = sub(member, #list + 1)
        end
      end
    end
  end
  local others = head[5] > 0 and tonumber(sub(latest, 1, 16)) ~= head[2]
  if others and subtree and #higher < head[11] then
    for slot = exclusive and 1 or 2, 2 do
      local list = (slot == 2 and 'qw' or 'qr') .. path .. '/b'
      local member = call('ZREVRANGEBYLEX', KEYS[2], '(' .. list .. '\\255', '[' .. list, 'LIMIT', 0, 1)[1]
      if member and sub(member, #list + 1) > latest then
        latest = sub(member, #list + 1)
      end
    end
  end
  if #higher > 0 and others then
    local nodes = {}
    for i = 1, #higher do
      nodes[i] = 'n' .. higher[i]
    end
    local raw = call('HMGET', KEYS[1], unpack(nodes))
    for i = 1, #higher do
      is_alone = is_alone and not raw[i]
    end
  end
  if is_alone and latest ~= '' then
    blocker = sub(latest, 17)
    blocked_until = call('ZSCORE', KEYS[3], 'q' .. blocker)
  elseif is_alone then
    for slot = 1, exclusive and 2 or 1 do
      local list, member = (slot == 1 and 'hw' or 'hr') .. path .. (subtree and '' or '/'), nil
      if indexed and not blocker then
        member = call('ZRANGEBYLEX', KEYS[2], '[' .. list, '(' .. list .. '\\255', 'LIMIT', 0, 1)[1]
      end
      for j = 12, blocker and 0 or #head, 2 do
        if sub(head[j], 1, #list) == list and not (member and member < head[j]) then
          member, blocked_until = head[j], head[j + 1]
        end
      end
      if member then
        blocker = sub(string.match(member, '^.*/(.*)$'), 18)
        blocked_until = blocked_until or call('ZSCORE', KEYS[3], 'h' .. blocker)
      end
    end
  end
  if blocker and blocked_until then
    local ttl, minute, slot = tonumber(ARGV[5]), 60000000, (exclusive and 7 or 5) + (subtree and 0 or 1)
    local deadline, tail, kind = now + ttl * 1000, ticket .. id, exclusive and 'qw' or 'qr'
    local index = { 0, kind .. path .. (subtree and '/s' or '/n') .. tail, 0, 'w' .. blocker .. '/' .. tail }
    for i = 1, #higher do
      index[2 * i + 3], index[2 * i + 4] = 0, kind .. higher[i] .. '/b' .. tail
    end
    if not indexed then
      index[#index + 1], index[#index + 2] = 0, '!' .. KEYS[1]
      call('ZADD', KEYS[3], 'inf', '!' .. KEYS[1])
    end
    local extend = deadline + minute > head[9] or not indexed
    if extend then
      head[9] = math.max(head[9], deadline + 2 * minute)
    end
    if deadline < head[8] then
      head[8] = deadline
    end
    head[2], head[5], node[slot] = head[2] + 1, head[5] + 1, node[slot] + 1
    head[11] = math.max(head[11], #higher)
    local record = pack('q', ticket, 0, now, ttl, ARGV[1], ARGV[4], blocker, 1, target)
    call('ZADD', KEYS[2], unpack(index))
    call('ZADD', KEYS[3], deadline, 'q' .. id)
    call('HSET', KEYS[1], 'm', pack(unpack(head)), fields[2], record, fields[3], pack(unpack(node)))
if extend then
  local expiry = math.ceil(head[9] / 1000)
  call('PEXPIREAT', KEYS[1], expiry)
  call('PEXPIREAT', KEYS[2], expiry)
  call('PEXPIREAT', KEYS[3], expiry)
end
    return { now, 0, '', 2, blocker, tonumber(blocked_until) }
  end
end
end
local call, pack, unpack_values, sub, byte = redis.call, cmsgpack.pack, cmsgpack.unpack, string.sub, string.byte
local table_key, index_key, deadlines_key = KEYS[1], KEYS[2], KEYS[3]
local time = call('TIME')
local now = time[1] * 1000000 + time[2]
local token_floor = 0
if not tonumber(ARGV[3]) then
  local late, token = string.match(ARGV[3], '^(%d+) (%d+)$')
  ARGV[3], token_floor = late, tonumber(token)
end
local F, cache, above = {}, {}, {}
local dirty, index_changes, deadline_removals, deadline_additions = {}, {}, {}, {}
local gone, gone_target, own_events, outbox = {}, {}, nil, nil
local changed, stamped, stamp = false, false, '!' .. table_key
local last_token, last_ticket, held_r, held_w, waits, nested, pending, due, keep, shallow, deep =
  0, 0, 0, 0, 0, 0, 0, 0, 0, 999, 0
local function load(fields)
  for from = 1, #fields, 4000 do
    local to = math.min(from + 3999, #fields)
    local found = call('HMGET', table_key, unpack(fields, from, to))
    for i = from, to do
      if cache[fields[i]] == nil then
        local raw = found[i - from + 1]
        cache[fields[i]] = raw and { unpack_values(raw) }
      end
    end
  end
end
local function set(field, value)
  cache[field] = value
  changed = true
  if not dirty[field] then
    dirty[field] = true
    dirty[#dirty + 1] = field
  end
end
local function paths_above(path)
  local list, at, n = {}, 0, 0
  while at and at < #path do
    n = n + 1
    list[n] = sub(path, 1, at)
    at = string.find(path, '/', at + 1, true)
  end
  return list
end
local function want_nodes(path, fields)
  local list = above[path]
  if not list then
    list = paths_above(path)
    above[path] = list
    for j = 0, #list do
      local field = 'n' .. (list[j] or path)
      if cache[field] == nil and not fields[field] then
        fields[field] = true
        fields[#fields + 1] = field
      end
    end
  end
  return list
end
local function nodes_above(path)
  local missing = {}
  local list = want_nodes(path, missing)
  load(missing)
  return list
end
local function begin(fields, asks)
  fields[#fields + 1] = 'm'
  load(fields)
  if cache.m then
    last_token, last_ticket, held_r, held_w, waits, nested, pending, due, keep, shallow, deep =
      unpack(cache.m)
    stamped = waits > 0 or 2 * (held_r + held_w) > #cache.m - 11
    local in_index = not stamped or call('ZSCORE', index_key, stamp)
    local in_deadlines = not stamped or call('ZSCORE', deadlines_key, stamp)
    if not (in_index and in_deadlines) then
      F.rest()
      F.give_up()
    elseif cache.m[12] then
      if not asks then
        call('ZREM', index_key, '')
      end
      local index, deadlines = {}, {}
      for at = 12, #cache.m, 2 do
        local n = #index
        index[n + 1], index[n + 2] = 0, cache.m[at]
        deadlines[n + 1], deadlines[n + 2] = cache.m[at + 1], 'h' .. sub(string.match(cache.m[at], '^.*/(.*)$'), 18)
      end
      call('ZADD', index_key, unpack(index))
      call('ZADD', deadlines_key, unpack(deadlines))
      changed = true
    end
  elseif call('EXISTS', index_key, deadlines_key) > 0 then
    call('ZCARD', index_key)
    call('ZCARD', deadlines_key)
    call('DEL', index_key, deadlines_key)
  end
  if last_token < token_floor then
    last_token = token_floor
  end
  if pending > 0 or due ~= 0 and due <= now then
    F.rest()
    F.sweep()
  end
end
local function save()
  if outbox then
    F.publish()
  end
  if not changed then
    return
  end
  local minute, latest = 60000000, 0
  if held_r + held_w + waits == 0 then
    call('DEL', table_key, index_key, deadlines_key)
    if last_token >= now then
      keep = last_token + minute
      call('HSET', table_key, 'm', pack(last_token, last_ticket, 0, 0, 0, 0, 0, 0, keep, 999, 0))
      call('PEXPIREAT', table_key, math.ceil(keep / 1000))
    end
    return
  end
  F.flush_index()
  if #deadline_removals > 0 then
    F.flush_deadlines()
  end
  local removals, additions, a = {}, {}, 2
  for i = 1, #dirty do
    local field = dirty[i]
    local value = cache[field]
    if value then
      additions[a + 1], additions[a + 2] = field, pack(unpack(value))
      a = a + 2
    else
      removals[#removals + 1] = field
    end
  end
  if #removals > 0 then
    F.call_all('HDEL', table_key, removals)
  end
  if #deadline_additions > 0 then
    F.call_all('ZADD', deadlines_key, deadline_additions)
    for i = 1, #deadline_additions, 2 do
      if deadline_additions[i] > latest then
        latest = deadline_additions[i]
      end
    end
  end
  if not stamped then
    call('ZADD', index_key, 0, stamp)
    call('ZADD', deadlines_key, 'inf', stamp)
  end
  local extend = not stamped or latest + minute > keep
  if extend then
    keep = math.max(keep, latest + 2 * minute)
  end
  additions[1] = 'm'
  additions[2] = pack(last_token, last_ticket, held_r, held_w, waits, nested, pending, due, keep, shallow, deep)
  F.call_all('HSET', table_key, additions)
  if extend then
    local at = math.ceil(keep / 1000)
    call('PEXPIREAT', table_key, at)
    call('PEXPIREAT', index_key, at)
    call('PEXPIREAT', deadlines_key, at)
  end
end
function F.index(member, is_there)
  local letter = sub(member, 1, 1)
  local changes = index_changes[letter]
  if not changes then
    changes = {}
    index_changes[letter] = changes
  end
  if changes[member] == nil then
    changes[#changes + 1] = member
  end
  changes[member] = is_there
end
function F.flush_index(letter)
  if next(index_changes) == nil or letter and not index_changes[letter] then
    return
  end
  local removals, additions = {}, {}
  for kind, changes in pairs(index_changes) do
    if not letter or kind == letter then
      for i = 1, #changes do
        if changes[changes[i]] then
          additions[#additions + 1] = 0
          additions[#additions + 1] = changes[i]
        else
          removals[#removals + 1] = changes[i]
        end
      end
      index_changes[kind] = nil
    end
  end
  if #removals > 0 then
    F.call_all('ZREM', index_key, removals)
  end
  if #additions > 0 then
    F.call_all('ZADD', index_key, additions)
  end
end
function F.call_all(command, key, arguments)
  if #arguments <= 4000 then
    return call(command, key, unpack(arguments))
  end
  for from = 1, #arguments, 4000 do
    call(command, key, unpack(arguments, from, math.min(from + 3999, #arguments)))
  end
end
local function answer(values)
  local more = pending > 0 or due ~= 0 and due <= now
  values[1], values[2], values[3] = now, more and 1 or 0, own_events and table.concat(own_events, '\\n') or ''
  return values
end
if now > tonumber(ARGV[3]) then
  return { now, -1 }
end
local STATE, TICKET, TOKEN, SINCE, TTL, CLIENT, HOLDER, BLOCKER, N = 1, 2, 3, 4, 5, 6, 7, 8, 9
local function add_nodes(record, fields)
  local segments = 0
  for i = N + 1, N + record[N] do
    segments = segments + #want_nodes(sub(record[i], 2), fields)
  end
  return segments
end
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
    if mode == 87 or mode == 119 then
      member, slot, held_w = 'hw' .. path .. member, slot + 2, held_w + change
    else
      member, held_r = 'hr' .. path .. member, held_r + change
    end
    F.index(member, change > 0)
    count(path, slot, change)
  end
end
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
  local node = cache['n' .. path]
  local below = mode < 97 and #list < deep
  local own = mode < 97 and path or path .. '/'
  if below then
    F.flush_index('h')
  end
  if held_w > 0
    and (node and node[3] + node[4] > 0
      or below and call('ZLEXCOUNT', index_key, '[hw' .. own, '(hw' .. own .. '\\255') > 0)
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
      or below and call('ZLEXCOUNT', index_key, '[hr' .. own, '(hr' .. own .. '\\255') > 0)
  then
    F.rest()
    return F.first('hr' .. own, waived)
  end
  return nil
end
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
local function drop(id, record)
  if record[STATE] == 'h' then
    place_held(id, record, -1)
    local mode = byte(record[N + 1])
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
  for i = #deadline_additions, 2, -2 do
    if deadline_additions[i] == member then
      table.remove(deadline_additions, i)
      table.remove(deadline_additions, i - 1)
    end
  end
  set('r' .. id, false)
  gone[#gone + 1] = id
end
function F.rest()
  F.rest = function() end
  function F.record(id)
    local field = 'r' .. id
    if cache[field] == nil then
      load({ field })
    end
    return cache[field]
  end
  function F.flush_deadlines()
    F.call_all('ZREM', deadlines_key, deadline_removals)
    deadline_removals = {}
    if #deadline_additions > 0 then
      F.call_all('ZADD', deadlines_key, deadline_additions)
    end
  end
  function F.give_up()
    call('DEL', table_key, index_key, deadlines_key)
    for field in pairs(cache) do
      cache[field] = false
    end
    dirty, index_changes, deadline_removals, deadline_additions, gone = {}, {}, {}, {}, {}
    held_r, held_w, waits, nested, pending, due, keep, shallow, deep = 0, 0, 0, 0, 0, 0, 0, 999, 0
    changed, stamped = true, false
  end
  function F.set_deadline(member, deadline)
    deadline_additions[#deadline_additions + 1] = deadline
    deadline_additions[#deadline_additions + 1] = member
    changed = true
    if due == 0 or deadline < due then
      due = deadline
    end
  end
  local scores = {}
  function F.deadline_of(id)
    local record = F.record(id)
    if not record then
      return now
    end
    local member = record[STATE] .. id
    for i = #deadline_additions, 2, -2 do
      if deadline_additions[i] == member then
        return deadline_additions[i - 1]
      end
    end
    if scores[member] == nil then
      scores[member] = call('ZSCORE', deadlines_key, member)
    end
    return scores[member] and tonumber(scores[member]) or now
  end
  function F.limit(id)
    local record = F.record(id)
    local latest = record and now + record[TTL] * 1000
    if record and F.deadline_of(id) > latest then
      F.set_deadline(record[STATE] .. id, latest)
    end
  end
  function F.sooner(id)
    if waits > 0 then
      local prefix = 'w' .. id .. '/'
      F.flush_index('w')
      local watchers = call('ZRANGEBYLEX', index_key, '[' .. prefix, '(' .. prefix .. '\\255', 'LIMIT', 0, 64)
      for i = 1, #watchers do
        local watcher = sub(watchers[i], #prefix + 17)
        local record = F.record(watcher)
        if record then
          F.tell(record[CLIENT], 'l ' .. watcher)
        end
      end
    end
  end
  function F.tell(client, text)
    local box
    if client == ARGV[1] then
      own_events = own_events or {}
      box = own_events
    else
      outbox = outbox or {}
      outbox[client] = outbox[client] or {}
      box = outbox[client]
    end
    box[#box + 1] = text
  end
  function F.named(name)
    if byte(name) == 33 then
      return sub(name, 2), nil
    end
    local slash = string.find(name, '/', 1, true)
    if slash then
      return sub(name, 1, slash - 1), sub(name, slash + 1)
    end
    return name, name
  end
  function F.whose(id, record)
    local parts = {}
    for part in string.gmatch((record and record[CLIENT] or '') .. '\\0/', '(.-)%z/') do
      parts[#parts + 1] = part
    end
    return parts[1], parts[2] or id, parts[3], parts[4], parts[5]
  end
  function F.owned(id, client, owner)
    return owner == id and client or client .. '\\0/' .. owner
  end
  function F.is_owner(owner, id, record)
    if not owner then
      return true
    end
    local _, its_owner = F.whose(id, record)
    return owner == its_owner
  end
  function F.tell_owner(letter, id, record)
    local client, owner = F.whose(id, record)
    F.tell(client, letter .. ' ' .. id .. (owner == id and '' or ' ' .. owner))
  end
  function F.publish()
    for client, box in pairs(outbox) do
      call('PUBLISH', ARGV[2] .. client, string.format('%.0f\\n', now) .. table.concat(box, '\\n'))
    end
  end
  function F.describe(id)
    local record = F.record(id)
    local shown = {
      id,
      record[STATE],
      tonumber(record[TICKET]),
      record[TOKEN],
      record[SINCE],
      F.deadline_of(id),
      record[BLOCKER],
      record[HOLDER]
    }
    for i = N, #record do
      shown[i] = record[i]
    end
    return shown
  end
  function F.enclosing(record)
    local enclosing = {}
    for i = N + record[N] + 1, #record do
      enclosing[record[i]] = true
    end
    return enclosing
  end
  function F.first(prefix, waived)
    local from, to, offset, page = '[' .. prefix, '(' .. prefix .. '\\255', 0, waived and 32 or 1
    F.flush_index(sub(prefix, 1, 1))
    while true do
      local members = call('ZRANGEBYLEX', index_key, from, to, 'LIMIT', offset, page)
      for i = 1, #members do
        local id = sub(string.match(members[i], '^.*/(.*)$'), 18)
        if not (waived and waived[id]) then
          return id
        end
      end
      if #members < page then
        return nil
      end
      offset = offset + page
    end
  end
  function F.sweep()
    local limit = 32
    if due ~= 0 and due <= now then
      local members = call('ZRANGEBYSCORE', deadlines_key, '-inf', string.format('%.0f', now), 'LIMIT', 0, limit)
      local next = call('ZRANGE', deadlines_key, #members, #members, 'WITHSCORES')
      due = next[2] and next[1] ~= stamp and tonumber(next[2]) or 0
      changed = true
      for i = 1, #members do
        local id = sub(members[i], 2)
        local record = F.record(id)
        if record and record[STATE] == sub(members[i], 1, 1) then
          if record[STATE] == 'h' then
            F.tell_owner('e', id, record)
          else
            F.tell(record[CLIENT], 'x ' .. id)
          end
          drop(id, record)
        else
          return F.give_up()
        end
      end
    end
    F.settle()
  end
  function F.earlier_waiting(record)
    local ticket, latest_ticket, latest = record[TICKET], 0, nil
    local function consider(list)
      F.flush_index('q')
      local member = call('ZREVRANGEBYLEX', index_key, '(' .. list .. ticket, '[' .. list, 'LIMIT', 0, 1)[1]
      local its_ticket = member and tonumber(sub(member, #list + 1, #list + 16))
      if member and its_ticket > latest_ticket then
        latest_ticket, latest = its_ticket, sub(member, #list + 17)
      end
    end
    local function consider_node(kind, path, subtree, alone)
      if subtree > 0 then
        consider(kind .. path .. '/s')
      end
      if alone > 0 then
        consider(kind .. path .. '/n')
      end
    end
    for i = N + 1, N + record[N] do
      local mode, path = byte(record[i]), sub(record[i], 2)
      local exclusive = mode == 87 or mode == 119
      local list = nodes_above(path)
      for j = 1, #list do
        local node = cache['n' .. list[j]]
        if node then
          consider_node('qw', list[j], node[7], 0)
          consider_node('qr', list[j], exclusive and node[5] or 0, 0)
        end
      end
      local node = cache['n' .. path]
      if node then
        consider_node('qw', path, node[7], node[8])
        if exclusive then
          consider_node('qr', path, node[5], node[6])
        end
      end
      if mode < 97 and #list < deep then
        consider('qw' .. path .. '/b')
        if exclusive then
          consider('qr' .. path .. '/b')
        end
      end
    end
    return latest
  end
  function F.place_waiting(id, record, change)
    local tail, is_there = record[TICKET] .. id, change > 0
    for i = N + 1, N + record[N] do
      local mode, path = byte(record[i]), sub(record[i], 2)
      local exclusive, subtree = mode == 87 or mode == 119, mode < 97
      local kind, slot = exclusive and 'qw' or 'qr', exclusive and 7 or 5
      local list = above[path] or paths_above(path)
      F.index(kind .. path .. (subtree and '/s' or '/n') .. tail, is_there)
      count(path, subtree and slot or slot + 1, change)
      for j = 1, #list do
        F.index(kind .. list[j] .. '/b' .. tail, is_there)
      end
      deep = math.max(deep, #list)
    end
    local from = N + record[N] + 1
    for i = from, #record do
      F.index('n' .. record[i] .. '/' .. id, is_there)
    end
    waits = waits + change
    if from <= #record then
      nested = nested + change
    end
  end
  function F.cycle_to(enclosing, blocker)
    local left, seen = 1000, {}
    local function walk(lease)
      if seen[lease] or left <= 0 or not F.record(lease) then
        return nil
      end
      if enclosing[lease] then
        return { lease }
      end
      seen[lease] = true
      local prefix = 'n' .. lease .. '/'
      local inside = call('ZRANGEBYLEX', index_key, '[' .. prefix, '(' .. prefix .. '\\255', 'LIMIT', 0, left)
      left = left - #inside
      for i = 1, #inside do
        local id = sub(inside[i], #prefix + 1)
        local record = F.record(id)
        local rest = record and record[BLOCKER] ~= '' and walk(record[BLOCKER])
        if rest then
          table.insert(rest, 1, id)
          table.insert(rest, 1, lease)
          return rest
        end
      end
      return nil
    end
    F.flush_index('n')
    return walk(blocker)
  end
  function F.watch(id, record, blocker)
    record[BLOCKER] = blocker
    F.index('w' .. blocker .. '/' .. record[TICKET] .. id, true)
    set('r' .. id, record)
    local cycle = nested > 1 and #record > N + record[N] and F.cycle_to(F.enclosing(record), blocker)
    if cycle then
      table.insert(cycle, 1, id)
    end
    return cycle
  end
  function F.settle(wanted)
    local left, queue, at, target_of = math.max(16, wanted or 0), {}, 1, {}
    local function gather(id, marked)
      local prefix = 'w' .. id .. '/'
      F.flush_index('w')
      local watchers = call('ZRANGEBYLEX', index_key, '[' .. prefix, '(' .. prefix .. '\\255', 'LIMIT', 0, left + 1)
      local more = #watchers > left
      if more then
        watchers[#watchers] = nil
      end
      if #watchers > 0 then
        F.call_all('ZREM', index_key, watchers)
      end
      for i = 1, #watchers do
        queue[#queue + 1] = sub(watchers[i], #prefix + 1)
        target_of[queue[#queue]] = gone_target[id]
      end
      left = left - #watchers
      if more and not marked then
        pending = pending + call('ZADD', index_key, 0, 'p' .. id)
      elseif marked and not more then
        pending = pending - call('ZREM', index_key, 'p' .. id)
      end
    end
    local function gather_gone()
      for i = 1, #gone do
        gather(gone[i], false)
      end
      gone = {}
      table.sort(queue)
      local fields = {}
      for i = at, #queue do
        fields[#fields + 1] = 'r' .. sub(queue[i], 17)
      end
      load(fields)
      fields = {}
      for i = at, #queue do
        local record = F.record(sub(queue[i], 17))
        if record then
          add_nodes(record, fields)
        end
      end
      load(fields)
    end
    if #gone == 0 and pending == 0 then
      return
    end
    changed = true
    if waits == 0 then
      call('ZREMRANGEBYLEX', index_key, '[p', '(p\\255')
      gone, pending = {}, 0
      return
    end
    if pending > 0 then
      for _, mark in ipairs(call('ZRANGEBYLEX', index_key, '[p', '(p\\255', 'LIMIT', 0, 16)) do
        gather(sub(mark, 2), true)
      end
    end
    gather_gone()
    while at <= #queue do
      local id, target = sub(queue[at], 17), target_of[queue[at]]
      local record = F.record(id)
      at = at + 1
      if record and record[STATE] == 'q' then
        local blocker = blocker_of(record, target and #record == N + 1 and record[N + 1] == target)
        if not blocker then
          F.place_waiting(id, record, -1)
          deadline_removals[#deadline_removals + 1] = 'q' .. id
          local deadline = grant(id, record)
          F.tell(record[CLIENT], string.format('g %s %.0f %.0f', id, record[TOKEN], deadline))
        else
          local cycle = F.watch(id, record, blocker)
          if cycle then
            F.tell(record[CLIENT], 'd ' .. table.concat(cycle, ' '))
            drop(id, record)
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
local ids, records, queued, fields, at = {}, {}, {}, {}, 6
while at <= #ARGV do
  local i = #ids + 1
  local record = { 'q', '', 0, now, tonumber(ARGV[5]), ARGV[1], ARGV[4], '', 1, ARGV[at + 1] }
  if ARGV[at] ~= '' then
    ids[i], queued[i] = ARGV[at], record[TTL]
    at = at + 2
  else
    local n = tonumber(ARGV[at + 5])
    local within = at + 6 + n
    if n + ARGV[within] > 3900 then
      return redis.error_reply('ERR too many targets in one request')
    end
    ids[i], queued[i] = ARGV[at + 1], tonumber(sub(ARGV[at + 3], 2))
    record[TTL], record[HOLDER], record[N] = tonumber(ARGV[at + 2]), ARGV[at + 4], n
    if ARGV[at + 3] == 'q' then
      queued[i] = record[TTL]
    end
    for t = 1, n do
      record[N + t] = ARGV[at + 5 + t]
    end
    for w = 1, tonumber(ARGV[within]) do
      record[N + n + w] = ARGV[within + w]
    end
    at = within + ARGV[within] + 1
  end
  records[i], fields[#fields + 1] = record, 'r' .. ids[i]
  if add_nodes(record, fields) > 4000 then
    return redis.error_reply('ERR too many segments in the paths of one request')
  end
end
begin(fields, true)
local answers = {}
for i = 1, #ids do
  local id, record, a = ids[i], records[i], 3 * i + 1
  local known = cache['r' .. id]
  if known then
    F.rest()
    answers[a], answers[a + 1], answers[a + 2] = 1, known[TOKEN], F.deadline_of(id)
    if known[STATE] == 'q' then
      answers[a], answers[a + 1], answers[a + 2] = 2, known[BLOCKER], F.deadline_of(known[BLOCKER])
    end
  else
    record[TICKET] = string.format('%016d', last_ticket + 1)
    local blocker = blocker_of(record)
    if not blocker then
      last_ticket = last_ticket + 1
      answers[a + 2] = grant(id, record)
      answers[a], answers[a + 1] = 1, record[TOKEN]
    elseif not queued[i] then
      F.rest()
      F.limit(blocker)
      answers[a], answers[a + 1], answers[a + 2] = 3, F.describe(blocker), 0
    else
      last_ticket = last_ticket + 1
      F.place_waiting(id, record, 1)
      local cycle = F.watch(id, record, blocker)
      if cycle then
        drop(id, record)
        answers[a], answers[a + 1], answers[a + 2] = 4, table.concat(cycle, ' '), 0
      else
        F.set_deadline('q' .. id, now + queued[i] * 1000)
        answers[a], answers[a + 1], answers[a + 2] = 2, blocker, F.deadline_of(blocker)
      end
    end
  end
end
save()
return answer(answers)`

export const breakLease: string = `local call, pack, unpack_values, sub, byte = redis.call, cmsgpack.pack, cmsgpack.unpack, string.sub, string.byte
local table_key, index_key, deadlines_key = KEYS[1], KEYS[2], KEYS[3]
local time = call('TIME')
local now = time[1] * 1000000 + time[2]
local token_floor = 0
if not tonumber(ARGV[3]) then
  local late, token = string.match(ARGV[3], '^(%d+) (%d+)$')
  ARGV[3], token_floor = late, tonumber(token)
end
local F, cache, above = {}, {}, {}
local dirty, index_changes, deadline_removals, deadline_additions = {}, {}, {}, {}
local gone, gone_target, own_events, outbox = {}, {}, nil, nil
local changed, stamped, stamp = false, false, '!' .. table_key
local last_token, last_ticket, held_r, held_w, waits, nested, pending, due, keep, shallow, deep =
  0, 0, 0, 0, 0, 0, 0, 0, 0, 999, 0
local function load(fields)
  for from = 1, #fields, 4000 do
    local to = math.min(from + 3999, #fields)
    local found = call('HMGET', table_key, unpack(fields, from, to))
    for i = from, to do
      if cache[fields[i]] == nil then
        local raw = found[i - from + 1]
        cache[fields[i]] = raw and { unpack_values(raw) }
      end
    end
  end
end
local function set(field, value)
  cache[field] = value
  changed = true
  if not dirty[field] then
    dirty[field] = true
    dirty[#dirty + 1] = field
  end
end
local function paths_above(path)
  local list, at, n = {}, 0, 0
  while at and at < #path do
    n = n + 1
    list[n] = sub(path, 1, at)
    at = string.find(path, '/', at + 1, true)
  end
  return list
end
local function want_nodes(path, fields)
  local list = above[path]
  if not list then
    list = paths_above(path)
    above[path] = list
    for j = 0, #list do
      local field = 'n' .. (list[j] or path)
      if cache[field] == nil and not fields[field] then
        fields[field] = true
        fields[#fields + 1] = field
      end
    end
  end
  return list
end
local function nodes_above(path)
  local missing = {}
  local list = want_nodes(path, missing)
  load(missing)
  return list
end
local function begin(fields, asks)
  fields[#fields + 1] = 'm'
  load(fields)
  if cache.m then
    last_token, last_ticket, held_r, held_w, waits, nested, pending, due, keep, shallow, deep =
      unpack(cache.m)
    stamped = waits > 0 or 2 * (held_r + held_w) > #cache.m - 11
    local in_index = not stamped or call('ZSCORE', index_key, stamp)
    local in_deadlines = not stamped or call('ZSCORE', deadlines_key, stamp)
    if not (in_index and in_deadlines) then
      F.rest()
      F.give_up()
    elseif cache.m[12] then
      if not asks then
        call('ZREM', index_key, '')
      end
      local index, deadlines = {}, {}
      for at = 12, #cache.m, 2 do
        local n = #index
        index[n + 1], index[n + 2] = 0, cache.m[at]
        deadlines[n + 1], deadlines[n + 2] = cache.m[at + 1], 'h' .. sub(string.match(cache.m[at], '^.*/(.*)$'), 18)
      end
      call('ZADD', index_key, unpack(index))
      call('ZADD', deadlines_key, unpack(deadlines))
      changed = true
    end
  elseif call('EXISTS', index_key, deadlines_key) > 0 then
    call('ZCARD', index_key)
    call('ZCARD', deadlines_key)
    call('DEL', index_key, deadlines_key)
  end
  if last_token < token_floor then
    last_token = token_floor
  end
  if pending > 0 or due ~= 0 and due <= now then
    F.rest()
    F.sweep()
  end
end
local function save()
  if outbox then
    F.publish()
  end
  if not changed then
    return
  end
  local minute, latest = 60000000, 0
  if held_r + held_w + waits == 0 then
    call('DEL', table_key, index_key, deadlines_key)
    if last_token >= now then
      keep = last_token + minute
      call('HSET', table_key, 'm', pack(last_token, last_ticket, 0, 0, 0, 0, 0, 0, keep, 999, 0))
      call('PEXPIREAT', table_key, math.ceil(keep / 1000))
    end
    return
  end
  F.flush_index()
  if #deadline_removals > 0 then
    F.flush_deadlines()
  end
  local removals, additions, a = {}, {}, 2
  for i = 1, #dirty do
    local field = dirty[i]
    local value = cache[field]
    if value then
      additions[a + 1], additions[a + 2] = field, pack(unpack(value))
      a = a + 2
    else
      removals[#removals + 1] = field
    end
  end
  if #removals > 0 then
    F.call_all('HDEL', table_key, removals)
  end
  if #deadline_additions > 0 then
    F.call_all('ZADD', deadlines_key, deadline_additions)
    for i = 1, #deadline_additions, 2 do
      if deadline_additions[i] > latest then
        latest = deadline_additions[i]
      end
    end
  end
  if not stamped then
    call('ZADD', index_key, 0, stamp)
    call('ZADD', deadlines_key, 'inf', stamp)
  end
  local extend = not stamped or latest + minute > keep
  if extend then
    keep = math.max(keep, latest + 2 * minute)
  end
  additions[1] = 'm'
  additions[2] = pack(last_token, last_ticket, held_r, held_w, waits, nested, pending, due, keep, shallow, deep)
  F.call_all('HSET', table_key, additions)
  if extend then
    local at = math.ceil(keep / 1000)
    call('PEXPIREAT', table_key, at)
    call('PEXPIREAT', index_key, at)
    call('PEXPIREAT', deadlines_key, at)
  end
end
function F.index(member, is_there)
  local letter = sub(member, 1, 1)
  local changes = index_changes[letter]
  if not changes then
    changes = {}
    index_changes[letter] = changes
  end
  if changes[member] == nil then
    changes[#changes + 1] = member
  end
  changes[member] = is_there
end
function F.flush_index(letter)
  if next(index_changes) == nil or letter and not index_changes[letter] then
    return
  end
  local removals, additions = {}, {}
  for kind, changes in pairs(index_changes) do
    if not letter or kind == letter then
      for i = 1, #changes do
        if changes[changes[i]] then
          additions[#additions + 1] = 0
          additions[#additions + 1] = changes[i]
        else
          removals[#removals + 1] = changes[i]
        end
      end
      index_changes[kind] = nil
    end
  end
  if #removals > 0 then
    F.call_all('ZREM', index_key, removals)
  end
  if #additions > 0 then
    F.call_all('ZADD', index_key, additions)
  end
end
function F.call_all(command, key, arguments)
  if #arguments <= 4000 then
    return call(command, key, unpack(arguments))
  end
  for from = 1, #arguments, 4000 do
    call(command, key, unpack(arguments, from, math.min(from + 3999, #arguments)))
  end
end
local function answer(values)
  local more = pending > 0 or due ~= 0 and due <= now
  values[1], values[2], values[3] = now, more and 1 or 0, own_events and table.concat(own_events, '\\n') or ''
  return values
end
if now > tonumber(ARGV[3]) then
  return { now, -1 }
end
local STATE, TICKET, TOKEN, SINCE, TTL, CLIENT, HOLDER, BLOCKER, N = 1, 2, 3, 4, 5, 6, 7, 8, 9
local function add_nodes(record, fields)
  local segments = 0
  for i = N + 1, N + record[N] do
    segments = segments + #want_nodes(sub(record[i], 2), fields)
  end
  return segments
end
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
    if mode == 87 or mode == 119 then
      member, slot, held_w = 'hw' .. path .. member, slot + 2, held_w + change
    else
      member, held_r = 'hr' .. path .. member, held_r + change
    end
    F.index(member, change > 0)
    count(path, slot, change)
  end
end
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
  local node = cache['n' .. path]
  local below = mode < 97 and #list < deep
  local own = mode < 97 and path or path .. '/'
  if below then
    F.flush_index('h')
  end
  if held_w > 0
    and (node and node[3] + node[4] > 0
      or below and call('ZLEXCOUNT', index_key, '[hw' .. own, '(hw' .. own .. '\\255') > 0)
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
      or below and call('ZLEXCOUNT', index_key, '[hr' .. own, '(hr' .. own .. '\\255') > 0)
  then
    F.rest()
    return F.first('hr' .. own, waived)
  end
  return nil
end
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
local function drop(id, record)
  if record[STATE] == 'h' then
    place_held(id, record, -1)
    local mode = byte(record[N + 1])
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
  for i = #deadline_additions, 2, -2 do
    if deadline_additions[i] == member then
      table.remove(deadline_additions, i)
      table.remove(deadline_additions, i - 1)
    end
  end
  set('r' .. id, false)
  gone[#gone + 1] = id
end
function F.rest()
  F.rest = function() end
  function F.record(id)
    local field = 'r' .. id
    if cache[field] == nil then
      load({ field })
    end
    return cache[field]
  end
  function F.flush_deadlines()
    F.call_all('ZREM', deadlines_key, deadline_removals)
    deadline_removals = {}
    if #deadline_additions > 0 then
      F.call_all('ZADD', deadlines_key, deadline_additions)
    end
  end
  function F.give_up()
    call('DEL', table_key, index_key, deadlines_key)
    for field in pairs(cache) do
      cache[field] = false
    end
    dirty, index_changes, deadline_removals, deadline_additions, gone = {}, {}, {}, {}, {}
    held_r, held_w, waits, nested, pending, due, keep, shallow, deep = 0, 0, 0, 0, 0, 0, 0, 999, 0
    changed, stamped = true, false
  end
  function F.set_deadline(member, deadline)
    deadline_additions[#deadline_additions + 1] = deadline
    deadline_additions[#deadline_additions + 1] = member
    changed = true
    if due == 0 or deadline < due then
      due = deadline
    end
  end
  local scores = {}
  function F.deadline_of(id)
    local record = F.record(id)
    if not record then
      return now
    end
    local member = record[STATE] .. id
    for i = #deadline_additions, 2, -2 do
      if deadline_additions[i] == member then
        return deadline_additions[i - 1]
      end
    end
    if scores[member] == nil then
      scores[member] = call('ZSCORE', deadlines_key, member)
    end
    return scores[member] and tonumber(scores[member]) or now
  end
  function F.limit(id)
    local record = F.record(id)
    local latest = record and now + record[TTL] * 1000
    if record and F.deadline_of(id) > latest then
      F.set_deadline(record[STATE] .. id, latest)
    end
  end
  function F.sooner(id)
    if waits > 0 then
      local prefix = 'w' .. id .. '/'
      F.flush_index('w')
      local watchers = call('ZRANGEBYLEX', index_key, '[' .. prefix, '(' .. prefix .. '\\255', 'LIMIT', 0, 64)
      for i = 1, #watchers do
        local watcher = sub(watchers[i], #prefix + 17)
        local record = F.record(watcher)
        if record then
          F.tell(record[CLIENT], 'l ' .. watcher)
        end
      end
    end
  end
  function F.tell(client, text)
    local box
    if client == ARGV[1] then
      own_events = own_events or {}
      box = own_events
    else
      outbox = outbox or {}
      outbox[client] = outbox[client] or {}
      box = outbox[client]
    end
    box[#box + 1] = text
  end
  function F.named(name)
    if byte(name) == 33 then
      return sub(name, 2), nil
    end
    local slash = string.find(name, '/', 1, true)
    if slash then
      return sub(name, 1, slash - 1), sub(name, slash + 1)
    end
    return name, name
  end
  function F.whose(id, record)
    local parts = {}
    for part in string.gmatch((record and record[CLIENT] or '') .. '\\0/', '(.-)%z/') do
      parts[#parts + 1] = part
    end
    return parts[1], parts[2] or id, parts[3], parts[4], parts[5]
  end
  function F.owned(id, client, owner)
    return owner == id and client or client .. '\\0/' .. owner
  end
  function F.is_owner(owner, id, record)
    if not owner then
      return true
    end
    local _, its_owner = F.whose(id, record)
    return owner == its_owner
  end
  function F.tell_owner(letter, id, record)
    local client, owner = F.whose(id, record)
    F.tell(client, letter .. ' ' .. id .. (owner == id and '' or ' ' .. owner))
  end
  function F.publish()
    for client, box in pairs(outbox) do
      call('PUBLISH', ARGV[2] .. client, string.format('%.0f\\n', now) .. table.concat(box, '\\n'))
    end
  end
  function F.describe(id)
    local record = F.record(id)
    local shown = {
      id,
      record[STATE],
      tonumber(record[TICKET]),
      record[TOKEN],
      record[SINCE],
      F.deadline_of(id),
      record[BLOCKER],
      record[HOLDER]
    }
    for i = N, #record do
      shown[i] = record[i]
    end
    return shown
  end
  function F.enclosing(record)
    local enclosing = {}
    for i = N + record[N] + 1, #record do
      enclosing[record[i]] = true
    end
    return enclosing
  end
  function F.first(prefix, waived)
    local from, to, offset, page = '[' .. prefix, '(' .. prefix .. '\\255', 0, waived and 32 or 1
    F.flush_index(sub(prefix, 1, 1))
    while true do
      local members = call('ZRANGEBYLEX', index_key, from, to, 'LIMIT', offset, page)
      for i = 1, #members do
        local id = sub(string.match(members[i], '^.*/(.*)$'), 18)
        if not (waived and waived[id]) then
          return id
        end
      end
      if #members < page then
        return nil
      end
      offset = offset + page
    end
  end
  function F.sweep()
    local limit = 32
    if due ~= 0 and due <= now then
      local members = call('ZRANGEBYSCORE', deadlines_key, '-inf', string.format('%.0f', now), 'LIMIT', 0, limit)
      local next = call('ZRANGE', deadlines_key, #members, #members, 'WITHSCORES')
      due = next[2] and next[1] ~= stamp and tonumber(next[2]) or 0
      changed = true
      for i = 1, #members do
        local id = sub(members[i], 2)
        local record = F.record(id)
        if record and record[STATE] == sub(members[i], 1, 1) then
          if record[STATE] == 'h' then
            F.tell_owner('e', id, record)
          else
            F.tell(record[CLIENT], 'x ' .. id)
          end
          drop(id, record)
        else
          return F.give_up()
        end
      end
    end
    F.settle()
  end
  function F.earlier_waiting(record)
    local ticket, latest_ticket, latest = record[TICKET], 0, nil
    local function consider(list)
      F.flush_index('q')
      local member = call('ZREVRANGEBYLEX', index_key, '(' .. list .. ticket, '[' .. list, 'LIMIT', 0, 1)[1]
      local its_ticket = member and tonumber(sub(member, #list + 1, #list + 16))
      if member and its_ticket > latest_ticket then
        latest_ticket, latest = its_ticket, sub(member, #list + 17)
      end
    end
    local function consider_node(kind, path, subtree, alone)
      if subtree > 0 then
        consider(kind .. path .. '/s')
      end
      if alone > 0 then
        consider(kind .. path .. '/n')
      end
    end
    for i = N + 1, N + record[N] do
      local mode, path = byte(record[i]), sub(record[i], 2)
      local exclusive = mode == 87 or mode == 119
      local list = nodes_above(path)
      for j = 1, #list do
        local node = cache['n' .. list[j]]
        if node then
          consider_node('qw', list[j], node[7], 0)
          consider_node('qr', list[j], exclusive and node[5] or 0, 0)
        end
      end
      local node = cache['n' .. path]
      if node then
        consider_node('qw', path, node[7], node[8])
        if exclusive then
          consider_node('qr', path, node[5], node[6])
        end
      end
      if mode < 97 and #list < deep then
        consider('qw' .. path .. '/b')
        if exclusive then
          consider('qr' .. path .. '/b')
        end
      end
    end
    return latest
  end
  function F.place_waiting(id, record, change)
    local tail, is_there = record[TICKET] .. id, change > 0
    for i = N + 1, N + record[N] do
      local mode, path = byte(record[i]), sub(record[i], 2)
      local exclusive, subtree = mode == 87 or mode == 119, mode < 97
      local kind, slot = exclusive and 'qw' or 'qr', exclusive and 7 or 5
      local list = above[path] or paths_above(path)
      F.index(kind .. path .. (subtree and '/s' or '/n') .. tail, is_there)
      count(path, subtree and slot or slot + 1, change)
      for j = 1, #list do
        F.index(kind .. list[j] .. '/b' .. tail, is_there)
      end
      deep = math.max(deep, #list)
    end
    local from = N + record[N] + 1
    for i = from, #record do
      F.index('n' .. record[i] .. '/' .. id, is_there)
    end
    waits = waits + change
    if from <= #record then
      nested = nested + change
    end
  end
  function F.cycle_to(enclosing, blocker)
    local left, seen = 1000, {}
    local function walk(lease)
      if seen[lease] or left <= 0 or not F.record(lease) then
        return nil
      end
      if enclosing[lease] then
        return { lease }
      end
      seen[lease] = true
      local prefix = 'n' .. lease .. '/'
      local inside = call('ZRANGEBYLEX', index_key, '[' .. prefix, '(' .. prefix .. '\\255', 'LIMIT', 0, left)
      left = left - #inside
      for i = 1, #inside do
        local id = sub(inside[i], #prefix + 1)
        local record = F.record(id)
        local rest = record and record[BLOCKER] ~= '' and walk(record[BLOCKER])
        if rest then
          table.insert(rest, 1, id)
          table.insert(rest, 1, lease)
          return rest
        end
      end
      return nil
    end
    F.flush_index('n')
    return walk(blocker)
  end
  function F.watch(id, record, blocker)
    record[BLOCKER] = blocker
    F.index('w' .. blocker .. '/' .. record[TICKET] .. id, true)
    set('r' .. id, record)
    local cycle = nested > 1 and #record > N + record[N] and F.cycle_to(F.enclosing(record), blocker)
    if cycle then
      table.insert(cycle, 1, id)
    end
    return cycle
  end
  function F.settle(wanted)
    local left, queue, at, target_of = math.max(16, wanted or 0), {}, 1, {}
    local function gather(id, marked)
      local prefix = 'w' .. id .. '/'
      F.flush_index('w')
      local watchers = call('ZRANGEBYLEX', index_key, '[' .. prefix, '(' .. prefix .. '\\255', 'LIMIT', 0, left + 1)
      local more = #watchers > left
      if more then
        watchers[#watchers] = nil
      end
      if #watchers > 0 then
        F.call_all('ZREM', index_key, watchers)
      end
      for i = 1, #watchers do
        queue[#queue + 1] = sub(watchers[i], #prefix + 1)
        target_of[queue[#queue]] = gone_target[id]
      end
      left = left - #watchers
      if more and not marked then
        pending = pending + call('ZADD', index_key, 0, 'p' .. id)
      elseif marked and not more then
        pending = pending - call('ZREM', index_key, 'p' .. id)
      end
    end
    local function gather_gone()
      for i = 1, #gone do
        gather(gone[i], false)
      end
      gone = {}
      table.sort(queue)
      local fields = {}
      for i = at, #queue do
        fields[#fields + 1] = 'r' .. sub(queue[i], 17)
      end
      load(fields)
      fields = {}
      for i = at, #queue do
        local record = F.record(sub(queue[i], 17))
        if record then
          add_nodes(record, fields)
        end
      end
      load(fields)
    end
    if #gone == 0 and pending == 0 then
      return
    end
    changed = true
    if waits == 0 then
      call('ZREMRANGEBYLEX', index_key, '[p', '(p\\255')
      gone, pending = {}, 0
      return
    end
    if pending > 0 then
      for _, mark in ipairs(call('ZRANGEBYLEX', index_key, '[p', '(p\\255', 'LIMIT', 0, 16)) do
        gather(sub(mark, 2), true)
      end
    end
    gather_gone()
    while at <= #queue do
      local id, target = sub(queue[at], 17), target_of[queue[at]]
      local record = F.record(id)
      at = at + 1
      if record and record[STATE] == 'q' then
        local blocker = blocker_of(record, target and #record == N + 1 and record[N + 1] == target)
        if not blocker then
          F.place_waiting(id, record, -1)
          deadline_removals[#deadline_removals + 1] = 'q' .. id
          local deadline = grant(id, record)
          F.tell(record[CLIENT], string.format('g %s %.0f %.0f', id, record[TOKEN], deadline))
        else
          local cycle = F.watch(id, record, blocker)
          if cycle then
            F.tell(record[CLIENT], 'd ' .. table.concat(cycle, ' '))
            drop(id, record)
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
begin({ 'r' .. id })
local record = cache['r' .. id]
local live = record and record[STATE] == 'h'
if live then
  F.rest()
  F.tell_owner('b', id, record)
  drop(id, record)
  F.settle()
end
save()
return answer({ 0, 0, 0, live and 1 or 0 })`

export const downgrade: string = `local call, pack, unpack_values, sub, byte = redis.call, cmsgpack.pack, cmsgpack.unpack, string.sub, string.byte
local table_key, index_key, deadlines_key = KEYS[1], KEYS[2], KEYS[3]
local time = call('TIME')
local now = time[1] * 1000000 + time[2]
local token_floor = 0
if not tonumber(ARGV[3]) then
  local late, token = string.match(ARGV[3], '^(%d+) (%d+)$')
  ARGV[3], token_floor = late, tonumber(token)
end
local F, cache, above = {}, {}, {}
local dirty, index_changes, deadline_removals, deadline_additions = {}, {}, {}, {}
local gone, gone_target, own_events, outbox = {}, {}, nil, nil
local changed, stamped, stamp = false, false, '!' .. table_key
local last_token, last_ticket, held_r, held_w, waits, nested, pending, due, keep, shallow, deep =
  0, 0, 0, 0, 0, 0, 0, 0, 0, 999, 0
local function load(fields)
  for from = 1, #fields, 4000 do
    local to = math.min(from + 3999, #fields)
    local found = call('HMGET', table_key, unpack(fields, from, to))
    for i = from, to do
      if cache[fields[i]] == nil then
        local raw = found[i - from + 1]
        cache[fields[i]] = raw and { unpack_values(raw) }
      end
    end
  end
end
local function set(field, value)
  cache[field] = value
  changed = true
  if not dirty[field] then
    dirty[field] = true
    dirty[#dirty + 1] = field
  end
end
local function paths_above(path)
  local list, at, n = {}, 0, 0
  while at and at < #path do
    n = n + 1
    list[n] = sub(path, 1, at)
    at = string.find(path, '/', at + 1, true)
  end
  return list
end
local function want_nodes(path, fields)
  local list = above[path]
  if not list then
    list = paths_above(path)
    above[path] = list
    for j = 0, #list do
      local field = 'n' .. (list[j] or path)
      if cache[field] == nil and not fields[field] then
        fields[field] = true
        fields[#fields + 1] = field
      end
    end
  end
  return list
end
local function nodes_above(path)
  local missing = {}
  local list = want_nodes(path, missing)
  load(missing)
  return list
end
local function begin(fields, asks)
  fields[#fields + 1] = 'm'
  load(fields)
  if cache.m then
    last_token, last_ticket, held_r, held_w, waits, nested, pending, due, keep, shallow, deep =
      unpack(cache.m)
    stamped = waits > 0 or 2 * (held_r + held_w) > #cache.m - 11
    local in_index = not stamped or call('ZSCORE', index_key, stamp)
    local in_deadlines = not stamped or call('ZSCORE', deadlines_key, stamp)
    if not (in_index and in_deadlines) then
      F.rest()
      F.give_up()
    elseif cache.m[12] then
      if not asks then
        call('ZREM', index_key, '')
      end
      local index, deadlines = {}, {}
      for at = 12, #cache.m, 2 do
        local n = #index
        index[n + 1], index[n + 2] = 0, cache.m[at]
        deadlines[n + 1], deadlines[n + 2] = cache.m[at + 1], 'h' .. sub(string.match(cache.m[at], '^.*/(.*)$'), 18)
      end
      call('ZADD', index_key, unpack(index))
      call('ZADD', deadlines_key, unpack(deadlines))
      changed = true
    end
  elseif call('EXISTS', index_key, deadlines_key) > 0 then
    call('ZCARD', index_key)
    call('ZCARD', deadlines_key)
    call('DEL', index_key, deadlines_key)
  end
  if last_token < token_floor then
    last_token = token_floor
  end
  if pending > 0 or due ~= 0 and due <= now then
    F.rest()
    F.sweep()
  end
end
local function save()
  if outbox then
    F.publish()
  end
  if not changed then
    return
  end
  local minute, latest = 60000000, 0
  if held_r + held_w + waits == 0 then
    call('DEL', table_key, index_key, deadlines_key)
    if last_token >= now then
      keep = last_token + minute
      call('HSET', table_key, 'm', pack(last_token, last_ticket, 0, 0, 0, 0, 0, 0, keep, 999, 0))
      call('PEXPIREAT', table_key, math.ceil(keep / 1000))
    end
    return
  end
  F.flush_index()
  if #deadline_removals > 0 then
    F.flush_deadlines()
  end
  local removals, additions, a = {}, {}, 2
  for i = 1, #dirty do
    local field = dirty[i]
    local value = cache[field]
    if value then
      additions[a + 1], additions[a + 2] = field, pack(unpack(value))
      a = a + 2
    else
      removals[#removals + 1] = field
    end
  end
  if #removals > 0 then
    F.call_all('HDEL', table_key, removals)
  end
  if #deadline_additions > 0 then
    F.call_all('ZADD', deadlines_key, deadline_additions)
    for i = 1, #deadline_additions, 2 do
      if deadline_additions[i] > latest then
        latest = deadline_additions[i]
      end
    end
  end
  if not stamped then
    call('ZADD', index_key, 0, stamp)
    call('ZADD', deadlines_key, 'inf', stamp)
  end
  local extend = not stamped or latest + minute > keep
  if extend then
    keep = math.max(keep, latest + 2 * minute)
  end
  additions[1] = 'm'
  additions[2] = pack(last_token, last_ticket, held_r, held_w, waits, nested, pending, due, keep, shallow, deep)
  F.call_all('HSET', table_key, additions)
  if extend then
    local at = math.ceil(keep / 1000)
    call('PEXPIREAT', table_key, at)
    call('PEXPIREAT', index_key, at)
    call('PEXPIREAT', deadlines_key, at)
  end
end
function F.index(member, is_there)
  local letter = sub(member, 1, 1)
  local changes = index_changes[letter]
  if not changes then
    changes = {}
    index_changes[letter] = changes
  end
  if changes[member] == nil then
    changes[#changes + 1] = member
  end
  changes[member] = is_there
end
function F.flush_index(letter)
  if next(index_changes) == nil or letter and not index_changes[letter] then
    return
  end
  local removals, additions = {}, {}
  for kind, changes in pairs(index_changes) do
    if not letter or kind == letter then
      for i = 1, #changes do
        if changes[changes[i]] then
          additions[#additions + 1] = 0
          additions[#additions + 1] = changes[i]
        else
          removals[#removals + 1] = changes[i]
        end
      end
      index_changes[kind] = nil
    end
  end
  if #removals > 0 then
    F.call_all('ZREM', index_key, removals)
  end
  if #additions > 0 then
    F.call_all('ZADD', index_key, additions)
  end
end
function F.call_all(command, key, arguments)
  if #arguments <= 4000 then
    return call(command, key, unpack(arguments))
  end
  for from = 1, #arguments, 4000 do
    call(command, key, unpack(arguments, from, math.min(from + 3999, #arguments)))
  end
end
local function answer(values)
  local more = pending > 0 or due ~= 0 and due <= now
  values[1], values[2], values[3] = now, more and 1 or 0, own_events and table.concat(own_events, '\\n') or ''
  return values
end
if now > tonumber(ARGV[3]) then
  return { now, -1 }
end
local STATE, TICKET, TOKEN, SINCE, TTL, CLIENT, HOLDER, BLOCKER, N = 1, 2, 3, 4, 5, 6, 7, 8, 9
local function add_nodes(record, fields)
  local segments = 0
  for i = N + 1, N + record[N] do
    segments = segments + #want_nodes(sub(record[i], 2), fields)
  end
  return segments
end
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
    if mode == 87 or mode == 119 then
      member, slot, held_w = 'hw' .. path .. member, slot + 2, held_w + change
    else
      member, held_r = 'hr' .. path .. member, held_r + change
    end
    F.index(member, change > 0)
    count(path, slot, change)
  end
end
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
  local node = cache['n' .. path]
  local below = mode < 97 and #list < deep
  local own = mode < 97 and path or path .. '/'
  if below then
    F.flush_index('h')
  end
  if held_w > 0
    and (node and node[3] + node[4] > 0
      or below and call('ZLEXCOUNT', index_key, '[hw' .. own, '(hw' .. own .. '\\255') > 0)
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
      or below and call('ZLEXCOUNT', index_key, '[hr' .. own, '(hr' .. own .. '\\255') > 0)
  then
    F.rest()
    return F.first('hr' .. own, waived)
  end
  return nil
end
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
local function drop(id, record)
  if record[STATE] == 'h' then
    place_held(id, record, -1)
    local mode = byte(record[N + 1])
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
  for i = #deadline_additions, 2, -2 do
    if deadline_additions[i] == member then
      table.remove(deadline_additions, i)
      table.remove(deadline_additions, i - 1)
    end
  end
  set('r' .. id, false)
  gone[#gone + 1] = id
end
function F.rest()
  F.rest = function() end
  function F.record(id)
    local field = 'r' .. id
    if cache[field] == nil then
      load({ field })
    end
    return cache[field]
  end
  function F.flush_deadlines()
    F.call_all('ZREM', deadlines_key, deadline_removals)
    deadline_removals = {}
    if #deadline_additions > 0 then
      F.call_all('ZADD', deadlines_key, deadline_additions)
    end
  end
  function F.give_up()
    call('DEL', table_key, index_key, deadlines_key)
    for field in pairs(cache) do
      cache[field] = false
    end
    dirty, index_changes, deadline_removals, deadline_additions, gone = {}, {}, {}, {}, {}
    held_r, held_w, waits, nested, pending, due, keep, shallow, deep = 0, 0, 0, 0, 0, 0, 0, 999, 0
    changed, stamped = true, false
  end
  function F.set_deadline(member, deadline)
    deadline_additions[#deadline_additions + 1] = deadline
    deadline_additions[#deadline_additions + 1] = member
    changed = true
    if due == 0 or deadline < due then
      due = deadline
    end
  end
  local scores = {}
  function F.deadline_of(id)
    local record = F.record(id)
    if not record then
      return now
    end
    local member = record[STATE] .. id
    for i = #deadline_additions, 2, -2 do
      if deadline_additions[i] == member then
        return deadline_additions[i - 1]
      end
    end
    if scores[member] == nil then
      scores[member] = call('ZSCORE', deadlines_key, member)
    end
    return scores[member] and tonumber(scores[member]) or now
  end
  function F.limit(id)
    local record = F.record(id)
    local latest = record and now + record[TTL] * 1000
    if record and F.deadline_of(id) > latest then
      F.set_deadline(record[STATE] .. id, latest)
    end
  end
  function F.sooner(id)
    if waits > 0 then
      local prefix = 'w' .. id .. '/'
      F.flush_index('w')
      local watchers = call('ZRANGEBYLEX', index_key, '[' .. prefix, '(' .. prefix .. '\\255', 'LIMIT', 0, 64)
      for i = 1, #watchers do
        local watcher = sub(watchers[i], #prefix + 17)
        local record = F.record(watcher)
        if record then
          F.tell(record[CLIENT], 'l ' .. watcher)
        end
      end
    end
  end
  function F.tell(client, text)
    local box
    if client == ARGV[1] then
      own_events = own_events or {}
      box = own_events
    else
      outbox = outbox or {}
      outbox[client] = outbox[client] or {}
      box = outbox[client]
    end
    box[#box + 1] = text
  end
  function F.named(name)
    if byte(name) == 33 then
      return sub(name, 2), nil
    end
    local slash = string.find(name, '/', 1, true)
    if slash then
      return sub(name, 1, slash - 1), sub(name, slash + 1)
    end
    return name, name
  end
  function F.whose(id, record)
    local parts = {}
    for part in string.gmatch((record and record[CLIENT] or '') .. '\\0/', '(.-)%z/') do
      parts[#parts + 1] = part
    end
    return parts[1], parts[2] or id, parts[3], parts[4], parts[5]
  end
  function F.owned(id, client, owner)
    return owner == id and client or client .. '\\0/' .. owner
  end
  function F.is_owner(owner, id, record)
    if not owner then
      return true
    end
    local _, its_owner = F.whose(id, record)
    return owner == its_owner
  end
  function F.tell_owner(letter, id, record)
    local client, owner = F.whose(id, record)
    F.tell(client, letter .. ' ' .. id .. (owner == id and '' or ' ' .. owner))
  end
  function F.publish()
    for client, box in pairs(outbox) do
      call('PUBLISH', ARGV[2] .. client, string.format('%.0f\\n', now) .. table.concat(box, '\\n'))
    end
  end
  function F.describe(id)
    local record = F.record(id)
    local shown = {
      id,
      record[STATE],
      tonumber(record[TICKET]),
      record[TOKEN],
      record[SINCE],
      F.deadline_of(id),
      record[BLOCKER],
      record[HOLDER]
    }
    for i = N, #record do
      shown[i] = record[i]
    end
    return shown
  end
  function F.enclosing(record)
    local enclosing = {}
    for i = N + record[N] + 1, #record do
      enclosing[record[i]] = true
    end
    return enclosing
  end
  function F.first(prefix, waived)
    local from, to, offset, page = '[' .. prefix, '(' .. prefix .. '\\255', 0, waived and 32 or 1
    F.flush_index(sub(prefix, 1, 1))
    while true do
      local members = call('ZRANGEBYLEX', index_key, from, to, 'LIMIT', offset, page)
      for i = 1, #members do
        local id = sub(string.match(members[i], '^.*/(.*)$'), 18)
        if not (waived and waived[id]) then
          return id
        end
      end
      if #members < page then
        return nil
      end
      offset = offset + page
    end
  end
  function F.sweep()
    local limit = 32
    if due ~= 0 and due <= now then
      local members = call('ZRANGEBYSCORE', deadlines_key, '-inf', string.format('%.0f', now), 'LIMIT', 0, limit)
      local next = call('ZRANGE', deadlines_key, #members, #members, 'WITHSCORES')
      due = next[2] and next[1] ~= stamp and tonumber(next[2]) or 0
      changed = true
      for i = 1, #members do
        local id = sub(members[i], 2)
        local record = F.record(id)
        if record and record[STATE] == sub(members[i], 1, 1) then
          if record[STATE] == 'h' then
            F.tell_owner('e', id, record)
          else
            F.tell(record[CLIENT], 'x ' .. id)
          end
          drop(id, record)
        else
          return F.give_up()
        end
      end
    end
    F.settle()
  end
  function F.earlier_waiting(record)
    local ticket, latest_ticket, latest = record[TICKET], 0, nil
    local function consider(list)
      F.flush_index('q')
      local member = call('ZREVRANGEBYLEX', index_key, '(' .. list .. ticket, '[' .. list, 'LIMIT', 0, 1)[1]
      local its_ticket = member and tonumber(sub(member, #list + 1, #list + 16))
      if member and its_ticket > latest_ticket then
        latest_ticket, latest = its_ticket, sub(member, #list + 17)
      end
    end
    local function consider_node(kind, path, subtree, alone)
      if subtree > 0 then
        consider(kind .. path .. '/s')
      end
      if alone > 0 then
        consider(kind .. path .. '/n')
      end
    end
    for i = N + 1, N + record[N] do
      local mode, path = byte(record[i]), sub(record[i], 2)
      local exclusive = mode == 87 or mode == 119
      local list = nodes_above(path)
      for j = 1, #list do
        local node = cache['n' .. list[j]]
        if node then
          consider_node('qw', list[j], node[7], 0)
          consider_node('qr', list[j], exclusive and node[5] or 0, 0)
        end
      end
      local node = cache['n' .. path]
      if node then
        consider_node('qw', path, node[7], node[8])
        if exclusive then
          consider_node('qr', path, node[5], node[6])
        end
      end
      if mode < 97 and #list < deep then
        consider('qw' .. path .. '/b')
        if exclusive then
          consider('qr' .. path .. '/b')
        end
      end
    end
    return latest
  end
  function F.place_waiting(id, record, change)
    local tail, is_there = record[TICKET] .. id, change > 0
    for i = N + 1, N + record[N] do
      local mode, path = byte(record[i]), sub(record[i], 2)
      local exclusive, subtree = mode == 87 or mode == 119, mode < 97
      local kind, slot = exclusive and 'qw' or 'qr', exclusive and 7 or 5
      local list = above[path] or paths_above(path)
      F.index(kind .. path .. (subtree and '/s' or '/n') .. tail, is_there)
      count(path, subtree and slot or slot + 1, change)
      for j = 1, #list do
        F.index(kind .. list[j] .. '/b' .. tail, is_there)
      end
      deep = math.max(deep, #list)
    end
    local from = N + record[N] + 1
    for i = from, #record do
      F.index('n' .. record[i] .. '/' .. id, is_there)
    end
    waits = waits + change
    if from <= #record then
      nested = nested + change
    end
  end
  function F.cycle_to(enclosing, blocker)
    local left, seen = 1000, {}
    local function walk(lease)
      if seen[lease] or left <= 0 or not F.record(lease) then
        return nil
      end
      if enclosing[lease] then
        return { lease }
      end
      seen[lease] = true
      local prefix = 'n' .. lease .. '/'
      local inside = call('ZRANGEBYLEX', index_key, '[' .. prefix, '(' .. prefix .. '\\255', 'LIMIT', 0, left)
      left = left - #inside
      for i = 1, #inside do
        local id = sub(inside[i], #prefix + 1)
        local record = F.record(id)
        local rest = record and record[BLOCKER] ~= '' and walk(record[BLOCKER])
        if rest then
          table.insert(rest, 1, id)
          table.insert(rest, 1, lease)
          return rest
        end
      end
      return nil
    end
    F.flush_index('n')
    return walk(blocker)
  end
  function F.watch(id, record, blocker)
    record[BLOCKER] = blocker
    F.index('w' .. blocker .. '/' .. record[TICKET] .. id, true)
    set('r' .. id, record)
    local cycle = nested > 1 and #record > N + record[N] and F.cycle_to(F.enclosing(record), blocker)
    if cycle then
      table.insert(cycle, 1, id)
    end
    return cycle
  end
  function F.settle(wanted)
    local left, queue, at, target_of = math.max(16, wanted or 0), {}, 1, {}
    local function gather(id, marked)
      local prefix = 'w' .. id .. '/'
      F.flush_index('w')
      local watchers = call('ZRANGEBYLEX', index_key, '[' .. prefix, '(' .. prefix .. '\\255', 'LIMIT', 0, left + 1)
      local more = #watchers > left
      if more then
        watchers[#watchers] = nil
      end
      if #watchers > 0 then
        F.call_all('ZREM', index_key, watchers)
      end
      for i = 1, #watchers do
        queue[#queue + 1] = sub(watchers[i], #prefix + 1)
        target_of[queue[#queue]] = gone_target[id]
      end
      left = left - #watchers
      if more and not marked then
        pending = pending + call('ZADD', index_key, 0, 'p' .. id)
      elseif marked and not more then
        pending = pending - call('ZREM', index_key, 'p' .. id)
      end
    end
    local function gather_gone()
      for i = 1, #gone do
        gather(gone[i], false)
      end
      gone = {}
      table.sort(queue)
      local fields = {}
      for i = at, #queue do
        fields[#fields + 1] = 'r' .. sub(queue[i], 17)
      end
      load(fields)
      fields = {}
      for i = at, #queue do
        local record = F.record(sub(queue[i], 17))
        if record then
          add_nodes(record, fields)
        end
      end
      load(fields)
    end
    if #gone == 0 and pending == 0 then
      return
    end
    changed = true
    if waits == 0 then
      call('ZREMRANGEBYLEX', index_key, '[p', '(p\\255')
      gone, pending = {}, 0
      return
    end
    if pending > 0 then
      for _, mark in ipairs(call('ZRANGEBYLEX', index_key, '[p', '(p\\255', 'LIMIT', 0, 16)) do
        gather(sub(mark, 2), true)
      end
    end
    gather_gone()
    while at <= #queue do
      local id, target = sub(queue[at], 17), target_of[queue[at]]
      local record = F.record(id)
      at = at + 1
      if record and record[STATE] == 'q' then
        local blocker = blocker_of(record, target and #record == N + 1 and record[N + 1] == target)
        if not blocker then
          F.place_waiting(id, record, -1)
          deadline_removals[#deadline_removals + 1] = 'q' .. id
          local deadline = grant(id, record)
          F.tell(record[CLIENT], string.format('g %s %.0f %.0f', id, record[TOKEN], deadline))
        else
          local cycle = F.watch(id, record, blocker)
          if cycle then
            F.tell(record[CLIENT], 'd ' .. table.concat(cycle, ' '))
            drop(id, record)
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
F.rest()
local id, owner = F.named(ARGV[4])
begin({ 'r' .. id })
local record = cache['r' .. id]
local live = record and record[STATE] == 'h' and F.is_owner(owner, id, record)
if live then
  place_held(id, record, -1)
  for i = N + 1, N + record[N] do
    local mode = sub(record[i], 1, 1)
    record[i] = (mode == 'W' and 'R' or mode == 'w' and 'r' or mode) .. sub(record[i], 2)
  end
  place_held(id, record, 1)
  set('r' .. id, record)
  gone[1] = id
  F.settle()
end
save()
return answer({ 0, 0, 0, live and 1 or 0 })`

export const giveBack: string = `local call, pack, unpack_values, sub, byte = redis.call, cmsgpack.pack, cmsgpack.unpack, string.sub, string.byte
local table_key, index_key, deadlines_key = KEYS[1], KEYS[2], KEYS[3]
local time = call('TIME')
local now = time[1] * 1000000 + time[2]
local token_floor = 0
if not tonumber(ARGV[3]) then
  local late, token = string.match(ARGV[3], '^(%d+) (%d+)$')
  ARGV[3], token_floor = late, tonumber(token)
end
local F, cache, above = {}, {}, {}
local dirty, index_changes, deadline_removals, deadline_additions = {}, {}, {}, {}
local gone, gone_target, own_events, outbox = {}, {}, nil, nil
local changed, stamped, stamp = false, false, '!' .. table_key
local last_token, last_ticket, held_r, held_w, waits, nested, pending, due, keep, shallow, deep =
  0, 0, 0, 0, 0, 0, 0, 0, 0, 999, 0
local function load(fields)
  for from = 1, #fields, 4000 do
    local to = math.min(from + 3999, #fields)
    local found = call('HMGET', table_key, unpack(fields, from, to))
    for i = from, to do
      if cache[fields[i]] == nil then
        local raw = found[i - from + 1]
        cache[fields[i]] = raw and { unpack_values(raw) }
      end
    end
  end
end
local function set(field, value)
  cache[field] = value
  changed = true
  if not dirty[field] then
    dirty[field] = true
    dirty[#dirty + 1] = field
  end
end
local function paths_above(path)
  local list, at, n = {}, 0, 0
  while at and at < #path do
    n = n + 1
    list[n] = sub(path, 1, at)
    at = string.find(path, '/', at + 1, true)
  end
  return list
end
local function want_nodes(path, fields)
  local list = above[path]
  if not list then
    list = paths_above(path)
    above[path] = list
    for j = 0, #list do
      local field = 'n' .. (list[j] or path)
      if cache[field] == nil and not fields[field] then
        fields[field] = true
        fields[#fields + 1] = field
      end
    end
  end
  return list
end
local function nodes_above(path)
  local missing = {}
  local list = want_nodes(path, missing)
  load(missing)
  return list
end
local function begin(fields, asks)
  fields[#fields + 1] = 'm'
  load(fields)
  if cache.m then
    last_token, last_ticket, held_r, held_w, waits, nested, pending, due, keep, shallow, deep =
      unpack(cache.m)
    stamped = waits > 0 or 2 * (held_r + held_w) > #cache.m - 11
    local in_index = not stamped or call('ZSCORE', index_key, stamp)
    local in_deadlines = not stamped or call('ZSCORE', deadlines_key, stamp)
    if not (in_index and in_deadlines) then
      F.rest()
      F.give_up()
    elseif cache.m[12] then
      if not asks then
        call('ZREM', index_key, '')
      end
      local index, deadlines = {}, {}
      for at = 12, #cache.m, 2 do
        local n = #index
        index[n + 1], index[n + 2] = 0, cache.m[at]
        deadlines[n + 1], deadlines[n + 2] = cache.m[at + 1], 'h' .. sub(string.match(cache.m[at], '^.*/(.*)$'), 18)
      end
      call('ZADD', index_key, unpack(index))
      call('ZADD', deadlines_key, unpack(deadlines))
      changed = true
    end
  elseif call('EXISTS', index_key, deadlines_key) > 0 then
    call('ZCARD', index_key)
    call('ZCARD', deadlines_key)
    call('DEL', index_key, deadlines_key)
  end
  if last_token < token_floor then
    last_token = token_floor
  end
  if pending > 0 or due ~= 0 and due <= now then
    F.rest()
    F.sweep()
  end
end
local function save()
  if outbox then
    F.publish()
  end
  if not changed then
    return
  end
  local minute, latest = 60000000, 0
  if held_r + held_w + waits == 0 then
    call('DEL', table_key, index_key, deadlines_key)
    if last_token >= now then
      keep = last_token + minute
      call('HSET', table_key, 'm', pack(last_token, last_ticket, 0, 0, 0, 0, 0, 0, keep, 999, 0))
      call('PEXPIREAT', table_key, math.ceil(keep / 1000))
    end
    return
  end
  F.flush_index()
  if #deadline_removals > 0 then
    F.flush_deadlines()
  end
  local removals, additions, a = {}, {}, 2
  for i = 1, #dirty do
    local field = dirty[i]
    local value = cache[field]
    if value then
      additions[a + 1], additions[a + 2] = field, pack(unpack(value))
      a = a + 2
    else
      removals[#removals + 1] = field
    end
  end
  if #removals > 0 then
    F.call_all('HDEL', table_key, removals)
  end
  if #deadline_additions > 0 then
    F.call_all('ZADD', deadlines_key, deadline_additions)
    for i = 1, #deadline_additions, 2 do
      if deadline_additions[i] > latest then
        latest = deadline_additions[i]
      end
    end
  end
  if not stamped then
    call('ZADD', index_key, 0, stamp)
    call('ZADD', deadlines_key, 'inf', stamp)
  end
  local extend = not stamped or latest + minute > keep
  if extend then
    keep = math.max(keep, latest + 2 * minute)
  end
  additions[1] = 'm'
  additions[2] = pack(last_token, last_ticket, held_r, held_w, waits, nested, pending, due, keep, shallow, deep)
  F.call_all('HSET', table_key, additions)
  if extend then
    local at = math.ceil(keep / 1000)
    call('PEXPIREAT', table_key, at)
    call('PEXPIREAT', index_key, at)
    call('PEXPIREAT', deadlines_key, at)
  end
end
function F.index(member, is_there)
  local letter = sub(member, 1, 1)
  local changes = index_changes[letter]
  if not changes then
    changes = {}
    index_changes[letter] = changes
  end
  if changes[member] == nil then
    changes[#changes + 1] = member
  end
  changes[member] = is_there
end
function F.flush_index(letter)
  if next(index_changes) == nil or letter and not index_changes[letter] then
    return
  end
  local removals, additions = {}, {}
  for kind, changes in pairs(index_changes) do
    if not letter or kind == letter then
      for i = 1, #changes do
        if changes[changes[i]] then
          additions[#additions + 1] = 0
          additions[#additions + 1] = changes[i]
        else
          removals[#removals + 1] = changes[i]
        end
      end
      index_changes[kind] = nil
    end
  end
  if #removals > 0 then
    F.call_all('ZREM', index_key, removals)
  end
  if #additions > 0 then
    F.call_all('ZADD', index_key, additions)
  end
end
function F.call_all(command, key, arguments)
  if #arguments <= 4000 then
    return call(command, key, unpack(arguments))
  end
  for from = 1, #arguments, 4000 do
    call(command, key, unpack(arguments, from, math.min(from + 3999, #arguments)))
  end
end
local function answer(values)
  local more = pending > 0 or due ~= 0 and due <= now
  values[1], values[2], values[3] = now, more and 1 or 0, own_events and table.concat(own_events, '\\n') or ''
  return values
end
local STATE, TICKET, TOKEN, SINCE, TTL, CLIENT, HOLDER, BLOCKER, N = 1, 2, 3, 4, 5, 6, 7, 8, 9
local function add_nodes(record, fields)
  local segments = 0
  for i = N + 1, N + record[N] do
    segments = segments + #want_nodes(sub(record[i], 2), fields)
  end
  return segments
end
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
    if mode == 87 or mode == 119 then
      member, slot, held_w = 'hw' .. path .. member, slot + 2, held_w + change
    else
      member, held_r = 'hr' .. path .. member, held_r + change
    end
    F.index(member, change > 0)
    count(path, slot, change)
  end
end
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
  local node = cache['n' .. path]
  local below = mode < 97 and #list < deep
  local own = mode < 97 and path or path .. '/'
  if below then
    F.flush_index('h')
  end
  if held_w > 0
    and (node and node[3] + node[4] > 0
      or below and call('ZLEXCOUNT', index_key, '[hw' .. own, '(hw' .. own .. '\\255') > 0)
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
      or below and call('ZLEXCOUNT', index_key, '[hr' .. own, '(hr' .. own .. '\\255') > 0)
  then
    F.rest()
    return F.first('hr' .. own, waived)
  end
  return nil
end
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
local function drop(id, record)
  if record[STATE] == 'h' then
    place_held(id, record, -1)
    local mode = byte(record[N + 1])
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
  for i = #deadline_additions, 2, -2 do
    if deadline_additions[i] == member then
      table.remove(deadline_additions, i)
      table.remove(deadline_additions, i - 1)
    end
  end
  set('r' .. id, false)
  gone[#gone + 1] = id
end
function F.rest()
  F.rest = function() end
  function F.record(id)
    local field = 'r' .. id
    if cache[field] == nil then
      load({ field })
    end
    return cache[field]
  end
  function F.flush_deadlines()
    F.call_all('ZREM', deadlines_key, deadline_removals)
    deadline_removals = {}
    if #deadline_additions > 0 then
      F.call_all('ZADD', deadlines_key, deadline_additions)
    end
  end
  function F.give_up()
    call('DEL', table_key, index_key, deadlines_key)
    for field in pairs(cache) do
      cache[field] = false
    end
    dirty, index_changes, deadline_removals, deadline_additions, gone = {}, {}, {}, {}, {}
    held_r, held_w, waits, nested, pending, due, keep, shallow, deep = 0, 0, 0, 0, 0, 0, 0, 999, 0
    changed, stamped = true, false
  end
  function F.set_deadline(member, deadline)
    deadline_additions[#deadline_additions + 1] = deadline
    deadline_additions[#deadline_additions + 1] = member
    changed = true
    if due == 0 or deadline < due then
      due = deadline
    end
  end
  local scores = {}
  function F.deadline_of(id)
    local record = F.record(id)
    if not record then
      return now
    end
    local member = record[STATE] .. id
    for i = #deadline_additions, 2, -2 do
      if deadline_additions[i] == member then
        return deadline_additions[i - 1]
      end
    end
    if scores[member] == nil then
      scores[member] = call('ZSCORE', deadlines_key, member)
    end
    return scores[member] and tonumber(scores[member]) or now
  end
  function F.limit(id)
    local record = F.record(id)
    local latest = record and now + record[TTL] * 1000
    if record and F.deadline_of(id) > latest then
      F.set_deadline(record[STATE] .. id, latest)
    end
  end
  function F.sooner(id)
    if waits > 0 then
      local prefix = 'w' .. id .. '/'
      F.flush_index('w')
      local watchers = call('ZRANGEBYLEX', index_key, '[' .. prefix, '(' .. prefix .. '\\255', 'LIMIT', 0, 64)
      for i = 1, #watchers do
        local watcher = sub(watchers[i], #prefix + 17)
        local record = F.record(watcher)
        if record then
          F.tell(record[CLIENT], 'l ' .. watcher)
        end
      end
    end
  end
  function F.tell(client, text)
    local box
    if client == ARGV[1] then
      own_events = own_events or {}
      box = own_events
    else
      outbox = outbox or {}
      outbox[client] = outbox[client] or {}
      box = outbox[client]
    end
    box[#box + 1] = text
  end
  function F.named(name)
    if byte(name) == 33 then
      return sub(name, 2), nil
    end
    local slash = string.find(name, '/', 1, true)
    if slash then
      return sub(name, 1, slash - 1), sub(name, slash + 1)
    end
    return name, name
  end
  function F.whose(id, record)
    local parts = {}
    for part in string.gmatch((record and record[CLIENT] or '') .. '\\0/', '(.-)%z/') do
      parts[#parts + 1] = part
    end
    return parts[1], parts[2] or id, parts[3], parts[4], parts[5]
  end
  function F.owned(id, client, owner)
    return owner == id and client or client .. '\\0/' .. owner
  end
  function F.is_owner(owner, id, record)
    if not owner then
      return true
    end
    local _, its_owner = F.whose(id, record)
    return owner == its_owner
  end
  function F.tell_owner(letter, id, record)
    local client, owner = F.whose(id, record)
    F.tell(client, letter .. ' ' .. id .. (owner == id and '' or ' ' .. owner))
  end
  function F.publish()
    for client, box in pairs(outbox) do
      call('PUBLISH', ARGV[2] .. client, string.format('%.0f\\n', now) .. table.concat(box, '\\n'))
    end
  end
  function F.describe(id)
    local record = F.record(id)
    local shown = {
      id,
      record[STATE],
      tonumber(record[TICKET]),
      record[TOKEN],
      record[SINCE],
      F.deadline_of(id),
      record[BLOCKER],
      record[HOLDER]
    }
    for i = N, #record do
      shown[i] = record[i]
    end
    return shown
  end
  function F.enclosing(record)
    local enclosing = {}
    for i = N + record[N] + 1, #record do
      enclosing[record[i]] = true
    end
    return enclosing
  end
  function F.first(prefix, waived)
    local from, to, offset, page = '[' .. prefix, '(' .. prefix .. '\\255', 0, waived and 32 or 1
    F.flush_index(sub(prefix, 1, 1))
    while true do
      local members = call('ZRANGEBYLEX', index_key, from, to, 'LIMIT', offset, page)
      for i = 1, #members do
        local id = sub(string.match(members[i], '^.*/(.*)$'), 18)
        if not (waived and waived[id]) then
          return id
        end
      end
      if #members < page then
        return nil
      end
      offset = offset + page
    end
  end
  function F.sweep()
    local limit = 32
    if due ~= 0 and due <= now then
      local members = call('ZRANGEBYSCORE', deadlines_key, '-inf', string.format('%.0f', now), 'LIMIT', 0, limit)
      local next = call('ZRANGE', deadlines_key, #members, #members, 'WITHSCORES')
      due = next[2] and next[1] ~= stamp and tonumber(next[2]) or 0
      changed = true
      for i = 1, #members do
        local id = sub(members[i], 2)
        local record = F.record(id)
        if record and record[STATE] == sub(members[i], 1, 1) then
          if record[STATE] == 'h' then
            F.tell_owner('e', id, record)
          else
            F.tell(record[CLIENT], 'x ' .. id)
          end
          drop(id, record)
        else
          return F.give_up()
        end
      end
    end
    F.settle()
  end
  function F.earlier_waiting(record)
    local ticket, latest_ticket, latest = record[TICKET], 0, nil
    local function consider(list)
      F.flush_index('q')
      local member = call('ZREVRANGEBYLEX', index_key, '(' .. list .. ticket, '[' .. list, 'LIMIT', 0, 1)[1]
      local its_ticket = member and tonumber(sub(member, #list + 1, #list + 16))
      if member and its_ticket > latest_ticket then
        latest_ticket, latest = its_ticket, sub(member, #list + 17)
      end
    end
    local function consider_node(kind, path, subtree, alone)
      if subtree > 0 then
        consider(kind .. path .. '/s')
      end
      if alone > 0 then
        consider(kind .. path .. '/n')
      end
    end
    for i = N + 1, N + record[N] do
      local mode, path = byte(record[i]), sub(record[i], 2)
      local exclusive = mode == 87 or mode == 119
      local list = nodes_above(path)
      for j = 1, #list do
        local node = cache['n' .. list[j]]
        if node then
          consider_node('qw', list[j], node[7], 0)
          consider_node('qr', list[j], exclusive and node[5] or 0, 0)
        end
      end
      local node = cache['n' .. path]
      if node then
        consider_node('qw', path, node[7], node[8])
        if exclusive then
          consider_node('qr', path, node[5], node[6])
        end
      end
      if mode < 97 and #list < deep then
        consider('qw' .. path .. '/b')
        if exclusive then
          consider('qr' .. path .. '/b')
        end
      end
    end
    return latest
  end
  function F.place_waiting(id, record, change)
    local tail, is_there = record[TICKET] .. id, change > 0
    for i = N + 1, N + record[N] do
      local mode, path = byte(record[i]), sub(record[i], 2)
      local exclusive, subtree = mode == 87 or mode == 119, mode < 97
      local kind, slot = exclusive and 'qw' or 'qr', exclusive and 7 or 5
      local list = above[path] or paths_above(path)
      F.index(kind .. path .. (subtree and '/s' or '/n') .. tail, is_there)
      count(path, subtree and slot or slot + 1, change)
      for j = 1, #list do
        F.index(kind .. list[j] .. '/b' .. tail, is_there)
      end
      deep = math.max(deep, #list)
    end
    local from = N + record[N] + 1
    for i = from, #record do
      F.index('n' .. record[i] .. '/' .. id, is_there)
    end
    waits = waits + change
    if from <= #record then
      nested = nested + change
    end
  end
  function F.cycle_to(enclosing, blocker)
    local left, seen = 1000, {}
    local function walk(lease)
      if seen[lease] or left <= 0 or not F.record(lease) then
        return nil
      end
      if enclosing[lease] then
        return { lease }
      end
      seen[lease] = true
      local prefix = 'n' .. lease .. '/'
      local inside = call('ZRANGEBYLEX', index_key, '[' .. prefix, '(' .. prefix .. '\\255', 'LIMIT', 0, left)
      left = left - #inside
      for i = 1, #inside do
        local id = sub(inside[i], #prefix + 1)
        local record = F.record(id)
        local rest = record and record[BLOCKER] ~= '' and walk(record[BLOCKER])
        if rest then
          table.insert(rest, 1, id)
          table.insert(rest, 1, lease)
          return rest
        end
      end
      return nil
    end
    F.flush_index('n')
    return walk(blocker)
  end
  function F.watch(id, record, blocker)
    record[BLOCKER] = blocker
    F.index('w' .. blocker .. '/' .. record[TICKET] .. id, true)
    set('r' .. id, record)
    local cycle = nested > 1 and #record > N + record[N] and F.cycle_to(F.enclosing(record), blocker)
    if cycle then
      table.insert(cycle, 1, id)
    end
    return cycle
  end
  function F.settle(wanted)
    local left, queue, at, target_of = math.max(16, wanted or 0), {}, 1, {}
    local function gather(id, marked)
      local prefix = 'w' .. id .. '/'
      F.flush_index('w')
      local watchers = call('ZRANGEBYLEX', index_key, '[' .. prefix, '(' .. prefix .. '\\255', 'LIMIT', 0, left + 1)
      local more = #watchers > left
      if more then
        watchers[#watchers] = nil
      end
      if #watchers > 0 then
        F.call_all('ZREM', index_key, watchers)
      end
      for i = 1, #watchers do
        queue[#queue + 1] = sub(watchers[i], #prefix + 1)
        target_of[queue[#queue]] = gone_target[id]
      end
      left = left - #watchers
      if more and not marked then
        pending = pending + call('ZADD', index_key, 0, 'p' .. id)
      elseif marked and not more then
        pending = pending - call('ZREM', index_key, 'p' .. id)
      end
    end
    local function gather_gone()
      for i = 1, #gone do
        gather(gone[i], false)
      end
      gone = {}
      table.sort(queue)
      local fields = {}
      for i = at, #queue do
        fields[#fields + 1] = 'r' .. sub(queue[i], 17)
      end
      load(fields)
      fields = {}
      for i = at, #queue do
        local record = F.record(sub(queue[i], 17))
        if record then
          add_nodes(record, fields)
        end
      end
      load(fields)
    end
    if #gone == 0 and pending == 0 then
      return
    end
    changed = true
    if waits == 0 then
      call('ZREMRANGEBYLEX', index_key, '[p', '(p\\255')
      gone, pending = {}, 0
      return
    end
    if pending > 0 then
      for _, mark in ipairs(call('ZRANGEBYLEX', index_key, '[p', '(p\\255', 'LIMIT', 0, 16)) do
        gather(sub(mark, 2), true)
      end
    end
    gather_gone()
    while at <= #queue do
      local id, target = sub(queue[at], 17), target_of[queue[at]]
      local record = F.record(id)
      at = at + 1
      if record and record[STATE] == 'q' then
        local blocker = blocker_of(record, target and #record == N + 1 and record[N + 1] == target)
        if not blocker then
          F.place_waiting(id, record, -1)
          deadline_removals[#deadline_removals + 1] = 'q' .. id
          local deadline = grant(id, record)
          F.tell(record[CLIENT], string.format('g %s %.0f %.0f', id, record[TOKEN], deadline))
        else
          local cycle = F.watch(id, record, blocker)
          if cycle then
            F.tell(record[CLIENT], 'd ' .. table.concat(cycle, ' '))
            drop(id, record)
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
begin({ 'r' .. id })
F.rest()
local record = cache['r' .. id]
local deadline = record and record[STATE] == 'h' and F.deadline_of(id) or 0
local _, owner, former_client, former_owner, former_deadline = F.whose(id, record)
local done = deadline > now and owner == ARGV[5] and former_client
if done then
  record[CLIENT] = F.owned(id, former_client, former_owner)
  set('r' .. id, record)
  F.set_deadline('h' .. id, tonumber(former_deadline))
  if tonumber(former_deadline) < deadline then
    F.sooner(id)
  end
end
save()
return answer({ 0, 0, 0, done and 1 or 0 })`

export const inspect: string = `local call, pack, unpack_values, sub, byte = redis.call, cmsgpack.pack, cmsgpack.unpack, string.sub, string.byte
local table_key, index_key, deadlines_key = KEYS[1], KEYS[2], KEYS[3]
local time = call('TIME')
local now = time[1] * 1000000 + time[2]
local token_floor = 0
if not tonumber(ARGV[3]) then
  local late, token = string.match(ARGV[3], '^(%d+) (%d+)$')
  ARGV[3], token_floor = late, tonumber(token)
end
local F, cache, above = {}, {}, {}
local dirty, index_changes, deadline_removals, deadline_additions = {}, {}, {}, {}
local gone, gone_target, own_events, outbox = {}, {}, nil, nil
local changed, stamped, stamp = false, false, '!' .. table_key
local last_token, last_ticket, held_r, held_w, waits, nested, pending, due, keep, shallow, deep =
  0, 0, 0, 0, 0, 0, 0, 0, 0, 999, 0
local function load(fields)
  for from = 1, #fields, 4000 do
    local to = math.min(from + 3999, #fields)
    local found = call('HMGET', table_key, unpack(fields, from, to))
    for i = from, to do
      if cache[fields[i]] == nil then
        local raw = found[i - from + 1]
        cache[fields[i]] = raw and { unpack_values(raw) }
      end
    end
  end
end
local function set(field, value)
  cache[field] = value
  changed = true
  if not dirty[field] then
    dirty[field] = true
    dirty[#dirty + 1] = field
  end
end
local function paths_above(path)
  local list, at, n = {}, 0, 0
  while at and at < #path do
    n = n + 1
    list[n] = sub(path, 1, at)
    at = string.find(path, '/', at + 1, true)
  end
  return list
end
local function want_nodes(path, fields)
  local list = above[path]
  if not list then
    list = paths_above(path)
    above[path] = list
    for j = 0, #list do
      local field = 'n' .. (list[j] or path)
      if cache[field] == nil and not fields[field] then
        fields[field] = true
        fields[#fields + 1] = field
      end
    end
  end
  return list
end
local function nodes_above(path)
  local missing = {}
  local list = want_nodes(path, missing)
  load(missing)
  return list
end
local function begin(fields, asks)
  fields[#fields + 1] = 'm'
  load(fields)
  if cache.m then
    last_token, last_ticket, held_r, held_w, waits, nested, pending, due, keep, shallow, deep =
      unpack(cache.m)
    stamped = waits > 0 or 2 * (held_r + held_w) > #cache.m - 11
    local in_index = not stamped or call('ZSCORE', index_key, stamp)
    local in_deadlines = not stamped or call('ZSCORE', deadlines_key, stamp)
    if not (in_index and in_deadlines) then
      F.rest()
      F.give_up()
    elseif cache.m[12] then
      if not asks then
        call('ZREM', index_key, '')
      end
      local index, deadlines = {}, {}
      for at = 12, #cache.m, 2 do
        local n = #index
        index[n + 1], index[n + 2] = 0, cache.m[at]
        deadlines[n + 1], deadlines[n + 2] = cache.m[at + 1], 'h' .. sub(string.match(cache.m[at], '^.*/(.*)$'), 18)
      end
      call('ZADD', index_key, unpack(index))
      call('ZADD', deadlines_key, unpack(deadlines))
      changed = true
    end
  elseif call('EXISTS', index_key, deadlines_key) > 0 then
    call('ZCARD', index_key)
    call('ZCARD', deadlines_key)
    call('DEL', index_key, deadlines_key)
  end
  if last_token < token_floor then
    last_token = token_floor
  end
  if pending > 0 or due ~= 0 and due <= now then
    F.rest()
    F.sweep()
  end
end
local function save()
  if outbox then
    F.publish()
  end
  if not changed then
    return
  end
  local minute, latest = 60000000, 0
  if held_r + held_w + waits == 0 then
    call('DEL', table_key, index_key, deadlines_key)
    if last_token >= now then
      keep = last_token + minute
      call('HSET', table_key, 'm', pack(last_token, last_ticket, 0, 0, 0, 0, 0, 0, keep, 999, 0))
      call('PEXPIREAT', table_key, math.ceil(keep / 1000))
    end
    return
  end
  F.flush_index()
  if #deadline_removals > 0 then
    F.flush_deadlines()
  end
  local removals, additions, a = {}, {}, 2
  for i = 1, #dirty do
    local field = dirty[i]
    local value = cache[field]
    if value then
      additions[a + 1], additions[a + 2] = field, pack(unpack(value))
      a = a + 2
    else
      removals[#removals + 1] = field
    end
  end
  if #removals > 0 then
    F.call_all('HDEL', table_key, removals)
  end
  if #deadline_additions > 0 then
    F.call_all('ZADD', deadlines_key, deadline_additions)
    for i = 1, #deadline_additions, 2 do
      if deadline_additions[i] > latest then
        latest = deadline_additions[i]
      end
    end
  end
  if not stamped then
    call('ZADD', index_key, 0, stamp)
    call('ZADD', deadlines_key, 'inf', stamp)
  end
  local extend = not stamped or latest + minute > keep
  if extend then
    keep = math.max(keep, latest + 2 * minute)
  end
  additions[1] = 'm'
  additions[2] = pack(last_token, last_ticket, held_r, held_w, waits, nested, pending, due, keep, shallow, deep)
  F.call_all('HSET', table_key, additions)
  if extend then
    local at = math.ceil(keep / 1000)
    call('PEXPIREAT', table_key, at)
    call('PEXPIREAT', index_key, at)
    call('PEXPIREAT', deadlines_key, at)
  end
end
function F.index(member, is_there)
  local letter = sub(member, 1, 1)
  local changes = index_changes[letter]
  if not changes then
    changes = {}
    index_changes[letter] = changes
  end
  if changes[member] == nil then
    changes[#changes + 1] = member
  end
  changes[member] = is_there
end
function F.flush_index(letter)
  if next(index_changes) == nil or letter and not index_changes[letter] then
    return
  end
  local removals, additions = {}, {}
  for kind, changes in pairs(index_changes) do
    if not letter or kind == letter then
      for i = 1, #changes do
        if changes[changes[i]] then
          additions[#additions + 1] = 0
          additions[#additions + 1] = changes[i]
        else
          removals[#removals + 1] = changes[i]
        end
      end
      index_changes[kind] = nil
    end
  end
  if #removals > 0 then
    F.call_all('ZREM', index_key, removals)
  end
  if #additions > 0 then
    F.call_all('ZADD', index_key, additions)
  end
end
function F.call_all(command, key, arguments)
  if #arguments <= 4000 then
    return call(command, key, unpack(arguments))
  end
  for from = 1, #arguments, 4000 do
    call(command, key, unpack(arguments, from, math.min(from + 3999, #arguments)))
  end
end
local function answer(values)
  local more = pending > 0 or due ~= 0 and due <= now
  values[1], values[2], values[3] = now, more and 1 or 0, own_events and table.concat(own_events, '\\n') or ''
  return values
end
local STATE, TICKET, TOKEN, SINCE, TTL, CLIENT, HOLDER, BLOCKER, N = 1, 2, 3, 4, 5, 6, 7, 8, 9
local function add_nodes(record, fields)
  local segments = 0
  for i = N + 1, N + record[N] do
    segments = segments + #want_nodes(sub(record[i], 2), fields)
  end
  return segments
end
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
    if mode == 87 or mode == 119 then
      member, slot, held_w = 'hw' .. path .. member, slot + 2, held_w + change
    else
      member, held_r = 'hr' .. path .. member, held_r + change
    end
    F.index(member, change > 0)
    count(path, slot, change)
  end
end
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
  local node = cache['n' .. path]
  local below = mode < 97 and #list < deep
  local own = mode < 97 and path or path .. '/'
  if below then
    F.flush_index('h')
  end
  if held_w > 0
    and (node and node[3] + node[4] > 0
      or below and call('ZLEXCOUNT', index_key, '[hw' .. own, '(hw' .. own .. '\\255') > 0)
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
      or below and call('ZLEXCOUNT', index_key, '[hr' .. own, '(hr' .. own .. '\\255') > 0)
  then
    F.rest()
    return F.first('hr' .. own, waived)
  end
  return nil
end
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
local function drop(id, record)
  if record[STATE] == 'h' then
    place_held(id, record, -1)
    local mode = byte(record[N + 1])
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
  for i = #deadline_additions, 2, -2 do
    if deadline_additions[i] == member then
      table.remove(deadline_additions, i)
      table.remove(deadline_additions, i - 1)
    end
  end
  set('r' .. id, false)
  gone[#gone + 1] = id
end
function F.rest()
  F.rest = function() end
  function F.record(id)
    local field = 'r' .. id
    if cache[field] == nil then
      load({ field })
    end
    return cache[field]
  end
  function F.flush_deadlines()
    F.call_all('ZREM', deadlines_key, deadline_removals)
    deadline_removals = {}
    if #deadline_additions > 0 then
      F.call_all('ZADD', deadlines_key, deadline_additions)
    end
  end
  function F.give_up()
    call('DEL', table_key, index_key, deadlines_key)
    for field in pairs(cache) do
      cache[field] = false
    end
    dirty, index_changes, deadline_removals, deadline_additions, gone = {}, {}, {}, {}, {}
    held_r, held_w, waits, nested, pending, due, keep, shallow, deep = 0, 0, 0, 0, 0, 0, 0, 999, 0
    changed, stamped = true, false
  end
  function F.set_deadline(member, deadline)
    deadline_additions[#deadline_additions + 1] = deadline
    deadline_additions[#deadline_additions + 1] = member
    changed = true
    if due == 0 or deadline < due then
      due = deadline
    end
  end
  local scores = {}
  function F.deadline_of(id)
    local record = F.record(id)
    if not record then
      return now
    end
    local member = record[STATE] .. id
    for i = #deadline_additions, 2, -2 do
      if deadline_additions[i] == member then
        return deadline_additions[i - 1]
      end
    end
    if scores[member] == nil then
      scores[member] = call('ZSCORE', deadlines_key, member)
    end
    return scores[member] and tonumber(scores[member]) or now
  end
  function F.limit(id)
    local record = F.record(id)
    local latest = record and now + record[TTL] * 1000
    if record and F.deadline_of(id) > latest then
      F.set_deadline(record[STATE] .. id, latest)
    end
  end
  function F.sooner(id)
    if waits > 0 then
      local prefix = 'w' .. id .. '/'
      F.flush_index('w')
      local watchers = call('ZRANGEBYLEX', index_key, '[' .. prefix, '(' .. prefix .. '\\255', 'LIMIT', 0, 64)
      for i = 1, #watchers do
        local watcher = sub(watchers[i], #prefix + 17)
        local record = F.record(watcher)
        if record then
          F.tell(record[CLIENT], 'l ' .. watcher)
        end
      end
    end
  end
  function F.tell(client, text)
    local box
    if client == ARGV[1] then
      own_events = own_events or {}
      box = own_events
    else
      outbox = outbox or {}
      outbox[client] = outbox[client] or {}
      box = outbox[client]
    end
    box[#box + 1] = text
  end
  function F.named(name)
    if byte(name) == 33 then
      return sub(name, 2), nil
    end
    local slash = string.find(name, '/', 1, true)
    if slash then
      return sub(name, 1, slash - 1), sub(name, slash + 1)
    end
    return name, name
  end
  function F.whose(id, record)
    local parts = {}
    for part in string.gmatch((record and record[CLIENT] or '') .. '\\0/', '(.-)%z/') do
      parts[#parts + 1] = part
    end
    return parts[1], parts[2] or id, parts[3], parts[4], parts[5]
  end
  function F.owned(id, client, owner)
    return owner == id and client or client .. '\\0/' .. owner
  end
  function F.is_owner(owner, id, record)
    if not owner then
      return true
    end
    local _, its_owner = F.whose(id, record)
    return owner == its_owner
  end
  function F.tell_owner(letter, id, record)
    local client, owner = F.whose(id, record)
    F.tell(client, letter .. ' ' .. id .. (owner == id and '' or ' ' .. owner))
  end
  function F.publish()
    for client, box in pairs(outbox) do
      call('PUBLISH', ARGV[2] .. client, string.format('%.0f\\n', now) .. table.concat(box, '\\n'))
    end
  end
  function F.describe(id)
    local record = F.record(id)
    local shown = {
      id,
      record[STATE],
      tonumber(record[TICKET]),
      record[TOKEN],
      record[SINCE],
      F.deadline_of(id),
      record[BLOCKER],
      record[HOLDER]
    }
    for i = N, #record do
      shown[i] = record[i]
    end
    return shown
  end
  function F.enclosing(record)
    local enclosing = {}
    for i = N + record[N] + 1, #record do
      enclosing[record[i]] = true
    end
    return enclosing
  end
  function F.first(prefix, waived)
    local from, to, offset, page = '[' .. prefix, '(' .. prefix .. '\\255', 0, waived and 32 or 1
    F.flush_index(sub(prefix, 1, 1))
    while true do
      local members = call('ZRANGEBYLEX', index_key, from, to, 'LIMIT', offset, page)
      for i = 1, #members do
        local id = sub(string.match(members[i], '^.*/(.*)$'), 18)
        if not (waived and waived[id]) then
          return id
        end
      end
      if #members < page then
        return nil
      end
      offset = offset + page
    end
  end
  function F.sweep()
    local limit = 32
    if due ~= 0 and due <= now then
      local members = call('ZRANGEBYSCORE', deadlines_key, '-inf', string.format('%.0f', now), 'LIMIT', 0, limit)
      local next = call('ZRANGE', deadlines_key, #members, #members, 'WITHSCORES')
      due = next[2] and next[1] ~= stamp and tonumber(next[2]) or 0
      changed = true
      for i = 1, #members do
        local id = sub(members[i], 2)
        local record = F.record(id)
        if record and record[STATE] == sub(members[i], 1, 1) then
          if record[STATE] == 'h' then
            F.tell_owner('e', id, record)
          else
            F.tell(record[CLIENT], 'x ' .. id)
          end
          drop(id, record)
        else
          return F.give_up()
        end
      end
    end
    F.settle()
  end
  function F.earlier_waiting(record)
    local ticket, latest_ticket, latest = record[TICKET], 0, nil
    local function consider(list)
      F.flush_index('q')
      local member = call('ZREVRANGEBYLEX', index_key, '(' .. list .. ticket, '[' .. list, 'LIMIT', 0, 1)[1]
      local its_ticket = member and tonumber(sub(member, #list + 1, #list + 16))
      if member and its_ticket > latest_ticket then
        latest_ticket, latest = its_ticket, sub(member, #list + 17)
      end
    end
    local function consider_node(kind, path, subtree, alone)
      if subtree > 0 then
        consider(kind .. path .. '/s')
      end
      if alone > 0 then
        consider(kind .. path .. '/n')
      end
    end
    for i = N + 1, N + record[N] do
      local mode, path = byte(record[i]), sub(record[i], 2)
      local exclusive = mode == 87 or mode == 119
      local list = nodes_above(path)
      for j = 1, #list do
        local node = cache['n' .. list[j]]
        if node then
          consider_node('qw', list[j], node[7], 0)
          consider_node('qr', list[j], exclusive and node[5] or 0, 0)
        end
      end
      local node = cache['n' .. path]
      if node then
        consider_node('qw', path, node[7], node[8])
        if exclusive then
          consider_node('qr', path, node[5], node[6])
        end
      end
      if mode < 97 and #list < deep then
        consider('qw' .. path .. '/b')
        if exclusive then
          consider('qr' .. path .. '/b')
        end
      end
    end
    return latest
  end
  function F.place_waiting(id, record, change)
    local tail, is_there = record[TICKET] .. id, change > 0
    for i = N + 1, N + record[N] do
      local mode, path = byte(record[i]), sub(record[i], 2)
      local exclusive, subtree = mode == 87 or mode == 119, mode < 97
      local kind, slot = exclusive and 'qw' or 'qr', exclusive and 7 or 5
      local list = above[path] or paths_above(path)
      F.index(kind .. path .. (subtree and '/s' or '/n') .. tail, is_there)
      count(path, subtree and slot or slot + 1, change)
      for j = 1, #list do
        F.index(kind .. list[j] .. '/b' .. tail, is_there)
      end
      deep = math.max(deep, #list)
    end
    local from = N + record[N] + 1
    for i = from, #record do
      F.index('n' .. record[i] .. '/' .. id, is_there)
    end
    waits = waits + change
    if from <= #record then
      nested = nested + change
    end
  end
  function F.cycle_to(enclosing, blocker)
    local left, seen = 1000, {}
    local function walk(lease)
      if seen[lease] or left <= 0 or not F.record(lease) then
        return nil
      end
      if enclosing[lease] then
        return { lease }
      end
      seen[lease] = true
      local prefix = 'n' .. lease .. '/'
      local inside = call('ZRANGEBYLEX', index_key, '[' .. prefix, '(' .. prefix .. '\\255', 'LIMIT', 0, left)
      left = left - #inside
      for i = 1, #inside do
        local id = sub(inside[i], #prefix + 1)
        local record = F.record(id)
        local rest = record and record[BLOCKER] ~= '' and walk(record[BLOCKER])
        if rest then
          table.insert(rest, 1, id)
          table.insert(rest, 1, lease)
          return rest
        end
      end
      return nil
    end
    F.flush_index('n')
    return walk(blocker)
  end
  function F.watch(id, record, blocker)
    record[BLOCKER] = blocker
    F.index('w' .. blocker .. '/' .. record[TICKET] .. id, true)
    set('r' .. id, record)
    local cycle = nested > 1 and #record > N + record[N] and F.cycle_to(F.enclosing(record), blocker)
    if cycle then
      table.insert(cycle, 1, id)
    end
    return cycle
  end
  function F.settle(wanted)
    local left, queue, at, target_of = math.max(16, wanted or 0), {}, 1, {}
    local function gather(id, marked)
      local prefix = 'w' .. id .. '/'
      F.flush_index('w')
      local watchers = call('ZRANGEBYLEX', index_key, '[' .. prefix, '(' .. prefix .. '\\255', 'LIMIT', 0, left + 1)
      local more = #watchers > left
      if more then
        watchers[#watchers] = nil
      end
      if #watchers > 0 then
        F.call_all('ZREM', index_key, watchers)
      end
      for i = 1, #watchers do
        queue[#queue + 1] = sub(watchers[i], #prefix + 1)
        target_of[queue[#queue]] = gone_target[id]
      end
      left = left - #watchers
      if more and not marked then
        pending = pending + call('ZADD', index_key, 0, 'p' .. id)
      elseif marked and not more then
        pending = pending - call('ZREM', index_key, 'p' .. id)
      end
    end
    local function gather_gone()
      for i = 1, #gone do
        gather(gone[i], false)
      end
      gone = {}
      table.sort(queue)
      local fields = {}
      for i = at, #queue do
        fields[#fields + 1] = 'r' .. sub(queue[i], 17)
      end
      load(fields)
      fields = {}
      for i = at, #queue do
        local record = F.record(sub(queue[i], 17))
        if record then
          add_nodes(record, fields)
        end
      end
      load(fields)
    end
    if #gone == 0 and pending == 0 then
      return
    end
    changed = true
    if waits == 0 then
      call('ZREMRANGEBYLEX', index_key, '[p', '(p\\255')
      gone, pending = {}, 0
      return
    end
    if pending > 0 then
      for _, mark in ipairs(call('ZRANGEBYLEX', index_key, '[p', '(p\\255', 'LIMIT', 0, 16)) do
        gather(sub(mark, 2), true)
      end
    end
    gather_gone()
    while at <= #queue do
      local id, target = sub(queue[at], 17), target_of[queue[at]]
      local record = F.record(id)
      at = at + 1
      if record and record[STATE] == 'q' then
        local blocker = blocker_of(record, target and #record == N + 1 and record[N + 1] == target)
        if not blocker then
          F.place_waiting(id, record, -1)
          deadline_removals[#deadline_removals + 1] = 'q' .. id
          local deadline = grant(id, record)
          F.tell(record[CLIENT], string.format('g %s %.0f %.0f', id, record[TOKEN], deadline))
        else
          local cycle = F.watch(id, record, blocker)
          if cycle then
            F.tell(record[CLIENT], 'd ' .. table.concat(cycle, ' '))
            drop(id, record)
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
begin({})
save()
F.rest()
local page, shown, answers = 250, {}, { 0, 0, 0, 0, '' }
local kinds, behind = { 'hr', 'hw', 'qr', 'qw' }, ARGV[6]
for i = tonumber(ARGV[5]), #kinds do
  local prefix = kinds[i] .. ARGV[4]
  local from = behind == '' and '[' .. prefix or '(' .. behind
  local members = call('ZRANGEBYLEX', index_key, from, '(' .. prefix .. '\\255', 'LIMIT', 0, page)
  for j = 1, #members do
    local last = string.match(members[j], '^.*/(.*)$')
    local id = sub(last, 18)
    if sub(last, 1, 1) ~= 'b' and not shown[id] then
      shown[id] = true
      answers[#answers + 1] = F.describe(id)
    end
  end
  page = page - #members
  behind = ''
  if page == 0 then
    answers[4], answers[5] = i, members[#members]
    break
  end
end
return answer(answers)`

export const look: string = `local call, pack, unpack_values, sub, byte = redis.call, cmsgpack.pack, cmsgpack.unpack, string.sub, string.byte
local table_key, index_key, deadlines_key = KEYS[1], KEYS[2], KEYS[3]
local time = call('TIME')
local now = time[1] * 1000000 + time[2]
local token_floor = 0
if not tonumber(ARGV[3]) then
  local late, token = string.match(ARGV[3], '^(%d+) (%d+)$')
  ARGV[3], token_floor = late, tonumber(token)
end
local F, cache, above = {}, {}, {}
local dirty, index_changes, deadline_removals, deadline_additions = {}, {}, {}, {}
local gone, gone_target, own_events, outbox = {}, {}, nil, nil
local changed, stamped, stamp = false, false, '!' .. table_key
local last_token, last_ticket, held_r, held_w, waits, nested, pending, due, keep, shallow, deep =
  0, 0, 0, 0, 0, 0, 0, 0, 0, 999, 0
local function load(fields)
  for from = 1, #fields, 4000 do
    local to = math.min(from + 3999, #fields)
    local found = call('HMGET', table_key, unpack(fields, from, to))
    for i = from, to do
      if cache[fields[i]] == nil then
        local raw = found[i - from + 1]
        cache[fields[i]] = raw and { unpack_values(raw) }
      end
    end
  end
end
local function set(field, value)
  cache[field] = value
  changed = true
  if not dirty[field] then
    dirty[field] = true
    dirty[#dirty + 1] = field
  end
end
local function paths_above(path)
  local list, at, n = {}, 0, 0
  while at and at < #path do
    n = n + 1
    list[n] = sub(path, 1, at)
    at = string.find(path, '/', at + 1, true)
  end
  return list
end
local function want_nodes(path, fields)
  local list = above[path]
  if not list then
    list = paths_above(path)
    above[path] = list
    for j = 0, #list do
      local field = 'n' .. (list[j] or path)
      if cache[field] == nil and not fields[field] then
        fields[field] = true
        fields[#fields + 1] = field
      end
    end
  end
  return list
end
local function nodes_above(path)
  local missing = {}
  local list = want_nodes(path, missing)
  load(missing)
  return list
end
local function begin(fields, asks)
  fields[#fields + 1] = 'm'
  load(fields)
  if cache.m then
    last_token, last_ticket, held_r, held_w, waits, nested, pending, due, keep, shallow, deep =
      unpack(cache.m)
    stamped = waits > 0 or 2 * (held_r + held_w) > #cache.m - 11
    local in_index = not stamped or call('ZSCORE', index_key, stamp)
    local in_deadlines = not stamped or call('ZSCORE', deadlines_key, stamp)
    if not (in_index and in_deadlines) then
      F.rest()
      F.give_up()
    elseif cache.m[12] then
      if not asks then
        call('ZREM', index_key, '')
      end
      local index, deadlines = {}, {}
      for at = 12, #cache.m, 2 do
        local n = #index
        index[n + 1], index[n + 2] = 0, cache.m[at]
        deadlines[n + 1], deadlines[n + 2] = cache.m[at + 1], 'h' .. sub(string.match(cache.m[at], '^.*/(.*)$'), 18)
      end
      call('ZADD', index_key, unpack(index))
      call('ZADD', deadlines_key, unpack(deadlines))
      changed = true
    end
  elseif call('EXISTS', index_key, deadlines_key) > 0 then
    call('ZCARD', index_key)
    call('ZCARD', deadlines_key)
    call('DEL', index_key, deadlines_key)
  end
  if last_token < token_floor then
    last_token = token_floor
  end
  if pending > 0 or due ~= 0 and due <= now then
    F.rest()
    F.sweep()
  end
end
local function save()
  if outbox then
    F.publish()
  end
  if not changed then
    return
  end
  local minute, latest = 60000000, 0
  if held_r + held_w + waits == 0 then
    call('DEL', table_key, index_key, deadlines_key)
    if last_token >= now then
      keep = last_token + minute
      call('HSET', table_key, 'm', pack(last_token, last_ticket, 0, 0, 0, 0, 0, 0, keep, 999, 0))
      call('PEXPIREAT', table_key, math.ceil(keep / 1000))
    end
    return
  end
  F.flush_index()
  if #deadline_removals > 0 then
    F.flush_deadlines()
  end
  local removals, additions, a = {}, {}, 2
  for i = 1, #dirty do
    local field = dirty[i]
    local value = cache[field]
    if value then
      additions[a + 1], additions[a + 2] = field, pack(unpack(value))
      a = a + 2
    else
      removals[#removals + 1] = field
    end
  end
  if #removals > 0 then
    F.call_all('HDEL', table_key, removals)
  end
  if #deadline_additions > 0 then
    F.call_all('ZADD', deadlines_key, deadline_additions)
    for i = 1, #deadline_additions, 2 do
      if deadline_additions[i] > latest then
        latest = deadline_additions[i]
      end
    end
  end
  if not stamped then
    call('ZADD', index_key, 0, stamp)
    call('ZADD', deadlines_key, 'inf', stamp)
  end
  local extend = not stamped or latest + minute > keep
  if extend then
    keep = math.max(keep, latest + 2 * minute)
  end
  additions[1] = 'm'
  additions[2] = pack(last_token, last_ticket, held_r, held_w, waits, nested, pending, due, keep, shallow, deep)
  F.call_all('HSET', table_key, additions)
  if extend then
    local at = math.ceil(keep / 1000)
    call('PEXPIREAT', table_key, at)
    call('PEXPIREAT', index_key, at)
    call('PEXPIREAT', deadlines_key, at)
  end
end
function F.index(member, is_there)
  local letter = sub(member, 1, 1)
  local changes = index_changes[letter]
  if not changes then
    changes = {}
    index_changes[letter] = changes
  end
  if changes[member] == nil then
    changes[#changes + 1] = member
  end
  changes[member] = is_there
end
function F.flush_index(letter)
  if next(index_changes) == nil or letter and not index_changes[letter] then
    return
  end
  local removals, additions = {}, {}
  for kind, changes in pairs(index_changes) do
    if not letter or kind == letter then
      for i = 1, #changes do
        if changes[changes[i]] then
          additions[#additions + 1] = 0
          additions[#additions + 1] = changes[i]
        else
          removals[#removals + 1] = changes[i]
        end
      end
      index_changes[kind] = nil
    end
  end
  if #removals > 0 then
    F.call_all('ZREM', index_key, removals)
  end
  if #additions > 0 then
    F.call_all('ZADD', index_key, additions)
  end
end
function F.call_all(command, key, arguments)
  if #arguments <= 4000 then
    return call(command, key, unpack(arguments))
  end
  for from = 1, #arguments, 4000 do
    call(command, key, unpack(arguments, from, math.min(from + 3999, #arguments)))
  end
end
local function answer(values)
  local more = pending > 0 or due ~= 0 and due <= now
  values[1], values[2], values[3] = now, more and 1 or 0, own_events and table.concat(own_events, '\\n') or ''
  return values
end
if now > tonumber(ARGV[3]) then
  return { now, -1 }
end
local STATE, TICKET, TOKEN, SINCE, TTL, CLIENT, HOLDER, BLOCKER, N = 1, 2, 3, 4, 5, 6, 7, 8, 9
local function add_nodes(record, fields)
  local segments = 0
  for i = N + 1, N + record[N] do
    segments = segments + #want_nodes(sub(record[i], 2), fields)
  end
  return segments
end
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
    if mode == 87 or mode == 119 then
      member, slot, held_w = 'hw' .. path .. member, slot + 2, held_w + change
    else
      member, held_r = 'hr' .. path .. member, held_r + change
    end
    F.index(member, change > 0)
    count(path, slot, change)
  end
end
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
  local node = cache['n' .. path]
  local below = mode < 97 and #list < deep
  local own = mode < 97 and path or path .. '/'
  if below then
    F.flush_index('h')
  end
  if held_w > 0
    and (node and node[3] + node[4] > 0
      or below and call('ZLEXCOUNT', index_key, '[hw' .. own, '(hw' .. own .. '\\255') > 0)
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
      or below and call('ZLEXCOUNT', index_key, '[hr' .. own, '(hr' .. own .. '\\255') > 0)
  then
    F.rest()
    return F.first('hr' .. own, waived)
  end
  return nil
end
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
local function drop(id, record)
  if record[STATE] == 'h' then
    place_held(id, record, -1)
    local mode = byte(record[N + 1])
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
  for i = #deadline_additions, 2, -2 do
    if deadline_additions[i] == member then
      table.remove(deadline_additions, i)
      table.remove(deadline_additions, i - 1)
    end
  end
  set('r' .. id, false)
  gone[#gone + 1] = id
end
function F.rest()
  F.rest = function() end
  function F.record(id)
    local field = 'r' .. id
    if cache[field] == nil then
      load({ field })
    end
    return cache[field]
  end
  function F.flush_deadlines()
    F.call_all('ZREM', deadlines_key, deadline_removals)
    deadline_removals = {}
    if #deadline_additions > 0 then
      F.call_all('ZADD', deadlines_key, deadline_additions)
    end
  end
  function F.give_up()
    call('DEL', table_key, index_key, deadlines_key)
    for field in pairs(cache) do
      cache[field] = false
    end
    dirty, index_changes, deadline_removals, deadline_additions, gone = {}, {}, {}, {}, {}
    held_r, held_w, waits, nested, pending, due, keep, shallow, deep = 0, 0, 0, 0, 0, 0, 0, 999, 0
    changed, stamped = true, false
  end
  function F.set_deadline(member, deadline)
    deadline_additions[#deadline_additions + 1] = deadline
    deadline_additions[#deadline_additions + 1] = member
    changed = true
    if due == 0 or deadline < due then
      due = deadline
    end
  end
  local scores = {}
  function F.deadline_of(id)
    local record = F.record(id)
    if not record then
      return now
    end
    local member = record[STATE] .. id
    for i = #deadline_additions, 2, -2 do
      if deadline_additions[i] == member then
        return deadline_additions[i - 1]
      end
    end
    if scores[member] == nil then
      scores[member] = call('ZSCORE', deadlines_key, member)
    end
    return scores[member] and tonumber(scores[member]) or now
  end
  function F.limit(id)
    local record = F.record(id)
    local latest = record and now + record[TTL] * 1000
    if record and F.deadline_of(id) > latest then
      F.set_deadline(record[STATE] .. id, latest)
    end
  end
  function F.sooner(id)
    if waits > 0 then
      local prefix = 'w' .. id .. '/'
      F.flush_index('w')
      local watchers = call('ZRANGEBYLEX', index_key, '[' .. prefix, '(' .. prefix .. '\\255', 'LIMIT', 0, 64)
      for i = 1, #watchers do
        local watcher = sub(watchers[i], #prefix + 17)
        local record = F.record(watcher)
        if record then
          F.tell(record[CLIENT], 'l ' .. watcher)
        end
      end
    end
  end
  function F.tell(client, text)
    local box
    if client == ARGV[1] then
      own_events = own_events or {}
      box = own_events
    else
      outbox = outbox or {}
      outbox[client] = outbox[client] or {}
      box = outbox[client]
    end
    box[#box + 1] = text
  end
  function F.named(name)
    if byte(name) == 33 then
      return sub(name, 2), nil
    end
    local slash = string.find(name, '/', 1, true)
    if slash then
      return sub(name, 1, slash - 1), sub(name, slash + 1)
    end
    return name, name
  end
  function F.whose(id, record)
    local parts = {}
    for part in string.gmatch((record and record[CLIENT] or '') .. '\\0/', '(.-)%z/') do
      parts[#parts + 1] = part
    end
    return parts[1], parts[2] or id, parts[3], parts[4], parts[5]
  end
  function F.owned(id, client, owner)
    return owner == id and client or client .. '\\0/' .. owner
  end
  function F.is_owner(owner, id, record)
    if not owner then
      return true
    end
    local _, its_owner = F.whose(id, record)
    return owner == its_owner
  end
  function F.tell_owner(letter, id, record)
    local client, owner = F.whose(id, record)
    F.tell(client, letter .. ' ' .. id .. (owner == id and '' or ' ' .. owner))
  end
  function F.publish()
    for client, box in pairs(outbox) do
      call('PUBLISH', ARGV[2] .. client, string.format('%.0f\\n', now) .. table.concat(box, '\\n'))
    end
  end
  function F.describe(id)
    local record = F.record(id)
    local shown = {
      id,
      record[STATE],
      tonumber(record[TICKET]),
      record[TOKEN],
      record[SINCE],
      F.deadline_of(id),
      record[BLOCKER],
      record[HOLDER]
    }
    for i = N, #record do
      shown[i] = record[i]
    end
    return shown
  end
  function F.enclosing(record)
    local enclosing = {}
    for i = N + record[N] + 1, #record do
      enclosing[record[i]] = true
    end
    return enclosing
  end
  function F.first(prefix, waived)
    local from, to, offset, page = '[' .. prefix, '(' .. prefix .. '\\255', 0, waived and 32 or 1
    F.flush_index(sub(prefix, 1, 1))
    while true do
      local members = call('ZRANGEBYLEX', index_key, from, to, 'LIMIT', offset, page)
      for i = 1, #members do
        local id = sub(string.match(members[i], '^.*/(.*)$'), 18)
        if not (waived and waived[id]) then
          return id
        end
      end
      if #members < page then
        return nil
      end
      offset = offset + page
    end
  end
  function F.sweep()
    local limit = 32
    if due ~= 0 and due <= now then
      local members = call('ZRANGEBYSCORE', deadlines_key, '-inf', string.format('%.0f', now), 'LIMIT', 0, limit)
      local next = call('ZRANGE', deadlines_key, #members, #members, 'WITHSCORES')
      due = next[2] and next[1] ~= stamp and tonumber(next[2]) or 0
      changed = true
      for i = 1, #members do
        local id = sub(members[i], 2)
        local record = F.record(id)
        if record and record[STATE] == sub(members[i], 1, 1) then
          if record[STATE] == 'h' then
            F.tell_owner('e', id, record)
          else
            F.tell(record[CLIENT], 'x ' .. id)
          end
          drop(id, record)
        else
          return F.give_up()
        end
      end
    end
    F.settle()
  end
  function F.earlier_waiting(record)
    local ticket, latest_ticket, latest = record[TICKET], 0, nil
    local function consider(list)
      F.flush_index('q')
      local member = call('ZREVRANGEBYLEX', index_key, '(' .. list .. ticket, '[' .. list, 'LIMIT', 0, 1)[1]
      local its_ticket = member and tonumber(sub(member, #list + 1, #list + 16))
      if member and its_ticket > latest_ticket then
        latest_ticket, latest = its_ticket, sub(member, #list + 17)
      end
    end
    local function consider_node(kind, path, subtree, alone)
      if subtree > 0 then
        consider(kind .. path .. '/s')
      end
      if alone > 0 then
        consider(kind .. path .. '/n')
      end
    end
    for i = N + 1, N + record[N] do
      local mode, path = byte(record[i]), sub(record[i], 2)
      local exclusive = mode == 87 or mode == 119
      local list = nodes_above(path)
      for j = 1, #list do
        local node = cache['n' .. list[j]]
        if node then
          consider_node('qw', list[j], node[7], 0)
          consider_node('qr', list[j], exclusive and node[5] or 0, 0)
        end
      end
      local node = cache['n' .. path]
      if node then
        consider_node('qw', path, node[7], node[8])
        if exclusive then
          consider_node('qr', path, node[5], node[6])
        end
      end
      if mode < 97 and #list < deep then
        consider('qw' .. path .. '/b')
        if exclusive then
          consider('qr' .. path .. '/b')
        end
      end
    end
    return latest
  end
  function F.place_waiting(id, record, change)
    local tail, is_there = record[TICKET] .. id, change > 0
    for i = N + 1, N + record[N] do
      local mode, path = byte(record[i]), sub(record[i], 2)
      local exclusive, subtree = mode == 87 or mode == 119, mode < 97
      local kind, slot = exclusive and 'qw' or 'qr', exclusive and 7 or 5
      local list = above[path] or paths_above(path)
      F.index(kind .. path .. (subtree and '/s' or '/n') .. tail, is_there)
      count(path, subtree and slot or slot + 1, change)
      for j = 1, #list do
        F.index(kind .. list[j] .. '/b' .. tail, is_there)
      end
      deep = math.max(deep, #list)
    end
    local from = N + record[N] + 1
    for i = from, #record do
      F.index('n' .. record[i] .. '/' .. id, is_there)
    end
    waits = waits + change
    if from <= #record then
      nested = nested + change
    end
  end
  function F.cycle_to(enclosing, blocker)
    local left, seen = 1000, {}
    local function walk(lease)
      if seen[lease] or left <= 0 or not F.record(lease) then
        return nil
      end
      if enclosing[lease] then
        return { lease }
      end
      seen[lease] = true
      local prefix = 'n' .. lease .. '/'
      local inside = call('ZRANGEBYLEX', index_key, '[' .. prefix, '(' .. prefix .. '\\255', 'LIMIT', 0, left)
      left = left - #inside
      for i = 1, #inside do
        local id = sub(inside[i], #prefix + 1)
        local record = F.record(id)
        local rest = record and record[BLOCKER] ~= '' and walk(record[BLOCKER])
        if rest then
          table.insert(rest, 1, id)
          table.insert(rest, 1, lease)
          return rest
        end
      end
      return nil
    end
    F.flush_index('n')
    return walk(blocker)
  end
  function F.watch(id, record, blocker)
    record[BLOCKER] = blocker
    F.index('w' .. blocker .. '/' .. record[TICKET] .. id, true)
    set('r' .. id, record)
    local cycle = nested > 1 and #record > N + record[N] and F.cycle_to(F.enclosing(record), blocker)
    if cycle then
      table.insert(cycle, 1, id)
    end
    return cycle
  end
  function F.settle(wanted)
    local left, queue, at, target_of = math.max(16, wanted or 0), {}, 1, {}
    local function gather(id, marked)
      local prefix = 'w' .. id .. '/'
      F.flush_index('w')
      local watchers = call('ZRANGEBYLEX', index_key, '[' .. prefix, '(' .. prefix .. '\\255', 'LIMIT', 0, left + 1)
      local more = #watchers > left
      if more then
        watchers[#watchers] = nil
      end
      if #watchers > 0 then
        F.call_all('ZREM', index_key, watchers)
      end
      for i = 1, #watchers do
        queue[#queue + 1] = sub(watchers[i], #prefix + 1)
        target_of[queue[#queue]] = gone_target[id]
      end
      left = left - #watchers
      if more and not marked then
        pending = pending + call('ZADD', index_key, 0, 'p' .. id)
      elseif marked and not more then
        pending = pending - call('ZREM', index_key, 'p' .. id)
      end
    end
    local function gather_gone()
      for i = 1, #gone do
        gather(gone[i], false)
      end
      gone = {}
      table.sort(queue)
      local fields = {}
      for i = at, #queue do
        fields[#fields + 1] = 'r' .. sub(queue[i], 17)
      end
      load(fields)
      fields = {}
      for i = at, #queue do
        local record = F.record(sub(queue[i], 17))
        if record then
          add_nodes(record, fields)
        end
      end
      load(fields)
    end
    if #gone == 0 and pending == 0 then
      return
    end
    changed = true
    if waits == 0 then
      call('ZREMRANGEBYLEX', index_key, '[p', '(p\\255')
      gone, pending = {}, 0
      return
    end
    if pending > 0 then
      for _, mark in ipairs(call('ZRANGEBYLEX', index_key, '[p', '(p\\255', 'LIMIT', 0, 16)) do
        gather(sub(mark, 2), true)
      end
    end
    gather_gone()
    while at <= #queue do
      local id, target = sub(queue[at], 17), target_of[queue[at]]
      local record = F.record(id)
      at = at + 1
      if record and record[STATE] == 'q' then
        local blocker = blocker_of(record, target and #record == N + 1 and record[N + 1] == target)
        if not blocker then
          F.place_waiting(id, record, -1)
          deadline_removals[#deadline_removals + 1] = 'q' .. id
          local deadline = grant(id, record)
          F.tell(record[CLIENT], string.format('g %s %.0f %.0f', id, record[TOKEN], deadline))
        else
          local cycle = F.watch(id, record, blocker)
          if cycle then
            F.tell(record[CLIENT], 'd ' .. table.concat(cycle, ' '))
            drop(id, record)
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
local fields = {}
for at = 4, #ARGV, 2 do
  fields[#fields + 1] = 'r' .. ARGV[at]
end
begin(fields)
F.rest()
deadline_removals[#deadline_removals + 1] = ''
local answers, a = {}, 4
for at = 4, #ARGV, 2 do
  local id = ARGV[at]
  local record = cache['r' .. id]
  if not record then
    answers[a], answers[a + 1], answers[a + 2] = 0, 0, 0
  elseif record[STATE] == 'h' then
    answers[a], answers[a + 1], answers[a + 2] = 1, record[TOKEN], F.deadline_of(id)
    if F.is_owner(id, id, record) then
      answers[a + 2] = math.max(answers[a + 2], now + record[TTL] * 1000)
      F.set_deadline('h' .. id, answers[a + 2])
    end
  else
    F.set_deadline('q' .. id, now + tonumber(ARGV[at + 1]) * 1000)
    F.limit(record[BLOCKER])
    answers[a], answers[a + 1], answers[a + 2] = 2, record[BLOCKER], F.deadline_of(record[BLOCKER])
  end
  a = a + 3
end
save()
return answer(answers)`

export const lookup: string = `local call, pack, unpack_values, sub, byte = redis.call, cmsgpack.pack, cmsgpack.unpack, string.sub, string.byte
local table_key, index_key, deadlines_key = KEYS[1], KEYS[2], KEYS[3]
local time = call('TIME')
local now = time[1] * 1000000 + time[2]
local token_floor = 0
if not tonumber(ARGV[3]) then
  local late, token = string.match(ARGV[3], '^(%d+) (%d+)$')
  ARGV[3], token_floor = late, tonumber(token)
end
local F, cache, above = {}, {}, {}
local dirty, index_changes, deadline_removals, deadline_additions = {}, {}, {}, {}
local gone, gone_target, own_events, outbox = {}, {}, nil, nil
local changed, stamped, stamp = false, false, '!' .. table_key
local last_token, last_ticket, held_r, held_w, waits, nested, pending, due, keep, shallow, deep =
  0, 0, 0, 0, 0, 0, 0, 0, 0, 999, 0
local function load(fields)
  for from = 1, #fields, 4000 do
    local to = math.min(from + 3999, #fields)
    local found = call('HMGET', table_key, unpack(fields, from, to))
    for i = from, to do
      if cache[fields[i]] == nil then
        local raw = found[i - from + 1]
        cache[fields[i]] = raw and { unpack_values(raw) }
      end
    end
  end
end
local function set(field, value)
  cache[field] = value
  changed = true
  if not dirty[field] then
    dirty[field] = true
    dirty[#dirty + 1] = field
  end
end
local function paths_above(path)
  local list, at, n = {}, 0, 0
  while at and at < #path do
    n = n + 1
    list[n] = sub(path, 1, at)
    at = string.find(path, '/', at + 1, true)
  end
  return list
end
local function want_nodes(path, fields)
  local list = above[path]
  if not list then
    list = paths_above(path)
    above[path] = list
    for j = 0, #list do
      local field = 'n' .. (list[j] or path)
      if cache[field] == nil and not fields[field] then
        fields[field] = true
        fields[#fields + 1] = field
      end
    end
  end
  return list
end
local function nodes_above(path)
  local missing = {}
  local list = want_nodes(path, missing)
  load(missing)
  return list
end
local function begin(fields, asks)
  fields[#fields + 1] = 'm'
  load(fields)
  if cache.m then
    last_token, last_ticket, held_r, held_w, waits, nested, pending, due, keep, shallow, deep =
      unpack(cache.m)
    stamped = waits > 0 or 2 * (held_r + held_w) > #cache.m - 11
    local in_index = not stamped or call('ZSCORE', index_key, stamp)
    local in_deadlines = not stamped or call('ZSCORE', deadlines_key, stamp)
    if not (in_index and in_deadlines) then
      F.rest()
      F.give_up()
    elseif cache.m[12] then
      if not asks then
        call('ZREM', index_key, '')
      end
      local index, deadlines = {}, {}
      for at = 12, #cache.m, 2 do
        local n = #index
        index[n + 1], index[n + 2] = 0, cache.m[at]
        deadlines[n + 1], deadlines[n + 2] = cache.m[at + 1], 'h' .. sub(string.match(cache.m[at], '^.*/(.*)$'), 18)
      end
      call('ZADD', index_key, unpack(index))
      call('ZADD', deadlines_key, unpack(deadlines))
      changed = true
    end
  elseif call('EXISTS', index_key, deadlines_key) > 0 then
    call('ZCARD', index_key)
    call('ZCARD', deadlines_key)
    call('DEL', index_key, deadlines_key)
  end
  if last_token < token_floor then
    last_token = token_floor
  end
  if pending > 0 or due ~= 0 and due <= now then
    F.rest()
    F.sweep()
  end
end
local function save()
  if outbox then
    F.publish()
  end
  if not changed then
    return
  end
  local minute, latest = 60000000, 0
  if held_r + held_w + waits == 0 then
    call('DEL', table_key, index_key, deadlines_key)
    if last_token >= now then
      keep = last_token + minute
      call('HSET', table_key, 'm', pack(last_token, last_ticket, 0, 0, 0, 0, 0, 0, keep, 999, 0))
      call('PEXPIREAT', table_key, math.ceil(keep / 1000))
    end
    return
  end
  F.flush_index()
  if #deadline_removals > 0 then
    F.flush_deadlines()
  end
  local removals, additions, a = {}, {}, 2
  for i = 1, #dirty do
    local field = dirty[i]
    local value = cache[field]
    if value then
      additions[a + 1], additions[a + 2] = field, pack(unpack(value))
      a = a + 2
    else
      removals[#removals + 1] = field
    end
  end
  if #removals > 0 then
    F.call_all('HDEL', table_key, removals)
  end
  if #deadline_additions > 0 then
    F.call_all('ZADD', deadlines_key, deadline_additions)
    for i = 1, #deadline_additions, 2 do
      if deadline_additions[i] > latest then
        latest = deadline_additions[i]
      end
    end
  end
  if not stamped then
    call('ZADD', index_key, 0, stamp)
    call('ZADD', deadlines_key, 'inf', stamp)
  end
  local extend = not stamped or latest + minute > keep
  if extend then
    keep = math.max(keep, latest + 2 * minute)
  end
  additions[1] = 'm'
  additions[2] = pack(last_token, last_ticket, held_r, held_w, waits, nested, pending, due, keep, shallow, deep)
  F.call_all('HSET', table_key, additions)
  if extend then
    local at = math.ceil(keep / 1000)
    call('PEXPIREAT', table_key, at)
    call('PEXPIREAT', index_key, at)
    call('PEXPIREAT', deadlines_key, at)
  end
end
function F.index(member, is_there)
  local letter = sub(member, 1, 1)
  local changes = index_changes[letter]
  if not changes then
    changes = {}
    index_changes[letter] = changes
  end
  if changes[member] == nil then
    changes[#changes + 1] = member
  end
  changes[member] = is_there
end
function F.flush_index(letter)
  if next(index_changes) == nil or letter and not index_changes[letter] then
    return
  end
  local removals, additions = {}, {}
  for kind, changes in pairs(index_changes) do
    if not letter or kind == letter then
      for i = 1, #changes do
        if changes[changes[i]] then
          additions[#additions + 1] = 0
          additions[#additions + 1] = changes[i]
        else
          removals[#removals + 1] = changes[i]
        end
      end
      index_changes[kind] = nil
    end
  end
  if #removals > 0 then
    F.call_all('ZREM', index_key, removals)
  end
  if #additions > 0 then
    F.call_all('ZADD', index_key, additions)
  end
end
function F.call_all(command, key, arguments)
  if #arguments <= 4000 then
    return call(command, key, unpack(arguments))
  end
  for from = 1, #arguments, 4000 do
    call(command, key, unpack(arguments, from, math.min(from + 3999, #arguments)))
  end
end
local function answer(values)
  local more = pending > 0 or due ~= 0 and due <= now
  values[1], values[2], values[3] = now, more and 1 or 0, own_events and table.concat(own_events, '\\n') or ''
  return values
end
local STATE, TICKET, TOKEN, SINCE, TTL, CLIENT, HOLDER, BLOCKER, N = 1, 2, 3, 4, 5, 6, 7, 8, 9
local function add_nodes(record, fields)
  local segments = 0
  for i = N + 1, N + record[N] do
    segments = segments + #want_nodes(sub(record[i], 2), fields)
  end
  return segments
end
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
    if mode == 87 or mode == 119 then
      member, slot, held_w = 'hw' .. path .. member, slot + 2, held_w + change
    else
      member, held_r = 'hr' .. path .. member, held_r + change
    end
    F.index(member, change > 0)
    count(path, slot, change)
  end
end
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
  local node = cache['n' .. path]
  local below = mode < 97 and #list < deep
  local own = mode < 97 and path or path .. '/'
  if below then
    F.flush_index('h')
  end
  if held_w > 0
    and (node and node[3] + node[4] > 0
      or below and call('ZLEXCOUNT', index_key, '[hw' .. own, '(hw' .. own .. '\\255') > 0)
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
      or below and call('ZLEXCOUNT', index_key, '[hr' .. own, '(hr' .. own .. '\\255') > 0)
  then
    F.rest()
    return F.first('hr' .. own, waived)
  end
  return nil
end
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
local function drop(id, record)
  if record[STATE] == 'h' then
    place_held(id, record, -1)
    local mode = byte(record[N + 1])
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
  for i = #deadline_additions, 2, -2 do
    if deadline_additions[i] == member then
      table.remove(deadline_additions, i)
      table.remove(deadline_additions, i - 1)
    end
  end
  set('r' .. id, false)
  gone[#gone + 1] = id
end
function F.rest()
  F.rest = function() end
  function F.record(id)
    local field = 'r' .. id
    if cache[field] == nil then
      load({ field })
    end
    return cache[field]
  end
  function F.flush_deadlines()
    F.call_all('ZREM', deadlines_key, deadline_removals)
    deadline_removals = {}
    if #deadline_additions > 0 then
      F.call_all('ZADD', deadlines_key, deadline_additions)
    end
  end
  function F.give_up()
    call('DEL', table_key, index_key, deadlines_key)
    for field in pairs(cache) do
      cache[field] = false
    end
    dirty, index_changes, deadline_removals, deadline_additions, gone = {}, {}, {}, {}, {}
    held_r, held_w, waits, nested, pending, due, keep, shallow, deep = 0, 0, 0, 0, 0, 0, 0, 999, 0
    changed, stamped = true, false
  end
  function F.set_deadline(member, deadline)
    deadline_additions[#deadline_additions + 1] = deadline
    deadline_additions[#deadline_additions + 1] = member
    changed = true
    if due == 0 or deadline < due then
      due = deadline
    end
  end
  local scores = {}
  function F.deadline_of(id)
    local record = F.record(id)
    if not record then
      return now
    end
    local member = record[STATE] .. id
    for i = #deadline_additions, 2, -2 do
      if deadline_additions[i] == member then
        return deadline_additions[i - 1]
      end
    end
    if scores[member] == nil then
      scores[member] = call('ZSCORE', deadlines_key, member)
    end
    return scores[member] and tonumber(scores[member]) or now
  end
  function F.limit(id)
    local record = F.record(id)
    local latest = record and now + record[TTL] * 1000
    if record and F.deadline_of(id) > latest then
      F.set_deadline(record[STATE] .. id, latest)
    end
  end
  function F.sooner(id)
    if waits > 0 then
      local prefix = 'w' .. id .. '/'
      F.flush_index('w')
      local watchers = call('ZRANGEBYLEX', index_key, '[' .. prefix, '(' .. prefix .. '\\255', 'LIMIT', 0, 64)
      for i = 1, #watchers do
        local watcher = sub(watchers[i], #prefix + 17)
        local record = F.record(watcher)
        if record then
          F.tell(record[CLIENT], 'l ' .. watcher)
        end
      end
    end
  end
  function F.tell(client, text)
    local box
    if client == ARGV[1] then
      own_events = own_events or {}
      box = own_events
    else
      outbox = outbox or {}
      outbox[client] = outbox[client] or {}
      box = outbox[client]
    end
    box[#box + 1] = text
  end
  function F.named(name)
    if byte(name) == 33 then
      return sub(name, 2), nil
    end
    local slash = string.find(name, '/', 1, true)
    if slash then
      return sub(name, 1, slash - 1), sub(name, slash + 1)
    end
    return name, name
  end
  function F.whose(id, record)
    local parts = {}
    for part in string.gmatch((record and record[CLIENT] or '') .. '\\0/', '(.-)%z/') do
      parts[#parts + 1] = part
    end
    return parts[1], parts[2] or id, parts[3], parts[4], parts[5]
  end
  function F.owned(id, client, owner)
    return owner == id and client or client .. '\\0/' .. owner
  end
  function F.is_owner(owner, id, record)
    if not owner then
      return true
    end
    local _, its_owner = F.whose(id, record)
    return owner == its_owner
  end
  function F.tell_owner(letter, id, record)
    local client, owner = F.whose(id, record)
    F.tell(client, letter .. ' ' .. id .. (owner == id and '' or ' ' .. owner))
  end
  function F.publish()
    for client, box in pairs(outbox) do
      call('PUBLISH', ARGV[2] .. client, string.format('%.0f\\n', now) .. table.concat(box, '\\n'))
    end
  end
  function F.describe(id)
    local record = F.record(id)
    local shown = {
      id,
      record[STATE],
      tonumber(record[TICKET]),
      record[TOKEN],
      record[SINCE],
      F.deadline_of(id),
      record[BLOCKER],
      record[HOLDER]
    }
    for i = N, #record do
      shown[i] = record[i]
    end
    return shown
  end
  function F.enclosing(record)
    local enclosing = {}
    for i = N + record[N] + 1, #record do
      enclosing[record[i]] = true
    end
    return enclosing
  end
  function F.first(prefix, waived)
    local from, to, offset, page = '[' .. prefix, '(' .. prefix .. '\\255', 0, waived and 32 or 1
    F.flush_index(sub(prefix, 1, 1))
    while true do
      local members = call('ZRANGEBYLEX', index_key, from, to, 'LIMIT', offset, page)
      for i = 1, #members do
        local id = sub(string.match(members[i], '^.*/(.*)$'), 18)
        if not (waived and waived[id]) then
          return id
        end
      end
      if #members < page then
        return nil
      end
      offset = offset + page
    end
  end
  function F.sweep()
    local limit = 32
    if due ~= 0 and due <= now then
      local members = call('ZRANGEBYSCORE', deadlines_key, '-inf', string.format('%.0f', now), 'LIMIT', 0, limit)
      local next = call('ZRANGE', deadlines_key, #members, #members, 'WITHSCORES')
      due = next[2] and next[1] ~= stamp and tonumber(next[2]) or 0
      changed = true
      for i = 1, #members do
        local id = sub(members[i], 2)
        local record = F.record(id)
        if record and record[STATE] == sub(members[i], 1, 1) then
          if record[STATE] == 'h' then
            F.tell_owner('e', id, record)
          else
            F.tell(record[CLIENT], 'x ' .. id)
          end
          drop(id, record)
        else
          return F.give_up()
        end
      end
    end
    F.settle()
  end
  function F.earlier_waiting(record)
    local ticket, latest_ticket, latest = record[TICKET], 0, nil
    local function consider(list)
      F.flush_index('q')
      local member = call('ZREVRANGEBYLEX', index_key, '(' .. list .. ticket, '[' .. list, 'LIMIT', 0, 1)[1]
      local its_ticket = member and tonumber(sub(member, #list + 1, #list + 16))
      if member and its_ticket > latest_ticket then
        latest_ticket, latest = its_ticket, sub(member, #list + 17)
      end
    end
    local function consider_node(kind, path, subtree, alone)
      if subtree > 0 then
        consider(kind .. path .. '/s')
      end
      if alone > 0 then
        consider(kind .. path .. '/n')
      end
    end
    for i = N + 1, N + record[N] do
      local mode, path = byte(record[i]), sub(record[i], 2)
      local exclusive = mode == 87 or mode == 119
      local list = nodes_above(path)
      for j = 1, #list do
        local node = cache['n' .. list[j]]
        if node then
          consider_node('qw', list[j], node[7], 0)
          consider_node('qr', list[j], exclusive and node[5] or 0, 0)
        end
      end
      local node = cache['n' .. path]
      if node then
        consider_node('qw', path, node[7], node[8])
        if exclusive then
          consider_node('qr', path, node[5], node[6])
        end
      end
      if mode < 97 and #list < deep then
        consider('qw' .. path .. '/b')
        if exclusive then
          consider('qr' .. path .. '/b')
        end
      end
    end
    return latest
  end
  function F.place_waiting(id, record, change)
    local tail, is_there = record[TICKET] .. id, change > 0
    for i = N + 1, N + record[N] do
      local mode, path = byte(record[i]), sub(record[i], 2)
      local exclusive, subtree = mode == 87 or mode == 119, mode < 97
      local kind, slot = exclusive and 'qw' or 'qr', exclusive and 7 or 5
      local list = above[path] or paths_above(path)
      F.index(kind .. path .. (subtree and '/s' or '/n') .. tail, is_there)
      count(path, subtree and slot or slot + 1, change)
      for j = 1, #list do
        F.index(kind .. list[j] .. '/b' .. tail, is_there)
      end
      deep = math.max(deep, #list)
    end
    local from = N + record[N] + 1
    for i = from, #record do
      F.index('n' .. record[i] .. '/' .. id, is_there)
    end
    waits = waits + change
    if from <= #record then
      nested = nested + change
    end
  end
  function F.cycle_to(enclosing, blocker)
    local left, seen = 1000, {}
    local function walk(lease)
      if seen[lease] or left <= 0 or not F.record(lease) then
        return nil
      end
      if enclosing[lease] then
        return { lease }
      end
      seen[lease] = true
      local prefix = 'n' .. lease .. '/'
      local inside = call('ZRANGEBYLEX', index_key, '[' .. prefix, '(' .. prefix .. '\\255', 'LIMIT', 0, left)
      left = left - #inside
      for i = 1, #inside do
        local id = sub(inside[i], #prefix + 1)
        local record = F.record(id)
        local rest = record and record[BLOCKER] ~= '' and walk(record[BLOCKER])
        if rest then
          table.insert(rest, 1, id)
          table.insert(rest, 1, lease)
          return rest
        end
      end
      return nil
    end
    F.flush_index('n')
    return walk(blocker)
  end
  function F.watch(id, record, blocker)
    record[BLOCKER] = blocker
    F.index('w' .. blocker .. '/' .. record[TICKET] .. id, true)
    set('r' .. id, record)
    local cycle = nested > 1 and #record > N + record[N] and F.cycle_to(F.enclosing(record), blocker)
    if cycle then
      table.insert(cycle, 1, id)
    end
    return cycle
  end
  function F.settle(wanted)
    local left, queue, at, target_of = math.max(16, wanted or 0), {}, 1, {}
    local function gather(id, marked)
      local prefix = 'w' .. id .. '/'
      F.flush_index('w')
      local watchers = call('ZRANGEBYLEX', index_key, '[' .. prefix, '(' .. prefix .. '\\255', 'LIMIT', 0, left + 1)
      local more = #watchers > left
      if more then
        watchers[#watchers] = nil
      end
      if #watchers > 0 then
        F.call_all('ZREM', index_key, watchers)
      end
      for i = 1, #watchers do
        queue[#queue + 1] = sub(watchers[i], #prefix + 1)
        target_of[queue[#queue]] = gone_target[id]
      end
      left = left - #watchers
      if more and not marked then
        pending = pending + call('ZADD', index_key, 0, 'p' .. id)
      elseif marked and not more then
        pending = pending - call('ZREM', index_key, 'p' .. id)
      end
    end
    local function gather_gone()
      for i = 1, #gone do
        gather(gone[i], false)
      end
      gone = {}
      table.sort(queue)
      local fields = {}
      for i = at, #queue do
        fields[#fields + 1] = 'r' .. sub(queue[i], 17)
      end
      load(fields)
      fields = {}
      for i = at, #queue do
        local record = F.record(sub(queue[i], 17))
        if record then
          add_nodes(record, fields)
        end
      end
      load(fields)
    end
    if #gone == 0 and pending == 0 then
      return
    end
    changed = true
    if waits == 0 then
      call('ZREMRANGEBYLEX', index_key, '[p', '(p\\255')
      gone, pending = {}, 0
      return
    end
    if pending > 0 then
      for _, mark in ipairs(call('ZRANGEBYLEX', index_key, '[p', '(p\\255', 'LIMIT', 0, 16)) do
        gather(sub(mark, 2), true)
      end
    end
    gather_gone()
    while at <= #queue do
      local id, target = sub(queue[at], 17), target_of[queue[at]]
      local record = F.record(id)
      at = at + 1
      if record and record[STATE] == 'q' then
        local blocker = blocker_of(record, target and #record == N + 1 and record[N + 1] == target)
        if not blocker then
          F.place_waiting(id, record, -1)
          deadline_removals[#deadline_removals + 1] = 'q' .. id
          local deadline = grant(id, record)
          F.tell(record[CLIENT], string.format('g %s %.0f %.0f', id, record[TOKEN], deadline))
        else
          local cycle = F.watch(id, record, blocker)
          if cycle then
            F.tell(record[CLIENT], 'd ' .. table.concat(cycle, ' '))
            drop(id, record)
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
local fields = {}
for at = 4, #ARGV do
  fields[at - 3] = 'r' .. string.match(ARGV[at], '[^>]*$')
end
begin(fields)
save()
F.rest()
local answers = {}
for at = 4, #ARGV do
  local record = cache[fields[at - 3]]
  local id = sub(fields[at - 3], 2)
  if record and byte(ARGV[at]) == 62 then
    id = record[BLOCKER]
    record = F.record(id)
    local ahead, before = 0, record
    while before and before[STATE] == 'q' and ahead < 100 do
      ahead = ahead + 1
      before = F.record(before[BLOCKER])
    end
    answers[at] = record and { ahead, F.describe(id) } or 0
  else
    answers[at] = record and F.describe(id) or 0
  end
end
return answer(answers)`

export const refresh: string = `local call, pack, unpack_values, sub, byte = redis.call, cmsgpack.pack, cmsgpack.unpack, string.sub, string.byte
local table_key, index_key, deadlines_key = KEYS[1], KEYS[2], KEYS[3]
local time = call('TIME')
local now = time[1] * 1000000 + time[2]
local token_floor = 0
if not tonumber(ARGV[3]) then
  local late, token = string.match(ARGV[3], '^(%d+) (%d+)$')
  ARGV[3], token_floor = late, tonumber(token)
end
local F, cache, above = {}, {}, {}
local dirty, index_changes, deadline_removals, deadline_additions = {}, {}, {}, {}
local gone, gone_target, own_events, outbox = {}, {}, nil, nil
local changed, stamped, stamp = false, false, '!' .. table_key
local last_token, last_ticket, held_r, held_w, waits, nested, pending, due, keep, shallow, deep =
  0, 0, 0, 0, 0, 0, 0, 0, 0, 999, 0
local function load(fields)
  for from = 1, #fields, 4000 do
    local to = math.min(from + 3999, #fields)
    local found = call('HMGET', table_key, unpack(fields, from, to))
    for i = from, to do
      if cache[fields[i]] == nil then
        local raw = found[i - from + 1]
        cache[fields[i]] = raw and { unpack_values(raw) }
      end
    end
  end
end
local function set(field, value)
  cache[field] = value
  changed = true
  if not dirty[field] then
    dirty[field] = true
    dirty[#dirty + 1] = field
  end
end
local function paths_above(path)
  local list, at, n = {}, 0, 0
  while at and at < #path do
    n = n + 1
    list[n] = sub(path, 1, at)
    at = string.find(path, '/', at + 1, true)
  end
  return list
end
local function want_nodes(path, fields)
  local list = above[path]
  if not list then
    list = paths_above(path)
    above[path] = list
    for j = 0, #list do
      local field = 'n' .. (list[j] or path)
      if cache[field] == nil and not fields[field] then
        fields[field] = true
        fields[#fields + 1] = field
      end
    end
  end
  return list
end
local function nodes_above(path)
  local missing = {}
  local list = want_nodes(path, missing)
  load(missing)
  return list
end
local function begin(fields, asks)
  fields[#fields + 1] = 'm'
  load(fields)
  if cache.m then
    last_token, last_ticket, held_r, held_w, waits, nested, pending, due, keep, shallow, deep =
      unpack(cache.m)
    stamped = waits > 0 or 2 * (held_r + held_w) > #cache.m - 11
    local in_index = not stamped or call('ZSCORE', index_key, stamp)
    local in_deadlines = not stamped or call('ZSCORE', deadlines_key, stamp)
    if not (in_index and in_deadlines) then
      F.rest()
      F.give_up()
    elseif cache.m[12] then
      if not asks then
        call('ZREM', index_key, '')
      end
      local index, deadlines = {}, {}
      for at = 12, #cache.m, 2 do
        local n = #index
        index[n + 1], index[n + 2] = 0, cache.m[at]
        deadlines[n + 1], deadlines[n + 2] = cache.m[at + 1], 'h' .. sub(string.match(cache.m[at], '^.*/(.*)$'), 18)
      end
      call('ZADD', index_key, unpack(index))
      call('ZADD', deadlines_key, unpack(deadlines))
      changed = true
    end
  elseif call('EXISTS', index_key, deadlines_key) > 0 then
    call('ZCARD', index_key)
    call('ZCARD', deadlines_key)
    call('DEL', index_key, deadlines_key)
  end
  if last_token < token_floor then
    last_token = token_floor
  end
  if pending > 0 or due ~= 0 and due <= now then
    F.rest()
    F.sweep()
  end
end
local function save()
  if outbox then
    F.publish()
  end
  if not changed then
    return
  end
  local minute, latest = 60000000, 0
  if held_r + held_w + waits == 0 then
    call('DEL', table_key, index_key, deadlines_key)
    if last_token >= now then
      keep = last_token + minute
      call('HSET', table_key, 'm', pack(last_token, last_ticket, 0, 0, 0, 0, 0, 0, keep, 999, 0))
      call('PEXPIREAT', table_key, math.ceil(keep / 1000))
    end
    return
  end
  F.flush_index()
  if #deadline_removals > 0 then
    F.flush_deadlines()
  end
  local removals, additions, a = {}, {}, 2
  for i = 1, #dirty do
    local field = dirty[i]
    local value = cache[field]
    if value then
      additions[a + 1], additions[a + 2] = field, pack(unpack(value))
      a = a + 2
    else
      removals[#removals + 1] = field
    end
  end
  if #removals > 0 then
    F.call_all('HDEL', table_key, removals)
  end
  if #deadline_additions > 0 then
    F.call_all('ZADD', deadlines_key, deadline_additions)
    for i = 1, #deadline_additions, 2 do
      if deadline_additions[i] > latest then
        latest = deadline_additions[i]
      end
    end
  end
  if not stamped then
    call('ZADD', index_key, 0, stamp)
    call('ZADD', deadlines_key, 'inf', stamp)
  end
  local extend = not stamped or latest + minute > keep
  if extend then
    keep = math.max(keep, latest + 2 * minute)
  end
  additions[1] = 'm'
  additions[2] = pack(last_token, last_ticket, held_r, held_w, waits, nested, pending, due, keep, shallow, deep)
  F.call_all('HSET', table_key, additions)
  if extend then
    local at = math.ceil(keep / 1000)
    call('PEXPIREAT', table_key, at)
    call('PEXPIREAT', index_key, at)
    call('PEXPIREAT', deadlines_key, at)
  end
end
function F.index(member, is_there)
  local letter = sub(member, 1, 1)
  local changes = index_changes[letter]
  if not changes then
    changes = {}
    index_changes[letter] = changes
  end
  if changes[member] == nil then
    changes[#changes + 1] = member
  end
  changes[member] = is_there
end
function F.flush_index(letter)
  if next(index_changes) == nil or letter and not index_changes[letter] then
    return
  end
  local removals, additions = {}, {}
  for kind, changes in pairs(index_changes) do
    if not letter or kind == letter then
      for i = 1, #changes do
        if changes[changes[i]] then
          additions[#additions + 1] = 0
          additions[#additions + 1] = changes[i]
        else
          removals[#removals + 1] = changes[i]
        end
      end
      index_changes[kind] = nil
    end
  end
  if #removals > 0 then
    F.call_all('ZREM', index_key, removals)
  end
  if #additions > 0 then
    F.call_all('ZADD', index_key, additions)
  end
end
function F.call_all(command, key, arguments)
  if #arguments <= 4000 then
    return call(command, key, unpack(arguments))
  end
  for from = 1, #arguments, 4000 do
    call(command, key, unpack(arguments, from, math.min(from + 3999, #arguments)))
  end
end
local function answer(values)
  local more = pending > 0 or due ~= 0 and due <= now
  values[1], values[2], values[3] = now, more and 1 or 0, own_events and table.concat(own_events, '\\n') or ''
  return values
end
if now > tonumber(ARGV[3]) then
  return { now, -1 }
end
local STATE, TICKET, TOKEN, SINCE, TTL, CLIENT, HOLDER, BLOCKER, N = 1, 2, 3, 4, 5, 6, 7, 8, 9
local function add_nodes(record, fields)
  local segments = 0
  for i = N + 1, N + record[N] do
    segments = segments + #want_nodes(sub(record[i], 2), fields)
  end
  return segments
end
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
    if mode == 87 or mode == 119 then
      member, slot, held_w = 'hw' .. path .. member, slot + 2, held_w + change
    else
      member, held_r = 'hr' .. path .. member, held_r + change
    end
    F.index(member, change > 0)
    count(path, slot, change)
  end
end
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
  local node = cache['n' .. path]
  local below = mode < 97 and #list < deep
  local own = mode < 97 and path or path .. '/'
  if below then
    F.flush_index('h')
  end
  if held_w > 0
    and (node and node[3] + node[4] > 0
      or below and call('ZLEXCOUNT', index_key, '[hw' .. own, '(hw' .. own .. '\\255') > 0)
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
      or below and call('ZLEXCOUNT', index_key, '[hr' .. own, '(hr' .. own .. '\\255') > 0)
  then
    F.rest()
    return F.first('hr' .. own, waived)
  end
  return nil
end
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
local function drop(id, record)
  if record[STATE] == 'h' then
    place_held(id, record, -1)
    local mode = byte(record[N + 1])
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
  for i = #deadline_additions, 2, -2 do
    if deadline_additions[i] == member then
      table.remove(deadline_additions, i)
      table.remove(deadline_additions, i - 1)
    end
  end
  set('r' .. id, false)
  gone[#gone + 1] = id
end
function F.rest()
  F.rest = function() end
  function F.record(id)
    local field = 'r' .. id
    if cache[field] == nil then
      load({ field })
    end
    return cache[field]
  end
  function F.flush_deadlines()
    F.call_all('ZREM', deadlines_key, deadline_removals)
    deadline_removals = {}
    if #deadline_additions > 0 then
      F.call_all('ZADD', deadlines_key, deadline_additions)
    end
  end
  function F.give_up()
    call('DEL', table_key, index_key, deadlines_key)
    for field in pairs(cache) do
      cache[field] = false
    end
    dirty, index_changes, deadline_removals, deadline_additions, gone = {}, {}, {}, {}, {}
    held_r, held_w, waits, nested, pending, due, keep, shallow, deep = 0, 0, 0, 0, 0, 0, 0, 999, 0
    changed, stamped = true, false
  end
  function F.set_deadline(member, deadline)
    deadline_additions[#deadline_additions + 1] = deadline
    deadline_additions[#deadline_additions + 1] = member
    changed = true
    if due == 0 or deadline < due then
      due = deadline
    end
  end
  local scores = {}
  function F.deadline_of(id)
    local record = F.record(id)
    if not record then
      return now
    end
    local member = record[STATE] .. id
    for i = #deadline_additions, 2, -2 do
      if deadline_additions[i] == member then
        return deadline_additions[i - 1]
      end
    end
    if scores[member] == nil then
      scores[member] = call('ZSCORE', deadlines_key, member)
    end
    return scores[member] and tonumber(scores[member]) or now
  end
  function F.limit(id)
    local record = F.record(id)
    local latest = record and now + record[TTL] * 1000
    if record and F.deadline_of(id) > latest then
      F.set_deadline(record[STATE] .. id, latest)
    end
  end
  function F.sooner(id)
    if waits > 0 then
      local prefix = 'w' .. id .. '/'
      F.flush_index('w')
      local watchers = call('ZRANGEBYLEX', index_key, '[' .. prefix, '(' .. prefix .. '\\255', 'LIMIT', 0, 64)
      for i = 1, #watchers do
        local watcher = sub(watchers[i], #prefix + 17)
        local record = F.record(watcher)
        if record then
          F.tell(record[CLIENT], 'l ' .. watcher)
        end
      end
    end
  end
  function F.tell(client, text)
    local box
    if client == ARGV[1] then
      own_events = own_events or {}
      box = own_events
    else
      outbox = outbox or {}
      outbox[client] = outbox[client] or {}
      box = outbox[client]
    end
    box[#box + 1] = text
  end
  function F.named(name)
    if byte(name) == 33 then
      return sub(name, 2), nil
    end
    local slash = string.find(name, '/', 1, true)
    if slash then
      return sub(name, 1, slash - 1), sub(name, slash + 1)
    end
    return name, name
  end
  function F.whose(id, record)
    local parts = {}
    for part in string.gmatch((record and record[CLIENT] or '') .. '\\0/', '(.-)%z/') do
      parts[#parts + 1] = part
    end
    return parts[1], parts[2] or id, parts[3], parts[4], parts[5]
  end
  function F.owned(id, client, owner)
    return owner == id and client or client .. '\\0/' .. owner
  end
  function F.is_owner(owner, id, record)
    if not owner then
      return true
    end
    local _, its_owner = F.whose(id, record)
    return owner == its_owner
  end
  function F.tell_owner(letter, id, record)
    local client, owner = F.whose(id, record)
    F.tell(client, letter .. ' ' .. id .. (owner == id and '' or ' ' .. owner))
  end
  function F.publish()
    for client, box in pairs(outbox) do
      call('PUBLISH', ARGV[2] .. client, string.format('%.0f\\n', now) .. table.concat(box, '\\n'))
    end
  end
  function F.describe(id)
    local record = F.record(id)
    local shown = {
      id,
      record[STATE],
      tonumber(record[TICKET]),
      record[TOKEN],
      record[SINCE],
      F.deadline_of(id),
      record[BLOCKER],
      record[HOLDER]
    }
    for i = N, #record do
      shown[i] = record[i]
    end
    return shown
  end
  function F.enclosing(record)
    local enclosing = {}
    for i = N + record[N] + 1, #record do
      enclosing[record[i]] = true
    end
    return enclosing
  end
  function F.first(prefix, waived)
    local from, to, offset, page = '[' .. prefix, '(' .. prefix .. '\\255', 0, waived and 32 or 1
    F.flush_index(sub(prefix, 1, 1))
    while true do
      local members = call('ZRANGEBYLEX', index_key, from, to, 'LIMIT', offset, page)
      for i = 1, #members do
        local id = sub(string.match(members[i], '^.*/(.*)$'), 18)
        if not (waived and waived[id]) then
          return id
        end
      end
      if #members < page then
        return nil
      end
      offset = offset + page
    end
  end
  function F.sweep()
    local limit = 32
    if due ~= 0 and due <= now then
      local members = call('ZRANGEBYSCORE', deadlines_key, '-inf', string.format('%.0f', now), 'LIMIT', 0, limit)
      local next = call('ZRANGE', deadlines_key, #members, #members, 'WITHSCORES')
      due = next[2] and next[1] ~= stamp and tonumber(next[2]) or 0
      changed = true
      for i = 1, #members do
        local id = sub(members[i], 2)
        local record = F.record(id)
        if record and record[STATE] == sub(members[i], 1, 1) then
          if record[STATE] == 'h' then
            F.tell_owner('e', id, record)
          else
            F.tell(record[CLIENT], 'x ' .. id)
          end
          drop(id, record)
        else
          return F.give_up()
        end
      end
    end
    F.settle()
  end
  function F.earlier_waiting(record)
    local ticket, latest_ticket, latest = record[TICKET], 0, nil
    local function consider(list)
      F.flush_index('q')
      local member = call('ZREVRANGEBYLEX', index_key, '(' .. list .. ticket, '[' .. list, 'LIMIT', 0, 1)[1]
      local its_ticket = member and tonumber(sub(member, #list + 1, #list + 16))
      if member and its_ticket > latest_ticket then
        latest_ticket, latest = its_ticket, sub(member, #list + 17)
      end
    end
    local function consider_node(kind, path, subtree, alone)
      if subtree > 0 then
        consider(kind .. path .. '/s')
      end
      if alone > 0 then
        consider(kind .. path .. '/n')
      end
    end
    for i = N + 1, N + record[N] do
      local mode, path = byte(record[i]), sub(record[i], 2)
      local exclusive = mode == 87 or mode == 119
      local list = nodes_above(path)
      for j = 1, #list do
        local node = cache['n' .. list[j]]
        if node then
          consider_node('qw', list[j], node[7], 0)
          consider_node('qr', list[j], exclusive and node[5] or 0, 0)
        end
      end
      local node = cache['n' .. path]
      if node then
        consider_node('qw', path, node[7], node[8])
        if exclusive then
          consider_node('qr', path, node[5], node[6])
        end
      end
      if mode < 97 and #list < deep then
        consider('qw' .. path .. '/b')
        if exclusive then
          consider('qr' .. path .. '/b')
        end
      end
    end
    return latest
  end
  function F.place_waiting(id, record, change)
    local tail, is_there = record[TICKET] .. id, change > 0
    for i = N + 1, N + record[N] do
      local mode, path = byte(record[i]), sub(record[i], 2)
      local exclusive, subtree = mode == 87 or mode == 119, mode < 97
      local kind, slot = exclusive and 'qw' or 'qr', exclusive and 7 or 5
      local list = above[path] or paths_above(path)
      F.index(kind .. path .. (subtree and '/s' or '/n') .. tail, is_there)
      count(path, subtree and slot or slot + 1, change)
      for j = 1, #list do
        F.index(kind .. list[j] .. '/b' .. tail, is_there)
      end
      deep = math.max(deep, #list)
    end
    local from = N + record[N] + 1
    for i = from, #record do
      F.index('n' .. record[i] .. '/' .. id, is_there)
    end
    waits = waits + change
    if from <= #record then
      nested = nested + change
    end
  end
  function F.cycle_to(enclosing, blocker)
    local left, seen = 1000, {}
    local function walk(lease)
      if seen[lease] or left <= 0 or not F.record(lease) then
        return nil
      end
      if enclosing[lease] then
        return { lease }
      end
      seen[lease] = true
      local prefix = 'n' .. lease .. '/'
      local inside = call('ZRANGEBYLEX', index_key, '[' .. prefix, '(' .. prefix .. '\\255', 'LIMIT', 0, left)
      left = left - #inside
      for i = 1, #inside do
        local id = sub(inside[i], #prefix + 1)
        local record = F.record(id)
        local rest = record and record[BLOCKER] ~= '' and walk(record[BLOCKER])
        if rest then
          table.insert(rest, 1, id)
          table.insert(rest, 1, lease)
          return rest
        end
      end
      return nil
    end
    F.flush_index('n')
    return walk(blocker)
  end
  function F.watch(id, record, blocker)
    record[BLOCKER] = blocker
    F.index('w' .. blocker .. '/' .. record[TICKET] .. id, true)
    set('r' .. id, record)
    local cycle = nested > 1 and #record > N + record[N] and F.cycle_to(F.enclosing(record), blocker)
    if cycle then
      table.insert(cycle, 1, id)
    end
    return cycle
  end
  function F.settle(wanted)
    local left, queue, at, target_of = math.max(16, wanted or 0), {}, 1, {}
    local function gather(id, marked)
      local prefix = 'w' .. id .. '/'
      F.flush_index('w')
      local watchers = call('ZRANGEBYLEX', index_key, '[' .. prefix, '(' .. prefix .. '\\255', 'LIMIT', 0, left + 1)
      local more = #watchers > left
      if more then
        watchers[#watchers] = nil
      end
      if #watchers > 0 then
        F.call_all('ZREM', index_key, watchers)
      end
      for i = 1, #watchers do
        queue[#queue + 1] = sub(watchers[i], #prefix + 1)
        target_of[queue[#queue]] = gone_target[id]
      end
      left = left - #watchers
      if more and not marked then
        pending = pending + call('ZADD', index_key, 0, 'p' .. id)
      elseif marked and not more then
        pending = pending - call('ZREM', index_key, 'p' .. id)
      end
    end
    local function gather_gone()
      for i = 1, #gone do
        gather(gone[i], false)
      end
      gone = {}
      table.sort(queue)
      local fields = {}
      for i = at, #queue do
        fields[#fields + 1] = 'r' .. sub(queue[i], 17)
      end
      load(fields)
      fields = {}
      for i = at, #queue do
        local record = F.record(sub(queue[i], 17))
        if record then
          add_nodes(record, fields)
        end
      end
      load(fields)
    end
    if #gone == 0 and pending == 0 then
      return
    end
    changed = true
    if waits == 0 then
      call('ZREMRANGEBYLEX', index_key, '[p', '(p\\255')
      gone, pending = {}, 0
      return
    end
    if pending > 0 then
      for _, mark in ipairs(call('ZRANGEBYLEX', index_key, '[p', '(p\\255', 'LIMIT', 0, 16)) do
        gather(sub(mark, 2), true)
      end
    end
    gather_gone()
    while at <= #queue do
      local id, target = sub(queue[at], 17), target_of[queue[at]]
      local record = F.record(id)
      at = at + 1
      if record and record[STATE] == 'q' then
        local blocker = blocker_of(record, target and #record == N + 1 and record[N + 1] == target)
        if not blocker then
          F.place_waiting(id, record, -1)
          deadline_removals[#deadline_removals + 1] = 'q' .. id
          local deadline = grant(id, record)
          F.tell(record[CLIENT], string.format('g %s %.0f %.0f', id, record[TOKEN], deadline))
        else
          local cycle = F.watch(id, record, blocker)
          if cycle then
            F.tell(record[CLIENT], 'd ' .. table.concat(cycle, ' '))
            drop(id, record)
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
local fields = {}
for at = 4, #ARGV, 2 do
  fields[#fields + 1] = 'r' .. ARGV[at]
end
begin(fields)
F.rest()
deadline_removals[#deadline_removals + 1] = ''
F.flush_deadlines()
local answers, lost = {}, false
for from = 4, #ARGV, 2000 do
  local ids, owners, members, fields = {}, {}, {}, {}
  for at = from, math.min(from + 1998, #ARGV), 2 do
    local i = #ids + 1
    ids[i], owners[i] = F.named(ARGV[at])
    members[i], fields[i] = 'h' .. ids[i], 'r' .. ids[i]
  end
  local scores = call('ZMSCORE', deadlines_key, unpack(members))
  local packed = call('HMGET', table_key, unpack(fields))
  for i = 1, #ids do
    local a, id, owner, before = #answers + 1, ids[i], owners[i], tonumber(scores[i] or nil)
    answers[a] = 0
    lost = lost or before and not packed[i]
    if before and before > now and not lost then
      local ttl, is_owner = tonumber(ARGV[from + 2 * i - 1]), true
      local deadline = now + ttl * 1000
      if not owner then
        deadline = math.max(deadline, F.deadline_of(id))
      elseif owner ~= id or string.find(packed[i], '\\0/', 1, true) then
        local record = F.record(id)
        local client, its_owner, former = F.whose(id, record)
        is_owner = owner == its_owner
        if is_owner and former then
          record[CLIENT] = F.owned(id, client, owner)
          set('r' .. id, record)
        end
      end
      if is_owner then
        local _, _, _, _, _, longest = cmsgpack.unpack_limit(packed[i], TTL)
        if ttl > longest then
          local record = F.record(id)
          record[TTL] = math.max(record[TTL], ttl)
          set('r' .. id, record)
        end
        answers[a] = deadline
        F.set_deadline(members[i], deadline)
        if deadline < before then
          F.sooner(id)
        end
      end
    end
  end
end
if lost then
  F.give_up()
  for i = 1, #answers do
    answers[i] = 0
  end
end
table.insert(answers, 1, 0)
table.insert(answers, 1, 0)
table.insert(answers, 1, 0)
save()
return answer(answers)`

export const release: string = `if #ARGV < 2000 then
  local call, pack, unpack_values, sub, byte, find = redis.call, cmsgpack.pack, cmsgpack.unpack, string.sub, string.byte, string.find
  local fields = {}
  for at = 4, #ARGV do
    fields[at - 3] = 'r' .. ARGV[at]
  end
  local count = #fields
  fields[count + 1] = 'm'
  local found = call('HMGET', KEYS[1], unpack(fields))
  local time = call('TIME')
  local now = time[1] * 1000000 + time[2]
  local head = found[count + 1] and { unpack_values(found[count + 1]) }
  local plain = head and head[7] == 0 and (head[8] == 0 or head[8] > now) and tonumber(ARGV[3])
  local short_answer = time[1] .. ' ' .. time[2]
  for i = 1, plain and count or 0 do
    if found[i] and find(found[i], '\\0/', 1, true) or not found[i] and find(ARGV[i + 3], '[!/]') then
      plain = false
      break
    end
  end
  if plain and head[5] == 0 then
    if count == 1 and found[1] and head[3] + head[4] == 1 and head[1] < now then
      if #head > 11 then
        call('DEL', KEYS[1])
      else
        call('DEL', KEYS[1], KEYS[2], KEYS[3])
      end
      return short_answer
    end
    local answers, released, slots, index, deadlines, live = { now, 0, '' }, {}, {}, {}, {}, {}
    local fresh = #head
    fields = {}
    for i = 1, count do
      local id = ARGV[i + 3]
      answers[i + 3] = 0
      if found[i] and not live[id] then
        local record = { unpack_values(found[i]) }
        answers[i + 3], live[id] = 1, true
        released[#released + 1] = 'r' .. id
        local entries = #index
        for t = 10, 9 + record[9] do
          local mode, path = byte(record[t]), sub(record[t], 2)
          local slot, mark, access = mode < 97 and 1 or 2, mode < 97 and '/s' or '/n', 'hr'
          if mode == 87 or mode == 119 then
            slot, access, head[4] = slot + 2, 'hw', head[4] - 1
          else
            head[3] = head[3] - 1
          end
          local member, at = access .. path .. mark .. record[2] .. id, 12
          while at < fresh and head[at] ~= member do
            at = at + 2
          end
          if at < fresh then
            head[at], head[at + 1] = head[fresh - 1], head[fresh]
            head[fresh - 1], head[fresh], fresh = nil, nil, fresh - 2
          else
            index[#index + 1] = member
          end
          fields[#fields + 1], slots[#fields + 1] = 'n' .. path, slot
        end
        if #index > entries then
          deadlines[#deadlines + 1] = 'h' .. id
        end
      end
    end
    local answer = #released == count and short_answer or answers
    if #released == 0 then
      return answers
    elseif head[3] + head[4] == 0 and head[1] < now then
      if #index > 0 then
        call('DEL', KEYS[1], KEYS[2], KEYS[3])
      else
        call('DEL', KEYS[1])
      end
      return answer
    elseif head[3] + head[4] > 0 and #fields < 3000 then
      local raw, changed = call('HMGET', KEYS[1], unpack(fields)), {}
      for i = 1, #fields do
        local node = changed[fields[i]] or { unpack_values(raw[i]) }
        node[slots[i]] = node[slots[i]] - 1
        changed[fields[i]] = node
      end
      local hash = { 'm', pack(unpack(head)) }
      for field, node in pairs(changed) do
        if node[1] + node[2] + node[3] + node[4] == 0 then
          released[#released + 1] = field
        else
          hash[#hash + 1] = field
          hash[#hash + 1] = pack(unpack(node))
        end
      end
      call('HDEL', KEYS[1], unpack(released))
      if #index > 0 and 2 * (head[3] + head[4]) == #head - 11 then
        call('DEL', KEYS[2], KEYS[3])
      elseif #index > 0 then
        call('ZREM', KEYS[2], unpack(index))
        call('ZREM', KEYS[3], unpack(deadlines))
      end
      call('HSET', KEYS[1], unpack(hash))
      return answer
    end
  elseif plain and count == 1 and not found[1] then
    return { now, 0, '', 0 }
  elseif plain and count == 1 and head[6] == 0 then
    local state, ticket, _, _, _, _, _, _, targets, target, more = unpack_values(found[1])
    local mode, prefix = byte(target), 'w' .. ARGV[4] .. '/'
    local watchers = state == 'h'
      and targets == 1
      and not more
      and (mode == 87 or mode == 119)
      and call('ZRANGEBYLEX', KEYS[2], '[' .. prefix, '(' .. prefix .. '\\255', 'LIMIT', 0, 2)
    if watchers and #watchers == 1 then
      local tail, path, at, depth = sub(watchers[1], #prefix + 1), sub(target, 2), 0, 0
      local id, own = sub(tail, 17), path .. (mode == 87 and '/s' or '/n')
      local waits_in = { watchers[1], 'qw' .. own .. tail }
      fields = { 'n' .. path, 'r' .. id }
      while at and at < #path do
        local higher = sub(path, 1, at)
        waits_in[depth + 3] = 'qw' .. higher .. '/b' .. tail
        if depth >= head[10] then
          fields[#fields + 1] = 'n' .. higher
        end
        depth = depth + 1
        at = find(path, '/', at + 1, true)
      end
      local raw = call('HMGET', KEYS[1], unpack(fields))
      local r, s, w, x, qr, qs, qw, qx = unpack_values(raw[1])
      local _, its_ticket, _, _, ttl, client, holder, _, its_targets, its_target, its_more = unpack_values(raw[2])
      local is_next = its_targets == 1 and its_target == target and not its_more and r + s + w + x == 1
      for i = 3, #fields do
        is_next = is_next and not raw[i]
      end
      local fresh, member, others = nil, 'hw' .. own .. ticket .. ARGV[4], head[3] + head[4] - 1
      local below = mode == 87 and others > 0 and depth < head[11]
      for i = 12, #head, 2 do
        if head[i] == member then
          fresh = i
        elseif below and sub(head[i], 3, 2 + #path) == path then
          is_next = false
        end
      end
      local entered = 2 * (others + 1) > #head - 11
      if is_next and below and entered then
        is_next = call('ZSCORE', KEYS[2], '!' .. KEYS[1])
          and call('ZLEXCOUNT', KEYS[2], '[hw' .. path, '(hw' .. path .. '\\255') == (fresh and 0 or 1)
          and (head[3] == 0 or call('ZLEXCOUNT', KEYS[2], '[hr' .. path, '(hr' .. path .. '\\255') == 0)
      end
      if is_next then
        local deadline, token, minute = now + ttl * 1000, head[1] < now and now or head[1] + 1, 60000000
        local stays_fresh = fresh or #head <= 25
        if stays_fresh then
          at = fresh or #head + 1
          head[at], head[at + 1] = 'hw' .. own .. tail, deadline
        end
        head[1], head[5] = token, head[5] - 1
        local extend = deadline + minute > head[9]
        if extend then
          head[9] = deadline + 2 * minute
        end
        if deadline < head[8] then
          head[8] = deadline
        end
        if mode == 87 then
          qw = qw - 1
        else
          qx = qx - 1
        end
        call('HDEL', KEYS[1], 'r' .. ARGV[4])
        call('HSET', KEYS[1], 'm', pack(unpack(head)), fields[1], pack(r, s, w, x, qr, qs, qw, qx), fields[2],
          pack('h', its_ticket, token, now, ttl, client, holder, '', 1, target))
        if not stays_fresh then
          call('ZADD', KEYS[2], 0, 'hw' .. own .. tail)
          call('ZADD', KEYS[3], deadline, 'h' .. id)
        end
        if head[5] == 0 and 2 * (head[3] + head[4]) == #head - 11 then
          call('DEL', KEYS[2], KEYS[3])
        elseif fresh then
          call('ZREM', KEYS[3], 'q' .. id)
          call('ZREM', KEYS[2], unpack(waits_in))
        else
          waits_in[#waits_in + 1] = member
          call('ZREM', KEYS[3], 'q' .. id, 'h' .. ARGV[4])
          call('ZREM', KEYS[2], unpack(waits_in))
        end
if extend then
  local expiry = math.ceil(head[9] / 1000)
  call('PEXPIREAT', KEYS[1], expiry)
  call('PEXPIREAT', KEYS[2], expiry)
  call('PEXPIREAT', KEYS[3], expiry)
end
        local event = 'g ' .. id .. (token > now and string.format(' %.0f', token) or '')
        if client == ARGV[1] then
          return short_answer .. '\\n' .. event
        end
        call('PUBLISH', ARGV[2] .. client, string.format('%.0f\\n', now) .. event)
        return short_answer
      end
    end
  end
end
local call, pack, unpack_values, sub, byte = redis.call, cmsgpack.pack, cmsgpack.unpack, string.sub, string.byte
local table_key, index_key, deadlines_key = KEYS[1], KEYS[2], KEYS[3]
local time = call('TIME')
local now = time[1] * 1000000 + time[2]
local token_floor = 0
if not tonumber(ARGV[3]) then
  local late, token = string.match(ARGV[3], '^(%d+) (%d+)$')
  ARGV[3], token_floor = late, tonumber(token)
end
local F, cache, above = {}, {}, {}
local dirty, index_changes, deadline_removals, deadline_additions = {}, {}, {}, {}
local gone, gone_target, own_events, outbox = {}, {}, nil, nil
local changed, stamped, stamp = false, false, '!' .. table_key
local last_token, last_ticket, held_r, held_w, waits, nested, pending, due, keep, shallow, deep =
  0, 0, 0, 0, 0, 0, 0, 0, 0, 999, 0
local function load(fields)
  for from = 1, #fields, 4000 do
    local to = math.min(from + 3999, #fields)
    local found = call('HMGET', table_key, unpack(fields, from, to))
    for i = from, to do
      if cache[fields[i]] == nil then
        local raw = found[i - from + 1]
        cache[fields[i]] = raw and { unpack_values(raw) }
      end
    end
  end
end
local function set(field, value)
  cache[field] = value
  changed = true
  if not dirty[field] then
    dirty[field] = true
    dirty[#dirty + 1] = field
  end
end
local function paths_above(path)
  local list, at, n = {}, 0, 0
  while at and at < #path do
    n = n + 1
    list[n] = sub(path, 1, at)
    at = string.find(path, '/', at + 1, true)
  end
  return list
end
local function want_nodes(path, fields)
  local list = above[path]
  if not list then
    list = paths_above(path)
    above[path] = list
    for j = 0, #list do
      local field = 'n' .. (list[j] or path)
      if cache[field] == nil and not fields[field] then
        fields[field] = true
        fields[#fields + 1] = field
      end
    end
  end
  return list
end
local function nodes_above(path)
  local missing = {}
  local list = want_nodes(path, missing)
  load(missing)
  return list
end
local function begin(fields, asks)
  fields[#fields + 1] = 'm'
  load(fields)
  if cache.m then
    last_token, last_ticket, held_r, held_w, waits, nested, pending, due, keep, shallow, deep =
      unpack(cache.m)
    stamped = waits > 0 or 2 * (held_r + held_w) > #cache.m - 11
    local in_index = not stamped or call('ZSCORE', index_key, stamp)
    local in_deadlines = not stamped or call('ZSCORE', deadlines_key, stamp)
    if not (in_index and in_deadlines) then
      F.rest()
      F.give_up()
    elseif cache.m[12] then
      if not asks then
        call('ZREM', index_key, '')
      end
      local index, deadlines = {}, {}
      for at = 12, #cache.m, 2 do
        local n = #index
        index[n + 1], index[n + 2] = 0, cache.m[at]
        deadlines[n + 1], deadlines[n + 2] = cache.m[at + 1], 'h' .. sub(string.match(cache.m[at], '^.*/(.*)$'), 18)
      end
      call('ZADD', index_key, unpack(index))
      call('ZADD', deadlines_key, unpack(deadlines))
      changed = true
    end
  elseif call('EXISTS', index_key, deadlines_key) > 0 then
    call('ZCARD', index_key)
    call('ZCARD', deadlines_key)
    call('DEL', index_key, deadlines_key)
  end
  if last_token < token_floor then
    last_token = token_floor
  end
  if pending > 0 or due ~= 0 and due <= now then
    F.rest()
    F.sweep()
  end
end
local function save()
  if outbox then
    F.publish()
  end
  if not changed then
    return
  end
  local minute, latest = 60000000, 0
  if held_r + held_w + waits == 0 then
    call('DEL', table_key, index_key, deadlines_key)
    if last_token >= now then
      keep = last_token + minute
      call('HSET', table_key, 'm', pack(last_token, last_ticket, 0, 0, 0, 0, 0, 0, keep, 999, 0))
      call('PEXPIREAT', table_key, math.ceil(keep / 1000))
    end
    return
  end
  F.flush_index()
  if #deadline_removals > 0 then
    F.flush_deadlines()
  end
  local removals, additions, a = {}, {}, 2
  for i = 1, #dirty do
    local field = dirty[i]
    local value = cache[field]
    if value then
      additions[a + 1], additions[a + 2] = field, pack(unpack(value))
      a = a + 2
    else
      removals[#removals + 1] = field
    end
  end
  if #removals > 0 then
    F.call_all('HDEL', table_key, removals)
  end
  if #deadline_additions > 0 then
    F.call_all('ZADD', deadlines_key, deadline_additions)
    for i = 1, #deadline_additions, 2 do
      if deadline_additions[i] > latest then
        latest = deadline_additions[i]
      end
    end
  end
  if not stamped then
    call('ZADD', index_key, 0, stamp)
    call('ZADD', deadlines_key, 'inf', stamp)
  end
  local extend = not stamped or latest + minute > keep
  if extend then
    keep = math.max(keep, latest + 2 * minute)
  end
  additions[1] = 'm'
  additions[2] = pack(last_token, last_ticket, held_r, held_w, waits, nested, pending, due, keep, shallow, deep)
  F.call_all('HSET', table_key, additions)
  if extend then
    local at = math.ceil(keep / 1000)
    call('PEXPIREAT', table_key, at)
    call('PEXPIREAT', index_key, at)
    call('PEXPIREAT', deadlines_key, at)
  end
end
function F.index(member, is_there)
  local letter = sub(member, 1, 1)
  local changes = index_changes[letter]
  if not changes then
    changes = {}
    index_changes[letter] = changes
  end
  if changes[member] == nil then
    changes[#changes + 1] = member
  end
  changes[member] = is_there
end
function F.flush_index(letter)
  if next(index_changes) == nil or letter and not index_changes[letter] then
    return
  end
  local removals, additions = {}, {}
  for kind, changes in pairs(index_changes) do
    if not letter or kind == letter then
      for i = 1, #changes do
        if changes[changes[i]] then
          additions[#additions + 1] = 0
          additions[#additions + 1] = changes[i]
        else
          removals[#removals + 1] = changes[i]
        end
      end
      index_changes[kind] = nil
    end
  end
  if #removals > 0 then
    F.call_all('ZREM', index_key, removals)
  end
  if #additions > 0 then
    F.call_all('ZADD', index_key, additions)
  end
end
function F.call_all(command, key, arguments)
  if #arguments <= 4000 then
    return call(command, key, unpack(arguments))
  end
  for from = 1, #arguments, 4000 do
    call(command, key, unpack(arguments, from, math.min(from + 3999, #arguments)))
  end
end
local function answer(values)
  local more = pending > 0 or due ~= 0 and due <= now
  values[1], values[2], values[3] = now, more and 1 or 0, own_events and table.concat(own_events, '\\n') or ''
  return values
end
local STATE, TICKET, TOKEN, SINCE, TTL, CLIENT, HOLDER, BLOCKER, N = 1, 2, 3, 4, 5, 6, 7, 8, 9
local function add_nodes(record, fields)
  local segments = 0
  for i = N + 1, N + record[N] do
    segments = segments + #want_nodes(sub(record[i], 2), fields)
  end
  return segments
end
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
    if mode == 87 or mode == 119 then
      member, slot, held_w = 'hw' .. path .. member, slot + 2, held_w + change
    else
      member, held_r = 'hr' .. path .. member, held_r + change
    end
    F.index(member, change > 0)
    count(path, slot, change)
  end
end
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
  local node = cache['n' .. path]
  local below = mode < 97 and #list < deep
  local own = mode < 97 and path or path .. '/'
  if below then
    F.flush_index('h')
  end
  if held_w > 0
    and (node and node[3] + node[4] > 0
      or below and call('ZLEXCOUNT', index_key, '[hw' .. own, '(hw' .. own .. '\\255') > 0)
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
      or below and call('ZLEXCOUNT', index_key, '[hr' .. own, '(hr' .. own .. '\\255') > 0)
  then
    F.rest()
    return F.first('hr' .. own, waived)
  end
  return nil
end
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
local function drop(id, record)
  if record[STATE] == 'h' then
    place_held(id, record, -1)
    local mode = byte(record[N + 1])
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
  for i = #deadline_additions, 2, -2 do
    if deadline_additions[i] == member then
      table.remove(deadline_additions, i)
      table.remove(deadline_additions, i - 1)
    end
  end
  set('r' .. id, false)
  gone[#gone + 1] = id
end
function F.rest()
  F.rest = function() end
  function F.record(id)
    local field = 'r' .. id
    if cache[field] == nil then
      load({ field })
    end
    return cache[field]
  end
  function F.flush_deadlines()
    F.call_all('ZREM', deadlines_key, deadline_removals)
    deadline_removals = {}
    if #deadline_additions > 0 then
      F.call_all('ZADD', deadlines_key, deadline_additions)
    end
  end
  function F.give_up()
    call('DEL', table_key, index_key, deadlines_key)
    for field in pairs(cache) do
      cache[field] = false
    end
    dirty, index_changes, deadline_removals, deadline_additions, gone = {}, {}, {}, {}, {}
    held_r, held_w, waits, nested, pending, due, keep, shallow, deep = 0, 0, 0, 0, 0, 0, 0, 999, 0
    changed, stamped = true, false
  end
  function F.set_deadline(member, deadline)
    deadline_additions[#deadline_additions + 1] = deadline
    deadline_additions[#deadline_additions + 1] = member
    changed = true
    if due == 0 or deadline < due then
      due = deadline
    end
  end
  local scores = {}
  function F.deadline_of(id)
    local record = F.record(id)
    if not record then
      return now
    end
    local member = record[STATE] .. id
    for i = #deadline_additions, 2, -2 do
      if deadline_additions[i] == member then
        return deadline_additions[i - 1]
      end
    end
    if scores[member] == nil then
      scores[member] = call('ZSCORE', deadlines_key, member)
    end
    return scores[member] and tonumber(scores[member]) or now
  end
  function F.limit(id)
    local record = F.record(id)
    local latest = record and now + record[TTL] * 1000
    if record and F.deadline_of(id) > latest then
      F.set_deadline(record[STATE] .. id, latest)
    end
  end
  function F.sooner(id)
    if waits > 0 then
      local prefix = 'w' .. id .. '/'
      F.flush_index('w')
      local watchers = call('ZRANGEBYLEX', index_key, '[' .. prefix, '(' .. prefix .. '\\255', 'LIMIT', 0, 64)
      for i = 1, #watchers do
        local watcher = sub(watchers[i], #prefix + 17)
        local record = F.record(watcher)
        if record then
          F.tell(record[CLIENT], 'l ' .. watcher)
        end
      end
    end
  end
  function F.tell(client, text)
    local box
    if client == ARGV[1] then
      own_events = own_events or {}
      box = own_events
    else
      outbox = outbox or {}
      outbox[client] = outbox[client] or {}
      box = outbox[client]
    end
    box[#box + 1] = text
  end
  function F.named(name)
    if byte(name) == 33 then
      return sub(name, 2), nil
    end
    local slash = string.find(name, '/', 1, true)
    if slash then
      return sub(name, 1, slash - 1), sub(name, slash + 1)
    end
    return name, name
  end
  function F.whose(id, record)
    local parts = {}
    for part in string.gmatch((record and record[CLIENT] or '') .. '\\0/', '(.-)%z/') do
      parts[#parts + 1] = part
    end
    return parts[1], parts[2] or id, parts[3], parts[4], parts[5]
  end
  function F.owned(id, client, owner)
    return owner == id and client or client .. '\\0/' .. owner
  end
  function F.is_owner(owner, id, record)
    if not owner then
      return true
    end
    local _, its_owner = F.whose(id, record)
    return owner == its_owner
  end
  function F.tell_owner(letter, id, record)
    local client, owner = F.whose(id, record)
    F.tell(client, letter .. ' ' .. id .. (owner == id and '' or ' ' .. owner))
  end
  function F.publish()
    for client, box in pairs(outbox) do
      call('PUBLISH', ARGV[2] .. client, string.format('%.0f\\n', now) .. table.concat(box, '\\n'))
    end
  end
  function F.describe(id)
    local record = F.record(id)
    local shown = {
      id,
      record[STATE],
      tonumber(record[TICKET]),
      record[TOKEN],
      record[SINCE],
      F.deadline_of(id),
      record[BLOCKER],
      record[HOLDER]
    }
    for i = N, #record do
      shown[i] = record[i]
    end
    return shown
  end
  function F.enclosing(record)
    local enclosing = {}
    for i = N + record[N] + 1, #record do
      enclosing[record[i]] = true
    end
    return enclosing
  end
  function F.first(prefix, waived)
    local from, to, offset, page = '[' .. prefix, '(' .. prefix .. '\\255', 0, waived and 32 or 1
    F.flush_index(sub(prefix, 1, 1))
    while true do
      local members = call('ZRANGEBYLEX', index_key, from, to, 'LIMIT', offset, page)
      for i = 1, #members do
        local id = sub(string.match(members[i], '^.*/(.*)$'), 18)
        if not (waived and waived[id]) then
          return id
        end
      end
      if #members < page then
        return nil
      end
      offset = offset + page
    end
  end
  function F.sweep()
    local limit = 32
    if due ~= 0 and due <= now then
      local members = call('ZRANGEBYSCORE', deadlines_key, '-inf', string.format('%.0f', now), 'LIMIT', 0, limit)
      local next = call('ZRANGE', deadlines_key, #members, #members, 'WITHSCORES')
      due = next[2] and next[1] ~= stamp and tonumber(next[2]) or 0
      changed = true
      for i = 1, #members do
        local id = sub(members[i], 2)
        local record = F.record(id)
        if record and record[STATE] == sub(members[i], 1, 1) then
          if record[STATE] == 'h' then
            F.tell_owner('e', id, record)
          else
            F.tell(record[CLIENT], 'x ' .. id)
          end
          drop(id, record)
        else
          return F.give_up()
        end
      end
    end
    F.settle()
  end
  function F.earlier_waiting(record)
    local ticket, latest_ticket, latest = record[TICKET], 0, nil
    local function consider(list)
      F.flush_index('q')
      local member = call('ZREVRANGEBYLEX', index_key, '(' .. list .. ticket, '[' .. list, 'LIMIT', 0, 1)[1]
      local its_ticket = member and tonumber(sub(member, #list + 1, #list + 16))
      if member and its_ticket > latest_ticket then
        latest_ticket, latest = its_ticket, sub(member, #list + 17)
      end
    end
    local function consider_node(kind, path, subtree, alone)
      if subtree > 0 then
        consider(kind .. path .. '/s')
      end
      if alone > 0 then
        consider(kind .. path .. '/n')
      end
    end
    for i = N + 1, N + record[N] do
      local mode, path = byte(record[i]), sub(record[i], 2)
      local exclusive = mode == 87 or mode == 119
      local list = nodes_above(path)
      for j = 1, #list do
        local node = cache['n' .. list[j]]
        if node then
          consider_node('qw', list[j], node[7], 0)
          consider_node('qr', list[j], exclusive and node[5] or 0, 0)
        end
      end
      local node = cache['n' .. path]
      if node then
        consider_node('qw', path, node[7], node[8])
        if exclusive then
          consider_node('qr', path, node[5], node[6])
        end
      end
      if mode < 97 and #list < deep then
        consider('qw' .. path .. '/b')
        if exclusive then
          consider('qr' .. path .. '/b')
        end
      end
    end
    return latest
  end
  function F.place_waiting(id, record, change)
    local tail, is_there = record[TICKET] .. id, change > 0
    for i = N + 1, N + record[N] do
      local mode, path = byte(record[i]), sub(record[i], 2)
      local exclusive, subtree = mode == 87 or mode == 119, mode < 97
      local kind, slot = exclusive and 'qw' or 'qr', exclusive and 7 or 5
      local list = above[path] or paths_above(path)
      F.index(kind .. path .. (subtree and '/s' or '/n') .. tail, is_there)
      count(path, subtree and slot or slot + 1, change)
      for j = 1, #list do
        F.index(kind .. list[j] .. '/b' .. tail, is_there)
      end
      deep = math.max(deep, #list)
    end
    local from = N + record[N] + 1
    for i = from, #record do
      F.index('n' .. record[i] .. '/' .. id, is_there)
    end
    waits = waits + change
    if from <= #record then
      nested = nested + change
    end
  end
  function F.cycle_to(enclosing, blocker)
    local left, seen = 1000, {}
    local function walk(lease)
      if seen[lease] or left <= 0 or not F.record(lease) then
        return nil
      end
      if enclosing[lease] then
        return { lease }
      end
      seen[lease] = true
      local prefix = 'n' .. lease .. '/'
      local inside = call('ZRANGEBYLEX', index_key, '[' .. prefix, '(' .. prefix .. '\\255', 'LIMIT', 0, left)
      left = left - #inside
      for i = 1, #inside do
        local id = sub(inside[i], #prefix + 1)
        local record = F.record(id)
        local rest = record and record[BLOCKER] ~= '' and walk(record[BLOCKER])
        if rest then
          table.insert(rest, 1, id)
          table.insert(rest, 1, lease)
          return rest
        end
      end
      return nil
    end
    F.flush_index('n')
    return walk(blocker)
  end
  function F.watch(id, record, blocker)
    record[BLOCKER] = blocker
    F.index('w' .. blocker .. '/' .. record[TICKET] .. id, true)
    set('r' .. id, record)
    local cycle = nested > 1 and #record > N + record[N] and F.cycle_to(F.enclosing(record), blocker)
    if cycle then
      table.insert(cycle, 1, id)
    end
    return cycle
  end
  function F.settle(wanted)
    local left, queue, at, target_of = math.max(16, wanted or 0), {}, 1, {}
    local function gather(id, marked)
      local prefix = 'w' .. id .. '/'
      F.flush_index('w')
      local watchers = call('ZRANGEBYLEX', index_key, '[' .. prefix, '(' .. prefix .. '\\255', 'LIMIT', 0, left + 1)
      local more = #watchers > left
      if more then
        watchers[#watchers] = nil
      end
      if #watchers > 0 then
        F.call_all('ZREM', index_key, watchers)
      end
      for i = 1, #watchers do
        queue[#queue + 1] = sub(watchers[i], #prefix + 1)
        target_of[queue[#queue]] = gone_target[id]
      end
      left = left - #watchers
      if more and not marked then
        pending = pending + call('ZADD', index_key, 0, 'p' .. id)
      elseif marked and not more then
        pending = pending - call('ZREM', index_key, 'p' .. id)
      end
    end
    local function gather_gone()
      for i = 1, #gone do
        gather(gone[i], false)
      end
      gone = {}
      table.sort(queue)
      local fields = {}
      for i = at, #queue do
        fields[#fields + 1] = 'r' .. sub(queue[i], 17)
      end
      load(fields)
      fields = {}
      for i = at, #queue do
        local record = F.record(sub(queue[i], 17))
        if record then
          add_nodes(record, fields)
        end
      end
      load(fields)
    end
    if #gone == 0 and pending == 0 then
      return
    end
    changed = true
    if waits == 0 then
      call('ZREMRANGEBYLEX', index_key, '[p', '(p\\255')
      gone, pending = {}, 0
      return
    end
    if pending > 0 then
      for _, mark in ipairs(call('ZRANGEBYLEX', index_key, '[p', '(p\\255', 'LIMIT', 0, 16)) do
        gather(sub(mark, 2), true)
      end
    end
    gather_gone()
    while at <= #queue do
      local id, target = sub(queue[at], 17), target_of[queue[at]]
      local record = F.record(id)
      at = at + 1
      if record and record[STATE] == 'q' then
        local blocker = blocker_of(record, target and #record == N + 1 and record[N + 1] == target)
        if not blocker then
          F.place_waiting(id, record, -1)
          deadline_removals[#deadline_removals + 1] = 'q' .. id
          local deadline = grant(id, record)
          F.tell(record[CLIENT], string.format('g %s %.0f %.0f', id, record[TOKEN], deadline))
        else
          local cycle = F.watch(id, record, blocker)
          if cycle then
            F.tell(record[CLIENT], 'd ' .. table.concat(cycle, ' '))
            drop(id, record)
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
F.rest()
local ids, owners, fields = {}, {}, {}
for at = 4, #ARGV do
  ids[at], owners[at] = F.named(ARGV[at])
  fields[at - 3] = 'r' .. ids[at]
end
begin(fields)
local answers, nodes, ends = {}, {}, {}
for at = 4, #ARGV do
  local id = ids[at]
  local record = not ends[id] and cache['r' .. id]
  answers[at] = 0
  if record and F.is_owner(owners[at], id, record) then
    answers[at], ends[id] = 1, true
    ends[#ends + 1] = at
    for i = N + 1, N + record[N] do
      nodes[#nodes + 1] = 'n' .. sub(record[i], 2)
    end
  end
end
if #nodes > 0 then
  load(nodes)
  for i = 1, #ends do
    local id = ids[ends[i]]
    local record = cache['r' .. id]
    if record[STATE] == 'q' then
      F.tell(record[CLIENT], 'k ' .. id)
    elseif not owners[ends[i]] then
      F.tell_owner('r', id, record)
    end
    drop(id, record)
  end
  F.settle(#ARGV - 3)
end
save()
return answer(answers)`

export const restore: string = `local call, pack, unpack_values, sub, byte = redis.call, cmsgpack.pack, cmsgpack.unpack, string.sub, string.byte
local table_key, index_key, deadlines_key = KEYS[1], KEYS[2], KEYS[3]
local time = call('TIME')
local now = time[1] * 1000000 + time[2]
local token_floor = 0
if not tonumber(ARGV[3]) then
  local late, token = string.match(ARGV[3], '^(%d+) (%d+)$')
  ARGV[3], token_floor = late, tonumber(token)
end
local F, cache, above = {}, {}, {}
local dirty, index_changes, deadline_removals, deadline_additions = {}, {}, {}, {}
local gone, gone_target, own_events, outbox = {}, {}, nil, nil
local changed, stamped, stamp = false, false, '!' .. table_key
local last_token, last_ticket, held_r, held_w, waits, nested, pending, due, keep, shallow, deep =
  0, 0, 0, 0, 0, 0, 0, 0, 0, 999, 0
local function load(fields)
  for from = 1, #fields, 4000 do
    local to = math.min(from + 3999, #fields)
    local found = call('HMGET', table_key, unpack(fields, from, to))
    for i = from, to do
      if cache[fields[i]] == nil then
        local raw = found[i - from + 1]
        cache[fields[i]] = raw and { unpack_values(raw) }
      end
    end
  end
end
local function set(field, value)
  cache[field] = value
  changed = true
  if not dirty[field] then
    dirty[field] = true
    dirty[#dirty + 1] = field
  end
end
local function paths_above(path)
  local list, at, n = {}, 0, 0
  while at and at < #path do
    n = n + 1
    list[n] = sub(path, 1, at)
    at = string.find(path, '/', at + 1, true)
  end
  return list
end
local function want_nodes(path, fields)
  local list = above[path]
  if not list then
    list = paths_above(path)
    above[path] = list
    for j = 0, #list do
      local field = 'n' .. (list[j] or path)
      if cache[field] == nil and not fields[field] then
        fields[field] = true
        fields[#fields + 1] = field
      end
    end
  end
  return list
end
local function nodes_above(path)
  local missing = {}
  local list = want_nodes(path, missing)
  load(missing)
  return list
end
local function begin(fields, asks)
  fields[#fields + 1] = 'm'
  load(fields)
  if cache.m then
    last_token, last_ticket, held_r, held_w, waits, nested, pending, due, keep, shallow, deep =
      unpack(cache.m)
    stamped = waits > 0 or 2 * (held_r + held_w) > #cache.m - 11
    local in_index = not stamped or call('ZSCORE', index_key, stamp)
    local in_deadlines = not stamped or call('ZSCORE', deadlines_key, stamp)
    if not (in_index and in_deadlines) then
      F.rest()
      F.give_up()
    elseif cache.m[12] then
      if not asks then
        call('ZREM', index_key, '')
      end
      local index, deadlines = {}, {}
      for at = 12, #cache.m, 2 do
        local n = #index
        index[n + 1], index[n + 2] = 0, cache.m[at]
        deadlines[n + 1], deadlines[n + 2] = cache.m[at + 1], 'h' .. sub(string.match(cache.m[at], '^.*/(.*)$'), 18)
      end
      call('ZADD', index_key, unpack(index))
      call('ZADD', deadlines_key, unpack(deadlines))
      changed = true
    end
  elseif call('EXISTS', index_key, deadlines_key) > 0 then
    call('ZCARD', index_key)
    call('ZCARD', deadlines_key)
    call('DEL', index_key, deadlines_key)
  end
  if last_token < token_floor then
    last_token = token_floor
  end
  if pending > 0 or due ~= 0 and due <= now then
    F.rest()
    F.sweep()
  end
end
local function save()
  if outbox then
    F.publish()
  end
  if not changed then
    return
  end
  local minute, latest = 60000000, 0
  if held_r + held_w + waits == 0 then
    call('DEL', table_key, index_key, deadlines_key)
    if last_token >= now then
      keep = last_token + minute
      call('HSET', table_key, 'm', pack(last_token, last_ticket, 0, 0, 0, 0, 0, 0, keep, 999, 0))
      call('PEXPIREAT', table_key, math.ceil(keep / 1000))
    end
    return
  end
  F.flush_index()
  if #deadline_removals > 0 then
    F.flush_deadlines()
  end
  local removals, additions, a = {}, {}, 2
  for i = 1, #dirty do
    local field = dirty[i]
    local value = cache[field]
    if value then
      additions[a + 1], additions[a + 2] = field, pack(unpack(value))
      a = a + 2
    else
      removals[#removals + 1] = field
    end
  end
  if #removals > 0 then
    F.call_all('HDEL', table_key, removals)
  end
  if #deadline_additions > 0 then
    F.call_all('ZADD', deadlines_key, deadline_additions)
    for i = 1, #deadline_additions, 2 do
      if deadline_additions[i] > latest then
        latest = deadline_additions[i]
      end
    end
  end
  if not stamped then
    call('ZADD', index_key, 0, stamp)
    call('ZADD', deadlines_key, 'inf', stamp)
  end
  local extend = not stamped or latest + minute > keep
  if extend then
    keep = math.max(keep, latest + 2 * minute)
  end
  additions[1] = 'm'
  additions[2] = pack(last_token, last_ticket, held_r, held_w, waits, nested, pending, due, keep, shallow, deep)
  F.call_all('HSET', table_key, additions)
  if extend then
    local at = math.ceil(keep / 1000)
    call('PEXPIREAT', table_key, at)
    call('PEXPIREAT', index_key, at)
    call('PEXPIREAT', deadlines_key, at)
  end
end
function F.index(member, is_there)
  local letter = sub(member, 1, 1)
  local changes = index_changes[letter]
  if not changes then
    changes = {}
    index_changes[letter] = changes
  end
  if changes[member] == nil then
    changes[#changes + 1] = member
  end
  changes[member] = is_there
end
function F.flush_index(letter)
  if next(index_changes) == nil or letter and not index_changes[letter] then
    return
  end
  local removals, additions = {}, {}
  for kind, changes in pairs(index_changes) do
    if not letter or kind == letter then
      for i = 1, #changes do
        if changes[changes[i]] then
          additions[#additions + 1] = 0
          additions[#additions + 1] = changes[i]
        else
          removals[#removals + 1] = changes[i]
        end
      end
      index_changes[kind] = nil
    end
  end
  if #removals > 0 then
    F.call_all('ZREM', index_key, removals)
  end
  if #additions > 0 then
    F.call_all('ZADD', index_key, additions)
  end
end
function F.call_all(command, key, arguments)
  if #arguments <= 4000 then
    return call(command, key, unpack(arguments))
  end
  for from = 1, #arguments, 4000 do
    call(command, key, unpack(arguments, from, math.min(from + 3999, #arguments)))
  end
end
local function answer(values)
  local more = pending > 0 or due ~= 0 and due <= now
  values[1], values[2], values[3] = now, more and 1 or 0, own_events and table.concat(own_events, '\\n') or ''
  return values
end
if now > tonumber(ARGV[3]) then
  return { now, -1 }
end
local STATE, TICKET, TOKEN, SINCE, TTL, CLIENT, HOLDER, BLOCKER, N = 1, 2, 3, 4, 5, 6, 7, 8, 9
local function add_nodes(record, fields)
  local segments = 0
  for i = N + 1, N + record[N] do
    segments = segments + #want_nodes(sub(record[i], 2), fields)
  end
  return segments
end
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
    if mode == 87 or mode == 119 then
      member, slot, held_w = 'hw' .. path .. member, slot + 2, held_w + change
    else
      member, held_r = 'hr' .. path .. member, held_r + change
    end
    F.index(member, change > 0)
    count(path, slot, change)
  end
end
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
  local node = cache['n' .. path]
  local below = mode < 97 and #list < deep
  local own = mode < 97 and path or path .. '/'
  if below then
    F.flush_index('h')
  end
  if held_w > 0
    and (node and node[3] + node[4] > 0
      or below and call('ZLEXCOUNT', index_key, '[hw' .. own, '(hw' .. own .. '\\255') > 0)
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
      or below and call('ZLEXCOUNT', index_key, '[hr' .. own, '(hr' .. own .. '\\255') > 0)
  then
    F.rest()
    return F.first('hr' .. own, waived)
  end
  return nil
end
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
local function drop(id, record)
  if record[STATE] == 'h' then
    place_held(id, record, -1)
    local mode = byte(record[N + 1])
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
  for i = #deadline_additions, 2, -2 do
    if deadline_additions[i] == member then
      table.remove(deadline_additions, i)
      table.remove(deadline_additions, i - 1)
    end
  end
  set('r' .. id, false)
  gone[#gone + 1] = id
end
function F.rest()
  F.rest = function() end
  function F.record(id)
    local field = 'r' .. id
    if cache[field] == nil then
      load({ field })
    end
    return cache[field]
  end
  function F.flush_deadlines()
    F.call_all('ZREM', deadlines_key, deadline_removals)
    deadline_removals = {}
    if #deadline_additions > 0 then
      F.call_all('ZADD', deadlines_key, deadline_additions)
    end
  end
  function F.give_up()
    call('DEL', table_key, index_key, deadlines_key)
    for field in pairs(cache) do
      cache[field] = false
    end
    dirty, index_changes, deadline_removals, deadline_additions, gone = {}, {}, {}, {}, {}
    held_r, held_w, waits, nested, pending, due, keep, shallow, deep = 0, 0, 0, 0, 0, 0, 0, 999, 0
    changed, stamped = true, false
  end
  function F.set_deadline(member, deadline)
    deadline_additions[#deadline_additions + 1] = deadline
    deadline_additions[#deadline_additions + 1] = member
    changed = true
    if due == 0 or deadline < due then
      due = deadline
    end
  end
  local scores = {}
  function F.deadline_of(id)
    local record = F.record(id)
    if not record then
      return now
    end
    local member = record[STATE] .. id
    for i = #deadline_additions, 2, -2 do
      if deadline_additions[i] == member then
        return deadline_additions[i - 1]
      end
    end
    if scores[member] == nil then
      scores[member] = call('ZSCORE', deadlines_key, member)
    end
    return scores[member] and tonumber(scores[member]) or now
  end
  function F.limit(id)
    local record = F.record(id)
    local latest = record and now + record[TTL] * 1000
    if record and F.deadline_of(id) > latest then
      F.set_deadline(record[STATE] .. id, latest)
    end
  end
  function F.sooner(id)
    if waits > 0 then
      local prefix = 'w' .. id .. '/'
      F.flush_index('w')
      local watchers = call('ZRANGEBYLEX', index_key, '[' .. prefix, '(' .. prefix .. '\\255', 'LIMIT', 0, 64)
      for i = 1, #watchers do
        local watcher = sub(watchers[i], #prefix + 17)
        local record = F.record(watcher)
        if record then
          F.tell(record[CLIENT], 'l ' .. watcher)
        end
      end
    end
  end
  function F.tell(client, text)
    local box
    if client == ARGV[1] then
      own_events = own_events or {}
      box = own_events
    else
      outbox = outbox or {}
      outbox[client] = outbox[client] or {}
      box = outbox[client]
    end
    box[#box + 1] = text
  end
  function F.named(name)
    if byte(name) == 33 then
      return sub(name, 2), nil
    end
    local slash = string.find(name, '/', 1, true)
    if slash then
      return sub(name, 1, slash - 1), sub(name, slash + 1)
    end
    return name, name
  end
  function F.whose(id, record)
    local parts = {}
    for part in string.gmatch((record and record[CLIENT] or '') .. '\\0/', '(.-)%z/') do
      parts[#parts + 1] = part
    end
    return parts[1], parts[2] or id, parts[3], parts[4], parts[5]
  end
  function F.owned(id, client, owner)
    return owner == id and client or client .. '\\0/' .. owner
  end
  function F.is_owner(owner, id, record)
    if not owner then
      return true
    end
    local _, its_owner = F.whose(id, record)
    return owner == its_owner
  end
  function F.tell_owner(letter, id, record)
    local client, owner = F.whose(id, record)
    F.tell(client, letter .. ' ' .. id .. (owner == id and '' or ' ' .. owner))
  end
  function F.publish()
    for client, box in pairs(outbox) do
      call('PUBLISH', ARGV[2] .. client, string.format('%.0f\\n', now) .. table.concat(box, '\\n'))
    end
  end
  function F.describe(id)
    local record = F.record(id)
    local shown = {
      id,
      record[STATE],
      tonumber(record[TICKET]),
      record[TOKEN],
      record[SINCE],
      F.deadline_of(id),
      record[BLOCKER],
      record[HOLDER]
    }
    for i = N, #record do
      shown[i] = record[i]
    end
    return shown
  end
  function F.enclosing(record)
    local enclosing = {}
    for i = N + record[N] + 1, #record do
      enclosing[record[i]] = true
    end
    return enclosing
  end
  function F.first(prefix, waived)
    local from, to, offset, page = '[' .. prefix, '(' .. prefix .. '\\255', 0, waived and 32 or 1
    F.flush_index(sub(prefix, 1, 1))
    while true do
      local members = call('ZRANGEBYLEX', index_key, from, to, 'LIMIT', offset, page)
      for i = 1, #members do
        local id = sub(string.match(members[i], '^.*/(.*)$'), 18)
        if not (waived and waived[id]) then
          return id
        end
      end
      if #members < page then
        return nil
      end
      offset = offset + page
    end
  end
  function F.sweep()
    local limit = 32
    if due ~= 0 and due <= now then
      local members = call('ZRANGEBYSCORE', deadlines_key, '-inf', string.format('%.0f', now), 'LIMIT', 0, limit)
      local next = call('ZRANGE', deadlines_key, #members, #members, 'WITHSCORES')
      due = next[2] and next[1] ~= stamp and tonumber(next[2]) or 0
      changed = true
      for i = 1, #members do
        local id = sub(members[i], 2)
        local record = F.record(id)
        if record and record[STATE] == sub(members[i], 1, 1) then
          if record[STATE] == 'h' then
            F.tell_owner('e', id, record)
          else
            F.tell(record[CLIENT], 'x ' .. id)
          end
          drop(id, record)
        else
          return F.give_up()
        end
      end
    end
    F.settle()
  end
  function F.earlier_waiting(record)
    local ticket, latest_ticket, latest = record[TICKET], 0, nil
    local function consider(list)
      F.flush_index('q')
      local member = call('ZREVRANGEBYLEX', index_key, '(' .. list .. ticket, '[' .. list, 'LIMIT', 0, 1)[1]
      local its_ticket = member and tonumber(sub(member, #list + 1, #list + 16))
      if member and its_ticket > latest_ticket then
        latest_ticket, latest = its_ticket, sub(member, #list + 17)
      end
    end
    local function consider_node(kind, path, subtree, alone)
      if subtree > 0 then
        consider(kind .. path .. '/s')
      end
      if alone > 0 then
        consider(kind .. path .. '/n')
      end
    end
    for i = N + 1, N + record[N] do
      local mode, path = byte(record[i]), sub(record[i], 2)
      local exclusive = mode == 87 or mode == 119
      local list = nodes_above(path)
      for j = 1, #list do
        local node = cache['n' .. list[j]]
        if node then
          consider_node('qw', list[j], node[7], 0)
          consider_node('qr', list[j], exclusive and node[5] or 0, 0)
        end
      end
      local node = cache['n' .. path]
      if node then
        consider_node('qw', path, node[7], node[8])
        if exclusive then
          consider_node('qr', path, node[5], node[6])
        end
      end
      if mode < 97 and #list < deep then
        consider('qw' .. path .. '/b')
        if exclusive then
          consider('qr' .. path .. '/b')
        end
      end
    end
    return latest
  end
  function F.place_waiting(id, record, change)
    local tail, is_there = record[TICKET] .. id, change > 0
    for i = N + 1, N + record[N] do
      local mode, path = byte(record[i]), sub(record[i], 2)
      local exclusive, subtree = mode == 87 or mode == 119, mode < 97
      local kind, slot = exclusive and 'qw' or 'qr', exclusive and 7 or 5
      local list = above[path] or paths_above(path)
      F.index(kind .. path .. (subtree and '/s' or '/n') .. tail, is_there)
      count(path, subtree and slot or slot + 1, change)
      for j = 1, #list do
        F.index(kind .. list[j] .. '/b' .. tail, is_there)
      end
      deep = math.max(deep, #list)
    end
    local from = N + record[N] + 1
    for i = from, #record do
      F.index('n' .. record[i] .. '/' .. id, is_there)
    end
    waits = waits + change
    if from <= #record then
      nested = nested + change
    end
  end
  function F.cycle_to(enclosing, blocker)
    local left, seen = 1000, {}
    local function walk(lease)
      if seen[lease] or left <= 0 or not F.record(lease) then
        return nil
      end
      if enclosing[lease] then
        return { lease }
      end
      seen[lease] = true
      local prefix = 'n' .. lease .. '/'
      local inside = call('ZRANGEBYLEX', index_key, '[' .. prefix, '(' .. prefix .. '\\255', 'LIMIT', 0, left)
      left = left - #inside
      for i = 1, #inside do
        local id = sub(inside[i], #prefix + 1)
        local record = F.record(id)
        local rest = record and record[BLOCKER] ~= '' and walk(record[BLOCKER])
        if rest then
          table.insert(rest, 1, id)
          table.insert(rest, 1, lease)
          return rest
        end
      end
      return nil
    end
    F.flush_index('n')
    return walk(blocker)
  end
  function F.watch(id, record, blocker)
    record[BLOCKER] = blocker
    F.index('w' .. blocker .. '/' .. record[TICKET] .. id, true)
    set('r' .. id, record)
    local cycle = nested > 1 and #record > N + record[N] and F.cycle_to(F.enclosing(record), blocker)
    if cycle then
      table.insert(cycle, 1, id)
    end
    return cycle
  end
  function F.settle(wanted)
    local left, queue, at, target_of = math.max(16, wanted or 0), {}, 1, {}
    local function gather(id, marked)
      local prefix = 'w' .. id .. '/'
      F.flush_index('w')
      local watchers = call('ZRANGEBYLEX', index_key, '[' .. prefix, '(' .. prefix .. '\\255', 'LIMIT', 0, left + 1)
      local more = #watchers > left
      if more then
        watchers[#watchers] = nil
      end
      if #watchers > 0 then
        F.call_all('ZREM', index_key, watchers)
      end
      for i = 1, #watchers do
        queue[#queue + 1] = sub(watchers[i], #prefix + 1)
        target_of[queue[#queue]] = gone_target[id]
      end
      left = left - #watchers
      if more and not marked then
        pending = pending + call('ZADD', index_key, 0, 'p' .. id)
      elseif marked and not more then
        pending = pending - call('ZREM', index_key, 'p' .. id)
      end
    end
    local function gather_gone()
      for i = 1, #gone do
        gather(gone[i], false)
      end
      gone = {}
      table.sort(queue)
      local fields = {}
      for i = at, #queue do
        fields[#fields + 1] = 'r' .. sub(queue[i], 17)
      end
      load(fields)
      fields = {}
      for i = at, #queue do
        local record = F.record(sub(queue[i], 17))
        if record then
          add_nodes(record, fields)
        end
      end
      load(fields)
    end
    if #gone == 0 and pending == 0 then
      return
    end
    changed = true
    if waits == 0 then
      call('ZREMRANGEBYLEX', index_key, '[p', '(p\\255')
      gone, pending = {}, 0
      return
    end
    if pending > 0 then
      for _, mark in ipairs(call('ZRANGEBYLEX', index_key, '[p', '(p\\255', 'LIMIT', 0, 16)) do
        gather(sub(mark, 2), true)
      end
    end
    gather_gone()
    while at <= #queue do
      local id, target = sub(queue[at], 17), target_of[queue[at]]
      local record = F.record(id)
      at = at + 1
      if record and record[STATE] == 'q' then
        local blocker = blocker_of(record, target and #record == N + 1 and record[N + 1] == target)
        if not blocker then
          F.place_waiting(id, record, -1)
          deadline_removals[#deadline_removals + 1] = 'q' .. id
          local deadline = grant(id, record)
          F.tell(record[CLIENT], string.format('g %s %.0f %.0f', id, record[TOKEN], deadline))
        else
          local cycle = F.watch(id, record, blocker)
          if cycle then
            F.tell(record[CLIENT], 'd ' .. table.concat(cycle, ' '))
            drop(id, record)
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
begin({ 'r' .. id })
local record, answers = cache['r' .. id], {}
F.rest()
local deadline = record and record[STATE] == 'h' and F.deadline_of(id) or 0
if deadline > now then
  local client, owner = F.whose(id, record)
  if owner ~= ARGV[6] then
    F.tell_owner('t', id, record)
    record[CLIENT] = table.concat({ ARGV[1], ARGV[6], client, owner, string.format('%.0f', deadline) }, '\\0/')
  elseif client ~= ARGV[1] then
    record[CLIENT] = ARGV[1] .. sub(record[CLIENT], #client + 1)
  end
  record[TTL] = math.max(record[TTL], tonumber(ARGV[5]))
  answers[4], answers[5] = record[TOKEN], math.max(deadline, now + ARGV[5] * 1000)
  for i = 1, record[N] do
    answers[5 + i] = record[N + i]
  end
  set('r' .. id, record)
  F.set_deadline('h' .. id, answers[5])
end
save()
return answer(answers)`
