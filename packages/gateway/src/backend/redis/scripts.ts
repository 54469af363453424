import { READS, script } from './script.ts'

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

/** Holds a lease for longer. KEYS: lease. ARGV: owner, token, ttl in ms. Gives 1 when it was the holder's, else 0. */
export const RENEW = script(`
local held = redis.call('HMGET', KEYS[1], 'owner', 'token')
if held[1] ~= ARGV[1] or held[2] ~= ARGV[2] then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[3])
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
 * Takes a content as the latest of its topic. KEYS: value, fence. ARGV: token, known epoch and sequence, hash, body, reason as JSON,
 * how long absence is believed, keep in ms, channel, its age in ms, in how many ms it counts as stale; what is not there is ''. Gives false
 * when the token is below the fence, else what is known of the value now: epoch, sequence, changedAt, checkedAt, staleAt, and the time.
 *
 * The fence remembers the last epoch too, longer than the value lives: when the past is lost the next epoch is larger, also
 * when the server's clock went back. Run twice it is the second time the same hash, so the same version.
 *
 * A content that comes with its version has four more ARGV: epoch, sequence, changedAt, checkedAt. It goes by these alone; one that is
 * older than what is kept changes nothing and gives what is kept. Its hash carries its lineage and the one that was left for it
 * (`hash.lineage.over`): over the one that is left it is taken whatever its version, and what was left is old. The time is given with it.
 */
export const PUBLISH = script(`
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
-- The same value, checked again. Of what was made of something older nothing is taken.
local again = function()
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
    local kept = redis.call('HMGET', KEYS[1], 'epoch', 'sequence', 'hash', 'changedAt', 'checkedAt', 'body', 'reason', 'absentFor', 'staleAt')
    kept[10] = string.format('%.0f', now)
    return kept
  end
  checked = stamp[4]
  if epoch == stamp[1] and sequence == stamp[2] then again()
  else epoch, sequence, changed = stamp[1], stamp[2], stamp[3] end
else
  checked = now - math.floor(tonumber(ARGV[10]) + 0.5)
  if not was[1] or epoch < known or epoch == known and sequence < knownSequence then
    epoch, sequence, changed = math.max(now, known + 1, tonumber(fence[2] or '0') + 1), 1, checked
  elseif was[3] ~= ARGV[4] then
    sequence, changed = sequence + 1, checked
  else
    again()
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
redis.call('SPUBLISH', ARGV[9], table.concat({ value[1], value[2], value[3], value[4], value[5], value[8], value[7], value[9], value[10] }, '\\n')
  .. '\\n' .. value[6])
return { value[1], value[2], value[4], value[5], value[9], value[10] }
`)

/** The name of the line of epochs. KEYS: lineage. ARGV: the name that it is to have, if it has none. Gives the one it had. */
export const LINEAGE = script(`return redis.call('SET', KEYS[1], ARGV[1], 'NX', 'GET')`)

/** What is kept of a topic. KEYS: value. Gives its fields, and the time. */
export const READ = script(
  `
local time = redis.call('TIME')
local kept = redis.call('HMGET', KEYS[1], 'epoch', 'sequence', 'hash', 'changedAt', 'checkedAt', 'body', 'reason', 'absentFor', 'staleAt')
kept[10] = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
return kept
`,
  READS,
)

/** What is kept counts as never confirmed. KEYS: value. Gives 1 when there was something, else 0. */
export const EXPIRE = script(`
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
redis.call('HSET', KEYS[1], 'checkedAt', '0')
return 1
`)

/**
 * What the scripts of logs begin with. KEYS: stream, state. `floor` is the largest epoch that the node has seen. Knows `epoch`,
 * `newest` and `age` then, and has dropped what is too old. A log of which nothing is known begins a larger epoch.
 */
const LOG = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local number = function(value) return string.format('%.0f', value) end
local state = redis.call('HMGET', KEYS[2], 'epoch', 'newest', 'age')
local epoch, newest, age = tonumber(state[1] or '0'), tonumber(state[2] or '0'), tonumber(state[3] or '0')
if not state[1] then
  epoch = math.max(now, floor + 1)
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
`

/**
 * Adds an event. KEYS: stream, state. ARGV: event, most events, age in ms, channel, floor, and, for one that is added only there, the epoch
 * and offset of the newest. Gives its epoch and offset, or nothing when it is not added; those who listen are told. Run twice it adds
 * twice: a caller that heard nothing does not know whether it is there.
 */
export const APPEND = script(`
local floor = tonumber(ARGV[5])
${LOG}
if ARGV[6] and (tonumber(ARGV[6]) ~= epoch or tonumber(ARGV[7]) ~= newest) then return {} end
newest = newest + 1
redis.call('XADD', KEYS[1], 'MAXLEN', '=', ARGV[2], number(newest) .. '-0', 'at', number(now), 'event', ARGV[1])
redis.call('HSET', KEYS[2], 'newest', number(newest), 'age', ARGV[3])
local keep = math.max(2592000000, tonumber(ARGV[3]) * 2)
redis.call('PEXPIRE', KEYS[1], keep)
redis.call('PEXPIRE', KEYS[2], keep)
redis.call('SPUBLISH', ARGV[4], table.concat({ number(epoch), number(newest), number(now) }, '\\n') .. '\\n' .. ARGV[1])
return { number(epoch), number(newest) }
`)

/** Events after an offset. KEYS: stream, state. ARGV: offset, most, floor. Gives epoch, newest, oldest and the entries. */
export const HISTORY = script(`
local floor = tonumber(ARGV[3])
${LOG}
local first = redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', 1)[1]
local oldest = first and string.match(first[1], '^%d+') or number(newest + 1)
local lines = {}
if tonumber(ARGV[2]) > 0 and tonumber(ARGV[1]) < newest then
  lines = redis.call('XRANGE', KEYS[1], number(math.max(0, tonumber(ARGV[1])) + 1) .. '-0', '+', 'COUNT', ARGV[2])
end
return { number(epoch), number(newest), oldest, lines }
`)

/**
 * Claims names of a group. KEYS: owners, until. ARGV: owner, ttl in ms, names. Gives 1 for each that is the owner's now, else 0. What
 * is over goes, some at a time.
 */
export const CLAIM = script(`
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
`)
