--[[
A namespace in several partitions: each has three keys of its own, and is a table like any other. The table of the namespace itself then
holds no locks, but says how many partitions there are, where its head would be. So whoever goes by one partition, also with a library
that does not know of any others, is refused by all operations; and this one refuses those who would go by several while locks are
held, or waited for, in one.

args[4]    the number of partitions that the client goes by, more than one
Answers with the number that holds
]]
function operations.claim(args)
  forget()
  local noted = stored_head and { unpack_values(stored_head) }
  if noted and noted[1] == 'partitions' then
    new_head(0, 0, 0)
    stored_head, stored_young = nil, nil
    return { noted[2] }
  end
  begin(true)
  if head[SHARED] + head[EXCLUSIVE] + head[WAITING] > 0 then return { 1 } end
  save_nothing()
  -- Tokens that are ahead of the clock are kept for a while.
  local is_kept_for_tokens = call('EXISTS', table_key) == 1
  stored_head, stored_young = nil, nil
  if is_kept_for_tokens then return { 1 } end
  local number = tonumber(args[4])
  call('HSET', table_key, 'm', pack('partitions', number))
  return { number }
end
