-- Second part of a log's script: appends an event, and publishes it.
--
-- ARGV   2 event, 3 how many events to keep, 4 for how long in ms, 5 channel
--        6 epoch, 7 offset: if given, the event is appended only if the newest event has this position
-- Gives  epoch and offset of the event, or nothing if it was not appended
--
-- A repeated run appends twice: if the reply is lost, the caller does not know whether the event was appended.

if ARGV[6] and (tonumber(ARGV[6]) ~= epoch or tonumber(ARGV[7]) ~= newest) then return {} end
newest = newest + 1
redis.call('XADD', KEYS[1], 'MAXLEN', '=', ARGV[3], number(newest) .. '-0', 'at', number(now), 'event', ARGV[2])
redis.call('HSET', KEYS[2], 'newest', number(newest), 'age', ARGV[4])
local keep = math.max(2592000000, tonumber(ARGV[4]) * 2)
redis.call('PEXPIRE', KEYS[1], keep)
redis.call('PEXPIRE', KEYS[2], keep)
redis.call('SPUBLISH', ARGV[5], table.concat({ number(epoch), number(newest), number(now) }, '\n') .. '\n' .. ARGV[2])
return { number(epoch), number(newest) }
