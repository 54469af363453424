-- Names the line of epochs, unless it has a name.
--
-- KEYS   lineage
-- ARGV   the name to give
-- Gives  the name that it had before, if any

return redis.call('SET', KEYS[1], ARGV[1], 'NX', 'GET')
