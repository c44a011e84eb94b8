--[[
What a client can ask for. Each operation takes its arguments, from the fourth on, and answers with a list of values. To what is
answered, `perform` adds a beginning.
]]
local operations = {}

local function parse_request(id, ttl, holder, target_text, within)
  return make_record(id, 'q', '', 0, now, ttl, client, holder, target_text, '', within)
end

--[[
Asks for locks, in order. Idempotent by id.

args[4]    the holder (JSON), and args[5] the ttl (ms), of the requests that do not say otherwise
args[6..]  the requests, in order. A simple one, which queues, for one target and not nested: id, target.
           Another: an empty string, id, ttl (ms), q to queue or t to be refused, holder, the number of targets, the targets, the
           number of enclosing leases, their ids. Both together are 3,900 at most, and the segments of the paths
           4,000: more is an error, and nothing is done. Behind q may stand how long it stays in the queue (ms), if not for the ttl
Answers with three for each request:
             1, token, deadline            granted
             2, blocker, its deadline      waiting
             3, the blocker (describe), 0  refused
             4, cycle (ids, by space), 0   deadlock
]]
local function parse_requests(args)
  local requests, at, ttl = {}, 6, tonumber(args[5])
  while at <= #args do
    local request
    if args[at] ~= '' then
      request = parse_request(args[at], ttl, args[4], args[at + 1], '')
      request.wait_ttl = ttl
      at = at + 2
    else
      local targets = tonumber(args[at + 5])
      local inside_at = at + 6 + targets
      local inside = tonumber(args[inside_at])
      if targets + inside > 3900 then refuse('too many targets in one request') end
      request = parse_request(
        args[at + 1],
        tonumber(args[at + 2]),
        args[at + 4],
        table.concat(args, '\0', at + 6, inside_at - 1),
        table.concat(args, ' ', inside_at + 1, inside_at + inside)
      )
      -- Of those that queue.
      request.wait_ttl = args[at + 3] == 'q' and request.ttl or tonumber(sub(args[at + 3], 2))
      at = inside_at + inside + 1
    end
    requests[#requests + 1] = request
    local segments = 0
    for i = 1, #request.targets do
      segments = segments + depth_of(request.targets[i])
    end
    -- Nobody else is served meanwhile.
    if segments > 4000 then refuse('too many segments in the paths of one request') end
  end
  return requests
end

local function request_fields(requests)
  local fields = {}
  for i = 1, #requests do
    fields[#fields + 1] = 'r' .. requests[i].id
    for t = 1, #requests[i].targets do
      fields[#fields + 1] = 'n' .. requests[i].targets[t].path
    end
  end
  return fields
end

local function ask(request)
  local known = record_of(request.id)
  if known and known.state == 'h' then
    return 1, known.token, deadline_of(known.id)
  elseif known then
    return 2, known.blocker, deadline_of(known.blocker)
  end
  request.ticket = next_ticket()
  local blocker = find_blocker(request)
  if blocker and not request.wait_ttl then
    head.last_ticket = head.last_ticket - 1
    limit_deadline(blocker)
    return 3, describe(blocker), 0
  end
  if not blocker then
    grant(request)
    return 1, request.token, now + request.ttl * 1000
  end
  enqueue(request)
  local cycle = watch(request, blocker)
  if cycle then
    drop(request)
    return 4, table.concat(cycle, ' '), 0
  end
  set_deadline(request, now + request.wait_ttl * 1000)
  return 2, blocker, deadline_of(blocker)
end

function operations.acquire(args)
  local first_token = acquire_small(args) and now or grant_free(args)
  if first_token then return nil, first_token end
  local requests, answers, all_granted = parse_requests(args), {}, true
  begin(request_fields(requests))
  load_nodes(requests)
  for i = 1, #requests do
    local request, a = requests[i], 3 * i - 2
    answers[a], answers[a + 1], answers[a + 2] = ask(request)
    all_granted = all_granted and request.state == 'h' and request.ttl == requests[1].ttl
  end
  return answers, all_granted and requests[1].token
end
