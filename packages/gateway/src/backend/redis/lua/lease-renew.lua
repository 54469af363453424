-- Extends a lease.
--
-- KEYS   lease
-- ARGV   owner, token, ttl in ms
-- Gives  1 if the owner holds it with this token, else 0

local held = redis.call('HMGET', KEYS[1], 'owner', 'token')
if held[1] ~= ARGV[1] or held[2] ~= ARGV[2] then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[3])
