import type { MeterLimit } from '../ports.ts'
import { script } from './script.ts'

/**
 * All that is asked of an upstream's windows, in one script: what is over, what was never started, what is wanted. KEYS:
 * meter, nodes. ARGV: the ask as JSON (`Ask` below), the channel on which is told who came. Gives the answer as JSON (`Told` below).
 *
 * A window is named by what it is: how long, of the account or which key, what it counts, of which lane. So versions that list their limits in
 * another order share windows. While nodes have different limits, those of all hold for all, and of one kind the smallest: each node's record
 * has its own, and what goes with the last node that has it is dropped. A kind that comes later is made of a longer one that counts the same; of what else
 * was spent before nothing is known, so it counts as full until its window is over, or as after a loss where it is `long`.
 *
 * A window is a sorted set of places, `id:units` by the moment at which each comes free; the sum and the number of its
 * places are fields of the meter, so that the work does not grow with the cost of calls, and a set that was evicted shows.
 * A place of a call under way comes free when its node must be dead; a node that lives sets it to answer + window.
 *
 * The node's requests are numbered. The last answer is kept: the same request again gets the same answer, an older one
 * that comes late changes nothing, and the grants of an answer that was not heard are taken back by the next request.
 *
 * When what is written is lost, the windows are born anew. Nodes see that in the next answer and tell their past: what they
 * have under way, what ended less than a window ago (`carry`), and who the others were (`members`). Nothing is granted until
 * - the past is whole: all that were named have told, each of them `whole`, and none went since; or
 * - a window and the last calls of the dead are over (`open`), and all that were named have told what is under way; or
 * - also those who did not tell can have nothing under way any more (`sure`).
 *
 * A node tells its past as whole when less than `joining` has passed between its last question before the loss and the
 * first answer after it, no clock jumped meanwhile, and that last answer knew of nothing that only Redis remembers: calls
 * of nodes that went, units that others spent, a shut of an earlier loss (`untold`). Then nobody is missing: a node that none
 * of them named came after their last answers, so less than `joining` before the loss, and it had no grants, since it gets
 * them when it has been here for `joining`, or when all others have told that they know it (`roster`, `knows`).
 * Windows longer than `long` are not told in whole: they go on one call at a time (`probing`).
 */
export const TAKE = script(`
local ask = cjson.decode(ARGV[1])
local METER, NODES = KEYS[1], KEYS[2]
local LANES = METER .. ':lanes'
local clock = redis.call('TIME')
local time = clock[1] * 1000 + clock[2] / 1000
local exact = function(value) return string.format('%.3f', value) end

local meta, touched = {}, {}
local fields = redis.call('HGETALL', METER)
for i = 1, #fields, 2 do meta[fields[i]] = tonumber(fields[i + 1]) end
local function set(field, value)
  meta[field] = value
  touched[field] = true
end
local function get(field) return meta[field] or 0 end

local nodes, nodesTouched = {}, {}
local records = redis.call('HGETALL', NODES)
for i = 1, #records, 2 do nodes[records[i]] = cjson.decode(records[i + 1]) end
local me = nodes[ask.node]

if me and ask.seq == me.seq and me.answer then return me.answer end
if me and me.seq and ask.seq <= me.seq then return '{"stale":true}' end

-- The limits of all nodes: of one kind the smallest.
local limits, kinds, mixed, pace, hold = {}, {}, false, ask.pace, ask.hold
local function join(list)
  for _, l in ipairs(list) do
    local lane = l.lane and string.gsub(l.lane, '/', '%%2F') or ''
    local kind = l.window .. ';' .. l.by .. ';' .. (l.counts or 'cost') .. ';' .. lane
    local known = kinds[kind]
    if known then known.limit = math.min(known.limit, l.limit)
    else
      known = { kind = kind, limit = l.limit, window = l.window, by = l.by, counts = l.counts or 'cost', lane = l.lane, hears = l.hears }
      kinds[kind] = known
      table.insert(limits, known)
    end
  end
end
join(ask.limits)
for name, node in pairs(nodes) do
  if name ~= ask.node and node.limits then
    join(node.limits)
    mixed = mixed or node.form ~= ask.form
    pace, hold = pace or node.pace, math.max(hold, node.hold)
  end
end
local longest, shortest, shut = 1, math.huge, 0
for _, l in ipairs(limits) do
  longest, shortest = math.max(longest, l.window), math.min(shortest, l.window)
  if l.window <= ask.long then shut = math.max(shut, l.window) end
end
local function nameOf(l, key, lane)
  return l.kind .. '/' .. (l.by == 'key' and ask.names[key + 1] or 'a') .. (l.lane == '*' and '/' .. lane or '')
end

-- The past is lost, or the clock of the server jumped: nothing that is written here can be believed.
local lost = false
local function lose(unknown)
  lost = true
  for field in pairs(meta) do
    if string.sub(field, 1, 2) == 'n:' then redis.call('DEL', METER .. ':' .. string.sub(field, 3)) end
    if string.find(field, '^closed') then
      -- Of what was left of a rest, no more and no less is left when the clock went back.
      set(field, math.min(meta[field], meta[field] + time - (meta.last or time)))
    elseif field ~= 'last' and field ~= 'server' and not string.find(field, '^spent') then set(field, nil) end
  end
  -- Windows that the meter knows nothing of any more, after it was evicted alone.
  for _, l in ipairs(limits) do
    for key = 0, ask.keys - 1 do redis.call('DEL', METER .. ':' .. nameOf(l, key, '')) end
  end
  local lanes = redis.pcall('ZRANGE', LANES, 0, -1)
  for _, name in ipairs(lanes.err and {} or lanes) do redis.call('DEL', METER .. ':' .. name) end
  redis.call('DEL', METER .. ':running', LANES)
  set('last', time)
  set('born', time)
  set('roster', 1)
  if unknown and shut > 0 then
    set('open', time + shut + ask.lastArrivals)
    set('sure', time + shut + ask.horizon + hold)
  end
  if unknown and longest > ask.long then set('probing', time + longest + hold) end
  -- Absent until they are heard again, which is long before the end of the shut: who is cut off may be alone already.
  for name, node in pairs(nodes) do
    node.seen, node.joined = time - ask.ttl, nil
    node.at, node.since, node.knows = time, 1, 0
    nodesTouched[name] = true
  end
end

-- Which server this is: another may not have heard the last that the one before it was told. Who may not ask does without.
local info = redis.pcall('INFO', 'server')
local id = type(info) == 'string' and string.match(info, 'run_id:(%x+)')
local server = id and tonumber(string.sub(id, 1, 12), 16) or meta.server

local jumped = false
if not meta.last or #records == 0 then
  -- Also when only the nodes are lost: who they are is part of the past.
  lose(ask.unknown)
elseif ask.jumped or time < meta.last - ask.slack or server ~= meta.server or (me and me.seq and me.seq < ask.heard) then
  jumped = true
  lose(true)
end
local now = math.max(time, meta.last)
-- Nobody was heard for as long: it was Redis that was away, and who is missing may be about to return.
if now - meta.last >= ask.ttl then set('back', now) end
set('last', now)
if server ~= meta.server then set('server', server) end

-- Windows of a kind that no node has any more: what is counted from now on is not in them.
local function forget(kind)
  local begins = kind .. '/'
  local ours = function(name) return string.sub(name, 1, #begins) == begins end
  for field in pairs(meta) do
    local what, name = string.match(field, '^(%a+):(.*)$')
    if name and ours(name) and (what == 'u' or what == 'n' or what == 's' or what == 'o' or what == 'ou') then
      if what == 'n' then redis.call('DEL', METER .. ':' .. name) end
      set(field, nil)
    end
  end
  local lanes = redis.pcall('ZRANGE', LANES, 0, -1)
  for _, name in ipairs(lanes.err and {} or lanes) do
    if ours(name) then
      redis.call('DEL', METER .. ':' .. name)
      redis.call('ZREM', LANES, name)
    end
  end
  set('k:' .. kind, nil)
end
-- A kind that came later, out of a longer one that counts the same: a place there comes free as much later as that is longer.
local function made(l)
  for _, from in ipairs(limits) do
    if from.window > l.window and from.by == l.by and from.counts == l.counts and from.lane == l.lane and l.lane ~= '*'
      and meta['k:' .. from.kind] and meta['k:' .. from.kind] + from.window <= now then
      for key = 0, l.by == 'key' and ask.keys - 1 or 0 do
        local source, name = nameOf(from, key, ''), nameOf(l, key, '')
        local places = redis.pcall('ZRANGE', METER .. ':' .. source, 0, -1, 'WITHSCORES')
        if places.err then return false end
        local used, count = 0, 0
        for i = 1, #places, 2 do
          local at = tonumber(places[i + 1]) - from.window + l.window
          if at > now then
            redis.call('ZADD', METER .. ':' .. name, exact(at), places[i])
            used, count = used + tonumber(string.match(places[i], ':([^:]+)$')), count + 1
          end
        end
        if count > 0 then set('u:' .. name, used) set('n:' .. name, count) end
        set('o:' .. name, math.min(l.limit, get('o:' .. source)))
        set('ou:' .. name, now + l.window)
      end
      return true
    end
  end
  return false
end
local function arrange()
  for field in pairs(meta) do
    local kind = string.match(field, '^k:(.*)$')
    if kind and not kinds[kind] then forget(kind) end
  end
  local came = {}
  for _, l in ipairs(limits) do if not meta['k:' .. l.kind] then table.insert(came, l) end end
  for _, l in ipairs(came) do
    local known = lost or made(l)
    if not known and l.window > ask.long then set('probing', math.max(get('probing'), now + l.window + hold)) end
    l.came = known and 0 or now
  end
  for _, l in ipairs(came) do set('k:' .. l.kind, l.came) end
end
arrange()

-- Windows, read when they are met.
local windows = {}
local broken = false
local function window(l, key, lane)
  local name = nameOf(l, key, lane)
  local w = windows[name]
  if w then return w end
  local full = get('k:' .. l.kind) + l.window
  if full > now and l.window <= ask.long and not meta['n:' .. name] and not meta['o:' .. name] then
    set('o:' .. name, l.limit)
    set('ou:' .. name, full)
  end
  w = { name = name, key = METER .. ':' .. name, limit = l.limit, window = l.window, calls = l.counts == 'calls',
    used = get('u:' .. name), count = get('n:' .. name),
    apart = l.lane ~= nil, anyLane = l.lane == '*', hears = l.hears }
  windows[name] = w
  if redis.pcall('ZCARD', w.key) ~= w.count then
    broken = true
    return w
  end
  local over = redis.call('ZRANGEBYSCORE', w.key, '-inf', exact(now))
  if #over > 0 then
    for _, member in ipairs(over) do w.used = w.used - tonumber(string.match(member, ':([^:]+)$')) end
    w.count = w.count - #over
    w.touched = true
    redis.call('ZREMRANGEBYSCORE', w.key, '-inf', exact(now))
  end
  if get('ou:' .. name) <= now and meta['o:' .. name] then set('o:' .. name, nil) set('ou:' .. name, nil) end
  return w
end
local function all(key, lane)
  local found = {}
  for _, l in ipairs(limits) do
    if l.lane == nil or l.lane == '*' or l.lane == lane then table.insert(found, window(l, key, lane)) end
  end
  return found
end
local function units(w, cost) return w.calls and 1 or cost end
local function member(id, n) return id .. ':' .. string.format('%.17g', n) end

-- Met before anything is changed: what is found broken (a set evicted alone, wrong types) must not be half changed.
for key = 0, ask.keys - 1 do
  all(key, '')
  for _, want in ipairs(ask.wants) do all(key, want.lane) end
end
for _, list in ipairs({ ask.done, ask.cancel, ask.keep, ask.carry }) do
  for _, one in ipairs(list) do all(one[2], one[3]) end
end
if broken then
  for _, w in pairs(windows) do redis.call('DEL', w.key) end
  lose(true)
  now = time
  arrange()
  windows, broken, jumped = {}, false, true
end

local function add(w, id, cost, at)
  local n = units(w, cost)
  if redis.call('ZADD', w.key, 'NX', exact(at), member(id, n)) == 1 then
    w.used, w.count, w.touched = w.used + n, w.count + 1, true
  end
end
local function take(w, id, cost)
  local n = units(w, cost)
  if redis.call('ZREM', w.key, member(id, n)) == 1 then
    w.used, w.count, w.touched = w.used - n, w.count - 1, true
  end
end
local function cancel(id, key, lane, cost)
  for _, w in ipairs(all(key, lane)) do take(w, id, cost) end
  redis.call('ZREM', METER .. ':running', id)
end

-- One call at a time tries a key again that was used up. Its end without such a word is good news; one that was never made tells nothing.
local function probed(id, key, til)
  local named = ask.names[key + 1]
  if get('spent:' .. named) <= now or redis.call('HGET', METER, 'probe:' .. named) ~= id then return end
  set('spent:' .. named, til)
  redis.call('HDEL', METER, 'probe:' .. named)
end

-- Who shares, and how much each may spend should it be cut off: the sum of the shares is at most the whole.
local absent = function(node) return now - node.seen >= ask.ttl end
local born = exact(get('born'))
-- A node comes; it gets nothing before the others can know of it.
local function enter(name, node)
  set('roster', get('roster') + 1)
  node.at, node.since, node.knows = now, get('roster'), 0
  nodes[name] = node
  nodesTouched[name] = true
  redis.call('SPUBLISH', ARGV[2], name)
end
-- A node goes. Its last calls count for a while, and nobody could tell of them.
local function depart(name)
  set('roster', get('roster') + 1)
  set('gone', now + hold + shut)
  nodes[name] = nil
  nodesTouched[name] = true
end
if me == nil then
  me = { seen = now, share = ask.share, joined = ask.heard == 0 and now or nil }
  enter(ask.node, me)
end
if me.joined then
  -- A process that was started again comes in the place of one that was not heard of since, also when it came back sooner
  -- than the other was missed. One that is gone and was not replaced may be cut off and alive; after a loss it may only be
  -- slow to tell.
  local gone
  local returning = now - get('back') < ask.ttl
  for name, node in pairs(nodes) do
    local late = returning or node.born ~= born and get('sure') > now
    if node ~= me and absent(node) and not late and node.seen <= me.joined and (gone == nil or node.seen < nodes[gone].seen) then
      gone = name
    end
  end
  if gone then depart(gone) end
  if gone or now > math.max(me.joined + 2 * ask.ttl, get('sure')) then me.joined = nil end
end
-- Who was here before, as this node remembers: they may be spending their shares, and have a past to tell.
for _, name in ipairs(ask.members) do
  if not nodes[name] then
    enter(name, { seen = now - ask.ttl, share = math.min(ask.share, 1 - ask.share) })
  end
end
if me.born ~= born and ask.born == born then me.whole = ask.whole end
-- Who comes for the first time has nothing to tell.
me.born = ask.born == '' and born or ask.born
me.knows = ask.born == born and ask.roster or 0
local count, others, known = 0, 0, true
for name, node in pairs(nodes) do
  if node ~= me and now - node.seen > ask.ttl + ask.own + hold + longest then
    depart(name)
  else
    count = count + 1
    if node ~= me then
      others = others + node.share
      known = known and node.knows >= me.since
    end
  end
end
local pending = not known and now - me.at < ask.joining
-- No share grows while some that hold one may not have been named.
local told = me.born == born and get('open') <= now and math.max(0, math.min(1 / count, 1 - others)) or ask.share
me.share = math.max(ask.share, told)
-- Present is who has heard an answer lately: one whose questions come through but who hears nothing lives alone already.
me.seen = math.max(me.seen, math.min(now, ask.seen))

-- What the last answer granted, if it was not heard.
if me.granted and (me.seq or 0) > ask.heard then
  for _, grant in ipairs(me.granted) do
    cancel(ask.node .. '/' .. grant[1], grant[2], grant[3], grant[4])
    probed(ask.node .. '/' .. grant[1], grant[2], now)
  end
end
-- Before what came of them since: calls that nothing is known of here.
for _, one in ipairs(ask.carry) do
  for _, w in ipairs(all(one[2], one[3])) do
    local at = one[5] < 0 and now + ask.hold + w.window or now - one[5] + w.window
    if at > now then add(w, ask.node .. '/' .. one[1], one[4], at) end
  end
end
for _, one in ipairs(ask.cancel) do
  cancel(ask.node .. '/' .. one[1], one[2], one[3], one[4])
  probed(ask.node .. '/' .. one[1], one[2], now)
end
for _, one in ipairs(ask.done) do
  local id, cost, truth, age = ask.node .. '/' .. one[1], one[4], one[5], one[6]
  for _, w in ipairs(all(one[2], one[3])) do
    local was = redis.call('ZSCORE', w.key, member(id, units(w, cost)))
    if was then
      local at = math.min(tonumber(was), now - age + w.window)
      take(w, id, cost)
      add(w, id, truth, at)
    elseif me.born ~= born and now - age + w.window > now then
      add(w, id, truth, now - age + w.window)
    end
  end
  redis.call('ZREM', METER .. ':running', id)
  probed(id, one[2], nil)
end
-- Calls that go on for longer than was thought.
for _, one in ipairs(ask.keep) do
  for _, w in ipairs(all(one[2], one[3])) do
    redis.call('ZADD', w.key, 'XX', 'GT', exact(now + ask.hold + w.window), member(ask.node .. '/' .. one[1], units(w, one[4])))
  end
end

local function slowness()
  if not meta.slowed then return 1 end
  return math.min(1, meta.slowed + ask.creep * (now - get('slowedAt')) / shortest)
end
if ask.backOff and now - get('slowedAt') >= shortest then
  -- Refusals of one burst are one piece of news.
  set('slowed', math.max(ask.least, slowness() * ask.keepShare))
  set('slowedAt', now)
end
for _, one in ipairs(ask.close) do
  local of = one[2]
  local field = type(of) == 'string' and 'closedLane:' .. of or of < 0 and 'closed' or 'closed:' .. ask.names[of + 1]
  set(field, math.max(get(field), now + one[1]))
end
for _, key in ipairs(ask.spend) do
  set('spent:' .. ask.names[key + 1], now + ask.spentFor)
  redis.call('HDEL', METER, 'probe:' .. ask.names[key + 1])
end
local open, everyone, anyone = get('open'), true, false
for _, node in pairs(nodes) do
  if node.born ~= born then open = math.max(open, get('sure')) end
  everyone = everyone and node.born == born and node.whole ~= false
  anyone = anyone or node.whole == true
end
if open > now and everyone and anyone and get('gone') <= now then
  set('open', nil)
  open = now
end
for _, one in ipairs(ask.learn) do
  for _, w in ipairs(all(one[2], '')) do
    -- A little less than was expected is only what came free since the upstream said it, and much less after a loss is what
    -- other nodes have yet to tell.
    local spent = w.limit - one[1] - w.used
    if w.hears and (meta.probing or open <= now and spent > w.limit * 0.1) then
      set('o:' .. w.name, math.max(0, spent))
      set('ou:' .. w.name, now + w.window)
    end
  end
  set('probing', nil)
end
if meta.probing and meta.probing <= now then set('probing', nil) end

-- Units of a window that nodes which are not here may be spending on their own, or have spent less than a window ago.
local function away(w)
  local sum = 0
  for _, node in pairs(nodes) do
    if node ~= me and ask.own > 0 and absent(node) and now - node.seen < ask.own + hold + w.window then
      sum = sum + math.floor(w.limit * node.share + 1e-9)
    end
  end
  return sum
end
local slow = slowness()
local function most(w)
  if not w.most then
    w.open = math.max(0, w.limit - away(w))
    w.most = math.min(w.open, math.max(1, math.floor(w.limit * slow)))
  end
  return w.most
end

-- The moment at which so many units fit, by what is known to come free.
local function fits(w, n)
  local room = math.min(math.max(most(w), math.min(n, w.limit)), w.open)
  if n > room then return math.huge end
  local foreign = get('o:' .. w.name)
  local left = w.used + foreign
  if left + n <= room then return now end
  local at, start = now, 0
  while true do
    local page = redis.call('ZRANGE', w.key, start, start + 63, 'WITHSCORES')
    for i = 1, #page, 2 do
      local score = tonumber(page[i + 1])
      if foreign > 0 and get('ou:' .. w.name) <= score then
        left, foreign, at = left - foreign, 0, math.max(at, get('ou:' .. w.name))
        if left + n <= room then return at end
      end
      left, at = left - tonumber(string.match(page[i], ':([^:]+)$')), math.max(at, score)
      if left + n <= room then return at end
    end
    if #page == 0 then return foreign > 0 and get('ou:' .. w.name) or math.huge end
    start = start + 64
  end
end

-- A call ends earlier than its place is held for, and then it comes free one window later: not before that is it worth asking.
local function earliest(w, n)
  local at = fits(w, n)
  if pace then at = math.max(at, get('s:' .. w.name)) end
  return at, math.min(at, now + w.window)
end

-- What nobody could tell if it were lost now.
local untold = math.max(open, get('gone')) > now
for field, value in pairs(meta) do
  untold = untold or string.sub(field, 1, 3) == 'ou:' and value > now
end
-- It asks again at once while others may tell, or hear of this node, sooner than it must wait.
local soon = now + 2 * ask.horizon
if pending then open = math.max(open, soon) end
if everyone and not anyone then soon = math.max(soon, open) end
local function choose(want)
  local best
  for i = 0, ask.keys - 1 do
    local key = (get('turn') + i) % ask.keys
    local named = ask.names[key + 1]
    if get('spent:' .. named) <= now then
      local rests = math.max(now, get('closed'), get('closed:' .. named))
      local at, again = math.max(rests, open), math.max(rests, math.min(open, soon))
      local laneAt = math.max(now, get('closedLane:' .. want.lane))
      local laneAgain = laneAt
      if meta.probing and redis.call('ZCOUNT', METER .. ':running', exact(now), '+inf') > 0 then
        at, again = math.huge, math.max(again, now + ask.horizon * 2)
      end
      for _, w in ipairs(all(key, want.lane)) do
        local a, b = earliest(w, units(w, want.cost))
        if w.apart then laneAt, laneAgain = math.max(laneAt, a), math.max(laneAgain, b)
        else at, again = math.max(at, a), math.max(again, b) end
      end
      local one = { key = key, at = math.max(at, laneAt), again = math.max(again, laneAgain),
        byLane = at <= now + ask.horizon and laneAt > now + ask.horizon }
      if not best or one.at < best.at then best = one end
      if one.at <= now then break end
    end
  end
  return best
end

local granted, said, wait, never, waiting = {}, {}, nil, nil, nil
local heldLanes = {}
local function later(duration)
  duration = math.max(1, duration)
  if not wait or duration < wait then wait = duration end
end
for _, want in ipairs(ask.wants) do
  if not heldLanes[want.lane] then
    -- A better class that waits on another node goes first; one start in a few belongs to the worse ones.
    local better, worse = false, false
    for name, node in pairs(nodes) do
      if node ~= me and node.rank and node.till > now then
        better = better or node.rank < want.rank
        worse = worse or node.rank > want.rank
      end
    end
    local aged = get('aged') >= ask.turnOfTheAged
    local best = choose(want)
    if not best then never = 'spent' break end
    if (aged and worse) or (not aged and better) then
      waiting = want
      later(math.max(best.again - now - ask.horizon, ask.horizon / 2))
      break
    end
    if best.at > now + ask.horizon then
      waiting = waiting or want
      later(best.again - now - ask.horizon)
      if not best.byLane then break end
      heldLanes[want.lane] = true
    else
      local id = ask.first + #granted
      local named = ask.names[best.key + 1]
      if get('spent:' .. named) > 0 then
        set('spent:' .. named, now + ask.spentFor)
        redis.call('HSET', METER, 'probe:' .. named, ask.node .. '/' .. id)
      end
      for _, w in ipairs(all(best.key, want.lane)) do
        local n = units(w, want.cost)
        add(w, ask.node .. '/' .. id, want.cost, best.at + ask.hold + w.window)
        if pace then
          -- Starts are late at times: the next makes up for it, or the pace would lag behind the limit.
          local apart = ask.catchingUp * w.window * n / math.max(1, most(w))
          set('s:' .. w.name, math.max(get('s:' .. w.name), best.at - apart) + apart)
        end
      end
      redis.call('ZADD', METER .. ':running', exact(best.at + ask.hold), ask.node .. '/' .. id)
      set('turn', (best.key + 1) % ask.keys)
      if better then set('aged', 0) elseif worse then set('aged', get('aged') + 1) end
      table.insert(granted, { id, best.key, want.lane, want.cost })
      table.insert(said, { id, best.key, want.lane, want.cost, best.at - now })
    end
  end
end
if #ask.wants > 0 then
  -- Nobody waits for one that may not start yet.
  me.rank = waiting and not pending and waiting.rank or nil
  me.till = waiting and now + (wait or 0) + 2 * ask.horizon or nil
end
redis.call('ZREMRANGEBYSCORE', METER .. ':running', '-inf', exact(now - longest))

local closed, spent, indexOf = {}, {}, {}
for i, name in ipairs(ask.names) do indexOf[name] = i - 1 end
for field, value in pairs(meta) do
  local of = field == 'closed' and -1 or indexOf[string.match(field, '^closed:(.*)$') or false]
  if of and value > now then table.insert(closed, { value - now, of }) end
  local lane = string.match(field, '^closedLane:(.*)$')
  if lane and value > now then table.insert(closed, { value - now, lane }) elseif lane then set(field, nil) end
  local used = indexOf[string.match(field, '^spent:(.*)$') or false]
  if used and value > now then table.insert(spent, used) end
end
local members
if me.knows ~= get('roster') then
  members = {}
  for name in pairs(nodes) do table.insert(members, name) end
end
local answer = cjson.encode({ now = exact(now), born = born, closed = closed, spent = spent, granted = said, wait = wait, never = never, share = told,
  untold = untold, roster = get('roster'), members = members, jumped = jumped, probing = meta.probing ~= nil, limits = mixed and limits or nil })
if ask.leave then
  depart(ask.node)
else
  me.seq, me.answer, me.granted = ask.seq, answer, granted
  me.limits, me.form, me.pace, me.hold = ask.limits, ask.form, ask.pace, ask.hold
  nodes[ask.node] = me
end
nodesTouched[ask.node] = true

for name in pairs(nodesTouched) do
  if nodes[name] then redis.call('HSET', NODES, name, cjson.encode(nodes[name])) else redis.call('HDEL', NODES, name) end
end
for name, w in pairs(windows) do
  if w.touched then
    set('u:' .. name, w.count > 0 and w.used or nil)
    set('n:' .. name, w.count > 0 and w.count or nil)
    if w.anyLane then redis.call('ZADD', LANES, 'NX', exact(now + w.window), name) end
  end
end
-- Lanes come and go: what counts nothing leaves nothing. A few each time, more than one request can add.
for _, name in ipairs(redis.call('ZRANGEBYSCORE', LANES, '-inf', exact(now), 'LIMIT', 0, ask.sweep)) do
  local last = redis.pcall('ZRANGE', METER .. ':' .. name, -1, -1, 'WITHSCORES')
  local till = math.max(tonumber(last[2] or 0), get('s:' .. name))
  if till > now then
    redis.call('ZADD', LANES, exact(till), name)
  else
    redis.call('DEL', METER .. ':' .. name)
    redis.call('ZREM', LANES, name)
    for _, kind in ipairs({ 'u:', 'n:', 's:' }) do set(kind .. name, nil) end
  end
end
local changes, gone = {}, {}
for field in pairs(touched) do
  if meta[field] == nil then table.insert(gone, field)
  else
    table.insert(changes, field)
    table.insert(changes, string.format('%.17g', meta[field]))
  end
end
if #changes > 0 then redis.call('HSET', METER, unpack(changes)) end
if #gone > 0 then redis.call('HDEL', METER, unpack(gone)) end
return answer
`)

/** A place: id, key, lane, cost. */
export type Place = readonly [id: number, key: number, lane: string, cost: number]

/** What rests: a key by its index, all of them as -1, or the calls of a lane by its name. */
export type Rested = number | string

/** What a node asks of `TAKE`. Times are milliseconds. */
export interface Ask {
  readonly node: string
  /** The number of this request, and of the last one whose answer was heard. */
  readonly seq: number
  readonly heard: number
  /** Redis's time in the last answer that was heard. */
  readonly seen: number
  /** What the node would spend of the limits if it were cut off now. */
  readonly share: number
  /** The number of the list of nodes that it knows. */
  readonly roster: number
  /** Who the nodes were before the loss that it tells of, and whether what it tells is all there is to know. */
  readonly members: readonly string[]
  readonly whole: boolean
  /** Calls may have been made of which a new meter knows nothing. */
  readonly unknown: boolean
  /** Redis's clock was seen to jump. */
  readonly jumped: boolean
  readonly leave: boolean
  /** The birth of the windows as this node knows it, for which it has told its past; '' at first. */
  readonly born: string
  readonly ttl: number
  /** A node gets its first grant so long after it came, or when all others know of it. */
  readonly joining: number
  /** For so long since it heard of Redis a node may spend its own share; 0 where none ever may. */
  readonly own: number
  readonly hold: number
  readonly slack: number
  readonly horizon: number
  /** For so long after its death a process's calls may still arrive. */
  readonly lastArrivals: number
  /** Windows longer than this are not waited for when the past is unknown: one call at a time asks what is left. */
  readonly long: number
  readonly spentFor: number
  readonly turnOfTheAged: number
  readonly creep: number
  readonly least: number
  readonly keepShare: number
  readonly pace: boolean
  readonly catchingUp: number
  readonly keys: number
  /** Each key by a name that is the same on all nodes, whatever its place in their lists. */
  readonly names: readonly string[]
  /** The limits as one text, the same for lists that differ in order alone. */
  readonly form: string
  /** `hears`: what the upstream says is left is of this one. */
  readonly limits: readonly (MeterLimit & { readonly hears: boolean })[]
  /** Lanes that are looked at to see whether they count anything still. */
  readonly sweep: number
  /** The id of the first grant. */
  readonly first: number
  readonly wants: readonly { readonly rank: number; readonly cost: number; readonly lane: string }[]
  readonly done: readonly (readonly [...Place, truth: number, age: number])[]
  readonly cancel: readonly Place[]
  readonly keep: readonly Place[]
  /** What was spent alone, and all that counts when the windows were born anew; an age of -1: the call is under way. */
  readonly carry: readonly (readonly [...Place, age: number])[]
  readonly close: readonly (readonly [duration: number, of: Rested])[]
  readonly spend: readonly number[]
  readonly learn: readonly (readonly [left: number, key: number])[]
  readonly backOff: boolean
}

/** A list as Lua tells it: an empty one comes as an empty object, since it has but one kind of table. */
export type Listed<Item> = readonly Item[] | Readonly<Record<string, never>>

/** What `TAKE` answers. */
export interface Told {
  readonly stale?: true
  readonly now: string
  /** When the windows were last born anew. */
  readonly born: string
  readonly granted: Listed<readonly [...Place, opensIn: number]>
  /** Rests that go on, for so many milliseconds. */
  readonly closed: Listed<readonly [duration: number, of: Rested]>
  /** Keys that are used up. */
  readonly spent: Listed<number>
  readonly wait?: number
  readonly never?: 'spent'
  readonly share: number
  /** There is more to know of the past than nodes could tell if it were lost now. */
  readonly untold: boolean
  /** The number of the list of nodes, and the list when the node did not know it. */
  readonly roster: number
  readonly members?: readonly string[]
  readonly jumped: boolean
  readonly probing: boolean
  /** The limits that hold, while nodes have different ones. */
  readonly limits?: Listed<MeterLimit>
}
