-- Puts a failed or cancelled task back, as new. ARGV: origin, id. Gives 1, 0 or 'corrupt'.
local origin, id = ARGV[1], ARGV[2]
fit_all()
local r, rec = read(id)
if not r then
  local there = rec or call('EXISTS', T .. id) == 1
  flush()
  return there and 'corrupt' or 0
end
if r.state ~= 'F' and r.state ~= 'X' then return 0 end
call('ZREM', P .. (r.state == 'F' and 'dead' or 'gone'), id)
r.attempt, r.losses, r.ended, r.started, r.node, r.left, r.outcome = 0, 0, 0, 0, '-', 0, ''
r.flags = r.flags - band(r.flags, CANCEL)
if band(r.flags, KEY) ~= 0 then redis.pcall('PERSIST', P .. 'k:' .. r.key) end
for i = 0, r.deps - 1 do
  local dep = sub(r.rec, r.deps_at + 36 * i, r.deps_at + 36 * i + 35)
  local parent = read(dep)
  if parent and parent.state ~= 'C' and parent.state ~= 'F' and parent.state ~= 'X' then
    r.left = r.left + 1
    fit(P .. 'd:' .. dep, 'set')
    call('SADD', P .. 'd:' .. dep, id)
    if band(parent.flags, PARENT) == 0 then
      parent.flags = parent.flags + PARENT
      call('SET', T .. dep, text(parent))
    end
  end
end
if r.left > 0 then
  r.state, r.due = 'B', 0
  call('SET', T .. id, text(r))
  call('ZADD', P .. 'blocked', r.created, id)
  count('b', 1)
  count('w', 1)
else
  pend(id, r)
end
flush()
say(origin)
return 1
