--[[
The short way for what is most common: every request of the call is simple (see acquire.lua), nothing at all is near it,
nobody waits in the namespace, and nothing is due. Then all are granted, as the rules would, with a few commands for the
whole call, and before any function is made.

It decides first and writes last. Where it does not apply, nothing was done, and what follows starts anew: queue.lua with
what was read here, or the rest of the script.
]]
local call, pack, unpack_values, sub, byte, find = redis.call, cmsgpack.pack, cmsgpack.unpack, string.sub, string.byte, string.find
-- The fields of the hash: the head, then for each request its own and that of its node.
local fields, values, plain = { 'm' }, 0, true
for at = 6, #ARGV, 2 do
  if ARGV[at] == '' then
    plain = false
    break
  end
  fields[values + 2], fields[values + 3] = 'r' .. ARGV[at], 'n' .. sub(ARGV[at + 1], 2)
  values = values + 2
end
local found, head, time, now = nil, nil, nil, 0
if plain then
  found = call('HMGET', KEYS[1], unpack(fields))
  if found[1] then
    head = { unpack_values(found[1]) }
  elseif call('EXISTS', KEYS[2], KEYS[3]) == 0 then
    head = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 999, 0 }
  end
  time = call('TIME')
  now = time[1] * 1000000 + time[2]
  -- Nothing is left to look at (7), nothing is due (8).
  plain = head and head[7] == 0 and (head[8] == 0 or head[8] > now) and now <= (tonumber(ARGV[3]) or 0)
end
-- Is anything in the sorted sets? What is held (3, 4) but not fresh, and what waits (5).
local indexed = plain and (head[5] > 0 or 2 * (head[3] + head[4]) > #head - 11)
local free = plain and head[5] == 0

-- The nodes of the requests (2) of this call, those above them (1), and the requests themselves.
local mine, above, shallow, deep, fresh = {}, {}, free and head[10], free and head[11], nil
for i = 2, free and values or 0, 2 do
  local id, own = fields[i], fields[i + 1]
  if found[i] or found[i + 1] or mine[id] or mine[own] then
    free = false
    break
  end
  mine[id], mine[own] = true, 2
  local path, mode, at, depth = sub(own, 2), byte(ARGV[i + 5]), 0, 0
  while at and at < #path do
    if values > 2 or depth >= shallow then
      local higher = 'n' .. sub(path, 1, at)
      if mine[higher] == 2 then
        free = false
        break
      end
      mine[higher] = 1
      -- Only from this depth on can the subtree of a higher node be held.
      if depth >= shallow then
        above[#above + 1] = higher
      end
    end
    depth = depth + 1
    at = find(path, '/', at + 1, true)
  end
  -- What is below: anything for W (87), what is exclusive for R (82). The nodes themselves are free.
  if mode < 97 then
    if depth < head[11] then
      fresh = fresh or '\0' .. table.concat(head, '\0', 12)
      local exclusive, shared = 'hw' .. path, 'hr' .. path
      if find(fresh, '\0' .. exclusive, 1, true)
        or mode == 87 and find(fresh, '\0' .. shared, 1, true)
        or indexed
          and (not call('ZSCORE', KEYS[2], '!' .. KEYS[1])
            or head[4] > 0 and call('ZLEXCOUNT', KEYS[2], '[' .. exclusive, '(' .. exclusive .. '\255') > 0
            or mode == 87 and head[3] > 0 and call('ZLEXCOUNT', KEYS[2], '[' .. shared, '(' .. shared .. '\255') > 0)
      then
        free = false
      end
    end
    if depth < shallow then
      shallow = depth
    end
  end
  if depth > deep then
    deep = depth
  end
  if not free then
    break
  end
end
if free and #above > 0 then
  local higher = call('HMGET', KEYS[1], unpack(above))
  for i = 1, #above do
    free = free and not higher[i]
  end
end
if free then
  -- Eight may be fresh, and more of what comes together: unpacking the head costs less then than the sorted sets would.
  local ttl, minute, stays_fresh = tonumber(ARGV[5]), 60000000, 2 * (head[3] + head[4]) <= 12 + values
  local deadline, i = now + ttl * 1000, 0
  local first = head[1] < now and now or head[1] + 1
  local index, deadlines, hash = {}, {}, { 'm', '' }
  for at = 6, #ARGV, 2 do
    local id, target = ARGV[at], ARGV[at + 1]
    local mode, path = byte(target), sub(target, 2)
    local ticket = string.format('%016d', head[2] + i + 1)
    local member, node = 'hr' .. path .. '/s' .. ticket .. id, '\1\0\0\0\0\0\0\0'
    if mode == 87 then
      member, node, head[4] = 'hw' .. path .. '/s' .. ticket .. id, '\0\0\1\0\0\0\0\0', head[4] + 1
    elseif mode == 119 then
      member, node, head[4] = 'hw' .. path .. '/n' .. ticket .. id, '\0\0\0\1\0\0\0\0', head[4] + 1
    elseif mode == 114 then
      member, node, head[3] = 'hr' .. path .. '/n' .. ticket .. id, '\0\1\0\0\0\0\0\0', head[3] + 1
    else
      head[3] = head[3] + 1
    end
    if stays_fresh then
      head[#head + 1] = member
      head[#head + 1] = deadline
    else
      index[2 * i + 1], index[2 * i + 2] = 0, member
      deadlines[2 * i + 1], deadlines[2 * i + 2] = deadline, 'h' .. id
    end
    hash[4 * i + 3], hash[4 * i + 4] = fields[2 * i + 3], node
    hash[4 * i + 5] = fields[2 * i + 2]
    hash[4 * i + 6] = pack('h', ticket, first + i, now, ttl, ARGV[1], ARGV[4], '', 1, target)
    i = i + 1
  end
  local extend = deadline + minute > head[9] or not (stays_fresh or indexed)
  if extend then
    head[9] = math.max(head[9], deadline + 2 * minute)
  end
  if head[8] == 0 or deadline < head[8] then
    head[8] = deadline
  end
  head[1], head[2], head[10], head[11] = first + i - 1, head[2] + i, shallow, deep
  hash[2] = pack(unpack(head))
  if not stays_fresh then
    -- Sorted sets that are new have no stamp yet, and no expiry.
    if not indexed then
      index[2 * i + 1], index[2 * i + 2] = 0, '!' .. KEYS[1]
      deadlines[2 * i + 1], deadlines[2 * i + 2] = 'inf', '!' .. KEYS[1]
    end
    call('ZADD', KEYS[2], unpack(index))
    call('ZADD', KEYS[3], unpack(deadlines))
  end
  call('HSET', KEYS[1], unpack(hash))
  if extend then
    local expiry = math.ceil(head[9] / 1000)
    call('PEXPIREAT', KEYS[1], expiry)
    if indexed or not stays_fresh then
      call('PEXPIREAT', KEYS[2], expiry)
      call('PEXPIREAT', KEYS[3], expiry)
    end
  end
  return time[1] .. ' ' .. time[2] .. (first > now and string.format(' %.0f', first) or '')
end
