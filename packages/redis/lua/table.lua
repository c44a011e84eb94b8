--[[
The table, a hash. What is read of it stays in a cache to the end of the call; what is changed is written then.

  m          the head, see below
  r<id>      one lease or waiting request
  n<path>    what stands at one node: eight counts
  s          a small table: then there is nothing else (small.lua)
]]
local layout = '2'

-- By field: what was read (as it is stored, until somebody looks) or made, false for what is not there. And the fields that are
-- to be written, or deleted.
local cache, changed = {}, {}

--[[
The head.

  last_token, last_ticket   the last ones given
  shared, exclusive         how many regions are held
  waiting, nested, marks    how many requests wait, how many of them are nested; how many marks there are (sets.lua)
  due                       the earliest deadline, or a time before it; 0 when there is none
  expires                   when the keys disappear
  shallow, deep             the least number of segments of a path whose subtree was asked for, and the greatest of any path,
                            since the table was made: what is above the one or below the other is free
]]
local head = {}

-- The head as it is stored, or a small table.
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

-- A lease (state h, held) or a waiting request (state q). `target_text` and `within`, the ids of the leases that enclose it,
-- are lists: with zero bytes and with spaces between. `owner` and `former`: see owners.lua.
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

-- As they are stored: a node without anything, and those with one count of one, by its name. Most are such.
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

-- The values of fields, in their order.
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

-- Reads fields into the cache, but those that are there.
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

-- Changes a count of a node.
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

-- What is to be stored in a field, or false.
local function written(field)
  local value = cache[field]
  if type(value) == 'table' then value = value.id and write_record(value) or write_node(value) end
  return value ~= empty_node and value
end
