--[[
What a client can ask for. Each operation takes its arguments, from the fourth on, and answers with a list of values. To what is
answered, `perform` adds a beginning.
]]
local operations = {}

--[[
Asks for locks, in order. Idempotent by id.

args[4]    the holder (JSON), and args[5] the ttl (ms), of the requests that do not say otherwise
args[6..]  the requests, in order. A simple one, which queues, for one target and not nested: id, target.
           Another: an empty string, id, ttl (ms), a letter, holder, the number of targets, the targets, the number of enclosing
           leases, their ids. Both together are 3,900 at most, and the segments of the paths 4,000: more is an error, and nothing is
           done. The letter is q to queue, t to be refused, i to queue while only delegations are in its way. Behind it may stand
           how long it stays in the queue (ms), if not for the ttl; behind that, for a delegation, a slash and whose it is
Answers with three for each request:
             1, token, deadline            granted
             5, token, deadline            granted: a delegation, and it is wanted back
             2, blocker, its deadline      waiting
             3, the blocker (describe), 0  refused
             4, cycle (ids, by space), 0   deadlock
]]
local function new_request(id, ttl, holder, targets, within)
  return make_record(id, 'q', '', 0, now, ttl, client, holder, targets, '', within, '', '')
end

-- Answers with the request, where the next one begins, and how long it stays in the queue (ms), if it queues.
local function parse_request(args, at)
  if args[at] ~= '' then
    local ttl = tonumber(args[5])
    return new_request(args[at], ttl, args[4], args[at + 1], ''), at + 2, ttl
  end
  local targets, ttl, queue = tonumber(args[at + 5]), tonumber(args[at + 2]), args[at + 3]
  local inside_at = at + 6 + targets
  local inside = tonumber(args[inside_at])
  if targets + inside > 3900 then refuse('too many targets in one request') end
  local texts = table.concat(args, '\0', at + 6, inside_at - 1)
  local within = table.concat(args, ' ', inside_at + 1, inside_at + inside)
  local request = new_request(args[at + 1], ttl, args[at + 4], texts, within)
  if queue == 'q' then return request, inside_at + inside + 1, ttl end
  local letter, wait_ttl, delegate = string.match(queue, '^(%a)(%d*)/?(.*)$')
  if letter == 'i' then
    request[URGENCY] = urged
  elseif delegate ~= '' then
    request[URGENCY] = recalled
  end
  if delegate ~= '' then request[DELEGATE] = delegate end
  return request, inside_at + inside + 1, letter ~= 't' and (tonumber(wait_ttl) or ttl)
end

-- Answers with the requests, and how long they stay in the queue. What they need of the table is wanted from then on.
local function parse_requests(args)
  local requests, wait_ttls, count, at = {}, {}, 0, 6
  while at <= #args do
    count = count + 1
    requests[count], at, wait_ttls[count] = parse_request(args, at)
    want('r' .. requests[count][ID])
    -- Nobody else is served meanwhile.
    if want_nodes(requests[count]) > 4000 then refuse('too many segments in the paths of one request') end
  end
  return requests, wait_ttls
end

local function ask(request, wait_ttl)
  local known = record_of(request[ID])
  if known and known[STATE] == 'h' then
    return granted_as(known), known[TOKEN], deadline_of(known[ID])
  elseif known then
    return 2, known[BLOCKER], deadline_of(known[BLOCKER])
  end
  note_depth(request)
  local last_ticket = head[LAST_TICKET]
  request[TICKET] = next_ticket()
  local blocker = find_blocker(request)
  if not blocker then
    grant(request)
    return granted_as(request), request[TOKEN], now + request[TTL] * 1000
  elseif not wait_ttl or may_not_wait(request, blocker) then
    head[LAST_TICKET] = last_ticket
    limit_deadline(blocker)
    return 3, describe(blocker), 0
  end
  enqueue(request)
  local cycle = watch(request, blocker)
  if cycle then
    drop(request)
    return 4, table.concat(cycle, ' '), 0
  end
  set_deadline('q' .. request[ID], now + wait_ttl * 1000)
  if head[KEPT] > 0 then recall(request) end
  return 2, blocker, deadline_of(blocker)
end

function operations.acquire(args)
  if #args == 7 and acquire_young(args) then return nil, now end
  forget()
  local first_token = #args > 7 and grant_many(args)
  if first_token then return nil, first_token end
  local requests, wait_ttls = parse_requests(args)
  local answers, all_granted = {}, true
  begin()
  for i = 1, #requests do
    local request, a = requests[i], 3 * i - 2
    answers[a], answers[a + 1], answers[a + 2] = ask(request, wait_ttls[i])
    all_granted = all_granted and answers[a] == 1 and request[STATE] == 'h' and request[TTL] == requests[1][TTL]
  end
  return answers, all_granted and requests[1][TOKEN]
end
