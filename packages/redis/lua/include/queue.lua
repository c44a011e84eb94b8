--[[
The short way into a queue, for a call of one simple request whose node something is at already: it watches the latest
request that waits for the node or below it, else a lease there. What is above the node is left to the rest of the script.
Follows free.lua, whose locals it uses; it, too, decides first and writes last.
]]
if plain and values == 2 and found[3] and not found[2] then
  local id, target = ARGV[6], ARGV[7]
  local mode, path = byte(target), sub(target, 2)
  local exclusive, subtree = mode == 87 or mode == 119, mode < 97
  local node, ticket = { unpack_values(found[3]) }, string.format('%016d', head[2] + 1)
  local latest, blocker, blocked_until, is_alone = '', nil, nil, true
  local higher, at = {}, 0
  while at and at < #path do
    higher[#higher + 1] = sub(path, 1, at)
    at = find(path, '/', at + 1, true)
  end

  -- The latest that waits at the node (5 to 8: shared, exclusive), by its ticket.
  if head[5] > 0 then
    for slot = exclusive and 5 or 7, 8 do
      if node[slot] > 0 then
        local list = (slot > 6 and 'qw' or 'qr') .. path .. (slot % 2 == 1 and '/s' or '/n')
        local member = call('ZREVRANGEBYLEX', KEYS[2], '(' .. list .. '\255', '[' .. list, 'LIMIT', 0, 1)[1]
        if member and sub(member, #list + 1) > latest then
          latest = sub(member, #list + 1)
        end
      end
    end
  end
  -- Unless that is the last request of all, others may be later: below the node, or above it.
  local others = head[5] > 0 and tonumber(sub(latest, 1, 16)) ~= head[2]
  if others and subtree and #higher < head[11] then
    for slot = exclusive and 1 or 2, 2 do
      local list = (slot == 2 and 'qw' or 'qr') .. path .. '/b'
      local member = call('ZREVRANGEBYLEX', KEYS[2], '(' .. list .. '\255', '[' .. list, 'LIMIT', 0, 1)[1]
      if member and sub(member, #list + 1) > latest then
        latest = sub(member, #list + 1)
      end
    end
  end
  if #higher > 0 and others then
    local nodes = {}
    for i = 1, #higher do
      nodes[i] = 'n' .. higher[i]
    end
    local raw = call('HMGET', KEYS[1], unpack(nodes))
    for i = 1, #higher do
      is_alone = is_alone and not raw[i]
    end
  end

  if is_alone and latest ~= '' then
    blocker = sub(latest, 17)
    blocked_until = call('ZSCORE', KEYS[3], 'q' .. blocker)
  elseif is_alone then
    for slot = 1, exclusive and 2 or 1 do
      local list, member = (slot == 1 and 'hw' or 'hr') .. path .. (subtree and '' or '/'), nil
      if indexed and not blocker then
        member = call('ZRANGEBYLEX', KEYS[2], '[' .. list, '(' .. list .. '\255', 'LIMIT', 0, 1)[1]
      end
      for j = 12, blocker and 0 or #head, 2 do
        if sub(head[j], 1, #list) == list and not (member and member < head[j]) then
          member, blocked_until = head[j], head[j + 1]
        end
      end
      -- Behind the last slash: a mark, a ticket of 16 digits, the id.
      if member then
        blocker = sub(string.match(member, '^.*/(.*)$'), 18)
        blocked_until = blocked_until or call('ZSCORE', KEYS[3], 'h' .. blocker)
      end
    end
  end
  if blocker and blocked_until then
    local ttl, minute, slot = tonumber(ARGV[5]), 60000000, (exclusive and 7 or 5) + (subtree and 0 or 1)
    local deadline, tail, kind = now + ttl * 1000, ticket .. id, exclusive and 'qw' or 'qr'
    local index = { 0, kind .. path .. (subtree and '/s' or '/n') .. tail, 0, 'w' .. blocker .. '/' .. tail }
    for i = 1, #higher do
      index[2 * i + 3], index[2 * i + 4] = 0, kind .. higher[i] .. '/b' .. tail
    end
    -- Sorted sets that are new have no stamp yet, and no expiry.
    if not indexed then
      index[#index + 1], index[#index + 2] = 0, '!' .. KEYS[1]
      call('ZADD', KEYS[3], 'inf', '!' .. KEYS[1])
    end
    local extend = deadline + minute > head[9] or not indexed
    if extend then
      head[9] = math.max(head[9], deadline + 2 * minute)
    end
    if deadline < head[8] then
      head[8] = deadline
    end
    head[2], head[5], node[slot] = head[2] + 1, head[5] + 1, node[slot] + 1
    head[11] = math.max(head[11], #higher)
    local record = pack('q', ticket, 0, now, ttl, ARGV[1], ARGV[4], blocker, 1, target)
    call('ZADD', KEYS[2], unpack(index))
    call('ZADD', KEYS[3], deadline, 'q' .. id)
    call('HSET', KEYS[1], 'm', pack(unpack(head)), fields[2], record, fields[3], pack(unpack(node)))
    --@include expiry
    return { now, 0, '', 2, blocker, tonumber(blocked_until) }
  end
end
