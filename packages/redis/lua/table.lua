--[[
The table, a hash. What is read of it stays in a cache to the end of the call; what is changed is written then.

  m          the head
  r<id>      one lease or waiting request
  n<path>    what stands at one node: eight counts, see modes.lua, and KEPT_HERE if there are any
  s          young leases, which are not entered in the rest (young.lua)

Each value is a list, packed; the positions in it have names.
]]
local layout = '3'

--[[
The head begins with the layout. Then

  LAST_TOKEN, LAST_TICKET   the last ones given
  SHARED, EXCLUSIVE         how many regions are held
  WAITING, NESTED, MARKS    how many requests wait, how many of them are nested; how many marks there are (sets.lua)
  DUE                       the earliest deadline, or a time before it; 0 when there is none
  EXPIRES                   when the keys disappear
  DEEP                      the greatest number of segments of a path that was asked for, since the table was made: what is below
                            is free
  KEPT                      how many delegations there are (kept.lua), whose regions are counted above, too
]]
local LAST_TOKEN, LAST_TICKET, SHARED, EXCLUSIVE, WAITING, NESTED, MARKS, DUE, EXPIRES, DEEP, KEPT =
  2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12
local head

local function new_head(last_token, last_ticket, expires)
  head = { layout, last_token, last_ticket, 0, 0, 0, 0, 0, 0, expires, 0, 0 }
end

-- Of a lease (STATE h, held) or a waiting request (q). TARGETS and WITHIN, the ids of the leases that enclose it, are lists: with
-- zero bytes and with spaces between. What is behind TARGETS is not stored if it is empty. OWNER and FORMER: see owners.lua. DELEGATE
-- and URGENCY, see kept.lua, are only there if they say something. What follows is not stored: its ID, and the TARGETS as modes.lua
-- reads them.
local STATE, TICKET, TOKEN, SINCE, TTL, CLIENT, HOLDER, TARGETS = 1, 2, 3, 4, 5, 6, 7, 8
local BLOCKER, WITHIN, OWNER, FORMER, DELEGATE, URGENCY, ID, TARGET_LIST = 9, 10, 11, 12, 13, 14, 15, 16
-- Of a node: how many delegations begin there.
local KEPT_HERE = 9

-- The head and the young leases as they are stored, if there are any.
local stored_head, stored_young

local function unpack_known(stored)
  local values = { unpack_values(stored) }
  if values[1] == 'partitions' then
    -- They have tables of their own: see partitions.lua.
    refuse('the locks of this namespace are spread over ' .. values[2] .. ' partitions')
  elseif values[1] ~= layout then
    refuse('the locks in this namespace are kept in a layout that this version of HiLok does not know')
  end
  return values
end

-- By field: what was read (as it is stored, until somebody looks) or made, false for what is not there. And the fields that are
-- to be written, or deleted.
local cache, changed = {}, {}

-- As they are stored: a node without anything, and those with one count of one, by its position. Most are such.
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

-- Fields that will be needed are asked for together.
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

-- Changes a count of a node.
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

-- What is to be stored in a field, or false.
local function written(field)
  local value = cache[field]
  if type(value) == 'table' then
    -- A node has as many values as a record that has nothing behind its targets.
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
