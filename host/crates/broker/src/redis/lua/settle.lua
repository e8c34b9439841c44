-- Goes on with dependents of ended tasks that were too many for one step.
-- ARGV: origin. Gives {dependents, more}.
fit_all()
local PARENTS = 100
for _ = 1, PARENTS do
  local id = call('LPOP', P .. 'settle')
  if not id then break end
  local r = read(id)
  -- one that is no longer kept, or was put back, has told those it had to tell
  if r and (r.state == 'C' or r.state == 'F' or r.state == 'X') then parents[#parents + 1] = { id, r.state } end
end
local moved, more = settle()
if more == 0 then more = call('EXISTS', P .. 'settle') end
flush()
say(ARGV[1])
return { moved, more }
