--[[
Whose a lease is. The client that asked for it owns it, by the name of its id; then whoever restored it last, by a name of its own.
Until the new owner first refreshes it, it can be given back: `former` says whose it was.
]]
-- What a lease is named by: `id`, by its owner, who has the same name; `id/owner`; or `!id`, by hand, which is an order whoever owns
-- it. Answers with the id, and the owner unless it is by hand.
local function parse_name(name)
  if sub(name, 1, 1) == '!' then return sub(name, 2), nil end
  local slash = find(name, '/', 1, true)
  if slash then return sub(name, 1, slash - 1), sub(name, slash + 1) end
  return name, name
end

local function is_owner(owner, record) return not owner or owner == record.owner end

-- Tells the owner of a lease what became of it.
local function tell_owner(record, letter)
  tell(record.client, letter .. ' ' .. record.id .. (record.owner == record.id and '' or ' ' .. record.owner))
end

-- Another owner than before is told that it is taken.
local function take_over(record, owner)
  if owner ~= record.owner then
    tell_owner(record, 't')
    record.former = pack(record.client, record.owner, deadline_of(record.id))
  end
  record.client, record.owner = client, owner
  set_record(record.id, record)
end

-- From now on it cannot be given back any more.
local function keep(record)
  if record.former == '' then return end
  record.former = ''
  set_record(record.id, record)
end

-- Reads the deadlines of leases, every second of the arguments, in one go.
local function load_deadlines(args)
  flush(deadlines)
  for from = 4, #args, piece do
    local members = {}
    for at = from, math.min(from + piece - 2, #args), 2 do
      members[#members + 1] = 'h' .. parse_name(args[at])
    end
    local scores = call('ZMSCORE', deadlines_key, unpack(members))
    for i = 1, #members do
      known_deadlines[members[i]] = scores[i]
    end
  end
end
