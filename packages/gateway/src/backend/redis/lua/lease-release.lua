-- Gives a lease back, and announces that, so that waiting nodes need not poll.
--
-- KEYS   lease
-- ARGV   owner, token, channel
-- Gives  1 if the owner held it with this token; else 0, and nothing changes

local held = redis.call('HMGET', KEYS[1], 'owner', 'token')
if held[1] ~= ARGV[1] or held[2] ~= ARGV[2] then return 0 end
redis.call('DEL', KEYS[1])
redis.call('SPUBLISH', ARGV[3], 'released')
return 1
