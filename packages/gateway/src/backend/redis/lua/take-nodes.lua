-- Second part of the meter's script: the list of nodes, and the calls that this node reports.

-- The nodes, and the share of the limits that each may spend when it is cut off. The shares add up to at most 1.
local isAbsent = function(node) return now - node.lastSeen >= request.presenceTtl end
local generation = exact(get('generation'))
-- Adds a node. It is granted nothing until the others can know of it.
local function addNode(name, node)
  set('membershipVersion', get('membershipVersion') + 1)
  node.enteredAt, node.enteredVersion, node.knownVersion = now, get('membershipVersion'), 0
  nodes[name] = node
  nodesTouched[name] = true
  redis.call('SPUBLISH', ARGV[2], name)
end
-- Removes a node. Its last calls still count for a while, and no other node could report them after a loss.
local function removeNode(name)
  set('membershipVersion', get('membershipVersion') + 1)
  set('departedCallsUntil', now + hold + shutFor)
  nodes[name] = nil
  nodesTouched[name] = true
end
if me == nil then
  me = { lastSeen = now, share = request.share, newcomerSince = request.lastReply == 0 and now or nil }
  addNode(request.node, me)
end
if me.newcomerSince then
  -- A restarted process replaces the node that has been silent longest, even if that one was not yet counted as absent
  -- when the new process came. A node that was not replaced may be cut off and alive. After a loss, a silent node may
  -- only be slow to report.
  -- than the other was missed. One that is gone and was not replaced may be cut off and alive; after a loss it may only be
  -- slow to tell.
  local gone
  local returning = now - get('reachableSince') < request.presenceTtl
  for name, node in pairs(nodes) do
    local late = returning or node.generation ~= generation and get('latestOpen') > now
    if node ~= me and isAbsent(node) and not late and node.lastSeen <= me.newcomerSince
      and (gone == nil or node.lastSeen < nodes[gone].lastSeen) then
      gone = name
    end
  end
  if gone then removeNode(gone) end
  if gone or now > math.max(me.newcomerSince + 2 * request.presenceTtl, get('latestOpen')) then me.newcomerSince = nil end
end
-- Nodes that this node remembers from before a loss. They may be spending their shares, and have a past to report.
for _, name in ipairs(request.members) do
  if not nodes[name] then
    addNode(name, { lastSeen = now - request.presenceTtl, share = math.min(request.share, 1 - request.share) })
  end
end
if me.generation ~= generation and request.generation == generation then me.complete = request.complete end
-- A node that is new here has nothing to report.
me.generation = request.generation == '' and generation or request.generation
me.knownVersion = request.generation == generation and request.membershipVersion or 0
local count, others, known = 0, 0, true
for name, node in pairs(nodes) do
  if node ~= me and now - node.lastSeen > request.presenceTtl + request.isolationLimit + hold + longest then
    removeNode(name)
  else
    count = count + 1
    if node ~= me then
      others = others + node.share
      known = known and node.knownVersion >= me.enteredVersion
    end
  end
end
local joining = not known and now - me.enteredAt < request.joinDelay
-- No share grows while a node that holds one may be unknown.
local mayGrow = me.generation == generation and get('earliestOpen') <= now
local share = mayGrow and math.max(0, math.min(1 / count, 1 - others)) or request.share
me.share = math.max(request.share, share)
-- A node is present if it received a reply recently. One whose requests arrive but whose replies are lost already
-- treats itself as isolated.
me.lastSeen = math.max(me.lastSeen, math.min(now, request.lastTime))

-- Take back what the last reply granted, if that reply was lost.
if me.granted and (me.sequence or 0) > request.lastReply then
  for _, grant in ipairs(me.granted) do
    cancelCall(request.node .. '/' .. grant[1], grant[2], grant[3], grant[4])
    endProbe(request.node .. '/' .. grant[1], grant[2], now)
  end
end
-- Before the ends below: calls that this generation knows nothing of.
for _, one in ipairs(request.replay) do
  for _, w in ipairs(windowsFor(one[2], one[3])) do
    local at = one[5] < 0 and now + request.hold + w.window or now - one[5] + w.window
    if at > now then addPlace(w, request.node .. '/' .. one[1], one[4], at) end
  end
end
for _, one in ipairs(request.cancelled) do
  cancelCall(request.node .. '/' .. one[1], one[2], one[3], one[4])
  endProbe(request.node .. '/' .. one[1], one[2], now)
end
for _, one in ipairs(request.ended) do
  local id, cost, truth, age = request.node .. '/' .. one[1], one[4], one[5], one[6]
  for _, w in ipairs(windowsFor(one[2], one[3])) do
    local was = redis.call('ZSCORE', w.key, memberOf(id, units(w, cost)))
    if was then
      local at = math.min(tonumber(was), now - age + w.window)
      removePlace(w, id, cost)
      addPlace(w, id, truth, at)
    elseif me.generation ~= generation and now - age + w.window > now then
      addPlace(w, id, truth, now - age + w.window)
    end
  end
  redis.call('ZREM', METER .. ':running', id)
  endProbe(id, one[2], nil)
end
-- Calls that take longer than expected.
for _, one in ipairs(request.extended) do
  for _, w in ipairs(windowsFor(one[2], one[3])) do
    local id = request.node .. '/' .. one[1]
    redis.call('ZADD', w.key, 'XX', 'GT', exact(now + request.hold + w.window), memberOf(id, units(w, one[4])))
  end
end
