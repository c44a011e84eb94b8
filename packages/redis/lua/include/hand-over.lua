--[[
The short ways for what is most common. Nobody waits in the namespace, and all that is live of what the call names are leases:
these end. Or somebody waits, and the call names one lease on one exclusive target, for which the next in its queue wants just
the same: the lease is handed over. Like free.lua this decides first and writes last, before any function is made; where it
does not apply, nothing was done.

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
  local plain = head and head[7] == 0 and (head[8] == 0 or head[8] > now) and tonumber(ARGV[3])
  local short_answer = time[1] .. ' ' .. time[2]
  -- By hand or by another name, or restored: who owns it is left to the rest of the script.
  for i = 1, plain and count or 0 do
    if found[i] and find(found[i], '\0/', 1, true) or not found[i] and find(ARGV[i + 3], '[!/]') then
      plain = false
      break
    end
  end

  if plain and head[5] == 0 then
    -- One region is held (3, 4): it is this lease's. Nothing is left.
    if count == 1 and found[1] and head[3] + head[4] == 1 and head[1] < now then
      if #head > 11 then
        -- It is fresh, so there are no sorted sets.
        call('DEL', KEYS[1])
      else
        call('DEL', KEYS[1], KEYS[2], KEYS[3])
      end
      return short_answer
    end
    local answers, released, slots, index, deadlines, live = { now, 0, '' }, {}, {}, {}, {}, {}
    local fresh = #head
    fields = {}
    for i = 1, count do
      local id = ARGV[i + 3]
      answers[i + 3] = 0
      if found[i] and not live[id] then
        local record = { unpack_values(found[i]) }
        answers[i + 3], live[id] = 1, true
        released[#released + 1] = 'r' .. id
        local entries = #index
        for t = 10, 9 + record[9] do
          local mode, path = byte(record[t]), sub(record[t], 2)
          local slot, mark, access = mode < 97 and 1 or 2, mode < 97 and '/s' or '/n', 'hr'
          if mode == 87 or mode == 119 then
            slot, access, head[4] = slot + 2, 'hw', head[4] - 1
          else
            head[3] = head[3] - 1
          end
          local member, at = access .. path .. mark .. record[2] .. id, 12
          -- One that is fresh is only in the head.
          while at < fresh and head[at] ~= member do
            at = at + 2
          end
          if at < fresh then
            head[at], head[at + 1] = head[fresh - 1], head[fresh]
            head[fresh - 1], head[fresh], fresh = nil, nil, fresh - 2
          else
            index[#index + 1] = member
          end
          fields[#fields + 1], slots[#fields + 1] = 'n' .. path, slot
        end
        if #index > entries then
          deadlines[#deadlines + 1] = 'h' .. id
        end
      end
    end
    local answer = #released == count and short_answer or answers
    if #released == 0 then
      return answers
    elseif head[3] + head[4] == 0 and head[1] < now then
      -- These were all there were.
      if #index > 0 then
        call('DEL', KEYS[1], KEYS[2], KEYS[3])
      else
        call('DEL', KEYS[1])
      end
      return answer
    elseif head[3] + head[4] > 0 and #fields < 3000 then
      local raw, changed = call('HMGET', KEYS[1], unpack(fields)), {}
      for i = 1, #fields do
        local node = changed[fields[i]] or { unpack_values(raw[i]) }
        node[slots[i]] = node[slots[i]] - 1
        changed[fields[i]] = node
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
      if #index > 0 and 2 * (head[3] + head[4]) == #head - 11 then
        -- What is left is fresh.
        call('DEL', KEYS[2], KEYS[3])
      elseif #index > 0 then
        call('ZREM', KEYS[2], unpack(index))
        call('ZREM', KEYS[3], unpack(deadlines))
      end
      call('HSET', KEYS[1], unpack(hash))
      return answer
    end
  elseif plain and count == 1 and not found[1] then
    return { now, 0, '', 0 }
  elseif plain and count == 1 and head[6] == 0 then
    -- No nested request waits (6), and the lease itself is not nested: there is nothing behind its only target.
    local state, ticket, _, _, _, _, _, _, targets, target, more = unpack_values(found[1])
    local mode, prefix = byte(target), 'w' .. ARGV[4] .. '/'
    local watchers = state == 'h'
      and targets == 1
      and not more
      and (mode == 87 or mode == 119)
      and call('ZRANGEBYLEX', KEYS[2], '[' .. prefix, '(' .. prefix .. '\255', 'LIMIT', 0, 2)
    if watchers and #watchers == 1 then
      local tail, path, at, depth = sub(watchers[1], #prefix + 1), sub(target, 2), 0, 0
      local id, own = sub(tail, 17), path .. (mode == 87 and '/s' or '/n')
      -- What it waits inside of, and the nodes whose subtree may be held.
      local waits_in = { watchers[1], 'qw' .. own .. tail }
      fields = { 'n' .. path, 'r' .. id }
      while at and at < #path do
        local higher = sub(path, 1, at)
        waits_in[depth + 3] = 'qw' .. higher .. '/b' .. tail
        if depth >= head[10] then
          fields[#fields + 1] = 'n' .. higher
        end
        depth = depth + 1
        at = find(path, '/', at + 1, true)
      end
      local raw = call('HMGET', KEYS[1], unpack(fields))
      local r, s, w, x, qr, qs, qw, qx = unpack_values(raw[1])
      local _, its_ticket, _, _, ttl, client, holder, _, its_targets, its_target, its_more = unpack_values(raw[2])
      local is_next = its_targets == 1 and its_target == target and not its_more and r + s + w + x == 1
      for i = 3, #fields do
        is_next = is_next and not raw[i]
      end
      -- Is the lease fresh, and is another that is below the node?
      local fresh, member, others = nil, 'hw' .. own .. ticket .. ARGV[4], head[3] + head[4] - 1
      local below = mode == 87 and others > 0 and depth < head[11]
      for i = 12, #head, 2 do
        if head[i] == member then
          fresh = i
        elseif below and sub(head[i], 3, 2 + #path) == path then
          is_next = false
        end
      end
      local entered = 2 * (others + 1) > #head - 11
      if is_next and below and entered then
        is_next = call('ZSCORE', KEYS[2], '!' .. KEYS[1])
          and call('ZLEXCOUNT', KEYS[2], '[hw' .. path, '(hw' .. path .. '\255') == (fresh and 0 or 1)
          and (head[3] == 0 or call('ZLEXCOUNT', KEYS[2], '[hr' .. path, '(hr' .. path .. '\255') == 0)
      end
      if is_next then
        local deadline, token, minute = now + ttl * 1000, head[1] < now and now or head[1] + 1, 60000000
        local stays_fresh = fresh or #head <= 25
        if stays_fresh then
          at = fresh or #head + 1
          head[at], head[at + 1] = 'hw' .. own .. tail, deadline
        end
        head[1], head[5] = token, head[5] - 1
        local extend = deadline + minute > head[9]
        if extend then
          head[9] = deadline + 2 * minute
        end
        if deadline < head[8] then
          head[8] = deadline
        end
        if mode == 87 then
          qw = qw - 1
        else
          qx = qx - 1
        end
        -- A removal first: what has removed something may go on to write when memory is short.
        call('HDEL', KEYS[1], 'r' .. ARGV[4])
        call('HSET', KEYS[1], 'm', pack(unpack(head)), fields[1], pack(r, s, w, x, qr, qs, qw, qx), fields[2],
          pack('h', its_ticket, token, now, ttl, client, holder, '', 1, target))
        if not stays_fresh then
          call('ZADD', KEYS[2], 0, 'hw' .. own .. tail)
          call('ZADD', KEYS[3], deadline, 'h' .. id)
        end
        if head[5] == 0 and 2 * (head[3] + head[4]) == #head - 11 then
          -- What is left is fresh.
          call('DEL', KEYS[2], KEYS[3])
        elseif fresh then
          call('ZREM', KEYS[3], 'q' .. id)
          call('ZREM', KEYS[2], unpack(waits_in))
        else
          waits_in[#waits_in + 1] = member
          call('ZREM', KEYS[3], 'q' .. id, 'h' .. ARGV[4])
          call('ZREM', KEYS[2], unpack(waits_in))
        end
        --@include expiry
        local event = 'g ' .. id .. (token > now and string.format(' %.0f', token) or '')
        if client == ARGV[1] then
          return short_answer .. '\n' .. event
        end
        call('PUBLISH', ARGV[2] .. client, string.format('%.0f\n', now) .. event)
        return short_answer
      end
    end
  end
end
