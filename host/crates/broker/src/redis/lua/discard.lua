-- Takes leases off records that turned out not to be readable. ARGV: session, [id]*.
local run = P .. 'run:' .. ARGV[1]
fit(run, 'hash')
for i = 2, #ARGV do
  if call('HDEL', run, ARGV[i]) == 1 then count('r', -1) end
  aside('task ' .. ARGV[i], call('MGET', T .. ARGV[i])[1] or 'wrong type')
end
flush()
return #ARGV - 1
