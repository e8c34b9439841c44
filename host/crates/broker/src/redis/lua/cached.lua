-- Keys of a cache namespace, sorted. ARGV: namespace key, limit. Gives the keys that have not expired.
local names, expiry = P .. ARGV[1] .. ':k', P .. ARGV[1] .. ':x'
local limit, from, found = tonumber(ARGV[2]), '-', {}
local STEP, STEPS = 500, 200
for _ = 1, STEPS do
  local page = call('ZRANGEBYLEX', names, from, '+', 'LIMIT', 0, STEP)
  if #page == 0 then break end
  local times = call('ZMSCORE', expiry, unpack(page))
  for i, key in ipairs(page) do
    if times[i] and tonumber(times[i]) > now and #found < limit then found[#found + 1] = key end
  end
  if #page < STEP or #found >= limit then break end
  from = '(' .. page[#page]
end
return found
