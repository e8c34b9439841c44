-- Ends leases of a session.
-- ARGV: session, completed first runs, their ids, heads and outcomes,
--       then [id, fence, kind, node or '-', started, delay, lost nodes, outcome]*
--       kinds: C, F, X as the states, `r` retry, `b` back (never run)
-- Gives {recorded, dependents, more}: `recorded` is what became of the second part, and [number, state] for those of
-- the first that were not just written as completed; '' is stale.
local session, quick = ARGV[1], tonumber(ARGV[2])
local run = P .. 'run:' .. session
fit_all()
fit(run, 'hash')
fit(P .. 'c:' .. session, 'set')
local odd, recorded, over = {}, {}, {}

local function close(id, rec, fence, kind, node, started, wait, lost, outcome)
  local r = parse(rec)
  if not r then
    if rec then aside('task ' .. id, rec) end
    if call('HDEL', run, id) == 1 then count('r', -1) end
  end
  if not r or r.state ~= 'R' or r.session ~= session or r.fence ~= fence then return '' end
  local noted = call('HGET', run, id)
  over[#over + 1] = id
  if node == '-' then node = noted and match(noted, '^%d+ (.+)$') or r.node end
  release(id, r)
  r.node = node
  if started ~= '0' then r.started = started end
  if (kind == 'r' or kind == 'b') and band(r.flags, CANCEL) ~= 0 then
    kind, outcome = 'X', 'Xcancelled on request'
  end
  if kind == 'b' then
    r.attempt = r.attempt - 1
    pend_first(id, r)
  elseif kind == 'r' then
    r.losses, r.outcome = r.losses + lost, outcome
    if wait > 0 then delay(id, r, wait) else pend_first(id, r) end
  else
    finish(id, r, kind, outcome)
  end
  return r.state
end

-- First runs of tasks without flags: their heads are known, so only those are compared and replaced.
local STEP = 500
local expect = 'R1 ' .. session .. ' 1 0 0 0 '
local bar = #expect + #tostring(now) + #' 0 - 0 0' + 1
local DONE = 'C1 - 1 0 0 ' .. now
for start = 1, quick, STEP do
  local stop = math.min(start + STEP - 1, quick)
  local keys = {}
  for i = start, stop do keys[i - start + 1] = T .. ARGV[2 + i] end
  local recs = call('MGET', unpack(keys))
  local sets, done, k = {}, {}, 0
  for i = start, stop do
    local rec, id = recs[i - start + 1], ARGV[2 + i]
    if rec and sub(rec, 1, #expect) == expect and byte(rec, bar) == 124 then
      k = k + 1
      sets[2 * k - 1] = keys[i - start + 1]
      sets[2 * k] = DONE .. ARGV[2 + quick + i] .. sub(rec, bar) .. ARGV[2 + 2 * quick + i]
      done[k] = now .. id
      ended[#ended + 1] = id
      over[#over + 1] = id
    else
      local started, node = match(ARGV[2 + quick + i], '^ (%d+) 0 (%S+) ')
      odd[#odd + 1] = i
      odd[#odd + 1] = close(id, rec, 1, 'C', node, started, 0, 0, ARGV[2 + 2 * quick + i])
    end
  end
  if k > 0 then
    call('MSET', unpack(sets))
    call('RPUSH', P .. 'done', unpack(done))
    count('C', k)
    count('r', -k)
  end
end

local at = 3 + 3 * quick
while at <= #ARGV do
  local id = ARGV[at]
  local rec = call('MGET', T .. id)[1]
  recorded[#recorded + 1] = close(id, rec, tonumber(ARGV[at + 1]), ARGV[at + 2], ARGV[at + 3], ARGV[at + 4],
    tonumber(ARGV[at + 5]), tonumber(ARGV[at + 6]), ARGV[at + 7])
  at = at + 8
end
for start = 1, #over, STEP do
  call('HDEL', run, unpack(over, start, math.min(start + STEP - 1, #over)))
end
queue_fronts()
local moved, more = {}, 0
if #parents > 0 then moved, more = settle() end
flush()
say(session)
return { odd, recorded, moved, more }
