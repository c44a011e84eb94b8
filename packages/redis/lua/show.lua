--[[
Operations that only show: see acquire.lua.
]]
-- How many waiting requests come before one; of these it counts a hundred at most.
local function waiting_ahead(request)
  local count, before = 0, record_of(request[BLOCKER])
  while before and before[STATE] == 'q' and count < 100 do
    count, before = count + 1, record_of(before[BLOCKER])
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
  local answers = {}
  forget()
  for at = 4, #args do
    want('r' .. string.match(args[at], '[^>]*$'))
  end
  begin(true)
  for at = 4, #args do
    local id, is_blocker = string.gsub(args[at], '^>', '')
    local record = record_of(id)
    if not record then
      answers[at - 3] = 0
    elseif is_blocker == 0 then
      answers[at - 3] = describe(id)
    else
      answers[at - 3] = record_of(record[BLOCKER]) and { waiting_ahead(record), describe(record[BLOCKER]) } or 0
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
  forget()
  begin(true)
  flush(index)
  local page, behind, shown, answers = 250, args[6], {}, { 0, '' }
  local lists = { shared.held, exclusive.held, shared.waiting, exclusive.waiting }
  if head[KEPT] > 0 then
    lists[5], lists[6] = shared.kept, exclusive.kept
  end
  for i = tonumber(args[5]), #lists do
    local prefix = lists[i] .. args[4]
    local from = behind == '' and '[' .. prefix or '(' .. behind
    local members = call('ZRANGEBYLEX', index_key, from, '(' .. prefix .. '\255', 'LIMIT', '0', page)
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
