-- A request as it is shown: id, state, ticket, token, since, deadline (microseconds), blocker, holder, the
-- number of targets, the targets, the enclosing leases.
local function describe(id, record)
  local shown = {
    id,
    record[STATE],
    record[TICKET],
    record[TOKEN],
    record[SINCE],
    deadline_of(record[STATE], id),
    record[BLOCKER],
    record[HOLDER],
    #record[TARGETS]
  }
  for i = 1, #record[TARGETS] do
    shown[#shown + 1] = record[TARGETS][i]
  end
  for i = 1, #record[WITHIN] do
    shown[#shown + 1] = record[WITHIN][i]
  end
  return shown
end
