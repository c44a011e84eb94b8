--[[
The state of one namespace: read at the start of a script, written at its end.

KEYS[1] table      hash
  m                the head: the last token and ticket, how many regions are held shared and exclusive, how many requests
                   wait, how many of those are nested, how many marks `p` there are, the earliest deadline (never later
                   than it is), the time at which the keys expire
  r<id>            one lease or waiting request: state (h held, q waiting), ticket (16 digits), token, since, ttl,
                   client, holder, blocker, the number of targets, the targets, the enclosing leases
  n<path>          what stands at one node: ten counts, in the order of `S.slots`
KEYS[2] index      sorted set, all at score 0, read by lexicographic range
  h<a><path>/<m><ticket><id>    a region that is held. a: r shared, w exclusive. m: s subtree, n the node alone
  q<a><node>/<m><ticket><id>    a region that is waited for, and (m: b) the same under each node above its path
  w<blocker>/<ticket><id>       a waiting request, under the one it watches
  n<lease>/<id>                 a waiting request, under each lease that encloses it
  p<id>                         one that is gone, with more watchers than could be looked at
KEYS[3] deadlines  sorted set: h<id> (lease) or q<id> (waiting request) -> time
ARGV[1] the id of the calling client; ARGV[2] the prefix of the clients' channels
ARGV[3] the time after which the command is late and must do nothing

Times are in microseconds of the server's clock, ttls in milliseconds. A target is a letter for its mode, then its path:
R read, W write, r readNode, w writeNode. Ids have no slash and no space.

Reads go through caches, and writes of the hash and of the deadlines are put off to the end, so that many requests in one
call share their commands. Removals come before additions: a script that has removed something may go on to write when
memory is short.

All functions are fields of S, and share a handful of local names: what a function captures has to be found anew each
time a script runs, in a list of all that was captured before.
]]
local call, pack, unpack_values, sub = redis.call, cmsgpack.pack, cmsgpack.unpack, string.sub
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
  -- The places of the counts in a node: h held, q waiting; r shared, w exclusive; s subtree, n the node alone, b below.
  slots = { hrs = 1, hrn = 2, hws = 3, hwn = 4, qrs = 5, qrn = 6, qrb = 7, qws = 8, qwn = 9, qwb = 10 },
  access = { R = 'r', W = 'w', r = 'r', w = 'w' },
  mark = { R = 's', W = 's', r = 'n', w = 'n' }
}

-- Calls a command with many arguments in pieces that the stack of Lua can hold.
function S.call_all(command, key, arguments)
  if #arguments <= 1000 then
    return call(command, key, unpack(arguments))
  end
  for from = 1, #arguments, 1000 do
    call(command, key, unpack(arguments, from, math.min(from + 999, #arguments)))
  end
end

-- Reads records and nodes into the caches.
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

-- Appends the nodes of a path that are not in the cache, its own and those above it, and keeps the latter in S.above,
-- the root first.
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
  -- One that was set by this script is not written yet.
  for i = #S.deadline_additions, 2, -2 do
    if S.deadline_additions[i] == kind .. id then
      return S.deadline_additions[i - 1]
    end
  end
  local score = call('ZSCORE', deadlines_key, kind .. id)
  return score and tonumber(score) or now
end

-- Tells a client of something that happened to a request of its: the caller in the answer, others by a message.
function S.tell(client, text)
  local box = S.own_events
  if client ~= ARGV[1] then
    S.outbox = S.outbox or {}
    box = S.outbox[client] or {}
    S.outbox[client] = box
  end
  box[#box + 1] = text
end

-- Writes what was put off, and tells who must know. Every script ends with it.
function S.save()
  for client, box in pairs(S.outbox or {}) do
    call('PUBLISH', ARGV[2] .. client, string.format('%.0f\n', now) .. table.concat(box, '\n'))
  end
  if not S.changed then
    return
  end
  local minute = 60000000
  if S.held_r + S.held_w + S.waits == 0 then
    -- Nothing is left. Tokens follow the clock, so the last one is only kept while it is ahead of the clock.
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
  -- The keys outlive the last deadline by a minute or two; moving that on is seldom needed.
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

-- The beginning of every answer: the time, whether more is to be looked at, and what happened to the caller's requests.
function S.answer()
  return { now, S.pending > 0 and 1 or 0, table.concat(S.own_events, '\n') }
end
