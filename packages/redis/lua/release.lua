--[[
Ends leases, and takes waiting requests out of the queue.

KEYS, ARGV[1..3]: see include/state.lua (it is never late)
ARGV[4..]  ids
Returns    {now, more, events}, then for each id 1 when it was live, else 0
]]
do
  -- The short way: all that is live are leases, and nobody waits. Before any function is made; see include/free.lua.
  local call, pack, unpack_values, sub, byte = redis.call, cmsgpack.pack, cmsgpack.unpack, string.sub, string.byte
  local fields = {}
  for at = 4, #ARGV do
    fields[at - 3] = 'r' .. ARGV[at]
  end
  local count = #fields
  fields[count + 1] = 'm'
  local found = call('HMGET', KEYS[1], unpack(fields))
  local time = call('TIME')
  local now = time[1] * 1000000 + time[2]
  local head = found[count + 1] and { unpack_values(found[count + 1]) }
  -- Nobody waits (5), nothing is left to look at (7), nothing is due (8).
  if head and head[5] == 0 and head[7] == 0 and (head[8] == 0 or head[8] > now) then
    local answers, released, nodes, index, deadlines = { now, 0, '' }, {}, {}, {}, {}
    fields = {}
    for i = 1, count do
      local id = ARGV[i + 3]
      answers[i + 3] = 0
      if found[i] and not released[id] then
        local record = { unpack_values(found[i]) }
        answers[i + 3], released[id] = 1, true
        released[#released + 1] = 'r' .. id
        deadlines[#deadlines + 1] = 'h' .. id
        for t = 10, 9 + record[9] do
          local mode, path = byte(record[t]), sub(record[t], 2)
          local slot, mark = mode < 97 and 1 or 2, mode < 97 and '/s' or '/n'
          local access = 'hr'
          if mode == 87 or mode == 119 then
            slot, access, head[4] = slot + 2, 'hw', head[4] - 1
          else
            head[3] = head[3] - 1
          end
          index[#index + 1] = access .. path .. mark .. record[2] .. id
          fields[#fields + 1] = 'n' .. path
          nodes[#fields] = slot
        end
      end
    end
    if #released == 0 then
      return answers
    end
    if head[3] + head[4] > 0 and #index < 4000 then
      local raw, changed = call('HMGET', KEYS[1], unpack(fields)), {}
      for i = 1, #fields do
        local field = fields[i]
        local node = changed[field] or { unpack_values(raw[i]) }
        node[nodes[i]] = node[nodes[i]] - 1
        changed[field] = node
      end
      local hash = { 'm', pack(unpack(head)) }
      for field, node in pairs(changed) do
        if node[1] + node[2] + node[3] + node[4] == 0 then
          released[#released + 1] = field
        else
          hash[#hash + 1] = field
          hash[#hash + 1] = pack(unpack(node))
        end
      end
      call('ZREM', KEYS[2], unpack(index))
      call('ZREM', KEYS[3], unpack(deadlines))
      call('HDEL', KEYS[1], unpack(released))
      call('HSET', KEYS[1], unpack(hash))
      return answers
    elseif head[3] + head[4] == 0 and head[1] < now then
      -- These were all there were.
      call('DEL', KEYS[1], KEYS[2], KEYS[3])
      return answers
    end
  end
end
--@include state
--@include rules
--@include rest
local fields = {}
for at = 4, #ARGV do
  fields[at - 3] = 'r' .. ARGV[at]
end
begin(fields)
local answers, nodes, live = {}, {}, {}
for at = 4, #ARGV do
  -- The same id may stand here twice.
  local record = not live[ARGV[at]] and cache['r' .. ARGV[at]]
  answers[at] = record and 1 or 0
  if record then
    live[ARGV[at]] = true
    for i = N + 1, N + record[N] do
      nodes[#nodes + 1] = 'n' .. sub(record[i], 2)
    end
  end
end
if #nodes > 0 then
  load(nodes)
  for at = 4, #ARGV do
    local record = cache['r' .. ARGV[at]]
    if record then
      if record[STATE] == 'q' then
        F.rest()
        F.tell(record[CLIENT], 'k ' .. ARGV[at])
      end
      drop(ARGV[at], record)
    end
  end
  F.rest()
  F.settle()
end
save()
return answer(answers)
