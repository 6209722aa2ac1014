-- KEYS[1] a stamp; ARGV[1] a new one; ARGV[2] its life in milliseconds, never shortening the one it has. For servers that
-- have no SET .. NX GET.
local stamp = redis.call('GET', KEYS[1])
if not stamp then
  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
  return ARGV[1]
end
if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[2]) then
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
end
return stamp
