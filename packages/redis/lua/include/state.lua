--[[
The state of one namespace, loaded at the start of a script and saved at its end.

KEYS[1] table      hash
  m                the head: counters, packed (see below)
  r<id>            one lease or waiting request, packed: state, ticket, token, since, ttl, client, targets, within,
                   blocker, holder. Times in microseconds, ttl in milliseconds
  n<path>          what stands at one node, packed: ten counts, in the order of `slots`
KEYS[2] index      sorted set, all at score 0, read by lexicographic range
  h<a><path>/<m><ticket><id>    a region that is held. a: r shared, w exclusive. m: s subtree, n the node alone
  q<a><node>/<m><ticket><id>    a region that is waited for, and (m: b) the same under each node above its path
  w<blocker>/<ticket><id>       a waiting request, under the one it watches
  n<lease>/<id>                 a waiting request, under each lease that encloses it
  p<id>                         one that is gone, with more watchers than could be looked at
KEYS[3] deadlines  sorted set: h<id> (lease) or q<id> (waiting request) -> microseconds
ARGV[1] the id of the calling client; ARGV[2] the prefix of the clients' channels
ARGV[3] the time (microseconds) after which the command is late and must do nothing, or 0

Reads go through caches, and writes of the hash and of the deadlines are put off to the end, so that many requests in one
call share their commands. Removals come before additions: a script that has removed something may go on to write when
memory is short.
]]
local call, pack, unpack_value = redis.call, cmsgpack.pack, cmsgpack.unpack
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
  -- What is left of a table that is gone holds nothing. What is not ours is refused before anything is written.
  call('ZCARD', index_key)
  call('ZCARD', deadlines_key)
  call('DEL', index_key, deadlines_key)
end

local records, nodes, ancestors_of = {}, {}, {}
local dirty_records, dirty_nodes, changed = {}, {}, false
local index_removals, deadline_removals, deadline_additions = {}, {}, {}
local outbox, own_events = {}, {}

-- Calls a command with many arguments in pieces that the stack of Lua can hold.
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

-- The nodes above a path, the root first.
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

-- Reads many at once into the caches: the records of requests, and the nodes with the given paths.
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

-- Appends the nodes of a path, from the root to its own, that are not in the cache.
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

-- The places of the counts in a node: h held, q waiting; r shared, w exclusive; s subtree, n the node alone, b below.
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
  -- One that was set by this script is not written yet.
  for i = #deadline_additions, 2, -2 do
    if deadline_additions[i] == kind .. id then
      return deadline_additions[i - 1]
    end
  end
  local score = call('ZSCORE', deadlines_key, kind .. id)
  return score and tonumber(score) or now
end

-- Tells a client of something that happened to a request of its.
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

-- Writes what was put off, and tells who must know. Every script that changes something ends with it.
local function save()
  for to, box in pairs(outbox) do
    call('PUBLISH', ARGV[2] .. to, format('%.0f\n', now) .. table.concat(box, '\n'))
  end
  if not changed then
    return
  end
  if held_r + held_w + waits == 0 then
    -- Nothing is left. Tokens follow the clock, so the last one is only kept while it is ahead of the clock.
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
  -- The keys outlive the last deadline by a minute or two; moving that on is seldom needed.
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
