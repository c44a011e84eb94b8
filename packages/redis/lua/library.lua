--[[
The lock table of @hilok/core, on the keys of one namespace: see docs/protocol.md. Its functions have the names of `LockTable`. What
stands before this text and behind it, when it is loaded as functions or run as a script, is in script.ts.

Times are in microseconds of the server's clock, ttls in milliseconds. Ids have no slash and no space.
]]
--@include call
--@include table
--@include modes
--@include sets
--@include held
--@include events
--@include owners
--@include conflicts
--@include kept
--@include deadlock
--@include queue
--@include expiry
--@include young
--@include save
--@include many
--@include acquire
--@include operations
--@include settle
--@include show
--@include partitions
--@include perform
