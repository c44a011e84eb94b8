--[[
The beginning and the end of a call on the table.
]]
-- Reads what is wanted, and drops what has expired. What only adds to the deadlines, or takes from them, does not have to know
-- whether they are lost.
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

-- Nothing is held and nobody waits. Tokens follow the clock, so the last one is only kept while it is ahead of the clock.
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

-- Writes the sorted sets; then fields of the table and their values, the head first, and deletes others. Removals come before
-- additions: when memory is short, the server lets a script that has removed something add to it.
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

-- Writes what has changed.
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
