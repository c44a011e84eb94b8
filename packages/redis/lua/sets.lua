--[[
The two sorted sets.

index      all at score 0, read by lexicographic range
  h<a><path>/<m><ticket><id>    a region that is held. a: r shared, w exclusive. m: s subtree, n the node alone. The ticket has
                                16 digits
  d<a><path>/<m><ticket><id>    the same of a delegation
  q<a><node>/<m><ticket><id>    a region that is waited for, and (m: b) the same under each node above its path
  w<blocker>/<ticket><id>       a waiting request, under the one it watches
  n<lease>/<id>                 a waiting request, under each lease that encloses it
  p<id>                         a mark: one that is gone, with more watchers than could be looked at
  c<ticket><id>/<f><member>     a mark: a waiting request that has not recalled all yet: where to go on (kept.lua)
deadlines  h<id> (a lease) or q<id> (a waiting request) -> time

What is added and removed is put off until the set is read, or the call ends, so that many requests in one call share their
commands.

Both have a stamp in them, ! and the name of the table. So they are never empty, which would end their expiry; and when one of the
three keys was lost, or is another table's, that is noticed, and the table is given up as a whole.
]]
local function new_set() return { removals = {}, removed = 0, additions = {}, added = 0, scores = {} } end
local index, deadlines = new_set(), new_set()

-- For a new table. What is left of sets whose table is gone holds nothing, and what is not ours is refused, before anything is
-- written.
local has_sets, sets_are_new = true, false
local function make_sets()
  if call('ZCARD', index_key) + call('ZCARD', deadlines_key) > 0 then call('DEL', index_key, deadlines_key) end
  call('ZADD', index_key, '0', stamp)
  call('ZADD', deadlines_key, 'inf', stamp)
  has_sets, sets_are_new = true, true
end

-- Removals go first, and the last word about a member counts: what was added is written before it is removed again.
local function add(set, member, score)
  local n = set.added
  set.additions[n + 1], set.additions[n + 2], set.added, set.scores[member] = score, member, n + 2, score
end

local function forget_changes(set)
  if set.added > 0 then set.scores = {} end
  set.removed, set.added, set.is_queue_changed = 0, 0, false
end

local function flush(set)
  if set.added > 0 and not has_sets then make_sets() end
  local key = set == index and index_key or deadlines_key
  call_with('ZREM', key, set.removals, set.removed)
  call_with('ZADD', key, set.additions, set.added)
  forget_changes(set)
end

local function remove(set, member)
  if set.scores[member] then flush(set) end
  set.removed = set.removed + 1
  set.removals[set.removed] = member
end

-- The first members of the index with a prefix, behind so many of them. `even_held`: regions that are
-- held no more may be among them.
local function members_with(prefix, count, offset, even_held)
  if index.added > 0 or index.is_queue_changed or not even_held then flush(index) end
  return call('ZRANGEBYLEX', index_key, '[' .. prefix, '(' .. prefix .. '\255', 'LIMIT', offset or '0', count)
end

-- Behind the last slash of a member of a region: a mark, the ticket, the id.
local function id_of(member) return sub(string.match(member, '^.*/(.*)$'), 18) end
