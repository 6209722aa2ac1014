-- KEYS[1] the lock; KEYS[2] its holders that share; ARGV[1] our value; ARGV[2] our life from now in milliseconds. Returns what was
-- left of our life, or -1 if we are not among them. Nobody else's life is touched.
local ms = purge(KEYS[2])
local deadline = redis.call('ZSCORE', KEYS[2], ARGV[1])
if not deadline or redis.call('GET', KEYS[1]) ~= SHARED then
  return -1
end
redis.call('ZADD', KEYS[2], ms + ARGV[2], ARGV[1])
keep(KEYS[1], KEYS[2], ms)
return deadline - ms
