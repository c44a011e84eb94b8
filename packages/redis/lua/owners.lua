--[[
Whose a lease is. The client that asked for it owns it, by the name of its id; then whoever restored it last, by a name of its own,
which is the OWNER of the record. Until the new owner first refreshes it, it can be given back: FORMER says whose it was.
]]
-- What a lease is named by: `id`, by its owner, who has the same name; `id/owner`; or `!id`, by hand, which is an order whoever owns
-- it. Answers with the id, and the owner unless it is by hand.
local function parse_name(name)
  if not find(name, '[!/]') then return name, name end
  if sub(name, 1, 1) == '!' then return sub(name, 2), nil end
  local slash = find(name, '/', 1, true)
  return sub(name, 1, slash - 1), sub(name, slash + 1)
end

local function owner_of(record) return record[OWNER] == '' and record[ID] or record[OWNER] end

local function is_owner(owner, record) return not owner or owner == owner_of(record) end

-- Tells the owner of a lease what became of it.
local function tell_owner(record, letter)
  tell(record[CLIENT], letter .. ' ' .. record[ID] .. (record[OWNER] == '' and '' or ' ' .. record[OWNER]))
end

local function set_owner(record, its_client, owner, former)
  record[CLIENT], record[OWNER], record[FORMER] = its_client, owner == record[ID] and '' or owner, former
  set_record(record[ID], record)
end

-- Another owner than before is told that it is taken.
local function take_over(record, owner)
  local former = record[FORMER]
  if owner ~= owner_of(record) then
    tell_owner(record, 't')
    former = pack(record[CLIENT], owner_of(record), deadline_of(record[ID]))
  end
  set_owner(record, client, owner, former)
end
