-- The keys disappear some time after the last deadline; for the short ways.
if extend then
  local expiry = math.ceil(head[9] / 1000)
  call('PEXPIREAT', KEYS[1], expiry)
  call('PEXPIREAT', KEYS[2], expiry)
  call('PEXPIREAT', KEYS[3], expiry)
end
