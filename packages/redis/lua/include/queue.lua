--[[
Those who wait: the queue, and deadlocks. The functions are made when they are first needed.
]]
function S.make_queue()
  if S.look_again then
    return
  end

  -- The latest waiting request before this one that conflicts with it.
  function S.earlier_waiting(record)
    local ticket, latest_ticket, latest = record[TICKET], '', nil
    local function consider(count, list)
      if count > 0 then
        local member = call('ZREVRANGEBYLEX', index_key, '(' .. list .. ticket, '[' .. list, 'LIMIT', 0, 1)[1]
        if member then
          local its_ticket = sub(member, #list + 1, #list + 16)
          if not latest or tonumber(its_ticket) > tonumber(latest_ticket) then
            latest_ticket, latest = its_ticket, sub(member, #list + 17)
          end
        end
      end
    end
    for i = N + 1, N + record[N] do
      local mode, path = sub(record[i], 1, 1), sub(record[i], 2)
      local exclusive = S.access[mode] == 'w'
      S.load_nodes(path)
      local above = S.above[path]
      for j = 1, #above do
        local node = S.nodes[above[j]]
        if node then
          consider(node[8], 'qw' .. above[j] .. '/s')
          if exclusive then
            consider(node[5], 'qr' .. above[j] .. '/s')
          end
        end
      end
      local node = S.nodes[path]
      if node then
        local subtree = S.mark[mode] == 's'
        consider(node[8], 'qw' .. path .. '/s')
        consider(node[9], 'qw' .. path .. '/n')
        consider(subtree and node[10] or 0, 'qw' .. path .. '/b')
        if exclusive then
          consider(node[5], 'qr' .. path .. '/s')
          consider(node[6], 'qr' .. path .. '/n')
          consider(subtree and node[7] or 0, 'qr' .. path .. '/b')
        end
      end
    end
    return latest
  end

  -- Enters (1) or removes (-1) what a request waits for, and what it waits inside of.
  function S.place_waiting(id, record, change)
    local tail, members = record[TICKET] .. id, {}
    for i = N + 1, N + record[N] do
      local mode, path = sub(record[i], 1, 1), sub(record[i], 2)
      local kind = 'q' .. S.access[mode]
      S.load_nodes(path)
      members[#members + 1] = kind .. path .. '/' .. S.mark[mode] .. tail
      S.count(path, kind .. S.mark[mode], change)
      for _, node in ipairs(S.above[path]) do
        members[#members + 1] = kind .. node .. '/b' .. tail
        S.count(node, kind .. 'b', change)
      end
    end
    local from = N + record[N] + 1
    for i = from, #record do
      members[#members + 1] = 'n' .. record[i] .. '/' .. id
    end
    S.waits = S.waits + change
    if from <= #record then
      S.nested = S.nested + change
    end
    if change < 0 then
      for i = 1, #members do
        S.index_removals[#S.index_removals + 1] = members[i]
      end
      return
    end
    local scored = {}
    for i = 1, #members do
      scored[2 * i - 1], scored[2 * i] = 0, members[i]
    end
    S.call_all('ZADD', index_key, scored)
  end

  -- The ids from a lease to a lease that encloses the request, over what waits in each: the cycle that watching it
  -- closes. A nested request never watches a waiting one, so the walk sees nothing of the ordinary queue.
  function S.cycle_to(enclosing, blocker)
    local left, seen = 1000, {}
    local function walk(lease)
      if enclosing[lease] then
        return { lease }
      end
      if seen[lease] or left <= 0 then
        return nil
      end
      seen[lease] = true
      local prefix = 'n' .. lease .. '/'
      local inside = call('ZRANGEBYLEX', index_key, '[' .. prefix, '(' .. prefix .. '\255', 'LIMIT', 0, left)
      left = left - #inside
      for i = 1, #inside do
        local id = sub(inside[i], #prefix + 1)
        local record = S.record(id)
        local rest = record and record[BLOCKER] ~= '' and walk(record[BLOCKER])
        if rest then
          table.insert(rest, 1, id)
          table.insert(rest, 1, lease)
          return rest
        end
      end
      return nil
    end
    return walk(blocker)
  end

  -- Sets what a waiting request watches. Answers with the cycle that this closes, if it does, the request first.
  function S.watch(id, record, blocker)
    record[BLOCKER] = blocker
    call('ZADD', index_key, 0, 'w' .. blocker .. '/' .. record[TICKET] .. id)
    S.set_record(id, record)
    local enclosing = S.nested > 1 and S.enclosing(record)
    local cycle = enclosing and S.cycle_to(enclosing, blocker)
    if cycle then
      table.insert(cycle, 1, id)
    end
    return cycle
  end

  -- In the order of their tickets, and no more than so many in one script; for the rest a mark is left.
  function S.look_again()
    local left, queue, at = 64, {}, 1
    local function gather(id, marked)
      local prefix = 'w' .. id .. '/'
      local watchers = call('ZRANGEBYLEX', index_key, '[' .. prefix, '(' .. prefix .. '\255', 'LIMIT', 0, left + 1)
      local more = #watchers > left
      if more then
        watchers[#watchers] = nil
      end
      if #watchers > 0 then
        S.call_all('ZREM', index_key, watchers)
      end
      for i = 1, #watchers do
        queue[#queue + 1] = sub(watchers[i], #prefix + 1)
      end
      left = left - #watchers
      if more and not marked then
        call('ZADD', index_key, 0, 'p' .. id)
        S.pending = S.pending + 1
      elseif marked and not more then
        call('ZREM', index_key, 'p' .. id)
        S.pending = S.pending - 1
      end
    end
    local function gather_gone()
      for i = 1, #S.gone do
        gather(S.gone[i], false)
      end
      S.gone = {}
      table.sort(queue)
    end
    if #S.gone == 0 and S.pending == 0 then
      return
    end
    S.changed = true
    S.flush_index()
    if S.pending > 0 then
      for _, mark in ipairs(call('ZRANGEBYLEX', index_key, '[p', '(p\255', 'LIMIT', 0, 16)) do
        gather(sub(mark, 2), true)
      end
    end
    gather_gone()
    while at <= #queue do
      local id = sub(queue[at], 17)
      local record = S.record(id)
      at = at + 1
      if record and record[STATE] == 'q' then
        local blocker = S.blocker_of(record)
        if not blocker then
          S.place_waiting(id, record, -1)
          S.deadline_removals[#S.deadline_removals + 1] = 'q' .. id
          local deadline = S.grant(id, record)
          S.tell(record[CLIENT], string.format('g %s %.0f %.0f', id, record[TOKEN], deadline))
        else
          local cycle = S.watch(id, record, blocker)
          if cycle then
            S.tell(record[CLIENT], 'd ' .. table.concat(cycle, ' '))
            S.drop(id, record)
            S.flush_index()
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
