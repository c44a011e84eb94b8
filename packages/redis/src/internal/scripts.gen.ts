// Generated from packages/redis/lua by `npm run codegen`. Do not edit.

export const library: string = `local call, pack, unpack_values, sub, find, gmatch, format, to_json
local table_key, index_key, deadlines_key, stamp
local client, channels, is_late, token_floor
local now, seconds, micros
local take_tools
local function begin_call(keys, args)
  if not call then take_tools() end
  table_key, index_key, deadlines_key = keys[1], keys[2], keys[3]
  stamp, client, channels = '!' .. table_key, args[1], args[2]
  local time = call('TIME')
  seconds, micros = time[1], time[2]
  now = seconds * 1000000 + micros
  local space = find(args[3], ' ', 1, true)
  is_late = now > tonumber(space and sub(args[3], 1, space - 1) or args[3])
  token_floor = space and tonumber(sub(args[3], space + 1)) or 0
end
local function refuse(reason) error(reason, 0) end
local function digits(number) return format('%.0f', number) end
local piece = 4000
local function call_with(command, key, arguments, count)
  for from = 1, count, piece do
    call(command, key, unpack(arguments, from, math.min(from + piece - 1, count)))
  end
end
local layout = '3'
local LAST_TOKEN, LAST_TICKET, SHARED, EXCLUSIVE, WAITING, NESTED, MARKS, DUE, EXPIRES, DEEP, KEPT =
  2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12
local head
local function new_head(last_token, last_ticket, expires)
  head = { layout, last_token, last_ticket, 0, 0, 0, 0, 0, 0, expires, 0, 0 }
end
local STATE, TICKET, TOKEN, SINCE, TTL, CLIENT, HOLDER, TARGETS = 1, 2, 3, 4, 5, 6, 7, 8
local BLOCKER, WITHIN, OWNER, FORMER, DELEGATE, URGENCY, ID, TARGET_LIST = 9, 10, 11, 12, 13, 14, 15, 16
local KEPT_HERE = 9
local stored_head, stored_young
local function unpack_known(stored)
  local values = { unpack_values(stored) }
  if values[1] == 'partitions' then
    refuse('the locks of this namespace are spread over ' .. values[2] .. ' partitions')
  elseif values[1] ~= layout then
    refuse('the locks in this namespace are kept in a layout that this version of HiLok does not know')
  end
  return values
end
local cache, changed = {}, {}
local empty_node, alone = nil, {}
function take_tools()
  call, pack, unpack_values = redis.call, cmsgpack.pack, cmsgpack.unpack
  sub, find, gmatch, format, to_json = string.sub, string.find, string.gmatch, string.format, cjson.encode
  empty_node = pack(0, 0, 0, 0, 0, 0, 0, 0)
  for at = 1, KEPT_HERE do
    local node = { 0, 0, 0, 0, 0, 0, 0, 0 }
    node[at] = 1
    alone[at] = pack(unpack(node))
  end
end
local wanted, wanted_count = {}, 0
local function want(field)
  if cache[field] == nil then
    wanted_count = wanted_count + 1
    wanted[wanted_count], cache[field] = field, false
  end
end
local function load()
  for from = 1, wanted_count, piece do
    local found = call('HMGET', table_key, unpack(wanted, from, math.min(from + piece - 1, wanted_count)))
    for i = 1, #found do
      cache[wanted[from + i - 1]] = found[i]
    end
  end
  wanted_count = 0
end
local function stored(field)
  if cache[field] == nil then cache[field] = call('HMGET', table_key, field)[1] end
  return cache[field]
end
local function set_record(id, record)
  local field = 'r' .. id
  cache[field], changed[field] = record, true
end
local function node_of(field)
  local node = stored(field)
  if type(node) == 'string' then
    node = { unpack_values(node) }
    cache[field] = node
  end
  return node
end
local function count(field, at, by)
  local node = stored(field)
  changed[field] = true
  if not node and by > 0 then
    cache[field] = alone[at]
  elseif node == alone[at] and by < 0 then
    cache[field] = false
  else
    node = node_of(field)
    node[at] = (node[at] or 0) + by
  end
end
local function written(field)
  local value = cache[field]
  if type(value) == 'table' then
    local last = TARGETS
    if not value[ID] then
      if (value[KEPT_HERE] or 0) > 0 then last = KEPT_HERE end
    elseif value[URGENCY] then
      last = URGENCY
    elseif value[BLOCKER] .. value[WITHIN] .. value[OWNER] .. value[FORMER] ~= '' then
      last = FORMER
    end
    value = pack(unpack(value, 1, last))
  end
  return value ~= empty_node and value
end
local shared = {
  held = 'hr',
  kept = 'dr',
  waiting = 'qr',
  total = SHARED,
  held_subtree = 1,
  held_node = 2,
  waiting_subtree = 5,
  waiting_node = 6,
}
local exclusive = {
  held = 'hw',
  kept = 'dw',
  waiting = 'qw',
  total = EXCLUSIVE,
  held_subtree = 3,
  held_node = 4,
  waiting_subtree = 7,
  waiting_node = 8,
}
local function subtree(access, against)
  return {
    access = access,
    covers_subtree = true,
    mark = '/s',
    held = access.held_subtree,
    waiting = access.waiting_subtree,
    against = against,
  }
end
local function node_alone(access, against)
  return {
    access = access,
    covers_subtree = false,
    mark = '/n',
    held = access.held_node,
    waiting = access.waiting_node,
    against = against,
  }
end
local modes = {
  R = subtree(shared, { exclusive }),
  r = node_alone(shared, { exclusive }),
  W = subtree(exclusive, { exclusive, shared }),
  w = node_alone(exclusive, { exclusive, shared }),
}
local function parse_target(text)
  local mode, path, above, depth, at = modes[sub(text, 1, 1)], sub(text, 2), {}, 0, 0
  while at and at < #path do
    depth = depth + 1
    above[depth], at = 'n' .. sub(path, 1, at), find(path, '/', at + 1, true)
  end
  return { mode = mode, path = path, node = 'n' .. path, above = above, depth = depth }
end
local known_targets, known_count = {}, 0
local function targets_of(text)
  local targets = known_targets[text]
  if targets then return targets end
  targets = {}
  for target in gmatch(text, '%Z+') do
    targets[#targets + 1] = parse_target(target)
  end
  if known_count >= 1000 then
    known_targets, known_count = {}, 0
  end
  if #text <= 200 then
    known_targets[text], known_count = targets, known_count + 1
  end
  return targets
end
local function downgraded(text)
  return (string.gsub('\\0' .. text, '%z[Ww]', { ['\\0W'] = '\\0R', ['\\0w'] = '\\0r' }):sub(2))
end
local function make_record(
  id,
  state,
  ticket,
  token,
  since,
  ttl,
  whom,
  holder,
  targets,
  blocker,
  within,
  owner,
  former,
  ...
)
  blocker, within, owner, former = blocker or '', within or '', owner or '', former or ''
  local list, delegate, urgency = targets_of(targets), ...
  return {
    state,
    ticket,
    token,
    since,
    ttl,
    whom,
    holder,
    targets,
    blocker,
    within,
    owner,
    former,
    delegate,
    urgency,
    id,
    list,
  }
end
local function record_of(id)
  local field = 'r' .. id
  local record = stored(field)
  if type(record) == 'string' then
    record = make_record(id, unpack_values(record))
    cache[field] = record
  end
  return record
end
local function new_set() return { removals = {}, removed = 0, additions = {}, added = 0, scores = {} } end
local index, deadlines = new_set(), new_set()
local has_sets, sets_are_new = true, false
local function make_sets()
  if call('ZCARD', index_key) + call('ZCARD', deadlines_key) > 0 then call('DEL', index_key, deadlines_key) end
  call('ZADD', index_key, '0', stamp)
  call('ZADD', deadlines_key, 'inf', stamp)
  has_sets, sets_are_new = true, true
end
local function add(set, member, score)
  local n = set.added
  set.additions[n + 1], set.additions[n + 2], set.added, set.scores[member] = score, member, n + 2, score
end
local function forget_changes(set)
  if set.added > 0 then set.scores = {} end
  set.removed, set.added, set.is_queue_changed = 0, 0, false
end
local function flush(set)
  if set.added > 0 and not has_sets then make_sets() end
  local key = set == index and index_key or deadlines_key
  call_with('ZREM', key, set.removals, set.removed)
  call_with('ZADD', key, set.additions, set.added)
  forget_changes(set)
end
local function remove(set, member)
  if set.scores[member] then flush(set) end
  set.removed = set.removed + 1
  set.removals[set.removed] = member
end
local function members_with(prefix, count, offset, even_held)
  if index.added > 0 or index.is_queue_changed or not even_held then flush(index) end
  return call('ZRANGEBYLEX', index_key, '[' .. prefix, '(' .. prefix .. '\\255', 'LIMIT', offset or '0', count)
end
local function id_of(member) return sub(string.match(member, '^.*/(.*)$'), 18) end
local function note_depth(request)
  local targets = request[TARGET_LIST]
  for i = 1, #targets do
    if targets[i].depth > head[DEEP] then head[DEEP] = targets[i].depth end
  end
end
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
local latest_deadline, deadline_number, deadline_text, known_deadlines = 0, nil, nil, {}
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
local function limit_deadline(id)
  local record = record_of(id)
  local latest = record and now + record[TTL] * 1000
  if record and deadline_of(id) > latest then set_deadline(record[STATE] .. id, latest) end
end
local function is_more() return head[MARKS] > 0 or head[DUE] ~= 0 and head[DUE] <= now end
local function next_token()
  head[LAST_TOKEN] = head[LAST_TOKEN] < now and now or head[LAST_TOKEN] + 1
  return head[LAST_TOKEN]
end
local function next_ticket()
  head[LAST_TICKET] = head[LAST_TICKET] < now and now or head[LAST_TICKET] + 1
  return format('%016d', head[LAST_TICKET])
end
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
local own_events, outbox = {}, {}
local function tell(whom, text)
  if whom == client then
    own_events[#own_events + 1] = text
  else
    outbox[whom] = outbox[whom] and outbox[whom] .. '\\n' .. text or text
  end
end
local function publish()
  for whom, text in pairs(outbox) do
    call('PUBLISH', channels .. whom, digits(now) .. '\\n' .. text)
  end
end
local function append(list, text, pattern)
  for part in gmatch(text, pattern) do
    list[#list + 1] = part
  end
  return list
end
local function is_kept(record) return record and record[STATE] == 'h' and record[DELEGATE] end
local function describe(id)
  local r = record_of(id)
  local state = is_kept(r) and 'd' or r[STATE]
  local shown =
    { id, state, tonumber(r[TICKET]), r[TOKEN], r[SINCE], deadline_of(id), r[BLOCKER], r[HOLDER], #r[TARGET_LIST] }
  return append(append(shown, r[TARGETS], '%Z+'), r[WITHIN], '%S+')
end
local function tell_watchers(id)
  if head[WAITING] == 0 then return end
  local prefix = 'w' .. id .. '/'
  local watchers = members_with(prefix, '64')
  for i = 1, #watchers do
    local watcher = record_of(sub(watchers[i], #prefix + 17))
    if watcher then tell(watcher[CLIENT], 'l ' .. watcher[ID]) end
  end
end
local function parse_name(name)
  if not find(name, '[!/]') then return name, name end
  if sub(name, 1, 1) == '!' then return sub(name, 2), nil end
  local slash = find(name, '/', 1, true)
  return sub(name, 1, slash - 1), sub(name, slash + 1)
end
local function owner_of(record) return record[OWNER] == '' and record[ID] or record[OWNER] end
local function is_owner(owner, record) return not owner or owner == owner_of(record) end
local function tell_owner(record, letter)
  tell(record[CLIENT], letter .. ' ' .. record[ID] .. (record[OWNER] == '' and '' or ' ' .. record[OWNER]))
end
local function set_owner(record, its_client, owner, former)
  record[CLIENT], record[OWNER], record[FORMER] = its_client, owner == record[ID] and '' or owner, former
  set_record(record[ID], record)
end
local function take_over(record, owner)
  local former = record[FORMER]
  if owner ~= owner_of(record) then
    tell_owner(record, 't')
    former = pack(record[CLIENT], owner_of(record), deadline_of(record[ID]))
  end
  set_owner(record, client, owner, former)
end
local function enclosing(request)
  local set = {}
  for id in gmatch(request[WITHIN], '%S+') do
    set[id] = true
  end
  return set
end
local function reaches_below(target) return target.mode.covers_subtree and target.depth < head[DEEP] end
local function is_free(target)
  if cache[target.node] ~= false or reaches_below(target) then return false end
  for i = 1, target.depth do
    if cache[target.above[i]] ~= false then return false end
  end
  return true
end
local function first_held(prefix, waived)
  local offset, page = 0, waived and 32 or 1
  while true do
    local members = members_with(prefix, page, offset)
    for i = 1, #members do
      local id = id_of(members[i])
      if not (waived and waived[id]) then return id end
    end
    if #members < page then return nil end
    offset = offset + page
  end
end
local function find_held(target, waived)
  local mode, path, above = target.mode, target.path, target.above
  for i = 1, #above do
    local node = cache[above[i]] ~= false and node_of(above[i])
    for a = 1, node and #mode.against or 0 do
      local access = mode.against[a]
      local id = node[access.held_subtree] > 0 and first_held(access.held .. sub(above[i], 2) .. '/s', waived)
      if id then return id end
    end
  end
  local node = cache[target.node] ~= false and node_of(target.node)
  for a = 1, #mode.against do
    local access = mode.against[a]
    local is_here = node and node[access.held_subtree] + node[access.held_node] > 0
    if head[access.total] > 0 and (is_here or reaches_below(target)) then
      local id = first_held(access.held .. path .. (mode.covers_subtree and '' or '/'), waived)
      if id then return id end
    end
  end
  return nil
end
local function visit_waiting(target, visit)
  local path, above, against, node = target.path, target.above, target.mode.against, node_of(target.node)
  for a = 1, #against do
    local access = against[a]
    local found = node and node[access.waiting_subtree] > 0 and visit(access.waiting .. path .. '/s')
      or node and node[access.waiting_node] > 0 and visit(access.waiting .. path .. '/n')
      or reaches_below(target) and visit(access.waiting .. path .. '/b')
    if found then return found end
    for j = 1, #above do
      local higher = node_of(above[j])
      found = higher and higher[access.waiting_subtree] > 0 and visit(access.waiting .. sub(above[j], 2) .. '/s')
      if found then return found end
    end
  end
end
local recalled, urged = 1, 2
local function serves(outer, inner)
  if outer.mode.access == shared and inner.mode.access == exclusive then return false end
  if outer.mode.covers_subtree then return sub(inner.path, 1, #outer.path) == outer.path end
  return inner.path == outer.path and not inner.mode.covers_subtree
end
local function is_wanted_by(delegation, request, within)
  if within[delegation[ID]] then return false end
  return request[DELEGATE] ~= delegation[DELEGATE]
    or request[URGENCY] == urged
    or not serves(delegation[TARGET_LIST][1], request[TARGET_LIST][1])
end
local function find_earlier(request)
  local latest, latest_ticket, last_ticket = nil, '', format('%016d', request[TICKET] - 1)
  local passed = request[WITHIN] ~= '' and 0 or 256
  local function consider(prefix)
    flush(index)
    local from, member, id, ticket = request[TICKET], nil, nil, nil
    repeat
      member = call('ZREVRANGEBYLEX', index_key, '(' .. prefix .. from, '[' .. prefix, 'LIMIT', '0', '1')[1]
      if not member then return false end
      ticket, id = sub(member, #prefix + 1, #prefix + 16), sub(member, #prefix + 17)
      from, passed = ticket, passed + 1
    until passed > 256 or is_wanted_by(request, record_of(id), enclosing(record_of(id)))
    if ticket > latest_ticket then
      latest, latest_ticket = id, ticket
    end
    return latest_ticket == last_ticket
  end
  local targets = request[TARGET_LIST]
  for i = 1, #targets do
    if visit_waiting(targets[i], consider) then return latest end
  end
  return latest
end
local function kept_lists(request)
  local lists, targets = {}, request[TARGET_LIST]
  local function is_kept_at(field)
    local node = node_of(field)
    return node and (node[KEPT_HERE] or 0) > 0
  end
  for i = 1, #targets do
    local target = targets[i]
    local mode, above = target.mode, target.above
    local is_here = is_kept_at(target.node) or reaches_below(target)
    for a = 1, #mode.against do
      local kept = mode.against[a].kept
      if is_here then lists[#lists + 1] = kept .. target.path .. (mode.covers_subtree and '' or '/') end
      for j = 1, #above do
        if is_kept_at(above[j]) then lists[#lists + 1] = kept .. sub(above[j], 2) .. '/s' end
      end
    end
  end
  return lists
end
local function find_kept(request, waived)
  local lists = kept_lists(request)
  for i = 1, #lists do
    local id = first_held(lists[i], waived)
    if id then return id end
  end
  return nil
end
local function find_blocker(request, is_next)
  local is_nested = request[WITHIN] ~= ''
  local passes = is_next or is_nested and not request[DELEGATE]
  local earlier = not passes and head[WAITING] > 0 and find_earlier(request)
  if earlier then return earlier end
  local waived, targets = is_nested and enclosing(request), request[TARGET_LIST]
  for i = 1, head[SHARED] + head[EXCLUSIVE] > 0 and #targets or 0 do
    local id = not is_free(targets[i]) and find_held(targets[i], waived)
    if id then return id end
  end
  return head[KEPT] > 0 and find_kept(request, waived) or nil
end
local function want_nodes(request)
  local targets, count = request[TARGET_LIST], 0
  for i = 1, #targets do
    local above = targets[i].above
    want(targets[i].node)
    for j = 1, #above do
      if cache[above[j]] == nil then want(above[j]) end
    end
    count = count + #above
  end
  return count
end
local function is_wanted(delegation)
  return visit_waiting(delegation[TARGET_LIST][1], function(list)
    local looked_at, page = 0, 2
    repeat
      local members = members_with(list, page, looked_at)
      for i = 1, #members do
        want('r' .. sub(members[i], #list + 17))
      end
      load()
      for i = 1, #members do
        local request = record_of(sub(members[i], #list + 17))
        if is_wanted_by(delegation, request, enclosing(request)) then return true end
      end
      looked_at = looked_at + #members
      page = math.min(8 * page, 256 - looked_at)
    until #members == 0 or looked_at >= 256
  end)
end
function note_kept(record)
  if not record[DELEGATE] then
    record[URGENCY] = nil
  else
    record[URGENCY] = head[WAITING] > 0 and is_wanted(record) and recalled or 0
  end
end
local function may_not_wait(request, blocker) return request[URGENCY] == urged and not is_kept(record_of(blocker)) end
local function refusal(request, blocker)
  local shown = describe(blocker)
  for i = 1, #shown do
    shown[i] = type(shown[i]) == 'number' and digits(shown[i]) or to_json(shown[i])
  end
  return 'f ' .. request[ID] .. ' [' .. table.concat(shown, ',') .. ']'
end
local function is_recalled(record) return is_kept(record) and record[URGENCY] > 0 end
local function granted_as(record) return is_recalled(record) and 5 or 1 end
local most_recalls = 64
local recalls_left
local function recall(request, again, behind)
  want_nodes(request)
  load()
  local urgency, within, lists = request[URGENCY] or recalled, enclosing(request), kept_lists(request)
  local told, first = {}, 1
  while behind and lists[first] and sub(behind, 1, #lists[first]) ~= lists[first] do
    first = first + 1
  end
  for i = lists[first] and first or 1, #lists do
    local from = i == first and behind and '(' .. behind or '[' .. lists[i]
    flush(index)
    local members = call('ZRANGEBYLEX', index_key, from, '(' .. lists[i] .. '\\255', 'LIMIT', '0', recalls_left + 1)
    local is_more = #members > recalls_left
    if is_more then members[#members] = nil end
    for j = 1, #members do
      want('r' .. id_of(members[j]))
    end
    load()
    for j = 1, #members do
      local delegation = record_of(id_of(members[j]))
      local is_due = delegation and (again and not told[delegation[ID]] or delegation[URGENCY] < urgency)
      if is_due and is_wanted_by(delegation, request, within) then
        delegation[URGENCY], told[delegation[ID]] = urgency, true
        set_record(delegation[ID], delegation)
        tell(delegation[CLIENT], 'w ' .. delegation[ID] .. ' ' .. urgency .. ' ' .. delegation[DELEGATE])
      end
    end
    recalls_left = recalls_left - #members
    if is_more then
      local mark = 'c' .. request[TICKET] .. request[ID] .. '/' .. (again and 'a' or 'o')
      head[MARKS] = head[MARKS] + call('ZADD', index_key, '0', mark .. (members[#members] or sub(from, 2)))
      return
    end
  end
end
local function recall_rest()
  while recalls_left > 0 do
    local mark = members_with('c', 1)[1]
    if not mark then return end
    head[MARKS] = head[MARKS] - call('ZREM', index_key, mark)
    local id, flag, behind = string.match(sub(mark, 18), '^([^/]*)/(.)(.*)$')
    local request = record_of(id)
    if request and request[STATE] == 'q' then recall(request, flag == 'a', behind) end
  end
end
local function path_to(request, start)
  local goals, left, seen = enclosing(request), 1000, {}
  local function walk(lease)
    if seen[lease] or left <= 0 or not record_of(lease) then return nil end
    if goals[lease] then return { lease } end
    seen[lease] = true
    local prefix = 'n' .. lease .. '/'
    local inside = members_with(prefix, left)
    left = left - #inside
    for i = 1, #inside do
      local id = sub(inside[i], #prefix + 1)
      local record = record_of(id)
      local rest = record and record[BLOCKER] ~= '' and walk(record[BLOCKER])
      if rest then
        table.insert(rest, 1, id)
        table.insert(rest, 1, lease)
        return rest
      end
    end
    return nil
  end
  return walk(start)
end
local function watch(request, blocker)
  request[BLOCKER] = blocker
  set_record(request[ID], request)
  add(index, 'w' .. blocker .. '/' .. request[TICKET] .. request[ID], '0')
  local cycle = request[WITHIN] ~= '' and head[NESTED] > 1 and path_to(request, blocker)
  if cycle then table.insert(cycle, 1, request[ID]) end
  return cycle
end
local function place_waiting(request, by)
  local put, tail, targets = by > 0 and add or remove, request[TICKET] .. request[ID], request[TARGET_LIST]
  for i = 1, #targets do
    local target, mode = targets[i], targets[i].mode
    local list = mode.access.waiting
    count(target.node, mode.waiting, by)
    put(index, list .. target.path .. mode.mark .. tail, '0')
    for j = 1, target.depth do
      put(index, list .. sub(target.above[j], 2) .. '/b' .. tail, '0')
    end
  end
  head[WAITING] = head[WAITING] + by
  if request[WITHIN] == '' then return end
  head[NESTED] = head[NESTED] + by
  for lease in gmatch(request[WITHIN], '%S+') do
    put(index, 'n' .. lease .. '/' .. request[ID], '0')
  end
end
local function enqueue(request) place_waiting(request, 1) end
local function dequeue(request)
  place_waiting(request, -1)
  index.is_queue_changed = true
  remove(deadlines, 'q' .. request[ID])
  if request[BLOCKER] ~= '' then remove(index, 'w' .. request[BLOCKER] .. '/' .. request[TICKET] .. request[ID]) end
end
local gone, held_alone = {}, {}
local function drop(record)
  if record[STATE] == 'h' then
    place_held(record, -1)
    remove(deadlines, 'h' .. record[ID])
    local targets = record[TARGET_LIST]
    if head[WAITING] > 0 and record[WITHIN] == '' and #targets == 1 and targets[1].mode.access == exclusive then
      held_alone[record[ID]] = record[TARGETS]
    end
  else
    dequeue(record)
  end
  set_record(record[ID], false)
  gone[#gone + 1] = record[ID]
end
local function settle(at_least)
  if #gone == 0 and head[MARKS] == 0 then return end
  if head[WAITING] == 0 then
    if head[MARKS] > 0 then
      call('ZREMRANGEBYLEX', index_key, '[p', '(p\\255')
      call('ZREMRANGEBYLEX', index_key, '[c', '(c\\255')
    end
    gone, head[MARKS] = {}, 0
    return
  end
  local left, queue, at, wanted = math.max(16, at_least or 0), {}, 1, {}
  local function gather(id, is_marked)
    local prefix = 'w' .. id .. '/'
    local members = members_with(prefix, left + 1, '0', true)
    local is_more = #members > left
    if is_more then members[#members] = nil end
    left = left - #members
    for i = 1, #members do
      local watcher = sub(members[i], #prefix + 1)
      remove(index, members[i])
      queue[#queue + 1], wanted[watcher] = watcher, held_alone[id]
    end
    if is_more and not is_marked then
      head[MARKS] = head[MARKS] + call('ZADD', index_key, '0', 'p' .. id)
    elseif is_marked and not is_more then
      head[MARKS] = head[MARKS] - call('ZREM', index_key, 'p' .. id)
    end
  end
  local function gather_gone()
    for i = 1, #gone do
      gather(gone[i], false)
    end
    gone = {}
    table.sort(queue)
    for i = at, #queue do
      want('r' .. sub(queue[i], 17))
    end
    load()
    for i = at, #queue do
      local request = record_of(sub(queue[i], 17))
      if request then
        request[BLOCKER] = ''
        if head[SHARED] + head[EXCLUSIVE] > 0 or request[TARGETS] ~= wanted[queue[i]] then want_nodes(request) end
      end
    end
    load()
  end
  if head[MARKS] > 0 then
    local marks = members_with('p', '16')
    for i = 1, #marks do
      gather(sub(marks[i], 2), true)
    end
  end
  gather_gone()
  while at <= #queue do
    local request = record_of(sub(queue[at], 17))
    local is_next = request and request[WITHIN] == '' and request[TARGETS] == wanted[queue[at]]
    at = at + 1
    if request and request[STATE] == 'q' then
      local blocker = find_blocker(request, is_next)
      local is_refused = blocker and may_not_wait(request, blocker)
      local cycle = blocker and not is_refused and watch(request, blocker)
      if not blocker then
        dequeue(request)
        grant(request)
        local beginning = (is_recalled(request) and 'G ' or 'g ') .. request[ID]
        tell(request[CLIENT], beginning .. (request[TOKEN] > now and ' ' .. digits(request[TOKEN]) or ''))
      elseif is_refused or cycle then
        tell(request[CLIENT], is_refused and refusal(request, blocker) or 'd ' .. table.concat(cycle, ' '))
        drop(request)
        gather_gone()
      elseif is_kept(record_of(blocker)) then
        recall(request)
      end
    end
  end
  if head[MARKS] > 0 then recall_rest() end
end
local function forget()
  forget_changes(index)
  forget_changes(deadlines)
  cache, changed = {}, {}
  if next(gone) then gone = {} end
  if next(held_alone) then held_alone = {} end
  if next(known_deadlines) then known_deadlines = {} end
  if next(own_events) then own_events = {} end
  if next(outbox) then outbox = {} end
  wanted_count, latest_deadline, has_sets, sets_are_new, recalls_left = 0, 0, true, false, most_recalls
end
local function give_up()
  call('DEL', table_key, index_key, deadlines_key)
  for field in pairs(cache) do
    cache[field] = false
  end
  forget_changes(index)
  forget_changes(deadlines)
  changed, gone, held_alone, known_deadlines = {}, {}, {}, {}
  new_head(head[LAST_TOKEN], head[LAST_TICKET], 0)
  has_sets, stored_head = false, ''
end
local function expire()
  if head[DUE] ~= 0 and head[DUE] <= now then
    flush(deadlines)
    local members = call('ZRANGEBYSCORE', deadlines_key, '-inf', digits(now), 'LIMIT', '0', '32')
    local following = call('ZRANGE', deadlines_key, #members, #members, 'WITHSCORES')
    head[DUE] = following[1] ~= stamp and tonumber(following[2]) or 0
    for i = 1, #members do
      want('r' .. sub(members[i], 2))
    end
    load()
    for i = 1, #members do
      local record = record_of(sub(members[i], 2))
      if not record or record[STATE] ~= sub(members[i], 1, 1) then return give_up() end
      tell_owner(record, record[STATE] == 'h' and 'e' or 'x')
      drop(record)
    end
  end
  settle()
end
local few, first_lease, lease_length = 8, 5, 7
local function covers(mode, path, other) return path == other or mode.covers_subtree and sub(other, 1, #path) == path end
local function conflict(one, other)
  local mode, path, other_mode, other_path = modes[sub(one, 1, 1)], sub(one, 2), modes[sub(other, 1, 1)], sub(other, 2)
  if mode.access == shared and other_mode.access == shared then return false end
  return covers(mode, path, other_path) or covers(other_mode, other_path, path)
end
local function read_young()
  if token_floor > 0 then return nil end
  if not stored_head and not stored_young and call('EXISTS', index_key, deadlines_key) > 0 then return nil end
  local values = stored_young and unpack_known(stored_young) or { layout, 0, 0, 0 }
  for at = first_lease, #values, lease_length do
    if values[at + 3] + values[at + 4] * 1000 <= now then return nil end
  end
  if stored_head then
    head = unpack_known(stored_head)
    if head[WAITING] > 0 or is_more() then return nil end
    values[2], values[3], values[4] =
      math.max(values[2], head[LAST_TOKEN]), math.max(values[3], head[LAST_TICKET]), head[EXPIRES]
  end
  return values[2] < now and values
end
local function has_no_blocker(id, text)
  forget()
  local request = make_record(id, 'q', '', 0, now, 0, client, '', text, '', '', '', '')
  want('r' .. id)
  want_nodes(request)
  load()
  return request[TARGET_LIST][1].depth <= head[DEEP] and not cache['r' .. id] and not find_blocker(request)
end
local function acquire_young(args)
  local id, text, ttl = args[6], args[7], tonumber(args[5])
  local values = id ~= '' and read_young()
  if not values or #values >= first_lease + (few - 1) * lease_length then return false end
  for at = first_lease, #values, lease_length do
    if values[at] == id or conflict(text, values[at + 1]) then return false end
  end
  local ticket, expires, deadline = values[3] < now and now or values[3] + 1, values[4], now + ttl * 1000
  local is_later = deadline + minute > expires
  if stored_head and (is_later or not has_no_blocker(id, text)) then return false end
  if is_later then expires = deadline + 2 * minute end
  local beginning = pack(layout, now, ticket, expires, unpack(values, first_lease))
  call('HSET', table_key, 's', beginning .. pack(id, text, ticket, now, ttl, client, args[4]))
  if is_later then expire_keys(expires, false) end
  return true
end
local function release_young(args)
  local values = #args == 4 and stored_young and read_young()
  for at = first_lease, values and #values or 0, lease_length do
    if values[at] == args[4] then
      if #values == first_lease + lease_length - 1 and not stored_head then
        call('DEL', table_key)
      else
        local before, behind = pack(unpack(values, 1, at - 1)), at + lease_length
        call('HSET', table_key, 's', before .. (values[behind] and pack(unpack(values, behind)) or ''))
      end
      return true
    end
  end
  return false
end
local function enter_young()
  local values = unpack_known(stored_young)
  for at = first_lease, #values, lease_length do
    want('n' .. sub(values[at + 1], 2))
  end
  load()
  head[LAST_TOKEN], head[LAST_TICKET] = math.max(head[LAST_TOKEN], values[2]), math.max(head[LAST_TICKET], values[3])
  head[EXPIRES] = math.max(head[EXPIRES], values[4])
  cache.s, changed.s = false, true
  for at = first_lease, #values, lease_length do
    local id, targets, ticket, token, ttl, whom, holder = unpack(values, at, at + lease_length - 1)
    local record =
      make_record(id, 'h', format('%016d', ticket), token, token, ttl, whom, holder, targets, '', '', '', '')
    note_depth(record)
    set_record(id, record)
    place_held(record, 1)
    set_deadline('h' .. id, token + ttl * 1000)
  end
end
local function begin(needs_deadlines)
  load()
  if stored_head then
    head = unpack_known(stored_head)
  else
    new_head(0, 0, 0)
  end
  has_sets = head[SHARED] + head[EXCLUSIVE] + head[WAITING] > 0
  local is_lost = has_sets
    and not (call('ZSCORE', index_key, stamp) and (not needs_deadlines or call('ZSCORE', deadlines_key, stamp)))
  if is_lost then
    give_up()
  elseif stored_young then
    enter_young()
  end
  if head[LAST_TOKEN] < token_floor then head[LAST_TOKEN] = token_floor end
  if is_more() then expire() end
end
local function save_nothing()
  if not stored_head and not stored_young or stored_head == pack(unpack(head)) then return end
  if has_sets then
    call('DEL', table_key, index_key, deadlines_key)
  else
    call('DEL', table_key)
  end
  if head[LAST_TOKEN] >= now then
    new_head(head[LAST_TOKEN], head[LAST_TICKET], head[LAST_TOKEN] + minute)
    call('HSET', table_key, 'm', pack(unpack(head)))
    expire_keys(head[EXPIRES], false)
  end
end
local function write(values, count, removals, removed)
  flush(index)
  flush(deadlines)
  local is_later = latest_deadline + minute > head[EXPIRES]
  if is_later then head[EXPIRES] = latest_deadline + 2 * minute end
  values[2] = pack(unpack(head))
  call_with('HDEL', table_key, removals, removed)
  if count > 2 or values[2] ~= stored_head then call_with('HSET', table_key, values, count) end
  if is_later or sets_are_new then expire_keys(head[EXPIRES], true) end
end
local function save()
  publish()
  if head[SHARED] + head[EXCLUSIVE] + head[WAITING] == 0 then return save_nothing() end
  local values, count, removals, removed = { 'm', '' }, 2, {}, 0
  for field in pairs(changed) do
    local value = written(field)
    if value then
      values[count + 1], values[count + 2], count = field, value, count + 2
    else
      removed = removed + 1
      removals[removed] = field
    end
  end
  write(values, count, removals, removed)
end
local function is_quiet()
  load()
  if stored_young or token_floor > 0 then return false end
  if stored_head then
    head = unpack_known(stored_head)
  else
    new_head(0, 0, 0)
  end
  has_sets = head[SHARED] + head[EXCLUSIVE] > 0
  return head[WAITING] == 0 and not is_more() and not (has_sets and not call('ZSCORE', index_key, stamp))
end
local function want_simple(args)
  local targets = {}
  for at = 6, #args, 2 do
    if args[at] == '' then return nil end
    local target = targets_of(args[at + 1])[1]
    targets[at] = target
    want('r' .. args[at])
    want(target.node)
    for i = 1, target.depth do
      want(target.above[i])
    end
  end
  return targets
end
local function grant_many(args)
  local targets = #args <= 125 and want_simple(args)
  if not targets or not is_quiet() then return nil end
  local taken = {}
  for at = 6, #args, 2 do
    if targets[at].depth > head[DEEP] then head[DEEP] = targets[at].depth end
  end
  for at = 6, #args, 2 do
    local id, node = args[at], targets[at].node
    if cache['r' .. id] or taken[id] or taken[node] or not is_free(targets[at]) then return nil end
    taken[id], taken[node] = true, true
  end
  local ttl, values, count, first_token = tonumber(args[5]), { 'm', '' }, 2, nil
  local deadline = now + ttl * 1000
  for at = 6, #args, 2 do
    local id, target, ticket, token = args[at], targets[at], next_ticket(), next_token()
    local mode, tail = target.mode, ticket .. id
    local record = pack('h', ticket, token, now, ttl, client, args[4], args[at + 1])
    first_token = first_token or token
    values[count + 1], values[count + 2], values[count + 3], values[count + 4] =
      'r' .. id, record, target.node, alone[mode.held]
    count = count + 4
    head[mode.access.total] = head[mode.access.total] + 1
    add(index, mode.access.held .. target.path .. mode.mark .. tail, '0')
    set_deadline('h' .. id, deadline)
  end
  write(values, count, {}, 0)
  return first_token
end
local function end_many(args)
  if #args > 1000 or not is_quiet() then return false end
  local targets, tails, seen, removals, removed = {}, {}, {}, {}, 0
  for at = 4, #args do
    local field = 'r' .. args[at]
    if not cache[field] or seen[field] then return false end
    local _, ticket, _, _, _, _, _, text, _, _, owner = unpack_values(cache[field])
    local list = targets_of(text)
    if list[2] or owner and owner ~= '' then return false end
    seen[field], targets[at], tails[at] = true, list[1], ticket .. args[at]
    removals[removed + 1], removals[removed + 2], removed = field, list[1].node, removed + 2
    want(list[1].node)
  end
  if #args - 3 == head[SHARED] + head[EXCLUSIVE] then
    head[SHARED], head[EXCLUSIVE] = 0, 0
    save_nothing()
    return true
  end
  load()
  for at = 4, #args do
    if cache[targets[at].node] ~= alone[targets[at].mode.held] then return false end
  end
  for at = 4, #args do
    local mode = targets[at].mode
    head[mode.access.total] = head[mode.access.total] - 1
    remove(index, mode.access.held .. targets[at].path .. mode.mark .. tails[at])
    remove(deadlines, 'h' .. args[at])
  end
  write({ 'm', '' }, 2, removals, removed)
  return true
end
local operations = {}
local function new_request(id, ttl, holder, targets, within)
  return make_record(id, 'q', '', 0, now, ttl, client, holder, targets, '', within, '', '')
end
local function parse_request(args, at)
  if args[at] ~= '' then
    local ttl = tonumber(args[5])
    return new_request(args[at], ttl, args[4], args[at + 1], ''), at + 2, ttl
  end
  local targets, ttl, queue = tonumber(args[at + 5]), tonumber(args[at + 2]), args[at + 3]
  local inside_at = at + 6 + targets
  local inside = tonumber(args[inside_at])
  if targets + inside > 3900 then refuse('too many targets in one request') end
  local texts = table.concat(args, '\\0', at + 6, inside_at - 1)
  local within = table.concat(args, ' ', inside_at + 1, inside_at + inside)
  local request = new_request(args[at + 1], ttl, args[at + 4], texts, within)
  if queue == 'q' then return request, inside_at + inside + 1, ttl end
  local letter, wait_ttl, delegate = string.match(queue, '^(%a)(%d*)/?(.*)$')
  if letter == 'i' then
    request[URGENCY] = urged
  elseif delegate ~= '' then
    request[URGENCY] = recalled
  end
  if delegate ~= '' then request[DELEGATE] = delegate end
  return request, inside_at + inside + 1, letter ~= 't' and (tonumber(wait_ttl) or ttl)
end
local function parse_requests(args)
  local requests, wait_ttls, count, at = {}, {}, 0, 6
  while at <= #args do
    count = count + 1
    requests[count], at, wait_ttls[count] = parse_request(args, at)
    want('r' .. requests[count][ID])
    if want_nodes(requests[count]) > 4000 then refuse('too many segments in the paths of one request') end
  end
  return requests, wait_ttls
end
local function ask(request, wait_ttl)
  local known = record_of(request[ID])
  if known and known[STATE] == 'h' then
    return granted_as(known), known[TOKEN], deadline_of(known[ID])
  elseif known then
    return 2, known[BLOCKER], deadline_of(known[BLOCKER])
  end
  note_depth(request)
  local last_ticket = head[LAST_TICKET]
  request[TICKET] = next_ticket()
  local blocker = find_blocker(request)
  if not blocker then
    grant(request)
    return granted_as(request), request[TOKEN], now + request[TTL] * 1000
  elseif not wait_ttl or may_not_wait(request, blocker) then
    head[LAST_TICKET] = last_ticket
    limit_deadline(blocker)
    return 3, describe(blocker), 0
  end
  enqueue(request)
  local cycle = watch(request, blocker)
  if cycle then
    drop(request)
    return 4, table.concat(cycle, ' '), 0
  end
  set_deadline('q' .. request[ID], now + wait_ttl * 1000)
  if head[KEPT] > 0 then recall(request) end
  return 2, blocker, deadline_of(blocker)
end
function operations.acquire(args)
  if #args == 7 and acquire_young(args) then return nil, now end
  forget()
  local first_token = #args > 7 and grant_many(args)
  if first_token then return nil, first_token end
  local requests, wait_ttls = parse_requests(args)
  local answers, all_granted = {}, true
  begin()
  for i = 1, #requests do
    local request, a = requests[i], 3 * i - 2
    answers[a], answers[a + 1], answers[a + 2] = ask(request, wait_ttls[i])
    all_granted = all_granted and answers[a] == 1 and request[STATE] == 'h' and request[TTL] == requests[1][TTL]
  end
  return answers, all_granted and requests[1][TOKEN]
end
local function want_named(args, step)
  forget()
  for at = 4, #args, step do
    want('r' .. parse_name(args[at]))
  end
end
local function begin_with(id)
  forget()
  want('r' .. id)
  begin(true)
end
local function finish(ended)
  local regions = 0
  for i = 1, #ended do
    local targets = ended[i][TARGET_LIST]
    for t = 1, #targets do
      want(targets[t].node)
    end
    regions = regions + #targets
  end
  if head[WAITING] == 0 and regions == head[SHARED] + head[EXCLUSIVE] then
    wanted_count, head[SHARED], head[EXCLUSIVE] = 0, 0, 0
  elseif ended[1] then
    load()
    for i = 1, #ended do
      drop(ended[i])
    end
    settle(#ended)
  end
end
function operations.release(args)
  if release_young(args) then return nil, true end
  want_named(args, 1)
  if end_many(args) then return nil, true end
  local answers, ended, all_live = {}, {}, true
  begin()
  for at = 4, #args do
    local id, owner = parse_name(args[at])
    local record = record_of(id)
    local is_live = record and not ended[id] and is_owner(owner, record)
    answers[at - 3] = is_live and 1 or 0
    all_live = all_live and is_live
    if is_live then
      ended[id], ended[#ended + 1] = true, record
      if record[STATE] == 'q' then
        tell(record[CLIENT], 'k ' .. id)
      elseif not owner then
        tell_owner(record, 'r')
      end
    end
  end
  finish(ended)
  return answers, all_live
end
local function prolong(record, deadline)
  local before = deadline_of(record[ID])
  set_deadline(record[STATE] .. record[ID], deadline)
  if record[STATE] == 'h' and deadline < before then tell_watchers(record[ID]) end
  return deadline
end
local function is_live_lease(record) return record and record[STATE] == 'h' and deadline_of(record[ID]) > now end
local function raise_ttl(record, ttl)
  if ttl > record[TTL] then
    record[TTL] = ttl
    set_record(record[ID], record)
  end
end
local function load_deadlines(args)
  flush(deadlines)
  for from = 4, #args, piece do
    local members = {}
    for at = from, math.min(from + piece - 2, #args), 2 do
      members[#members + 1] = 'h' .. parse_name(args[at])
    end
    local scores = call('ZMSCORE', deadlines_key, unpack(members))
    for i = 1, #members do
      known_deadlines[members[i]] = scores[i]
    end
  end
end
function operations.refresh(args)
  local answers, is_lost = {}, false
  want_named(args, 2)
  begin(true)
  load_deadlines(args)
  for at = 4, #args, 2 do
    local id, owner = parse_name(args[at])
    local record, ttl, deadline = record_of(id), tonumber(args[at + 1]), 0
    is_lost = is_lost or known_deadlines['h' .. id] and not record
    if is_live_lease(record) and is_owner(owner, record) then
      deadline = now + ttl * 1000
      if not owner then
        deadline = math.max(deadline, deadline_of(id))
        set_record(id, record)
      elseif record[FORMER] ~= '' then
        set_owner(record, record[CLIENT], owner, '')
      end
      raise_ttl(record, ttl)
      prolong(record, deadline)
    end
    answers[#answers + 1] = is_recalled(record) and -deadline or deadline
  end
  if is_lost then
    give_up()
    for i = 1, #answers do
      answers[i] = 0
    end
  end
  return answers
end
function operations.look(args)
  local answers = {}
  want_named(args, 2)
  begin(true)
  for at = 4, #args, 2 do
    local record, a = record_of(args[at]), #answers + 1
    answers[a], answers[a + 1], answers[a + 2] = 0, 0, 0
    if record and record[STATE] == 'h' then
      local deadline = deadline_of(record[ID])
      if is_owner(record[ID], record) then deadline = prolong(record, math.max(deadline, now + record[TTL] * 1000)) end
      answers[a], answers[a + 1], answers[a + 2] = granted_as(record), record[TOKEN], deadline
    elseif record then
      set_deadline('q' .. record[ID], now + tonumber(args[at + 1]) * 1000)
      limit_deadline(record[BLOCKER])
      answers[a], answers[a + 1], answers[a + 2] = 2, record[BLOCKER], deadline_of(record[BLOCKER])
      if head[KEPT] > 0 and head[MARKS] == 0 then recall(record, true) end
    end
  end
  return answers
end
function operations.restore(args)
  local id, ttl = args[4], tonumber(args[5])
  begin_with(id)
  local record = record_of(id)
  if not is_live_lease(record) then return {} end
  take_over(record, args[6])
  raise_ttl(record, ttl)
  local answers = { record[TOKEN], prolong(record, math.max(deadline_of(id), now + ttl * 1000)) }
  return append(answers, record[TARGETS], '%Z+')
end
function operations.give_back(args)
  begin_with(args[4])
  local record = record_of(args[4])
  if not is_live_lease(record) or owner_of(record) ~= args[5] or record[FORMER] == '' then return { 0 } end
  local its_client, owner, deadline = unpack_values(record[FORMER])
  set_owner(record, its_client, owner, '')
  prolong(record, deadline)
  return { 1 }
end
function operations.downgrade(args)
  local id, owner = parse_name(args[4])
  begin_with(id)
  local record = record_of(id)
  if not record or record[STATE] ~= 'h' or not is_owner(owner, record) then return { 0 } end
  place_held(record, -1)
  record[TARGETS] = downgraded(record[TARGETS])
  record[TARGET_LIST] = targets_of(record[TARGETS])
  place_held(record, 1)
  set_record(record[ID], record)
  gone[#gone + 1] = record[ID]
  settle()
  return { 1 }
end
operations['break'] = function(args)
  begin_with(args[4])
  local record = record_of(args[4])
  if not record or record[STATE] ~= 'h' then return { 0 } end
  tell_owner(record, 'b')
  drop(record)
  settle()
  return { 1 }
end
local function register(request, token, from)
  local known = record_of(request[ID])
  if known then return known[STATE] == 'h' and 1 or 0 end
  if not is_kept(record_of(from)) then return 0 end
  note_depth(request)
  request[TICKET] = next_ticket()
  hold(request, token)
  if head[LAST_TOKEN] < token then head[LAST_TOKEN] = token end
  return 1
end
function operations.settle(args)
  local count, at, requests, tokens, origins = tonumber(args[4]), 5, {}, {}, {}
  forget()
  for i = 1, count do
    tokens[i], origins[i] = tonumber(args[at]), args[at + 1]
    requests[i], at = parse_request(args, at + 2)
    want('r' .. requests[i][ID])
    want('r' .. origins[i])
    want_nodes(requests[i])
  end
  for i = at, #args, 2 do
    want('r' .. args[i])
    token_floor = math.max(token_floor, tonumber(args[i + 1]))
  end
  begin()
  stored_head = stored_head or ''
  local answers, ended = {}, {}
  for i = 1, count do
    answers[i] = register(requests[i], tokens[i], origins[i])
  end
  for i = at, #args, 2 do
    local record = record_of(args[i])
    if record and not ended[args[i]] and is_owner(args[i], record) then
      ended[args[i]], ended[#ended + 1] = true, record
    end
  end
  finish(ended)
  return answers
end
local function waiting_ahead(request)
  local count, before = 0, record_of(request[BLOCKER])
  while before and before[STATE] == 'q' and count < 100 do
    count, before = count + 1, record_of(before[BLOCKER])
  end
  return count
end
function operations.lookup(args)
  local answers = {}
  forget()
  for at = 4, #args do
    want('r' .. string.match(args[at], '[^>]*$'))
  end
  begin(true)
  for at = 4, #args do
    local id, is_blocker = string.gsub(args[at], '^>', '')
    local record = record_of(id)
    if not record then
      answers[at - 3] = 0
    elseif is_blocker == 0 then
      answers[at - 3] = describe(id)
    else
      answers[at - 3] = record_of(record[BLOCKER]) and { waiting_ahead(record), describe(record[BLOCKER]) } or 0
    end
  end
  return answers
end
function operations.inspect(args)
  forget()
  begin(true)
  flush(index)
  local page, behind, shown, answers = 250, args[6], {}, { 0, '' }
  local lists = { shared.held, exclusive.held, shared.waiting, exclusive.waiting }
  if head[KEPT] > 0 then
    lists[5], lists[6] = shared.kept, exclusive.kept
  end
  for i = tonumber(args[5]), #lists do
    local prefix = lists[i] .. args[4]
    local from = behind == '' and '[' .. prefix or '(' .. behind
    local members = call('ZRANGEBYLEX', index_key, from, '(' .. prefix .. '\\255', 'LIMIT', '0', page)
    for j = 1, #members do
      local id = id_of(members[j])
      if not find(members[j], '/b[^/]*$') and not shown[id] then
        shown[id] = true
        answers[#answers + 1] = describe(id)
      end
    end
    page = page - #members
    behind = ''
    if page == 0 then
      answers[1], answers[2] = i, members[#members]
      break
    end
  end
  return answers
end
function operations.claim(args)
  forget()
  local noted = stored_head and { unpack_values(stored_head) }
  if noted and noted[1] == 'partitions' then
    new_head(0, 0, 0)
    stored_head, stored_young = nil, nil
    return { noted[2] }
  end
  begin(true)
  if head[SHARED] + head[EXCLUSIVE] + head[WAITING] > 0 then return { 1 } end
  save_nothing()
  local is_kept_for_tokens = call('EXISTS', table_key) == 1
  stored_head, stored_young = nil, nil
  if is_kept_for_tokens then return { 1 } end
  local number = tonumber(args[4])
  call('HSET', table_key, 'm', pack('partitions', number))
  return { number }
end
local always_in_time = { release = true, give_back = true, lookup = true, inspect = true }
local function perform(name, keys, args)
  begin_call(keys, args)
  if not always_in_time[name] and is_late then return { now, -1 } end
  local found = call('HMGET', table_key, 'm', 's')
  stored_head, stored_young = found[1], found[2]
  local values, first_token = operations[name](args)
  local events, more = '', false
  if values then
    save()
    events, more = table.concat(own_events, '\\n'), is_more()
  end
  if first_token and not more then
    local late_token = first_token ~= true and first_token > now and ' ' .. digits(first_token) or ''
    return seconds .. ' ' .. micros .. late_token .. (events == '' and '' or '\\n' .. events)
  end
  return { now, more and 1 or 0, events, unpack(values) }
end`
