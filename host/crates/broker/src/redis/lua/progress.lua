-- Appends to progress logs. ARGV: session, most entries kept, [id, text]*. Gives the number of each entry, 0 for tasks
-- that are not there.
local answer, told, ids = {}, {}, {}
for at = 3, #ARGV, 2 do
  local id = ARGV[at]
  local number = 0
  if call('EXISTS', T .. id) == 1 then
    -- the server numbers them: 0-1, 0-2 and so on, also when the first ones are gone
    local added = redis.pcall('XADD', P .. 'p:' .. id, 'MAXLEN', ARGV[2], '0-*', 'e', ARGV[at + 1])
    if type(added) == 'table' then
      fit(P .. 'p:' .. id, 'stream')
      added = call('XADD', P .. 'p:' .. id, 'MAXLEN', ARGV[2], '0-*', 'e', ARGV[at + 1])
    end
    number = tonumber(sub(added, 3))
    if not told[id] then
      told[id] = true
      ids[#ids + 1] = id
    end
  end
  answer[#answer + 1] = number
end
if #ids > 0 then call('PUBLISH', HINTS, 'P' .. ARGV[1] .. ' ' .. table.concat(ids, ' ')) end
flush()
return answer
