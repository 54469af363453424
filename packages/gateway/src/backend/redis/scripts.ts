import { script } from './script.ts'

/**
 * Takes a lease. KEYS: lease, fence. ARGV: owner, ttl in ms, largest token known, number of this request.
 * Gives {1, token} when it is taken, {0, ms} when another holds it that long.
 *
 * The fence rises now, not when the holder publishes: a former holder is refused from this moment on. The number lets an
 * older request of the same owner, that comes late out of a dead connection, change nothing.
 */
export const ACQUIRE = script(`
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
`)

/**
 * Gives a lease back. KEYS: lease. ARGV: owner, token, channel. Gives 1 when it was the holder's, else 0 and changes
 * nothing. Those who listen are told, so that they need not ask again and again.
 */
export const RELEASE = script(`
local held = redis.call('HMGET', KEYS[1], 'owner', 'token')
if held[1] ~= ARGV[1] or held[2] ~= ARGV[2] then return 0 end
redis.call('DEL', KEYS[1])
redis.call('SPUBLISH', ARGV[3], 'released')
return 1
`)

/**
 * Takes a content as the latest of its topic. KEYS: value, fence. ARGV: token, known epoch, hash, body, reason as JSON,
 * how long absence is believed, keep in ms, channel; what is not there is ''. Gives false when the token is below the
 * fence, else the value as it is now: epoch, sequence, hash, changedAt, checkedAt, body, reason, absentFor.
 *
 * The fence remembers the last epoch too, longer than the value lives: when the past is lost the next epoch is larger, also
 * when the server's clock went back. Run twice it is the second time the same hash, so the same version.
 */
export const PUBLISH = script(`
local known = tonumber(ARGV[2])
local fence = redis.call('HMGET', KEYS[2], 'token', 'epoch')
local token = tonumber(ARGV[1])
if token < tonumber(fence[1] or '0') then return false end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local was = redis.call('HMGET', KEYS[1], 'epoch', 'sequence', 'hash', 'changedAt', 'checkedAt')
local epoch, sequence, changed = tonumber(was[1] or '0'), tonumber(was[2] or '0'), tonumber(was[4] or '0')
if not was[1] or epoch < known then
  epoch, sequence, changed = math.max(now, known + 1, tonumber(fence[2] or '0') + 1), 1, now
elseif was[3] ~= ARGV[3] then
  sequence, changed = sequence + 1, now
end
local checked = math.max(now, tonumber(was[5] or '0'))
if changed == now then changed = checked end
local number = function(value) return string.format('%.0f', value) end
local value = { number(epoch), number(sequence), ARGV[3], number(changed), number(checked), ARGV[4], ARGV[5], ARGV[6] }
redis.call('HSET', KEYS[1], 'epoch', value[1], 'sequence', value[2], 'hash', value[3], 'changedAt', value[4],
  'checkedAt', value[5], 'body', value[6], 'reason', value[7], 'absentFor', value[8])
redis.call('PEXPIRE', KEYS[1], ARGV[7])
redis.call('HSET', KEYS[2], 'token', ARGV[1], 'epoch', value[1])
redis.call('PEXPIRE', KEYS[2], math.max(86400000, tonumber(ARGV[7]) * 2))
redis.call('SPUBLISH', ARGV[8], table.concat({ value[1], value[2], value[3], value[4], value[5], value[8], value[7] }, '\\n')
  .. '\\n' .. value[6])
return value
`)

/** What is kept counts as never confirmed. KEYS: value. Gives 1 when there was something, else 0. */
export const EXPIRE = script(`
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
redis.call('HSET', KEYS[1], 'checkedAt', '0')
return 1
`)
