--[[
A small table: as long as no more than a few leases were asked for at a time, each with one command, for one target and not nested,
and none was in the way of another, all of them are one value. It costs a third of what the table does, and most leases end before
anybody has to look for them. Whatever else is asked for first makes a table of it.

In the value: the layout, the last token and ticket, when the keys disappear; then for each lease its id, target, ticket, token
(which is when it was granted), ttl, client, holder.
]]
local few, first_lease, lease_length = 8, 5, 7

-- Two locks conflict when their regions overlap and at least one is exclusive.
local function covers(one, other)
  return one.path == other.path or one.mode.covers_subtree and sub(other.path, 1, #one.path) == one.path
end

local function conflict(one, other)
  return (one.mode.access == exclusive or other.mode.access == exclusive) and (covers(one, other) or covers(other, one))
end

-- The values, if the table is small or there is none; nothing if it has to be made large, as something in it is due.
local function read_small()
  if stored_head or token_floor > 0 then
    return nil
  elseif not stored_small then
    -- What is left of a table that is gone, or somebody else's, is not small.
    return call('EXISTS', index_key, deadlines_key) == 0 and { layout, 0, 0, 0 }
  end
  local values = { unpack_values(stored_small) }
  check_layout(values[1])
  for at = first_lease, #values, lease_length do
    if values[at + 3] + values[at + 4] * 1000 <= now then return nil end
  end
  -- Tokens do not follow the clock when it was set back.
  return values[2] < now and values
end

-- Asks for one lock. Answers whether it was granted; if not, nothing was done.
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

-- Ends one lease. Answers whether it did; if not, nothing was done.
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

-- Makes a table of it.
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
