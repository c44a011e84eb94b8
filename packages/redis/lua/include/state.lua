--[[
The state of one namespace: read at the start of a script, written at its end.

KEYS[1] table      hash
  m                the head: the last token and ticket, how many regions are held shared and exclusive, how many requests
                   wait, how many of those are nested, how many marks `p` there are, the earliest deadline (never later
                   than it is), the time at which the keys expire, the least number of segments of a path whose subtree
                   was held since the table was made; then the fresh leases
  r<id>            one lease or waiting request: state (h held, q waiting), ticket (16 digits), token, since, ttl,
                   client, holder, blocker, the number of targets, the targets, the enclosing leases
                   The client is the one that asked, which owns the lease by the name of its id. After a restore there
                   follow, each behind \0/: the owner; and until that has refreshed it, the client, the owner and the
                   deadline before. So what has no \0/ in it, packed, was never restored
  n<path>          what stands at one node, eight counts: held shared (subtree, the node alone), held exclusive, waiting
                   shared, waiting exclusive (the same)
                   A lease is fresh when it is one of a few that were granted a short way (free.lua, hand-over.lua) and
                   no other script has run since. What the sorted sets would hold of it is here: for each two, its member
                   of the index, and its deadline. Most leases end before anybody looks for them, and are never entered.
KEYS[2] index      sorted set, all at score 0, read by lexicographic range
  h<a><path>/<m><ticket><id>    a region that is held. a: r shared, w exclusive. m: s subtree, n the node alone
  q<a><node>/<m><ticket><id>    a region that is waited for, and (m: b) the same under each node above its path
  w<blocker>/<ticket><id>       a waiting request, under the one it watches
  n<lease>/<id>                 a waiting request, under each lease that encloses it
  p<id>                         one that is gone, with more watchers than could be looked at
KEYS[3] deadlines  sorted set: h<id> (lease) or q<id> (waiting request) -> time

Both sorted sets have a stamp in them, ! and the name of the table, as long as anything else is in them. So when one of the three keys was lost, or is another table's, the scripts notice: they give the table up as a
whole. Whoever concludes from the index that nothing is there looks for the stamp first.

ARGV[1] the id of the calling client; ARGV[2] the prefix of the clients' channels
ARGV[3] the time after which the command is late and must do nothing; behind it, after a space, the greatest token that the
  client has seen, when the clock may be behind that: what is granted gets a greater one (no short way knows of it)

Times are in microseconds of the server's clock, ttls in milliseconds. A target is a letter for its mode, then its path:
R read, W write, r readNode, w writeNode. Ids have no slash and no space.

Reads go through a cache, and writes are put off to the end, or until the index is read where something was changed, so that
many requests in one call share their commands. Removals come before additions: a script that has removed something may go on
to write when memory is short.

A script makes its functions anew each time it runs, and that takes longer than most of the commands. So they are few, and
what is seldom needed (rest.lua) is only made when it is.
]]
local call, pack, unpack_values, sub, byte = redis.call, cmsgpack.pack, cmsgpack.unpack, string.sub, string.byte
local table_key, index_key, deadlines_key = KEYS[1], KEYS[2], KEYS[3]
local time = call('TIME')
local now = time[1] * 1000000 + time[2]
local token_floor = 0
if not tonumber(ARGV[3]) then
  local late, token = string.match(ARGV[3], '^(%d+) (%d+)$')
  ARGV[3], token_floor = late, tonumber(token)
end

-- The functions, and the parts of the hash that were read or written, by their field: a list, or false.
local F, cache, above = {}, {}, {}
-- What is put off: the fields that were changed, members to remove and add. Those of the index by their first letter, each
-- list with whether they are to be there (the last word counts).
local dirty, index_changes, deadline_removals, deadline_additions = {}, {}, {}, {}
-- Those whose watchers must look again, and for some of them the target that nobody else waits for before these
-- watchers (see drop); what the caller, and what others must be told.
local gone, gone_target, own_events, outbox = {}, {}, nil, nil
-- Whether something was changed; whether the sorted sets have their stamp, and so their expiry.
local changed, stamped, stamp = false, false, '!' .. table_key
local last_token, last_ticket, held_r, held_w, waits, nested, pending, due, keep, shallow, deep =
  0, 0, 0, 0, 0, 0, 0, 0, 0, 999, 0

-- Reads fields of the hash into the cache, in pieces that the stack of Lua can hold. What is there stays: it may have been
-- changed since.
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

-- The paths of the nodes above one, the root first.
local function paths_above(path)
  local list, at, n = {}, 0, 0
  while at and at < #path do
    n = n + 1
    list[n] = sub(path, 1, at)
    at = string.find(path, '/', at + 1, true)
  end
  return list
end

-- Adds the nodes of a path, its own and those above it, to a list of fields, unless that was done before. They must be loaded
-- before anything else. Answers with the paths of those above.
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

-- Brings the nodes of a path into the cache. Answers with the paths of those above.
local function nodes_above(path)
  local missing = {}
  local list = want_nodes(path, missing)
  load(missing)
  return list
end

-- Begins a script: reads the head, and along with it what the caller knows it will need. `asks` says that it asks for
-- locks: it is the only one that must do nothing when memory is short.
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
      -- Fresh leases no more.
      if not asks then
        call('ZREM', index_key, '')
      end
      local index, deadlines = {}, {}
      for at = 12, #cache.m, 2 do
        local n = #index
        index[n + 1], index[n + 2] = 0, cache.m[at]
        -- Behind the last slash: a mark, a ticket of 16 digits, the id.
        deadlines[n + 1], deadlines[n + 2] = cache.m[at + 1], 'h' .. sub(string.match(cache.m[at], '^.*/(.*)$'), 18)
      end
      call('ZADD', index_key, unpack(index))
      call('ZADD', deadlines_key, unpack(deadlines))
      changed = true
    end
  elseif call('EXISTS', index_key, deadlines_key) > 0 then
    -- What is left of a table that is gone holds nothing. What is not ours is refused before anything is written.
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

-- Writes what was put off, and tells who must know. Every script ends with it.
local function save()
  if outbox then
    F.publish()
  end
  if not changed then
    return
  end
  local minute, latest = 60000000, 0
  if held_r + held_w + waits == 0 then
    -- Nothing is left. Tokens follow the clock, so the last one is only kept while it is ahead of the clock.
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
  -- The keys outlive the last deadline by a minute or two; moving that on is seldom needed.
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

-- A member of the index comes or goes.
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

-- Writes what was put off of the index: of the members that begin with a letter, or of all.
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

-- Calls a command with many arguments in pieces that the stack of Lua can hold.
function F.call_all(command, key, arguments)
  if #arguments <= 4000 then
    return call(command, key, unpack(arguments))
  end
  for from = 1, #arguments, 4000 do
    call(command, key, unpack(arguments, from, math.min(from + 3999, #arguments)))
  end
end

-- An answer: the time, whether more is to be looked at, what happened to the caller's requests, then `values`, which
-- begin at 4.
local function answer(values)
  local more = pending > 0 or due ~= 0 and due <= now
  values[1], values[2], values[3] = now, more and 1 or 0, own_events and table.concat(own_events, '\n') or ''
  return values
end
