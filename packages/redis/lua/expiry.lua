--[[
What ends by itself, or was lost.
]]
-- A call before this one may have failed anywhere.
local function forget()
  forget_changes(index)
  forget_changes(deadlines)
  cache, changed = {}, {}
  if next(gone) then gone = {} end
  if next(held_alone) then held_alone = {} end
  if next(known_deadlines) then known_deadlines = {} end
  if next(own_events) then own_events = {} end
  if next(outbox) then outbox = {} end
  wanted_count, latest_deadline, has_sets, sets_are_new, recalls_left = 0, 0, true, false, most_recalls
end

-- A key is lost, or not the one it was: what is left of the table holds nothing. Whoever has a lease learns of it at the next
-- refresh, and whoever waits asks again after the next look. Only tokens must not fall.
local function give_up()
  call('DEL', table_key, index_key, deadlines_key)
  for field in pairs(cache) do
    cache[field] = false
  end
  forget_changes(index)
  forget_changes(deadlines)
  changed, gone, held_alone, known_deadlines = {}, {}, {}, {}
  new_head(head[LAST_TOKEN], head[LAST_TICKET], 0)
  -- Nothing is stored any more, and the last token may have to be.
  has_sets, stored_head = false, ''
end

-- Drops what has expired, and lets in those who waited for it: no more than so many in one call.
local function expire()
  if head[DUE] ~= 0 and head[DUE] <= now then
    flush(deadlines)
    local members = call('ZRANGEBYSCORE', deadlines_key, '-inf', digits(now), 'LIMIT', '0', '32')
    local following = call('ZRANGE', deadlines_key, #members, #members, 'WITHSCORES')
    head[DUE] = following[1] ~= stamp and tonumber(following[2]) or 0
    for i = 1, #members do
      want('r' .. sub(members[i], 2))
    end
    load()
    for i = 1, #members do
      local record = record_of(sub(members[i], 2))
      if not record or record[STATE] ~= sub(members[i], 1, 1) then return give_up() end
      tell_owner(record, record[STATE] == 'h' and 'e' or 'x')
      drop(record)
    end
  end
  settle()
end
