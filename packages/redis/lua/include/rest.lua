--[[
What is seldom needed, or only when requests wait: made when it is first asked for.
]]
function F.rest()
  F.rest = function() end

  function F.record(id)
    local field = 'r' .. id
    if cache[field] == nil then
      load({ field })
    end
    return cache[field]
  end

  -- Writes the deadlines, removals first. What was added is added again at the end, in case it was changed since.
  function F.flush_deadlines()
    F.call_all('ZREM', deadlines_key, deadline_removals)
    deadline_removals = {}
    if #deadline_additions > 0 then
      F.call_all('ZADD', deadlines_key, deadline_additions)
    end
  end

  -- A key is lost, or not the one it was: what is left of the table holds nothing. Who has a lease learns so at the next refresh, and who waits asks
  -- again after the next look. Only tokens must not fall.
  function F.give_up()
    call('DEL', table_key, index_key, deadlines_key)
    for field in pairs(cache) do
      cache[field] = false
    end
    dirty, index_changes, deadline_removals, deadline_additions, gone = {}, {}, {}, {}, {}
    held_r, held_w, waits, nested, pending, due, keep, shallow, deep = 0, 0, 0, 0, 0, 0, 0, 999, 0
    changed, stamped = true, false
  end

  function F.set_deadline(member, deadline)
    deadline_additions[#deadline_additions + 1] = deadline
    deadline_additions[#deadline_additions + 1] = member
    changed = true
    if due == 0 or deadline < due then
      due = deadline
    end
  end

  local scores = {}
  function F.deadline_of(id)
    local record = F.record(id)
    if not record then
      return now
    end
    -- One that was set by this script is not written yet.
    local member = record[STATE] .. id
    for i = #deadline_additions, 2, -2 do
      if deadline_additions[i] == member then
        return deadline_additions[i - 1]
      end
    end
    if scores[member] == nil then
      scores[member] = call('ZSCORE', deadlines_key, member)
    end
    return scores[member] and tonumber(scores[member]) or now
  end

  -- When the clock was set back, a deadline may be later than the ttl from now on. Nobody waits so long for one that is gone.
  function F.limit(id)
    local record = F.record(id)
    local latest = record and now + record[TTL] * 1000
    if record and F.deadline_of(id) > latest then
      F.set_deadline(record[STATE] .. id, latest)
    end
  end

  -- The deadline of a lease is earlier than it was: those who watch it meant to look later.
  function F.sooner(id)
    if waits > 0 then
      local prefix = 'w' .. id .. '/'
      F.flush_index('w')
      local watchers = call('ZRANGEBYLEX', index_key, '[' .. prefix, '(' .. prefix .. '\255', 'LIMIT', 0, 64)
      for i = 1, #watchers do
        local watcher = sub(watchers[i], #prefix + 17)
        local record = F.record(watcher)
        if record then
          F.tell(record[CLIENT], 'l ' .. watcher)
        end
      end
    end
  end

  -- Tells a client of something that happened to a request of its: the caller in the answer, others by a message.
  function F.tell(client, text)
    local box
    if client == ARGV[1] then
      own_events = own_events or {}
      box = own_events
    else
      outbox = outbox or {}
      outbox[client] = outbox[client] or {}
      box = outbox[client]
    end
    box[#box + 1] = text
  end

  -- What a lease is named by: `id`, by its owner, who has the same name; `id/owner`; or `!id`, by hand. Answers with the id,
  -- and the owner unless it is by hand.
  function F.named(name)
    if byte(name) == 33 then
      return sub(name, 2), nil
    end
    local slash = string.find(name, '/', 1, true)
    if slash then
      return sub(name, 1, slash - 1), sub(name, slash + 1)
    end
    return name, name
  end

  -- Whose it is: the client, the owner; and, until the owner has refreshed it, whose it was before: the client, the owner, the
  -- deadline.
  function F.whose(id, record)
    local parts = {}
    for part in string.gmatch((record and record[CLIENT] or '') .. '\0/', '(.-)%z/') do
      parts[#parts + 1] = part
    end
    return parts[1], parts[2] or id, parts[3], parts[4], parts[5]
  end

  -- The same, the other way round.
  function F.owned(id, client, owner)
    return owner == id and client or client .. '\0/' .. owner
  end

  -- `nil` is by hand, whoever the owner is.
  function F.is_owner(owner, id, record)
    if not owner then
      return true
    end
    local _, its_owner = F.whose(id, record)
    return owner == its_owner
  end

  -- Tells the owner of a lease what became of it.
  function F.tell_owner(letter, id, record)
    local client, owner = F.whose(id, record)
    F.tell(client, letter .. ' ' .. id .. (owner == id and '' or ' ' .. owner))
  end

  function F.publish()
    for client, box in pairs(outbox) do
      call('PUBLISH', ARGV[2] .. client, string.format('%.0f\n', now) .. table.concat(box, '\n'))
    end
  end

  -- A request as it is shown: id, state, ticket, token, since, deadline, blocker, holder, the number of targets, the
  -- targets, the enclosing leases.
  function F.describe(id)
    local record = F.record(id)
    local shown = {
      id,
      record[STATE],
      tonumber(record[TICKET]),
      record[TOKEN],
      record[SINCE],
      F.deadline_of(id),
      record[BLOCKER],
      record[HOLDER]
    }
    for i = N, #record do
      shown[i] = record[i]
    end
    return shown
  end

  -- The enclosing leases of a request, as a set.
  function F.enclosing(record)
    local enclosing = {}
    for i = N + record[N] + 1, #record do
      enclosing[record[i]] = true
    end
    return enclosing
  end

  -- The id of the first lease under a prefix of the index that is not waived.
  function F.first(prefix, waived)
    local from, to, offset, page = '[' .. prefix, '(' .. prefix .. '\255', 0, waived and 32 or 1
    F.flush_index(sub(prefix, 1, 1))
    while true do
      local members = call('ZRANGEBYLEX', index_key, from, to, 'LIMIT', offset, page)
      for i = 1, #members do
        -- Behind the last slash: a mark, a ticket of 16 digits, the id.
        local id = sub(string.match(members[i], '^.*/(.*)$'), 18)
        if not (waived and waived[id]) then
          return id
        end
      end
      if #members < page then
        return nil
      end
      offset = offset + page
    end
  end

  -- Drops what has expired, and lets in those who waited for it: no more than so many in one script.
  function F.sweep()
    local limit = 32
    if due ~= 0 and due <= now then
      local members = call('ZRANGEBYSCORE', deadlines_key, '-inf', string.format('%.0f', now), 'LIMIT', 0, limit)
      local next = call('ZRANGE', deadlines_key, #members, #members, 'WITHSCORES')
      due = next[2] and next[1] ~= stamp and tonumber(next[2]) or 0
      changed = true
      for i = 1, #members do
        local id = sub(members[i], 2)
        local record = F.record(id)
        if record and record[STATE] == sub(members[i], 1, 1) then
          if record[STATE] == 'h' then
            F.tell_owner('e', id, record)
          else
            F.tell(record[CLIENT], 'x ' .. id)
          end
          drop(id, record)
        else
          return F.give_up()
        end
      end
    end
    F.settle()
  end

  -- The latest waiting request before this one that conflicts with it.
  function F.earlier_waiting(record)
    local ticket, latest_ticket, latest = record[TICKET], 0, nil
    local function consider(list)
      F.flush_index('q')
      local member = call('ZREVRANGEBYLEX', index_key, '(' .. list .. ticket, '[' .. list, 'LIMIT', 0, 1)[1]
      local its_ticket = member and tonumber(sub(member, #list + 1, #list + 16))
      if member and its_ticket > latest_ticket then
        latest_ticket, latest = its_ticket, sub(member, #list + 17)
      end
    end
    local function consider_node(kind, path, subtree, alone)
      if subtree > 0 then
        consider(kind .. path .. '/s')
      end
      if alone > 0 then
        consider(kind .. path .. '/n')
      end
    end
    for i = N + 1, N + record[N] do
      local mode, path = byte(record[i]), sub(record[i], 2)
      local exclusive = mode == 87 or mode == 119
      local list = nodes_above(path)
      for j = 1, #list do
        local node = cache['n' .. list[j]]
        if node then
          consider_node('qw', list[j], node[7], 0)
          consider_node('qr', list[j], exclusive and node[5] or 0, 0)
        end
      end
      local node = cache['n' .. path]
      if node then
        consider_node('qw', path, node[7], node[8])
        if exclusive then
          consider_node('qr', path, node[5], node[6])
        end
      end
      if mode < 97 and #list < deep then
        consider('qw' .. path .. '/b')
        if exclusive then
          consider('qr' .. path .. '/b')
        end
      end
    end
    return latest
  end

  -- Enters (1) or removes (-1) what a request waits for, and what it waits inside of.
  function F.place_waiting(id, record, change)
    local tail, is_there = record[TICKET] .. id, change > 0
    for i = N + 1, N + record[N] do
      local mode, path = byte(record[i]), sub(record[i], 2)
      local exclusive, subtree = mode == 87 or mode == 119, mode < 97
      local kind, slot = exclusive and 'qw' or 'qr', exclusive and 7 or 5
      local list = above[path] or paths_above(path)
      F.index(kind .. path .. (subtree and '/s' or '/n') .. tail, is_there)
      count(path, subtree and slot or slot + 1, change)
      for j = 1, #list do
        F.index(kind .. list[j] .. '/b' .. tail, is_there)
      end
      deep = math.max(deep, #list)
    end
    local from = N + record[N] + 1
    for i = from, #record do
      F.index('n' .. record[i] .. '/' .. id, is_there)
    end
    waits = waits + change
    if from <= #record then
      nested = nested + change
    end
  end

  -- The ids from a lease to a lease that encloses the request, over what waits in each: the cycle that watching it
  -- closes. A nested request never watches a waiting one, so the walk sees nothing of the ordinary queue.
  function F.cycle_to(enclosing, blocker)
    local left, seen = 1000, {}
    local function walk(lease)
      -- One that is gone encloses nothing, even if those who watched it are still to be looked at.
      if seen[lease] or left <= 0 or not F.record(lease) then
        return nil
      end
      if enclosing[lease] then
        return { lease }
      end
      seen[lease] = true
      local prefix = 'n' .. lease .. '/'
      local inside = call('ZRANGEBYLEX', index_key, '[' .. prefix, '(' .. prefix .. '\255', 'LIMIT', 0, left)
      left = left - #inside
      for i = 1, #inside do
        local id = sub(inside[i], #prefix + 1)
        local record = F.record(id)
        local rest = record and record[BLOCKER] ~= '' and walk(record[BLOCKER])
        if rest then
          table.insert(rest, 1, id)
          table.insert(rest, 1, lease)
          return rest
        end
      end
      return nil
    end
    F.flush_index('n')
    return walk(blocker)
  end

  -- Sets what a waiting request watches. Answers with the cycle that this closes, if it does, the request first.
  function F.watch(id, record, blocker)
    record[BLOCKER] = blocker
    F.index('w' .. blocker .. '/' .. record[TICKET] .. id, true)
    set('r' .. id, record)
    local cycle = nested > 1 and #record > N + record[N] and F.cycle_to(F.enclosing(record), blocker)
    if cycle then
      table.insert(cycle, 1, id)
    end
    return cycle
  end

  -- Looks again at those who watched what is gone or has changed, in the order of their tickets, and grants what can be
  -- granted: no more than so many in one script; for the rest a mark is left.
  function F.settle(wanted)
    local left, queue, at, target_of = math.max(16, wanted or 0), {}, 1, {}
    local function gather(id, marked)
      local prefix = 'w' .. id .. '/'
      F.flush_index('w')
      local watchers = call('ZRANGEBYLEX', index_key, '[' .. prefix, '(' .. prefix .. '\255', 'LIMIT', 0, left + 1)
      local more = #watchers > left
      if more then
        watchers[#watchers] = nil
      end
      if #watchers > 0 then
        F.call_all('ZREM', index_key, watchers)
      end
      for i = 1, #watchers do
        queue[#queue + 1] = sub(watchers[i], #prefix + 1)
        target_of[queue[#queue]] = gone_target[id]
      end
      left = left - #watchers
      if more and not marked then
        -- It may have one already, when it was downgraded and is gone soon after.
        pending = pending + call('ZADD', index_key, 0, 'p' .. id)
      elseif marked and not more then
        pending = pending - call('ZREM', index_key, 'p' .. id)
      end
    end
    local function gather_gone()
      for i = 1, #gone do
        gather(gone[i], false)
      end
      gone = {}
      table.sort(queue)
      -- All that is going to be read of them at once.
      local fields = {}
      for i = at, #queue do
        fields[#fields + 1] = 'r' .. sub(queue[i], 17)
      end
      load(fields)
      fields = {}
      for i = at, #queue do
        local record = F.record(sub(queue[i], 17))
        if record then
          add_nodes(record, fields)
        end
      end
      load(fields)
    end
    if #gone == 0 and pending == 0 then
      return
    end
    changed = true
    if waits == 0 then
      call('ZREMRANGEBYLEX', index_key, '[p', '(p\255')
      gone, pending = {}, 0
      return
    end
    if pending > 0 then
      for _, mark in ipairs(call('ZRANGEBYLEX', index_key, '[p', '(p\255', 'LIMIT', 0, 16)) do
        gather(sub(mark, 2), true)
      end
    end
    gather_gone()
    while at <= #queue do
      local id, target = sub(queue[at], 17), target_of[queue[at]]
      local record = F.record(id)
      at = at + 1
      if record and record[STATE] == 'q' then
        local blocker = blocker_of(record, target and #record == N + 1 and record[N + 1] == target)
        if not blocker then
          F.place_waiting(id, record, -1)
          deadline_removals[#deadline_removals + 1] = 'q' .. id
          local deadline = grant(id, record)
          F.tell(record[CLIENT], string.format('g %s %.0f %.0f', id, record[TOKEN], deadline))
        else
          local cycle = F.watch(id, record, blocker)
          if cycle then
            F.tell(record[CLIENT], 'd ' .. table.concat(cycle, ' '))
            drop(id, record)
            -- Whoever watched it came later, so the order of the rest is all there is to keep.
            local rest = {}
            for i = at, #queue do
              rest[#rest + 1] = queue[i]
            end
            queue, at = rest, 1
            gather_gone()
          end
        end
      end
    end
  end
end
