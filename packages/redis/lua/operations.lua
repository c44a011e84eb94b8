--[[
The other operations: see acquire.lua.
]]
--[[
Ends leases, and takes waiting requests out of the queue.

args[4..]  names (owners.lua). By hand the owner of a lease is told
Answers with 1 for each that was live, and that owner's, else 0
]]
function operations.release(args)
  if release_small(args) or end_leases(args) then return nil, true end
  local answers, ended, regions, all_live = {}, {}, 0, true
  begin(record_fields(args, 1))
  for at = 4, #args do
    local id, owner = parse_name(args[at])
    local record = record_of(id)
    -- The same id may stand here twice.
    local is_live = record and not record.ends and is_owner(owner, record)
    answers[at - 3] = is_live and 1 or 0
    all_live = all_live and is_live
    if is_live then
      record.ends, ended[#ended + 1], regions = true, record, regions + #record.targets
      if record.state == 'q' then
        tell(record.client, 'k ' .. id)
      elseif not owner then
        tell_owner(record, 'r')
      end
    end
  end
  if head.waiting == 0 and regions == head.shared + head.exclusive then
    -- These were all there were.
    head.shared, head.exclusive = 0, 0
  else
    load_nodes(ended)
    for i = 1, #ended do
      drop(ended[i])
    end
    -- The one behind each of them, at least.
    settle(#answers)
  end
  return answers, all_live
end

local function prolong(record, deadline)
  local before = deadline_of(record.id)
  set_deadline(record, deadline)
  if record.state == 'h' and deadline < before then tell_watchers(record.id) end
  return deadline
end

-- What has expired is gone, even if it had to be left for later.
local function is_live_lease(record) return record and record.state == 'h' and deadline_of(record.id) > now end

-- A lease may have a longer ttl from now on.
local function raise_ttl(record, ttl)
  if ttl > record.ttl then
    record.ttl = ttl
    set_record(record.id, record)
  end
end

--[[
Moves the deadlines of leases. Never creates or revives one.

args[4..]  for each lease: its name (owners.lua), ttl (ms). By its owner the deadline is the ttl from now; by hand the later of the
           old one and that
Answers for each with its deadline, or 0 when it is not live, or not that owner's
]]
function operations.refresh(args)
  local answers, is_lost = {}, false
  begin(record_fields(args, 2))
  load_deadlines(args)
  for at = 4, #args, 2 do
    local id, owner = parse_name(args[at])
    local record, ttl, deadline = record_of(id), tonumber(args[at + 1]), 0
    is_lost = is_lost or known_deadlines['h' .. id] and not record
    if is_live_lease(record) and is_owner(owner, record) then
      deadline = now + ttl * 1000
      if not owner then
        deadline = math.max(deadline, deadline_of(id))
      else
        keep(record)
      end
      raise_ttl(record, ttl)
      prolong(record, deadline)
    end
    answers[#answers + 1] = deadline
  end
  if is_lost then
    give_up()
    for i = 1, #answers do
      answers[i] = 0
    end
  end
  return answers
end

--[[
Says that requests are still waited for, and where they stand. Without any it only does what every operation begins with.

args[4..]  for each request: id, how long it stays in the queue from now on (ms)
Answers with three for each:
             0, 0, 0                     not live
             1, token, deadline          granted meanwhile
             2, blocker, its deadline    waiting
]]
function operations.look(args)
  local answers = {}
  begin(record_fields(args, 2))
  for at = 4, #args, 2 do
    local record, a = record_of(args[at]), #answers + 1
    answers[a], answers[a + 1], answers[a + 2] = 0, 0, 0
    if record and record.state == 'h' then
      local deadline = deadline_of(record.id)
      -- Another may own it by now.
      if is_owner(record.id, record) then deadline = prolong(record, math.max(deadline, now + record.ttl * 1000)) end
      answers[a], answers[a + 1], answers[a + 2] = 1, record.token, deadline
    elseif record then
      set_deadline(record, now + tonumber(args[at + 1]) * 1000)
      limit_deadline(record.blocker)
      answers[a], answers[a + 1], answers[a + 2] = 2, record.blocker, deadline_of(record.blocker)
    end
  end
  return answers
end

--[[
Takes a lease over. Its deadline is the later of the old one and the ttl from now. By the same owner again that is all.

args[4]    id
args[5]    ttl (ms)
args[6]    the name of the new owner
Answers with nothing when it is not a live lease, else with token, deadline, targets...
]]
function operations.restore(args)
  local id, ttl = args[4], tonumber(args[5])
  begin({ 'r' .. id })
  local record = record_of(id)
  if not is_live_lease(record) then return {} end
  take_over(record, args[6])
  raise_ttl(record, ttl)
  local answers = { record.token, prolong(record, math.max(deadline_of(id), now + ttl * 1000)) }
  for target in string.gmatch(record.target_text, '%Z+') do
    answers[#answers + 1] = target
  end
  return answers
end

--[[
Undoes a restore: the former owner and its deadline are as they were.

args[4]    id
args[5]    the name of the owner that gives it back
Answers with 1, or 0 when it is not a live lease of that owner's, or has been refreshed by it
]]
function operations.give_back(args)
  begin({ 'r' .. args[4] })
  local record = record_of(args[4])
  if not is_live_lease(record) or record.owner ~= args[5] or record.former == '' then return { 0 } end
  local deadline
  record.client, record.owner, deadline = unpack_values(record.former)
  record.former = ''
  set_record(record.id, record)
  prolong(record, deadline)
  return { 1 }
end

--[[
Turns the exclusive targets of a lease into shared ones, and lets in those who may now enter.

args[4]    its name (owners.lua)
Answers with 1, or 0 when it is not a live lease, or not that owner's
]]
function operations.downgrade(args)
  local id, owner = parse_name(args[4])
  begin({ 'r' .. id })
  local record = record_of(id)
  if not record or record.state ~= 'h' or not is_owner(owner, record) then return { 0 } end
  index_held(record, remove)
  count_held(record, -1)
  record.target_text = downgraded(record.target_text)
  record.targets = parse_targets(record.target_text)
  index_held(record, add)
  count_held(record, 1)
  set_record(record.id, record)
  gone[#gone + 1] = record.id
  settle()
  return { 1 }
end

--[[
Ends a lease by order, and tells its owner.

args[4]    id
Answers with 1, or 0 when it is not a live lease
]]
operations['break'] = function(args)
  begin({ 'r' .. args[4] })
  local record = record_of(args[4])
  if not record or record.state ~= 'h' then return { 0 } end
  tell_owner(record, 'b')
  drop(record)
  settle()
  return { 1 }
end

-- How many waiting requests come before one; of these it counts a hundred at most.
local function waiting_ahead(request)
  local count, before = 0, record_of(request.blocker)
  while before and before.state == 'q' and count < 100 do
    count, before = count + 1, record_of(before.blocker)
  end
  return count
end

--[[
Shows leases and waiting requests.

args[4..]  ids; with > before it, what is wanted is what the request waits for
Answers for each with a lease or waiting request (describe), or 0 when there is none. Where what a request waits for is wanted: how
many waiting requests come before it (at most 100 are counted), then that
]]
function operations.lookup(args)
  local fields, answers = {}, {}
  for at = 4, #args do
    fields[at - 3] = 'r' .. string.match(args[at], '[^>]*$')
  end
  begin(fields)
  for at = 4, #args do
    local id, is_blocker = string.gsub(args[at], '^>', '')
    local record = record_of(id)
    if not record then
      answers[at - 3] = 0
    elseif is_blocker == 0 then
      answers[at - 3] = describe(id)
    else
      answers[at - 3] = record_of(record.blocker) and { waiting_ahead(record), describe(record.blocker) } or 0
    end
  end
  return answers
end

--[[
Shows the leases and waiting requests with a target at a path or below it, a page at a time.

args[4]    path
args[5]    where to go on: the number of the list, 1 at the start
args[6]    and the member of the index to go on behind, or the empty string
Answers with the two to go on with (0 and the empty string at the end), then the requests (describe). One may show once for
each of its targets
]]
function operations.inspect(args)
  begin({})
  flush(index)
  local page, behind, shown, answers = 250, args[6], {}, { 0, '' }
  local lists = { shared.held, exclusive.held, shared.waiting, exclusive.waiting }
  for i = tonumber(args[5]), #lists do
    local prefix = lists[i] .. args[4]
    local from = behind == '' and '[' .. prefix or '(' .. behind
    local members = call('ZRANGEBYLEX', index_key, from, '(' .. prefix .. '\255', 'LIMIT', '0', digits(page))
    for j = 1, #members do
      local id = id_of(members[j])
      -- A waiting region stands under the nodes above it, too.
      if not find(members[j], '/b[^/]*$') and not shown[id] then
        shown[id] = true
        answers[#answers + 1] = describe(id)
      end
    end
    page = page - #members
    behind = ''
    if page == 0 then
      answers[1], answers[2] = i, members[#members]
      break
    end
  end
  return answers
end
