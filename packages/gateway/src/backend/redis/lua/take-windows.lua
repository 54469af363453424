-- First part of the meter's script: reads the request and the state, and opens the windows.
--
-- The script counts what all nodes spend of one upstream's limits. A node reports calls that ended or never started, asks
-- for grants, and gets them in the reply. `TakeRequest` and `TakeReply` in take.ts describe both messages.
--
--   KEYS  the meter (hash), its nodes (hash: name -> JSON)
--   ARGV  the request as JSON, the channel that announces new nodes
--
-- WINDOWS. A window is named by what it is: length, account or key, what it counts, lane. Versions of an app that list their
-- limits in another order therefore share windows. While nodes have different limits, those of all nodes hold. A window
-- disappears with the last node that has it. A new one is filled from a longer one that counts the same calls; otherwise it
-- counts as full for one window, or, if it is longer than `longWindow`, is probed as after a loss.
--
-- A window is a sorted set of places, `id:units`, scored by the moment at which each comes free. Its sum and its number of
-- places are fields of the meter, so the work does not grow with the cost of calls, and an evicted set is noticed. The
-- place of a running call comes free when its node must be dead. A live node moves that to one window after the answer.
--
-- REQUESTS are numbered by node. The meter keeps each node's last reply: a repeated request gets the same reply, and an
-- older one changes nothing. If a reply is lost, the node's next request takes its grants back.
--
-- LOSS. When Redis loses its data, when the clock jumps, or when another server takes over, a new generation of the windows
-- begins. Nodes see it in the next reply and report their past: their running calls, their calls that ended less than a
-- window ago (`replay`), and the other nodes' names (`members`). The meter grants nothing until one of these is true:
--
--   1. The past is complete: every named node has reported, each of them `complete`, and none departed since.
--   2. One window and the last calls of dead nodes are over (`earliestOpen`), and every named node has reported.
--   3. Even a node that has not reported can have no call under way (`latestOpen`).
--
-- A node's report is `complete` if less than `joinDelay` passed between its last request before the loss and its first reply
-- after it, if no clock jumped meanwhile, and if its last reply had nothing that only Redis knows (`unreplicated`): calls of
-- departed nodes, units that others spent, the wait after an earlier loss. Then no node is missing. A node that none of them
-- named must have come after their last replies, less than `joinDelay` before the loss. It had no grants: a node gets its
-- first ones `joinDelay` after it came, or when all others have confirmed that they know it (`membershipVersion`).
-- Windows longer than `longWindow` are not reported completely. They are probed: one call at a time.
--
-- FIELDS of the meter. NAME is a window's name, KIND one without key and lane, KEY an API key's name, LANE a lane's.
--
--   u:NAME n:NAME         units and places in the window
--   o:NAME ou:NAME        units that others spent, as the upstream said, and until when they count
--   s:NAME                paced: the moment of the next start
--   k:KIND                since when this kind is counted; 0 if always
--   paused paused:KEY pausedLane:LANE  until when nothing starts; exhausted:KEY  until when the key is not used
--   probe:KEY             the call that tries an exhausted key
--   slowdown slowdownAt   the part of the limits in use after refusals, and when that was set
--   nextKey startsOfBetterClass        whose turn it is: of the keys, and of the lower classes
--   generation server lastTime         the generation's start, the server's run_id, the last moment seen
--   earliestOpen latestOpen probingUntil          the wait after a loss, as above
--   membershipVersion departedCallsUntil reachableSince   the list of nodes

local request = cjson.decode(ARGV[1])
local METER, NODES = KEYS[1], KEYS[2]
local LANES = METER .. ':lanes'
local clock = redis.call('TIME')
local time = clock[1] * 1000 + clock[2] / 1000
local exact = function(value) return string.format('%.3f', value) end

local fields, touched = {}, {}
local stored = redis.call('HGETALL', METER)
for i = 1, #stored, 2 do fields[stored[i]] = tonumber(stored[i + 1]) end
local function set(field, value)
  fields[field] = value
  touched[field] = true
end
local function get(field) return fields[field] or 0 end

local nodes, nodesTouched = {}, {}
local records = redis.call('HGETALL', NODES)
for i = 1, #records, 2 do nodes[records[i]] = cjson.decode(records[i + 1]) end
local me = nodes[request.node]

if me and request.sequence == me.sequence and me.reply then return me.reply end
if me and me.sequence and request.sequence <= me.sequence then return '{"outdated":true}' end

-- The limits of all nodes. Of limits of one kind, the smallest holds.
local limits, byKind, differ, pace, hold = {}, {}, false, request.pace, request.hold
local function mergeLimits(list)
  for _, l in ipairs(list) do
    local lane = l.lane and string.gsub(l.lane, '/', '%%2F') or ''
    local kind = l.window .. ';' .. l.by .. ';' .. (l.counts or 'cost') .. ';' .. lane
    local known = byKind[kind]
    if known then known.limit = math.min(known.limit, l.limit)
    else
      known = {
        kind = kind, limit = l.limit, window = l.window, by = l.by, counts = l.counts or 'cost',
        lane = l.lane, synced = l.synced,
      }
      byKind[kind] = known
      table.insert(limits, known)
    end
  end
end
mergeLimits(request.limits)
for name, node in pairs(nodes) do
  if name ~= request.node and node.limits then
    mergeLimits(node.limits)
    differ = differ or node.limitsForm ~= request.limitsForm
    pace, hold = pace or node.pace, math.max(hold, node.hold)
  end
end
local longest, shortest, shutFor = 1, math.huge, 0
for _, l in ipairs(limits) do
  longest, shortest = math.max(longest, l.window), math.min(shortest, l.window)
  if l.window <= request.longWindow then shutFor = math.max(shutFor, l.window) end
end
local function nameOf(l, key, lane)
  return l.kind .. '/' .. (l.by == 'key' and request.keyNames[key + 1] or 'a') .. (l.lane == '*' and '/' .. lane or '')
end

-- Starts a new generation: the past is lost, or the server's clock jumped, so no stored moment can be trusted.
local wasReset = false
local function reset(unknown)
  wasReset = true
  for field in pairs(fields) do
    if string.sub(field, 1, 2) == 'n:' then redis.call('DEL', METER .. ':' .. string.sub(field, 3)) end
    if string.find(field, '^paused') then
      -- If the clock went back, a pause keeps the time that it had left.
      set(field, math.min(fields[field], fields[field] + time - (fields.lastTime or time)))
    elseif field ~= 'lastTime' and field ~= 'server' and not string.find(field, '^exhausted') then set(field, nil) end
  end
  -- Also delete windows whose meter was evicted without them.
  for _, l in ipairs(limits) do
    for key = 0, request.keyCount - 1 do redis.call('DEL', METER .. ':' .. nameOf(l, key, '')) end
  end
  local lanes = redis.pcall('ZRANGE', LANES, 0, -1)
  for _, name in ipairs(lanes.err and {} or lanes) do redis.call('DEL', METER .. ':' .. name) end
  redis.call('DEL', METER .. ':running', LANES)
  set('lastTime', time)
  set('generation', time)
  set('membershipVersion', 1)
  if unknown and shutFor > 0 then
    set('earliestOpen', time + shutFor + request.lastArrivals)
    set('latestOpen', time + shutFor + request.horizon + hold)
  end
  if unknown and longest > request.longWindow then set('probingUntil', time + longest + hold) end
  -- All nodes count as absent until they report again. A node that is cut off may be spending its share on its own.
  for name, node in pairs(nodes) do
    node.lastSeen, node.newcomerSince = time - request.presenceTtl, nil
    node.enteredAt, node.enteredVersion, node.knownVersion = time, 1, 0
    nodesTouched[name] = true
  end
end

-- The server's run_id. After a failover the new primary may lack the last writes. Where ACLs forbid INFO, the
-- last known id stands.
local info = redis.pcall('INFO', 'server')
local id = type(info) == 'string' and string.match(info, 'run_id:(%x+)')
local server = id and tonumber(string.sub(id, 1, 12), 16) or fields.server

local clockJumped = false
if not fields.lastTime or #records == 0 then
  -- This includes a meter whose node list alone was lost: the nodes' names are part of the past.
  reset(request.pastUnknown)
elseif request.clockJumped or time < fields.lastTime - request.slack or server ~= fields.server
  or (me and me.sequence and me.sequence < request.lastReply) then
  clockJumped = true
  reset(true)
end
local now = math.max(time, fields.lastTime)
-- No request came for that long, so Redis itself was unreachable. Missing nodes may be about to return.
if now - fields.lastTime >= request.presenceTtl then set('reachableSince', now) end
set('lastTime', now)
if server ~= fields.server then set('server', server) end

-- Drops the windows of a kind that no node has any more: they miss everything from now on.
local function dropKind(kind)
  local begins = kind .. '/'
  local ours = function(name) return string.sub(name, 1, #begins) == begins end
  for field in pairs(fields) do
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
-- Fills the windows of a new kind from those of a longer kind that counts the same calls. A place is freed earlier
-- there, by the difference of the windows' lengths.
local function derive(l)
  for _, from in ipairs(limits) do
    if from.window > l.window and from.by == l.by and from.counts == l.counts and from.lane == l.lane and l.lane ~= '*'
      and fields['k:' .. from.kind] and fields['k:' .. from.kind] + from.window <= now then
      for key = 0, l.by == 'key' and request.keyCount - 1 or 0 do
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
local function syncKinds()
  for field in pairs(fields) do
    local kind = string.match(field, '^k:(.*)$')
    if kind and not byKind[kind] then dropKind(kind) end
  end
  local newKinds = {}
  for _, l in ipairs(limits) do if not fields['k:' .. l.kind] then table.insert(newKinds, l) end end
  for _, l in ipairs(newKinds) do
    local known = wasReset or derive(l)
    if not known and l.window > request.longWindow then
      set('probingUntil', math.max(get('probingUntil'), now + l.window + hold))
    end
    l.countedSince = known and 0 or now
  end
  for _, l in ipairs(newKinds) do set('k:' .. l.kind, l.countedSince) end
end
syncKinds()

-- Windows, read on first use.
local windows = {}
local broken = false
local function windowOf(l, key, lane)
  local name = nameOf(l, key, lane)
  local w = windows[name]
  if w then return w end
  local full = get('k:' .. l.kind) + l.window
  if full > now and l.window <= request.longWindow and not fields['n:' .. name] and not fields['o:' .. name] then
    set('o:' .. name, l.limit)
    set('ou:' .. name, full)
  end
  w = { name = name, key = METER .. ':' .. name, limit = l.limit, window = l.window, calls = l.counts == 'calls',
    used = get('u:' .. name), count = get('n:' .. name),
    ofLane = l.lane ~= nil, eachLane = l.lane == '*', synced = l.synced }
  windows[name] = w
  if redis.pcall('ZCARD', w.key) ~= w.count then
    broken = true
    return w
  end
  local expired = redis.call('ZRANGEBYSCORE', w.key, '-inf', exact(now))
  if #expired > 0 then
    for _, place in ipairs(expired) do w.used = w.used - tonumber(string.match(place, ':([^:]+)$')) end
    w.count = w.count - #expired
    w.touched = true
    redis.call('ZREMRANGEBYSCORE', w.key, '-inf', exact(now))
  end
  if get('ou:' .. name) <= now and fields['o:' .. name] then set('o:' .. name, nil) set('ou:' .. name, nil) end
  return w
end
local function windowsFor(key, lane)
  local found = {}
  for _, l in ipairs(limits) do
    if l.lane == nil or l.lane == '*' or l.lane == lane then table.insert(found, windowOf(l, key, lane)) end
  end
  return found
end
local function units(w, cost) return w.calls and 1 or cost end
local function memberOf(id, n) return id .. ':' .. string.format('%.17g', n) end

-- Reads every window before anything is changed: if one is broken (evicted alone, or of a wrong type), no change may
-- be half done.
for key = 0, request.keyCount - 1 do
  windowsFor(key, '')
  for _, want in ipairs(request.wants) do windowsFor(key, want.lane) end
end
for _, list in ipairs({ request.ended, request.cancelled, request.extended, request.replay }) do
  for _, one in ipairs(list) do windowsFor(one[2], one[3]) end
end
if broken then
  for _, w in pairs(windows) do redis.call('DEL', w.key) end
  reset(true)
  now = time
  syncKinds()
  windows, broken, clockJumped = {}, false, true
end

local function addPlace(w, id, cost, at)
  local n = units(w, cost)
  if redis.call('ZADD', w.key, 'NX', exact(at), memberOf(id, n)) == 1 then
    w.used, w.count, w.touched = w.used + n, w.count + 1, true
  end
end
local function removePlace(w, id, cost)
  local n = units(w, cost)
  if redis.call('ZREM', w.key, memberOf(id, n)) == 1 then
    w.used, w.count, w.touched = w.used - n, w.count - 1, true
  end
end
local function cancelCall(id, key, lane, cost)
  for _, w in ipairs(windowsFor(key, lane)) do removePlace(w, id, cost) end
  redis.call('ZREM', METER .. ':running', id)
end

-- After its time, an exhausted key is tried by one call at a time (the probe). If that call ends without another
-- signal, the key works again (`til` is nil). If it never started, the next call is the probe (`til` is now).
local function endProbe(id, key, til)
  local named = request.keyNames[key + 1]
  if get('exhausted:' .. named) <= now or redis.call('HGET', METER, 'probe:' .. named) ~= id then return end
  set('exhausted:' .. named, til)
  redis.call('HDEL', METER, 'probe:' .. named)
end
