-- Marks a value as never confirmed.
--
-- KEYS   value
-- Gives  1 if there was a value, else 0

if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
redis.call('HSET', KEYS[1], 'checkedAt', '0')
return 1
