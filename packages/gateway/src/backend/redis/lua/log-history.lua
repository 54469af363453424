-- Second part of a log's script: reads the events after an offset.
--
-- ARGV   2 offset, 3 how many at most
-- Gives  epoch, newest offset, oldest offset, events

local first = redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', 1)[1]
local oldest = first and string.match(first[1], '^%d+') or number(newest + 1)
local events = {}
if tonumber(ARGV[3]) > 0 and tonumber(ARGV[2]) < newest then
  events = redis.call('XRANGE', KEYS[1], number(math.max(0, tonumber(ARGV[2])) + 1) .. '-0', '+', 'COUNT', ARGV[3])
end
return { number(epoch), number(newest), oldest, events }
