-- Shares the pauses of an upstream that has no limits. A repeated run changes nothing: a pause is never shortened.
--
-- KEYS   pauses
-- ARGV   new pauses as JSON: pairs of what is paused, and for how many ms
-- Gives  all pauses that go on, as the same JSON

local clock = redis.call('TIME')
local now = clock[1] * 1000 + clock[2] / 1000
for _, one in ipairs(cjson.decode(ARGV[1])) do
  local til = math.max(now + one[2], tonumber(redis.call('HGET', KEYS[1], one[1]) or '0'))
  redis.call('HSET', KEYS[1], one[1], string.format('%.3f', til))
end
local pauses, longest = {}, 0
local fields = redis.call('HGETALL', KEYS[1])
for i = 1, #fields, 2 do
  local left = tonumber(fields[i + 1]) - now
  longest = math.max(longest, left)
  if left > 0 then table.insert(pauses, { fields[i], left }) else redis.call('HDEL', KEYS[1], fields[i]) end
end
redis.call('PEXPIRE', KEYS[1], math.ceil(longest))
return cjson.encode(pauses)
