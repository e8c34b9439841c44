-- Writes a small document if it has the version that was seen last. Not allowed over maxmemory.
-- `r:<name>` hash: v version, b bytes; `versions` the last version given, so that none is given twice.
-- ARGV: name, expected version (0: there is none), bytes. Gives 1 when it was written.
local record, versions = P .. 'r:' .. ARGV[1], P .. 'versions'
fit(record, 'hash')
fit(versions, 'string')
local version = call('HGET', record, 'v') or '0'
if version ~= ARGV[2] then
  flush()
  return 0
end
local next = redis.pcall('INCR', versions)
if type(next) == 'table' or next <= tonumber(version) then
  -- somebody else wrote there: go on from the time, which no version has reached
  next = math.max(now, tonumber(version) + 1)
  call('SET', versions, string.format('%.0f', next))
end
call('HSET', record, 'v', string.format('%.0f', next), 'b', ARGV[3])
flush()
return 1
