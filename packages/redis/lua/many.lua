--[[
Many locks in one command that nobody else asks for: simple requests, and leases that end, while nobody waits and nothing is due. It
saves what the general way needs for each of them, and is built of the same parts. It decides first and writes last: where it does not
apply, nothing was done. Without it 64 locks at once take the server half as long again.
]]
-- Is the table as it was left, with nobody in it who waits? Then its head is read.
local function is_quiet()
  load()
  if stored_young or token_floor > 0 then return false end
  if stored_head then
    head = unpack_known(stored_head)
  else
    new_head(0, 0, 0)
  end
  has_sets = head[SHARED] + head[EXCLUSIVE] > 0
  return head[WAITING] == 0 and not is_more() and not (has_sets and not call('ZSCORE', index_key, stamp))
end

-- Wants what simple requests need, and answers with their targets, or nothing if there are others among them.
local function want_simple(args)
  local targets = {}
  for at = 6, #args, 2 do
    if args[at] == '' then return nil end
    local target = targets_of(args[at + 1])[1]
    targets[at] = target
    want('r' .. args[at])
    want(target.node)
    for i = 1, target.depth do
      want(target.above[i])
    end
  end
  return targets
end

-- Grants simple requests, each for a node at which, above which and below which nothing is. Answers with the first token.
local function grant_many(args)
  local targets = #args <= 125 and want_simple(args)
  if not targets or not is_quiet() then return nil end
  local taken = {}
  for at = 6, #args, 2 do
    if targets[at].depth > head[DEEP] then head[DEEP] = targets[at].depth end
  end
  for at = 6, #args, 2 do
    local id, node = args[at], targets[at].node
    if cache['r' .. id] or taken[id] or taken[node] or not is_free(targets[at]) then return nil end
    taken[id], taken[node] = true, true
  end
  local ttl, values, count, first_token = tonumber(args[5]), { 'm', '' }, 2, nil
  local deadline = now + ttl * 1000
  for at = 6, #args, 2 do
    local id, target, ticket, token = args[at], targets[at], next_ticket(), next_token()
    local mode, tail = target.mode, ticket .. id
    local record = pack('h', ticket, token, now, ttl, client, args[4], args[at + 1])
    first_token = first_token or token
    values[count + 1], values[count + 2], values[count + 3], values[count + 4] =
      'r' .. id, record, target.node, alone[mode.held]
    count = count + 4
    head[mode.access.total] = head[mode.access.total] + 1
    add(index, mode.access.held .. target.path .. mode.mark .. tail, '0')
    set_deadline('h' .. id, deadline)
  end
  write(values, count, {}, 0)
  return first_token
end

-- Ends leases that have one target each, on nodes of their own. Answers whether it did.
local function end_many(args)
  if #args > 1000 or not is_quiet() then return false end
  local targets, tails, seen, removals, removed = {}, {}, {}, {}, 0
  for at = 4, #args do
    local field = 'r' .. args[at]
    if not cache[field] or seen[field] then return false end
    local _, ticket, _, _, _, _, _, text, _, _, owner = unpack_values(cache[field])
    local list = targets_of(text)
    if list[2] or owner and owner ~= '' then return false end
    seen[field], targets[at], tails[at] = true, list[1], ticket .. args[at]
    removals[removed + 1], removals[removed + 2], removed = field, list[1].node, removed + 2
    want(list[1].node)
  end
  if #args - 3 == head[SHARED] + head[EXCLUSIVE] then
    -- These were all there were.
    head[SHARED], head[EXCLUSIVE] = 0, 0
    save_nothing()
    return true
  end
  load()
  for at = 4, #args do
    if cache[targets[at].node] ~= alone[targets[at].mode.held] then return false end
  end
  for at = 4, #args do
    local mode = targets[at].mode
    head[mode.access.total] = head[mode.access.total] - 1
    remove(index, mode.access.held .. targets[at].path .. mode.mark .. tails[at])
    remove(deadlines, 'h' .. args[at])
  end
  write({ 'm', '' }, 2, removals, removed)
  return true
end
