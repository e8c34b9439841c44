-- Takes a task back. ARGV: origin, id.
-- Gives {'unknown'}, {'corrupt'}, {'ended', state}, {'asked'} or {'now', dependents, more}.
local origin, id = ARGV[1], ARGV[2]
fit_all()
local r, rec = read(id)
if not r then
  local there = rec or call('EXISTS', T .. id) == 1
  flush()
  return { there and 'corrupt' or 'unknown' }
end
if r.state == 'C' or r.state == 'F' or r.state == 'X' then return { 'ended', r.state } end
if r.state == 'R' then
  if band(r.flags, CANCEL) == 0 then
    fit(P .. 'c:' .. r.session, 'set')
    r.flags = r.flags + CANCEL
    call('SET', T .. id, text(r))
    call('SADD', P .. 'c:' .. r.session, id)
  end
  call('PUBLISH', HINTS, 'C' .. r.session .. ' ' .. id)
  flush()
  return { 'asked' }
end
unwait(r)
if r.state == 'D' then call('ZREM', P .. 'due', id) end
if r.state == 'B' then
  call('ZREM', P .. 'blocked', id)
  for i = 0, r.deps - 1 do
    redis.pcall('SREM', P .. 'd:' .. sub(r.rec, r.deps_at + 36 * i, r.deps_at + 36 * i + 35), id)
  end
end
-- Out of a short list at once; in a long one the entry stays until it is its turn, and is skipped then.
local SHORT = 1000
if r.state == 'P' then
  local list = list_of(r.lane, r.priority)
  local length = redis.pcall('LLEN', list)
  if type(length) == 'number' and length <= SHORT then
    call('LREM', list, 1, id)
    if call('EXISTS', list) == 0 then call('ZREM', P .. 'ready', r.lane .. ':' .. r.priority) end
  end
end
finish(id, r, 'X', 'Xcancelled on request before it began')
local moved, more = settle()
flush()
say(origin)
return { 'now', moved, more }
