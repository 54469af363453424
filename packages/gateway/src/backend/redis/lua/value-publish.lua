-- Stores a content as the latest of its topic, and publishes it.
--
-- KEYS   value, fence
-- ARGV   1 token, 2 known epoch, 3 known sequence, 4 hash, 5 body, 6 reason as JSON, 7 how long absence holds, 8 how long the
--        value is kept in ms, 9 channel, 10 the content's age in ms, 11 in how many ms it counts as stale; '' where there is none
--        12 epoch, 13 sequence, 14 changedAt, 15 checkedAt: only for a content that brings its version
-- Gives  false if the token is below the fence; else epoch, sequence, changedAt, checkedAt, staleAt and the time of the value
--
-- The fence remembers the last epoch for longer than the value lives. When the value is lost, the next epoch is therefore larger,
-- even if the server's clock went back. A repeated run finds the same hash, and so keeps the version.
--
-- A content that brings its version is judged by that version alone. If it is older than the stored one, nothing changes, and
-- the stored value is given. Its hash carries its lineage and the lineage that was left for it (`hash.lineage.left`): it replaces
-- a value of the lineage that was left, whatever their versions, and a value of that lineage that comes later is old.

local known, knownSequence = tonumber(ARGV[2]), tonumber(ARGV[3])
local fence = redis.call('HMGET', KEYS[2], 'token', 'epoch')
local token = tonumber(ARGV[1])
local stamp = ARGV[12] and { tonumber(ARGV[12]), tonumber(ARGV[13]), tonumber(ARGV[14]), tonumber(ARGV[15]) }
if not stamp and token < tonumber(fence[1] or '0') then return false end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local was = redis.call('HMGET', KEYS[1], 'epoch', 'sequence', 'hash', 'changedAt', 'checkedAt', 'staleAt')
local epoch, sequence, changed = tonumber(was[1] or '0'), tonumber(was[2] or '0'), tonumber(was[4] or '0')
local number = function(value) return string.format('%.0f', value) end
local checked
local stale = ARGV[11] == '' and '' or number(now + math.floor(tonumber(ARGV[11]) + 0.5))
-- The value is unchanged. A confirmation older than the stored one confirms nothing.
local confirm = function()
  local before = tonumber(was[5] or '0')
  if checked < before then checked, stale = before, was[6] or '' end
end
if stamp then
  local line, over = string.match(was[3] or '', '^[^.]*%.([^.]*)%.(.*)$')
  local hash, next, left = string.match(ARGV[4], '^([^.]*)%.([^.]*)%.(.*)$')
  local older = epoch > stamp[1] or (epoch == stamp[1] and sequence > stamp[2])
  if next and line and next == line and left == '' then ARGV[4] = hash .. '.' .. next .. '.' .. over end
  if line and left and left ~= '' and left == line then older, epoch = false, -1
  elseif over and over ~= '' and next == over then older = true end
  if older then
    local stored = redis.call('HMGET', KEYS[1], 'epoch', 'sequence', 'hash', 'changedAt', 'checkedAt', 'body', 'reason', 'absentFor', 'staleAt')
    stored[10] = string.format('%.0f', now)
    return stored
  end
  checked = stamp[4]
  if epoch == stamp[1] and sequence == stamp[2] then confirm()
  else epoch, sequence, changed = stamp[1], stamp[2], stamp[3] end
else
  checked = now - math.floor(tonumber(ARGV[10]) + 0.5)
  if not was[1] or epoch < known or epoch == known and sequence < knownSequence then
    epoch, sequence, changed = math.max(now, known + 1, tonumber(fence[2] or '0') + 1), 1, checked
  elseif was[3] ~= ARGV[4] then
    sequence, changed = sequence + 1, checked
  else
    confirm()
  end
end
local value = { number(epoch), number(sequence), ARGV[4], number(changed), number(checked), ARGV[5], ARGV[6], ARGV[7],
  stale, number(now) }
redis.call('HSET', KEYS[1], 'epoch', value[1], 'sequence', value[2], 'hash', value[3], 'changedAt', value[4],
  'checkedAt', value[5], 'body', value[6], 'reason', value[7], 'absentFor', value[8], 'staleAt', value[9])
redis.call('PEXPIRE', KEYS[1], ARGV[8])
if not stamp then redis.call('HSET', KEYS[2], 'token', ARGV[1]) end
redis.call('HSET', KEYS[2], 'epoch', value[1])
redis.call('PEXPIRE', KEYS[2], math.max(86400000, tonumber(ARGV[8]) * 2))
redis.call('SPUBLISH', ARGV[9], table.concat({ value[1], value[2], value[3], value[4], value[5], value[8], value[7], value[9], value[10] }, '\n')
  .. '\n' .. value[6])
return { value[1], value[2], value[4], value[5], value[9], value[10] }
