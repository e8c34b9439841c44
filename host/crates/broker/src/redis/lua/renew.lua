-- Keeps a session.
-- ARGV: session, time to live, note, assigned, [id, fence, node]*, nodes, [node, text]*, gone, [node]*
-- Gives {fresh, cancels, [session, note]*}.
local session = ARGV[1]
fit(P .. 'sessions', 'zset')
local about, run, wanted = P .. 's:' .. session, P .. 'run:' .. session, P .. 'c:' .. session
fit(about, 'hash')
fit(run, 'hash')
fit(wanted, 'set')
local fresh = call('ZSCORE', P .. 'sessions', session) and 0 or 1
call('ZADD', P .. 'sessions', now + ARGV[2], session)
if fresh == 1 then call('DEL', about, wanted) end
call('HSET', about, 'note', ARGV[3])
local at = 5
for _ = 1, tonumber(ARGV[4]) do
  local noted = call('HGET', run, ARGV[at])
  if noted and match(noted, '^%d+') == ARGV[at + 1] then
    call('HSET', run, ARGV[at], ARGV[at + 1] .. ' ' .. ARGV[at + 2])
  end
  at = at + 3
end
local nodes = tonumber(ARGV[at])
for i = 1, nodes do call('HSET', about, 'n:' .. ARGV[at + 2 * i - 1], ARGV[at + 2 * i]) end
at = at + 1 + 2 * nodes
for i = at + 1, at + ARGV[at] do call('HDEL', about, 'n:' .. ARGV[i]) end
local peers = {}
for _, other in ipairs(call('ZRANGEBYSCORE', P .. 'sessions', '(' .. now, '+inf')) do
  if other ~= session then
    peers[#peers + 1] = other
    peers[#peers + 1] = redis.pcall('HGET', P .. 's:' .. other, 'note') or ''
    if type(peers[#peers]) == 'table' then peers[#peers] = '' end
  end
end
-- bounded: the next renewal tells the rest
return { fresh, call('SRANDMEMBER', wanted, 1000), peers }
