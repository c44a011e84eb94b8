--[[
The two sorted sets.

index      all at score 0, read by lexicographic range
  h<a><path>/<m><ticket><id>    a region that is held. a: r shared, w exclusive. m: s subtree, n the node alone. The ticket has
                                16 digits
  q<a><node>/<m><ticket><id>    a region that is waited for, and (m: b) the same under each node above its path
  w<blocker>/<ticket><id>       a waiting request, under the one it watches
  n<lease>/<id>                 a waiting request, under each lease that encloses it
  p<id>                         a mark: one that is gone, with more watchers than could be looked at
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

-- Removals go first, and the last word about a member counts.
local function add(set, member, score)
  local n = set.added
  set.additions[n + 1], set.additions[n + 2], set.added, set.scores[member] = score, member, n + 2, score
end

local function forget_changes(set)
  if set.added > 0 then set.scores = {} end
  set.removed, set.added = 0, 0
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

-- The first members of the index with a prefix, behind so many of them.
local function members_with(prefix, count, offset)
  flush(index)
  return call('ZRANGEBYLEX', index_key, '[' .. prefix, '(' .. prefix .. '\255', 'LIMIT', offset or '0', count)
end

-- Behind the last slash of a member of a region: a mark, the ticket, the id.
local function id_of(member) return sub(string.match(member, '^.*/(.*)$'), 18) end

-- The latest deadline that this call sets; the last one as text; those that were read.
local latest_deadline, deadline_number, deadline_text, known_deadlines = 0, nil, nil, {}

-- Something is due then: it is looked for no later, and the keys outlive it.
local function expect(deadline)
  if head.due == 0 or deadline < head.due then head.due = deadline end
  if deadline > latest_deadline then latest_deadline = deadline end
end

local function add_deadline(member, deadline)
  if deadline ~= deadline_number then
    deadline_number, deadline_text = deadline, digits(deadline)
  end
  add(deadlines, member, deadline_text)
end

local function set_deadline(record, deadline)
  expect(deadline)
  add_deadline(record.state .. record.id, deadline)
end

-- The keys outlive the last deadline by a minute or two: moving that on is seldom needed.
local minute = 60000000
local expires_in, expires_in_text

local function expire_keys(time, has_sets)
  if time - now ~= expires_in then
    expires_in, expires_in_text = time - now, digits((time - now) / 1000)
  end
  call('PEXPIRE', table_key, expires_in_text)
  if has_sets then
    call('PEXPIRE', index_key, expires_in_text)
    call('PEXPIRE', deadlines_key, expires_in_text)
  end
end
