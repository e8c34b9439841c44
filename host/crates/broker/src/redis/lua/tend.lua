-- Does what time brings, a bounded part of it.
-- ARGV: 1 when sessions are to be spared
-- Gives {promoted, requeued, sessions given up, cancelled, corrupt, ms until the next delayed task or -1, more}.
fit_all()
fit(P .. 'sessions', 'zset')
fit(P .. 'lost', 'list')
local SESSIONS, LEASES, DUE, OLD = 20, 500, 500, 250
local more = 0

-- Sessions that were not renewed: their leases are put where a session of the same name does not find them.
local given_up = {}
if ARGV[1] ~= '1' then
  given_up = call('ZRANGEBYSCORE', P .. 'sessions', '-inf', now, 'LIMIT', 0, SESSIONS)
  for _, session in ipairs(given_up) do
    local run, wanted = P .. 'run:' .. session, P .. 'c:' .. session
    fit(run, 'hash')
    fit(wanted, 'set')
    call('ZREM', P .. 'sessions', session)
    call('DEL', P .. 's:' .. session, wanted)
    if call('EXISTS', run) == 1 then
      local lost = P .. 'lost:' .. session .. ':' .. now
      call('RENAME', run, lost)
      call('RPUSH', P .. 'lost', lost)
    end
  end
  if #given_up == SESSIONS then more = 1 end
end

-- Leases of sessions that were given up.
local requeued, cancelled = {}, {}
while #requeued + #cancelled < LEASES do
  local key = call('LINDEX', P .. 'lost', 0)
  if not key then break end
  local session = match(key, '^.*lost:([^:]+):%d+$')
  if not session or call('EXISTS', key) == 0 then
    call('LPOP', P .. 'lost')
  else
    fit(key, 'hash')
    local back, gone = give_back(key, session, LEASES, false)
    for _, id in ipairs(back) do requeued[#requeued + 1] = id end
    for _, id in ipairs(gone) do cancelled[#cancelled + 1] = id end
  end
end
if call('EXISTS', P .. 'lost') == 1 then more = 1 end

-- Delayed tasks that are due.
local promoted = 0
local due = call('ZRANGEBYSCORE', P .. 'due', '-inf', now, 'LIMIT', 0, DUE)
for _, id in ipairs(due) do
  local r, rec = read(id)
  if r and r.state == 'D' then
    unwait(r)
    pend(id, r)
    promoted = promoted + 1
  elseif not r then
    -- a record that is gone or cannot be read was counted as delayed
    if not rec and call('EXISTS', T .. id) == 1 then aside('task ' .. id, 'wrong type') end
    count('d', -1)
    count('w', -1)
  end
end
if #due > 0 then call('ZREM', P .. 'due', unpack(due)) end
if #due == DUE then more = 1 end

-- What was kept long enough.
local old = {}
local function forget(id)
  old[#old + 1] = T .. id
  old[#old + 1] = P .. 'p:' .. id
  old[#old + 1] = P .. 'd:' .. id
end
local n = 0
for _, entry in ipairs(call('LRANGE', P .. 'done', 0, OLD - 1)) do
  local at, id = match(entry, '^(%d%d%d%d%d%d%d%d%d%d%d%d%d)(.*)$')
  if at and tonumber(at) + KEEP > now then break end
  n = n + 1
  if id then forget(id) end
end
if n > 0 then call('LPOP', P .. 'done', n) end
if n == OLD then more = 1 end
for _, name in ipairs({ 'dead', 'gone' }) do
  local ids = call('ZRANGEBYSCORE', P .. name, '-inf', now - KEEP, 'LIMIT', 0, OLD)
  for _, id in ipairs(ids) do forget(id) end
  if #ids > 0 then call('ZREM', P .. name, unpack(ids)) end
  if #ids == OLD then more = 1 end
end
if #old > 0 then call('UNLINK', unpack(old)) end

-- Dependents that were left for later.
local PARENTS = 100
for _ = 1, PARENTS do
  local id = call('LPOP', P .. 'settle')
  if not id then break end
  local r = read(id)
  if r and (r.state == 'C' or r.state == 'F' or r.state == 'X') then parents[#parents + 1] = { id, r.state } end
end
if #parents > 0 then settle() end
if call('EXISTS', P .. 'settle') == 1 then more = 1 end
flush()
-- nothing runs: what a lease on a record that is gone left behind in its group goes too
if more == 0 and (tonumber(call('HGET', KEYS[1], 'r') or 0) or 0) <= 0 then call('DEL', P .. 'grouprun') end
local corrupt = tonumber(call('HGET', KEYS[1], 'corrupt') or 0) or 0
if corrupt ~= 0 then call('HDEL', KEYS[1], 'corrupt') end
say('-')
local next_due = call('ZRANGE', P .. 'due', 0, 0, 'WITHSCORES')[2]
next_due = next_due and math.max(0, next_due - now) or -1
return { promoted, requeued, given_up, cancelled, corrupt, next_due, more }
