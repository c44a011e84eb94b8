--[[
Modes, and the paths they are asked for. A target is a letter for its mode, then its path: R read, W write, r readNode,
w writeNode. A path is written a/b/c/; the root is the empty string.
]]
-- The two kinds of access: their lists in the index (`kept` are delegations), their count in the head, and the positions of their
-- counts in a node.
local shared = {
  held = 'hr',
  kept = 'dr',
  waiting = 'qr',
  total = SHARED,
  held_subtree = 1,
  held_node = 2,
  waiting_subtree = 5,
  waiting_node = 6,
}
local exclusive = {
  held = 'hw',
  kept = 'dw',
  waiting = 'qw',
  total = EXCLUSIVE,
  held_subtree = 3,
  held_node = 4,
  waiting_subtree = 7,
  waiting_node = 8,
}

-- `mark` tells in the index whether a region is a subtree or the node alone. Two locks conflict when their regions overlap and at
-- least one is exclusive: `against` is the access of those that can be in the way.
local function subtree(access, against)
  return {
    access = access,
    covers_subtree = true,
    mark = '/s',
    held = access.held_subtree,
    waiting = access.waiting_subtree,
    against = against,
  }
end
local function node_alone(access, against)
  return {
    access = access,
    covers_subtree = false,
    mark = '/n',
    held = access.held_node,
    waiting = access.waiting_node,
    against = against,
  }
end
local modes = {
  R = subtree(shared, { exclusive }),
  r = node_alone(shared, { exclusive }),
  W = subtree(exclusive, { exclusive, shared }),
  w = node_alone(exclusive, { exclusive, shared }),
}

-- What a target says, and what follows from its path: the field of its node; those of the nodes above it, the root first, of which
-- there are `depth`.
local function parse_target(text)
  local mode, path, above, depth, at = modes[sub(text, 1, 1)], sub(text, 2), {}, 0, 0
  while at and at < #path do
    depth = depth + 1
    above[depth], at = 'n' .. sub(path, 1, at), find(path, '/', at + 1, true)
  end
  return { mode = mode, path = path, node = 'n' .. path, above = above, depth = depth }
end

-- The same is asked for again and again: some of it is remembered from call to call. (Targets follow each other with a zero byte
-- between them: no path has one.)
local known_targets, known_count = {}, 0

local function targets_of(text)
  local targets = known_targets[text]
  if targets then return targets end
  targets = {}
  for target in gmatch(text, '%Z+') do
    targets[#targets + 1] = parse_target(target)
  end
  if known_count >= 1000 then
    known_targets, known_count = {}, 0
  end
  if #text <= 200 then
    known_targets[text], known_count = targets, known_count + 1
  end
  return targets
end

local function downgraded(text)
  return (string.gsub('\0' .. text, '%z[Ww]', { ['\0W'] = '\0R', ['\0w'] = '\0r' }):sub(2))
end

local function make_record(
  id,
  state,
  ticket,
  token,
  since,
  ttl,
  whom,
  holder,
  targets,
  blocker,
  within,
  owner,
  former,
  ...
)
  blocker, within, owner, former = blocker or '', within or '', owner or '', former or ''
  local list, delegate, urgency = targets_of(targets), ...
  return {
    state,
    ticket,
    token,
    since,
    ttl,
    whom,
    holder,
    targets,
    blocker,
    within,
    owner,
    former,
    delegate,
    urgency,
    id,
    list,
  }
end

local function record_of(id)
  local field = 'r' .. id
  local record = stored(field)
  if type(record) == 'string' then
    record = make_record(id, unpack_values(record))
    cache[field] = record
  end
  return record
end
