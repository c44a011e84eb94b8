--[[
The grant rule: what keeps a request from being granted.
]]
-- The leases that enclose a request, as a set.
local function enclosing(request)
  local set = {}
  for id in string.gmatch(request.within, '%S+') do
    set[id] = true
  end
  return set
end

local none = {}

-- The nodes above a target at which something can be that covers it.
local function nodes_above(target)
  if depth_of(target) <= head.shallow then return none end
  return paths_above(target.path, head.shallow)
end

-- Only below a subtree that is asked for can anything be in the way, and only so deep.
local function reaches_below(target) return target.mode.covers_subtree and depth_of(target) < head.deep end

-- A lease that conflicts with a target and is not waived: one on the subtree of a node above, or one on the node or below it.
local function find_held(target, waived)
  local mode, path, above = target.mode, target.path, nodes_above(target)
  for i = 1, #above do
    local node = node_at(above[i])
    for a = 1, node and #mode.against or 0 do
      local access = mode.against[a]
      local id = node[access.held_subtree] > 0 and first_held(access.held .. above[i] .. '/s', waived)
      if id then return id end
    end
  end
  local node = node_at(path)
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

-- The latest waiting request before this one that conflicts with it.
local function find_earlier(request)
  local latest, latest_ticket, last_ticket = nil, '', format('%016d', request.ticket - 1)
  local function consider(prefix)
    flush(index)
    local last = '(' .. prefix .. request.ticket
    local member = call('ZREVRANGEBYLEX', index_key, last, '[' .. prefix, 'LIMIT', '0', '1')[1]
    local ticket = member and sub(member, #prefix + 1, #prefix + 16)
    if member and ticket > latest_ticket then
      latest, latest_ticket = sub(member, #prefix + 17), ticket
    end
  end
  for i = 1, #request.targets do
    local target = request.targets[i]
    local path, above = target.path, nodes_above(target)
    for a = 1, #target.mode.against do
      local access = target.mode.against[a]
      local node = node_at(path)
      if node and node[access.waiting_subtree] > 0 then consider(access.waiting .. path .. '/s') end
      if node and node[access.waiting_node] > 0 then consider(access.waiting .. path .. '/n') end
      -- None can be later than that.
      if latest_ticket == last_ticket then return latest end
      if reaches_below(target) then consider(access.waiting .. path .. '/b') end
      for j = 1, #above do
        local higher = node_at(above[j])
        if higher and higher[access.waiting_subtree] > 0 then consider(access.waiting .. above[j] .. '/s') end
      end
    end
  end
  return latest
end

-- (b) The latest waiting request before it that conflicts with it, unless it is nested: those who wait may wait for a lease
-- that encloses it. Else (a) a lease that conflicts with it and does not enclose it. `is_next`: there is none as in (b).
local function find_blocker(request, is_next)
  local is_nested = request.within ~= ''
  local earlier = not is_nested and not is_next and head.waiting > 0 and find_earlier(request)
  if earlier then return earlier end
  local waived = is_nested and enclosing(request)
  for i = 1, head.shared + head.exclusive > 0 and #request.targets or 0 do
    local id = find_held(request.targets[i], waived)
    if id then return id end
  end
  return nil
end

-- Reads what the rule will ask for of several requests, in one go.
local function load_nodes(requests)
  local fields = {}
  local function want(path)
    if cache['n' .. path] == nil then fields[#fields + 1] = 'n' .. path end
  end
  for i = 1, #requests do
    for t = 1, #requests[i].targets do
      local target = requests[i].targets[t]
      local above = nodes_above(target)
      want(target.path)
      for j = 1, #above do
        want(above[j])
      end
    end
  end
  load(fields)
end
