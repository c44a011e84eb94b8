--[[
Cycles of requests that wait for each other.

A cycle can only run through nested requests: a waiting request points at its blocker, a lease points at the requests that wait
inside it, and a nested request never watches a waiting one. So the walk from a blocker goes lease, nested request, lease, and
sees nothing of the ordinary queue.
]]
-- The ids from a lease to one that encloses the request, over what waits in each; so many at most.
local function path_to(request, start)
  local goals, left, seen = enclosing(request), 1000, {}
  local function walk(lease)
    -- One that is gone encloses nothing, even if those who watched it are still to be looked at.
    if seen[lease] or left <= 0 or not record_of(lease) then return nil end
    if goals[lease] then return { lease } end
    seen[lease] = true
    local prefix = 'n' .. lease .. '/'
    local inside = members_with(prefix, left)
    left = left - #inside
    for i = 1, #inside do
      local id = sub(inside[i], #prefix + 1)
      local record = record_of(id)
      local rest = record and record[BLOCKER] ~= '' and walk(record[BLOCKER])
      if rest then
        table.insert(rest, 1, id)
        table.insert(rest, 1, lease)
        return rest
      end
    end
    return nil
  end
  return walk(start)
end

-- Sets what a waiting request watches. Answers with the cycle that this closes, if it does, the request first.
local function watch(request, blocker)
  request[BLOCKER] = blocker
  set_record(request[ID], request)
  add(index, 'w' .. blocker .. '/' .. request[TICKET] .. request[ID], '0')
  local cycle = request[WITHIN] ~= '' and head[NESTED] > 1 and path_to(request, blocker)
  if cycle then table.insert(cycle, 1, request[ID]) end
  return cycle
end
