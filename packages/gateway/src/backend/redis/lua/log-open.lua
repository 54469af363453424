-- First part of the scripts of logs: reads the log's state, begins a new epoch if there is none, and drops old events.
--
-- KEYS   stream, state
-- ARGV   the largest epoch that the node has seen: a new one must be larger
-- Sets   `epoch`, `newest` and `age`

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local number = function(value) return string.format('%.0f', value) end
local state = redis.call('HMGET', KEYS[2], 'epoch', 'newest', 'age')
local epoch, newest, age = tonumber(state[1] or '0'), tonumber(state[2] or '0'), tonumber(state[3] or '0')
if not state[1] then
  epoch = math.max(now, tonumber(ARGV[1]) + 1)
  redis.call('DEL', KEYS[1])
  redis.call('HSET', KEYS[2], 'epoch', number(epoch), 'newest', '0', 'age', '0')
  redis.call('PEXPIRE', KEYS[2], 2592000000)
end
local last = 0
while age > 0 do
  local page = redis.call('XRANGE', KEYS[1], number(last + 1) .. '-0', '+', 'COUNT', 64)
  local old = 0
  for _, entry in ipairs(page) do
    if tonumber(entry[2][2]) > now - age then break end
    last, old = tonumber(string.match(entry[1], '^%d+')), old + 1
  end
  if old < 64 then break end
end
if last > 0 then redis.call('XTRIM', KEYS[1], 'MINID', '=', number(last + 1) .. '-0') end
