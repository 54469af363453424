-- Claims names of a group. Expired claims are deleted, some in each run.
--
-- KEYS   owners, expiry times
-- ARGV   owner, ttl in ms (0 gives the names up), names
-- Gives  for each name 1 if it is this owner's now, else 0

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local ttl = tonumber(ARGV[2])
for _, name in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', now, 'LIMIT', 0, 200)) do
  redis.call('ZREM', KEYS[2], name)
  redis.call('HDEL', KEYS[1], name)
end
local mine = {}
for i = 3, #ARGV do
  local name = ARGV[i]
  local owner = redis.call('HGET', KEYS[1], name)
  if owner and owner ~= ARGV[1] and tonumber(redis.call('ZSCORE', KEYS[2], name) or '0') > now then
    mine[#mine + 1] = 0
  else
    mine[#mine + 1] = 1
    if ttl > 0 then
      redis.call('HSET', KEYS[1], name, ARGV[1])
      redis.call('ZADD', KEYS[2], now + ttl, name)
    else
      redis.call('HDEL', KEYS[1], name)
      redis.call('ZREM', KEYS[2], name)
    end
  end
end
redis.call('PEXPIRE', KEYS[1], math.max(60000, ttl * 2))
redis.call('PEXPIRE', KEYS[2], math.max(60000, ttl * 2))
return mine
