-- A request as it is shown: id, state, ticket, token, since, deadline, blocker, holder, the number of targets, the
-- targets, the enclosing leases.
function S.describe(id, record)
  local shown = {
    id,
    record[STATE],
    tonumber(record[TICKET]),
    record[TOKEN],
    record[SINCE],
    S.deadline_of(record[STATE], id),
    record[BLOCKER],
    record[HOLDER]
  }
  for i = N, #record do
    shown[i] = record[i]
  end
  return shown
end
