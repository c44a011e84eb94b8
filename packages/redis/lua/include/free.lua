--[[
The short way for what is most common: every request of the call is simple (see acquire.lua), nothing at all is near it,
nobody waits in the namespace, and nothing is due. Then all are granted, as the rules would, with six commands for the whole
call and one for each request, and before any function is made.

It decides first and writes last. Where it does not apply, nothing was done, and the rest of the script starts anew.
]]
-- (Not for calls that are too large for the stack of Lua.)
if #ARGV < 2000 then
  local call, pack, sub, byte, find = redis.call, cmsgpack.pack, string.sub, string.byte, string.find
  local fields, requests, free = { 'm' }, 0, true
  for at = 6, #ARGV, 2 do
    if ARGV[at] == '' then
      free = false
      break
    end
    fields[requests + 2], fields[requests + 3] = 'r' .. ARGV[at], 'n' .. sub(ARGV[at + 1], 2)
    requests = requests + 2
  end
  local found = free and call('HMGET', KEYS[1], unpack(fields))
  local last_token, last_ticket, held_r, held_w, waits, nested, pending, due, keep, shallow =
    0, 0, 0, 0, 0, 0, 0, 0, 0, 999
  if free and found[1] then
    last_token, last_ticket, held_r, held_w, waits, nested, pending, due, keep, shallow = cmsgpack.unpack(found[1])
  elseif free then
    free = call('EXISTS', KEYS[2], KEYS[3]) == 0
  end
  local time = call('TIME')
  local now = time[1] * 1000000 + time[2]
  free = free and waits == 0 and pending == 0 and (due == 0 or due > now) and now <= tonumber(ARGV[3])

  -- The nodes of the requests (2) of this call, those above them (1), and the requests themselves.
  local mine, above = {}, {}
  for i = 2, requests, 2 do
    local id, own = fields[i], fields[i + 1]
    if not free or found[i] or found[i + 1] or mine[id] or mine[own] then
      free = false
      break
    end
    mine[id], mine[own] = true, 2
    local path, mode, at, depth = sub(own, 2), byte(ARGV[i + 5]), 0, 0
    while at and at < #path do
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
      depth = depth + 1
      at = find(path, '/', at + 1, true)
    end
    -- What is below: anything for W (87), what is exclusive for R (82). The nodes themselves are free.
    if mode < 97 then
      if held_w > 0 and call('ZLEXCOUNT', KEYS[2], '[hw' .. path, '(hw' .. path .. '\255') > 0
        or mode == 87 and held_r > 0 and call('ZLEXCOUNT', KEYS[2], '[hr' .. path, '(hr' .. path .. '\255') > 0
      then
        free = false
        break
      end
      if depth < shallow then
        shallow = depth
      end
    end
  end
  if free and #above > 0 then
    local higher = call('HMGET', KEYS[1], unpack(above))
    for i = 1, #above do
      if higher[i] then
        free = false
        break
      end
    end
  end
  if free then
    local ttl, minute = tonumber(ARGV[5]), 60000000
    local deadline, i = now + ttl * 1000, 0
    local index, deadlines, hash, answers = {}, {}, { 'm', '' }, { now, 0, '' }
    for at = 6, #ARGV, 2 do
      local id, target = ARGV[at], ARGV[at + 1]
      local mode, path = byte(target), sub(target, 2)
      local ticket = string.format('%016d', last_ticket + i + 1)
      local member, node = 'hr' .. path .. '/s' .. ticket .. id, '\1\0\0\0\0\0\0\0'
      if mode == 87 then
        member, node, held_w = 'hw' .. path .. '/s' .. ticket .. id, '\0\0\1\0\0\0\0\0', held_w + 1
      elseif mode == 119 then
        member, node, held_w = 'hw' .. path .. '/n' .. ticket .. id, '\0\0\0\1\0\0\0\0', held_w + 1
      elseif mode == 114 then
        member, node, held_r = 'hr' .. path .. '/n' .. ticket .. id, '\0\1\0\0\0\0\0\0', held_r + 1
      else
        held_r = held_r + 1
      end
      last_token = last_token < now and now or last_token + 1
      index[2 * i + 1], index[2 * i + 2] = 0, member
      deadlines[2 * i + 1], deadlines[2 * i + 2] = deadline, 'h' .. id
      hash[4 * i + 3], hash[4 * i + 4] = fields[2 * i + 3], node
      hash[4 * i + 5] = fields[2 * i + 2]
      hash[4 * i + 6] = pack('h', ticket, last_token, now, ttl, ARGV[1], ARGV[4], '', 1, target)
      answers[3 * i + 4], answers[3 * i + 5], answers[3 * i + 6] = 1, last_token, deadline
      i = i + 1
    end
    local extend = deadline + minute > keep
    if extend then
      keep = deadline + 2 * minute
    end
    if due == 0 or deadline < due then
      due = deadline
    end
    hash[2] = pack(last_token, last_ticket + i, held_r, held_w, 0, 0, 0, due, keep, shallow)
    call('ZADD', KEYS[2], unpack(index))
    call('ZADD', KEYS[3], unpack(deadlines))
    call('HSET', KEYS[1], unpack(hash))
    if extend then
      local expiry = math.ceil(keep / 1000)
      call('PEXPIREAT', KEYS[1], expiry)
      call('PEXPIREAT', KEYS[2], expiry)
      call('PEXPIREAT', KEYS[3], expiry)
    end
    return answers
  end
end
