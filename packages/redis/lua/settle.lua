--[[
What a client with delegations says: see kept.lua, and acquire.lua for the operations.
]]
-- Makes an ordinary lease of one that was granted under a delegation, whatever else is held: its client has decided by the same rules.
local function register(request, token, from)
  local known = record_of(request[ID])
  if known then return known[STATE] == 'h' and 1 or 0 end
  if not is_kept(record_of(from)) then return 0 end
  note_depth(request)
  request[TICKET] = next_ticket()
  hold(request, token)
  if head[LAST_TOKEN] < token then head[LAST_TOKEN] = token end
  return 1
end

--[[
Registers leases that were granted under delegations, then gives delegations back. Before anybody is let in, all later tokens are made
greater than those that were given.

args[4]    the number of leases
args[5..]  for each of them: its token, the id of the delegation, the request (acquire.lua, not a simple one). Then for each delegation
           that is given back: its id, the greatest token that was given under it
Answers for each lease with 1 when it is known from now on, or was before; 0 when its delegation is not live
]]
function operations.settle(args)
  local count, at, requests, tokens, origins = tonumber(args[4]), 5, {}, {}, {}
  forget()
  for i = 1, count do
    tokens[i], origins[i] = tonumber(args[at]), args[at + 1]
    requests[i], at = parse_request(args, at + 2)
    want('r' .. requests[i][ID])
    want('r' .. origins[i])
    want_nodes(requests[i])
  end
  for i = at, #args, 2 do
    want('r' .. args[i])
    token_floor = math.max(token_floor, tonumber(args[i + 1]))
  end
  begin()
  -- The tokens that were given may be all there is to keep.
  stored_head = stored_head or ''
  local answers, ended = {}, {}
  for i = 1, count do
    answers[i] = register(requests[i], tokens[i], origins[i])
  end
  for i = at, #args, 2 do
    local record = record_of(args[i])
    if record and not ended[args[i]] and is_owner(args[i], record) then
      ended[args[i]], ended[#ended + 1] = true, record
    end
  end
  finish(ended)
  return answers
end
