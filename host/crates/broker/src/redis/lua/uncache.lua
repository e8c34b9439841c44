-- Removes a cache entry. ARGV: namespace key, key. Gives 1 when there was one that had not expired.
local name, key = P .. ARGV[1], ARGV[2]
local use, expiry, names = name .. ':u', name .. ':x', name .. ':k'
fit(use, 'hash')
fit(expiry, 'zset')
fit(names, 'zset')
local there = call('UNLINK', name .. ':v:' .. key)
local size = tonumber(call('HGET', use, '=' .. key) or 0) or 0
if size > 0 then call('HINCRBY', use, '', -size) end
call('HDEL', use, '=' .. key)
call('ZREM', expiry, key)
if call('ZREM', names, key) == 1 and call('EXISTS', names) == 0 then call('DEL', use) end
flush()
return there
