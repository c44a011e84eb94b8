--[[
Young leases: most leases end before anybody has to look for them. So a lease that is asked for by a command of its own, for one target
and not nested, while nobody waits and nothing is in its way, only stands in a list, one value beside the table, or without one. Another one
like it is checked against that list. There are a few at most; whatever else is asked for first enters them all in the table.

In the value: the layout, the last token and ticket, when the table disappears if nothing else is in it; then for each lease its id,
target, ticket, token (which is when it was granted), ttl, client, holder.
]]
local few, first_lease, lease_length = 8, 5, 7

-- Two locks conflict when their regions overlap and at least one is exclusive.
local function covers(mode, path, other) return path == other or mode.covers_subtree and sub(other, 1, #path) == path end

local function conflict(one, other)
  local mode, path, other_mode, other_path = modes[sub(one, 1, 1)], sub(one, 2), modes[sub(other, 1, 1)], sub(other, 2)
  if mode.access == shared and other_mode.access == shared then return false end
  return covers(mode, path, other_path) or covers(other_mode, other_path, path)
end

-- The values, and the head if there is one. Nothing, if the table has to be looked at: somebody waits, or something is due.
local function read_young()
  if token_floor > 0 then return nil end
  -- What is left of a table that is gone, or somebody else's, is looked at.
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
  -- Tokens do not follow the clock when it was set back.
  return values[2] < now and values
end

-- Is a request free to be granted, as far as the table goes? What is deeper than all before has to be noted in its head.
local function has_no_blocker(id, text)
  forget()
  local request = make_record(id, 'q', '', 0, now, 0, client, '', text, '', '', '', '')
  want('r' .. id)
  want_nodes(request)
  load()
  return request[TARGET_LIST][1].depth <= head[DEEP] and not cache['r' .. id] and not find_blocker(request)
end

-- Asks for one lock. Answers whether it was granted; if not, nothing was done.
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

-- Ends one lease. Answers whether it did; if not, nothing was done.
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

-- Enters them in the table.
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
