-- What all scripts share: put before each of them. Every script is one step: it checks what it may find, then writes.
-- Commands that could fail half way (a key of the wrong type) are kept from it by `fit`.
--
-- KEYS[1] is `{hive}:n`; all other keys begin with its part before `n` and so lie in the same slot:
--   t:<id>        record of a task, see `parse`
--   n             hash of counters: p0..p10 pending by priority, d delayed, b blocked, w those together,
--                 r running; C, F, X ended ever; corrupt put aside since somebody was told; s batches taken in
--   <queue>:<lane>:<priority>  list of ids that wait, the next one first; an id whose record is not pending is skipped
--   ready         sorted set of `<lane>:<priority>` with a list that is not empty, by priority
--   due           sorted set of delayed ids by when they are due (ms)
--   blocked       sorted set of blocked ids by when they were taken in (ms)
--   d:<id>        set of ids that are blocked by this one
--   settle        list of ended ids whose dependents were too many for one step
--   sessions      sorted set of sessions by their deadline (ms)
--   s:<session>   hash: `note`, and `n:<node>` for its nodes
--   run:<session> hash of the ids it has leases on: `<fence>` or `<fence> <node>`
--   c:<session>   set of ids that somebody wants cancelled
--   lost          list of keys such as run:<session> of sessions that were given up
--   done          list of `<ms><id>` of completed tasks, the oldest first
--   dead, gone    sorted sets of failed and cancelled ids by when they ended (ms)
--   k:<key>       idempotency key: `<id> <fingerprint>`; it expires with the task's result
--   groups, grouprun, grouprate  hashes by group: `<concurrency> <rate>`, running, `<tokens> <ms>`
--   p:<id>        stream of progress
--   r:<name>, versions  small documents, see document.lua
--   corrupt       list of what was put aside; aside:<key> keys of the wrong type
local P = string.sub(KEYS[1], 1, -2)
local T = P .. 't:'
local call, sub, match, byte, band = redis.call, string.sub, string.match, string.byte, bit.band
local clock = call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)

-- flags of a record
local PARENT, CANCEL, GROUP, KEY, DEPS = 1, 2, 4, 8, 16

-- most records put aside that are kept to be looked at
local ASIDE = 1000

-- added to the counters at the end, once
local delta = {}
local function count(name, more)
  delta[name] = (delta[name] or 0) + more
end
local function flush()
  for name, more in pairs(delta) do
    if more ~= 0 and type(redis.pcall('HINCRBY', KEYS[1], name, more)) == 'table' then
      call('HSET', KEYS[1], name, math.max(0, more))
    end
  end
end

local function aside(what, text)
  redis.pcall('LPUSH', P .. 'corrupt', now .. ' ' .. what .. ' ' .. sub(text or '', 1, 1024))
  redis.pcall('LTRIM', P .. 'corrupt', 0, ASIDE - 1)
  count('corrupt', 1)
end

-- Makes sure that writing to a key cannot fail.
local function fit(key, kind)
  local found = call('TYPE', key).ok
  if found ~= kind and found ~= 'none' then
    call('RENAME', key, P .. 'aside:' .. sub(key, #P + 1))
    aside('key ' .. key, found)
  end
end

-- A record is `HEAD|FIXED|lane key deps body outcome` (no spaces between the last five). HEAD changes:
--   state+fence session attempt losses flags ended started due node left outcome-length
-- or just `P` for a task that never ran and has no flags. FIXED stays:
--   created batch priority lane-length key-length deps body-length
-- States: Blocked, Delayed, Pending, Running, Completed, Failed, X cancelled. `due` of a blocked task is its delay.
local function parse(rec)
  if not rec then return nil end
  local r, at = nil, 3
  if sub(rec, 1, 2) == 'P|' then
    r = { state = 'P', fence = 0, session = '-', attempt = 0, losses = 0, flags = 0, ended = 0, started = 0, due = 0,
      node = '-', left = 0, outlen = 0 }
  else
    r = {}
    local fence, attempt, losses, flags, ended, started, due, left, outlen
    r.state, fence, r.session, attempt, losses, flags, ended, started, due, r.node, left, outlen, at = match(rec,
      '^([BDPRCFX])(%d+) (%S+) (%d+) (%d+) (%d+) (%d+) (%d+) (%d+) (%S+) (%d+) (%d+)|()')
    if not at then return nil end
    r.fence, r.attempt, r.losses, r.flags = tonumber(fence), tonumber(attempt), tonumber(losses), tonumber(flags)
    r.ended, r.started, r.due = tonumber(ended), tonumber(started), tonumber(due)
    r.left, r.outlen = tonumber(left), tonumber(outlen)
  end
  local created, batch, priority, lane, key, deps, body, from =
    match(rec, '^(%d+) (%d+) (%d+) (%d+) (%d+) (%d+) (%d+)|()', at)
  if not from then return nil end
  local key_at = from + lane
  local deps_at = key_at + key
  local body_at = deps_at + deps * 36
  local stop = body_at + body
  if stop + r.outlen ~= #rec + 1 then return nil end
  r.created, r.batch, r.priority = created, tonumber(batch), priority
  r.lane = sub(rec, from, key_at - 1)
  r.key = sub(rec, key_at, deps_at - 1)
  r.rec, r.at, r.stop, r.deps_at, r.deps = rec, at, stop, deps_at, tonumber(deps)
  return r
end

-- Text of a parsed record; `r.outcome` replaces the outcome it had.
local function text(r)
  local tail = r.outcome
  local outlen = tail and #tail or r.outlen
  tail = tail and sub(r.rec, r.at, r.stop - 1) .. tail or sub(r.rec, r.at)
  if r.state == 'P' and r.fence == 0 and r.flags == 0 and outlen == 0 then return 'P|' .. tail end
  return r.state .. r.fence .. ' ' .. r.session .. ' ' .. r.attempt .. ' ' .. r.losses .. ' ' .. r.flags .. ' '
    .. r.ended .. ' ' .. r.started .. ' ' .. r.due .. ' ' .. r.node .. ' ' .. r.left .. ' ' .. outlen .. '|' .. tail
end

local function read(id)
  local rec = call('MGET', T .. id)[1]
  local r = parse(rec)
  if not r and rec then aside('task ' .. id, rec) end
  return r, rec
end

local function group_of(lane)
  local name = match(lane, ';group=([^;]*)$')
  return name and string.gsub(name, '%%(%x%x)', function(hex) return string.char(tonumber(hex, 16)) end)
end

-- Lists that were empty and are not now.
local awake = {}
local function wake(member)
  awake[#awake + 1] = member
end

local function list_of(lane, priority)
  return P .. (tonumber(priority) >= HIGH_FROM and HIGH or BACKGROUND) .. ':' .. lane .. ':' .. priority
end

local function push(how, list, member, priority, ids)
  local length = redis.pcall(how, list, unpack(ids))
  if type(length) == 'table' then
    fit(list, 'list')
    length = call(how, list, unpack(ids))
  end
  call('ZADD', P .. 'ready', priority, member)
  if length == #ids then wake(member) end
end

-- Puts a task into its lane, last.
local function pend(id, r)
  r.state, r.session, r.due = 'P', '-', 0
  call('SET', T .. id, text(r))
  push('RPUSH', list_of(r.lane, r.priority), r.lane .. ':' .. r.priority, r.priority, { id })
  count('p' .. r.priority, 1)
  count('w', 1)
end

-- Tasks that go back before all that never ran, by list; `queue_fronts` puts them there in the order in which they
-- were taken in, also among those that came back before them.
local fronts = {}
local function pend_first(id, r)
  r.state, r.session, r.due = 'P', '-', 0
  call('SET', T .. id, text(r))
  local member = r.lane .. ':' .. r.priority
  local front = fronts[member] or { list = list_of(r.lane, r.priority), priority = r.priority }
  front[#front + 1] = { id, r.batch }
  fronts[member] = front
  count('p' .. r.priority, 1)
  count('w', 1)
end

local function before(a, b)
  if a[2] ~= b[2] then return a[2] < b[2] end
  return a[1] < b[1]
end

-- most that came back earlier among which others are sorted
local RETURNED = 1000

local function queue_fronts()
  for member, front in pairs(fronts) do
    table.sort(front, before)
    local last = front[#front]
    for _ = 1, RETURNED do
      local id = redis.pcall('LINDEX', front.list, 0)
      local r = type(id) == 'string' and parse(call('MGET', T .. id)[1])
      if not r or r.state ~= 'P' or r.fence == 0 or not before({ id, r.batch }, last) then break end
      front[#front + 1] = { id, r.batch }
      call('LPOP', front.list)
    end
    table.sort(front, before)
    local ids = {}
    for i = #front, 1, -1 do ids[#ids + 1] = front[i][1] end
    push('LPUSH', front.list, member, front.priority, ids)
  end
  fronts = {}
end

local function delay(id, r, ms)
  r.state, r.session, r.due = 'D', '-', now + ms
  call('SET', T .. id, text(r))
  call('ZADD', P .. 'due', r.due, id)
  count('d', 1)
  count('w', 1)
end

-- Takes a task that waits out of the numbers.
local function unwait(r)
  count('w', -1)
  if r.state == 'P' then count('p' .. r.priority, -1) end
  if r.state == 'D' then count('d', -1) end
  if r.state == 'B' then count('b', -1) end
end

-- Takes a lease off a record; the entry in run:<session> is the caller's.
local function release(id, r)
  count('r', -1)
  if band(r.flags, GROUP) ~= 0 then
    local group = group_of(r.lane)
    local left = group and redis.pcall('HINCRBY', P .. 'grouprun', group, -1)
    if left and (type(left) == 'table' or left <= 0) then call('HDEL', P .. 'grouprun', group) end
  end
  if band(r.flags, CANCEL) ~= 0 then call('SREM', P .. 'c:' .. r.session, id) end
end

-- Ended tasks: of all, and those that others wait for.
local ended, parents = {}, {}

local function finish(id, r, state, outcome)
  r.state, r.session, r.due, r.ended, r.outcome = state, '-', 0, now, outcome
  call('SET', T .. id, text(r))
  count(state, 1)
  if state == 'C' then
    call('RPUSH', P .. 'done', now .. id)
  else
    call('ZADD', P .. (state == 'F' and 'dead' or 'gone'), now, id)
  end
  if band(r.flags, KEY) ~= 0 then call('PEXPIRE', P .. 'k:' .. r.key, KEEP) end
  if band(r.flags, PARENT) ~= 0 then parents[#parents + 1] = { id, state } end
  ended[#ended + 1] = id
end

-- The structures that ending and waiting write to.
local function fit_all()
  fit(KEYS[1], 'hash')
  fit(P .. 'ready', 'zset')
  fit(P .. 'due', 'zset')
  fit(P .. 'blocked', 'zset')
  fit(P .. 'done', 'list')
  fit(P .. 'dead', 'zset')
  fit(P .. 'gone', 'zset')
  fit(P .. 'settle', 'list')
  fit(P .. 'grouprun', 'hash')
end

-- most dependents moved in one step
local DEPENDENTS = 1000

-- Tells dependents of ended tasks; gives `id state` pairs of those that moved, and whether some are left for later.
local function settle()
  local moved, budget, at = {}, DEPENDENTS, 1
  while at <= #parents and budget > 0 do
    local id, state = parents[at][1], parents[at][2]
    local waiting = P .. 'd:' .. id
    fit(waiting, 'set')
    local found = call('SPOP', waiting, budget)
    table.sort(found)
    budget = budget - #found
    for _, child in ipairs(found) do
      local r = read(child)
      if r and r.state == 'B' then
        if state == 'C' then
          r.left = r.left - 1
          if r.left > 0 then
            call('SET', T .. child, text(r))
          else
            unwait(r)
            call('ZREM', P .. 'blocked', child)
            if r.due > 0 then delay(child, r, r.due) else pend(child, r) end
          end
        else
          unwait(r)
          call('ZREM', P .. 'blocked', child)
          finish(child, r, 'F', state == 'X'
            and 'Fcancelled\ntask ' .. id .. ', which this one depends on, was cancelled'
            or 'Fskill_failed\ntask ' .. id .. ', which this one depends on, failed')
        end
        if r.state ~= 'B' then
          moved[#moved + 1] = child
          moved[#moved + 1] = r.state
        end
      end
    end
    if budget > 0 or call('EXISTS', waiting) == 0 then at = at + 1 end
  end
  for i = at, #parents do call('RPUSH', P .. 'settle', parents[i][1]) end
  return moved, at <= #parents and 1 or 0
end

-- Says what happened. Others than the one who ended them want to know that tasks ended, so with nobody else there
-- nothing is said.
local function say(origin)
  if #awake > 0 then call('PUBLISH', HINTS, 'R' .. origin .. ' ' .. table.concat(awake, ' ')) end
  if #ended == 0 then return end
  local others = redis.pcall('PUBSUB', 'NUMSUB', HINTS)
  if others.err or tonumber(others[2]) > 1 or origin == '-' or redis.pcall('ZCARD', P .. 'sessions') ~= 1 then
    call('PUBLISH', HINTS, 'E' .. origin .. ' ' .. table.concat(ended, ' '))
  end
end

-- Gives leases of a session back; `returned`: they were never run. `key` is its run:<session>.
local function give_back(key, session, most, returned)
  local entries = call('HRANDFIELD', key, most, 'WITHVALUES')
  local ids, notes = {}, {}
  for i = 1, #entries, 2 do
    ids[#ids + 1] = entries[i]
    notes[entries[i]] = entries[i + 1]
  end
  local back, cancelled = {}, {}
  for _, id in ipairs(ids) do
    local r = read(id)
    local fence, node = match(notes[id], '^(%d+) ?(.*)$')
    if not r then count('r', -1) end
    if r and r.state == 'R' and r.session == session and r.fence == tonumber(fence) then
      if node ~= '' then r.node = node end
      release(id, r)
      if band(r.flags, CANCEL) ~= 0 then
        finish(id, r, 'X', 'Xcancelled on request')
        cancelled[#cancelled + 1] = id
      else
        if returned then r.attempt = r.attempt - 1 end
        pend_first(id, r)
        back[#back + 1] = id
      end
    end
  end
  if #ids > 0 then call('HDEL', key, unpack(ids)) end
  queue_fronts()
  return back, cancelled
end
