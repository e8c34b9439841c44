-- Takes tasks in: all or none. Not allowed over maxmemory, so that a full Redis takes no more work.
-- ARGV: origin, most that may wait, lists, [member, list, priority, head, tasks]*,
--       then for each list its ids and then the rest of its records,
--       then others, [id, key, fingerprint, delay, priority, lane, flags, dependencies, [known in batch, id]*, body]*
-- Gives {'ok', id or ''...} (for the others: which task their key stands for), {'full', waiting, asked},
--       {'unknown', id...} or {'reused', key, id}.
local origin, most, lists = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local at, plain = 4, 0
local lanes = {}
for i = 1, lists do
  lanes[i] = { ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3], tonumber(ARGV[at + 4]) }
  plain = plain + lanes[i][5]
  at = at + 5
end
local first = at
at = at + 2 * plain

-- The others: read and check.
local others, new = {}, {}
local keyed, stands = {}, {}
for i = 1, tonumber(ARGV[at]) do
  if i == 1 then fit_all() end
  local o = { id = ARGV[at + 1], key = ARGV[at + 2], print = ARGV[at + 3], delay = tonumber(ARGV[at + 4]),
    priority = ARGV[at + 5], lane = ARGV[at + 6], flags = tonumber(ARGV[at + 7]), deps = {} }
  local unsure = {}
  for d = 1, tonumber(ARGV[at + 8]) do
    local dep = ARGV[at + 8 + 2 * d]
    if ARGV[at + 7 + 2 * d] == '0' then unsure[#unsure + 1] = dep end
    o.deps[d] = stands[dep] or dep
  end
  at = at + 9 + 2 * #o.deps
  o.body = ARGV[at]
  others[i] = o
  if call('EXISTS', T .. o.id) == 0 then
    if o.key ~= '' then
      local used = keyed[o.key]
      if not used then
        fit(P .. 'k:' .. o.key, 'string')
        local id, print = match(call('GET', P .. 'k:' .. o.key) or '', '^(%S+) (.*)$')
        if id and call('EXISTS', T .. id) == 1 then used = { id, print } end
      end
      if used and used[2] ~= o.print then
        flush()
        return { 'reused', o.key, used[1] }
      end
      if used then
        o.stands = used[1]
        stands[o.id] = used[1]
      end
      keyed[o.key] = used or { o.id, o.print }
    end
    if not o.stands then
      local unknown = { 'unknown' }
      for _, dep in ipairs(unsure) do
        if call('EXISTS', T .. dep) == 0 and #unknown <= 10 then unknown[#unknown + 1] = dep end
      end
      if #unknown > 1 then
        flush()
        return unknown
      end
      new[#new + 1] = o
    end
  end
end

local waiting = tonumber(redis.pcall('HGET', KEYS[1], 'w') or 0) or 0
if waiting + plain + #new > most then
  -- those that are known ask for no room
  local asked = #new
  local start = first
  for _, lane in ipairs(lanes) do
    for i = start, start + lane[5] - 1 do asked = asked + 1 - call('EXISTS', T .. ARGV[i]) end
    start = start + 2 * lane[5]
  end
  if asked > 0 and waiting + asked > most then
    flush()
    return { 'full', waiting, asked }
  end
end

-- Write. Tasks without anything special: many at a time.
local STEP = 500
if plain > 0 then
  fit(KEYS[1], 'hash')
  fit(P .. 'ready', 'zset')
end
local batch = redis.pcall('HINCRBY', KEYS[1], 's', 1)
if type(batch) == 'table' then
  call('HSET', KEYS[1], 's', 1)
  batch = 1
end
local since = now .. ' ' .. batch
local from = first
for _, lane in ipairs(lanes) do
  local member, list, priority, head, n = lane[1], lane[2], lane[3], lane[4] .. since, lane[5]
  local length, added = redis.pcall('LLEN', list), 0
  if type(length) == 'table' then
    fit(list, 'list')
    length = 0
  end
  for start = from, from + n - 1, STEP do
    local stop = math.min(start + STEP, from + n) - 1
    local sets, k = {}, 1
    for i = start, stop do
      sets[k] = T .. ARGV[i]
      sets[k + 1] = head .. ARGV[i + n]
      k = k + 2
    end
    if call('MSETNX', unpack(sets)) == 1 then
      call('RPUSH', list, unpack(ARGV, start, stop))
      added = added + stop - start + 1
    else
      for i = start, stop do
        if call('SETNX', T .. ARGV[i], head .. ARGV[i + n]) == 1 then
          call('RPUSH', list, ARGV[i])
          added = added + 1
        end
      end
    end
  end
  if added > 0 then
    call('ZADD', P .. 'ready', priority, member)
    count('p' .. priority, added)
    count('w', added)
    if length == 0 then wake(member) end
  end
  from = from + 2 * n
end

for _, o in ipairs(new) do
  local parts = { since, o.priority, #o.lane, #o.key, #o.deps, #o.body }
  local r = { state = 'P', fence = 0, session = '-', attempt = 0, losses = 0, flags = o.flags, ended = 0, started = 0,
    due = 0, node = '-', left = 0, outlen = 0, created = now, batch = batch, priority = o.priority, lane = o.lane, key = o.key, at = 1 }
  r.rec = table.concat(parts, ' ') .. '|' .. o.lane .. o.key .. table.concat(o.deps) .. o.body
  r.stop = #r.rec + 1
  if o.key ~= '' then call('SET', P .. 'k:' .. o.key, o.id .. ' ' .. o.print) end
  local failed
  for _, dep in ipairs(o.deps) do
    local parent = read(dep)
    if not parent or parent.state == 'F' or parent.state == 'X' then
      failed = failed or { dep, parent and parent.state }
    elseif parent.state ~= 'C' then
      r.left = r.left + 1
      fit(P .. 'd:' .. dep, 'set')
      call('SADD', P .. 'd:' .. dep, o.id)
      if band(parent.flags, PARENT) == 0 then
        parent.flags = parent.flags + PARENT
        call('SET', T .. dep, text(parent))
      end
    end
  end
  if failed then
    finish(o.id, r, 'F', failed[2] == 'X'
      and 'Fcancelled\ntask ' .. failed[1] .. ', which this one depends on, was cancelled'
      or 'Fskill_failed\ntask ' .. failed[1] .. ', which this one depends on, failed')
  elseif r.left > 0 then
    r.state, r.due = 'B', o.delay
    call('SET', T .. o.id, text(r))
    call('ZADD', P .. 'blocked', now, o.id)
    count('b', 1)
    count('w', 1)
  elseif o.delay > 0 then
    delay(o.id, r, o.delay)
  else
    pend(o.id, r)
  end
end

flush()
say(#ended > 0 and '-' or origin)
local answer = { 'ok' }
for i, o in ipairs(others) do answer[i + 1] = o.stands or '' end
return answer
