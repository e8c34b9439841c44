-- Writes a cache entry. Not allowed over maxmemory.
-- Of a namespace: `<n>` is `cache:<length of its name>:<name>`; `<n>:u` hash: bytes in use, by key and (field '') in
-- all; `<n>:x` sorted set of keys by when they expire; `<n>:k` sorted set of keys by name; `<n>:v:<key>` value.
-- ARGV: namespace key, quota, key, value, ms to live. Gives {'ok'}, {'again'} or {'full', used, asked}.
local name, quota, key, value, ttl = P .. ARGV[1], tonumber(ARGV[2]), ARGV[3], ARGV[4], tonumber(ARGV[5])
local use, expiry, names = name .. ':u', name .. ':x', name .. ':k'
fit(use, 'hash')
fit(expiry, 'zset')
fit(names, 'zset')
local STEP, STEPS, ENTRY = 200, 20, 64
local used = tonumber(call('HGET', use, '') or 0) or 0
local old = tonumber(call('HGET', use, '=' .. key) or 0) or 0
local size = #key + #value + ENTRY
for step = 1, STEPS + 1 do
  local over = call('ZRANGEBYSCORE', expiry, '-inf', now, 'LIMIT', 0, STEP)
  if #over == 0 then break end
  if step > STEPS then return { 'again' } end
  for _, gone in ipairs(over) do
    used = used - (tonumber(call('HGET', use, '=' .. gone) or 0) or 0)
    call('HDEL', use, '=' .. gone)
    call('UNLINK', name .. ':v:' .. gone)
    if gone == key then old = 0 end
  end
  call('ZREM', expiry, unpack(over))
  call('ZREM', names, unpack(over))
  call('HSET', use, '', used)
  if used - old + size <= quota then break end
end
if used - old + size > quota then
  flush()
  return { 'full', used, size }
end
call('HSET', use, '', used - old + size, '=' .. key, size)
call('ZADD', expiry, now + ttl, key)
call('ZADD', names, 0, key)
call('SET', name .. ':v:' .. key, value, 'PX', ttl)
-- the books of a namespace that nobody writes to go with its last entry
if call('PTTL', names) < ttl then
  for _, book in ipairs({ use, expiry, names }) do call('PEXPIRE', book, ttl + 1000) end
end
flush()
return { 'ok' }
