-- Ends a session in good order. ARGV: session. Gives 1 while it has leases left for another step.
local session = ARGV[1]
local run, wanted = P .. 'run:' .. session, P .. 'c:' .. session
fit_all()
fit(P .. 'sessions', 'zset')
fit(run, 'hash')
fit(wanted, 'set')
local LEASES = 500
give_back(run, session, LEASES, true)
if #parents > 0 then settle() end
local more = call('EXISTS', run)
if more == 0 then
  call('ZREM', P .. 'sessions', session)
  call('DEL', P .. 's:' .. session, wanted)
end
flush()
say('-')
return more
