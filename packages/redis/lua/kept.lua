--[[
Delegations: leases that a client asked for to decide by itself about what is inside them. DELEGATE is its name for whoever it asks for.
They stand in lists of their own, and are counted in the head: without any, nothing of this is done.

URGENCY is, of a waiting request, how urgently it wants those back that are in its way (not said: recalled); an urgent one is impatient:
it only waits while nothing else is. Of a delegation, it is how urgently it was recalled, 0 if it was not.
]]
-- Is a delegation that is granted wanted already? Only so many are looked at in each list. If they are all of its client's own, it is
-- not: the client takes them out, and then whoever waited behind them looks again, and recalls it (see `settle`).
local function is_wanted(delegation)
  return visit_waiting(delegation[TARGET_LIST][1], function(list)
    -- Most often the first one wants it, or all that come soon are its client's own.
    local looked_at, page = 0, 2
    repeat
      local members = members_with(list, page, looked_at)
      for i = 1, #members do
        want('r' .. sub(members[i], #list + 17))
      end
      load()
      for i = 1, #members do
        local request = record_of(sub(members[i], #list + 17))
        if is_wanted_by(delegation, request, enclosing(request)) then return true end
      end
      looked_at = looked_at + #members
      page = math.min(8 * page, 256 - looked_at)
    until #members == 0 or looked_at >= 256
  end)
end

-- What was asked for as a delegation, or by an impatient request, is granted. To be wanted counts as a recall.
function note_kept(record)
  if not record[DELEGATE] then
    record[URGENCY] = nil
  else
    record[URGENCY] = head[WAITING] > 0 and is_wanted(record) and recalled or 0
  end
end

-- An impatient request waits for delegations only.
local function may_not_wait(request, blocker) return request[URGENCY] == urged and not is_kept(record_of(blocker)) end

-- An impatient request is refused by a message. (The library of Lua for JSON would round the numbers.)
local function refusal(request, blocker)
  local shown = describe(blocker)
  for i = 1, #shown do
    shown[i] = type(shown[i]) == 'number' and digits(shown[i]) or to_json(shown[i])
  end
  return 'f ' .. request[ID] .. ' [' .. table.concat(shown, ',') .. ']'
end

local function is_recalled(record) return is_kept(record) and record[URGENCY] > 0 end

-- For an answer: see acquire.lua.
local function granted_as(record) return is_recalled(record) and 5 or 1 end

-- How many delegations one call may still look at, to recall them.
local most_recalls = 64
local recalls_left

-- Tells the clients of the delegations in the way of a waiting request, once each; `again`: also of those that have been told. It goes
-- on behind a member of the index, if there is one. For what is more than one call may look at, a mark is left.
local function recall(request, again, behind)
  want_nodes(request)
  load()
  local urgency, within, lists = request[URGENCY] or recalled, enclosing(request), kept_lists(request)
  local told, first = {}, 1
  while behind and lists[first] and sub(behind, 1, #lists[first]) ~= lists[first] do
    first = first + 1
  end
  for i = lists[first] and first or 1, #lists do
    local from = i == first and behind and '(' .. behind or '[' .. lists[i]
    flush(index)
    local members = call('ZRANGEBYLEX', index_key, from, '(' .. lists[i] .. '\255', 'LIMIT', '0', recalls_left + 1)
    local is_more = #members > recalls_left
    if is_more then members[#members] = nil end
    for j = 1, #members do
      want('r' .. id_of(members[j]))
    end
    load()
    for j = 1, #members do
      local delegation = record_of(id_of(members[j]))
      local is_due = delegation and (again and not told[delegation[ID]] or delegation[URGENCY] < urgency)
      if is_due and is_wanted_by(delegation, request, within) then
        delegation[URGENCY], told[delegation[ID]] = urgency, true
        set_record(delegation[ID], delegation)
        tell(delegation[CLIENT], 'w ' .. delegation[ID] .. ' ' .. urgency .. ' ' .. delegation[DELEGATE])
      end
    end
    recalls_left = recalls_left - #members
    if is_more then
      local mark = 'c' .. request[TICKET] .. request[ID] .. '/' .. (again and 'a' or 'o')
      head[MARKS] = head[MARKS] + call('ZADD', index_key, '0', mark .. (members[#members] or sub(from, 2)))
      return
    end
  end
end

-- Goes on where marks say so.
local function recall_rest()
  while recalls_left > 0 do
    local mark = members_with('c', 1)[1]
    if not mark then return end
    head[MARKS] = head[MARKS] - call('ZREM', index_key, mark)
    local id, flag, behind = string.match(sub(mark, 18), '^([^/]*)/(.)(.*)$')
    local request = record_of(id)
    if request and request[STATE] == 'q' then recall(request, flag == 'a', behind) end
  end
end
