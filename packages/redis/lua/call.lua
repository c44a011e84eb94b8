--[[
What one call has: the keys, who calls, the time. Every operation gets

keys       table, index, deadlines: see table.lua and sets.lua
args[1..3] the id of the calling client; the prefix of the clients' channels; the time after which the command is late and must do
           nothing, and behind it, after a space, the greatest token that the client has seen, when the clock may be behind that:
           what is granted gets a greater one. What the operation takes follows
]]
-- In Redis 7.0 none of these is there while a library loads: they are taken on the first call.
local call, pack, unpack_values, sub, find, gmatch, format, to_json

local table_key, index_key, deadlines_key, stamp
local client, channels, is_late, token_floor
local now, seconds, micros

local take_tools
local function begin_call(keys, args)
  if not call then take_tools() end
  table_key, index_key, deadlines_key = keys[1], keys[2], keys[3]
  stamp, client, channels = '!' .. table_key, args[1], args[2]
  local time = call('TIME')
  seconds, micros = time[1], time[2]
  now = seconds * 1000000 + micros
  local space = find(args[3], ' ', 1, true)
  is_late = now > tonumber(space and sub(args[3], 1, space - 1) or args[3])
  token_floor = space and tonumber(sub(args[3], space + 1)) or 0
end

local function refuse(reason) error(reason, 0) end

-- A whole number as text: Lua itself would round a time to 14 digits. Numbers go to the server as text, as it is slow in
-- making one of them.
local function digits(number) return format('%.0f', number) end

-- Calls a command with the first `count` of some arguments, in pieces that the stack of Lua can hold.
local piece = 4000
local function call_with(command, key, arguments, count)
  for from = 1, count, piece do
    call(command, key, unpack(arguments, from, math.min(from + piece - 1, count)))
  end
end
