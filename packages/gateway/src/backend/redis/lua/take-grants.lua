-- Third part of the meter's script: what the upstream said, the grants, the reply, and the write.

local function currentSlowdown()
  if not fields.slowdown then return 1 end
  return math.min(1, fields.slowdown + request.backOffRecovery * (now - get('slowdownAt')) / shortest)
end
if request.backOff and now - get('slowdownAt') >= shortest then
  -- Refusals that come together count as one.
  set('slowdown', math.max(request.backOffFloor, currentSlowdown() * request.backOffFactor))
  set('slowdownAt', now)
end
for _, one in ipairs(request.pauses) do
  local of = one[2]
  local field = type(of) == 'string' and 'pausedLane:' .. of or of < 0 and 'paused' or 'paused:' .. request.keyNames[of + 1]
  set(field, math.max(get(field), now + one[1]))
end
for _, key in ipairs(request.exhausted) do
  local named = request.keyNames[key + 1]
  set('exhausted:' .. named, now + request.exhaustedFor)
  redis.call('HDEL', METER, 'probe:' .. named)
end
local opensAt, allReported, anyComplete = get('earliestOpen'), true, false
for _, node in pairs(nodes) do
  if node.generation ~= generation then opensAt = math.max(opensAt, get('latestOpen')) end
  allReported = allReported and node.generation == generation and node.complete ~= false
  anyComplete = anyComplete or node.complete == true
end
if opensAt > now and allReported and anyComplete and get('departedCallsUntil') <= now then
  set('earliestOpen', nil)
  opensAt = now
end
for _, one in ipairs(request.remaining) do
  for _, w in ipairs(windowsFor(one.key, '')) do
    local left = w.synced and one[w.calls and 'calls' or 'cost']
    -- A little less than expected is only what came free after the upstream counted. After a loss, much less than
    -- expected is only what other nodes have yet to report.
    local foreign = left and w.limit - left - w.used
    if left and (fields.probingUntil or opensAt <= now and foreign > w.limit * 0.1) then
      set('o:' .. w.name, math.max(0, foreign))
      set('ou:' .. w.name, now + w.window)
    end
  end
  set('probingUntil', nil)
end
if fields.probingUntil and fields.probingUntil <= now then set('probingUntil', nil) end

-- Units of a window that absent nodes may be spending on their own, or have spent less than a window ago.
local function absentUnits(w)
  local sum = 0
  for _, node in pairs(nodes) do
    if node ~= me and request.isolationLimit > 0 and isAbsent(node)
      and now - node.lastSeen < request.isolationLimit + hold + w.window then
      sum = sum + math.floor(w.limit * node.share + 1e-9)
    end
  end
  return sum
end
local slowdown = currentSlowdown()
local function capacityOf(w)
  if not w.allowed then
    w.available = math.max(0, w.limit - absentUnits(w))
    w.allowed = math.min(w.available, math.max(1, math.floor(w.limit * slowdown)))
  end
  return w.allowed
end

-- The moment at which `n` units fit, given the places whose end is known. math.huge if none is.
local function fitsAt(w, n)
  local room = math.min(math.max(capacityOf(w), math.min(n, w.limit)), w.available)
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

-- Most calls end before their places expire; a place then comes free one window later. Asking again earlier than
-- that is useless.
local function earliestStart(w, n)
  local at = fitsAt(w, n)
  if pace then at = math.max(at, get('s:' .. w.name)) end
  return at, math.min(at, now + w.window)
end

-- Whether Redis knows anything now that the nodes could not restore after a loss.
local unreplicated = math.max(opensAt, get('departedCallsUntil')) > now
for field, value in pairs(fields) do
  unreplicated = unreplicated or string.sub(field, 1, 3) == 'ou:' and value > now
end
-- A node that waits for others to report, or to learn of it, asks again sooner than it could start.
local retrySoon = now + 2 * request.horizon
if joining then opensAt = math.max(opensAt, retrySoon) end
if allReported and not anyComplete then retrySoon = math.max(retrySoon, opensAt) end
local function chooseKey(want)
  local best
  for i = 0, request.keyCount - 1 do
    local key = (get('nextKey') + i) % request.keyCount
    local named = request.keyNames[key + 1]
    if get('exhausted:' .. named) <= now then
      local pausedUntil = math.max(now, get('paused'), get('paused:' .. named))
      local at, retryAt = math.max(pausedUntil, opensAt), math.max(pausedUntil, math.min(opensAt, retrySoon))
      local laneAt = math.max(now, get('pausedLane:' .. want.lane))
      local laneRetryAt = laneAt
      if fields.probingUntil and redis.call('ZCOUNT', METER .. ':running', exact(now), '+inf') > 0 then
        at, retryAt = math.huge, math.max(retryAt, now + request.horizon * 2)
      end
      for _, w in ipairs(windowsFor(key, want.lane)) do
        local a, b = earliestStart(w, units(w, want.cost))
        if w.ofLane then laneAt, laneRetryAt = math.max(laneAt, a), math.max(laneRetryAt, b)
        else at, retryAt = math.max(at, a), math.max(retryAt, b) end
      end
      local one = { key = key, at = math.max(at, laneAt), retryAt = math.max(retryAt, laneRetryAt),
        byLane = at <= now + request.horizon and laneAt > now + request.horizon }
      if not best or one.at < best.at then best = one end
      if one.at <= now then break end
    end
  end
  return best
end

local granted, replies, wait, never, waiting = {}, {}, nil, nil, nil
local heldLanes = {}
local function retryIn(duration)
  duration = math.max(1, duration)
  if not wait or duration < wait then wait = duration end
end
for _, want in ipairs(request.wants) do
  if not heldLanes[want.lane] then
    -- A higher class that waits on another node goes first. One start in a few belongs to the lower classes.
    local better, worse = false, false
    for name, node in pairs(nodes) do
      if node ~= me and node.waitingRank and node.waitingUntil > now then
        better = better or node.waitingRank < want.rank
        worse = worse or node.waitingRank > want.rank
      end
    end
    local aged = get('startsOfBetterClass') >= request.lowerClassTurn
    local best = chooseKey(want)
    if not best then never = 'exhausted' break end
    if (aged and worse) or (not aged and better) then
      waiting = want
      retryIn(math.max(best.retryAt - now - request.horizon, request.horizon / 2))
      break
    end
    if best.at > now + request.horizon then
      waiting = waiting or want
      retryIn(best.retryAt - now - request.horizon)
      if not best.byLane then break end
      heldLanes[want.lane] = true
    else
      local id = request.firstId + #granted
      local named = request.keyNames[best.key + 1]
      if get('exhausted:' .. named) > 0 then
        set('exhausted:' .. named, now + request.exhaustedFor)
        redis.call('HSET', METER, 'probe:' .. named, request.node .. '/' .. id)
      end
      for _, w in ipairs(windowsFor(best.key, want.lane)) do
        local n = units(w, want.cost)
        addPlace(w, request.node .. '/' .. id, want.cost, best.at + request.hold + w.window)
        if pace then
          -- Starts are sometimes late. The next one comes sooner, or the rate would stay below the limit.
          local spacing = request.paceCatchUp * w.window * n / math.max(1, capacityOf(w))
          set('s:' .. w.name, math.max(get('s:' .. w.name), best.at - spacing) + spacing)
        end
      end
      redis.call('ZADD', METER .. ':running', exact(best.at + request.hold), request.node .. '/' .. id)
      set('nextKey', (best.key + 1) % request.keyCount)
      if better then set('startsOfBetterClass', 0)
      elseif worse then set('startsOfBetterClass', get('startsOfBetterClass') + 1) end
      table.insert(granted, { id, best.key, want.lane, want.cost })
      table.insert(replies, { id, best.key, want.lane, want.cost, best.at - now })
    end
  end
end
if #request.wants > 0 then
  -- A node that may not start yet holds back no other.
  me.waitingRank = waiting and not joining and waiting.rank or nil
  me.waitingUntil = waiting and now + (wait or 0) + 2 * request.horizon or nil
end
redis.call('ZREMRANGEBYSCORE', METER .. ':running', '-inf', exact(now - longest))

local paused, exhausted, indexOf = {}, {}, {}
for i, name in ipairs(request.keyNames) do indexOf[name] = i - 1 end
for field, value in pairs(fields) do
  local of = field == 'paused' and -1 or indexOf[string.match(field, '^paused:(.*)$') or false]
  if of and value > now then table.insert(paused, { value - now, of }) end
  local lane = string.match(field, '^pausedLane:(.*)$')
  if lane and value > now then table.insert(paused, { value - now, lane }) elseif lane then set(field, nil) end
  local used = indexOf[string.match(field, '^exhausted:(.*)$') or false]
  if used and value > now then table.insert(exhausted, used) end
end
local members
if me.knownVersion ~= get('membershipVersion') then
  members = {}
  for name in pairs(nodes) do table.insert(members, name) end
end
local reply = cjson.encode({
  now = exact(now), generation = generation, granted = replies, wait = wait, never = never,
  paused = paused, exhausted = exhausted, share = share, unreplicated = unreplicated,
  membershipVersion = get('membershipVersion'), members = members, clockJumped = clockJumped,
  probing = fields.probingUntil ~= nil, limits = differ and limits or nil,
})
if request.leave then
  removeNode(request.node)
else
  me.sequence, me.reply, me.granted = request.sequence, reply, granted
  me.limits, me.limitsForm, me.pace, me.hold = request.limits, request.limitsForm, request.pace, request.hold
  nodes[request.node] = me
end
nodesTouched[request.node] = true

for name in pairs(nodesTouched) do
  if nodes[name] then redis.call('HSET', NODES, name, cjson.encode(nodes[name])) else redis.call('HDEL', NODES, name) end
end
for name, w in pairs(windows) do
  if w.touched then
    set('u:' .. name, w.count > 0 and w.used or nil)
    set('n:' .. name, w.count > 0 and w.count or nil)
    if w.eachLane then redis.call('ZADD', LANES, 'NX', exact(now + w.window), name) end
  end
end
-- Delete what is kept for lanes that count nothing. A few in each request, but more than one request can add.
for _, name in ipairs(redis.call('ZRANGEBYSCORE', LANES, '-inf', exact(now), 'LIMIT', 0, request.laneSweep)) do
  local last = redis.pcall('ZRANGE', METER .. ':' .. name, -1, -1, 'WITHSCORES')
  local til = math.max(tonumber(last[2] or 0), get('s:' .. name))
  if til > now then
    redis.call('ZADD', LANES, exact(til), name)
  else
    redis.call('DEL', METER .. ':' .. name)
    redis.call('ZREM', LANES, name)
    for _, kind in ipairs({ 'u:', 'n:', 's:' }) do set(kind .. name, nil) end
  end
end
local changes, gone = {}, {}
for field in pairs(touched) do
  if fields[field] == nil then table.insert(gone, field)
  else
    table.insert(changes, field)
    table.insert(changes, string.format('%.17g', fields[field]))
  end
end
if #changes > 0 then redis.call('HSET', METER, unpack(changes)) end
if #gone > 0 then redis.call('HDEL', METER, unpack(gone)) end
return reply
