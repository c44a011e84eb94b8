--[[
What is done with leases, and with requests that wait: see acquire.lua.
]]
-- Wants the leases that are named by every argument from the fourth on, or every second.
local function want_named(args, step)
  forget()
  for at = 4, #args, step do
    want('r' .. parse_name(args[at]))
  end
end

-- Begins a call on one lease.
local function begin_with(id)
  forget()
  want('r' .. id)
  begin(true)
end

-- Ends leases, takes waiting requests out of the queue, and lets in those who waited for them.
local function finish(ended)
  local regions = 0
  for i = 1, #ended do
    local targets = ended[i][TARGET_LIST]
    for t = 1, #targets do
      want(targets[t].node)
    end
    regions = regions + #targets
  end
  if head[WAITING] == 0 and regions == head[SHARED] + head[EXCLUSIVE] then
    -- These were all there were.
    wanted_count, head[SHARED], head[EXCLUSIVE] = 0, 0, 0
  elseif ended[1] then
    load()
    for i = 1, #ended do
      drop(ended[i])
    end
    -- The one behind each of them, at least.
    settle(#ended)
  end
end

--[[
Ends leases, and takes waiting requests out of the queue.

args[4..]  names (owners.lua). By hand the owner of a lease is told
Answers with 1 for each that was live, and that owner's, else 0
]]
function operations.release(args)
  if release_young(args) then return nil, true end
  want_named(args, 1)
  if end_many(args) then return nil, true end
  local answers, ended, all_live = {}, {}, true
  begin()
  for at = 4, #args do
    local id, owner = parse_name(args[at])
    local record = record_of(id)
    -- The same id may stand here twice.
    local is_live = record and not ended[id] and is_owner(owner, record)
    answers[at - 3] = is_live and 1 or 0
    all_live = all_live and is_live
    if is_live then
      ended[id], ended[#ended + 1] = true, record
      if record[STATE] == 'q' then
        tell(record[CLIENT], 'k ' .. id)
      elseif not owner then
        tell_owner(record, 'r')
      end
    end
  end
  finish(ended)
  return answers, all_live
end

local function prolong(record, deadline)
  local before = deadline_of(record[ID])
  set_deadline(record[STATE] .. record[ID], deadline)
  if record[STATE] == 'h' and deadline < before then tell_watchers(record[ID]) end
  return deadline
end

-- What has expired is gone, even if it had to be left for later.
local function is_live_lease(record) return record and record[STATE] == 'h' and deadline_of(record[ID]) > now end

-- A lease may have a longer ttl from now on.
local function raise_ttl(record, ttl)
  if ttl > record[TTL] then
    record[TTL] = ttl
    set_record(record[ID], record)
  end
end

-- Reads the deadlines of leases, every second of the arguments, in one go.
local function load_deadlines(args)
  flush(deadlines)
  for from = 4, #args, piece do
    local members = {}
    for at = from, math.min(from + piece - 2, #args), 2 do
      members[#members + 1] = 'h' .. parse_name(args[at])
    end
    local scores = call('ZMSCORE', deadlines_key, unpack(members))
    for i = 1, #members do
      known_deadlines[members[i]] = scores[i]
    end
  end
end

--[[
Moves the deadlines of leases. Never creates or revives one.

args[4..]  for each lease: its name (owners.lua), ttl (ms). By its owner the deadline is the ttl from now; by hand the later of the
           old one and that
Answers for each with its deadline, or 0 when it is not live, or not that owner's; negative for a delegation that is wanted back
]]
function operations.refresh(args)
  local answers, is_lost = {}, false
  want_named(args, 2)
  begin(true)
  load_deadlines(args)
  for at = 4, #args, 2 do
    local id, owner = parse_name(args[at])
    local record, ttl, deadline = record_of(id), tonumber(args[at + 1]), 0
    is_lost = is_lost or known_deadlines['h' .. id] and not record
    if is_live_lease(record) and is_owner(owner, record) then
      deadline = now + ttl * 1000
      if not owner then
        deadline = math.max(deadline, deadline_of(id))
        -- Something is written in any case: else WAIT would not wait for it (replicas.ts).
        set_record(id, record)
      elseif record[FORMER] ~= '' then
        -- From now on it cannot be given back any more.
        set_owner(record, record[CLIENT], owner, '')
      end
      raise_ttl(record, ttl)
      prolong(record, deadline)
    end
    answers[#answers + 1] = is_recalled(record) and -deadline or deadline
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
             1, token, deadline          granted meanwhile (5: as for acquire)
             2, blocker, its deadline    waiting
]]
function operations.look(args)
  local answers = {}
  want_named(args, 2)
  begin(true)
  for at = 4, #args, 2 do
    local record, a = record_of(args[at]), #answers + 1
    answers[a], answers[a + 1], answers[a + 2] = 0, 0, 0
    if record and record[STATE] == 'h' then
      local deadline = deadline_of(record[ID])
      -- Another may own it by now.
      if is_owner(record[ID], record) then deadline = prolong(record, math.max(deadline, now + record[TTL] * 1000)) end
      answers[a], answers[a + 1], answers[a + 2] = granted_as(record), record[TOKEN], deadline
    elseif record then
      set_deadline('q' .. record[ID], now + tonumber(args[at + 1]) * 1000)
      limit_deadline(record[BLOCKER])
      answers[a], answers[a + 1], answers[a + 2] = 2, record[BLOCKER], deadline_of(record[BLOCKER])
      -- The first message may not have come. (Where there are marks, the recalls go on anyway.)
      if head[KEPT] > 0 and head[MARKS] == 0 then recall(record, true) end
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
  begin_with(id)
  local record = record_of(id)
  if not is_live_lease(record) then return {} end
  take_over(record, args[6])
  raise_ttl(record, ttl)
  local answers = { record[TOKEN], prolong(record, math.max(deadline_of(id), now + ttl * 1000)) }
  return append(answers, record[TARGETS], '%Z+')
end

--[[
Undoes a restore: the former owner and its deadline are as they were.

args[4]    id
args[5]    the name of the owner that gives it back
Answers with 1, or 0 when it is not a live lease of that owner's, or has been refreshed by it
]]
function operations.give_back(args)
  begin_with(args[4])
  local record = record_of(args[4])
  if not is_live_lease(record) or owner_of(record) ~= args[5] or record[FORMER] == '' then return { 0 } end
  local its_client, owner, deadline = unpack_values(record[FORMER])
  set_owner(record, its_client, owner, '')
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
  begin_with(id)
  local record = record_of(id)
  if not record or record[STATE] ~= 'h' or not is_owner(owner, record) then return { 0 } end
  place_held(record, -1)
  record[TARGETS] = downgraded(record[TARGETS])
  record[TARGET_LIST] = targets_of(record[TARGETS])
  place_held(record, 1)
  set_record(record[ID], record)
  gone[#gone + 1] = record[ID]
  settle()
  return { 1 }
end

--[[
Ends a lease by order, and tells its owner.

args[4]    id
Answers with 1, or 0 when it is not a live lease
]]
operations['break'] = function(args)
  begin_with(args[4])
  local record = record_of(args[4])
  if not record or record[STATE] ~= 'h' then return { 0 } end
  tell_owner(record, 'b')
  drop(record)
  settle()
  return { 1 }
end
