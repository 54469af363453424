-- Takes a lease.
--
-- KEYS   lease, fence
-- ARGV   owner, ttl in ms, the largest token that the owner knows, the number of this request
-- Gives  {1, token} if the owner has it, or {0, ms} if another owner holds it for that long
--
-- The fence rises here, not when the holder publishes: from this moment on a former holder is refused. The number keeps an older
-- request of the same owner, delayed on a dead connection, from changing anything.

local held = redis.call('HMGET', KEYS[1], 'owner', 'token', 'request')
if held[1] and held[1] ~= ARGV[1] then return { 0, redis.call('PTTL', KEYS[1]) } end
if held[1] and tonumber(held[3]) >= tonumber(ARGV[4]) then return { 1, held[2] } end
local time = redis.call('TIME')
local fence = tonumber(redis.call('HGET', KEYS[2], 'token') or '0')
local token = math.max(time[1] * 1000000 + time[2], fence + 1, tonumber(ARGV[3]) + 1)
local text = string.format('%.0f', token)
redis.call('HSET', KEYS[1], 'owner', ARGV[1], 'token', text, 'request', ARGV[4])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
redis.call('HSET', KEYS[2], 'token', text)
redis.call('PEXPIRE', KEYS[2], math.max(86400000, tonumber(ARGV[2]) * 2))
return { 1, text }
