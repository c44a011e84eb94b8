--[[
The short way for what is most common: all that is live of what the call names are leases, and either nobody waits in the
namespace, or it is one lease on one exclusive target, for which the next in its queue wants just the same. Like free.lua it
decides first and writes last, before any function is made; where it does not apply, nothing was done.

The next in the queue is granted when no lease is in the way. No waiting request can be: one before it that conflicts with
it would conflict with the lease that ends, too; those before that lease would have kept it from being granted, and of
those behind it the next in the queue would watch the latest.

Calls that are too large for the stack of Lua do not go this way: 8,000 values, and each node may be written back with its
field.
]]
if #ARGV < 2000 then
  local call, pack, unpack_values, sub, byte, find = redis.call, cmsgpack.pack, cmsgpack.unpack, string.sub, string.byte, string.find
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
  -- Nothing is left to look at (7), nothing is due (8).
  if head and head[7] == 0 and (head[8] == 0 or head[8] > now) then
    -- One region is held (3, 4) and nobody waits (5): it is this lease's. Nothing is left.
    if count == 1 and found[1] and head[3] + head[4] == 1 and head[5] == 0 and head[1] < now then
      call('DEL', KEYS[1], KEYS[2], KEYS[3])
      return time[1] .. ' ' .. time[2]
    end
    local answers, released, nodes, index, deadlines = { now, 0, '' }, {}, {}, {}, {}
    local records, waits, is_short, fresh = {}, head[5] > 0, true, #head
    fields = {}
    for i = 1, count do
      local id = ARGV[i + 3]
      answers[i + 3] = 0
      if found[i] and not released[id] then
        local record = { unpack_values(found[i]) }
        if record[1] ~= 'h' then
          is_short = false
          break
        end
        records[#records + 1] = record
        answers[i + 3], released[id] = 1, true
        released[#released + 1] = 'r' .. id
        local entries = #index
        for t = 10, 9 + record[9] do
          local mode, path = byte(record[t]), sub(record[t], 2)
          local slot, mark = mode < 97 and 1 or 2, mode < 97 and '/s' or '/n'
          local access = 'hr'
          if mode == 87 or mode == 119 then
            slot, access, head[4] = slot + 2, 'hw', head[4] - 1
          else
            head[3] = head[3] - 1
          end
          local member = access .. path .. mark .. record[2] .. id
          -- One that is fresh is only in the head.
          local at = 12
          while at < fresh and head[at] ~= member do
            at = at + 2
          end
          if at < fresh then
            head[at], head[at + 1] = head[fresh - 1], head[fresh]
            head[fresh - 1], head[fresh], fresh = nil, nil, fresh - 2
          else
            index[#index + 1] = member
          end
          fields[#fields + 1] = 'n' .. path
          nodes[#fields] = slot
        end
        if #index > entries then
          deadlines[#deadlines + 1] = 'h' .. id
        end
      end
    end
    if is_short and #released == 0 then
      return answers
    end
    local held, short_answer = head[3] + head[4], #released == count and time[1] .. ' ' .. time[2]
    if is_short and waits then
      local record, slot = records[1], nodes[1]
      -- One lease, not nested, on one target (10), exclusive (3 and 4), and no nested request waits (6).
      is_short = #records == 1 and #record == 10 and slot > 2 and head[6] == 0
      local prefix = 'w' .. sub(released[1], 2) .. '/'
      local watchers = is_short and call('ZRANGEBYLEX', KEYS[2], '[' .. prefix, '(' .. prefix .. '\255', 'LIMIT', 0, 2)
      is_short = is_short and #watchers == 1
      if is_short then
        local tail, target = sub(watchers[1], #prefix + 1), record[10]
        local id, path, at, depth, above = sub(tail, 17), sub(target, 2), 0, 0, {}
        fields[2] = 'r' .. id
        -- What it waits inside of, and the nodes whose subtree may be held.
        while at and at < #path do
          local higher = sub(path, 1, at)
          above[#above + 1] = 'qw' .. higher .. '/b' .. tail
          if depth >= head[10] then
            fields[#fields + 1] = 'n' .. higher
          end
          depth = depth + 1
          at = find(path, '/', at + 1, true)
        end
        local raw = call('HMGET', KEYS[1], unpack(fields))
        local node, waiter = { unpack_values(raw[1]) }, { unpack_values(raw[2]) }
        is_short = #waiter == 10 and waiter[10] == target and node[1] + node[2] + node[3] + node[4] == 1
        for i = 3, #fields do
          is_short = is_short and not raw[i]
        end
        -- Below a subtree nothing else may be held.
        if is_short and slot == 3 and held > 0 and depth < head[11] then
          for i = 12, fresh, 2 do
            is_short = is_short and sub(head[i], 3, 2 + #path) ~= path
          end
          if is_short and 2 * held > fresh - 11 then
            is_short = (head[4] == 0 or call('ZLEXCOUNT', KEYS[2], '[hw' .. path, '(hw' .. path .. '\255') == #index)
              and (head[3] == 0 or call('ZLEXCOUNT', KEYS[2], '[hr' .. path, '(hr' .. path .. '\255') == 0)
          end
        end
        if is_short then
          local deadline, token, minute = now + waiter[5] * 1000, head[1] < now and now or head[1] + 1, 60000000
          local mark = slot == 3 and '/s' or '/n'
          waiter[1], waiter[3], waiter[4], waiter[8] = 'h', token, now, ''
          node[slot + 4] = node[slot + 4] - 1
          head[1], head[4], head[5] = token, head[4] + 1, head[5] - 1
          local extend = deadline + minute > head[9]
          if extend then
            head[9] = deadline + 2 * minute
          end
          if deadline < head[8] then
            head[8] = deadline
          end
          local member, sets = 'hw' .. path .. mark .. tail, fresh > 25
          if not sets then
            head[fresh + 1], head[fresh + 2] = member, deadline
          end
          -- A removal first: what has removed something may go on to write when memory is short. But what is added to
          -- the sorted sets comes before what is taken out, as one that becomes empty loses its expiry.
          call('HDEL', KEYS[1], released[1])
          call('HSET', KEYS[1], 'm', pack(unpack(head)), 'r' .. id, pack(unpack(waiter)), fields[1], pack(unpack(node)))
          if sets then
            call('ZADD', KEYS[2], 0, member)
            call('ZADD', KEYS[3], deadline, 'h' .. id)
          end
          index[#index + 1], deadlines[#deadlines + 1] = watchers[1], 'q' .. id
          above[#above + 1] = 'qw' .. path .. mark .. tail
          call('ZREM', KEYS[2], index[1], index[2] or index[1], unpack(above))
          call('ZREM', KEYS[3], unpack(deadlines))
          if extend then
            local expiry = math.ceil(head[9] / 1000)
            call('PEXPIREAT', KEYS[1], expiry)
            call('PEXPIREAT', KEYS[2], expiry)
            call('PEXPIREAT', KEYS[3], expiry)
          end
          local event = 'g ' .. id .. (token > now and string.format(' %.0f', token) or '')
          if waiter[6] ~= ARGV[1] then
            call('PUBLISH', ARGV[2] .. waiter[6], string.format('%.0f\n', now) .. event)
          elseif short_answer then
            return short_answer .. '\n' .. event
          else
            answers[3] = event
          end
          return short_answer or answers
        end
      end
    elseif is_short and held > 0 and #fields < 3000 then
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
      call('HDEL', KEYS[1], unpack(released))
      if #index > 0 then
        call('ZREM', KEYS[2], unpack(index))
        call('ZREM', KEYS[3], unpack(deadlines))
      end
      call('HSET', KEYS[1], unpack(hash))
      return short_answer or answers
    elseif is_short and held == 0 and head[1] < now then
      -- These were all there were.
      call('DEL', KEYS[1], KEYS[2], KEYS[3])
      return short_answer or answers
    end
  end
end
