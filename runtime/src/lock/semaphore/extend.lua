-- KEYS[1] the holders; ARGV[1] our value; ARGV[2] our life from now in milliseconds. Returns what was left of our life, or -1 if
-- we are not among them.
local ms = purge(KEYS[1])
local deadline = redis.call('ZSCORE', KEYS[1], ARGV[1])
if not deadline then
  return -1
end
redis.call('ZADD', KEYS[1], ms + ARGV[2], ARGV[1])
keep(KEYS[1], ms)
return deadline - ms
