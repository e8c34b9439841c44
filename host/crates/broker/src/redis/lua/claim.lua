-- Leases waiting tasks to a session.
-- ARGV: session, most in all, [member, list, priority, most, group or '']*
-- Gives {leases, empty, held}: [id, record]*, [number of the want]*, [number of the want, ms]*. A record that says
-- pending stands for a first lease; others are as they are now.
local session, total = ARGV[1], tonumber(ARGV[2])
fit(P .. 'sessions', 'zset')
local deadline = call('ZSCORE', P .. 'sessions', session)
if not deadline or tonumber(deadline) <= now then return { {}, {}, {} } end
fit(KEYS[1], 'hash')
fit(P .. 'ready', 'zset')
local run = P .. 'run:' .. session
fit(run, 'hash')

-- Tasks in one round, and bytes and entries without a task after which no other round begins.
local STEP, BYTES, SKIPPED = 256, 16777216, 4096
local FIRST = 'R1 ' .. session .. ' 1 0 0 0 ' .. now .. ' 0 - 0 0'
local leases, empty, held = {}, {}, {}
local n, bytes, skipped = 0, 0, 0

-- How many of a group may begin now, why not more, and when to ask again.
local function allowed(group, most)
  fit(P .. 'groups', 'hash')
  fit(P .. 'grouprun', 'hash')
  fit(P .. 'grouprate', 'hash')
  local limits = call('HGET', P .. 'groups', group)
  if not limits then return most end
  local concurrency, rate = match(limits, '^(%S+) (%S+)$')
  concurrency, rate = tonumber(concurrency or '-'), tonumber(rate or '-')
  local may, wait, tokens = most, nil, nil
  if concurrency then
    local left = math.max(0, concurrency - (tonumber(call('HGET', P .. 'grouprun', group) or 0) or 0))
    if left < may then may, wait = left, 1000 end
  end
  if rate and rate <= 0 then return 0, 1000 end
  if rate then
    local bucket = math.max(1, rate)
    local had, since = match(call('HGET', P .. 'grouprate', group) or '', '^(%S+) (%S+)$')
    tokens = had and math.min(bucket, tonumber(had) + math.max(0, now - tonumber(since)) * rate / 1000) or bucket
    if math.floor(tokens) < may then
      may = math.floor(tokens)
      wait = math.max(1, math.ceil((1 - (tokens - may)) * 1000 / rate))
    end
  end
  return may, wait, tokens
end

-- Gives a lease on a task that is not a plain first one. False: it is not pending.
local function lease(id, key, rec)
  local r = parse(rec)
  if not r then
    if rec or call('EXISTS', key) == 1 then
      aside('task ' .. id, rec)
      return nil
    end
    return false
  end
  if r.state ~= 'P' then return false end
  r.state, r.fence, r.attempt, r.session, r.started, r.ended = 'R', r.fence + 1, r.attempt + 1, session, now, 0
  local new = text(r)
  call('SET', key, new)
  call('HSET', run, id, r.fence)
  return new
end

local function take(list, most, priority)
  local ids = redis.pcall('LPOP', list, most)
  if not ids then return 0, 0 end
  if ids.err then
    fit(list, 'list')
    return 0, 0
  end
  local keys, sets, fields, k, got = {}, {}, {}, 1, 0
  local popped = #ids
  for i = 1, popped do keys[i] = T .. ids[i] end
  local recs = call('MGET', unpack(keys))
  for i = 1, popped do
    local rec = recs[i]
    if rec and byte(rec, 1) == 80 and byte(rec, 2) == 124 and match(rec, '^%d+ ', 3) then
      sets[k], sets[k + 1] = keys[i], FIRST .. sub(rec, 2)
      fields[k], fields[k + 1] = ids[i], '1'
      k = k + 2
    else
      local before = rec
      rec = lease(ids[i], keys[i], rec)
      if rec == nil then
        -- what it was is not known, only that it was counted as pending
        count('p' .. priority, -1)
        count('w', -1)
      end
      if not rec then skipped = skipped + 1 end
    end
    if rec then
      leases[n + 1], leases[n + 2] = ids[i], rec
      n = n + 2
      bytes = bytes + #rec
      got = got + 1
    end
  end
  if k > 1 then
    call('MSET', unpack(sets))
    call('HSET', run, unpack(fields))
  end
  return popped, got
end

local want = 0
for at = 3, #ARGV, 5 do
  want = want + 1
  local member, list, priority, most, group = ARGV[at], ARGV[at + 1], ARGV[at + 2], tonumber(ARGV[at + 3]), ARGV[at + 4]
  most = math.min(most, total)
  local may, wait, tokens = most, nil, nil
  if group ~= '' and most > 0 then may, wait, tokens = allowed(group, most) end
  local taken, drained = 0, false
  while taken < may and bytes < BYTES and skipped < SKIPPED do
    local asked = math.min(may - taken, STEP)
    local popped, got = take(list, asked, priority)
    taken = taken + got
    if popped < asked then
      drained = true
      break
    end
  end
  if taken > 0 then
    total = total - taken
    count('p' .. priority, -taken)
    count('w', -taken)
    count('r', taken)
    if group ~= '' and type(redis.pcall('HINCRBY', P .. 'grouprun', group, taken)) == 'table' then
      call('HSET', P .. 'grouprun', group, taken)
    end
    if tokens then call('HSET', P .. 'grouprate', group, (tokens - taken) .. ' ' .. now) end
  end
  local length = drained and 0 or redis.pcall('LLEN', list)
  if length == 0 then
    call('ZREM', P .. 'ready', member)
    empty[#empty + 1] = want
    -- nothing waits at this priority: a counter that was led astray (a record deleted by hand) is right again
    local level = 'p' .. priority
    local astray = (tonumber(call('HGET', KEYS[1], level) or 0) or 0) + (delta[level] or 0)
    if astray ~= 0 and call('ZCOUNT', P .. 'ready', priority, priority) == 0 then
      count(level, -astray)
      count('w', -astray)
    end
  elseif wait and taken == may then
    held[#held + 1] = want
    held[#held + 1] = wait
  end
end
flush()
return { leases, empty, held }
