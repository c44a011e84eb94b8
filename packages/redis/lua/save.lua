--[[
The beginning and the end of a call on the table.
]]
local function forget()
  forget_changes(index)
  forget_changes(deadlines)
  cache, changed, gone, held_alone, own_events, outbox, known_deadlines = {}, {}, {}, {}, {}, {}, {}
  latest_deadline, has_sets, sets_are_new = 0, true, false
end

-- Reads the head, and what else is known to be needed; drops what has expired. (A call before this one may have failed.)
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

-- Nothing is held and nobody waits. Tokens follow the clock, so the last one is only kept while it is ahead of the clock.
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

-- Writes the sorted sets; then fields of the hash and their values, the head first, and deletes others. Removals come before
-- additions: when memory is short, the server lets a script that has removed something add to it.
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
