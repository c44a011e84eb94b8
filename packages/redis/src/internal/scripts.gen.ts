// Generated from packages/redis/lua by `npm run codegen`. Do not edit.

export const library: string = `local call, pack, unpack_values, sub, find, format
local table_key, index_key, deadlines_key, stamp
local client, channels
local now, seconds, micros
local is_late, token_floor
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
local shared = {
  held = 'hr',
  waiting = 'qr',
  total = 'shared',
  held_subtree = 'read',
  held_node = 'read_node',
  waiting_subtree = 'waits_read',
  waiting_node = 'waits_read_node',
}
local exclusive = {
  held = 'hw',
  waiting = 'qw',
  total = 'exclusive',
  held_subtree = 'write',
  held_node = 'write_node',
  waiting_subtree = 'waits_write',
  waiting_node = 'waits_write_node',
}
local modes = {
  R = {
    access = shared,
    covers_subtree = true,
    mark = '/s',
    held_count = shared.held_subtree,
    waiting_count = shared.waiting_subtree,
    against = { exclusive },
  },
  r = {
    access = shared,
    covers_subtree = false,
    mark = '/n',
    held_count = shared.held_node,
    waiting_count = shared.waiting_node,
    against = { exclusive },
  },
  W = {
    access = exclusive,
    covers_subtree = true,
    mark = '/s',
    held_count = exclusive.held_subtree,
    waiting_count = exclusive.waiting_subtree,
    against = { exclusive, shared },
  },
  w = {
    access = exclusive,
    covers_subtree = false,
    mark = '/n',
    held_count = exclusive.held_node,
    waiting_count = exclusive.waiting_node,
    against = { exclusive, shared },
  },
}
local function parse_target(text) return { mode = modes[sub(text, 1, 1)], path = sub(text, 2) } end
local function parse_targets(text)
  if not find(text, '%z') then return { parse_target(text) } end
  local targets = {}
  for target in string.gmatch(text, '%Z+') do
    targets[#targets + 1] = parse_target(target)
  end
  return targets
end
local function downgraded(text)
  return (string.gsub('\\0' .. text, '%z[Ww]', { ['\\0W'] = '\\0R', ['\\0w'] = '\\0r' }):sub(2))
end
local function segments(path)
  local count, at = 0, find(path, '/', 1, true)
  while at do
    count, at = count + 1, find(path, '/', at + 1, true)
  end
  return count
end
local function depth_of(target)
  target.depth = target.depth or segments(target.path)
  return target.depth
end
local function paths_above(path, from)
  local list, depth, at = {}, 0, 0
  while at and at < #path do
    if depth >= from then list[#list + 1] = sub(path, 1, at) end
    depth, at = depth + 1, find(path, '/', at + 1, true)
  end
  return list
end
local layout = '2'
local cache, changed = {}, {}
local head = {}
local stored_head, stored_small
local function check_layout(version)
  if version ~= layout then
    refuse('the locks in this namespace are kept in a layout that this version of HiLok does not know')
  end
end
local function new_head(last_token, last_ticket, expires)
  head.last_token, head.last_ticket, head.shared, head.exclusive, head.waiting, head.nested =
    last_token, last_ticket, 0, 0, 0, 0
  head.marks, head.due, head.expires, head.shallow, head.deep = 0, 0, expires, 999, 0
end
local function read_head(stored)
  local version
  version, head.last_token, head.last_ticket, head.shared, head.exclusive, head.waiting, head.nested, head.marks, head.due, head.expires, head.shallow, head.deep =
    unpack_values(stored)
  check_layout(version)
end
local function write_head()
  return pack(
    layout,
    head.last_token,
    head.last_ticket,
    head.shared,
    head.exclusive,
    head.waiting,
    head.nested,
    head.marks,
    head.due,
    head.expires,
    head.shallow,
    head.deep
  )
end
local function make_record(
  id,
  state,
  ticket,
  token,
  since,
  ttl,
  its_client,
  holder,
  target_text,
  blocker,
  within,
  owner,
  former
)
  return {
    id = id,
    state = state,
    ticket = ticket,
    token = token,
    since = since,
    ttl = ttl,
    client = its_client,
    holder = holder,
    target_text = target_text,
    targets = parse_targets(target_text),
    blocker = blocker or '',
    within = within or '',
    owner = owner or id,
    former = former or '',
  }
end
local function read_record(id, stored) return make_record(id, unpack_values(stored)) end
local function write_record(record)
  local plain = record.blocker == '' and record.within == '' and record.owner == record.id
  return pack(
    record.state,
    record.ticket,
    record.token,
    record.since,
    record.ttl,
    record.client,
    record.holder,
    record.target_text,
    not plain and record.blocker or nil,
    not plain and record.within or nil,
    not plain and record.owner or nil,
    not plain and record.former or nil
  )
end
local function read_node(stored)
  local node = {}
  node.read, node.read_node, node.write, node.write_node, node.waits_read, node.waits_read_node, node.waits_write, node.waits_write_node =
    unpack_values(stored)
  return node
end
local function write_node(node)
  return pack(
    node.read,
    node.read_node,
    node.write,
    node.write_node,
    node.waits_read,
    node.waits_read_node,
    node.waits_write,
    node.waits_write_node
  )
end
local empty_node, alone = nil, {}
function take_tools()
  call, pack, unpack_values = redis.call, cmsgpack.pack, cmsgpack.unpack
  sub, find, format = string.sub, string.find, string.format
  empty_node = pack(0, 0, 0, 0, 0, 0, 0, 0)
  for name in pairs(read_node(empty_node)) do
    local node = read_node(empty_node)
    node[name] = 1
    alone[name] = write_node(node)
  end
end
local function read_fields(fields)
  if #fields <= piece then return call('HMGET', table_key, unpack(fields)) end
  local values = {}
  for from = 1, #fields, piece do
    local found = call('HMGET', table_key, unpack(fields, from, math.min(from + piece - 1, #fields)))
    for i = 1, #found do
      values[from + i - 1] = found[i]
    end
  end
  return values
end
local function load(fields)
  local missing = {}
  for i = 1, #fields do
    if cache[fields[i]] == nil then missing[#missing + 1] = fields[i] end
  end
  local found = missing[1] and read_fields(missing)
  for i = 1, #missing do
    cache[missing[i]] = found[i]
  end
end
local function stored(field)
  if cache[field] == nil then load({ field }) end
  return cache[field]
end
local function record_of(id)
  local field = 'r' .. id
  local record = stored(field)
  if type(record) == 'string' then
    record = read_record(id, record)
    cache[field] = record
  end
  return record
end
local function node_at(path)
  local field = 'n' .. path
  local node = stored(field)
  if type(node) == 'string' then
    node = read_node(node)
    cache[field] = node
  end
  return node
end
local function set_record(id, record)
  cache['r' .. id], changed['r' .. id] = record, true
end
local function count(path, name, by)
  local field = 'n' .. path
  local node = stored(field)
  changed[field] = true
  if not node and by > 0 then
    cache[field] = alone[name]
  elseif node == alone[name] and by < 0 then
    cache[field] = false
  else
    node = node_at(path)
    node[name] = node[name] + by
  end
end
local function written(field)
  local value = cache[field]
  if type(value) == 'table' then value = value.id and write_record(value) or write_node(value) end
  return value ~= empty_node and value
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
  set.removed, set.added = 0, 0
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
local function members_with(prefix, count, offset)
  flush(index)
  return call('ZRANGEBYLEX', index_key, '[' .. prefix, '(' .. prefix .. '\\255', 'LIMIT', offset or '0', count)
end
local function id_of(member) return sub(string.match(member, '^.*/(.*)$'), 18) end
local latest_deadline, deadline_number, deadline_text, known_deadlines = 0, nil, nil, {}
local function expect(deadline)
  if head.due == 0 or deadline < head.due then head.due = deadline end
  if deadline > latest_deadline then latest_deadline = deadline end
end
local function add_deadline(member, deadline)
  if deadline ~= deadline_number then
    deadline_number, deadline_text = deadline, digits(deadline)
  end
  add(deadlines, member, deadline_text)
end
local function set_deadline(record, deadline)
  expect(deadline)
  add_deadline(record.state .. record.id, deadline)
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
local function limit_deadline(id)
  local record = record_of(id)
  local latest = record and now + record.ttl * 1000
  if record and deadline_of(id) > latest then set_deadline(record, latest) end
end
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
local function next_token()
  head.last_token = head.last_token < now and now or head.last_token + 1
  return head.last_token
end
local function next_ticket()
  head.last_ticket = head.last_ticket + 1
  return format('%016d', head.last_ticket)
end
local function grant(request)
  request.state, request.token, request.since, request.blocker = 'h', next_token(), now, ''
  set_record(request.id, request)
  enter_held(request)
end
local own_events, outbox = {}, {}
local function tell(whom, text)
  if whom == client then
    own_events[#own_events + 1] = text
    return
  end
  outbox[whom] = outbox[whom] and outbox[whom] .. '\\n' .. text or text
end
local function publish()
  for whom, text in pairs(outbox) do
    call('PUBLISH', channels .. whom, digits(now) .. '\\n' .. text)
  end
end
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
local function tell_watchers(id)
  if head.waiting == 0 then return end
  local prefix = 'w' .. id .. '/'
  local watchers = members_with(prefix, '64')
  for i = 1, #watchers do
    local watcher = record_of(sub(watchers[i], #prefix + 17))
    if watcher then tell(watcher.client, 'l ' .. watcher.id) end
  end
end
local function parse_name(name)
  if sub(name, 1, 1) == '!' then return sub(name, 2), nil end
  local slash = find(name, '/', 1, true)
  if slash then return sub(name, 1, slash - 1), sub(name, slash + 1) end
  return name, name
end
local function is_owner(owner, record) return not owner or owner == record.owner end
local function tell_owner(record, letter)
  tell(record.client, letter .. ' ' .. record.id .. (record.owner == record.id and '' or ' ' .. record.owner))
end
local function take_over(record, owner)
  if owner ~= record.owner then
    tell_owner(record, 't')
    record.former = pack(record.client, record.owner, deadline_of(record.id))
  end
  record.client, record.owner = client, owner
  set_record(record.id, record)
end
local function keep(record)
  if record.former == '' then return end
  record.former = ''
  set_record(record.id, record)
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
local function enclosing(request)
  local set = {}
  for id in string.gmatch(request.within, '%S+') do
    set[id] = true
  end
  return set
end
local none = {}
local function nodes_above(target)
  if depth_of(target) <= head.shallow then return none end
  return paths_above(target.path, head.shallow)
end
local function reaches_below(target) return target.mode.covers_subtree and depth_of(target) < head.deep end
local function find_held(target, waived)
  local mode, path, above = target.mode, target.path, nodes_above(target)
  for i = 1, #above do
    local node = node_at(above[i])
    for a = 1, node and #mode.against or 0 do
      local access = mode.against[a]
      local id = node[access.held_subtree] > 0 and first_held(access.held .. above[i] .. '/s', waived)
      if id then return id end
    end
  end
  local node = node_at(path)
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
local function find_earlier(request)
  local latest, latest_ticket, last_ticket = nil, '', format('%016d', request.ticket - 1)
  local function consider(prefix)
    flush(index)
    local last = '(' .. prefix .. request.ticket
    local member = call('ZREVRANGEBYLEX', index_key, last, '[' .. prefix, 'LIMIT', '0', '1')[1]
    local ticket = member and sub(member, #prefix + 1, #prefix + 16)
    if member and ticket > latest_ticket then
      latest, latest_ticket = sub(member, #prefix + 17), ticket
    end
  end
  for i = 1, #request.targets do
    local target = request.targets[i]
    local path, above = target.path, nodes_above(target)
    for a = 1, #target.mode.against do
      local access = target.mode.against[a]
      local node = node_at(path)
      if node and node[access.waiting_subtree] > 0 then consider(access.waiting .. path .. '/s') end
      if node and node[access.waiting_node] > 0 then consider(access.waiting .. path .. '/n') end
      if latest_ticket == last_ticket then return latest end
      if reaches_below(target) then consider(access.waiting .. path .. '/b') end
      for j = 1, #above do
        local higher = node_at(above[j])
        if higher and higher[access.waiting_subtree] > 0 then consider(access.waiting .. above[j] .. '/s') end
      end
    end
  end
  return latest
end
local function find_blocker(request, is_next)
  local is_nested = request.within ~= ''
  local earlier = not is_nested and not is_next and head.waiting > 0 and find_earlier(request)
  if earlier then return earlier end
  local waived = is_nested and enclosing(request)
  for i = 1, head.shared + head.exclusive > 0 and #request.targets or 0 do
    local id = find_held(request.targets[i], waived)
    if id then return id end
  end
  return nil
end
local function load_nodes(requests)
  local fields = {}
  local function want(path)
    if cache['n' .. path] == nil then fields[#fields + 1] = 'n' .. path end
  end
  for i = 1, #requests do
    for t = 1, #requests[i].targets do
      local target = requests[i].targets[t]
      local above = nodes_above(target)
      want(target.path)
      for j = 1, #above do
        want(above[j])
      end
    end
  end
  load(fields)
end
local function path_to(request, start)
  local goals, left, seen = enclosing(request), 1000, {}
  local function walk(lease)
    if seen[lease] or left <= 0 or not record_of(lease) then return nil end
    if goals[lease] then return { lease } end
    seen[lease] = true
    local prefix = 'n' .. lease .. '/'
    local inside = members_with(prefix, digits(left))
    left = left - #inside
    for i = 1, #inside do
      local id = sub(inside[i], #prefix + 1)
      local record = record_of(id)
      local rest = record and record.blocker ~= '' and walk(record.blocker)
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
  request.blocker = blocker
  set_record(request.id, request)
  add(index, 'w' .. blocker .. '/' .. request.ticket .. request.id, '0')
  local cycle = request.within ~= '' and head.nested > 1 and path_to(request, blocker)
  if cycle then table.insert(cycle, 1, request.id) end
  return cycle
end
local function place_waiting(request, by)
  local put, tail = by > 0 and add or remove, request.ticket .. request.id
  for i = 1, #request.targets do
    local mode, path = request.targets[i].mode, request.targets[i].path
    local list, above = mode.access.waiting, paths_above(path, 0)
    count(path, mode.waiting_count, by)
    put(index, list .. path .. mode.mark .. tail, '0')
    for j = 1, #above do
      put(index, list .. above[j] .. '/b' .. tail, '0')
    end
  end
  for lease in string.gmatch(request.within, '%S+') do
    put(index, 'n' .. lease .. '/' .. request.id, '0')
  end
  head.waiting = head.waiting + by
  head.nested = head.nested + (request.within ~= '' and by or 0)
end
local function enqueue(request)
  for i = 1, #request.targets do
    note_depth(request.targets[i].mode, depth_of(request.targets[i]))
  end
  place_waiting(request, 1)
end
local function dequeue(request)
  place_waiting(request, -1)
  remove(deadlines, 'q' .. request.id)
  if request.blocker ~= '' then
    remove(index, 'w' .. request.blocker .. '/' .. request.ticket .. request.id)
    request.blocker = ''
  end
end
local gone, held_alone = {}, {}
local function drop(record)
  if record.state == 'h' then
    leave_held(record)
    if record.within == '' and #record.targets == 1 and record.targets[1].mode.access == exclusive then
      held_alone[record.id] = record.target_text
    end
  else
    dequeue(record)
  end
  set_record(record.id, false)
  gone[#gone + 1] = record.id
end
local function settle(at_least)
  if #gone == 0 and head.marks == 0 then return end
  if head.waiting == 0 then
    if head.marks > 0 then call('ZREMRANGEBYLEX', index_key, '[p', '(p\\255') end
    gone, head.marks = {}, 0
    return
  end
  local left, queue, at = math.max(16, at_least or 0), {}, 1
  local function gather(id, is_marked)
    local prefix = 'w' .. id .. '/'
    local members = members_with(prefix, digits(left + 1))
    local is_more = #members > left
    if is_more then members[#members] = nil end
    left = left - #members
    for i = 1, #members do
      remove(index, members[i])
      queue[#queue + 1] =
        { order = sub(members[i], #prefix + 1), id = sub(members[i], #prefix + 17), held = held_alone[id] }
    end
    if is_more and not is_marked then
      head.marks = head.marks + call('ZADD', index_key, '0', 'p' .. id)
    elseif is_marked and not is_more then
      head.marks = head.marks - call('ZREM', index_key, 'p' .. id)
    end
  end
  local function gather_gone()
    for i = 1, #gone do
      gather(gone[i], false)
    end
    gone = {}
    table.sort(queue, function(a, b) return a.order < b.order end)
    local fields, requests = {}, {}
    for i = at, #queue do
      fields[#fields + 1] = 'r' .. queue[i].id
    end
    load(fields)
    for i = at, #queue do
      local request = record_of(queue[i].id)
      if request then
        request.blocker = ''
        requests[#requests + 1] = request
      end
    end
    load_nodes(requests)
  end
  if head.marks > 0 then
    local marks = members_with('p', '16')
    for i = 1, #marks do
      gather(sub(marks[i], 2), true)
    end
  end
  gather_gone()
  while at <= #queue do
    local request = record_of(queue[at].id)
    local is_next = request and request.within == '' and request.target_text == queue[at].held
    at = at + 1
    if request and request.state == 'q' then
      local blocker = find_blocker(request, is_next)
      local cycle = blocker and watch(request, blocker)
      if not blocker then
        dequeue(request)
        grant(request)
        tell(request.client, 'g ' .. request.id .. (request.token > now and ' ' .. digits(request.token) or ''))
      elseif cycle then
        tell(request.client, 'd ' .. table.concat(cycle, ' '))
        drop(request)
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
local function give_up()
  call('DEL', table_key, index_key, deadlines_key)
  for field in pairs(cache) do
    cache[field] = false
  end
  forget_changes(index)
  forget_changes(deadlines)
  changed, gone, held_alone, known_deadlines = {}, {}, {}, {}
  new_head(head.last_token, head.last_ticket, 0)
  has_sets, stored_head = false, ''
end
local function expire()
  if head.due ~= 0 and head.due <= now then
    flush(deadlines)
    local members = call('ZRANGEBYSCORE', deadlines_key, '-inf', digits(now), 'LIMIT', '0', '32')
    local following = call('ZRANGE', deadlines_key, #members, #members, 'WITHSCORES')
    head.due = following[1] ~= stamp and tonumber(following[2]) or 0
    local fields = {}
    for i = 1, #members do
      fields[i] = 'r' .. sub(members[i], 2)
    end
    load(fields)
    for i = 1, #members do
      local id = sub(members[i], 2)
      local record = record_of(id)
      if record and record.state == sub(members[i], 1, 1) then
        tell_owner(record, record.state == 'h' and 'e' or 'x')
        drop(record)
      else
        return give_up()
      end
    end
  end
  settle()
end
local function is_more() return head.marks > 0 or head.due ~= 0 and head.due <= now end
local few, first_lease, lease_length = 8, 5, 7
local function covers(one, other)
  return one.path == other.path or one.mode.covers_subtree and sub(other.path, 1, #one.path) == one.path
end
local function conflict(one, other)
  return (one.mode.access == exclusive or other.mode.access == exclusive) and (covers(one, other) or covers(other, one))
end
local function read_small()
  if stored_head or token_floor > 0 then
    return nil
  elseif not stored_small then
    return call('EXISTS', index_key, deadlines_key) == 0 and { layout, 0, 0, 0 }
  end
  local values = { unpack_values(stored_small) }
  check_layout(values[1])
  for at = first_lease, #values, lease_length do
    if values[at + 3] + values[at + 4] * 1000 <= now then return nil end
  end
  return values[2] < now and values
end
local function acquire_small(args)
  local id, target, ttl = args[6], args[7], tonumber(args[5])
  local values = #args == 7 and id ~= '' and read_small()
  if not values or #values >= first_lease + (few - 1) * lease_length then return false end
  if values[first_lease] then
    local wanted = parse_target(target)
    for at = first_lease, #values, lease_length do
      if values[at] == id or conflict(wanted, parse_target(values[at + 1])) then return false end
    end
  end
  local ticket, expires, deadline = values[3] + 1, values[4], now + ttl * 1000
  local is_later = deadline + minute > expires
  if is_later then expires = deadline + 2 * minute end
  local new = pack(id, target, ticket, now, ttl, client, args[4])
  call('HSET', table_key, 's', pack(layout, now, ticket, expires, unpack(values, first_lease)) .. new)
  if is_later then expire_keys(expires, false) end
  return true
end
local function release_small(args)
  local values = #args == 4 and stored_small and read_small()
  for at = first_lease, values and #values or 0, lease_length do
    if values[at] == args[4] then
      if #values == first_lease + lease_length - 1 then
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
local function open()
  local values = { unpack_values(stored_small) }
  check_layout(values[1])
  new_head(values[2], values[3], values[4])
  cache.s, changed.s = false, true
  for at = first_lease, #values, lease_length do
    local id, target, ticket, token, ttl, its_client, holder = unpack(values, at, at + lease_length - 1)
    local record = make_record(id, 'h', format('%016d', ticket), token, token, ttl, its_client, holder, target)
    cache['n' .. record.targets[1].path] = cache['n' .. record.targets[1].path] or false
    set_record(id, record)
    enter_held(record)
  end
end
local function forget()
  forget_changes(index)
  forget_changes(deadlines)
  cache, changed, gone, held_alone, own_events, outbox, known_deadlines = {}, {}, {}, {}, {}, {}, {}
  latest_deadline, has_sets, sets_are_new = 0, true, false
end
local function begin(fields)
  forget()
  load(fields)
  if stored_head then
    read_head(stored_head)
  else
    new_head(0, 0, 0)
  end
  has_sets = head.shared + head.exclusive + head.waiting > 0
  if has_sets and not (call('ZSCORE', index_key, stamp) and call('ZSCORE', deadlines_key, stamp)) then give_up() end
  if stored_small then open() end
  if head.last_token < token_floor then head.last_token = token_floor end
  if is_more() then expire() end
end
local function save_nothing()
  if not stored_head and not stored_small or stored_head == write_head() then return end
  if has_sets then
    call('DEL', table_key, index_key, deadlines_key)
  else
    call('DEL', table_key)
  end
  if head.last_token >= now then
    new_head(head.last_token, head.last_ticket, head.last_token + minute)
    call('HSET', table_key, 'm', write_head())
    expire_keys(head.expires, false)
  end
end
local function write(values, count, removals, removed)
  flush(index)
  flush(deadlines)
  local is_later = latest_deadline + minute > head.expires
  if is_later then head.expires = latest_deadline + 2 * minute end
  values[2] = write_head()
  call_with('HDEL', table_key, removals, removed)
  if count > 2 or values[2] ~= stored_head then call_with('HSET', table_key, values, count) end
  if is_later or sets_are_new then expire_keys(head.expires, true) end
end
local function save()
  publish()
  if head.shared + head.exclusive + head.waiting == 0 then return save_nothing() end
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
local function record_fields(args, step)
  local fields = {}
  for at = 4, #args, step do
    fields[#fields + 1] = 'r' .. parse_name(args[at])
  end
  return fields
end
local function is_quiet()
  if stored_small or token_floor > 0 then return false end
  if stored_head then
    read_head(stored_head)
  else
    new_head(0, 0, 0)
  end
  return head.waiting == 0 and not is_more()
end
local function grant_free(args)
  if #args > 125 or not is_quiet() then return nil end
  local fields, taken = {}, {}
  for at = 6, #args, 2 do
    if args[at] == '' then return nil end
    fields[at - 5], fields[at - 4] = 'r' .. args[at], 'n' .. sub(args[at + 1], 2)
  end
  local found = read_fields(fields)
  for i = 1, #fields, 2 do
    local mode, depth = modes[sub(args[i + 6], 1, 1)], segments(fields[i + 1])
    local is_free = not (found[i] or found[i + 1] or taken[fields[i]] or taken[fields[i + 1]])
    if not is_free or depth > head.shallow or mode.covers_subtree and depth < head.deep then return nil end
    taken[fields[i]], taken[fields[i + 1]] = true, true
    note_depth(mode, depth)
  end
  forget()
  has_sets = head.shared + head.exclusive > 0
  local ttl, values, first_token = tonumber(args[5]), { 'm', '' }, nil
  local deadline = now + ttl * 1000
  expect(deadline)
  for i = 1, #fields, 2 do
    local id, target, ticket, token = args[i + 5], args[i + 6], next_ticket(), next_token()
    local mode = modes[sub(target, 1, 1)]
    first_token = first_token or token
    values[2 * i + 1], values[2 * i + 2] = fields[i], pack('h', ticket, token, now, ttl, client, args[4], target)
    values[2 * i + 3], values[2 * i + 4] = fields[i + 1], alone[mode.held_count]
    head[mode.access.total] = head[mode.access.total] + 1
    add(index, held_member(mode, sub(target, 2), ticket .. id), '0')
    add_deadline('h' .. id, deadline)
  end
  write(values, #values, none, 0)
  return first_token
end
local function end_leases(args)
  if #args > 1000 or not is_quiet() then return false end
  local fields, nodes, ended, seen = record_fields(args, 1), {}, {}, {}
  local found = read_fields(fields)
  for i = 1, #fields do
    if find(args[i + 3], '[!/]') or not found[i] or seen[fields[i]] then return false end
    local _, ticket, _, _, _, _, _, target, _, _, owner = unpack_values(found[i])
    if find(target, '%z') or owner then return false end
    seen[fields[i]], nodes[i] = true, 'n' .. sub(target, 2)
    ended[i] = { id = args[i + 3], ticket = ticket, mode = modes[sub(target, 1, 1)], path = sub(target, 2) }
  end
  if #ended == head.shared + head.exclusive then
    head.shared, head.exclusive, has_sets = 0, 0, true
    save_nothing()
    return true
  end
  local stored = read_fields(nodes)
  for i = 1, #ended do
    if stored[i] ~= alone[ended[i].mode.held_count] then return false end
  end
  forget()
  for i = 1, #ended do
    local mode = ended[i].mode
    head[mode.access.total] = head[mode.access.total] - 1
    remove(index, held_member(mode, ended[i].path, ended[i].ticket .. ended[i].id))
    remove(deadlines, 'h' .. ended[i].id)
    nodes[#ended + i] = fields[i]
  end
  write({ 'm', '' }, 2, nodes, 2 * #ended)
  return true
end
local operations = {}
local function parse_request(id, ttl, holder, target_text, within)
  return make_record(id, 'q', '', 0, now, ttl, client, holder, target_text, '', within)
end
local function parse_requests(args)
  local requests, at, ttl = {}, 6, tonumber(args[5])
  while at <= #args do
    local request
    if args[at] ~= '' then
      request = parse_request(args[at], ttl, args[4], args[at + 1], '')
      request.wait_ttl = ttl
      at = at + 2
    else
      local targets = tonumber(args[at + 5])
      local inside_at = at + 6 + targets
      local inside = tonumber(args[inside_at])
      if targets + inside > 3900 then refuse('too many targets in one request') end
      request = parse_request(
        args[at + 1],
        tonumber(args[at + 2]),
        args[at + 4],
        table.concat(args, '\\0', at + 6, inside_at - 1),
        table.concat(args, ' ', inside_at + 1, inside_at + inside)
      )
      request.wait_ttl = args[at + 3] == 'q' and request.ttl or tonumber(sub(args[at + 3], 2))
      at = inside_at + inside + 1
    end
    requests[#requests + 1] = request
    local segments = 0
    for i = 1, #request.targets do
      segments = segments + depth_of(request.targets[i])
    end
    if segments > 4000 then refuse('too many segments in the paths of one request') end
  end
  return requests
end
local function request_fields(requests)
  local fields = {}
  for i = 1, #requests do
    fields[#fields + 1] = 'r' .. requests[i].id
    for t = 1, #requests[i].targets do
      fields[#fields + 1] = 'n' .. requests[i].targets[t].path
    end
  end
  return fields
end
local function ask(request)
  local known = record_of(request.id)
  if known and known.state == 'h' then
    return 1, known.token, deadline_of(known.id)
  elseif known then
    return 2, known.blocker, deadline_of(known.blocker)
  end
  request.ticket = next_ticket()
  local blocker = find_blocker(request)
  if blocker and not request.wait_ttl then
    head.last_ticket = head.last_ticket - 1
    limit_deadline(blocker)
    return 3, describe(blocker), 0
  end
  if not blocker then
    grant(request)
    return 1, request.token, now + request.ttl * 1000
  end
  enqueue(request)
  local cycle = watch(request, blocker)
  if cycle then
    drop(request)
    return 4, table.concat(cycle, ' '), 0
  end
  set_deadline(request, now + request.wait_ttl * 1000)
  return 2, blocker, deadline_of(blocker)
end
function operations.acquire(args)
  local first_token = acquire_small(args) and now or grant_free(args)
  if first_token then return nil, first_token end
  local requests, answers, all_granted = parse_requests(args), {}, true
  begin(request_fields(requests))
  load_nodes(requests)
  for i = 1, #requests do
    local request, a = requests[i], 3 * i - 2
    answers[a], answers[a + 1], answers[a + 2] = ask(request)
    all_granted = all_granted and request.state == 'h' and request.ttl == requests[1].ttl
  end
  return answers, all_granted and requests[1].token
end
function operations.release(args)
  if release_small(args) or end_leases(args) then return nil, true end
  local answers, ended, regions, all_live = {}, {}, 0, true
  begin(record_fields(args, 1))
  for at = 4, #args do
    local id, owner = parse_name(args[at])
    local record = record_of(id)
    local is_live = record and not record.ends and is_owner(owner, record)
    answers[at - 3] = is_live and 1 or 0
    all_live = all_live and is_live
    if is_live then
      record.ends, ended[#ended + 1], regions = true, record, regions + #record.targets
      if record.state == 'q' then
        tell(record.client, 'k ' .. id)
      elseif not owner then
        tell_owner(record, 'r')
      end
    end
  end
  if head.waiting == 0 and regions == head.shared + head.exclusive then
    head.shared, head.exclusive = 0, 0
  else
    load_nodes(ended)
    for i = 1, #ended do
      drop(ended[i])
    end
    settle(#answers)
  end
  return answers, all_live
end
local function prolong(record, deadline)
  local before = deadline_of(record.id)
  set_deadline(record, deadline)
  if record.state == 'h' and deadline < before then tell_watchers(record.id) end
  return deadline
end
local function is_live_lease(record) return record and record.state == 'h' and deadline_of(record.id) > now end
local function raise_ttl(record, ttl)
  if ttl > record.ttl then
    record.ttl = ttl
    set_record(record.id, record)
  end
end
function operations.refresh(args)
  local answers, is_lost = {}, false
  begin(record_fields(args, 2))
  load_deadlines(args)
  for at = 4, #args, 2 do
    local id, owner = parse_name(args[at])
    local record, ttl, deadline = record_of(id), tonumber(args[at + 1]), 0
    is_lost = is_lost or known_deadlines['h' .. id] and not record
    if is_live_lease(record) and is_owner(owner, record) then
      deadline = now + ttl * 1000
      if not owner then
        deadline = math.max(deadline, deadline_of(id))
      else
        keep(record)
      end
      raise_ttl(record, ttl)
      prolong(record, deadline)
    end
    answers[#answers + 1] = deadline
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
  begin(record_fields(args, 2))
  for at = 4, #args, 2 do
    local record, a = record_of(args[at]), #answers + 1
    answers[a], answers[a + 1], answers[a + 2] = 0, 0, 0
    if record and record.state == 'h' then
      local deadline = deadline_of(record.id)
      if is_owner(record.id, record) then deadline = prolong(record, math.max(deadline, now + record.ttl * 1000)) end
      answers[a], answers[a + 1], answers[a + 2] = 1, record.token, deadline
    elseif record then
      set_deadline(record, now + tonumber(args[at + 1]) * 1000)
      limit_deadline(record.blocker)
      answers[a], answers[a + 1], answers[a + 2] = 2, record.blocker, deadline_of(record.blocker)
    end
  end
  return answers
end
function operations.restore(args)
  local id, ttl = args[4], tonumber(args[5])
  begin({ 'r' .. id })
  local record = record_of(id)
  if not is_live_lease(record) then return {} end
  take_over(record, args[6])
  raise_ttl(record, ttl)
  local answers = { record.token, prolong(record, math.max(deadline_of(id), now + ttl * 1000)) }
  for target in string.gmatch(record.target_text, '%Z+') do
    answers[#answers + 1] = target
  end
  return answers
end
function operations.give_back(args)
  begin({ 'r' .. args[4] })
  local record = record_of(args[4])
  if not is_live_lease(record) or record.owner ~= args[5] or record.former == '' then return { 0 } end
  local deadline
  record.client, record.owner, deadline = unpack_values(record.former)
  record.former = ''
  set_record(record.id, record)
  prolong(record, deadline)
  return { 1 }
end
function operations.downgrade(args)
  local id, owner = parse_name(args[4])
  begin({ 'r' .. id })
  local record = record_of(id)
  if not record or record.state ~= 'h' or not is_owner(owner, record) then return { 0 } end
  index_held(record, remove)
  count_held(record, -1)
  record.target_text = downgraded(record.target_text)
  record.targets = parse_targets(record.target_text)
  index_held(record, add)
  count_held(record, 1)
  set_record(record.id, record)
  gone[#gone + 1] = record.id
  settle()
  return { 1 }
end
operations['break'] = function(args)
  begin({ 'r' .. args[4] })
  local record = record_of(args[4])
  if not record or record.state ~= 'h' then return { 0 } end
  tell_owner(record, 'b')
  drop(record)
  settle()
  return { 1 }
end
local function waiting_ahead(request)
  local count, before = 0, record_of(request.blocker)
  while before and before.state == 'q' and count < 100 do
    count, before = count + 1, record_of(before.blocker)
  end
  return count
end
function operations.lookup(args)
  local fields, answers = {}, {}
  for at = 4, #args do
    fields[at - 3] = 'r' .. string.match(args[at], '[^>]*$')
  end
  begin(fields)
  for at = 4, #args do
    local id, is_blocker = string.gsub(args[at], '^>', '')
    local record = record_of(id)
    if not record then
      answers[at - 3] = 0
    elseif is_blocker == 0 then
      answers[at - 3] = describe(id)
    else
      answers[at - 3] = record_of(record.blocker) and { waiting_ahead(record), describe(record.blocker) } or 0
    end
  end
  return answers
end
function operations.inspect(args)
  begin({})
  flush(index)
  local page, behind, shown, answers = 250, args[6], {}, { 0, '' }
  local lists = { shared.held, exclusive.held, shared.waiting, exclusive.waiting }
  for i = tonumber(args[5]), #lists do
    local prefix = lists[i] .. args[4]
    local from = behind == '' and '[' .. prefix or '(' .. behind
    local members = call('ZRANGEBYLEX', index_key, from, '(' .. prefix .. '\\255', 'LIMIT', '0', digits(page))
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
local always_in_time = { release = true, give_back = true, lookup = true, inspect = true }
local function perform(name, keys, args)
  begin_call(keys, args)
  if not always_in_time[name] and is_late then return { now, -1 } end
  local found = call('HMGET', table_key, 'm', 's')
  stored_head, stored_small = found[1], found[2]
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
