--[[
Modes, and the paths they are asked for. A target is a letter for its mode, then its path: R read, W write, r readNode,
w writeNode. A path is written a/b/c/; the root is the empty string.
]]
-- The two kinds of access. `held` and `waiting` are their lists in the index, `total` is their count in the head; the others
-- are the counts of a node.
local shared = {
  held = 'hr',
  waiting = 'qr',
  total = 'shared',
  held_subtree = 'read',
  held_node = 'read_node',
  waiting_subtree = 'waits_read',
  waiting_node = 'waits_read_node',
}
local exclusive = {
  held = 'hw',
  waiting = 'qw',
  total = 'exclusive',
  held_subtree = 'write',
  held_node = 'write_node',
  waiting_subtree = 'waits_write',
  waiting_node = 'waits_write_node',
}

-- Two locks conflict when their regions overlap and at least one is exclusive: `against` is the access of those that can be
-- in the way. `mark` tells in the index whether a region is a subtree or the node alone, the counts are those of a node.
local modes = {
  R = {
    access = shared,
    covers_subtree = true,
    mark = '/s',
    held_count = shared.held_subtree,
    waiting_count = shared.waiting_subtree,
    against = { exclusive },
  },
  r = {
    access = shared,
    covers_subtree = false,
    mark = '/n',
    held_count = shared.held_node,
    waiting_count = shared.waiting_node,
    against = { exclusive },
  },
  W = {
    access = exclusive,
    covers_subtree = true,
    mark = '/s',
    held_count = exclusive.held_subtree,
    waiting_count = exclusive.waiting_subtree,
    against = { exclusive, shared },
  },
  w = {
    access = exclusive,
    covers_subtree = false,
    mark = '/n',
    held_count = exclusive.held_node,
    waiting_count = exclusive.waiting_node,
    against = { exclusive, shared },
  },
}

local function parse_target(text) return { mode = modes[sub(text, 1, 1)], path = sub(text, 2) } end

-- Targets follow each other with a zero byte between them: no path has one.
local function parse_targets(text)
  if not find(text, '%z') then return { parse_target(text) } end
  local targets = {}
  for target in string.gmatch(text, '%Z+') do
    targets[#targets + 1] = parse_target(target)
  end
  return targets
end

local function downgraded(text)
  return (string.gsub('\0' .. text, '%z[Ww]', { ['\0W'] = '\0R', ['\0w'] = '\0r' }):sub(2))
end

local function segments(path)
  local count, at = 0, find(path, '/', 1, true)
  while at do
    count, at = count + 1, find(path, '/', at + 1, true)
  end
  return count
end

local function depth_of(target)
  target.depth = target.depth or segments(target.path)
  return target.depth
end

-- The paths of the nodes above one, the root first: those with `from` segments at least.
local function paths_above(path, from)
  local list, depth, at = {}, 0, 0
  while at and at < #path do
    if depth >= from then list[#list + 1] = sub(path, 1, at) end
    depth, at = depth + 1, find(path, '/', at + 1, true)
  end
  return list
end
