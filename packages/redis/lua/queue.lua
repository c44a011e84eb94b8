--[[
Those who wait: each watches what is in its way, and looks again when that is gone.
]]
-- Enters (1) or removes (-1) what a request waits for, and what it waits inside of.
local function place_waiting(request, by)
  local put, tail, targets = by > 0 and add or remove, request[TICKET] .. request[ID], request[TARGET_LIST]
  for i = 1, #targets do
    local target, mode = targets[i], targets[i].mode
    local list = mode.access.waiting
    count(target.node, mode.waiting, by)
    put(index, list .. target.path .. mode.mark .. tail, '0')
    for j = 1, target.depth do
      put(index, list .. sub(target.above[j], 2) .. '/b' .. tail, '0')
    end
  end
  head[WAITING] = head[WAITING] + by
  if request[WITHIN] == '' then return end
  head[NESTED] = head[NESTED] + by
  for lease in gmatch(request[WITHIN], '%S+') do
    put(index, 'n' .. lease .. '/' .. request[ID], '0')
  end
end

local function enqueue(request) place_waiting(request, 1) end

local function dequeue(request)
  place_waiting(request, -1)
  index.is_queue_changed = true
  remove(deadlines, 'q' .. request[ID])
  if request[BLOCKER] ~= '' then remove(index, 'w' .. request[BLOCKER] .. '/' .. request[TICKET] .. request[ID]) end
end

-- Leases and requests whose watchers must look again, and for some of them what they held (see `drop`).
local gone, held_alone = {}, {}

-- Takes a lease or a waiting request out of the table.
local function drop(record)
  if record[STATE] == 'h' then
    place_held(record, -1)
    remove(deadlines, 'h' .. record[ID])
    -- Whoever watched an exclusive lease and wants just what it held has no waiting request before it that conflicts: it would
    -- conflict with this lease, too. Those before this lease would have kept it from being granted; and of those behind it,
    -- the watcher would watch the latest.
    local targets = record[TARGET_LIST]
    if head[WAITING] > 0 and record[WITHIN] == '' and #targets == 1 and targets[1].mode.access == exclusive then
      held_alone[record[ID]] = record[TARGETS]
    end
  else
    dequeue(record)
  end
  set_record(record[ID], false)
  gone[#gone + 1] = record[ID]
end

-- Looks again at those who watched what is gone or has changed, in the order of their tickets, and grants what can be granted:
-- no more than so many in one call. For the rest a mark is left.
local function settle(at_least)
  if #gone == 0 and head[MARKS] == 0 then return end
  if head[WAITING] == 0 then
    if head[MARKS] > 0 then
      call('ZREMRANGEBYLEX', index_key, '[p', '(p\255')
      call('ZREMRANGEBYLEX', index_key, '[c', '(c\255')
    end
    gone, head[MARKS] = {}, 0
    return
  end
  -- Those to look at, by ticket and id; and what was held alone by the one that they watched.
  local left, queue, at, wanted = math.max(16, at_least or 0), {}, 1, {}

  -- Takes those who watch one that is gone; `is_marked` says that a mark says so.
  local function gather(id, is_marked)
    local prefix = 'w' .. id .. '/'
    local members = members_with(prefix, left + 1, '0', true)
    local is_more = #members > left
    if is_more then members[#members] = nil end
    left = left - #members
    for i = 1, #members do
      local watcher = sub(members[i], #prefix + 1)
      remove(index, members[i])
      queue[#queue + 1], wanted[watcher] = watcher, held_alone[id]
    end
    if is_more and not is_marked then
      -- It may have one already, when it was downgraded and is gone soon after.
      head[MARKS] = head[MARKS] + call('ZADD', index_key, '0', 'p' .. id)
    elseif is_marked and not is_more then
      head[MARKS] = head[MARKS] - call('ZREM', index_key, 'p' .. id)
    end
  end

  -- Whoever watched one that is dropped in between came later, so all stay in the order of their tickets.
  local function gather_gone()
    for i = 1, #gone do
      gather(gone[i], false)
    end
    gone = {}
    table.sort(queue)
    for i = at, #queue do
      want('r' .. sub(queue[i], 17))
    end
    load()
    for i = at, #queue do
      local request = record_of(sub(queue[i], 17))
      if request then
        request[BLOCKER] = ''
        if head[SHARED] + head[EXCLUSIVE] > 0 or request[TARGETS] ~= wanted[queue[i]] then want_nodes(request) end
      end
    end
    load()
  end

  if head[MARKS] > 0 then
    local marks = members_with('p', '16')
    for i = 1, #marks do
      gather(sub(marks[i], 2), true)
    end
  end
  gather_gone()
  while at <= #queue do
    local request = record_of(sub(queue[at], 17))
    local is_next = request and request[WITHIN] == '' and request[TARGETS] == wanted[queue[at]]
    at = at + 1
    if request and request[STATE] == 'q' then
      local blocker = find_blocker(request, is_next)
      local is_refused = blocker and may_not_wait(request, blocker)
      local cycle = blocker and not is_refused and watch(request, blocker)
      if not blocker then
        dequeue(request)
        grant(request)
        -- The deadline is the ttl from now on.
        local beginning = (is_recalled(request) and 'G ' or 'g ') .. request[ID]
        tell(request[CLIENT], beginning .. (request[TOKEN] > now and ' ' .. digits(request[TOKEN]) or ''))
      elseif is_refused or cycle then
        tell(request[CLIENT], is_refused and refusal(request, blocker) or 'd ' .. table.concat(cycle, ' '))
        drop(request)
        gather_gone()
      elseif is_kept(record_of(blocker)) then
        recall(request)
      end
    end
  end
  if head[MARKS] > 0 then recall_rest() end
end
