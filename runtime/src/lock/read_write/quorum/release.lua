-- KEYS as of `acquire.lua` beside this. ARGV[1] our value. Returns 1 if we were among those who share it.
local ms = purge(KEYS[5])
local had = redis.call('ZREM', KEYS[5], ARGV[1])
if redis.call('GET', KEYS[1]) == SHARED then
  if redis.call('ZCARD', KEYS[5]) > 0 then
    keep(KEYS[1], KEYS[5], ms)
  else
    redis.call('DEL', KEYS[1])
  end
end
return had
