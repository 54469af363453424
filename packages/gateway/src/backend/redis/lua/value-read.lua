-- Reads the value of a topic.
--
-- KEYS   value
-- Gives  its fields, and the server's time in ms

local time = redis.call('TIME')
local stored = redis.call('HMGET', KEYS[1], 'epoch', 'sequence', 'hash', 'changedAt', 'checkedAt', 'body', 'reason', 'absentFor', 'staleAt')
stored[10] = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
return stored
