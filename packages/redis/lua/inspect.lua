--[[
Shows the leases and waiting requests with a target at a path or below it, a page at a time.

KEYS, ARGV[1..3]: see include/state.lua
ARGV[4]    path
ARGV[5]    where to go on: the number of the kind of member, 1 at the start
ARGV[6]    and the member of the index to go on behind, or the empty string
Returns    {now, more, events, the two to go on with (0 and the empty string at the end), requests (describe)...}.
           A request may show once for each of its targets.
]]
--@include state
--@include rules
--@include rest
begin({})
save()
F.rest()
local page, shown, answers = 250, {}, { 0, 0, 0, 0, '' }
local kinds, behind = { 'hr', 'hw', 'qr', 'qw' }, ARGV[6]
for i = tonumber(ARGV[5]), #kinds do
  local prefix = kinds[i] .. ARGV[4]
  local from = behind == '' and '[' .. prefix or '(' .. behind
  local members = call('ZRANGEBYLEX', index_key, from, '(' .. prefix .. '\255', 'LIMIT', 0, page)
  for j = 1, #members do
    local last = string.match(members[j], '^.*/(.*)$')
    local id = sub(last, 18)
    -- A waiting region stands under the nodes above it, too.
    if sub(last, 1, 1) ~= 'b' and not shown[id] then
      shown[id] = true
      answers[#answers + 1] = F.describe(id)
    end
  end
  page = page - #members
  behind = ''
  if page == 0 then
    answers[4], answers[5] = i, members[#members]
    break
  end
end
return answer(answers)
