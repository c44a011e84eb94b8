--[[
The grant rule: what keeps a request from being granted.
]]
-- The leases that enclose a request, as a set.
local function enclosing(request)
  local set = {}
  for id in gmatch(request[WITHIN], '%S+') do
    set[id] = true
  end
  return set
end

-- Only below a subtree that is asked for can anything be in the way, and only so deep.
local function reaches_below(target) return target.mode.covers_subtree and target.depth < head[DEEP] end

-- Is nothing at all at the node of a target, above or below it? Most are free.
local function is_free(target)
  if cache[target.node] ~= false or reaches_below(target) then return false end
  for i = 1, target.depth do
    if cache[target.above[i]] ~= false then return false end
  end
  return true
end

-- The first lease under a prefix of the index that is not waived.
local function first_held(prefix, waived)
  local offset, page = 0, waived and 32 or 1
  while true do
    local members = members_with(prefix, page, offset)
    for i = 1, #members do
      local id = id_of(members[i])
      if not (waived and waived[id]) then return id end
    end
    if #members < page then return nil end
    offset = offset + page
  end
end

-- A lease that conflicts with a target and is not waived: one on the subtree of a node above, or one on the node or below it.
local function find_held(target, waived)
  local mode, path, above = target.mode, target.path, target.above
  for i = 1, #above do
    local node = cache[above[i]] ~= false and node_of(above[i])
    for a = 1, node and #mode.against or 0 do
      local access = mode.against[a]
      local id = node[access.held_subtree] > 0 and first_held(access.held .. sub(above[i], 2) .. '/s', waived)
      if id then return id end
    end
  end
  local node = cache[target.node] ~= false and node_of(target.node)
  for a = 1, #mode.against do
    local access = mode.against[a]
    local is_here = node and node[access.held_subtree] + node[access.held_node] > 0
    if head[access.total] > 0 and (is_here or reaches_below(target)) then
      -- What follows the path in the index is a slash, or the rest of a path below.
      local id = first_held(access.held .. path .. (mode.covers_subtree and '' or '/'), waived)
      if id then return id end
    end
  end
  return nil
end

-- Visits the lists of the index in which all waiting requests stand that conflict with a target, until that answers with something.
local function visit_waiting(target, visit)
  local path, above, against, node = target.path, target.above, target.mode.against, node_of(target.node)
  for a = 1, #against do
    local access = against[a]
    local found = node and node[access.waiting_subtree] > 0 and visit(access.waiting .. path .. '/s')
      or node and node[access.waiting_node] > 0 and visit(access.waiting .. path .. '/n')
      or reaches_below(target) and visit(access.waiting .. path .. '/b')
    if found then return found end
    for j = 1, #above do
      local higher = node_of(above[j])
      found = higher and higher[access.waiting_subtree] > 0 and visit(access.waiting .. sub(above[j], 2) .. '/s')
      if found then return found end
    end
  end
end

-- How urgently a waiting request wants delegations back, and how urgently one was recalled: see kept.lua.
local recalled, urged = 1, 2

-- Does whoever holds the one target need nothing more for the other?
local function serves(outer, inner)
  if outer.mode.access == shared and inner.mode.access == exclusive then return false end
  if outer.mode.covers_subtree then return sub(inner.path, 1, #outer.path) == outer.path end
  return inner.path == outer.path and not inner.mode.covers_subtree
end

-- Does a request that conflicts with a delegation want it back? Not when the client can serve it itself.
local function is_wanted_by(delegation, request, within)
  if within[delegation[ID]] then return false end
  return request[DELEGATE] ~= delegation[DELEGATE]
    or request[URGENCY] == urged
    or not serves(delegation[TARGET_LIST][1], request[TARGET_LIST][1])
end

-- The latest waiting request before this one that conflicts with it. A request for a delegation that is to replace others does not mind
-- those that its client will withdraw then: it looks at 256 of them.
local function find_earlier(request)
  local latest, latest_ticket, last_ticket = nil, '', format('%016d', request[TICKET] - 1)
  local passed = request[WITHIN] ~= '' and 0 or 256
  local function consider(prefix)
    flush(index)
    local from, member, id, ticket = request[TICKET], nil, nil, nil
    repeat
      member = call('ZREVRANGEBYLEX', index_key, '(' .. prefix .. from, '[' .. prefix, 'LIMIT', '0', '1')[1]
      if not member then return false end
      ticket, id = sub(member, #prefix + 1, #prefix + 16), sub(member, #prefix + 17)
      from, passed = ticket, passed + 1
    until passed > 256 or is_wanted_by(request, record_of(id), enclosing(record_of(id)))
    if ticket > latest_ticket then
      latest, latest_ticket = id, ticket
    end
    -- None can be later than that.
    return latest_ticket == last_ticket
  end
  local targets = request[TARGET_LIST]
  for i = 1, #targets do
    if visit_waiting(targets[i], consider) then return latest end
  end
  return latest
end

-- The lists of the index in which all delegations stand that conflict with a request.
local function kept_lists(request)
  local lists, targets = {}, request[TARGET_LIST]
  local function is_kept_at(field)
    local node = node_of(field)
    return node and (node[KEPT_HERE] or 0) > 0
  end
  for i = 1, #targets do
    local target = targets[i]
    local mode, above = target.mode, target.above
    local is_here = is_kept_at(target.node) or reaches_below(target)
    for a = 1, #mode.against do
      local kept = mode.against[a].kept
      if is_here then lists[#lists + 1] = kept .. target.path .. (mode.covers_subtree and '' or '/') end
      for j = 1, #above do
        if is_kept_at(above[j]) then lists[#lists + 1] = kept .. sub(above[j], 2) .. '/s' end
      end
    end
  end
  return lists
end

local function find_kept(request, waived)
  local lists = kept_lists(request)
  for i = 1, #lists do
    local id = first_held(lists[i], waived)
    if id then return id end
  end
  return nil
end

-- (b) The latest waiting request before it that conflicts with it, unless it is nested: those who wait may wait for a lease
-- that encloses it. Else (a) a lease that conflicts with it and does not enclose it, a delegation only if there is no other.
-- `is_next`: there is none as in (b). A request for a delegation is within others of its client only to replace them, and
-- passes nobody.
local function find_blocker(request, is_next)
  local is_nested = request[WITHIN] ~= ''
  local passes = is_next or is_nested and not request[DELEGATE]
  local earlier = not passes and head[WAITING] > 0 and find_earlier(request)
  if earlier then return earlier end
  local waived, targets = is_nested and enclosing(request), request[TARGET_LIST]
  for i = 1, head[SHARED] + head[EXCLUSIVE] > 0 and #targets or 0 do
    local id = not is_free(targets[i]) and find_held(targets[i], waived)
    if id then return id end
  end
  return head[KEPT] > 0 and find_kept(request, waived) or nil
end

-- What the rule will ask for is wanted: the nodes of the targets, and those above. Answers with the number of the latter.
local function want_nodes(request)
  local targets, count = request[TARGET_LIST], 0
  for i = 1, #targets do
    local above = targets[i].above
    want(targets[i].node)
    for j = 1, #above do
      if cache[above[j]] == nil then want(above[j]) end
    end
    count = count + #above
  end
  return count
end
