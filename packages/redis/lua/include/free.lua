--[[
The short way for what is most common: every request of the call is for one target, is not nested, and nothing at all is
near it; nobody waits in the namespace, and nothing is due. Then all are granted, as the rules would, with five commands
for the whole call and one for each request, and before any function is made.

It decides first and writes last. Where it does not apply, nothing was done, and the rest of the script starts anew.
]]
-- (Not for calls that are too large for the stack of Lua.)
if #ARGV < 4000 then
  local call, pack, sub, byte = redis.call, cmsgpack.pack, string.sub, string.byte
  local count = tonumber(ARGV[4])
  local found = call('HMGET', KEYS[1], 'm', unpack(ARGV, 6, 5 + count))
  local last_token, last_ticket, held_r, held_w, waits, nested, pending, due, keep = 0, 0, 0, 0, 0, 0, 0, 0, 0
  local free = true
  if found[1] then
    last_token, last_ticket, held_r, held_w, waits, nested, pending, due, keep = cmsgpack.unpack(found[1])
  else
    free = call('EXISTS', KEYS[2], KEYS[3]) == 0
  end
  local time = call('TIME')
  local now = time[1] * 1000000 + time[2]
  free = free and waits == 0 and pending == 0 and (due == 0 or due > now) and now <= tonumber(ARGV[3])
  -- The fields and then the requests; the nodes of this call's own requests, above them (1) and their own (2).
  local field, at, mine = 6, 6 + count, {}
  while free and at <= #ARGV do
    if ARGV[at + 2] ~= 's' then
      free = false
      break
    end
    local target = ARGV[at + 3]
    local own = 'n' .. sub(target, 2)
    if found[field - 4] then
      free = false
    end
    field = field + 1
    repeat
      local node = ARGV[field]
      if found[field - 4] or mine[node] == 2 or node == own and mine[node] then
        free = false
      end
      mine[node] = node == own and 2 or 1
      field = field + 1
    until node == own
    local mode = byte(target)
    if free and mode < 97 then
      local path = sub(target, 2)
      -- What is below: anything for the exclusive modes (87 is W), else what is exclusive.
      if held_w > 0 and call('ZLEXCOUNT', KEYS[2], '[hw' .. path, '(hw' .. path .. '\255') > 0
        or mode == 87 and held_r > 0 and call('ZLEXCOUNT', KEYS[2], '[hr' .. path, '(hr' .. path .. '\255') > 0
      then
        free = false
      end
    end
    at = at + 4
  end
  if free then
    local index, deadlines, hash, answers, minute = {}, {}, { 'm', '' }, { now, 0, '' }, 60000000
    local i, latest = 0, 0
    for at = 6 + count, #ARGV, 4 do
      local id, ttl, target = ARGV[at], tonumber(ARGV[at + 1]), ARGV[at + 3]
      local mode, path = byte(target), sub(target, 2)
      local deadline = now + ttl * 1000
      local ticket = string.format('%016d', last_ticket + i + 1)
      local member, node = 'hr' .. path .. '/s' .. ticket .. id, '\1\0\0\0\0\0\0\0\0\0'
      if mode == 87 then
        member, node, held_w = 'hw' .. path .. '/s' .. ticket .. id, '\0\0\1\0\0\0\0\0\0\0', held_w + 1
      elseif mode == 119 then
        member, node, held_w = 'hw' .. path .. '/n' .. ticket .. id, '\0\0\0\1\0\0\0\0\0\0', held_w + 1
      elseif mode == 114 then
        member, node, held_r = 'hr' .. path .. '/n' .. ticket .. id, '\0\1\0\0\0\0\0\0\0\0', held_r + 1
      else
        held_r = held_r + 1
      end
      last_token = last_token < now and now or last_token + 1
      index[2 * i + 1], index[2 * i + 2] = 0, member
      deadlines[2 * i + 1], deadlines[2 * i + 2] = deadline, 'h' .. id
      hash[4 * i + 3], hash[4 * i + 4] = 'n' .. path, node
      hash[4 * i + 5] = 'r' .. id
      hash[4 * i + 6] = pack('h', ticket, last_token, now, ttl, ARGV[1], ARGV[5], '', 1, target)
      answers[3 * i + 4], answers[3 * i + 5], answers[3 * i + 6] = 1, last_token, deadline
      i = i + 1
      if deadline > latest then
        latest = deadline
      end
      if due == 0 or deadline < due then
        due = deadline
      end
    end
    local extend = latest + minute > keep
    if extend then
      keep = latest + 2 * minute
    end
    hash[2] = pack(last_token, last_ticket + i, held_r, held_w, 0, 0, 0, due, keep)
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
