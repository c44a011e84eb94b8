--[[
What ends by itself: leases and waiting requests at their deadline, the keys some time after the last one.
]]
-- Drops what has expired, and lets in those who waited for it: no more than so many in one call.
local function expire()
  if head.due ~= 0 and head.due <= now then
    flush(deadlines)
    local members = call('ZRANGEBYSCORE', deadlines_key, '-inf', digits(now), 'LIMIT', '0', '32')
    local following = call('ZRANGE', deadlines_key, #members, #members, 'WITHSCORES')
    head.due = following[1] ~= stamp and tonumber(following[2]) or 0
    local fields = {}
    for i = 1, #members do
      fields[i] = 'r' .. sub(members[i], 2)
    end
    load(fields)
    for i = 1, #members do
      local id = sub(members[i], 2)
      local record = record_of(id)
      if record and record.state == sub(members[i], 1, 1) then
        tell_owner(record, record.state == 'h' and 'e' or 'x')
        drop(record)
      else
        return give_up()
      end
    end
  end
  settle()
end

-- Whether more has to be looked at than one call may.
local function is_more() return head.marks > 0 or head.due ~= 0 and head.due <= now end
