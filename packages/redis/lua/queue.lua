--[[
Those who wait: each watches what is in its way, and looks again when that is gone.
]]
-- Enters (1) or removes (-1) what a request waits for, and what it waits inside of.
local function place_waiting(request, by)
  local put, tail = by > 0 and add or remove, request.ticket .. request.id
  for i = 1, #request.targets do
    local mode, path = request.targets[i].mode, request.targets[i].path
    local list, above = mode.access.waiting, paths_above(path, 0)
    count(path, mode.waiting_count, by)
    put(index, list .. path .. mode.mark .. tail, '0')
    for j = 1, #above do
      put(index, list .. above[j] .. '/b' .. tail, '0')
    end
  end
  for lease in string.gmatch(request.within, '%S+') do
    put(index, 'n' .. lease .. '/' .. request.id, '0')
  end
  head.waiting = head.waiting + by
  head.nested = head.nested + (request.within ~= '' and by or 0)
end

local function enqueue(request)
  for i = 1, #request.targets do
    note_depth(request.targets[i].mode, depth_of(request.targets[i]))
  end
  place_waiting(request, 1)
end

local function dequeue(request)
  place_waiting(request, -1)
  remove(deadlines, 'q' .. request.id)
  if request.blocker ~= '' then
    remove(index, 'w' .. request.blocker .. '/' .. request.ticket .. request.id)
    request.blocker = ''
  end
end

-- Leases and requests whose watchers must look again, and for some of them what they held (see `drop`).
local gone, held_alone = {}, {}

-- Takes a lease or a waiting request out of the table.
local function drop(record)
  if record.state == 'h' then
    leave_held(record)
    -- Who watched an exclusive lease and wants just what it held has no waiting request before it that conflicts: it would
    -- conflict with this lease, too. Those before this lease would have kept it from being granted; and of those behind it,
    -- the watcher would watch the latest.
    if record.within == '' and #record.targets == 1 and record.targets[1].mode.access == exclusive then
      held_alone[record.id] = record.target_text
    end
  else
    dequeue(record)
  end
  set_record(record.id, false)
  gone[#gone + 1] = record.id
end

-- Looks again at those who watched what is gone or has changed, in the order of their tickets, and grants what can be granted:
-- no more than so many in one call. For the rest a mark is left.
local function settle(at_least)
  if #gone == 0 and head.marks == 0 then return end
  if head.waiting == 0 then
    if head.marks > 0 then call('ZREMRANGEBYLEX', index_key, '[p', '(p\255') end
    gone, head.marks = {}, 0
    return
  end
  local left, queue, at = math.max(16, at_least or 0), {}, 1

  -- Takes those who watch one that is gone; `is_marked` says that a mark says so.
  local function gather(id, is_marked)
    local prefix = 'w' .. id .. '/'
    local members = members_with(prefix, digits(left + 1))
    local is_more = #members > left
    if is_more then members[#members] = nil end
    left = left - #members
    for i = 1, #members do
      remove(index, members[i])
      queue[#queue + 1] =
        { order = sub(members[i], #prefix + 1), id = sub(members[i], #prefix + 17), held = held_alone[id] }
    end
    if is_more and not is_marked then
      -- It may have one already, when it was downgraded and is gone soon after.
      head.marks = head.marks + call('ZADD', index_key, '0', 'p' .. id)
    elseif is_marked and not is_more then
      head.marks = head.marks - call('ZREM', index_key, 'p' .. id)
    end
  end

  local function gather_gone()
    for i = 1, #gone do
      gather(gone[i], false)
    end
    gone = {}
    table.sort(queue, function(a, b) return a.order < b.order end)
    local fields, requests = {}, {}
    for i = at, #queue do
      fields[#fields + 1] = 'r' .. queue[i].id
    end
    load(fields)
    for i = at, #queue do
      local request = record_of(queue[i].id)
      if request then
        request.blocker = ''
        requests[#requests + 1] = request
      end
    end
    load_nodes(requests)
  end

  if head.marks > 0 then
    local marks = members_with('p', '16')
    for i = 1, #marks do
      gather(sub(marks[i], 2), true)
    end
  end
  gather_gone()
  while at <= #queue do
    local request = record_of(queue[at].id)
    local is_next = request and request.within == '' and request.target_text == queue[at].held
    at = at + 1
    if request and request.state == 'q' then
      local blocker = find_blocker(request, is_next)
      local cycle = blocker and watch(request, blocker)
      if not blocker then
        dequeue(request)
        grant(request)
        -- The deadline is the ttl from now on.
        tell(request.client, 'g ' .. request.id .. (request.token > now and ' ' .. digits(request.token) or ''))
      elseif cycle then
        tell(request.client, 'd ' .. table.concat(cycle, ' '))
        drop(request)
        -- Whoever watched it came later, so the order of the rest is all there is to keep.
        local rest = {}
        for i = at, #queue do
          rest[#rest + 1] = queue[i]
        end
        queue, at = rest, 1
        gather_gone()
      end
    end
  end
end

-- A key is lost, or not the one it was: what is left of the table holds nothing. Who has a lease learns so at the next refresh, and
-- who waits asks again after the next look. Only tokens must not fall.
local function give_up()
  call('DEL', table_key, index_key, deadlines_key)
  for field in pairs(cache) do
    cache[field] = false
  end
  forget_changes(index)
  forget_changes(deadlines)
  changed, gone, held_alone, known_deadlines = {}, {}, {}, {}
  new_head(head.last_token, head.last_ticket, 0)
  -- Nothing is stored any more, and the last token may have to be.
  has_sets, stored_head = false, ''
end
